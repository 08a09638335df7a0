//! `patchctl scan`: look at the host, judge it, show the report and keep it.

use std::path::Path;

use anyhow::Context;
use patchd_protocol::control::{RunAnswer, RunOutcome, RunRequest};
use patchd_protocol::report::native::{OperationWire, ReportDocument};

use crate::arguments::{ScanArguments, VerdictArguments};
use crate::client::Client;
use crate::command::{own_view, report};
use crate::exit::{Exit, Failure};
use crate::output::{Output, tell};
use crate::text::Line;
use crate::view::View;
use crate::watch::{Detail, Watched, Watcher};
use crate::{once, stored};

pub(crate) fn run(arguments: &ScanArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.once.once {
        return scan_here(arguments, output);
    }
    let watcher = Watcher::new(Client::new(socket)?, Detail::Nothing)?;
    scan_by_daemon(watcher, &arguments.verdict, output)
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

fn scan_by_daemon(
    mut watcher: Watcher,
    shown: &VerdictArguments,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let request = RunRequest { operation: OperationWire::Scan, dry_run: false, plan: None };
    let answer: RunAnswer = watcher.client.post("/v1/runs", &request)?.parse()?;
    if !answer.started {
        tell(&format!("run {} is under way already: waiting for that one", answer.run.id));
    }
    let Watched::Concluded(run) = watcher.watch(&answer.run.id)? else { return Ok(Exit::Interrupted) };
    let id = run.report.as_deref().with_context(|| {
        format!("run {} wrote no report: {}", run.id, run.detail.as_deref().unwrap_or("it says no reason"))
    })?;
    let document: ReportDocument = watcher.client.get_by_id("/v1/reports", id)?.parse()?;
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
