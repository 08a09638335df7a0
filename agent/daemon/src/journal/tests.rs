//! The journal after crashes at every byte, with damaged files, and as its readers see it.

mod older;
mod readers;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::system::Packaging;
use patchd_core::gate::{Clock, Freeze, Grant, Observed};
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::need::{Filesystem, Footprint, Use};
use patchd_core::plan::steps::{Bond, Tie};
use patchd_core::plan::{Plan, PlannedChange};
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::{Assessment, Operation};
use patchd_core::run::event::{
    BootSeen, Event, Findings, Installed, Objection, PackageFailure, Proposal, RebootAsk, RebootView, Recall,
    RefreshOutcome, Refusal, Simulation, TransactionEnd,
};
use patchd_core::run::{Order, RefreshPolicy, RunId, RunState, Wish, step};
use patchd_core::window::{Occurrence, Verdict};
use patchd_protocol::control::RunTrigger;

use super::{Journal, JournalError, Move, NewRun, wire};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn new_run(id: &str) -> NewRun {
    NewRun {
        order: Order {
            id: RunId::parse(id).unwrap(),
            operation: Operation::Apply,
            refresh: RefreshPolicy::Refresh,
            wish: Wish::WhatIsDue,
        },
        trigger: RunTrigger::Schedule,
        occurrence: Some("night@2027".into()),
    }
}

fn change(name: &str) -> PlannedChange {
    PlannedChange {
        package: PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        },
        from: Some(Version::parse("1:1.0~rc1").unwrap()),
        to: Version::parse("1:1.1").unwrap(),
    }
}

fn changes() -> Vec<PlannedChange> {
    vec![change("libssl3"), change("openssl")]
}

fn end(exit_code: i32) -> TransactionEnd {
    TransactionEnd {
        started_at: Some(at(10)),
        took: SignedDuration::from_millis(1_500),
        exit_code: Some(exit_code),
        output_tail: vec!["Setting up openssl".into()],
        ..TransactionEnd::default()
    }
}

/// An end with something to tell of everything.
fn bad_end() -> TransactionEnd {
    TransactionEnd {
        failures: vec![PackageFailure {
            name: "openssl".into(),
            message: "its postinst failed".into(),
            output: vec!["no".into()],
        }],
        notes: vec!["no inhibitor".into()],
        left_files: vec!["/etc/ssl/openssl.cnf.dpkg-dist".into()],
        database: vec!["openssl is half configured".into()],
        ..end(100)
    }
}

fn proposal() -> Proposal {
    let footprint = |change: PlannedChange| Footprint {
        package: change.package,
        download_bytes: 5,
        installed_bytes: 7,
        replaced_bytes: 6,
        boot_bytes: 1,
        time: SignedDuration::from_millis(4_200),
    };
    let tie = |bond| Tie { package: change("openssl").package, on: change("libssl3").package, bond };
    Proposal {
        plan: Plan::try_new(changes()).unwrap(),
        ties: vec![tie(Bond::Needed), tie(Bond::SameSource)],
        footprints: changes().into_iter().map(footprint).collect(),
        blocked: vec![Pattern::parse("evil*", Packaging::Deb).unwrap()],
    }
}

fn observed(now: Timestamp) -> Observed {
    let occurrence = Occurrence { start: at(0), cutoff: at(9_000), end: at(9_900), name: "night".into() };
    Observed {
        now,
        closing: Some(Box::new(occurrence.clone())),
        window: Verdict::Open(occurrence),
        is_paused: false,
        freeze: None,
        lifted: None,
        clock: Clock::Synchronised,
        filesystems: vec![Filesystem {
            mount: "/".into(),
            uses: Use::ALL.to_vec(),
            free_bytes: 1 << 40,
            free_inodes: Some(1 << 20),
            is_read_only: false,
        }],
        available_memory: Some(1 << 30),
        grant: None,
        reserve: SignedDuration::from_mins(5),
        lock_holder: None,
        cloud_init: None,
        longest_transaction: SignedDuration::from_mins(30),
    }
}

fn installed(package: PlannedChange) -> Installed {
    Installed { package: package.package, version: Some(package.to), is_sound: true }
}

fn simulation() -> Simulation {
    Simulation { changes: changes(), removals: vec![], forbidden: vec![], refusal: None }
}

/// A whole apply with a crash in its transaction, which did not end well.
fn story() -> Vec<Event> {
    let stale = Problem::new(ProblemKind::Stale, Weight::Incomplete, "/lists", "is old").at_line(3);
    vec![
        Event::Started,
        Event::Refreshed(RefreshOutcome::Fetched),
        Event::Assessed(Findings {
            assessment: Assessment::Incomplete { because: vec![stale] },
            proposal: Some(proposal()),
        }),
        Event::Simulated(simulation()),
        Event::GatesSeen(observed(at(9))),
        Event::HooksRun(end(0)),
        Event::GatesSeen(observed(at(10))),
        Event::StopRequested { by: "uid 0".into() },
        Event::Restarted,
        Event::Recalled(Recall::Running),
        Event::Lost { detail: "connection refused".into() },
        Event::Recalled(Recall::Cut(bad_end())),
        Event::Repaired(end(0)),
        Event::ReadBack(changes().into_iter().map(installed).collect()),
        Event::HooksRun(end(0)),
        Event::RebootWeighed(RebootView::Asked(Box::new(reboot_ask()))),
        Event::Restarted,
        Event::Assessed(Findings { assessment: Assessment::Complete, proposal: None }),
        Event::Reported,
    ]
}

fn reboot_ask() -> RebootAsk {
    RebootAsk {
        because: "libc6 asked for it".into(),
        packages: vec!["libc6=2.36-9".into()],
        boot_id: Some("boot-1".into()),
        observed: observed(at(20)),
        database: vec!["openssl is half configured".into()],
        never: Some("reboot.policy is never: patchd reboots nothing here".into()),
    }
}

/// A run that has the host rebooted, and is cut by it.
fn reboot_story() -> Vec<Event> {
    let ask = RebootAsk { database: vec![], never: None, ..reboot_ask() };
    let weighed = || Event::RebootWeighed(RebootView::Asked(Box::new(ask.clone())));
    let seen = BootSeen { at: at(99), boot_id: Some("boot-2".into()), detail: String::new() };
    vec![
        Event::Started,
        Event::Refreshed(RefreshOutcome::Fetched),
        Event::Assessed(Findings { assessment: Assessment::Complete, proposal: None }),
        weighed(),
        Event::HooksRun(end(0)),
        weighed(),
        Event::RebootAsked,
        Event::Restarted,
        Event::BootSeen(seen),
        Event::Assessed(Findings { assessment: Assessment::Complete, proposal: None }),
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
        let moved = Move { event, after, effects, plan: None };
        journal.append(&moved, at(second)).unwrap();
        states.push(moved.after);
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
    let lengths =
        [story(), reboot_story()].map(|story| (0..=story.len()).map(move |length| (story.clone(), length)));
    for (number, (story, length)) in lengths.into_iter().flatten().enumerate() {
        let place = path.with_file_name(format!("{number}.sqlite"));
        let (mut journal, _) = Journal::open(&place, at(0)).unwrap();
        let events = story.into_iter().take(length).collect();
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
    assert_eq!(moved.unwrap().because, "version 99 is newer than this patchd, which knows 3");
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

/// Every kind of event, where the story has not each of its shapes.
fn shapes() -> Vec<Event> {
    let packages = || vec![change("openssl").package];
    let everything = Observed {
        freeze: Some(Freeze { until: at(50), reason: "end of year".into() }),
        grant: Some(Grant { until: at(60), reason: "now".into() }),
        ..observed(at(1))
    };
    let clock = |clock| Event::GatesSeen(Observed { clock, ..observed(at(2)) });
    let window = |window| Event::GatesSeen(Observed { window, ..observed(at(3)) });
    let next = Occurrence { start: at(1), cutoff: at(2), end: at(3), name: "next".into() };
    vec![
        Event::Refreshed(RefreshOutcome::Failed { failures: vec!["503".into()] }),
        Event::Simulated(Simulation {
            removals: packages(),
            forbidden: vec!["old would be removed".into()],
            refusal: Some("unmet".into()),
            ..simulation()
        }),
        Event::GatesSeen(everything),
        clock(Clock::NotRequired),
        clock(Clock::Unsynchronised),
        clock(Clock::Jumped { detail: "by a day".into() }),
        clock(Clock::Unknown { detail: "EPERM".into() }),
        window(Verdict::NoneConfigured),
        window(Verdict::Shut { next: None }),
        window(Verdict::Shut { next: Some(next) }),
        Event::Applied(bad_end()),
        Event::Recalled(Recall::Unknown),
        Event::Recalled(Recall::Ended(bad_end())),
        Event::Refused(Refusal::Packages {
            detail: "held".into(),
            blamed: packages(),
            objection: Objection::Conffiles,
        }),
        Event::Refused(Refusal::Packages {
            detail: "unclear".into(),
            blamed: vec![],
            objection: Objection::Other,
        }),
        Event::Refused(Refusal::Everything { detail: "it is Monday".into() }),
    ]
}

#[test]
fn every_event_comes_back_as_it_was() {
    for event in story().into_iter().chain(shapes()) {
        let body = wire::encode(&event).unwrap();
        assert_eq!(wire::decode(wire::VERSION, &body).unwrap(), event, "{body}");
    }
    assert!(wire::decode(wire::VERSION + 1, "\"started\"").is_err());
}

#[test]
fn every_wish_comes_back_as_it_was() {
    let (_directory, path) = directory();
    let plan = Plan::with_removals(changes(), vec![change("old").package]).unwrap();
    for (number, wish) in [Wish::WhatIsDue, Wish::DryRun, Wish::ThisPlan(plan)].into_iter().enumerate() {
        let (mut journal, _) = Journal::open(&path, at(0)).unwrap();
        let mut run = new_run(&format!("run-{number}"));
        run.order.wish = wish.clone();
        journal.begin(&run, at(0)).unwrap();
        drop(journal);
        let state = unfinished(&path).unwrap();
        assert_eq!(state.order.wish, wish);
        let mut journal = Journal::open(&path, at(0)).unwrap().0;
        assert_eq!(
            journal.run_summary(&format!("run-{number}")).unwrap().unwrap().dry_run,
            wish == Wish::DryRun
        );
        journal.abandon(&format!("run-{number}"), "a test", at(1)).unwrap();
    }
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
fn of_an_old_run_the_sentences_stay() {
    let mut journal = Journal::in_memory().unwrap();
    write(&mut journal, &new_run("old"), story(), || {});
    let bytes = |journal: &Journal| -> i64 {
        let sum = "SELECT sum(length(body)) FROM entries WHERE run = 'old' AND kind = 'event'";
        journal.connection.query_row(sum, [], |row| row.get(0)).unwrap()
    };
    let told = journal.run("old").unwrap();
    for number in 0..super::KEPT_BODIES {
        assert!(0 < bytes(&journal), "after {number} runs");
        let id = format!("run-{number}");
        journal.begin(&new_run(&id), at(0)).unwrap();
        journal.abandon(&id, "a test", at(1)).unwrap();
    }
    assert_eq!(bytes(&journal), 0);
    assert_eq!(journal.run("old").unwrap(), told);
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
