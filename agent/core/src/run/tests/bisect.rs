//! As few transactions as may be, and one bad package holds nobody back (Azure/LinuxPatchExtension#133,
//! mvo5/unattended-upgrades#337).

use super::*;
use crate::run::Outcome;

/// A host on which these packages can't be changed; what was asked of it, and how the run ended.
fn play(names: &str, ties: &[(&str, &str)], answer: impl Fn(&Plan) -> Vec<Event>) -> (Vec<String>, RunState) {
    let mut run = apply();
    let mut told = Vec::new();
    let mut events: Vec<Event> = to_applying(names, ties);
    events.reverse();
    while let Some(event) = events.pop() {
        let (next, effects) = step(run, event).unwrap();
        run = next;
        let Some(effect) = effects.first() else { continue };
        match effect {
            Effect::Apply(work) => {
                told.push(short(effect).replace("apply ", ""));
                events.extend(answer(&work.plan).into_iter().rev());
            }
            Effect::LookAtGates { .. } if events.is_empty() => events.push(open()),
            Effect::RunHooks { .. } if events.is_empty() => events.push(hooks_pass()),
            Effect::WeighReboot => events.push(no_reboot()),
            _ => {}
        }
    }
    (told, run)
}

fn done(plan: &Plan) -> Vec<Event> {
    let installed = plan.changes().iter().map(|change| installed(change.package.name.as_str())).collect();
    vec![Event::Applied(end(Some(0))), Event::ReadBack(installed)]
}

fn has(plan: &Plan, name: &str) -> bool {
    plan.changes().iter().any(|change| change.package == id(name))
}

fn setbacks(run: &RunState) -> Vec<(String, String)> {
    let Phase::Assessing { purpose: super::super::Purpose::Final(result), .. } = &run.phase else {
        panic!("{:?}", run.phase.code())
    };
    let setbacks = result.record.failed.iter().chain(&result.record.waiting);
    setbacks
        .map(|setback| {
            let names: Vec<_> = setback.packages.iter().map(|package| package.name.to_string()).collect();
            (names.join(" "), setback.why.clone())
        })
        .collect()
}

#[test]
fn everything_goes_in_one_transaction_if_nothing_speaks_against_it() {
    let (told, run) = play("a b c d", &[("a", "b")], done);
    assert_eq!(
        told,
        ["b+a+c+d"
            .split('+')
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join("+")]
    );
    assert_eq!(setbacks(&run), []);
}

#[test]
fn a_set_that_fails_without_a_culprit_is_halved_until_the_bad_one_stands_alone() {
    let (told, run) = play("a b c d", &[], |plan| {
        if has(plan, "c") { vec![packages_refused("c can't go", &[])] } else { done(plan) }
    });
    assert_eq!(told, ["a+b+c+d", "a+b", "c+d", "c", "d"]);
    assert_eq!(setbacks(&run), [("c".into(), "c can't go".into())]);
}

#[test]
fn a_package_that_is_blamed_is_left_out_at_once_with_what_needs_it() {
    let (told, run) = play("a b c d", &[("d", "c")], |plan| {
        if has(plan, "c") { vec![packages_refused("no archive of c", &["c"])] } else { done(plan) }
    });
    assert_eq!(told, ["a+b+c+d", "a+b"]);
    let expected = [("c".into(), "no archive of c".into()), ("d".into(), "it needs c, which failed".into())];
    assert_eq!(setbacks(&run), expected);
}

#[test]
fn a_failing_script_is_named_with_its_own_words_and_the_rest_is_done_in_one_go() {
    let (told, run) = play("a b c d", &[], |plan| match has(plan, "b") {
        false => done(plan),
        true => vec![
            Event::Applied(failed_on("b:amd64")),
            Event::Repaired(failed_on("b")),
            read_back("a b! c=1 d=1"),
        ],
    });
    assert_eq!(told, ["a+b+c+d", "c+d"]);
    assert_eq!(setbacks(&run), [("b".into(), "b:amd64: its postinst returned 1".into())]);
    let Phase::Assessing { purpose: super::super::Purpose::Final(result), .. } = &run.phase else {
        panic!("not at its end")
    };
    assert_eq!(result.record.failed[0].output, ["no such user"]);
}

#[test]
fn nothing_that_was_done_is_done_again() {
    let (told, _) = play("a b c d", &[], |plan| match plan.changes().len() {
        4 => vec![Event::Applied(end(None)), Event::Repaired(end(Some(0))), read_back("a b c=1 d=1")],
        _ => done(plan),
    });
    assert_eq!(told, ["a+b+c+d", "c", "d"]);
}

#[test]
fn a_run_does_not_try_for_ever() {
    let names: Vec<String> = (0..200).map(|at| format!("p{at:03}")).collect();
    let (told, run) = play(&names.join(" "), &[], |_| vec![packages_refused("the mirror is away", &[])]);
    assert!(told.len() <= 12, "{} transactions", told.len());
    assert_eq!(setbacks(&run).len(), 200);
}

#[test]
fn what_does_not_fit_is_passed_over_for_what_does() {
    let start = |gates: Observed| {
        let gates = Event::GatesSeen(gates);
        vec![
            Event::Started,
            findings("a linux z", &[("z", "linux")]),
            simulated("a linux z"),
            gates.clone(),
            hooks_pass(),
            gates,
        ]
    };
    let chosen = |events: Vec<Event>| {
        let mut run = apply();
        for event in events {
            run = step(run, event).unwrap().0;
        }
        let Phase::Applying(underway) = run.phase else { return run.phase.code().to_owned() };
        let names: Vec<_> =
            underway.work.plan.changes().iter().map(|change| change.package.name.to_string()).collect();
        names.join(" ")
    };
    // Fifteen seconds for the transaction, ten for each package.
    assert_eq!(chosen(start(observed(45))), "a linux z");
    assert_eq!(chosen(start(observed(44))), "a linux");
    assert_eq!(chosen(start(observed(24))), "finishing", "nothing fits, and what the hooks did is undone");
    let mut small_boot = observed(600);
    small_boot.filesystems[0].free_bytes = 20 << 20;
    assert_eq!(chosen(start(small_boot)), "a", "the kernel and what needs it wait for room");
}

#[test]
fn a_step_whose_packages_can_not_be_read_back_has_failed() {
    let story = [Event::Applied(end(Some(0))), Event::Lost { detail: "no answer".into() }];
    let mut run = apply();
    for event in with(to_applying("app", &[]), story) {
        run = step(run, event).unwrap().0;
    }
    let Phase::Finishing { progress, .. } = &run.phase else { panic!("{:?}", run.phase.code()) };
    assert!(matches!(&progress.outcomes[..], [Outcome::Failed { .. }]));
}

#[test]
fn a_refusal_for_reasons_of_time_or_policy_ends_the_run() {
    let monday = "the executor refuses (outside_window): it is Monday";
    let story = [all_refused(monday), hooks_pass(), no_reboot(), findings("app", &[]), Event::Reported];
    let mut run = apply();
    for event in with(to_applying("app", &[]), story) {
        run = step(run, event).unwrap().0;
    }
    check_gates(&run, &["forbidden"]);
    check_verdict(&run, &refused(&format!("1 packages were not tried: {monday}")));
}
