//! `patchctl updates`: what could or should be newer than it is, and why it is not.

use std::path::Path;

use crate::client::Client;
use crate::command::print_answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view;

pub(crate) fn run(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let answer = Client::new(socket)?.get("/v1/updates")?;
    print_answer(&answer, output, view::listing::updates)?;
    Ok(Exit::Done)
}
