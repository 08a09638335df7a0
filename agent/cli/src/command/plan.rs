//! `patchctl plan`: what an apply would do now. It changes nothing.

use std::path::Path;

use patchd_protocol::control::plan::PlanDocument;
use patchd_protocol::control::{RunOutcome, RunRequest, RunSummary};
use patchd_protocol::report::native::OperationWire;

use crate::client::{Answer, Client};
use crate::command::{own_view, request};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::text::Line;
use crate::view::{self, View};
use crate::watch::{Detail, Watcher};

/// What planning came to.
pub(super) enum Made {
    Plan {
        answer: Answer,
        document: Box<PlanDocument>,
    },
    /// Nothing is to be done, or nothing can be planned: the run says which.
    None(RunSummary),
    /// A Ctrl-C ended the waiting.
    Left,
}

pub(crate) fn run(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let mut watcher = Watcher::new(Client::new(socket)?, Detail::Nothing)?;
    match make(&mut watcher)? {
        Made::Plan { answer, .. } if output.is_json => {
            // As it came: what is applied later is what the daemon wrote.
            output.bytes(&answer.body)?;
            Ok(Exit::Done)
        }
        Made::Plan { document, .. } => {
            let view = View { is_full: true, ..own_view(output) };
            output.lines(&view::plan::lines(&document, &view))?;
            output.lines(&view::plan::next_steps(&document, &view))?;
            Ok(Exit::Done)
        }
        Made::None(run) => say_none(&watcher, &run, output),
        Made::Left => Ok(Exit::Interrupted),
    }
}

/// Has a plan made.
pub(super) fn make(watcher: &mut Watcher) -> Result<Made, Failure> {
    let asked = RunRequest { operation: OperationWire::Apply, dry_run: true, plan: None };
    let Some(run) = request::run(watcher, &asked, |_| false)? else { return Ok(Made::Left) };
    match watcher.client.get_of_run(&run.id, "plan") {
        Ok(answer) => {
            let document: PlanDocument = answer.parse()?;
            let is_empty = document.steps.is_empty();
            Ok(if is_empty { Made::None(run) } else { Made::Plan { answer, document: Box::new(document) } })
        }
        Err(failure) if failure.exit == Exit::NotFound => Ok(Made::None(run)),
        Err(failure) => Err(failure),
    }
}

/// Says why there is no plan; a program gets the run.
pub(super) fn say_none(watcher: &Watcher, run: &RunSummary, output: &mut Output) -> Result<Exit, Failure> {
    let why = run.detail.as_deref();
    let (exit, sentence) = match run.verdict {
        Some(RunOutcome::Succeeded) => (Exit::Done, "nothing is to be done".into()),
        Some(RunOutcome::Refused | RunOutcome::Partial) => {
            (Exit::NothingChanged, format!("there is no plan: {}", why.unwrap_or("the run says no reason")))
        }
        Some(RunOutcome::Failed) | None => {
            (Exit::Failed, format!("planning failed: {}", why.unwrap_or("the run says no reason")))
        }
    };
    if output.is_json {
        output.bytes(&watcher.client.get_by_id("/v1/runs", &run.id)?.body)?;
    }
    if exit != Exit::Done {
        return Err(Failure::because(
            exit,
            format!("{sentence} (`patchctl show {}` has its history)", run.id),
        ));
    }
    if !output.is_json {
        output.lines(&[Line::plain(sentence)])?;
    }
    Ok(exit)
}
