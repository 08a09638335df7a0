//! The life of runs, told event by event, and what no sequence of events and crashes may do.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::event::{Effect, Event, Findings, Installed, Recall, RefreshOutcome, Simulation, TransactionEnd};
use super::{MAX_LOST_RECALLS, MAX_RECALLS, Order, Phase, RefreshPolicy, RunId, RunState, step};
use crate::package::{Architecture, PackageId, PackageName, Version};
use crate::plan::{Plan, PlannedChange};
use crate::problem::{Problem, ProblemKind, Weight};
use crate::report::{Assessment, Operation, RunVerdict};
use crate::window::{Occurrence, Verdict};

fn change(name: &str, from: Option<&str>, to: &str) -> PlannedChange {
    PlannedChange {
        package: PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        },
        from: from.map(|from| Version::parse(from).unwrap()),
        to: Version::parse(to).unwrap(),
    }
}

fn openssl() -> PlannedChange {
    change("openssl", Some("1"), "2")
}

fn library() -> PlannedChange {
    change("libssl3", None, "2")
}

fn plan(changes: &[PlannedChange]) -> Plan {
    Plan::try_new(changes.to_vec()).unwrap()
}

fn order(operation: Operation, refresh: RefreshPolicy) -> RunState {
    RunState::new(Order { id: RunId::parse("run-1").unwrap(), operation, refresh })
}

fn findings(changes: &[PlannedChange]) -> Event {
    Event::Assessed(Findings {
        assessment: Assessment::Complete,
        plan: (!changes.is_empty()).then(|| plan(changes)),
    })
}

fn incomplete(kind: ProblemKind, changes: &[PlannedChange]) -> Event {
    let because = vec![Problem::new(kind, Weight::Incomplete, "/lists", "is wrong")];
    Event::Assessed(Findings {
        assessment: Assessment::Incomplete { because },
        plan: (!changes.is_empty()).then(|| plan(changes)),
    })
}

fn simulated(changes: &[PlannedChange]) -> Event {
    Event::Simulated(Simulation { changes: changes.to_vec(), removals: vec![], refusal: None })
}

fn occurrence() -> Occurrence {
    let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
    Occurrence { start: at(1), cutoff: at(2), end: at(3), name: "night".into() }
}

fn gates(window: Verdict, is_paused: bool) -> Event {
    Event::GatesSeen { now: Timestamp::UNIX_EPOCH, window, is_paused }
}

fn ended(exit_code: Option<i32>) -> TransactionEnd {
    TransactionEnd { took: SignedDuration::from_secs(9), exit_code, output_tail: vec![] }
}

fn installed(version: &str) -> Event {
    Event::ReadBack(vec![Installed {
        package: openssl().package,
        version: Some(Version::parse(version).unwrap()),
        is_sound: true,
    }])
}

/// Feeds the events and tells each effect that was asked for, and the last phase.
#[track_caller]
fn check(mut run: RunState, events: Vec<Event>, expected: &[&str]) -> RunState {
    let mut told = Vec::new();
    for event in events {
        let (next, effects) = step(run, event).unwrap();
        told.extend(effects.iter().map(Effect::code));
        run = next;
    }
    told.push(run.phase.code());
    assert_eq!(told, expected);
    run
}

#[track_caller]
fn check_verdict(run: &RunState, expected: &RunVerdict) {
    let Phase::Concluded { verdict, .. } = &run.phase else { panic!("{:?} is not concluded", run.phase) };
    assert_eq!(verdict, expected);
}

fn to_applying() -> Vec<Event> {
    vec![
        Event::Started,
        findings(&[openssl()]),
        simulated(&[openssl()]),
        gates(Verdict::Open(occurrence()), false),
    ]
}

fn apply() -> RunState {
    order(Operation::Apply, RefreshPolicy::UseListsAsTheyAre)
}

fn with(mut events: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    events.extend(more);
    events
}

#[test]
fn a_scan_refreshes_looks_and_reports() {
    let run = check(
        order(Operation::Scan, RefreshPolicy::Refresh),
        vec![
            Event::Started,
            Event::Refreshed(RefreshOutcome::Fetched),
            findings(&[openssl()]),
            Event::Reported,
        ],
        &["refresh", "assess", "report", "concluded"],
    );
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn a_scan_goes_on_without_its_refresh_and_tells_the_assessment() {
    let failed = RefreshOutcome::Failed { failures: vec!["no executor".into()] };
    let (run, _) = step(order(Operation::Scan, RefreshPolicy::Refresh), Event::Started).unwrap();
    let (_, effects) = step(run, Event::Lost { detail: "no executor".into() }).unwrap();
    assert_eq!(effects, [Effect::Assess { refresh: Some(failed) }]);
}

#[test]
fn an_apply_goes_all_the_way() {
    let end = [Event::Applied(ended(Some(0))), installed("2"), findings(&[]), Event::Reported];
    let run = check(
        apply(),
        with(to_applying(), end),
        &["assess", "simulate", "look_at_gates", "apply", "read_back", "assess", "report", "concluded"],
    );
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn a_dependency_that_the_dry_run_adds_is_tried_again_and_then_must_be_the_same() {
    let both = [library(), openssl()];
    let start = vec![Event::Started, findings(&[openssl()]), simulated(&both)];
    check(
        apply(),
        with(start.clone(), [simulated(&both)]),
        &["assess", "simulate", "simulate", "look_at_gates", "gating"],
    );
    let run = check(
        apply(),
        with(start, [simulated(&[library(), openssl(), change("x", None, "1")]), Event::Reported]),
        &["assess", "simulate", "simulate", "report", "concluded"],
    );
    check_verdict(
        &run,
        &RunVerdict::Refused {
            detail: "the dry run does not come to the plan: simulated but not planned: x:amd64 (new) -> 1"
                .into(),
        },
    );
}

#[test]
fn a_removal_or_a_missing_change_ends_the_run() {
    let removal = Event::Simulated(Simulation {
        changes: vec![openssl()],
        removals: vec![PackageId {
            name: PackageName::parse("sshd").unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }],
        refusal: None,
    });
    for simulation in [removal, simulated(&[library()])] {
        let run = check(
            apply(),
            vec![Event::Started, findings(&[openssl()]), simulation, Event::Reported],
            &["assess", "simulate", "report", "concluded"],
        );
        assert!(matches!(run.phase, Phase::Concluded { verdict: RunVerdict::Refused { .. }, .. }));
    }
}

#[test]
fn shut_gates_are_all_told() {
    let events = vec![
        Event::Started,
        incomplete(ProblemKind::RefreshFailed, &[openssl()]),
        simulated(&[openssl()]),
        gates(Verdict::NoneConfigured, true),
        Event::Reported,
    ];
    let run = check(apply(), events, &["assess", "simulate", "look_at_gates", "report", "concluded"]);
    let Phase::Concluded { gates, is_reported: true, .. } = run.phase else { panic!("not reported") };
    let codes: Vec<_> = gates.iter().map(crate::gate::Shut::code).collect();
    assert_eq!(codes, ["paused", "no_window", "refresh_failed"]);
}

#[test]
fn nothing_to_do_is_a_success_only_if_that_is_known() {
    let complete = vec![Event::Started, findings(&[]), Event::Reported];
    check_verdict(&check(apply(), complete, &["assess", "report", "concluded"]), &RunVerdict::Succeeded);
    let unknown = vec![Event::Started, incomplete(ProblemKind::Expired, &[]), Event::Reported];
    let run = check(apply(), unknown, &["assess", "report", "concluded"]);
    assert!(matches!(run.phase, Phase::Concluded { verdict: RunVerdict::Refused { .. }, .. }));
}

#[test]
fn a_crash_while_applying_asks_and_never_applies_again() {
    let end = [
        Event::Restarted,
        Event::Recalled(Recall::Running),
        Event::Restarted,
        Event::Recalled(Recall::Ended(ended(Some(100)))),
        Event::Restarted,
        installed("1"),
        Event::Restarted,
        findings(&[openssl()]),
        Event::Reported,
    ];
    let run = check(
        apply(),
        with(to_applying(), end),
        &[
            "assess",
            "simulate",
            "look_at_gates",
            "apply",
            "recall",
            "recall_later",
            "recall_later",
            "read_back",
            "read_back",
            "assess",
            "assess",
            "report",
            "concluded",
        ],
    );
    let detail = "1 of 1 packages did not reach their planned version (openssl:amd64): the package manager ended with 100";
    check_verdict(&run, &RunVerdict::Failed { detail: detail.into() });
}

#[test]
fn success_is_what_was_read_back_and_not_the_exit_code() {
    let end = |version| [Event::Applied(ended(Some(0))), installed(version), findings(&[]), Event::Reported];
    let effects =
        ["assess", "simulate", "look_at_gates", "apply", "read_back", "assess", "report", "concluded"];
    let run = check(apply(), with(to_applying(), end("1")), &effects);
    assert!(matches!(run.phase, Phase::Concluded { verdict: RunVerdict::Failed { .. }, .. }));
    let killed = [Event::Applied(ended(None)), installed("2"), findings(&[]), Event::Reported];
    check_verdict(&check(apply(), with(to_applying(), killed), &effects), &RunVerdict::Succeeded);
}

#[test]
fn a_stop_is_honoured_before_the_transaction_and_not_within_it() {
    let stop = || Event::StopRequested { by: "uid 0".into() };
    let stopped = RunVerdict::Refused { detail: "stopped by uid 0".into() };
    let early =
        check(apply(), vec![Event::Started, stop(), findings(&[openssl()])], &["assess", "concluded"]);
    check_verdict(&early, &stopped);
    let last_moment = vec![
        Event::Started,
        findings(&[openssl()]),
        simulated(&[openssl()]),
        stop(),
        gates(Verdict::Open(occurrence()), false),
    ];
    check_verdict(
        &check(apply(), last_moment, &["assess", "simulate", "look_at_gates", "concluded"]),
        &stopped,
    );
    let too_late = with(to_applying(), [stop(), Event::Applied(ended(Some(0)))]);
    check(apply(), too_late, &["assess", "simulate", "look_at_gates", "apply", "read_back", "reading_back"]);
    check_verdict(&check(apply(), vec![stop()], &["concluded"]), &stopped);
}

#[test]
fn a_run_that_kills_the_agent_is_given_up() {
    let events = vec![Event::Started, Event::Restarted, Event::Restarted, Event::Restarted, Event::Restarted];
    let run = check(
        order(Operation::Scan, RefreshPolicy::UseListsAsTheyAre),
        events,
        &["assess", "assess", "assess", "assess", "concluded"],
    );
    let detail = "patchd was cut 4 times during this run, at last while assessing";
    check_verdict(&run, &RunVerdict::Failed { detail: detail.into() });
}

#[test]
fn an_executor_that_never_answers_does_not_hold_a_run_for_ever() {
    let lost = || Event::Lost { detail: "connection refused".into() };
    let mut run = apply();
    for event in to_applying() {
        run = step(run, event).unwrap().0;
    }
    for _ in 0..MAX_LOST_RECALLS + 4 {
        run = step(run, lost()).unwrap().0;
    }
    assert_eq!(run.phase.code(), "concluded");
    assert!(matches!(run.phase, Phase::Concluded { verdict: RunVerdict::Failed { .. }, .. }));
}

#[test]
fn an_event_out_of_turn_is_refused_and_named() {
    let error = step(apply(), Event::Reported).unwrap_err();
    assert_eq!(error.to_string(), "a run that is queued can't take the event reported");
}

#[test]
fn run_ids_are_fit_for_file_names() {
    assert!(RunId::parse("20261123T101500Z-3f2a").is_ok());
    for bad in ["", "..", ".x", "a/b", "-x", "a b", "a+b", &"x".repeat(49)] {
        assert!(RunId::parse(bad).is_err(), "{bad:?}");
    }
}

fn any_assessment() -> impl Strategy<Value = Assessment> {
    let kind = prop_oneof![
        Just(ProblemKind::Stale),
        Just(ProblemKind::RefreshFailed),
        Just(ProblemKind::Interrupted),
        Just(ProblemKind::NotYetValid),
        Just(ProblemKind::Malformed),
    ];
    prop_oneof![
        3 => Just(Assessment::Complete),
        1 => kind.prop_map(|kind| Assessment::Incomplete {
            because: vec![Problem::new(kind, Weight::Incomplete, "/lists", "is wrong")],
        }),
    ]
}

fn any_findings() -> impl Strategy<Value = Event> {
    let plan = prop_oneof![Just(None), Just(Some(plan(&[openssl()])))];
    (any_assessment(), plan).prop_map(|(assessment, plan)| Event::Assessed(Findings { assessment, plan }))
}

fn any_simulation() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(simulated(&[openssl()])),
        3 => Just(simulated(&[library(), openssl()])),
        1 => Just(simulated(&[])),
        1 => Just(Event::Simulated(Simulation {
            changes: vec![openssl()],
            removals: vec![PackageId { name: PackageName::parse("sshd").unwrap(), architecture: Architecture::parse("amd64").unwrap() }],
            refusal: None,
        })),
        1 => Just(Event::Simulated(Simulation { changes: vec![], removals: vec![], refusal: Some("no".into()) })),
    ]
}

fn any_gates() -> impl Strategy<Value = Event> {
    let window = prop_oneof![
        4 => Just(Verdict::Open(occurrence())),
        1 => Just(Verdict::NoneConfigured),
        1 => Just(Verdict::Shut { next: None }),
    ];
    (window, prop::bool::weighted(0.2)).prop_map(|(window, is_paused)| gates(window, is_paused))
}

/// An answer that fits what is under way, or any other event at all.
fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => Just(Event::Started),
        2 => prop_oneof![
            Just(Event::Refreshed(RefreshOutcome::Fetched)),
            Just(Event::Refreshed(RefreshOutcome::Failed { failures: vec!["503".into()] })),
        ],
        6 => any_findings(),
        6 => any_simulation(),
        6 => any_gates(),
        4 => prop::option::of(any::<i32>()).prop_map(|code| Event::Applied(ended(code))),
        4 => prop_oneof![
            Just(Event::Recalled(Recall::Unknown)),
            Just(Event::Recalled(Recall::Running)),
            Just(Event::Recalled(Recall::Ended(ended(Some(0))))),
            Just(Event::Recalled(Recall::Cut { detail: "killed".into() })),
        ],
        4 => prop_oneof![Just(installed("1")), Just(installed("2")), Just(Event::ReadBack(vec![]))],
        3 => Just(Event::Reported),
        1 => Just(Event::Refused { detail: "no".into() }),
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
        Phase::Assessing { .. } => findings(&[openssl()]),
        Phase::Planning { plan, .. } => simulated(plan.changes()),
        Phase::Gating { .. } => gates(Verdict::Open(occurrence()), false),
        Phase::Applying(_) => Event::Applied(ended(Some(0))),
        Phase::Recalling { .. } => Event::Recalled(Recall::Ended(ended(Some(0)))),
        Phase::ReadingBack { .. } => installed("2"),
        Phase::Reporting { .. } => Event::Reported,
        Phase::Concluded { .. } => return None,
    })
}

/// Checks one legal move, and says whether it asked for an apply.
fn check_move(before: &RunState, event: &Event, after: &RunState, effects: &[Effect]) -> bool {
    assert!(effects.len() <= 1, "{effects:?}");
    let Some(Effect::Apply { plan, .. }) = effects.first() else { return false };
    let Phase::Gating { assessment, plan: gated, .. } = &before.phase else {
        panic!("applies out of {:?}", before.phase)
    };
    let Event::GatesSeen { window: Verdict::Open(_), is_paused: false, .. } = event else {
        panic!("applies upon {event:?}")
    };
    if let Assessment::Incomplete { because } = assessment {
        assert!(because.iter().all(|problem| problem.kind == ProblemKind::Stale), "{because:?}");
    }
    assert_eq!(plan, gated);
    assert!(before.stop.is_none(), "applies although it was to stop");
    assert!(matches!(after.phase, Phase::Applying(_)));
    true
}

fn check_history(mut run: RunState, events: Vec<Event>) {
    let mut applies = 0;
    for event in events {
        let Ok((next, effects)) = step(run.clone(), event.clone()) else { continue };
        assert!(!run.is_concluded() || next.phase == run.phase, "a concluded run moved");
        applies += u32::from(check_move(&run, &event, &next, &effects));
        assert!(applies <= 1, "applied twice");
        run = next;
    }
    let mut moves = 0;
    while let Some(event) = good_answer(&run) {
        let (next, effects) =
            step(run.clone(), event.clone()).expect("the answer that it waits for is legal");
        applies += u32::from(check_move(&run, &event, &next, &effects));
        assert!(applies <= 1, "applied twice");
        run = next;
        moves += 1;
        assert!(moves <= 12, "a run that never ends: {:?}", run.phase);
    }
}

/// However long the executor says that it still works, a run ends.
#[test]
fn asking_ends() {
    let mut run = apply();
    for event in with(to_applying(), [Event::Restarted]) {
        run = step(run, event).unwrap().0;
    }
    for _ in 0..=MAX_RECALLS {
        assert_eq!(run.phase.code(), "recalling");
        run = step(run, Event::Recalled(Recall::Running)).unwrap().0;
    }
    assert_eq!(run.phase.code(), "reading_back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_applies_twice_or_through_a_shut_gate_or_gets_stuck(
        is_apply in prop::bool::weighted(0.9),
        is_refreshed in any::<bool>(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let operation = if is_apply { Operation::Apply } else { Operation::Scan };
        let refresh = if is_refreshed { RefreshPolicy::Refresh } else { RefreshPolicy::UseListsAsTheyAre };
        check_history(order(operation, refresh), events);
    }
}
