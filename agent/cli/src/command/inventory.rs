//! `patchctl inventory`: what is installed.

use std::mem::ManuallyDrop;
use std::path::Path;

use patchd_host::apt::{self, read_offers};
use patchd_host::dpkg;
use patchd_protocol::listing::InventoryDocument;

use crate::arguments::InventoryArguments;
use crate::client::Client;
use crate::command::{now, own_view, print_answer};
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::view;

pub(crate) fn run(
    arguments: &InventoryArguments,
    socket: &Path,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if arguments.once.once {
        return read_here(arguments, output);
    }
    let answer = Client::new(socket)?.get("/v1/inventory")?;
    print_answer(&answer, output, view::listing::inventory)?;
    Ok(Exit::Done)
}

fn read_here(arguments: &InventoryArguments, output: &mut Output) -> Result<Exit, Failure> {
    let root = once::root_of(&arguments.once)?;
    // The process ends here, and takes its ten thousand strings with it: freeing each first is a tenth of the work.
    let inventory = ManuallyDrop::new(dpkg::read_inventory(&root));
    let offers = arguments.origins.then(|| read_offers(&root, &inventory, now(), &apt::Options::default()));
    let document = ManuallyDrop::new(InventoryDocument::new(&inventory, offers.as_ref()));
    if output.is_json {
        output.document(&*document)?;
    } else {
        output.lines(&view::listing::inventory(&document, &own_view(output)))?;
    }
    once::check_readable(&inventory)?;
    Ok(Exit::Done)
}
