//! What the executor's answers mean for a run. An answer to another question, or none, is a lost effect.

use jiff::SignedDuration;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::pending::OldCode;
use patchd_core::plan::PlannedChange;
use patchd_core::run::event::{
    Event, Installed, Objection, PackageFailure, Recall, RefreshOutcome, Refusal, Simulation, TransactionEnd,
};
use patchd_protocol::executor::{
    InstalledWire, PackageFailureWire, RefreshWire, RefusalCode, RefusalWire, Reply, SimulationWire,
    TransactionKind, TransactionRecord, TransactionState,
};

use crate::chain::chain;
use crate::executor_client::ExecutorError;

/// How much of what a package manager printed is kept: the end of it.
const MAX_LINES: usize = 40;
const MAX_LINE: usize = 500;

/// How many failed packages, and how many notes and files, one transaction keeps.
const MAX_FAILURES: usize = 200;
const MAX_NOTES: usize = 200;

/// The event that an answer, or the lack of one, is.
pub(super) fn event(answer: Result<Reply, ExecutorError>) -> Event {
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => return Event::Lost { detail: chain(&error) },
    };
    match reply {
        Reply::Refreshed(refresh) => refreshed(refresh),
        Reply::Simulated(simulation) => simulated(simulation),
        Reply::Done(record) => done(record),
        Reply::Recalled(None) => Event::Recalled(Recall::Unknown),
        Reply::Recalled(Some(record)) => Event::Recalled(match record.state {
            TransactionState::Running => Recall::Running,
            TransactionState::Ended => Recall::Ended(end(record)),
            TransactionState::Interrupted => Recall::Cut(end(record)),
        }),
        Reply::ReadBack { installed } => match installed.iter().map(installed_package).collect() {
            Ok(installed) => Event::ReadBack(installed),
            Err(detail) => Event::Lost { detail },
        },
        Reply::Refused(refusal) => Event::Refused(refused(&refusal)),
        Reply::Failed { message } => Event::Refused(Refusal::Everything { detail: message }),
        Reply::Progress(_)
        | Reply::Observed(_)
        | Reply::Processes(_)
        | Reply::Granted { .. }
        | Reply::PatcherSet { .. } => Event::Lost { detail: "the executor answered something else".into() },
    }
}

/// What was asked for and carried out, or was asked for before.
fn done(record: TransactionRecord) -> Event {
    match (record.kind, record.state) {
        (TransactionKind::Apply, TransactionState::Ended) => Event::Applied(end(record)),
        // Now or before, and whatever systemd said: only the next boot tells what came of it.
        (TransactionKind::Reboot, _) => Event::RebootAsked,
        // What came of it is asked for next.
        (_, TransactionState::Running) | (TransactionKind::Apply, TransactionState::Interrupted) => {
            Event::Lost { detail: "the executor knows this transaction already".into() }
        }
        (TransactionKind::Repair, _) => Event::Repaired(end(record)),
        (TransactionKind::Hooks, _) => Event::HooksRun(end(record)),
    }
}

/// What the executor knows of old code in memory. No answer is no news, good or bad.
pub(super) fn old_code(answer: Result<Reply, ExecutorError>) -> OldCode {
    let told = match answer {
        Ok(Reply::Processes(told)) => told,
        Ok(Reply::Refused(refusal)) => {
            return OldCode::unknown(format!("the executor refuses: {}", cut(refusal.message)));
        }
        Ok(Reply::Failed { message }) => return OldCode::unknown(cut(message)),
        Ok(_) => return OldCode::unknown("the executor answered something else"),
        Err(error) => return OldCode::unknown(chain(&error)),
    };
    let code = OldCode::try_from(told);
    code.unwrap_or_else(|error| OldCode::unknown(format!("the executor's answer can't be read: {error}")))
}

fn refused(RefusalWire { code, message, blamed }: &RefusalWire) -> Refusal {
    let detail = format!("the executor refuses ({}): {message}", refusal_word(*code));
    if code.is_about_packages() {
        // One that can't be read blames nobody that was asked for.
        let blamed = blamed.iter().filter_map(|one| one.try_into().ok()).collect();
        let objection = if *code == RefusalCode::Conffile { Objection::Conffiles } else { Objection::Other };
        Refusal::Packages { detail, blamed, objection }
    } else {
        Refusal::Everything { detail }
    }
}

/// One that was killed says nothing of the sources: it counts as no answer, and is asked for again.
fn refreshed(refresh: RefreshWire) -> Event {
    let RefreshWire { exit_code, failures, output_tail } = refresh;
    let last = || bounded(output_tail).pop().unwrap_or_default();
    Event::Refreshed(match (exit_code, failures.is_empty()) {
        (Some(0), true) => RefreshOutcome::Fetched,
        (Some(_), false) => RefreshOutcome::Failed { failures: bounded(failures) },
        (Some(code), true) => {
            RefreshOutcome::Failed { failures: vec![format!("apt-get update ended with {code}: {}", last())] }
        }
        (None, _) => return Event::Lost { detail: format!("apt-get update was killed: {}", last()) },
    })
}

fn simulated(wire: SimulationWire) -> Event {
    let changes: Result<Vec<PlannedChange>, _> = wire.changes.iter().map(PlannedChange::try_from).collect();
    let removals: Result<Vec<PackageId>, _> = wire.removals.iter().map(PackageId::try_from).collect();
    match (changes, removals) {
        (Ok(changes), Ok(removals)) => {
            Event::Simulated(Simulation { changes, removals, forbidden: Vec::new(), refusal: wire.refusal })
        }
        (Err(error), _) | (_, Err(error)) => {
            Event::Lost { detail: format!("the dry run's answer can't be read: {error}") }
        }
    }
}

fn end(record: TransactionRecord) -> TransactionEnd {
    let took = record.ended_at.map_or(SignedDuration::ZERO, |end| end.duration_since(record.started_at));
    let failure = |PackageFailureWire { name, message, output }: PackageFailureWire| PackageFailure {
        name: cut(name),
        message: cut(message),
        output: bounded(output),
    };
    let few = |lines: Vec<String>| lines.into_iter().take(MAX_NOTES).map(cut).collect();
    TransactionEnd {
        started_at: Some(record.started_at),
        took,
        exit_code: record.exit_code.filter(|_| record.state == TransactionState::Ended),
        output_tail: bounded(record.output_tail),
        failures: record.failures.into_iter().take(MAX_FAILURES).map(failure).collect(),
        notes: few(record.notes),
        left_files: few(record.left_files),
        database: few(record.database),
    }
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
    lines.into_iter().skip(surplus).map(cut).collect()
}

fn cut(line: String) -> String {
    match line.char_indices().nth(MAX_LINE) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::executor::PackageWire;

    use super::*;

    fn record(kind: TransactionKind, state: TransactionState) -> TransactionRecord {
        TransactionRecord {
            id: "run-1.apply.1".into(),
            run: "run-1".into(),
            kind,
            digest: "d".into(),
            state,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            ended_at: jiff::Timestamp::from_second(9).ok(),
            exit_code: Some(100),
            permission: "night".into(),
            changes: vec![],
            output_tail: vec!["x".repeat(900); 99],
            failures: vec![PackageFailureWire {
                name: "app".into(),
                message: "its postinst failed".into(),
                output: vec!["no".into()],
            }],
            notes: vec!["no inhibitor".into()],
            timings: vec![],
            download: None,
            left_files: vec!["/etc/app.conf.dpkg-dist".into()],
            database: vec!["app is half configured".into()],
        }
    }

    #[test]
    fn a_refresh_without_failures_that_ended_badly_has_failed() {
        let refresh = |exit_code, failures: &[&str]| RefreshWire {
            exit_code,
            failures: failures.iter().map(ToString::to_string).collect(),
            output_tail: vec!["E: no space".into()],
        };
        let failed =
            |failure: &str| Event::Refreshed(RefreshOutcome::Failed { failures: vec![failure.to_owned()] });
        assert_eq!(refreshed(refresh(Some(0), &[])), Event::Refreshed(RefreshOutcome::Fetched));
        let ended = failed("apt-get update ended with 100: E: no space");
        assert_eq!(refreshed(refresh(Some(100), &[])), ended);
        let killed = Event::Lost { detail: "apt-get update was killed: E: no space".into() };
        assert_eq!(refreshed(refresh(None, &["503"])), killed);
        assert_eq!(
            refreshed(refresh(Some(0), &["503"])),
            failed("503"),
            "a warning with exit code 0 is a failure too"
        );
    }

    #[test]
    fn only_an_ended_transaction_is_an_end() {
        let applied = |state| event(Ok(Reply::Done(record(TransactionKind::Apply, state))));
        assert!(matches!(applied(TransactionState::Running), Event::Lost { .. }));
        assert!(matches!(applied(TransactionState::Interrupted), Event::Lost { .. }));
        let Event::Applied(end) = applied(TransactionState::Ended) else { panic!("no end") };
        assert_eq!((end.took, end.exit_code), (SignedDuration::from_secs(9), Some(100)));
        assert_eq!((end.output_tail.len(), end.output_tail[0].len()), (MAX_LINES, MAX_LINE));
        assert_eq!(end.started_at, Some(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!((end.failures[0].name.as_str(), end.failures[0].output.len()), ("app", 1));
        assert_eq!((end.notes.len(), end.left_files.len(), end.database.len()), (1, 1, 1));
        let recalled = |record| event(Ok(Reply::Recalled(record)));
        assert_eq!(recalled(None), Event::Recalled(Recall::Unknown));
        let cut = recalled(Some(record(TransactionKind::Apply, TransactionState::Interrupted)));
        let Event::Recalled(Recall::Cut(end)) = cut else { panic!("{cut:?}") };
        assert_eq!(end.exit_code, None, "a cut transaction has no code of its own");
    }

    #[test]
    fn hooks_and_repairs_are_told_apart() {
        let told = |kind, state| event(Ok(Reply::Done(record(kind, state)))).code();
        assert_eq!(told(TransactionKind::Repair, TransactionState::Ended), "repaired");
        assert_eq!(told(TransactionKind::Repair, TransactionState::Interrupted), "repaired");
        assert_eq!(told(TransactionKind::Repair, TransactionState::Running), "lost");
        assert_eq!(told(TransactionKind::Hooks, TransactionState::Ended), "hooks_run");
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
    fn a_refusal_keeps_its_code_and_whom_it_blames() {
        let refused = |code, blamed: &[&str]| {
            let blamed =
                blamed.iter().map(|name| PackageWire { name: (*name).into(), architecture: "amd64".into() });
            let message = "no".into();
            event(Ok(Reply::Refused(RefusalWire { code, message, blamed: blamed.collect() })))
        };
        let detail = "the executor refuses (outside_window): no".to_owned();
        let everything = Event::Refused(Refusal::Everything { detail });
        assert_eq!(refused(RefusalCode::OutsideWindow, &["app"]), everything);
        let Event::Refused(Refusal::Packages { blamed, .. }) = refused(RefusalCode::Conffile, &["app", "-x"])
        else {
            panic!("it is about packages")
        };
        assert_eq!(blamed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["app:amd64"]);
        let failed = event(Ok(Reply::Failed { message: "apt is not there".into() }));
        assert_eq!(failed, Event::Refused(Refusal::Everything { detail: "apt is not there".into() }));
    }
}
