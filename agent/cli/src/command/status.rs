//! `patchctl status`: what the daemon does, and what it knows of this host.

use std::path::Path;

use crate::client::Client;
use crate::command::print_answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view;

pub(crate) fn run(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let answer = Client::new(socket)?.get("/v1/status")?;
    print_answer(&answer, output, view::run::status)?;
    Ok(Exit::Done)
}
