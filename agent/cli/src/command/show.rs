//! `patchctl show RUN`: one run of the daemon with its history, and what its report has of it.

use std::path::Path;

use patchd_protocol::control::RunDocument;
use patchd_protocol::report::native::ReportDocument;

use crate::client::Client;
use crate::command::own_view;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view;

pub(crate) fn run(id: &str, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let client = Client::new(socket)?;
    let answer = client.get_by_id("/v1/runs", id)?;
    let document: RunDocument = answer.parse()?;
    if output.is_json {
        output.bytes(&answer.body)?;
        return Ok(Exit::Done);
    }
    // The daemon keeps the latest reports only: without one there is still the run.
    let report = document.run.report.as_deref().and_then(|id| client.get_by_id("/v1/reports", id).ok());
    let report = report.and_then(|report| report.parse::<ReportDocument>().ok());
    output.lines(&view::run::run(&document, report.as_ref(), &own_view(output)))?;
    Ok(Exit::Done)
}
