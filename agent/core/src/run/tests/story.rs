//! Runs that go well, and runs that something stands in the way of.

use super::*;
use crate::run::event::{Recall, RefreshOutcome};
use crate::run::{MAX_LOCK_LOOKS, MAX_LOST_RECALLS, MAX_RECALLS};

const FULL: [&str; 11] = [
    "assess",
    "simulate app",
    "look_at_gates",
    "run_hooks",
    "look_at_gates",
    "apply app",
    "read_back",
    "run_hooks",
    "assess",
    "report",
    "concluded",
];

fn last_events() -> [Event; 3] {
    [hooks_pass(), findings("", &[]), Event::Reported]
}

#[test]
fn a_scan_refreshes_looks_and_reports() {
    let run = check(
        order(Operation::Scan, RefreshPolicy::Refresh, Wish::WhatIsDue),
        vec![
            Event::Started,
            Event::Refreshed(RefreshOutcome::Fetched),
            findings("app", &[]),
            Event::Reported,
        ],
        &["refresh", "assess", "report", "concluded"],
    );
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn a_lost_refresh_is_repeated_once_and_then_tells_the_assessment() {
    let failed = RefreshOutcome::Failed { failures: vec!["no executor".into()] };
    let scan = || order(Operation::Scan, RefreshPolicy::Refresh, Wish::WhatIsDue);
    let (run, _) = step(scan(), Event::Started).unwrap();
    let lost = || Event::Lost { detail: "no executor".into() };
    let (run, effects) = step(run, lost()).unwrap();
    assert_eq!(effects, [Effect::Refresh { transaction: "run-1.refresh.2".into() }]);
    let (_, effects) = step(run, lost()).unwrap();
    assert_eq!(effects, [Effect::Assess { refresh: Some(failed) }]);
    // A no is an answer, and is not asked for again.
    let (run, _) = step(scan(), Event::Started).unwrap();
    let (_, effects) = step(run, all_refused("busy")).unwrap();
    assert!(matches!(effects[..], [Effect::Assess { .. }]));
}

#[test]
fn an_apply_goes_all_the_way() {
    let story = with(to_applying("app", &[]), [Event::Applied(end(Some(0))), read_back("app")]);
    let run = check(apply(), with(story, last_events()), &FULL);
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn success_is_what_was_read_back_and_not_the_exit_code() {
    let story =
        with(to_applying("app", &[]), [Event::Applied(end(Some(0))), read_back("app=1"), hooks_pass()]);
    let run = check(apply(), with(story, [findings("app", &[]), Event::Reported]), &FULL);
    let detail = "app: it stayed at its version, and the package manager ended with 0";
    check_verdict(&run, &RunVerdict::Failed { detail: detail.into() });

    let bad_end = [Event::Applied(end(Some(100))), Event::Repaired(end(Some(0))), read_back("app")];
    let mut effects = FULL.to_vec();
    effects.insert(6, "repair");
    let run = check(apply(), with(with(to_applying("app", &[]), bad_end), last_events()), &effects);
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn shut_gates_are_all_told_and_nothing_is_begun() {
    let all_shut = Observed { window: Verdict::NoneConfigured, is_paused: true, ..observed(1) };
    let events = vec![
        Event::Started,
        incomplete(ProblemKind::RefreshFailed, "app"),
        simulated("app"),
        Event::GatesSeen(all_shut),
        Event::Reported,
    ];
    let run = check(apply(), events, &["assess", "simulate app", "look_at_gates", "report", "concluded"]);
    check_gates(&run, &["paused", "no_window", "refresh_failed"]);
}

#[test]
fn a_dry_run_tells_the_gates_and_leaves_neither_change_nor_report() {
    let dry = || order(Operation::Apply, RefreshPolicy::UseListsAsTheyAre, Wish::DryRun);
    let story = |gates| vec![Event::Started, findings("app", &[]), simulated("app"), gates];
    let effects = ["assess", "simulate app", "look_at_gates", "concluded"];
    let run = check(dry(), story(open()), &effects);
    check_verdict(&run, &RunVerdict::Succeeded);
    check_gates(&run, &[]);
    check_gates(&check(dry(), story(shut()), &effects), &["outside_window"]);
    check_gates(&check(dry(), story(Event::GatesSeen(observed(20))), &effects), &["wont_fit"]);
    check_gates(&check(dry(), story(locked(36_000)), &effects), &["locked"]);
    let cut = vec![Event::Started, incomplete(ProblemKind::Interrupted, "app"), simulated("app"), open()];
    check_gates(&check(dry(), cut, &effects), &["database_interrupted"]);
}

fn locked(left: i64) -> Event {
    Event::GatesSeen(Observed { lock_holder: Some("pid 812 (apt-get)".into()), ..observed(left) })
}

#[test]
fn somebody_elses_work_is_waited_for_before_the_hooks() {
    let story = vec![Event::Started, findings("app", &[]), simulated("app"), locked(36_000), locked(36_000)];
    let rest = [open(), hooks_pass(), open(), Event::Applied(end(Some(0))), read_back("app")];
    let mut effects = FULL.to_vec();
    effects.splice(2..2, ["look_at_gates", "look_at_gates"]);
    let run = check(apply(), with(with(story, rest), last_events()), &effects);
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn somebody_elses_work_is_waited_for_only_as_long_as_a_step_would_fit() {
    let start = || vec![Event::Started, findings("app", &[]), simulated("app"), locked(36_000)];
    let effects = ["assess", "simulate app", "look_at_gates", "look_at_gates", "report", "concluded"];
    let run = check(apply(), with(start(), [locked(20), Event::Reported]), &effects);
    check_gates(&run, &["locked", "wont_fit"]);
    let run = check(apply(), with(start(), [shut(), Event::Reported]), &effects);
    check_gates(&run, &["outside_window"]);
    let stopped =
        with(start(), [Event::StopRequested { by: "uid 0".into() }, locked(36_000), Event::Reported]);
    check_gates(&check(apply(), stopped, &effects), &["stopped"]);
}

#[test]
fn somebody_who_is_never_done_does_not_hold_a_run_for_ever() {
    let looks = (0..=MAX_LOCK_LOOKS).map(|_| locked(36_000));
    let start = vec![Event::Started, findings("app", &[]), simulated("app")];
    let story: Vec<_> = start.into_iter().chain(looks).collect();
    let run = story.into_iter().fold(apply(), |run, event| step(run, event).unwrap().0);
    assert!(matches!(&run.phase, Phase::Reporting { .. }), "{}", run.phase.code());
}

#[test]
fn nothing_to_do_is_a_success_only_if_that_is_known() {
    let complete = vec![Event::Started, findings("", &[]), Event::Reported];
    check_verdict(&check(apply(), complete, &["assess", "report", "concluded"]), &RunVerdict::Succeeded);
    let unknown = vec![Event::Started, incomplete(ProblemKind::Expired, ""), Event::Reported];
    let run = check(apply(), unknown, &["assess", "report", "concluded"]);
    check_verdict(&run, &refused("what is to be done can't be told: /lists: is wrong"));
}

#[test]
fn a_cut_database_is_mended_first_and_only_where_changes_are_allowed() {
    let cut = incomplete(ProblemKind::Interrupted, "app");
    let story = vec![Event::Started, cut.clone(), open(), Event::Repaired(end(Some(0))), cut.clone()];
    // Mended once: if it is still cut then, the gate stays shut.
    let story = with(story, [simulated("app"), open(), Event::Reported]);
    let effects = ["assess", "look_at_gates", "repair", "assess", "simulate app", "look_at_gates", "report"];
    let run = check(apply(), story, &[&effects[..], &["concluded"]].concat());
    check_gates(&run, &["database_interrupted"]);
    let outside = vec![Event::Started, cut, shut(), Event::Reported];
    let run = check(apply(), outside, &["assess", "look_at_gates", "report", "concluded"]);
    check_gates(&run, &["database_interrupted", "outside_window"]);
}

#[test]
fn a_pre_patch_hook_that_says_no_keeps_everything_as_it_is() {
    let story = vec![Event::Started, findings("app", &[]), simulated("app"), open()];
    let mut no = end(Some(1));
    no.output_tail = vec!["the cluster is not healthy".into()];
    let story = with(story, [Event::HooksRun(no), hooks_pass(), findings("app", &[]), Event::Reported]);
    let effects = [
        "assess",
        "simulate app",
        "look_at_gates",
        "run_hooks",
        "run_hooks",
        "assess",
        "report",
        "concluded",
    ];
    let run = check(apply(), story, &effects);
    check_gates(&run, &["hook_failed"]);
    let detail = "1 packages were not tried: a pre-patch hook said no: the cluster is not healthy";
    check_verdict(&run, &refused(detail));
}

#[test]
fn a_grant_stands_for_the_window_and_is_passed_on() {
    let story =
        vec![Event::Started, findings("app", &[]), simulated("app"), granted(), hooks_pass(), granted()];
    let run = check(apply(), story, &[&FULL[..6], &["applying"]].concat());
    let Phase::Applying(underway) = &run.phase else { panic!("not applying") };
    assert_eq!(underway.work.granted, Some(plan("app")));
    assert_eq!(underway.progress.permission.as_deref(), Some("granted by root: CVE-2026-1"));
}

#[test]
fn a_crash_while_applying_asks_and_never_applies_again() {
    let story = [
        Event::Restarted,
        Event::Recalled(Recall::Running),
        Event::Restarted,
        Event::Recalled(Recall::Ended(end(Some(100)))),
        Event::Restarted,
        Event::Repaired(end(Some(0))),
        Event::Restarted,
        read_back("app=1"),
        Event::Restarted,
        hooks_pass(),
        Event::Restarted,
        no_reboot(),
        Event::Restarted,
        findings("app", &[]),
        Event::Reported,
    ];
    let effects = [
        "recall",
        "recall",
        "recall",
        "repair",
        "repair",
        "read_back",
        "read_back",
        "run_hooks",
        "run_hooks",
        "weigh_reboot",
        "weigh_reboot",
        "assess",
        "assess",
        "report",
        "concluded",
    ];
    let run = check(apply(), with(to_applying("app", &[]), story), &[&FULL[..6], &effects].concat());
    let detail = "app: it stayed at its version, and the package manager ended with 100";
    check_verdict(&run, &RunVerdict::Failed { detail: detail.into() });
}

#[test]
fn a_transaction_that_was_cut_is_repaired_and_what_it_did_not_reach_is_done() {
    let story = [
        Event::Restarted,
        Event::Recalled(Recall::Cut(end(None))),
        Event::Repaired(end(Some(0))),
        read_back("app lib=1"),
        open(),
        Event::Applied(end(Some(0))),
        read_back("lib"),
    ];
    let effects = [
        "apply app+lib",
        "recall",
        "repair",
        "read_back",
        "look_at_gates",
        "apply lib",
        "read_back",
        "run_hooks",
        "assess",
        "report",
        "concluded",
    ];
    let start = ["assess", "simulate app+lib", "look_at_gates", "run_hooks", "look_at_gates"];
    let events = with(with(to_applying("app lib", &[]), story), last_events());
    check_verdict(&check(apply(), events, &[&start[..], &effects].concat()), &RunVerdict::Succeeded);
}

#[test]
fn a_stop_is_honoured_between_transactions_and_not_within_one() {
    let stop = || Event::StopRequested { by: "uid 0".into() };
    let stopped = refused("stopped by uid 0");
    let early = vec![Event::Started, stop(), findings("app", &[])];
    check_verdict(&check(apply(), early, &["assess", "concluded"]), &stopped);
    check_verdict(&check(apply(), vec![stop()], &["concluded"]), &stopped);

    let story = [
        stop(),
        Event::Applied(end(Some(100))),
        Event::Repaired(end(Some(0))),
        read_back("app lib=1"),
        open(),
    ];
    let events = with(with(to_applying("app lib", &[]), story), last_events());
    let effects = [
        "assess",
        "simulate app+lib",
        "look_at_gates",
        "run_hooks",
        "look_at_gates",
        "apply app+lib",
        "repair",
        "read_back",
        "look_at_gates",
        "run_hooks",
        "assess",
        "report",
        "concluded",
    ];
    let run = check(apply(), events, &effects);
    let detail = "1 packages were not tried: stopped by uid 0";
    check_verdict(&run, &RunVerdict::Partial { detail: detail.into() });
}

#[test]
fn a_window_that_shuts_between_two_transactions_ends_the_run_where_it_is() {
    let story =
        [Event::Applied(end(Some(100))), Event::Repaired(end(Some(0))), read_back("app lib=1"), shut()];
    let [hooks, rest @ ..] = last_events();
    let events = with(with(to_applying("app lib", &[]), story), [hooks, no_reboot()]);
    let mut run = apply();
    for event in with(events, rest) {
        run = step(run, event).unwrap().0;
    }
    check_gates(&run, &["outside_window"]);
    let detail = "1 packages were not tried: no window is open, and none will open again";
    check_verdict(&run, &RunVerdict::Partial { detail: detail.into() });
}

#[test]
fn a_run_that_was_cut_before_its_start_is_started() {
    let run = check(
        order(Operation::Scan, RefreshPolicy::UseListsAsTheyAre, Wish::WhatIsDue),
        vec![Event::Restarted, findings("app", &[]), Event::Reported],
        &["assess", "report", "concluded"],
    );
    check_verdict(&run, &RunVerdict::Succeeded);
}

#[test]
fn a_run_that_kills_the_agent_is_given_up() {
    let events = vec![Event::Started, Event::Restarted, Event::Restarted, Event::Restarted, Event::Restarted];
    let run = check(
        order(Operation::Scan, RefreshPolicy::UseListsAsTheyAre, Wish::WhatIsDue),
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
    for event in to_applying("app", &[]) {
        run = step(run, event).unwrap().0;
    }
    for _ in 0..MAX_LOST_RECALLS + 6 {
        run = step(run, lost()).unwrap().0;
    }
    assert_eq!(run.phase.code(), "concluded");
    assert!(matches!(run.phase, Phase::Concluded { verdict: RunVerdict::Failed { .. }, .. }));
}

/// However long the executor says that it still works, a run ends.
#[test]
fn asking_ends() {
    let mut run = apply();
    for event in with(to_applying("app", &[]), [Event::Restarted]) {
        run = step(run, event).unwrap().0;
    }
    for _ in 0..=MAX_RECALLS {
        assert_eq!(run.phase.code(), "recalling");
        run = step(run, Event::Recalled(Recall::Running)).unwrap().0;
    }
    assert_eq!(run.phase.code(), "reading_back");
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

#[test]
fn a_repair_that_gives_no_answer_is_asked_for_again_and_one_that_is_refused_is_not() {
    let start = with(to_applying("app", &[]), [Event::Applied(end(None))]);
    let lost = || Event::Lost { detail: "the executor hung up".into() };
    let effects = ["repair", "repair_later", "repair_later", "read_back", "reading_back"];
    let story = with(start.clone(), [lost(), lost(), Event::Repaired(end(Some(0)))]);
    check(apply(), story, &[&FULL[..6], &effects].concat());
    let story = with(start, [all_refused("locked")]);
    check(apply(), story, &[&FULL[..6], &["repair", "read_back", "reading_back"]].concat());
}
