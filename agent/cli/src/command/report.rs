//! `patchctl report`: a report that was written before, from the daemon, a store or a file.

use std::path::Path;

use patchd_protocol::control::StatusDocument;
use patchd_protocol::report::native::ReportDocument;

use crate::arguments::{ReportArguments, VerdictArguments};
use crate::client::Client;
use crate::command::own_view;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::stored;
use crate::view::{self, View, verdict};

pub(crate) fn run(arguments: &ReportArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let report = match (arguments.report.as_deref(), arguments.store.as_deref()) {
        (Some(path), None) if stored::is_path(path) => stored::read_file(Path::new(path))?,
        (id, Some(store)) => stored::find(&stored::open(store)?, id)?,
        (Some(id), None) => Client::new(socket)?.get_by_id("/v1/reports", id)?.parse()?,
        (None, None) => latest(&Client::new(socket)?)?,
    };
    let view = View { is_full: arguments.verdict.all, ..own_view(output) };
    print(&report, &view, output)?;
    Ok(exit_of(&report, &arguments.verdict))
}

pub(crate) fn latest(client: &Client) -> Result<ReportDocument, Failure> {
    let status: StatusDocument = client.get("/v1/status")?.parse()?;
    match status.last_report {
        Some(report) => client.get_by_id("/v1/reports", &report.id)?.parse(),
        None => {
            Err(Failure::because(Exit::NotFound, "no report was written yet: `patchctl scan` writes one"))
        }
    }
}

/// Prints a report: as its document for a program, as a page for a person.
pub(crate) fn print(report: &ReportDocument, view: &View, output: &mut Output) -> Result<(), Failure> {
    if output.is_json { output.document(report) } else { output.lines(&view::report::lines(report, view)) }
}

/// The exit code after a report was shown.
pub(crate) fn exit_of(report: &ReportDocument, shown: &VerdictArguments) -> Exit {
    if shown.exit_code { verdict::exit(report.summary.compliance) } else { Exit::Done }
}
