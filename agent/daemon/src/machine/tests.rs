//! The machine with an executor that the test plays on a real socket, and a toy host below a root of its own.

use std::collections::VecDeque;
use std::path::Path;

use jiff::Timestamp;
use patchd_core::compliance::PatchState;
use patchd_core::gate;
use patchd_core::package::{Architecture, PackageName, Version};
use patchd_core::plan::PlannedChange;
use patchd_core::report::{RunVerdict, Tristate};
use patchd_core::run::event::Recall;
use patchd_core::run::{RefreshPolicy, Wish};
use patchd_protocol::control::events::RunProgress;
use patchd_protocol::executor::{
    ClockWire, DownloadWire, FilesystemWire, ObservedWire, PackageTimingWire, RefusalWire, Request,
    SimulationWire, TransactionKind,
};
use patchd_protocol::frame::{MAX_REPLY, MAX_REQUEST};
use patchd_protocol::old_code::{OldCodeWire, OldProcessWire};
use patchd_protocol::words::RemedyWire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;
use crate::journal::{Journal, NewRun};
use crate::store::spool::{Spool, SpoolLimits};

const NOW: &str = "2026-11-23T10:00:00Z";

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    fn since_boot(&self) -> Duration {
        Duration::ZERO
    }
}

struct Place {
    directory: tempfile::TempDir,
    machine: Machine<StandingClock>,
    settings: watch::Sender<Settings>,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        patchd_host::durable::create_directories(&root.join("run"), 0o755).unwrap();
        let spool = Spool::open(directory.path().join("spool"), SpoolLimits::default()).await.unwrap();
        let (settings, receiver) = watch::channel(Settings::default());
        let machine = Machine::new(Parts {
            life: Life::Service,
            clock: Arc::new(ClockWatch::new(StandingClock, None)),
            root: Root::at(&root),
            version: "0.0.0",
            executor: ExecutorClient::at_socket(directory.path().join("executor.sock")),
            identities: Arc::new(Identities::new(&Root::at(&root), None)),
            baselines: Baselines::new(Root::at(&root), Root::at(&root), None),
            settings: receiver,
            spool,
            documents: None,
            extracts: None,
            journal: SharedJournal::new(Journal::in_memory().unwrap()),
            spooled: Arc::new(Notify::new()),
            live: Live::default(),
            cloud_init: CloudInitWatch::of(Root::at(&root)),
        });
        Self { directory, machine, settings }
    }

    /// Plays the executor: each request gets the next of these lists of frames. Gives what was asked.
    fn executor(&self, answers: Vec<Vec<Reply>>) -> JoinHandle<Vec<Request>> {
        let path = self.directory.path().join("executor.sock");
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let mut answers = VecDeque::from(answers);
        tokio::spawn(async move {
            let mut asked = Vec::new();
            while let Some(frames) = answers.pop_front() {
                let (mut stream, _) = listener.accept().await.unwrap();
                let length = stream.read_u32().await.unwrap();
                assert!(length < MAX_REQUEST);
                let mut body = vec![0; usize::try_from(length).unwrap()];
                stream.read_exact(&mut body).await.unwrap();
                asked.push(serde_json::from_slice(&body).unwrap());
                for frame in frames {
                    let mut bytes = Vec::new();
                    patchd_protocol::frame::write(&mut bytes, &frame, MAX_REPLY).unwrap();
                    stream.write_all(&bytes).await.unwrap();
                }
            }
            asked
        })
    }

    async fn perform(&self, effect: Effect) -> Event {
        self.machine.perform(&order(), effect).await
    }
}

fn order() -> Order {
    Order {
        id: RunId::parse("run-1").unwrap(),
        operation: Operation::Apply,
        refresh: RefreshPolicy::UseListsAsTheyAre,
        wish: Wish::WhatIsDue,
    }
}

fn plan() -> Plan {
    let version = |text: &str| Version::parse(text).unwrap();
    let package = patchd_core::package::PackageId {
        name: PackageName::parse("openssl").unwrap(),
        architecture: Architecture::parse("amd64").unwrap(),
    };
    Plan::try_new(vec![PlannedChange { package, from: Some(version("1")), to: version("2") }]).unwrap()
}

fn seen() -> ObservedWire {
    ObservedWire {
        clock: ClockWire::Unsynchronised,
        filesystems: vec![FilesystemWire {
            mount: "/".into(),
            uses: vec!["system".into(), "a use of tomorrow".into()],
            free_bytes: 9,
            free_inodes: None,
            is_read_only: true,
        }],
        available_memory_bytes: Some(1 << 30),
        lock_holder: None,
        database: vec![],
        grant: None,
    }
}

fn record(kind: TransactionKind, state: TransactionState) -> TransactionRecord {
    TransactionRecord {
        id: "run-1.apply.1".into(),
        run: "run-1".into(),
        kind,
        digest: String::new(),
        state,
        started_at: NOW.parse().unwrap(),
        ended_at: None,
        exit_code: Some(0),
        permission: String::new(),
        changes: vec![],
        output_tail: vec![],
        failures: vec![],
        notes: vec![],
        timings: vec![PackageTimingWire { name: "openssl".into(), milliseconds: 4_000 }],
        download: Some(DownloadWire { bytes: 4 << 20, milliseconds: 2_000 }),
        left_files: vec![],
        database: vec![],
    }
}

fn end(kind: TransactionKind) -> Reply {
    Reply::Done(record(kind, TransactionState::Ended))
}

fn work() -> Work {
    Work {
        transaction: "run-1.apply.1".into(),
        plan: plan(),
        estimate: SignedDuration::from_secs(77),
        granted: Some(plan()),
    }
}

#[tokio::test]
async fn gates_are_what_the_executor_sees_and_what_the_settings_say() {
    let stage = Place::new().await;
    let asked = stage.executor(vec![vec![Reply::Observed(seen())]; 2]);
    let Event::GatesSeen(observed) = stage.perform(Effect::LookAtGates { plan: Some(plan()) }).await else {
        panic!("the gates were not seen")
    };
    assert_eq!(observed.clock, gate::Clock::Unsynchronised);
    assert_eq!((observed.filesystems[0].uses.len(), observed.filesystems[0].is_read_only), (1, true));
    assert!(!observed.is_paused && observed.freeze.is_none());
    assert_eq!(observed.longest_transaction, SignedDuration::from_mins(30));
    stage.settings.send_modify(|settings| settings.clock.require_synchronised = false);
    stage.machine.parts.journal.with(|journal| journal.pause("uid 0")).await.unwrap();
    let Event::GatesSeen(observed) = stage.perform(Effect::LookAtGates { plan: None }).await else {
        panic!("the gates were not seen")
    };
    assert_eq!((observed.clock, observed.is_paused), (gate::Clock::NotRequired, true));
    let verbs: Vec<Verb> = asked.await.unwrap().into_iter().map(|request| request.verb).collect();
    assert_eq!(verbs, [Verb::Observe { digest: Some(digest(&plan())) }, Verb::Observe { digest: None }]);
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_work_is_waited_for_and_then_told() {
    let held =
        || vec![Reply::Observed(ObservedWire { lock_holder: Some("pid 812 (apt-get)".into()), ..seen() })];
    let stage = Place::new().await;
    let look = || Effect::LookAtGates { plan: Some(plan()) };
    let asked = stage.executor(vec![held(), held(), vec![Reply::Observed(seen())]]);
    assert!(matches!(stage.perform(look()).await, Event::GatesSeen(seen) if seen.lock_holder.is_none()));
    assert_eq!(asked.await.unwrap().len(), 3);
    let asked = stage.executor((0..11).map(|_| held()).collect());
    let Event::GatesSeen(seen) = stage.perform(look()).await else { panic!("the gates were not seen") };
    assert_eq!(seen.lock_holder.as_deref(), Some("pid 812 (apt-get)"));
    assert_eq!(asked.await.unwrap().len(), 11);
    // Who only wants to see is told at once.
    let asked = stage.executor(vec![held()]);
    let dry = Order { wish: Wish::DryRun, ..order() };
    assert!(matches!(stage.machine.perform(&dry, look()).await, Event::GatesSeen(_)));
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_only_looks_is_asked_for_again_when_the_executor_died() {
    let stage = Place::new().await;
    let simulated = Reply::Simulated(SimulationWire { changes: vec![], removals: vec![], refusal: None });
    let read = Reply::ReadBack { installed: vec![] };
    let looks = [
        (Effect::LookAtGates { plan: None }, Reply::Observed(seen()), "gates_seen"),
        (Effect::Simulate { plan: plan() }, simulated, "simulated"),
        (Effect::ReadBack { packages: vec![] }, read, "read_back"),
    ];
    for (effect, reply, expected) in looks {
        let asked = stage.executor(vec![vec![], vec![], vec![reply]]);
        assert_eq!(stage.perform(effect).await.code(), expected);
        assert_eq!(asked.await.unwrap().len(), 3);
    }
    let asked = stage.executor(vec![vec![]]);
    assert_eq!(stage.perform(Effect::Apply(work())).await.code(), "lost", "it may have begun");
    assert_eq!(asked.await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_executor_that_can_not_be_asked_shuts_the_gates() {
    let stage = Place::new().await;
    let told = stage.perform(Effect::LookAtGates { plan: None }).await;
    let Event::Lost { detail } = told else { panic!("{told:?}") };
    assert!(detail.starts_with("can't reach the executor at "), "{detail}");
    let refusal = RefusalWire {
        code: RefusalCode::Policy,
        message: "/etc/patchd may be written by others".into(),
        blamed: vec![],
    };
    let _asked = stage.executor(vec![vec![Reply::Refused(refusal)]]);
    let told = stage.perform(Effect::LookAtGates { plan: None }).await;
    let Event::Lost { detail } = told else { panic!("{told:?}") };
    assert_eq!(detail, "the executor refuses: /etc/patchd may be written by others");
}

#[tokio::test]
async fn an_apply_says_what_it_is_meant_to_take_and_teaches_what_it_took() {
    let stage = Place::new().await;
    let mut follower = stage.machine.parts.live.follow();
    let told = ProgressWire::Package { name: "openssl".into(), action: "unpack".into(), permille: 4_000 };
    let asked = stage.executor(vec![vec![Reply::Progress(told), end(TransactionKind::Apply)]]);
    assert!(matches!(stage.perform(Effect::Apply(work())).await, Event::Applied(_)));
    let expected = Verb::Apply {
        transaction: "run-1.apply.1".into(),
        plan: PlanWire::from(&plan()),
        digest: digest(&plan()),
        estimate_seconds: 77,
        grant: Some(digest(&plan())),
    };
    assert_eq!(asked.await.unwrap()[0].verb, expected);
    let (run, progress) = &*follower.progress.recv().await.unwrap();
    assert_eq!(run, &order().id);
    let action = "unpack".to_owned();
    assert_eq!(*progress, RunProgress::Package { name: "openssl".into(), action, permille: 1_000 });
    let pace = stage.machine.parts.journal.with(|journal| journal.pace()).await.unwrap();
    assert_eq!(pace.packages.into_values().collect::<Vec<_>>(), [SignedDuration::from_secs(4)]);
    assert_eq!(pace.download_bytes_per_second, Some(2 << 20));
}

#[tokio::test(start_paused = true)]
async fn a_busy_executor_is_asked_again_and_not_for_ever() {
    let busy = || {
        let message = "the executor is at work: transaction run-1.apply.1".into();
        vec![Reply::Refused(RefusalWire { code: RefusalCode::Busy, message, blamed: vec![] })]
    };
    let stage = Place::new().await;
    let asked = stage.executor(vec![busy(), busy(), vec![end(TransactionKind::Apply)]]);
    assert!(matches!(stage.perform(Effect::Apply(work())).await, Event::Applied(_)));
    assert_eq!(asked.await.unwrap().len(), 3);
    let asked = stage.executor((0..25).map(|_| busy()).collect());
    let told = stage.perform(Effect::Apply(work())).await;
    assert!(matches!(told, Event::Refused(Refusal::Everything { .. })), "{told:?}");
    assert_eq!(asked.await.unwrap().len(), 25);
}

#[tokio::test]
async fn a_recall_stays_with_the_transaction() {
    let stage = Place::new().await;
    let running = Reply::Recalled(Some(record(TransactionKind::Apply, TransactionState::Running)));
    let asked = stage.executor(vec![vec![running]]);
    let told = stage.perform(Effect::Recall { transaction: "run-1.apply.1".into() }).await;
    assert_eq!(told, Event::Recalled(Recall::Running));
    let expected = Verb::Recall { transaction: "run-1.apply.1".into(), wait_seconds: 120 };
    assert_eq!(asked.await.unwrap()[0].verb, expected);
    let pace = stage.machine.parts.journal.with(|journal| journal.pace()).await.unwrap();
    assert!(pace.packages.is_empty(), "what goes on teaches nothing yet");
}

#[tokio::test(start_paused = true)]
async fn hooks_and_repairs_that_a_crash_left_at_work_are_waited_for() {
    let stage = Place::new().await;
    let running = || record(TransactionKind::Repair, TransactionState::Running);
    let cut = record(TransactionKind::Repair, TransactionState::Interrupted);
    let busy = RefusalWire { code: RefusalCode::Busy, message: "an apply".into(), blamed: vec![] };
    let asked = stage.executor(vec![
        vec![Reply::Done(running())],
        vec![Reply::Recalled(Some(running()))],
        vec![Reply::Refused(busy)],
        vec![Reply::Recalled(None)],
        vec![Reply::Done(running())],
        vec![Reply::Recalled(Some(cut))],
        vec![end(TransactionKind::Repair)],
    ]);
    let told = stage.perform(Effect::Repair { transaction: "run-1.mend".into() }).await;
    assert!(matches!(told, Event::Repaired(_)), "{told:?}");
    let verbs = asked.await.unwrap();
    let names: Vec<_> = verbs.iter().map(|request| request.verb.name()).collect();
    assert_eq!(names, ["repair", "recall", "repair", "recall", "repair", "recall", "repair"]);
    let hooks = stage.executor(vec![vec![], vec![end(TransactionKind::Hooks)]]);
    let stage_of = Effect::RunHooks { transaction: "run-1.pre-patch".into(), stage: Stage::PrePatch };
    assert!(matches!(stage.perform(stage_of).await, Event::HooksRun(_)));
    let expected = Verb::RunHooks { transaction: "run-1.pre-patch".into(), stage: HookStage::PrePatch };
    assert_eq!(hooks.await.unwrap()[1].verb, expected);
}

#[tokio::test]
async fn the_need_of_a_reboot_is_told_from_facts_and_not_from_the_verdict() {
    // docs/accidents.md, row 43: 12 of 13 packages patched, the run failed, and nobody said that a reboot is due.
    let stage = Place::new().await;
    let mark = stage.directory.path().join("root/run/reboot-required");
    patchd_host::durable::atomic_write(Path::new(&mark), b"*** System restart required ***\n", 0o644)
        .unwrap();
    let new =
        NewRun { order: order(), trigger: patchd_protocol::control::RunTrigger::Schedule, occurrence: None };
    let now: Timestamp = NOW.parse().unwrap();
    stage.machine.parts.journal.with(move |journal| journal.begin(&new, now)).await.unwrap();
    assert!(matches!(stage.perform(Effect::Assess { refresh: None }).await, Event::Assessed(_)));
    let assessed = stage.machine.assessed.lock().unwrap().clone().unwrap();
    assert!(matches!(assessed.host.needs_reboot, Tristate::Yes(_)));
    let record = RunRecord::of(RunVerdict::Failed { detail: "openssl: its postinst failed".into() });
    assert_eq!(stage.perform(Effect::Report { record: Some(record) }).await, Event::Reported);
    let contents = stage.machine.parts.spool.contents().await.unwrap();
    assert_eq!(contents.reports, 1);
}

/// docs/accidents.md, row 11: patched on disk, and the old code still in memory.
#[tokio::test]
async fn root_tells_which_processes_run_old_code_and_silence_is_not_none() {
    let stage = Place::new().await;
    let status = "Package: liba\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    let dpkg = stage.directory.path().join("root/var/lib/dpkg");
    patchd_host::durable::create_directories(&dpkg, 0o755).unwrap();
    patchd_host::durable::atomic_write(&dpkg.join("status"), status.as_bytes(), 0o644).unwrap();
    let process = OldProcessWire {
        pid: 7,
        command: "worker".into(),
        unit: Some("worker.service".into()),
        remedy: RemedyWire::Restart,
        packages: vec!["liba:amd64".into()],
        files: vec!["/usr/lib/liba.so.1".into()],
    };
    let told = OldCodeWire { processes: vec![process], unseen: None };
    let assess = async |frames: Vec<Reply>| {
        let asked = stage.executor(vec![frames]);
        assert!(matches!(stage.perform(Effect::Assess { refresh: None }).await, Event::Assessed(_)));
        assert_eq!(asked.await.unwrap()[0].verb, Verb::Processes {});
        stage.machine.assessed.lock().unwrap().clone().unwrap()
    };
    let report = assess(vec![Reply::Processes(told.clone())]).await;
    assert_eq!(OldCodeWire::from(&report.host.old_code), told);
    let item = &report.judgement.items[0];
    assert_eq!(item.state, PatchState::InstalledPendingReboot);
    assert_eq!(item.reason.as_ref().unwrap().sentence(), "worker.service must be restarted to run it");

    let refusal = RefusalWire { code: RefusalCode::UnknownVerb, message: "no verb".into(), blamed: vec![] };
    for (frames, because) in [
        (vec![], "the executor hung up without an answer"),
        (vec![Reply::Refused(refusal)], "the executor refuses: no verb"),
        (vec![Reply::Observed(seen())], "the executor answered something else"),
        (
            vec![Reply::Processes(OldCodeWire {
                processes: vec![OldProcessWire {
                    packages: vec!["a b:amd64".into()],
                    ..told.processes[0].clone()
                }],
                unseen: None,
            })],
            "the executor's answer can't be read: it has the character ' '",
        ),
    ] {
        let report = assess(frames).await;
        assert_eq!(report.host.old_code, OldCode::unknown(because));
        assert_eq!(report.judgement.items[0].state, PatchState::InstalledOther);
        let notes = report.assessment();
        let of_processes = |because: &[Problem]| because.iter().any(|one| one.message.contains("executor"));
        assert!(!matches!(notes, Assessment::Incomplete { because } if of_processes(&because)));
    }
}
