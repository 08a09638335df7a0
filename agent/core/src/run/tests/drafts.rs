//! Plans on their way through the dry run.

use super::*;

#[test]
fn new_dependencies_come_with_what_needs_them_and_need_no_second_look() {
    let story = vec![Event::Started, findings("app", &[]), simulated("+lib app"), open()];
    let run = check(apply(), story, &["assess", "simulate app", "look_at_gates", "run_hooks", "preparing"]);
    assert_eq!(run.phase.progress().unwrap().plan, plan("+lib app"));
}

#[test]
fn an_upgrade_that_the_dry_run_adds_is_named_in_the_next_one() {
    let start = vec![Event::Started, findings("app", &[]), simulated("app core")];
    check(
        apply(),
        with(start.clone(), [simulated("app core")]),
        &["assess", "simulate app", "simulate app+core", "look_at_gates", "gating"],
    );
    // One that never settles is left out, and then nothing is left.
    let endless = [simulated("app core x"), simulated("app core x y"), simulated("app core x y z")];
    let run = check(
        apply(),
        with(with(start, endless), [Event::Reported]),
        &[
            "assess",
            "simulate app",
            "simulate app+core",
            "simulate app+core+x",
            "simulate app+core+x+y",
            "report",
            "concluded",
        ],
    );
    check_verdict(&run, &refused("what it depends on does not settle"));
}

#[test]
fn one_package_that_can_not_go_keeps_no_other_back() {
    let story = vec![
        Event::Started,
        findings("a b c d", &[]),
        no_way("c needs x"),
        simulated("a b"),
        no_way("c needs x"),
        no_way("c needs x"),
        simulated("a b d"),
    ];
    let effects = [
        "assess",
        "simulate a+b+c+d",
        "simulate a+b",
        "simulate a+b+c+d",
        "simulate a+b+c",
        "simulate a+b+d",
        "look_at_gates",
        "gating",
    ];
    let run = check(apply(), story, &effects);
    let progress = run.phase.progress().unwrap();
    assert_eq!(progress.plan, plan("a b d"));
    let [left_out] = progress.left_out.as_slice() else { panic!("{:?}", progress.left_out) };
    assert_eq!(left_out.packages, [id("c")]);
    assert_eq!(left_out.why, "the package manager would not do it: c needs x");
}

#[test]
fn what_policy_does_not_name_is_neither_removed_nor_taken_back() {
    let forbidden = Simulation {
        removals: vec![id("sshd")],
        forbidden: vec!["it would remove sshd:amd64".into()],
        ..simulation("app")
    };
    let story = vec![Event::Started, findings("app", &[]), Event::Simulated(forbidden), Event::Reported];
    let run = check(apply(), story, &["assess", "simulate app", "report", "concluded"]);
    check_verdict(&run, &refused("policy does not allow what it takes: it would remove sshd:amd64"));

    let allowed = Simulation { removals: vec![id("old")], ..simulation("app") };
    let story = vec![Event::Started, findings("app", &[]), Event::Simulated(allowed)];
    let run = check(apply(), story, &["assess", "simulate app", "look_at_gates", "gating"]);
    assert_eq!(run.phase.progress().unwrap().plan.removals(), [id("old")]);
}

fn shown(names: &str) -> RunState {
    order(Operation::Apply, RefreshPolicy::UseListsAsTheyAre, Wish::ThisPlan(plan(names)))
}

#[test]
fn the_plan_that_was_shown_is_the_plan_that_runs() {
    // The dependency was in the plan, and is asked for by nobody but what needs it.
    let story = vec![Event::Started, findings("app tool", &[]), simulated("+lib app")];
    let run = check(shown("+lib app"), story, &["assess", "simulate app", "look_at_gates", "gating"]);
    assert_eq!(run.phase.progress().unwrap().plan, plan("+lib app"));
}

#[test]
fn a_plan_that_is_not_what_would_be_done_now_is_refused_with_the_difference() {
    let story = vec![Event::Started, findings("app", &[]), simulated("app core"), Event::Reported];
    let effects = ["assess", "simulate app", "report", "concluded"];
    let differs = "the plan is not what would be done now: simulated but not planned: core:amd64 1 -> 2";
    check_verdict(&check(shown("app"), story, &effects), &refused(differs));

    let mut newer = proposal("app", &[]);
    let [app] = newer.plan.changes() else { panic!("one change") };
    newer.plan = Plan::try_new(vec![PlannedChange { to: version("3"), ..app.clone() }]).unwrap();
    let newer = Event::Assessed(Findings { assessment: Assessment::Complete, proposal: Some(newer) });
    let run =
        check(shown("app"), vec![Event::Started, newer, Event::Reported], &["assess", "report", "concluded"]);
    let differs = "the plan is not what would be done now: app:amd64 would go to 3, and the plan says 2";
    check_verdict(&run, &refused(differs));

    // What the baseline does not approve of gets in neither as a plan of its own nor beside an approved package.
    let story = vec![Event::Started, findings("app", &[]), Event::Reported];
    let run = check(shown("evil"), story, &["assess", "report", "concluded"]);
    check_verdict(&run, &refused("the baseline approves of nothing that is in the plan"));
    let story = vec![Event::Started, findings("app", &[]), simulated("app"), Event::Reported];
    let run = check(shown("app evil"), story, &effects);
    let differs = "the plan is not what would be done now: planned but not simulated: evil:amd64 1 -> 2";
    check_verdict(&run, &refused(differs));

    let story = vec![Event::Started, findings("", &[]), Event::Reported];
    let run = check(shown("app"), story, &["assess", "report", "concluded"]);
    check_verdict(&run, &refused("the plan is not what would be done now: nothing is to be done"));
}

fn blocking(names: &str, ties: &[(&str, &str)], entry: &str) -> Event {
    let blocked = vec![Pattern::parse(entry, Packaging::Deb).unwrap()];
    let proposal = Some(Proposal { blocked, ..proposal(names, ties) });
    Event::Assessed(Findings { assessment: Assessment::Complete, proposal })
}

#[test]
fn what_the_baseline_blocks_comes_along_with_nothing_and_what_needs_it_stays() {
    let story = vec![
        Event::Started,
        blocking("app tool", &[], "evil"),
        simulated("app evil tool"),
        simulated("app evil"),
        simulated("tool"),
    ];
    let effects = ["assess", "simulate app+tool", "simulate app", "simulate tool", "look_at_gates", "gating"];
    let run = check(apply(), story, &effects);
    let progress = run.phase.progress().unwrap();
    assert_eq!(progress.plan, plan("tool"));
    let [left] = progress.left_out.as_slice() else { panic!("{:?}", progress.left_out) };
    assert_eq!(left.packages, [id("app")]);
    assert_eq!(left.why, "it takes evil:amd64 2: the baseline rejects it by the entry \"evil\" (BLOCK)");
    assert_eq!(left.blocked.as_ref().map(|link| &link.package), Some(&id("evil")));
}

#[test]
fn what_is_blocked_new_or_in_one_version_only_is_seen_in_the_dry_run_too() {
    for (entry, dry_run) in [("ev*", "+evil app"), ("evil-2", "app evil")] {
        let story = vec![Event::Started, blocking("app", &[], entry), simulated(dry_run), Event::Reported];
        let run = check(apply(), story, &["assess", "simulate app", "report", "concluded"]);
        assert!(matches!(&run.phase, Phase::Concluded { verdict: RunVerdict::Refused { .. }, .. }));
    }
    let story =
        vec![Event::Started, blocking("app", &[], "evil-1"), simulated("app evil"), simulated("app evil")];
    check(apply(), story, &["assess", "simulate app", "simulate app+evil", "look_at_gates", "gating"]);
}

/// A plan that was shown before the baseline blocked what it brings along is no way past the baseline.
#[test]
fn a_plan_that_was_shown_brings_nothing_that_is_blocked_by_now() {
    let dry_run = simulated("+evil app");
    let story = vec![Event::Started, blocking("app", &[], "evil"), dry_run, Event::Reported];
    let run = check(shown("+evil app"), story, &["assess", "simulate app", "report", "concluded"]);
    let differs = "the plan is not what would be done now: it takes evil:amd64 2: the baseline rejects it by the \
                   entry \"evil\" (BLOCK)";
    check_verdict(&run, &refused(differs));
}
