//! Root's word to the executor: that a plan may be carried out now, and what else only root may ask. The executor asks the kernel who speaks; nothing that
//! the daemon does or says takes part in it.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use patchd_core::plan::Plan;
use patchd_protocol::control::plan::{PlanDocument, PlanRequest};
use patchd_protocol::executor::{PROTOCOL, PlanWire, Reply, Request, Verb, is_id};
use patchd_protocol::frame::{self, MAX_REPLY, MAX_REQUEST};

use crate::exit::{Exit, Failure};

/// How long the executor may take: systemd starts it first.
const DEADLINE: Duration = Duration::from_secs(90);

/// As many words of progress before the answer are passed over.
const MAX_REPLIES: usize = 1_000;

/// Whether the caller may give root's word at all.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Gives root's word for a plan, and tells until when it holds.
pub(crate) fn grant(
    socket: &Path,
    plan: &PlanDocument,
    reason: &str,
    minutes: u32,
) -> Result<Timestamp, Failure> {
    let request = PlanRequest::from(plan);
    let checked = Plan::try_from(&request).map_err(|error| Failure::new(Exit::BadInput, error))?;
    let verb = Verb::Grant {
        plan: PlanWire::from(&checked),
        digest: request.digest,
        reason: reason.into(),
        seconds: u64::from(minutes) * 60,
    };
    // Only for the executor's log: a file may say anything.
    let run = if is_id(&plan.run) { plan.run.clone() } else { "patchctl".into() };
    granted(ask(socket, &Request { protocol: PROTOCOL, run, verb })?)
}

/// Asks the executor, and passes over what it says on the way to its answer.
pub(crate) fn ask(socket: &Path, request: &Request) -> Result<Reply, Failure> {
    let mut stream = UnixStream::connect(socket).map_err(|error| unreachable(socket, error))?;
    stream.set_read_timeout(Some(DEADLINE)).context("can't set a deadline")?;
    stream.set_write_timeout(Some(DEADLINE)).context("can't set a deadline")?;
    frame::write(&mut stream, request, MAX_REQUEST).context("can't ask the executor")?;
    for _ in 0..MAX_REPLIES {
        match frame::read(&mut stream, MAX_REPLY).context("can't read the executor's answer")? {
            Some(Reply::Progress(_)) => {}
            Some(reply) => return Ok(reply),
            None => return Err(anyhow!("the executor hung up without an answer").into()),
        }
    }
    Err(anyhow!("the executor did not come to an answer").into())
}

fn granted(reply: Reply) -> Result<Timestamp, Failure> {
    match reply {
        Reply::Granted { until } => Ok(until),
        Reply::Refused(refusal) => {
            Err(Failure::because(Exit::Refused, format!("the executor gave no grant: {}", refusal.message)))
        }
        Reply::Failed { message } => Err(anyhow!("the executor could not grant it: {message}").into()),
        _ => Err(anyhow!("the executor gave an answer that is none to a grant").into()),
    }
}

fn unreachable(socket: &Path, error: io::Error) -> Failure {
    let place = socket.display();
    let hint = "`systemctl start patchd-executor.socket` opens it";
    Failure::new(
        Exit::NoDaemon,
        anyhow!(error).context(format!("can't use the executor's socket {place} ({hint})")),
    )
}
