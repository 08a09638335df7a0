//! The states, levels and counts of Patch Manager, a rule of its documentation a test.

use super::*;
use crate::baseline::filter::{Filter, FilterKey};
use crate::baseline::override_list::OverrideEntry;
use crate::baseline::system::Packaging;
use crate::baseline::{Delay, Rule};
use crate::report::{Report, RunRecord, RunVerdict, Setback};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text, Packaging::Deb).unwrap()).collect()
}

fn rule(level: ComplianceLevel, includes_non_security: bool) -> Rule {
    let filters = vec![Filter { key: FilterKey::Priority, values: vec!["*".into()] }];
    Rule { filters, level, delay: Delay::AfterDays(0), includes_non_security }
}

impl OneHost {
    fn rejecting(mut self, entry: &str, action: RejectedAction) -> Self {
        self.baseline.rejected.patterns = patterns(&[entry]);
        self.baseline.rejected.action = action;
        self
    }

    fn with_rules(mut self, rules: Vec<Rule>) -> Self {
        self.baseline.rules = rules;
        self
    }
}

#[test]
fn installed_is_what_is_installed_and_still_approved_with_nothing_newer_that_is() {
    OneHost::installed("1.1").offered("1.1", &[SECURITY]).check(PatchState::Installed, None);
    // A rule without EnableNonSecurity asks for the installed version in a security archive.
    OneHost::installed("1.1").offered("1.1", &[MAIN]).check(PatchState::InstalledOther, None);
    // With it, a version counts that no source has any more.
    OneHost::installed("1.1")
        .with_rules(vec![rule(ComplianceLevel::Low, true)])
        .check(PatchState::Installed, None);
}

#[test]
fn installed_other_is_what_no_version_of_matches_rejected_ones_included() {
    OneHost::installed("1.1").check(PatchState::InstalledOther, None);
    OneHost::installed("1.1")
        .offered("1.1", &[SECURITY])
        .rejecting("openssl", RejectedAction::AllowAsDependency)
        .check(PatchState::InstalledOther, None);
}

#[test]
fn installed_rejected_is_what_the_rejected_list_names_under_block() {
    let judgement = OneHost::installed("1.1")
        .offered("1.1", &[SECURITY])
        .rejecting("openssl", RejectedAction::Block)
        .check(PatchState::InstalledRejected, None);
    assert_eq!(judgement.counts.installed_rejected, 1);
    assert_eq!(judgement.non_compliant_severity, Some(ComplianceLevel::Informational));
    assert_eq!(judgement.items[0].reason.as_ref().map(|reason| reason.cause.code()), Some("rejected"));
    // One bad version stays what it is where a better one is offered, which is asked for all the same.
    let judgement = OneHost::installed("1.1")
        .offered("1.2", &[SECURITY])
        .offered("1.1", &[SECURITY])
        .rejecting("openssl-1.1", RejectedAction::Block)
        .check(PatchState::InstalledRejected, Some("no_window"));
    assert_eq!(judgement.updates[0].approved, Some(version("1.2")));
}

#[test]
fn installed_rejected_is_never_counted_where_dependencies_are_allowed() {
    let judgement = OneHost::installed("1.0")
        .offered("1.1", &[SECURITY])
        .rejecting("*", RejectedAction::AllowAsDependency)
        .judge();
    assert_eq!(judgement.counts.installed_rejected, 0);
    assert_eq!(judgement.updates[0].approved, None);
}

#[test]
fn missing_names_the_newest_version_that_is_approved_rejected_ones_left_out() {
    let host = || {
        OneHost::installed("1.0")
            .offered("1.3", &[MAIN])
            .offered("1.2", &[SECURITY])
            .offered("1.1", &[SECURITY])
    };
    let approved =
        |host: OneHost| host.check(PatchState::Missing, Some("no_window")).items[0].approved.clone();
    assert_eq!(approved(host()), Some(version("1.2")));
    for action in RejectedAction::ALL {
        assert_eq!(approved(host().rejecting("openssl-1.2", action)), Some(version("1.1")));
    }
}

#[test]
fn a_rejected_update_is_not_asked_for_and_says_by_which_entry() {
    for action in RejectedAction::ALL {
        let judgement = OneHost::installed("1.0")
            .offered("1.1", &[SECURITY])
            .offered("1.0", &[SECURITY])
            .rejecting("openssl-1.1", action)
            .check(PatchState::Installed, Some("rejected"));
        let sentence = judgement.updates[0].reason.sentence();
        let action = action.as_str();
        assert_eq!(sentence, format!("the baseline rejects it by the entry \"openssl-1.1\" ({action})"));
    }
}

/// The report of an apply that came to this, on a host with a security update.
fn after(record: RunRecord) -> Report {
    let mut host = OneHost::installed("1.0").offered("1.1", &[SECURITY]);
    host.shut = vec![];
    let judgement = host.judge();
    crate::report::tests::report(host.inventory, host.offers, judgement).with_run(record)
}

fn setback(cause: Cause) -> Setback {
    Setback { packages: vec![id("openssl")], why: "no".into(), output: vec![], reason: cause.into() }
}

#[test]
fn failed_is_what_an_apply_tried_in_vain_and_what_it_did_not_try_is_missing() {
    let failed = RunVerdict::Failed { detail: "no".into() };
    let tried = setback(Cause::Failed { run: None, detail: "dpkg said no".into() });
    let report = after(RunRecord { failed: vec![tried], ..RunRecord::of(failed) });
    let counts = &report.judgement.counts;
    assert_eq!((counts.failed, counts.missing, counts.security_non_compliant), (1, 0, 1));
    assert_eq!(report.judgement.updates[0].reason.sentence(), "run run-1 could not install it: dpkg said no");

    let refused = RunVerdict::Refused { detail: "no".into() };
    let waiting = setback(Cause::Shut(Shut::NoMemory { available: 0 }));
    let report = after(RunRecord { waiting: vec![waiting], ..RunRecord::of(refused) });
    let counts = &report.judgement.counts;
    assert_eq!((counts.failed, counts.missing), (0, 1));
    assert_eq!(report.judgement.items[0].reason.as_ref().map(|reason| reason.cause.code()), Some("memory"));
}

#[test]
fn the_level_is_the_highest_of_what_approves_and_none_where_nothing_does() {
    let rules = vec![rule(ComplianceLevel::Low, false), rule(ComplianceLevel::Critical, false)];
    let judgement = OneHost::installed("1.0")
        .offered("1.1", &[SECURITY])
        .with_rules(rules)
        .check(PatchState::Missing, Some("no_window"));
    assert_eq!(judgement.items[0].level, ComplianceLevel::Critical);
    assert_eq!(judgement.non_compliant_severity, Some(ComplianceLevel::Critical));
    let counts = &judgement.counts;
    assert_eq!((counts.critical_non_compliant, counts.security_non_compliant), (1, 1));
    assert_eq!(counts.other_non_compliant, 0);
    let mut listed = OneHost::installed("1.0").offered("1.1", &[MAIN]).with_rules(vec![]);
    listed.baseline.approved.patterns = patterns(&["open*"]);
    listed.baseline.approved.level = ComplianceLevel::High;
    listed.check(PatchState::InstalledOther, Some("not_approved"));
    listed.baseline.approved.includes_non_security = true;
    assert_eq!(listed.check(PatchState::Missing, Some("no_window")).items[0].level, ComplianceLevel::High);
}

#[test]
fn an_update_that_is_delayed_says_when_it_will_be_approved() {
    let delayed = Rule { delay: Delay::AfterDays(7), ..rule(ComplianceLevel::Low, false) };
    let mut host = OneHost::installed("1.0").offered("1.1", &[SECURITY]).with_rules(vec![delayed]);
    host.baseline.delays_by_first_seen = true;
    let judgement = host.check(PatchState::InstalledOther, Some("not_approved"));
    // Nobody has seen it before.
    assert_eq!(judgement.updates[0].reason.changes_at, "2026-11-30T00:00:00Z".parse().ok());
}

#[test]
fn not_applicable_are_the_packages_that_rules_and_lists_ask_for_and_the_host_has_not() {
    let mut host = OneHost::installed("1.0");
    let mut add = |is_security, listed, number| {
        let priority = Some("optional".into());
        let class = NotInstalledClass { is_security, priority, section: None, listed };
        host.offers.not_installed.insert(class, number);
    };
    add(true, None, 1);
    add(false, None, 10);
    add(false, Some(Listed::Approved), 100);
    add(true, Some(Listed::Approved), 1_000);
    add(true, Some(Listed::Rejected), 10_000);
    assert_eq!(host.judge().counts.not_applicable, 1_001);
    host.baseline.approved.includes_non_security = true;
    assert_eq!(host.judge().counts.not_applicable, 1_101);
}

/// InstallOverrideList: what it names is installed whatever the baseline says, and nothing else is.
#[test]
fn a_list_of_the_runs_own_beats_the_baseline_for_what_it_names_and_stops_all_else() {
    let list = |id: &str, title: Option<&str>| {
        let entries = vec![OverrideEntry::parse(id, title).unwrap()];
        Some(InstallOverride { entries })
    };
    let mut host = OneHost::installed("1.0").offered("1.1", &[MAIN]);
    host.shut.clear();
    host.override_list = list("openssl.amd64", None);
    let judgement = host.check(PatchState::Missing, Some("ready"));
    assert_eq!(judgement.updates[0].approved, Some(version("1.1")));
    host.baseline.rejected.patterns = vec![Pattern::parse("openssl", Packaging::Deb).unwrap()];
    host.check(PatchState::Missing, Some("ready"));
    host.override_list = list("open*", Some("openssl.amd64:1.1"));
    host.check(PatchState::Missing, Some("ready"));

    // Another version than the one that is listed is not wanted, and comes along with nothing.
    host.override_list = list("openssl.amd64", Some("openssl.amd64:1.0.5"));
    let judgement = host.check(PatchState::InstalledOther, Some("not_listed"));
    assert!(judgement.blocked.iter().any(|entry| entry.as_str() == "openssl.amd64:1.1"));

    let mut host = OneHost::installed("1.0").offered("1.1", &[SECURITY]);
    host.override_list = list("curl", None);
    host.check(PatchState::Missing, Some("not_listed"));
}
