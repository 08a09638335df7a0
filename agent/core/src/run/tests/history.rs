//! What no history of answers, losses, stops and crashes may do: apply twice, reboot twice, do either through a shut gate,
//! or get stuck.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::gate::Freeze;
use crate::run::event::{BootSeen, Recall, RefreshOutcome};
use crate::run::{Ending, MAX_TRANSACTIONS, Purpose};

const NAMES: &str = "a b c d";
const TIES: [(&str, &str); 3] = [("b", "a"), ("d", "c"), ("c", "d")];

fn any_assessment() -> impl Strategy<Value = Event> {
    let kind = prop_oneof![
        Just(ProblemKind::Stale),
        Just(ProblemKind::RefreshFailed),
        Just(ProblemKind::Interrupted),
        Just(ProblemKind::NotYetValid),
        Just(ProblemKind::Malformed),
    ];
    prop_oneof![
        5 => Just(findings(NAMES, &TIES)),
        1 => Just(findings("", &[])),
        1 => kind.prop_map(|kind| incomplete(kind, NAMES)),
    ]
}

fn any_simulation() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(simulated(NAMES)),
        1 => Just(simulated("+lib a b c d")),
        1 => Just(simulated("a b")),
        1 => Just(no_way("no")),
    ]
}

fn any_gates() -> impl Strategy<Value = Event> {
    any_observed().prop_map(Event::GatesSeen)
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let clock = prop_oneof![
        6 => Just(Clock::Synchronised),
        1 => Just(Clock::Unsynchronised),
        1 => Just(Clock::Jumped { detail: "by an hour".into() }),
    ];
    let left = prop_oneof![3 => Just(36_000_i64), 1 => 0..60_i64];
    let shut = (prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (left, shut, clock).prop_map(|(left, (is_paused, is_shut, is_locked), clock)| {
        let lock_holder = is_locked.then(|| "pid 812 (apt-get)".to_owned());
        let seen = Observed { is_paused, clock, lock_holder, ..observed(left) };
        let window = if is_shut { Verdict::NoneConfigured } else { seen.window.clone() };
        Observed { window, ..seen }
    })
}

fn any_reboot_view() -> impl Strategy<Value = Event> {
    let grant = Grant { reason: "now".into(), until: at(36_000) };
    let freeze = Freeze { until: at(9), reason: "trade fair".into() };
    let flags = prop::collection::vec(prop::bool::weighted(0.1), 7);
    let asked = (any_observed(), flags, 0..120_i64).prop_map(move |(seen, flags, reserve)| {
        let is = |at: usize| flags[at];
        let Verdict::Open(occurrence) = observed(36_000).window else { unreachable!("it is open") };
        // Past the cutoff, with half a minute to the end.
        let late = at(36_030);
        let (now, closing) = if is(0) { (late, Some(Box::new(occurrence))) } else { (seen.now, None) };
        let window = if is(0) { Verdict::Shut { next: None } } else { seen.window.clone() };
        let observed = Observed {
            now,
            window,
            closing,
            freeze: is(1).then(|| freeze.clone()),
            grant: is(2).then(|| grant.clone()),
            reserve: SignedDuration::from_secs(reserve),
            ..seen
        };
        RebootAsk {
            boot_id: (!is(3)).then(|| "boot-1".into()),
            database: if is(4) { vec!["app is half configured".into()] } else { vec![] },
            never: is(5).then(|| "reboot.policy is never".into()),
            ..reboot_asked_of(observed)
        }
    });
    prop_oneof![
        1 => Just(no_reboot()),
        1 => Just(Event::RebootWeighed(RebootView::Unknown { because: "no kernel".into() })),
        6 => asked.prop_map(weighed),
    ]
}

fn boot_seen(boot_id: Option<&str>) -> Event {
    Event::BootSeen(BootSeen {
        at: at(40_000),
        boot_id: boot_id.map(str::to_owned),
        detail: "it did not go down".into(),
    })
}

fn any_end() -> impl Strategy<Value = TransactionEnd> {
    prop_oneof![
        3 => Just(end(Some(0))),
        1 => Just(end(Some(100))),
        1 => Just(end(None)),
        1 => Just(failed_on("b")),
    ]
}

fn any_read_back() -> impl Strategy<Value = Event> {
    let one = |name: &'static str| {
        prop_oneof![
            4 => Just(installed(name)),
            2 => Just(installed(&format!("{name}=1"))),
            1 => Just(installed(&format!("{name}!"))),
        ]
    };
    let all = (one("a"), one("b"), one("c"), one("d")).prop_map(|(a, b, c, d)| vec![a, b, c, d]);
    prop_oneof![8 => all, 1 => Just(vec![])].prop_map(Event::ReadBack)
}

/// An answer that may fit what is under way, or any other event at all.
fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Started),
        2 => prop_oneof![
            Just(Event::Refreshed(RefreshOutcome::Fetched)),
            Just(Event::Refreshed(RefreshOutcome::Failed { failures: vec!["503".into()] })),
        ],
        6 => any_assessment(),
        6 => any_simulation(),
        9 => any_gates(),
        4 => any_end().prop_map(Event::HooksRun),
        6 => any_end().prop_map(Event::Applied),
        4 => any_end().prop_map(Event::Repaired),
        4 => prop_oneof![
            Just(Event::Recalled(Recall::Unknown)),
            Just(Event::Recalled(Recall::Running)),
            any_end().prop_map(|end| Event::Recalled(Recall::Ended(end))),
            any_end().prop_map(|end| Event::Recalled(Recall::Cut(end))),
        ],
        8 => any_read_back(),
        8 => any_reboot_view(),
        2 => Just(Event::RebootAsked),
        3 => prop_oneof![
            Just(boot_seen(Some("boot-1"))),
            Just(boot_seen(Some("boot-2"))),
            Just(boot_seen(None)),
        ],
        3 => Just(Event::Reported),
        1 => Just(packages_refused("no", &[])),
        1 => Just(packages_refused("no", &["c"])),
        1 => Just(all_refused("no")),
        1 => Just(Event::Lost { detail: "gone".into() }),
        1 => Just(Event::StopRequested { by: "uid 0".into() }),
        2 => Just(Event::Restarted),
    ]
}

/// The answer that a well world gives to what is under way.
fn good_answer(run: &RunState) -> Option<Event> {
    Some(match &run.phase {
        Phase::Queued => Event::Started,
        Phase::Refreshing { .. } => Event::Refreshed(RefreshOutcome::Fetched),
        Phase::Assessing { purpose: Purpose::Final(_), .. } => findings("", &[]),
        Phase::Assessing { .. } => findings(NAMES, &TIES),
        Phase::Planning(draft) => {
            let changes = draft.asking().changes().to_vec();
            Event::Simulated(Simulation { changes, removals: vec![], forbidden: vec![], refusal: None })
        }
        Phase::MendingGates { .. } | Phase::Gating(_) => open(),
        Phase::Preparing(_) | Phase::Finishing { .. } => hooks_pass(),
        Phase::Applying(_) => Event::Applied(end(Some(0))),
        Phase::Recalling { .. } => Event::Recalled(Recall::Ended(end(Some(0)))),
        Phase::Mending { .. } | Phase::Repairing { .. } => Event::Repaired(end(Some(0))),
        Phase::ReadingBack { underway, .. } => {
            let done = |change: &PlannedChange| Installed {
                package: change.package.clone(),
                version: Some(change.to.clone()),
                is_sound: true,
            };
            Event::ReadBack(underway.work.plan.changes().iter().map(done).collect())
        }
        Phase::Weighing(_) => weighed(reboot_asked_of(observed(36_000))),
        Phase::PreparingReboot(_) => hooks_pass(),
        Phase::Rebooting { asked, .. } if !asked.is_told => Event::RebootAsked,
        Phase::Rebooting { .. } => boot_seen(Some("boot-2")),
        Phase::Reporting { .. } => Event::Reported,
        Phase::Concluded { .. } => return None,
    })
}

/// What must hold over the whole life of one run.
#[derive(Default)]
struct Witness {
    transactions: BTreeSet<String>,
    done: BTreeSet<PackageId>,
    reboots: usize,
    /// The earliest start of a transaction that was read back.
    begun_at: Option<Timestamp>,
    have_hooks_passed: bool,
}

impl Witness {
    fn see(&mut self, before: &RunState, event: &Event, after: &RunState, effects: &[Effect]) {
        assert!(effects.len() <= 1, "{effects:?}");
        assert!(!before.is_concluded() || after.phase == before.phase, "a concluded run moved");
        if let (Phase::ReadingBack { underway, .. }, Event::ReadBack(installed)) = (&before.phase, event) {
            let planned = underway.work.plan.changes();
            let is_done = |found: &&Installed| {
                found.is_sound
                    && planned.iter().any(|change| {
                        change.package == found.package && found.version.as_ref() == Some(&change.to)
                    })
            };
            self.done.extend(installed.iter().filter(is_done).map(|found| found.package.clone()));
        }
        if let (Phase::PreparingReboot(_), Event::HooksRun(end)) = (&before.phase, event) {
            self.have_hooks_passed = end.exit_code == Some(0);
        }
        if let Some(Effect::Reboot { boot_id, .. }) = effects.first() {
            return self.see_reboot(before, event, after, boot_id);
        }
        if let (Phase::ReadingBack { underway, ending }, Event::ReadBack(_)) = (&before.phase, event) {
            let end = match ending {
                Ending::Known(end) | Ending::Cut(end) => end.started_at,
                Ending::Unknown { .. } => None,
            };
            let started = end.unwrap_or(underway.started_at);
            self.begun_at = Some(self.begun_at.map_or(started, |known| known.min(started)));
        }
        let Some(Effect::Apply(work)) = effects.first() else { return };
        assert_eq!(self.reboots, 0, "applies after a reboot was asked for");
        let Phase::Gating(progress) = &before.phase else { panic!("applies out of {:?}", before.phase) };
        let Event::GatesSeen(observed) = event else { panic!("applies upon {event:?}") };
        assert!(!observed.is_paused && matches!(observed.window, Verdict::Open(_)), "applies through a gate");
        assert_eq!(observed.clock, Clock::Synchronised);
        let Verdict::Open(occurrence) = &observed.window else { panic!("no window") };
        assert!(work.estimate <= occurrence.cutoff.duration_since(observed.now), "it does not fit");
        if let Assessment::Incomplete { because } = &progress.assessment {
            assert!(because.iter().all(|problem| problem.kind == ProblemKind::Stale), "{because:?}");
        }
        assert!(before.stop.is_none(), "applies although it was to stop");
        assert!(self.transactions.insert(work.transaction.clone()), "the id {} again", work.transaction);
        assert!(self.transactions.len() <= MAX_TRANSACTIONS);
        for change in work.plan.changes() {
            assert!(progress.plan.changes().contains(change), "{change:?} is not in the plan");
            assert!(!self.done.contains(&change.package), "{} is done, and applied again", change.package);
        }
        assert!(matches!(after.phase, Phase::Applying(_)));
    }

    fn see_reboot(&mut self, before: &RunState, event: &Event, after: &RunState, boot_id: &str) {
        self.reboots += 1;
        assert_eq!(self.reboots, 1, "asks for a second reboot");
        assert!(matches!(before.phase, Phase::Weighing(_)), "reboots out of {:?}", before.phase);
        assert!(matches!(&after.phase, Phase::Rebooting { asked, .. } if asked.boot_id == boot_id));
        assert_eq!(before.order.operation, Operation::Apply);
        assert!(before.order.wish != Wish::DryRun && before.stop.is_none());
        assert!(self.have_hooks_passed, "reboots before the hooks have passed");
        let Event::RebootWeighed(RebootView::Asked(ask)) = event else { panic!("reboots upon {event:?}") };
        let RebootAsk { observed, database, never, boot_id: seen, .. } = ask.as_ref();
        assert_eq!(seen.as_deref(), Some(boot_id));
        assert!(never.is_none() && database.is_empty(), "{never:?} {database:?}");
        assert!(!observed.is_paused && observed.freeze.is_none() && observed.lock_holder.is_none());
        assert_eq!(observed.clock, Clock::Synchronised);
        let occurrence = match (&observed.window, &observed.closing) {
            (Verdict::Open(open), _) => open,
            (_, Some(closing)) => {
                assert!(self.begun_at.is_some_and(|at| at < closing.cutoff), "begins after the cutoff");
                closing
            }
            _ => panic!("reboots outside of every window"),
        };
        assert!(occurrence.start <= observed.now && observed.now < occurrence.end, "outside of the window");
        assert!(observed.reserve <= occurrence.end.duration_since(observed.now), "the reserve is not left");
    }
}

fn check_history(mut run: RunState, events: Vec<Event>) {
    let mut witness = Witness::default();
    for event in events {
        let Ok((next, effects)) = step(run.clone(), event.clone()) else { continue };
        witness.see(&run, &event, &next, &effects);
        run = next;
    }
    let mut moves = 0;
    while let Some(event) = good_answer(&run) {
        let (next, effects) =
            step(run.clone(), event.clone()).expect("the answer that it waits for is legal");
        witness.see(&run, &event, &next, &effects);
        run = next;
        moves += 1;
        assert!(moves <= 40, "a run that never ends: {:?}", run.phase);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_acts_twice_or_through_a_shut_gate_or_gets_stuck(
        is_refreshed in any::<bool>(),
        wish in prop_oneof![6 => Just(Wish::WhatIsDue), 1 => Just(Wish::DryRun), 1 => Just(Wish::ThisPlan(plan(NAMES)))],
        is_apply in prop::bool::weighted(0.95),
        events in prop::collection::vec(any_event(), 0..90),
    ) {
        let operation = if is_apply { Operation::Apply } else { Operation::Scan };
        let refresh = if is_refreshed { RefreshPolicy::Refresh } else { RefreshPolicy::UseListsAsTheyAre };
        check_history(order(operation, refresh, wish), events);
    }

    /// The same with a world that mostly answers what it is asked, so that histories get far.
    #[test]
    fn no_long_history_does_either(
        events in prop::collection::vec((any_event(), prop::bool::weighted(0.7)), 0..60),
    ) {
        let mut run = apply();
        let mut told = Vec::new();
        for (event, is_good) in events {
            let event = if is_good { good_answer(&run).unwrap_or(event) } else { event };
            if let Ok((next, _)) = step(run.clone(), event.clone()) {
                run = next;
                told.push(event);
            }
        }
        check_history(apply(), told);
    }
}
