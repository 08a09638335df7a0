//! The checks of patchd's own parts: the root helper, the journal, the last run, a pause.

use std::path::Path;

use patchd_core::run::RunId;
use patchd_protocol::control::clock::{ClockState, ClockStatus};
use patchd_protocol::control::{HealthDocument, RunOutcome, StatusDocument};
use patchd_protocol::doctor::{CheckName, CheckWire};
use patchd_protocol::executor::{Reply, Verb};

use crate::chain::chain;
use crate::executor_client::ExecutorClient;

/// What the executor's logs call this question.
const RUN: &str = "doctor";

pub(super) async fn executor(executor: &ExecutorClient) -> CheckWire {
    const NAME: CheckName = CheckName::Executor;
    let run = RunId::parse(RUN).expect("letters make an id");
    let remedy = "systemctl status patchd-executor.socket; journalctl -u patchd-executor.service";
    match executor.ask(&run, Verb::Observe { digest: None }, |_| {}).await {
        Ok(Reply::Observed(_)) => CheckWire::ok(NAME, "the root helper answers"),
        Ok(Reply::Refused(refusal)) => {
            CheckWire::failing(NAME, format!("the root helper refuses: {}", refusal.message), remedy)
        }
        Ok(Reply::Failed { message }) => CheckWire::failing(NAME, message, remedy),
        Ok(_) => CheckWire::failing(
            NAME,
            "the root helper answered something else: it is of another version",
            remedy,
        ),
        Err(error) => CheckWire::failing(NAME, chain(&error), remedy),
    }
}

/// What the agent says of itself.
pub(super) fn of_agent(status: &StatusDocument, health: &HealthDocument) -> Vec<CheckWire> {
    let pause = match status.paused {
        false => CheckWire::ok(CheckName::Pause, "nobody paused it"),
        true => CheckWire::warning(
            CheckName::Pause,
            "it is paused: it looks and changes nothing",
            "patchctl resume",
        ),
    };
    vec![journal(health), last_run(status), pause, clock(&status.clock)]
}

/// An agent that does not answer.
pub(super) fn silent() -> CheckWire {
    CheckWire::failing(
        CheckName::LastRun,
        "patchd's loop does not answer",
        "journalctl -u patchd.service; systemctl restart patchd.service",
    )
}

fn journal(health: &HealthDocument) -> CheckWire {
    const NAME: CheckName = CheckName::Journal;
    match health.checks.iter().find(|check| check.name == "journal") {
        Some(check) if check.ok => CheckWire::ok(NAME, check.detail.clone()),
        Some(check) => {
            CheckWire::failing(NAME, check.detail.clone(), "df -h /var/lib/patchd; ls -la /var/lib/patchd")
        }
        None => CheckWire::cannot_tell(NAME, "patchd does not say", "patchctl status"),
    }
}

/// The kernel's word, which the daemon has from the root helper.
fn clock(clock: &ClockStatus) -> CheckWire {
    const NAME: CheckName = CheckName::Clock;
    let why = clock.detail.as_deref().unwrap_or("it is not synchronised");
    let remedy = "systemctl enable --now systemd-timesyncd (or chrony), then timedatectl";
    match clock.state {
        ClockState::Synchronised => CheckWire::ok(NAME, "the kernel says that it is synchronised"),
        ClockState::Distrusted => CheckWire::failing(NAME, why, "look at the time, then patchctl resume"),
        _ if !clock.required => CheckWire::ok(
            NAME,
            "nobody vouches for it, and clock.require_synchronised = false takes it as it is",
        ),
        ClockState::Unsynchronised => CheckWire::failing(NAME, why, remedy),
        ClockState::Unknown => CheckWire::cannot_tell(NAME, why, remedy),
    }
}

fn last_run(status: &StatusDocument) -> CheckWire {
    const NAME: CheckName = CheckName::LastRun;
    let Some(run) = &status.last_run else {
        let next = match (&status.running, status.next_scan_at) {
            (Some(run), _) => format!("run {} is under way", run.id),
            (None, Some(at)) => format!("the first scan begins at {at}"),
            (None, None) => "no run has ended yet".into(),
        };
        return CheckWire::warning(
            NAME,
            format!("{next}, and its report will be the first"),
            "patchctl scan",
        );
    };
    let detail = run.detail.as_deref().unwrap_or("no detail");
    let show = format!("patchctl show {}", run.id);
    match run.verdict {
        Some(RunOutcome::Succeeded) => {
            let report =
                run.report.as_deref().map_or_else(String::new, |report| format!(", with report {report}"));
            CheckWire::ok(NAME, format!("run {} succeeded{report}", run.id))
        }
        Some(RunOutcome::Refused) => {
            CheckWire::warning(NAME, format!("run {} changed nothing: {detail}", run.id), show)
        }
        Some(RunOutcome::Partial) => {
            CheckWire::warning(NAME, format!("run {} did a part of its work: {detail}", run.id), show)
        }
        // A run that wrote its report has told it there.
        Some(RunOutcome::Failed) if run.report.is_some() => {
            CheckWire::warning(NAME, format!("run {} failed: {detail}", run.id), show)
        }
        Some(RunOutcome::Failed) | None => {
            CheckWire::failing(NAME, format!("run {} failed and wrote no report: {detail}", run.id), show)
        }
    }
}

/// Whether a daemon could use its journal, as far as its file tells.
pub(super) fn journal_on_disk(state: &Path) -> CheckWire {
    const NAME: CheckName = CheckName::Journal;
    let path = state.join("journal.sqlite");
    match std::fs::OpenOptions::new().read(true).append(true).open(&path) {
        Ok(_) => CheckWire::ok(NAME, format!("{} can be written", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            CheckWire::ok(NAME, "there is none yet; the first start makes it")
        }
        Err(error) => CheckWire::failing(
            NAME,
            format!("{} can't be written: {error}", path.display()),
            format!("chown patchd:patchd {}", path.display()),
        ),
    }
}
