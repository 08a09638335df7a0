//! The journal after crashes at every byte, with damaged files, and as its readers see it.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::{Plan, PlannedChange};
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::{Assessment, Operation};
use patchd_core::run::event::{
    Event, Findings, Installed, Recall, RefreshOutcome, Simulation, TransactionEnd,
};
use patchd_core::run::{Order, RefreshPolicy, RunId, RunState, step};
use patchd_core::window::{Occurrence, Verdict};
use patchd_protocol::control::{RunOutcome, RunPhase, RunTrigger};
use patchd_protocol::report::native::OperationWire;

use super::{Journal, JournalError, NewRun};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn new_run(id: &str) -> NewRun {
    NewRun {
        order: Order {
            id: RunId::parse(id).unwrap(),
            operation: Operation::Apply,
            refresh: RefreshPolicy::Refresh,
        },
        trigger: RunTrigger::Schedule,
        occurrence: Some("night@2027".into()),
    }
}

fn change() -> PlannedChange {
    PlannedChange {
        package: PackageId {
            name: PackageName::parse("openssl").unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        },
        from: Some(Version::parse("1:1.0~rc1").unwrap()),
        to: Version::parse("1:1.1").unwrap(),
    }
}

fn end() -> TransactionEnd {
    TransactionEnd {
        took: SignedDuration::from_millis(1_500),
        exit_code: Some(0),
        output_tail: vec!["Setting up openssl".into()],
    }
}

/// A whole apply with a crash in its transaction.
fn story() -> Vec<Event> {
    let stale = Problem::new(ProblemKind::Stale, Weight::Incomplete, "/lists", "is old").at_line(3);
    let occurrence = Occurrence { start: at(0), cutoff: at(90), end: at(99), name: "night".into() };
    vec![
        Event::Started,
        Event::Refreshed(RefreshOutcome::Fetched),
        Event::Assessed(Findings {
            assessment: Assessment::Incomplete { because: vec![stale] },
            plan: Plan::try_new(vec![change()]).ok(),
        }),
        Event::Simulated(Simulation { changes: vec![change()], removals: vec![], refusal: None }),
        Event::GatesSeen { now: at(9), window: Verdict::Open(occurrence), is_paused: false },
        Event::StopRequested { by: "uid 0".into() },
        Event::Restarted,
        Event::Recalled(Recall::Running),
        Event::Lost { detail: "connection refused".into() },
        Event::Recalled(Recall::Ended(end())),
        Event::ReadBack(vec![Installed {
            package: change().package,
            version: Some(change().to),
            is_sound: true,
        }]),
        Event::Assessed(Findings { assessment: Assessment::Complete, plan: None }),
        Event::Reported,
    ]
}

/// Performs `events` on a journal, and gives every state on the way.
fn write(journal: &mut Journal, run: &NewRun, events: Vec<Event>, mut each: impl FnMut()) -> Vec<RunState> {
    journal.begin(run, at(0)).unwrap();
    let mut states = vec![RunState::new(run.order.clone())];
    each();
    for (second, event) in (1..).zip(events) {
        let (after, effects) = step(states.last().unwrap().clone(), event.clone()).unwrap();
        journal.append(&event, &after, &effects, at(second)).unwrap();
        states.push(after);
        each();
    }
    states
}

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal.sqlite");
    (directory, path)
}

fn wal(path: &Path) -> PathBuf {
    path.with_extension("sqlite-wal")
}

/// The one run that did not conclude, if there is one.
fn unfinished(path: &Path) -> Option<RunState> {
    let (journal, moved) = Journal::open(path, at(0)).unwrap();
    assert_eq!(moved, None);
    let mut runs = journal.unfinished().unwrap();
    assert!(runs.len() <= 1);
    runs.pop().map(|run| run.state.unwrap())
}

#[test]
fn a_run_is_what_its_events_made_of_it() {
    let (_directory, path) = directory();
    for length in 0..=story().len() {
        let place = path.with_file_name(format!("{length}.sqlite"));
        let (mut journal, _) = Journal::open(&place, at(0)).unwrap();
        let events = story().into_iter().take(length).collect();
        let states = write(&mut journal, &new_run("run-1"), events, || {});
        drop(journal);
        let last = states.last().unwrap();
        let expected = (!last.is_concluded()).then_some(last);
        assert_eq!(unfinished(&place).as_ref(), expected, "after {length} events");
    }
}

#[test]
fn a_power_cut_at_any_byte_leaves_a_state_that_was() {
    let (directory, path) = directory();
    let (mut journal, _) = Journal::open(&path, at(0)).unwrap();
    let mut images = Vec::new();
    let states = write(&mut journal, &new_run("run-1"), story(), || {
        images.push((std::fs::read(&path).unwrap(), std::fs::read(wal(&path)).unwrap()));
    });
    let (database, log) = images.last().unwrap().clone();
    let copy = directory.path().join("copy.sqlite");
    let put = |name: &Path, bytes: &[u8]| {
        std::io::Write::write_all(&mut std::fs::File::create(name).unwrap(), bytes).unwrap();
    };
    let first = images.first().unwrap().1.len();
    let mut seen = 0;
    for cut in (first..=log.len()).step_by(997).chain([log.len()]) {
        put(&copy, &database);
        put(&wal(&copy), &log[..cut]);
        let is_prefix = match unfinished(&copy) {
            Some(state) => states.iter().position(|known| *known == state),
            None => Some(states.len() - 1),
        };
        let position = is_prefix.expect("a state that the run had");
        assert!(seen <= position, "more of the log gave an earlier state");
        seen = position;
    }
    assert_eq!(seen, states.len() - 1);
}

#[test]
fn a_damaged_journal_is_put_aside_and_a_new_one_begun() {
    let (directory, path) = directory();
    let garbage = |bytes: &[u8]| {
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), bytes).unwrap();
    };
    garbage(&b"this is no database at all".repeat(99));
    let (mut journal, moved) = Journal::open(&path, at(0)).unwrap();
    let moved = moved.unwrap();
    assert_eq!(moved.because, "file is not a database");
    assert!(moved.to.exists());
    write(&mut journal, &new_run("run-1"), story(), || {});
    drop(journal);

    // A page in the middle is overwritten, as a bad disk would.
    let mut bytes = std::fs::read(&path).unwrap();
    for byte in &mut bytes[4_200..8_000] {
        *byte = 0xA5;
    }
    garbage(&bytes);
    let (journal, moved) = Journal::open(&path, at(1)).unwrap();
    assert!(moved.is_some());
    assert_eq!(journal.runs(9).unwrap(), []);
    let kept = std::fs::read_dir(directory.path()).unwrap().count();
    assert!(4 <= kept, "both damaged ones are kept: {kept}");
}

#[test]
fn somebody_elses_or_a_newer_database_is_put_aside() {
    let (_directory, path) = directory();
    drop(Journal::open(&path, at(0)).unwrap());
    let set = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    set("PRAGMA user_version = 99");
    let (journal, moved) = Journal::open(&path, at(1)).unwrap();
    assert_eq!(moved.unwrap().because, "version 99 is newer than this patchd, which knows 1");
    drop(journal);
    set("PRAGMA application_id = 7");
    assert_eq!(Journal::open(&path, at(2)).unwrap().1.unwrap().because, "it is not a journal of patchd");
}

#[test]
fn a_journal_that_can_not_be_written_says_why() {
    let (_directory, path) = directory();
    let (journal, _) = Journal::open(&path, at(0)).unwrap();
    assert!(matches!(Journal::open(&path, at(0)), Err(JournalError::Busy)));
    drop(journal);
    let missing = path.with_file_name("absent").join("journal.sqlite");
    assert!(matches!(Journal::open(&missing, at(0)), Err(JournalError::Open { .. })));

    let (mut journal, _) = Journal::open(&path, at(0)).unwrap();
    journal.connection.execute_batch("PRAGMA max_page_count = 1").unwrap();
    let mut begin = |id: u32| journal.begin(&new_run(&format!("run-{id}")), at(0));
    assert!(matches!((0..999).find_map(|id| begin(id).err()), Some(JournalError::Full)));
}

#[test]
fn readers_see_the_run_with_its_history() {
    let mut journal = Journal::in_memory().unwrap();
    write(&mut journal, &new_run("run-1"), story(), || {});
    let run = journal.run("run-1").unwrap().unwrap();
    assert_eq!(run.run.operation, OperationWire::Apply);
    assert_eq!(run.run.phase, RunPhase::Concluded);
    assert_eq!(run.run.verdict, Some(RunOutcome::Succeeded));
    let told: Vec<_> =
        run.journal.iter().map(|entry| (entry.effect.as_str(), entry.outcome.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("refresh", "refreshed"),
            ("assess", "assessed"),
            ("simulate", "simulated"),
            ("look_at_gates", "gates_seen"),
            ("apply", "restarted"),
            ("recall", "recalled"),
            ("recall_later", "lost"),
            ("recall_later", "recalled"),
            ("read_back", "read_back"),
            ("assess", "assessed"),
            ("report", "reported"),
        ]
    );
    let [transaction] = run.transactions.as_slice() else { panic!("{:?}", run.transactions) };
    assert_eq!(transaction.id, "run-1.apply");
    assert_eq!(transaction.changes[0].after.as_deref(), Some("1:1.1"));
    assert_eq!(journal.run("run-2").unwrap(), None);
    let attempts = journal.attempts("night@2027").unwrap();
    assert_eq!((attempts.count, attempts.last.unwrap().verdict), (1, RunOutcome::Succeeded));
    assert_eq!(journal.attempts("other").unwrap().count, 0);
}

#[test]
fn old_runs_are_forgotten_and_an_unfinished_one_is_not() {
    let mut journal = Journal::in_memory().unwrap();
    journal.begin(&new_run("unfinished"), at(0)).unwrap();
    for number in 0..super::KEPT_RUNS + 20 {
        let id = format!("run-{number}");
        journal.begin(&new_run(&id), at(0)).unwrap();
        journal.abandon(&id, "a test", at(1)).unwrap();
    }
    let runs = journal.runs(99_999).unwrap();
    assert!(runs.len() <= usize::try_from(super::KEPT_RUNS).unwrap() + 2, "{}", runs.len());
    assert_eq!(runs.last().unwrap().id, "unfinished");
}

#[test]
fn a_pause_outlives_the_process() {
    let (_directory, path) = directory();
    Journal::open(&path, at(0)).unwrap().0.pause("uid 0").unwrap();
    let (mut journal, _) = Journal::open(&path, at(0)).unwrap();
    assert!(journal.is_paused().unwrap());
    journal.resume().unwrap();
    assert!(!journal.is_paused().unwrap());
}
