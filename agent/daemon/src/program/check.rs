//! The checks of the doctor without a daemon: as the daemon's user, with the daemon's settings, and printed.
//!
//! It starts nothing and keeps nothing. What only a running daemon knows, its last delivery above all, it can't tell.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use patchd_daemon::clock::{Clock, SystemClock};
use patchd_daemon::doctor::{AgentWord, Doctor};
use patchd_daemon::executor_client::ExecutorClient;
use patchd_daemon::store::spool::{Spool, SpoolLimits};
use patchd_host::root::Root;
use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckVerdictWire, CheckWire, DoctorDocument};
use tokio::sync::watch;

use super::arguments;
use super::service;

/// Looks, and gives what it found. Without settings, what depends on them can't be told.
pub(crate) async fn look(
    settings: Option<Settings>,
    state: &Path,
    executor: &Path,
) -> Result<DoctorDocument> {
    let now = SystemClock.now();
    let Some(settings) = settings else {
        let local = tokio::task::spawn_blocking(move || patchd_host::doctor::look(&Root::host(), now, false));
        return Ok(DoctorDocument::new(
            env!("CARGO_PKG_VERSION"),
            now,
            local.await.context("looking broke")?,
        ));
    };
    let (_keep, receiver) = watch::channel(settings);
    // To open a spool is to make it: where there is no state directory yet, that is for the daemon to do.
    let spool = match state.exists() {
        true => Spool::open(state.join("spool"), SpoolLimits::default()).await.ok(),
        false => None,
    };
    let (identities, executor) = (Arc::new(service::identities()?), ExecutorClient::at_socket(executor));
    let doctor = Doctor::new(identities, executor, receiver, spool, state.into(), || SystemClock.now());
    Ok(doctor.look(AgentWord::NotRunning).await)
}

/// Prints it, and gives the exit code.
pub(crate) fn print(document: &DoctorDocument, is_json: bool) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    if is_json {
        serde_json::to_writer(&mut out, document).context("can't print")?;
        writeln!(out).context("can't print")?;
    } else {
        for CheckWire { name, verdict, detail, remedy } in &document.checks {
            let verdict = match verdict {
                CheckVerdictWire::Ok => "ok",
                CheckVerdictWire::Warning => "warning",
                CheckVerdictWire::CannotTell => "cannot tell",
                CheckVerdictWire::Failing => "failing",
            };
            writeln!(out, "{verdict:<12}{}: {detail}", name.title()).context("can't print")?;
            if let Some(remedy) = remedy {
                writeln!(out, "{:<12}do: {remedy}", "").context("can't print")?;
            }
        }
    }
    Ok(if document.verdict == CheckVerdictWire::Failing { arguments::FAILED } else { arguments::DONE })
}
