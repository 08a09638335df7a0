//! `patchctl inventory`: what is installed.

use std::path::Path;

use patchd_host::dpkg;
use patchd_protocol::listing::InventoryDocument;

use crate::arguments::OnceArguments;
use crate::client::Client;
use crate::command::{own_view, print_answer};
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::view;

pub(crate) fn run(arguments: &OnceArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    if arguments.once {
        return read_here(arguments, output);
    }
    let answer = Client::new(socket)?.get("/v1/inventory")?;
    print_answer(&answer, output, view::listing::inventory)?;
    Ok(Exit::Done)
}

fn read_here(arguments: &OnceArguments, output: &mut Output) -> Result<Exit, Failure> {
    let inventory = dpkg::read_inventory(&once::root_of(arguments)?);
    let document = InventoryDocument::new(&inventory, None);
    if output.is_json {
        output.document(&document)?;
    } else {
        output.lines(&view::listing::inventory(&document, &own_view(output)))?;
    }
    once::check_readable(&inventory)?;
    Ok(Exit::Done)
}
