//! `patchctl apply`: ask for an apply, show how it goes and what came of it. It installs nothing itself: that is the
//! daemon's run, which goes on without whoever watches.

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::Path;

use anyhow::Context;
use patchd_protocol::control::plan::{PlanDocument, PlanRequest};
use patchd_protocol::control::{RunAnswer, RunDocument, RunOutcome, RunPhase, RunRequest, RunSummary};
use patchd_protocol::report::native::{OperationWire, ReportDocument};

use crate::arguments::ApplyArguments;
use crate::client::Client;
use crate::command::plan::{Made, make, say_none};
use crate::command::{own_view, request};
use crate::exit::{Exit, Failure};
use crate::grant::{grant, is_root};
use crate::output::{Aside, Output, tell};
use crate::plan_file;
use crate::text::Line;
use crate::view::plan::opens_by_grant;
use crate::view::{self, View, stamp};
use crate::watch::{Detail, Watched, Watcher};

/// The longest answer to the question whether a plan is agreed to.
const MAX_WORD: u64 = 64;

pub(crate) fn run(arguments: &ApplyArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.now && !is_root() {
        let sentence = "only root may apply outside of a window: run it with sudo, or leave --now away";
        return Err(Failure::because(Exit::Refused, sentence));
    }
    let plan = arguments.plan.as_deref().map(plan_file::read).transpose()?;
    let mut watcher = Watcher::new(Client::new(socket)?, Detail::Lines)?;
    if let Some(id) = &arguments.follow {
        return follow(&mut watcher, id, output);
    }
    let plan = if arguments.now {
        match agreed(&mut watcher, arguments, plan, output)? {
            Agreed::To(plan) => Some(*plan),
            Agreed::Ended(exit) => return Ok(exit),
        }
    } else {
        plan
    };
    let plan = plan.as_ref().map(PlanRequest::from);
    let asked = RunRequest { operation: OperationWire::Apply, dry_run: false, plan };
    if arguments.detach {
        return detach(&watcher, &asked, output);
    }
    // A plan of one's own is not carried out by another's run.
    let is_as_good =
        |run: &RunSummary| asked.plan.is_none() && run.operation == OperationWire::Apply && !run.dry_run;
    match request::run(&mut watcher, &asked, is_as_good)? {
        Some(run) => show(&watcher, &run, output),
        None => Ok(Exit::Interrupted),
    }
}

/// Comes back to a run.
fn follow(watcher: &mut Watcher, id: &str, output: &mut Output) -> Result<Exit, Failure> {
    let document: RunDocument = watcher.client.get_by_id("/v1/runs", id)?.parse()?;
    if document.run.phase == RunPhase::Concluded {
        return show(watcher, &document.run, output);
    }
    match watcher.watch(&document.run.id)? {
        Watched::Concluded(run) => show(watcher, &run, output),
        Watched::Left => Ok(Exit::Interrupted),
    }
}

fn detach(watcher: &Watcher, asked: &RunRequest, output: &mut Output) -> Result<Exit, Failure> {
    let (answer, RunAnswer { started, run, .. }) = request::ask(watcher, asked)?;
    if output.is_json {
        output.bytes(&answer.body)?;
    } else {
        output.lines(&[Line::plain(&run.id)])?;
    }
    if started {
        return Ok(Exit::Done);
    }
    let sentence = format!("run {} is under way already, and no other was started", run.id);
    Err(Failure::because(Exit::Refused, sentence))
}

/// What root said to a plan.
enum Agreed {
    To(Box<PlanDocument>),
    Ended(Exit),
}

/// Shows the plan, asks whether it is to be carried out now, and leaves root's word with the executor.
fn agreed(
    watcher: &mut Watcher,
    arguments: &ApplyArguments,
    plan: Option<PlanDocument>,
    output: &mut Output,
) -> Result<Agreed, Failure> {
    let plan = match plan {
        Some(plan) => Box::new(plan),
        None => match make(watcher)? {
            Made::Plan { document, .. } => document,
            Made::None(run) => return Ok(Agreed::Ended(say_none(watcher, &run, output)?)),
            Made::Left => return Ok(Agreed::Ended(Exit::Interrupted)),
        },
    };
    let aside = Aside::new();
    let view = View { width: aside.width, ..own_view(output) };
    aside.lines(&view::plan::lines(&plan, &view));
    if !plan.gates.iter().all(opens_by_grant) {
        tell("root's word does not open every gate above: while one is shut, nothing will be changed");
    }
    if !arguments.yes {
        ask(&aside, &plan)?;
    }
    let reason = arguments.reason.as_deref().unwrap_or_default();
    let until = grant(&arguments.executor_socket, &plan, reason, arguments.minutes)?;
    tell(&format!("root's word for this plan holds until {}", stamp(until)));
    Ok(Agreed::To(plan))
}

fn ask(aside: &Aside, plan: &PlanDocument) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let sentence = "standard input is no terminal: --yes agrees to the plan without being asked";
        return Err(Failure::because(Exit::BadInput, sentence));
    }
    aside.ask(&format!("Carry out this plan on {} now, outside of every window? Type yes:", plan.host));
    let mut word = Vec::new();
    stdin.lock().take(MAX_WORD).read_until(b'\n', &mut word).context("can't read the answer")?;
    if word.trim_ascii() == b"yes" {
        return Ok(());
    }
    Err(Failure::because(Exit::Refused, "that was no yes: nothing was granted, and nothing was changed"))
}

/// Shows what a run came to, by its report if it wrote one.
fn show(watcher: &Watcher, run: &RunSummary, output: &mut Output) -> Result<Exit, Failure> {
    let client = &watcher.client;
    let answer = client.get_by_id("/v1/runs", &run.id)?;
    let document: RunDocument = answer.parse()?;
    let report = match &document.run.report {
        Some(id) => Some(client.get_by_id("/v1/reports", id)?),
        None => None,
    };
    if output.is_json {
        output.bytes(&report.as_ref().unwrap_or(&answer).body)?;
    } else {
        let report = report.map(|report| report.parse::<ReportDocument>()).transpose()?;
        output.lines(&view::outcome::lines(&document, report.as_ref(), &own_view(output)))?;
    }
    Ok(exit_of(&document.run))
}

fn exit_of(run: &RunSummary) -> Exit {
    match run.verdict {
        Some(RunOutcome::Succeeded) => Exit::Done,
        Some(RunOutcome::Partial) => Exit::Partial,
        Some(RunOutcome::Refused) => Exit::NothingChanged,
        Some(RunOutcome::Failed) | None => Exit::Failed,
    }
}
