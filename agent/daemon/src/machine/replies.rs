//! What the executor's answers mean for a run. An answer to another question, or none, is a lost effect.

use jiff::SignedDuration;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::PlannedChange;
use patchd_core::run::event::{Event, Installed, Recall, RefreshOutcome, Simulation, TransactionEnd};
use patchd_protocol::executor::{
    InstalledWire, RefreshWire, RefusalCode, Reply, SimulationWire, TransactionRecord, TransactionState,
};

use crate::chain::chain;
use crate::executor_client::ExecutorError;

/// How much of what a package manager printed is kept: the end of it.
const MAX_LINES: usize = 40;
const MAX_LINE: usize = 500;

/// The event that an answer, or the lack of one, is.
pub(super) fn event(answer: Result<Reply, ExecutorError>) -> Event {
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => return Event::Lost { detail: chain(&error) },
    };
    match reply {
        Reply::Refreshed(refresh) => Event::Refreshed(refreshed(refresh)),
        Reply::Simulated(simulation) => simulated(simulation),
        Reply::Applied(record) => match record.state {
            TransactionState::Ended => Event::Applied(ended(record)),
            // It was asked for before: what came of it is asked for next.
            TransactionState::Running | TransactionState::Interrupted => {
                Event::Lost { detail: "the executor knows this transaction already".into() }
            }
        },
        Reply::Recalled(None) => Event::Recalled(Recall::Unknown),
        Reply::Recalled(Some(record)) => Event::Recalled(match record.state {
            TransactionState::Running => Recall::Running,
            TransactionState::Ended => Recall::Ended(ended(record)),
            TransactionState::Interrupted => {
                Recall::Cut { detail: "the package manager's transaction was cut".into() }
            }
        }),
        Reply::ReadBack { installed } => match installed.iter().map(installed_package).collect() {
            Ok(installed) => Event::ReadBack(installed),
            Err(detail) => Event::Lost { detail },
        },
        Reply::Refused { code, message } => {
            Event::Refused { detail: format!("the executor refuses ({}): {message}", refusal_word(code)) }
        }
        Reply::Failed { message } => Event::Refused { detail: message },
        Reply::Progress { .. } => Event::Lost { detail: "the executor's answer has no end".into() },
    }
}

fn refreshed(refresh: RefreshWire) -> RefreshOutcome {
    let RefreshWire { exit_code, failures, output_tail } = refresh;
    match (exit_code, failures.is_empty()) {
        (Some(0), true) => RefreshOutcome::Fetched,
        (_, false) => RefreshOutcome::Failed { failures: bounded(failures) },
        (code, true) => {
            let how = code.map_or_else(|| "was killed".to_owned(), |code| format!("ended with {code}"));
            let last = bounded(output_tail).pop().unwrap_or_default();
            RefreshOutcome::Failed { failures: vec![format!("apt-get update {how}: {last}")] }
        }
    }
}

fn simulated(wire: SimulationWire) -> Event {
    let changes: Result<Vec<PlannedChange>, _> = wire.changes.iter().map(PlannedChange::try_from).collect();
    let removals: Result<Vec<PackageName>, _> =
        wire.removals.iter().map(|name| PackageName::parse(name)).collect();
    match (changes, removals) {
        (Ok(changes), Ok(removals)) => {
            Event::Simulated(Simulation { changes, removals, refusal: wire.refusal })
        }
        (Err(error), _) => Event::Lost { detail: format!("the dry run's answer can't be read: {error}") },
        (_, Err(error)) => Event::Lost { detail: format!("the dry run's answer can't be read: {error}") },
    }
}

fn ended(record: TransactionRecord) -> TransactionEnd {
    let took = record.ended_at.map_or(SignedDuration::ZERO, |end| end.duration_since(record.started_at));
    TransactionEnd { took, exit_code: record.exit_code, output_tail: bounded(record.output_tail) }
}

fn installed_package(wire: &InstalledWire) -> Result<Installed, String> {
    let unreadable = |error| format!("what was read back can't be read: {error}");
    Ok(Installed {
        package: PackageId {
            name: PackageName::parse(&wire.name).map_err(unreadable)?,
            architecture: Architecture::parse(&wire.architecture).map_err(unreadable)?,
        },
        version: wire.version.as_deref().map(Version::parse).transpose().map_err(unreadable)?,
        is_sound: wire.status.ends_with(" ok installed"),
    })
}

fn refusal_word(code: RefusalCode) -> String {
    let word = serde_json::to_value(code).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned()
}

/// The last lines, none of them endless.
fn bounded(lines: Vec<String>) -> Vec<String> {
    let surplus = lines.len().saturating_sub(MAX_LINES);
    let cut = |line: String| match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    };
    lines.into_iter().skip(surplus).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(state: TransactionState) -> TransactionRecord {
        TransactionRecord {
            id: "run-1.apply".into(),
            run: "run-1".into(),
            digest: "d".into(),
            state,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: jiff::Timestamp::from_second(9).ok(),
            exit_code: Some(100),
            changes: vec![],
            output_tail: vec!["x".repeat(900); 99],
        }
    }

    #[test]
    fn a_refresh_without_failures_that_ended_badly_has_failed() {
        let refresh = |exit_code, failures: &[&str]| RefreshWire {
            exit_code,
            failures: failures.iter().map(ToString::to_string).collect(),
            output_tail: vec!["E: no space".into()],
        };
        assert_eq!(refreshed(refresh(Some(0), &[])), RefreshOutcome::Fetched);
        let killed = "apt-get update was killed: E: no space".to_owned();
        assert_eq!(refreshed(refresh(None, &[])), RefreshOutcome::Failed { failures: vec![killed] });
        let some = RefreshOutcome::Failed { failures: vec!["503".into()] };
        assert_eq!(
            refreshed(refresh(Some(0), &["503"])),
            some,
            "a warning with exit code 0 is a failure too"
        );
    }

    #[test]
    fn only_an_ended_transaction_is_an_end() {
        let applied = |state| event(Ok(Reply::Applied(record(state))));
        assert!(matches!(applied(TransactionState::Running), Event::Lost { .. }));
        assert!(matches!(applied(TransactionState::Interrupted), Event::Lost { .. }));
        let Event::Applied(end) = applied(TransactionState::Ended) else { panic!("no end") };
        assert_eq!((end.took, end.exit_code), (SignedDuration::from_secs(9), Some(100)));
        assert_eq!((end.output_tail.len(), end.output_tail[0].len()), (MAX_LINES, MAX_LINE));
        let recalled = |record| event(Ok(Reply::Recalled(record)));
        assert_eq!(recalled(None), Event::Recalled(Recall::Unknown));
        let cut = recalled(Some(record(TransactionState::Interrupted)));
        assert!(matches!(cut, Event::Recalled(Recall::Cut { .. })));
    }

    #[test]
    fn a_package_that_waits_for_anything_is_not_sound() {
        let read = |status: &str| {
            let wire = InstalledWire {
                name: "openssl".into(),
                architecture: "amd64".into(),
                version: Some("3.0".into()),
                status: status.into(),
            };
            installed_package(&wire).unwrap().is_sound
        };
        assert!(read("install ok installed"));
        assert!(read("hold ok installed"));
        for status in ["install reinstreq installed", "install ok half-configured", "install ok unpacked", ""]
        {
            assert!(!read(status), "{status}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_code() {
        let refused = Reply::Refused { code: RefusalCode::OutsideWindow, message: "it is Monday".into() };
        let detail = "the executor refuses (outside_window): it is Monday".to_owned();
        assert_eq!(event(Ok(refused)), Event::Refused { detail });
    }
}
