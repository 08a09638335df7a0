//! Each gate alone, and all of them at once.

use super::*;
use crate::problem::Weight;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(minutes * 60).unwrap()
}

fn open() -> Verdict {
    Verdict::Open(Occurrence { start: at(0), cutoff: at(60), end: at(90), name: "night".into() })
}

fn observed() -> Observed {
    Observed {
        now: at(10),
        window: open(),
        closing: None,
        is_paused: false,
        freeze: None,
        lifted: None,
        clock: Clock::Synchronised,
        filesystems: vec![],
        available_memory: Some(MIN_MEMORY),
        lock_holder: None,
        cloud_init: None,
        grant: None,
        reserve: SignedDuration::from_mins(5),
        longest_transaction: SignedDuration::from_mins(30),
    }
}

fn incomplete(kinds: &[ProblemKind]) -> Assessment {
    let problem = |&kind| Problem::new(kind, Weight::Incomplete, "/lists", "is wrong");
    Assessment::Incomplete { because: kinds.iter().map(problem).collect() }
}

#[track_caller]
fn check_codes(observed: &Observed, assessment: &Assessment, expected: &[&str]) {
    let codes: Vec<_> = match check(observed, assessment) {
        Ok(_) => Vec::new(),
        Err(shut) => shut.iter().map(Shut::code).collect(),
    };
    assert_eq!(codes, expected);
}

#[test]
fn every_shut_gate_is_named_and_all_of_them() {
    check_codes(&observed(), &Assessment::Complete, &[]);
    let none = Observed { window: Verdict::NoneConfigured, ..observed() };
    check_codes(&none, &Assessment::Complete, &["no_window"]);
    let all = Observed {
        window: Verdict::Shut { next: None },
        is_paused: true,
        freeze: Some(Freeze { until: at(99), reason: "year end".into() }),
        clock: Clock::Unsynchronised,
        cloud_init: Some("it is at work".into()),
        available_memory: Some(1),
        ..observed()
    };
    let problems = [ProblemKind::RefreshFailed, ProblemKind::Interrupted, ProblemKind::NotYetValid];
    check_codes(
        &all,
        &incomplete(&problems),
        &[
            "paused",
            "freeze",
            "outside_window",
            "clock_untrusted",
            "cloud_init",
            "memory",
            "refresh_failed",
            "database_interrupted",
            "clock_untrusted",
        ],
    );
}

#[test]
fn a_clock_that_nobody_can_vouch_for_shuts() {
    for (clock, expected) in [
        (Clock::NotRequired, &[][..]),
        (Clock::Unsynchronised, &["clock_untrusted"]),
        (Clock::Jumped { detail: "by a day".into() }, &["clock_untrusted"]),
        (Clock::Unknown { detail: "no adjtimex".into() }, &["clock_untrusted"]),
    ] {
        check_codes(&Observed { clock, ..observed() }, &Assessment::Complete, expected);
    }
}

#[test]
fn a_grant_opens_the_window_and_stands_for_the_clock_and_cloud_init_and_opens_nothing_else() {
    let granted = Observed {
        window: Verdict::NoneConfigured,
        clock: Clock::Unsynchronised,
        cloud_init: Some("it is at work, and says so to root".into()),
        grant: Some(Grant { reason: "CVE".into(), until: at(20) }),
        ..observed()
    };
    let permit = check(&granted, &Assessment::Complete).unwrap();
    assert_eq!((permit.by.name().as_str(), permit.time.as_mins()), ("granted by root: CVE", 5));
    check_codes(&Observed { is_paused: true, ..granted.clone() }, &Assessment::Complete, &["paused"]);
    let late = Observed { now: at(20), ..granted };
    check_codes(&late, &Assessment::Complete, &["no_window", "clock_untrusted", "cloud_init"]);
}

#[test]
fn the_time_ends_at_the_cutoff_less_the_reserve_and_is_never_too_long() {
    let time =
        |minutes| check(&Observed { now: at(minutes), ..observed() }, &Assessment::Complete).unwrap().time;
    assert_eq!(time(10).as_mins(), 30);
    assert_eq!(time(40).as_mins(), 15);
    assert_eq!(time(58).as_mins(), -3);
}

#[test]
fn an_old_list_of_one_repository_does_not_keep_the_others_updates_back() {
    let old = [ProblemKind::NotRefreshed, ProblemKind::Stale, ProblemKind::Expired];
    check_codes(&observed(), &incomplete(&old), &[]);
    let bad = [ProblemKind::Stale, ProblemKind::Malformed];
    check_codes(&observed(), &incomplete(&bad), &["assessment_incomplete"]);
}
