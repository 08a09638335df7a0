//! The agent with a host that does what the test says, on a clock that tests move.

mod accidents;
mod cloud_init;
mod full_disk;
mod new_program;
mod wishes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use patchd_core::gate::Observed;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::need::Footprint;
use patchd_core::plan::{Plan, PlannedChange};
use patchd_core::report::{Assessment, Operation};
use patchd_core::run::event::{
    BootSeen, Effect, Event, Findings, Installed, Proposal, RebootView, Recall, RefreshOutcome, Simulation,
    TransactionEnd,
};
use patchd_core::run::{Order, RefreshPolicy, RunId, Wish};
use patchd_core::window::{ScheduleText, Window, WindowText};
use patchd_protocol::config::Settings;
use patchd_protocol::control::{AgentState, ReportSummary, RunOutcome, RunPhase, RunTrigger};
use patchd_protocol::executor::{ClockWire, ObservedWire};
use patchd_protocol::report::native::{
    AssessmentWire, ComplianceWire, CountsWire, OperationWire, SummaryWire,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Agent, AgentFacts, AgentHandle, Ended, Refusal};
use crate::clock::{Clock, ClockWatch};
use crate::cloud_init::CloudInitWatch;
use crate::driver::Host;
use crate::gates::Moment;
use crate::journal::{Journal, JournalError, NewRun, SharedJournal};
use crate::live::Live;
use crate::own_program::OwnProgram;
use crate::sandbox::Sandbox;

/// A clock that goes with tokio's, and that tests set.
#[derive(Clone)]
struct TestClock {
    base: Timestamp,
    start: Instant,
    set_by: Arc<AtomicI64>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let set_by = SignedDuration::from_secs(self.set_by.load(Ordering::Relaxed));
        self.base.checked_add(SignedDuration::try_from(self.start.elapsed()).unwrap() + set_by).unwrap()
    }

    fn since_boot(&self) -> Duration {
        self.start.elapsed()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaviour {
    Hang,
    Slow,
    Panic,
    Lose,
    Missing,
}

/// A host that misses one patch, until it is applied.
struct TestHost {
    journal: SharedJournal,
    clock: TestClock,
    settings: Settings,
    behaviour: BTreeMap<&'static str, Behaviour>,
    effects: Mutex<Vec<&'static str>>,
    all: Vec<PlannedChange>,
    missing: Mutex<Vec<PlannedChange>>,
    moved: Notify,
}

fn change(name: &str) -> PlannedChange {
    PlannedChange {
        package: PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        },
        from: Some(Version::parse("1").unwrap()),
        to: Version::parse("2").unwrap(),
    }
}

/// Each package takes so long that only one of them goes into a transaction.
fn footprint(change: &PlannedChange) -> Footprint {
    Footprint {
        package: change.package.clone(),
        download_bytes: 1 << 20,
        installed_bytes: 2 << 20,
        replaced_bytes: 1 << 20,
        boot_bytes: 0,
        time: SignedDuration::from_mins(20),
    }
}

impl TestHost {
    fn told(&self) -> Vec<&'static str> {
        self.effects.lock().unwrap().clone()
    }

    /// Waits until so many effects were asked for.
    async fn reached(&self, count: usize) {
        while self.told().len() < count {
            self.moved.notified().await;
        }
    }

    fn end() -> TransactionEnd {
        TransactionEnd { took: SignedDuration::from_secs(3), exit_code: Some(0), ..TransactionEnd::default() }
    }

    async fn observed(&self) -> Observed {
        let seen = ObservedWire {
            clock: ClockWire::Synchronised,
            filesystems: vec![],
            available_memory_bytes: None,
            lock_holder: None,
            database: vec![],
            grant: None,
        };
        let is_paused = self.journal.with(|journal| journal.is_paused()).await.unwrap();
        Moment {
            now: self.clock.now(),
            settings: &self.settings,
            is_paused,
            distrust: None,
            cloud_init: None,
        }
        .with(seen)
    }

    async fn report(&self, order: &Order) -> Event {
        let missing = u64::try_from(self.missing.lock().unwrap().len()).unwrap();
        let counts = CountsWire {
            installed_count: 9 - missing,
            installed_other_count: 0,
            installed_pending_reboot_count: 0,
            installed_rejected_count: 0,
            missing_count: missing,
            failed_count: 0,
            not_applicable_count: 0,
            critical_non_compliant_count: 0,
            security_non_compliant_count: missing,
            other_non_compliant_count: 0,
        };
        let summary = ReportSummary {
            id: order.id.to_string(),
            operation: OperationWire::Scan,
            finished_at: self.clock.now(),
            assessment: AssessmentWire::Complete,
            summary: SummaryWire {
                compliance: if missing == 0 {
                    ComplianceWire::Compliant
                } else {
                    ComplianceWire::NonCompliant
                },
                non_compliant_severity: None,
                packages: 1,
                updates: missing,
                security_updates: missing,
                counts,
            },
            needs_reboot: None,
            key: None,
        };
        let id = order.id.clone();
        self.journal.with(move |journal| journal.record_report(&id, "v1/reports/x", &summary)).await.unwrap();
        Event::Reported
    }
}

impl Host for TestHost {
    async fn perform(&self, order: &Order, effect: Effect) -> Event {
        self.effects.lock().unwrap().push(effect.code());
        self.moved.notify_waiters();
        match self.behaviour.get(effect.code()) {
            Some(Behaviour::Hang) => std::future::pending().await,
            Some(Behaviour::Slow) => tokio::time::sleep(Duration::from_secs(60)).await,
            Some(Behaviour::Panic) => panic!("as the test wants it"),
            Some(Behaviour::Lose) => return Event::Lost { detail: "connection refused".into() },
            Some(Behaviour::Missing) => return Event::Recalled(Recall::Unknown),
            None => {}
        }
        let missing = self.missing.lock().unwrap().clone();
        match effect {
            Effect::Refresh { .. } => Event::Refreshed(RefreshOutcome::Fetched),
            Effect::Assess { .. } => {
                let proposal = Plan::try_new(missing.clone()).ok().map(|plan| Proposal {
                    plan,
                    ties: vec![],
                    footprints: missing.iter().map(footprint).collect(),
                    blocked: vec![],
                });
                Event::Assessed(Findings { assessment: Assessment::Complete, proposal })
            }
            Effect::Simulate { plan } => Event::Simulated(Simulation {
                changes: plan.changes().to_vec(),
                removals: vec![],
                forbidden: vec![],
                refusal: None,
            }),
            Effect::LookAtGates { .. } => Event::GatesSeen(self.observed().await),
            Effect::RunHooks { .. } => Event::HooksRun(Self::end()),
            Effect::Repair { .. } | Effect::RepairLater { .. } => Event::Repaired(Self::end()),
            Effect::Apply(work) => {
                self.missing.lock().unwrap().retain(|change| !work.plan.changes().contains(change));
                Event::Applied(Self::end())
            }
            Effect::Recall { .. } | Effect::RecallLater { .. } => Event::Recalled(Recall::Ended(Self::end())),
            Effect::ReadBack { packages } => {
                let read = self.all.iter().filter(|change| packages.contains(&change.package));
                Event::ReadBack(
                    read.map(|change| Installed {
                        package: change.package.clone(),
                        version: match missing.contains(change) {
                            true => change.from.clone(),
                            false => Some(change.to.clone()),
                        },
                        is_sound: true,
                    })
                    .collect(),
                )
            }
            Effect::WeighReboot => Event::RebootWeighed(RebootView::NotAsked),
            Effect::Reboot { .. } => Event::RebootAsked,
            Effect::AwaitReboot { boot_id, .. } => {
                let detail = "it did not go down".into();
                Event::BootSeen(BootSeen { at: Timestamp::UNIX_EPOCH, boot_id: Some(boot_id), detail })
            }
            Effect::Report { .. } => self.report(order).await,
        }
    }
}

struct Stage {
    host: Arc<TestHost>,
    handle: AgentHandle,
    journal: SharedJournal,
    /// What the kernel says of its clock when it is asked.
    kernel: Arc<Mutex<ClockWire>>,
    stop: CancellationToken,
    task: JoinHandle<Result<Ended, JournalError>>,
}

impl Stage {
    async fn end(self) {
        self.stop.cancel();
        assert_eq!(self.task.await.unwrap().unwrap(), Ended::Told);
    }

    async fn concluded(&self, count: usize) {
        loop {
            let runs = self.journal.with(|journal| journal.runs(99)).await.unwrap();
            if count <= runs.iter().filter(|run| run.concluded_at.is_some()).count() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

const START: &str = "2026-11-23T10:00:00Z";

fn settings(schedule: Option<&str>) -> Settings {
    let window = |expression: &str| {
        let schedule = ScheduleText { expression: expression.into(), ..ScheduleText::default() };
        let text = WindowText { name: "night".into(), schedule, ..WindowText::default() };
        Window::parse(text, |_| Some(TimeZone::UTC)).unwrap()
    };
    Settings { windows: schedule.map(window).into_iter().collect(), ..Settings::default() }
}

fn stage(
    journal: SharedJournal,
    settings: Settings,
    is_patched: bool,
    behaviour: &[(&'static str, Behaviour)],
) -> Stage {
    let all = vec![change("openssl")];
    let missing = if is_patched { vec![] } else { all.clone() };
    stage_of(journal, settings, (all, missing), behaviour, None)
}

/// A stage with these packages, of which these lack their patch, and with the newest instant of a journal.
fn stage_of(
    journal: SharedJournal,
    settings: Settings,
    (all, missing): (Vec<PlannedChange>, Vec<PlannedChange>),
    behaviour: &[(&'static str, Behaviour)],
    newest: Option<&str>,
) -> Stage {
    stage_with(journal, settings, (all, missing), behaviour, newest, OwnProgram::unwatched())
}

fn stage_with(
    journal: SharedJournal,
    settings: Settings,
    packages: (Vec<PlannedChange>, Vec<PlannedChange>),
    behaviour: &[(&'static str, Behaviour)],
    newest: Option<&str>,
    program: OwnProgram,
) -> Stage {
    stage_beside(CloudInitWatch::off(), journal, settings, packages, behaviour, newest, program)
}

/// The same on a host with this cloud-init.
fn stage_beside(
    cloud_init: CloudInitWatch,
    journal: SharedJournal,
    settings: Settings,
    (all, missing): (Vec<PlannedChange>, Vec<PlannedChange>),
    behaviour: &[(&'static str, Behaviour)],
    newest: Option<&str>,
    program: OwnProgram,
) -> Stage {
    let set_by = Arc::new(AtomicI64::new(0));
    let clock = TestClock { base: START.parse().unwrap(), start: Instant::now(), set_by };
    let host = Arc::new(TestHost {
        journal: journal.clone(),
        clock: clock.clone(),
        settings: settings.clone(),
        behaviour: behaviour.iter().copied().collect(),
        effects: Mutex::default(),
        all,
        missing: Mutex::new(missing),
        moved: Notify::new(),
    });
    let facts = AgentFacts {
        version: "0.0.0",
        host: "i-0123456789abcdef0".into(),
        store: "file:///reports".into(),
        spooled: Arc::new(AtomicU64::new(0)),
        started_at: clock.now(),
        booted_at: None,
        program,
        sandbox: Sandbox::without("not in tests"),
        cloud_init,
    };
    let watch = Arc::new(ClockWatch::new(clock, newest.map(|text| text.parse().unwrap())));
    let kernel = Arc::new(Mutex::new(ClockWire::Synchronised));
    tokio::spawn({
        let (watch, kernel) = (Arc::clone(&watch), Arc::clone(&kernel));
        async move {
            loop {
                watch.wanted().await;
                watch.take_word(kernel.lock().unwrap().clone());
            }
        }
    });
    let (agent, handle) =
        Agent::new(Arc::clone(&host), watch, journal.clone(), settings, facts, Live::default());
    let stop = CancellationToken::new();
    let task = tokio::spawn(agent.run(stop.clone()));
    Stage { host, handle, journal, kernel, stop, task }
}

fn journal() -> SharedJournal {
    SharedJournal::new(Journal::in_memory().unwrap())
}

fn by_hand() -> RunTrigger {
    RunTrigger::Request { uid: 0 }
}

const SCAN: [&str; 3] = ["refresh", "assess", "report"];
const APPLY: [&str; 12] = [
    "refresh",
    "assess",
    "simulate",
    "look_at_gates",
    "run_hooks",
    "look_at_gates",
    "apply",
    "read_back",
    "run_hooks",
    "weigh_reboot",
    "assess",
    "report",
];

#[tokio::test(start_paused = true)]
async fn a_host_without_windows_is_scanned_in_its_slots_and_never_changed() {
    let stage = stage(journal(), settings(None), false, &[]);
    stage.host.reached(12).await;
    assert_eq!(stage.host.told()[..12], SCAN.repeat(4));
    let hours = stage.host.clock.start.elapsed().as_secs() / 60;
    assert!((120..=4 * 60).contains(&hours), "four scans in {hours} minutes");
    let status = stage.handle.status().await.unwrap();
    let codes: Vec<_> = status.gates.iter().map(|gate| gate.code.as_str()).collect();
    assert_eq!(codes, ["no_window"]);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_window_gets_one_apply_and_then_scans() {
    let stage = stage(journal(), settings(Some("daily 11:00 +6h")), false, &[]);
    stage.concluded(4).await;
    let told = stage.host.told();
    assert_eq!(told.iter().filter(|&&code| code == "apply").count(), 1);
    let at = told.iter().position(|&code| code == "simulate").unwrap() - 2;
    assert_eq!(told[at..at + APPLY.len()], APPLY);
    let runs = stage.journal.with(|journal| journal.runs(9)).await.unwrap();
    let apply = runs.iter().find(|run| run.operation == OperationWire::Apply).unwrap();
    assert_eq!(apply.verdict, Some(RunOutcome::Succeeded));
    // SUSE/rebootmgr#10: not every host of a fleet at the first second.
    let after = apply.requested_at.duration_since("2026-11-23T11:00:00Z".parse().unwrap());
    assert!((SignedDuration::ZERO..SignedDuration::from_mins(15)).contains(&after), "{after}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_nothing_and_the_next_start_carries_on() {
    let journal = journal();
    let hanging =
        stage(journal.clone(), settings(Some("daily 09:00 +12h")), false, &[("apply", Behaviour::Hang)]);
    hanging.host.reached(7).await;
    assert_eq!(hanging.host.told(), APPLY[..7]);
    let before = Instant::now();
    hanging.end().await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());

    // In the meantime the executor has ended the transaction.
    let back = stage(journal, settings(Some("daily 09:00 +12h")), true, &[]);
    back.concluded(1).await;
    assert_eq!(back.host.told()[..5], ["recall", "read_back", "run_hooks", "weigh_reboot", "assess"]);
    let runs = back.journal.with(|journal| journal.runs(9)).await.unwrap();
    assert_eq!(runs.last().unwrap().verdict, Some(RunOutcome::Succeeded));
    back.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_bug_in_an_effect_ends_its_run_and_not_the_agent() {
    let stage = stage(journal(), settings(None), false, &[("assess", Behaviour::Panic)]);
    stage.concluded(2).await;
    let runs = stage.journal.with(|journal| journal.runs(9)).await.unwrap();
    assert!(runs.iter().all(|run| run.verdict != Some(RunOutcome::Succeeded)), "{runs:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_effect_is_lost_after_its_deadline() {
    let stage = stage(journal(), settings(None), false, &[("refresh", Behaviour::Hang)]);
    stage.concluded(1).await;
    assert_eq!(stage.host.told()[..4], ["refresh", "refresh", "assess", "report"]);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_agent_looks_and_changes_nothing() {
    let journal = journal();
    journal.with(|journal| journal.pause("uid 0")).await.unwrap();
    let stage = stage(journal, settings(Some("daily 09:00 +12h")), false, &[]);
    stage.concluded(2).await;
    assert_eq!(stage.host.told()[..6], SCAN.repeat(2));
    let answer = stage.handle.start_run(Operation::Apply, Wish::WhatIsDue, by_hand()).await.unwrap();
    assert!(answer.started);
    stage.concluded(3).await;
    let id = answer.run.id;
    let run = stage.journal.with(move |journal| journal.run(&id)).await.unwrap().unwrap();
    assert_eq!(run.run.verdict, Some(RunOutcome::Refused));
    assert_eq!(run.gates[0].code, "paused");
    stage.handle.resume("uid 0".into()).await.unwrap();
    assert!(!stage.handle.status().await.unwrap().paused);
    stage.end().await;
}
