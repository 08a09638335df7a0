//! `patchctl updates`: what could or should be newer than it is, and why it is not.

use std::path::Path;

use patchd_protocol::listing::UpdatesDocument;

use crate::arguments::UpdatesArguments;
use crate::client::Client;
use crate::command::print_answer;
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::view;

pub(crate) fn run(arguments: &UpdatesArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.once.once {
        return read_here(arguments, output);
    }
    let answer = Client::new(socket)?.get("/v1/updates")?;
    print_answer(&answer, output, view::listing::updates)?;
    Ok(Exit::Done)
}

fn read_here(arguments: &UpdatesArguments, output: &mut Output) -> Result<Exit, Failure> {
    let root = once::root_of(&arguments.once)?;
    let report = once::report_of(&root, &arguments.judge)?;
    let document = UpdatesDocument::from(&report);
    if output.is_json {
        output.document(&document)?;
    } else {
        let view = once::view_of(&root, &arguments.judge, output);
        output.lines(&view::listing::updates(&document, &view))?;
    }
    once::check_readable(&report.inventory)?;
    Ok(Exit::Done)
}
