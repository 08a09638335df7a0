//! `patchctl show RUN`: one run of the daemon with its history.

use std::path::Path;

use crate::client::Client;
use crate::command::print_answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view;

pub(crate) fn run(id: &str, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let answer = Client::new(socket)?.get_by_id("/v1/runs", id)?;
    print_answer(&answer, output, view::run::run)?;
    Ok(Exit::Done)
}
