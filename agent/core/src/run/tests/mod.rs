//! The life of runs, told event by event, and what no sequence of events and crashes may do.

mod bisect;
mod drafts;
mod history;
mod reboot;
mod story;

use jiff::{SignedDuration, Timestamp};

use super::event::{
    Effect, Event, Findings, Installed, Objection, PackageFailure, Proposal, RebootAsk, RebootView, Refusal,
    Simulation, TransactionEnd,
};
use super::{Order, Phase, RefreshPolicy, RunId, RunState, Wish, step};
use crate::baseline::pattern::Pattern;
use crate::baseline::system::Packaging;
use crate::gate::{Clock, Grant, Observed, Shut};
use crate::package::{Architecture, PackageId, PackageName, Version};
use crate::plan::need::{Filesystem, Footprint, Use};
use crate::plan::steps::{Bond, Tie};
use crate::plan::{Plan, PlannedChange};
use crate::problem::{Problem, ProblemKind, Weight};
use crate::report::{Assessment, Operation, RunVerdict};
use crate::window::{Occurrence, Verdict};

fn id(name: &str) -> PackageId {
    PackageId { name: PackageName::parse(name).unwrap(), architecture: Architecture::parse("amd64").unwrap() }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// `app` goes from 1 to 2; `+app` is new, at 2.
fn change(name: &str) -> PlannedChange {
    match name.strip_prefix('+') {
        Some(name) => PlannedChange { package: id(name), from: None, to: version("2") },
        None => PlannedChange { package: id(name), from: Some(version("1")), to: version("2") },
    }
}

fn plan(names: &str) -> Plan {
    Plan::try_new(names.split(' ').map(change).collect()).unwrap()
}

/// Each package takes 10 seconds and no room; `linux` puts 50 MiB into `/boot`.
fn footprints(names: &str) -> Vec<Footprint> {
    let footprint = |name: &str| Footprint {
        package: id(name.trim_start_matches('+')),
        download_bytes: 0,
        installed_bytes: 0,
        replaced_bytes: 0,
        boot_bytes: if name == "linux" { 50 << 20 } else { 0 },
        time: SignedDuration::from_secs(10),
    };
    names.split(' ').map(footprint).collect()
}

fn proposal(names: &str, ties: &[(&str, &str)]) -> Proposal {
    let ties = ties
        .iter()
        .map(|(package, on)| Tie { package: id(package), on: id(on), bond: Bond::Needed })
        .collect();
    Proposal { plan: plan(names), ties, footprints: footprints(names), blocked: vec![] }
}

fn order(operation: Operation, refresh: RefreshPolicy, wish: Wish) -> RunState {
    RunState::new(Order { id: RunId::parse("run-1").unwrap(), operation, refresh, wish })
}

fn apply() -> RunState {
    order(Operation::Apply, RefreshPolicy::UseListsAsTheyAre, Wish::WhatIsDue)
}

fn findings(names: &str, ties: &[(&str, &str)]) -> Event {
    let proposal = (!names.is_empty()).then(|| proposal(names, ties));
    Event::Assessed(Findings { assessment: Assessment::Complete, proposal })
}

fn incomplete(kind: ProblemKind, names: &str) -> Event {
    let because = vec![Problem::new(kind, Weight::Incomplete, "/lists", "is wrong")];
    let proposal = (!names.is_empty()).then(|| proposal(names, &[]));
    Event::Assessed(Findings { assessment: Assessment::Incomplete { because }, proposal })
}

fn simulation(names: &str) -> Simulation {
    Simulation {
        changes: names.split(' ').map(change).collect(),
        removals: vec![],
        forbidden: vec![],
        refusal: None,
    }
}

fn simulated(names: &str) -> Event {
    Event::Simulated(simulation(names))
}

fn no_way(why: &str) -> Event {
    Event::Simulated(Simulation {
        changes: vec![],
        removals: vec![],
        forbidden: vec![],
        refusal: Some(why.into()),
    })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// An open window with `left` seconds before its cutoff and enough of everything.
fn observed(left: i64) -> Observed {
    let occurrence = Occurrence { start: at(0), cutoff: at(left), end: at(left + 60), name: "night".into() };
    Observed {
        now: at(0),
        window: Verdict::Open(occurrence),
        closing: None,
        is_paused: false,
        freeze: None,
        lifted: None,
        clock: Clock::Synchronised,
        filesystems: vec![Filesystem {
            mount: "/boot".into(),
            uses: vec![Use::Boot],
            free_bytes: 100 << 20,
            free_inodes: None,
            is_read_only: false,
        }],
        available_memory: None,
        lock_holder: None,
        cloud_init: None,
        grant: None,
        reserve: SignedDuration::ZERO,
        longest_transaction: SignedDuration::from_hours(1),
    }
}

fn open() -> Event {
    Event::GatesSeen(observed(36_000))
}

fn shut() -> Event {
    Event::GatesSeen(Observed { window: Verdict::Shut { next: None }, ..observed(1) })
}

fn granted() -> Event {
    let grant = Grant { reason: "CVE-2026-1".into(), until: at(36_000) };
    Event::GatesSeen(Observed { window: Verdict::NoneConfigured, grant: Some(grant), ..observed(1) })
}

fn end(exit_code: Option<i32>) -> TransactionEnd {
    TransactionEnd {
        started_at: Some(at(5)),
        took: SignedDuration::from_secs(9),
        exit_code,
        ..TransactionEnd::default()
    }
}

fn failed_on(name: &str) -> TransactionEnd {
    let failure = PackageFailure {
        name: name.into(),
        message: "its postinst returned 1".into(),
        output: vec!["no such user".into()],
    };
    TransactionEnd { failures: vec![failure], ..end(Some(100)) }
}

/// What was read back: `app` is at its new version, `app=1` at the old one, `app!` half way.
fn read_back(names: &str) -> Event {
    Event::ReadBack(names.split(' ').map(installed).collect())
}

fn installed(text: &str) -> Installed {
    let (name, old) = text.split_once('=').map_or((text, "2"), |(name, old)| (name, old));
    let is_sound = !name.ends_with('!');
    let package = id(name.trim_end_matches('!'));
    Installed { package, version: (old != "none").then(|| version(old)), is_sound }
}

fn hooks_pass() -> Event {
    Event::HooksRun(end(Some(0)))
}

/// The host asks for no reboot.
fn no_reboot() -> Event {
    Event::RebootWeighed(RebootView::NotAsked)
}

/// It asks for one while this is seen.
fn reboot_asked_of(observed: Observed) -> RebootAsk {
    RebootAsk {
        because: "libc6 asked for it".into(),
        packages: vec!["libc6=2".into()],
        boot_id: Some("boot-1".into()),
        observed,
        database: vec![],
        never: None,
    }
}

fn weighed(ask: RebootAsk) -> Event {
    Event::RebootWeighed(RebootView::Asked(Box::new(ask)))
}

fn packages_refused(why: &str, blamed: &[&str]) -> Event {
    let blamed = blamed.iter().map(|name| id(name)).collect();
    Event::Refused(Refusal::Packages { detail: why.into(), blamed, objection: Objection::Other })
}

fn all_refused(why: &str) -> Event {
    Event::Refused(Refusal::Everything { detail: why.into() })
}

/// Every event that leads to the first transaction of these packages.
fn to_applying(names: &str, ties: &[(&str, &str)]) -> Vec<Event> {
    vec![Event::Started, findings(names, ties), simulated(names), open(), hooks_pass(), open()]
}

fn with(mut events: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    events.extend(more);
    events
}

/// The effects of a story in short: an apply tells its packages.
fn short(effect: &Effect) -> String {
    match effect {
        Effect::Apply(work) => {
            let names: Vec<_> =
                work.plan.changes().iter().map(|change| change.package.name.to_string()).collect();
            format!("apply {}", names.join("+"))
        }
        Effect::Simulate { plan } => {
            let names: Vec<_> = plan.changes().iter().map(|change| change.package.name.to_string()).collect();
            format!("simulate {}", names.join("+"))
        }
        effect => effect.code().into(),
    }
}

/// Feeds the events and tells each effect that was asked for, and the last phase. A host asks for no reboot unless the
/// story says what it asks for, and the question is not told then.
#[track_caller]
fn check(mut run: RunState, events: Vec<Event>, expected: &[&str]) -> RunState {
    let mut told = Vec::new();
    for event in events {
        if matches!(run.phase, Phase::Weighing(_)) && matches!(event, Event::Assessed(_) | Event::Reported) {
            told.pop();
            let (next, effects) = step(run, no_reboot()).unwrap();
            told.extend(effects.iter().map(short));
            run = next;
        }
        let (next, effects) = step(run, event).unwrap();
        told.extend(effects.iter().map(short));
        run = next;
    }
    told.push(run.phase.code().into());
    assert_eq!(told, expected);
    run
}

#[track_caller]
fn check_verdict(run: &RunState, expected: &RunVerdict) {
    let Phase::Concluded { verdict, .. } = &run.phase else { panic!("{:?} is not concluded", run.phase) };
    assert_eq!(verdict, expected);
}

#[track_caller]
fn check_gates(run: &RunState, expected: &[&str]) {
    let Phase::Concluded { gates, .. } = &run.phase else { panic!("{:?} is not concluded", run.phase) };
    assert_eq!(gates.iter().map(Shut::code).collect::<Vec<_>>(), expected);
}

fn refused(detail: &str) -> RunVerdict {
    RunVerdict::Refused { detail: detail.into() }
}
