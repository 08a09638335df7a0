//! The reboot at the end of an apply: when it is asked for, that it is asked for once, and what is told of it.

use super::*;
use crate::gate::Freeze;
use crate::report::{Reboot, RebootOutcome};
use crate::run::event::BootSeen;
use crate::run::{MAX_REBOOT_LOOKS, MAX_RESTARTS};

/// Everything up to the reboot of a run that patched `app`.
fn patched() -> Vec<Event> {
    let patched = [Event::Applied(end(Some(0))), read_back("app"), hooks_pass()];
    with(to_applying("app", &[]), patched)
}

fn wishes() -> Event {
    weighed(reboot_asked_of(observed(36_000)))
}

fn boot(boot_id: &str) -> Event {
    let detail = "the host did not go down".to_owned();
    Event::BootSeen(BootSeen { at: at(600), boot_id: Some(boot_id.into()), detail })
}

#[track_caller]
fn feed(mut run: RunState, events: Vec<Event>) -> (RunState, Vec<Effect>) {
    let mut effects = Vec::new();
    for event in events {
        (run, effects) = step(run, event).unwrap();
    }
    (run, effects)
}

/// What the record that is reported says of the reboot.
#[track_caller]
fn told(run: &RunState) -> Option<&Reboot> {
    let Phase::Reporting { result: Some(result), .. } = &run.phase else {
        panic!("{:?} reports nothing", run.phase)
    };
    result.record.reboot.as_deref()
}

/// The codes of what a reboot waits for, upon this look at the host.
#[track_caller]
fn check_waits(ask: RebootAsk, expected: &[&str]) {
    let (run, _) = feed(apply(), with(patched(), [weighed(ask), findings("", &[])]));
    let Some(Reboot { outcome: RebootOutcome::Waits { gates }, .. }) = told(&run) else {
        panic!("{:?}", told(&run))
    };
    assert_eq!(gates.iter().map(Shut::code).collect::<Vec<_>>(), expected);
}

/// docs/accidents.md, row 42.
#[test]
fn a_host_that_asks_is_rebooted_and_the_run_ends_in_the_next_boot() {
    let events = with(patched(), [wishes(), hooks_pass(), wishes()]);
    let (run, effects) = feed(apply(), events);
    let (transaction, boot_id) = ("run-1.reboot".to_owned(), "boot-1".to_owned());
    assert_eq!(effects, [Effect::Reboot { transaction: transaction.clone(), boot_id: boot_id.clone() }]);
    assert!(!run.is_stoppable());
    let (run, effects) = step(run, Event::RebootAsked).unwrap();
    let wait = [Effect::AwaitReboot { transaction, boot_id }];
    assert_eq!(effects, wait);
    let (run, effects) = step(run, Event::Restarted).unwrap();
    assert_eq!(effects, wait);
    let (run, effects) = step(run, boot("boot-2")).unwrap();
    assert_eq!(effects.iter().map(short).collect::<Vec<_>>(), ["assess"]);
    let (run, _) = step(run, findings("", &[])).unwrap();
    let reboot = told(&run).unwrap();
    assert_eq!((reboot.because.as_str(), reboot.waits()), ("libc6 asked for it", None));
    let done = RebootOutcome::Done {
        asked_at: at(0),
        seen_at: at(600),
        boot_before: "boot-1".into(),
        boot_after: "boot-2".into(),
    };
    assert_eq!(reboot.outcome, done);
    let (run, _) = step(run, Event::Reported).unwrap();
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn one_that_asks_from_earlier_is_rebooted_although_nothing_is_to_be_patched() {
    let start = vec![Event::Started, findings("", &[])];
    let story = with(start.clone(), [wishes(), hooks_pass(), wishes(), Event::RebootAsked, boot("boot-2")]);
    let expected =
        ["assess", "weigh_reboot", "run_hooks", "weigh_reboot", "reboot", "await_reboot", "assess"];
    let run = check(
        apply(),
        with(story, [findings("", &[]), Event::Reported]),
        &[&expected[..], &["report", "concluded"]].concat(),
    );
    check_verdict(&run, &RunVerdict::Succeeded);
    // Where it does not ask, it needs no second look.
    check(
        apply(),
        with(start, [no_reboot(), Event::Reported]),
        &["assess", "weigh_reboot", "report", "concluded"],
    );
}

#[test]
fn whatever_is_lost_or_cut_it_is_asked_for_once() {
    let (asked, _) = feed(apply(), with(patched(), [wishes(), hooks_pass(), wishes()]));
    let lost = Event::Lost { detail: "the executor was cut".into() };
    for event in [Event::Restarted, lost.clone()] {
        let (run, effects) = step(asked.clone(), event).unwrap();
        assert!(matches!(effects[..], [Effect::AwaitReboot { .. }]), "{effects:?}");
        let (run, _) = feed(run, vec![Event::Restarted, Event::Restarted, boot("boot-1")]);
        let (run, _) = step(run, findings("", &[])).unwrap();
        assert_eq!(told(&run).and_then(Reboot::waits).as_deref(), Some("the host did not go down"));
    }
    // Nobody can tell which boot it is.
    let (run, _) = feed(asked, vec![Event::RebootAsked, lost, findings("", &[])]);
    let waits = told(&run).and_then(Reboot::waits).unwrap();
    assert_eq!(waits, "whether the host was rebooted can't be told: the executor was cut");
}

#[test]
fn a_run_survives_more_boots_than_crashes() {
    let (mut run, _) = feed(apply(), with(patched(), [wishes(), hooks_pass(), wishes()]));
    for _ in 0..2 * MAX_RESTARTS {
        (run, _) = step(run, Event::Restarted).unwrap();
    }
    let (run, _) = feed(run, vec![boot("boot-9"), findings("", &[])]);
    assert!(matches!(told(&run), Some(Reboot { outcome: RebootOutcome::Done { .. }, .. })));
}

#[test]
fn every_shut_gate_keeps_a_host_from_its_reboot_and_is_told() {
    let ask = || reboot_asked_of(observed(36_000));
    let seen = |observed| reboot_asked_of(observed);
    check_waits(seen(Observed { window: Verdict::NoneConfigured, ..observed(1) }), &["no_window"]);
    check_waits(seen(Observed { window: Verdict::Shut { next: None }, ..observed(1) }), &["outside_window"]);
    check_waits(seen(Observed { is_paused: true, ..observed(36_000) }), &["paused"]);
    let freeze = Some(Freeze { until: at(9), reason: "trade fair".into() });
    check_waits(seen(Observed { freeze, ..observed(36_000) }), &["freeze"]);
    check_waits(seen(Observed { clock: Clock::Unsynchronised, ..observed(36_000) }), &["clock_untrusted"]);
    // The window ends a minute after its cutoff.
    let reserve = |seconds| Observed { reserve: SignedDuration::from_secs(seconds), ..observed(600) };
    check_waits(seen(reserve(661)), &["wont_fit"]);
    check_waits(
        RebootAsk { database: vec!["app is half configured".into()], ..ask() },
        &["database_interrupted"],
    );
    check_waits(RebootAsk { never: Some("reboot.policy is never".into()), ..ask() }, &["never_rebooted"]);
    check_waits(RebootAsk { boot_id: None, ..ask() }, &["forbidden"]);
    let (run, _) = feed(apply(), with(patched(), [weighed(seen(reserve(660)))]));
    assert!(matches!(run.phase, Phase::PreparingReboot(_)));
}

#[test]
fn a_grant_is_no_word_for_a_reboot() {
    let grant = Some(Grant { reason: "CVE-2026-1".into(), until: at(36_000) });
    let outside = Observed { window: Verdict::Shut { next: Some(occurrence()) }, grant, ..observed(1) };
    check_waits(reboot_asked_of(outside), &["outside_window"]);
}

fn occurrence() -> Occurrence {
    Occurrence { start: at(0), cutoff: at(600), end: at(3_600), name: "night".into() }
}

#[test]
fn after_the_cutoff_only_what_was_begun_before_is_ended() {
    let late = Observed {
        now: at(900),
        window: Verdict::Shut { next: None },
        closing: Some(Box::new(occurrence())),
        reserve: SignedDuration::from_secs(300),
        ..observed(1)
    };
    let (run, _) = feed(apply(), with(patched(), [weighed(reboot_asked_of(late.clone()))]));
    assert!(matches!(run.phase, Phase::PreparingReboot(_)), "its transaction was begun at 5 s");
    // Nothing was begun before it.
    let only = vec![Event::Started, findings("", &[]), weighed(reboot_asked_of(late.clone()))];
    let (run, _) = feed(apply(), only);
    assert!(matches!(told(&run).map(|told| &told.outcome), Some(RebootOutcome::Waits { .. })));
    // Or in another occurrence.
    let other = Occurrence { start: at(10), ..occurrence() };
    check_waits(
        reboot_asked_of(Observed { closing: Some(Box::new(other)), ..late.clone() }),
        &["outside_window"],
    );
    check_waits(reboot_asked_of(Observed { now: at(3_301), ..late }), &["wont_fit"]);
}

#[test]
fn a_pre_reboot_hook_and_the_executor_may_say_no() {
    let no = TransactionEnd { output_tail: vec!["a backup runs".into()], ..end(Some(1)) };
    let hooks = with(patched(), [wishes(), Event::HooksRun(no), findings("", &[])]);
    let (run, _) = feed(apply(), hooks);
    let waits = told(&run).and_then(Reboot::waits);
    assert_eq!(waits.as_deref(), Some("a pre-reboot hook said no: a backup runs"));
    let refusal = "the executor refuses (reboot_loop): it was rebooted for this";
    let events = [wishes(), hooks_pass(), wishes(), all_refused(refusal), findings("", &[])];
    let (run, _) = feed(apply(), with(patched(), events));
    assert_eq!(told(&run).and_then(Reboot::waits).as_deref(), Some(refusal));
}

#[test]
fn somebody_at_work_on_packages_is_waited_for_and_not_for_ever() {
    let locked = || {
        let lock_holder = Some("pid 812 (apt-get)".to_owned());
        weighed(reboot_asked_of(Observed { lock_holder, ..observed(36_000) }))
    };
    let (run, effects) = feed(apply(), with(patched(), [locked()]));
    assert_eq!(effects, [Effect::WeighReboot]);
    let (free, _) = step(run.clone(), wishes()).unwrap();
    assert!(matches!(free.phase, Phase::PreparingReboot(_)));
    let looks = (0..MAX_REBOOT_LOOKS).map(|_| locked()).chain([findings("", &[])]).collect();
    let (run, _) = feed(run, looks);
    let Some(Reboot { outcome: RebootOutcome::Waits { gates }, .. }) = told(&run) else { panic!("{run:?}") };
    assert_eq!(gates[0].code(), "locked");
}

#[test]
fn a_stop_keeps_a_host_from_its_reboot() {
    let stop = Event::StopRequested { by: "uid 0".into() };
    let (run, _) = feed(apply(), patched());
    assert!(run.is_stoppable());
    let (run, _) = feed(run, vec![stop, wishes(), findings("", &[])]);
    assert_eq!(told(&run).and_then(Reboot::waits).as_deref(), Some("stopped by uid 0"));
}

#[test]
fn a_run_that_is_cut_again_and_again_reboots_nothing() {
    let (mut run, _) = feed(apply(), patched());
    for _ in 0..=MAX_RESTARTS {
        (run, _) = step(run, Event::Restarted).unwrap();
    }
    assert!(matches!(run.phase, Phase::Assessing { .. }), "{:?}", run.phase);
    let (run, _) = step(run, findings("", &[])).unwrap();
    assert_eq!(told(&run), None);
}

#[test]
fn a_dry_run_and_a_scan_weigh_nothing() {
    for (operation, wish) in [(Operation::Scan, Wish::WhatIsDue), (Operation::Apply, Wish::DryRun)] {
        let run = order(operation, RefreshPolicy::UseListsAsTheyAre, wish);
        let (_, effects) = feed(run, vec![Event::Started, findings("", &[])]);
        assert!(!effects.contains(&Effect::WeighReboot), "{effects:?}");
    }
}
