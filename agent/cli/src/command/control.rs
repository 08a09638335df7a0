//! `patchctl stop`, `pause` and `resume`: what an operator says to a daemon, at work or not.

use std::path::Path;

use patchd_protocol::control::{RunDocument, StatusDocument};
use serde_json::json;

use crate::client::{Client, checked_id};
use crate::command::print_answer;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view::run::{paused, resumed, stopping};

pub(crate) fn stop(run: &str, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let path = format!("/v1/runs/{}/stop", checked_id(run)?);
    let answer = Client::new(socket)?.post(&path, &json!({}))?;
    print_answer::<RunDocument>(&answer, output, stopping)?;
    Ok(Exit::Done)
}

pub(crate) fn pause(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let answer = Client::new(socket)?.post("/v1/pause", &json!({}))?;
    print_answer::<StatusDocument>(&answer, output, paused)?;
    Ok(Exit::Done)
}

pub(crate) fn resume(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let answer = Client::new(socket)?.post("/v1/resume", &json!({}))?;
    print_answer::<StatusDocument>(&answer, output, resumed)?;
    Ok(Exit::Done)
}
