//! `patchctl scan`: look at the host, judge it, show the report and keep it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use patchd_protocol::control::{RunAnswer, RunDocument, RunOutcome, RunPhase, RunRequest, RunSummary};
use patchd_protocol::report::native::{OperationWire, ReportDocument};

use crate::arguments::{ScanArguments, VerdictArguments};
use crate::client::Client;
use crate::command::{own_view, report};
use crate::exit::{Exit, Failure};
use crate::output::{Output, tell};
use crate::text::Line;
use crate::view::View;
use crate::{once, stored};

/// How often the daemon is asked whether the run is over, and how often at most: an hour in all.
const PAUSE: Duration = Duration::from_millis(500);
const QUESTIONS: u32 = 7_200;

pub(crate) fn run(arguments: &ScanArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.once.once {
        return scan_here(arguments, output);
    }
    scan_by_daemon(&Client::new(socket)?, &arguments.verdict, output)
}

fn scan_here(arguments: &ScanArguments, output: &mut Output) -> Result<Exit, Failure> {
    let store = stored::open(arguments.store.as_deref().unwrap_or(stored::DEFAULT))?;
    let root = once::root_of(&arguments.once)?;
    let report = once::report_of(&root, &arguments.judge)?;
    let document = ReportDocument::from(&report);
    // Kept before it is printed: who reads the output may go away.
    let kept = stored::keep(&store, &document);
    let view = View { is_full: arguments.verdict.all, ..once::view_of(&root, &arguments.judge, output) };
    report::print(&document, &view, output)?;
    let place = kept?;
    let sentence = format!("the report is in {}", place.display());
    if output.is_json {
        tell(&sentence);
    } else {
        output.lines(&[Line::empty(), Line::plain(sentence)])?;
    }
    once::check_readable(&report.inventory)?;
    Ok(report::exit_of(&document, &arguments.verdict))
}

fn scan_by_daemon(client: &Client, shown: &VerdictArguments, output: &mut Output) -> Result<Exit, Failure> {
    let request = RunRequest { operation: OperationWire::Scan, dry_run: false, plan: None };
    let answer: RunAnswer = client.post("/v1/runs", &request)?.parse()?;
    if !answer.started {
        tell(&format!("run {} is under way already: waiting for that one", answer.run.id));
    }
    let run = wait_for(client, answer.run)?;
    let id = run.report.as_deref().with_context(|| {
        format!("run {} wrote no report: {}", run.id, run.detail.as_deref().unwrap_or("it says no reason"))
    })?;
    let document: ReportDocument = client.get_by_id("/v1/reports", id)?.parse()?;
    let view = View { is_full: shown.all, ..own_view(output) };
    report::print(&document, &view, output)?;
    match run.verdict {
        Some(RunOutcome::Failed) => {
            let detail = run.detail.unwrap_or_else(|| "it says no reason".into());
            Err(Failure::because(Exit::Failed, format!("run {} failed: {detail}", run.id)))
        }
        _ => Ok(report::exit_of(&document, shown)),
    }
}

fn wait_for(client: &Client, mut run: RunSummary) -> Result<RunSummary, Failure> {
    for _ in 0..QUESTIONS {
        if run.phase == RunPhase::Concluded {
            return Ok(run);
        }
        client.pause(PAUSE);
        run = client.get_by_id("/v1/runs", &run.id)?.parse::<RunDocument>()?.run;
    }
    Err(Failure::because(
        Exit::Failed,
        format!("run {} is still under way: `patchctl show {}` tells how far it is", run.id, run.id),
    ))
}
