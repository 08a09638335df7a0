//! The rules of ssm.md, sections 1.2, 1.3 and 2, one a test.

use super::*;
use crate::baseline::filter::{Filter, FilterKey};
use crate::baseline::subject::RpmManager;
use crate::baseline::system::{OperatingSystem, Packaging};
use crate::baseline::{ApprovedList, RejectedAction, RejectedList};
use crate::package::{Architecture, PackageId, PackageName, Version};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn package() -> PackageId {
    PackageId {
        name: PackageName::parse("libssl3").unwrap(),
        architecture: Architecture::parse("amd64").unwrap(),
    }
}

fn patterns(texts: &[&str], packaging: Packaging) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text, packaging).unwrap()).collect()
}

fn deb(is_security: bool, first_seen: Option<&str>) -> Traits<'static> {
    Traits::Deb {
        priority: Some("optional"),
        section: Some("libs"),
        is_security,
        first_seen: first_seen.map(at),
    }
}

fn decide<'a>(baseline: &'a Baseline, traits: Traits<'_>) -> Decision<'a> {
    let (package, version) = (package(), Version::parse("3.0.11-1").unwrap());
    let facts = Facts { product: "Debian12", traits };
    baseline.decide(&Subject { package: &package, version: &version, facts }, now())
}

fn notice(classification: &str, severity: &str, issued: &str, updated: Option<&str>) -> Advisory {
    let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    Advisory {
        id: "RHSA-2026:0001".into(),
        classification: word(classification),
        severity: word(severity),
        cves: vec![],
        bugzillas: vec![],
        issued: Some(at(issued)),
        updated: updated.map(at),
    }
}

fn rpm(manager: RpmManager, advisories: &[Advisory]) -> Traits<'_> {
    Traits::Rpm { manager, advisories, built_at: None }
}

const APPROVED_BY_1: Decision<'static> =
    Decision::Approved { level: ComplianceLevel::Unspecified, by: ApprovedBy::Rule(RuleNumber(1)) };

fn debian() -> Baseline {
    Baseline::builtin(OperatingSystem::Debian)
}

#[test]
fn the_default_of_apt_hosts_takes_security_updates_of_every_priority_at_once() {
    assert_eq!(decide(&debian(), deb(true, None)), APPROVED_BY_1);
    let miss = Unapproved::NotSecurity { rule: RuleNumber(1) };
    assert_eq!(decide(&debian(), deb(false, None)), Decision::NotApproved(miss));
    let without = Traits::Deb { priority: None, section: None, is_security: true, first_seen: None };
    assert_eq!(decide(&debian(), without), Decision::NotApproved(Unapproved::NoRule));
}

#[test]
fn a_star_matches_an_absent_fact_and_the_highest_level_wins() {
    let mut baseline = debian();
    let level = |level, key, value: &str| Rule {
        filters: vec![Filter { key, values: vec![value.into()] }],
        level,
        delay: Delay::AfterDays(0),
        includes_non_security: true,
    };
    baseline.rules.push(level(ComplianceLevel::High, FilterKey::Section, "LIBS"));
    baseline.rules.push(level(ComplianceLevel::Low, FilterKey::Priority, "*"));
    let high = Decision::Approved { level: ComplianceLevel::High, by: ApprovedBy::Rule(RuleNumber(2)) };
    assert_eq!(decide(&baseline, deb(true, None)), high);
    let without = Traits::Deb { priority: None, section: None, is_security: false, first_seen: None };
    let low = Decision::Approved { level: ComplianceLevel::Low, by: ApprovedBy::Rule(RuleNumber(3)) };
    assert_eq!(decide(&baseline, without), low);
}

#[test]
fn global_filters_bind_rules_and_not_the_approved_list() {
    let mut baseline = debian();
    baseline.global_filters = vec![Filter { key: FilterKey::Product, values: vec!["Ubuntu22.04".into()] }];
    assert_eq!(decide(&baseline, deb(true, None)), Decision::NotApproved(Unapproved::FilteredOut));
    baseline.approved.patterns = patterns(&["libssl*"], Packaging::Deb);
    let Decision::Approved { by: ApprovedBy::List(pattern), .. } = decide(&baseline, deb(true, None)) else {
        panic!("the list does not go past the global filters");
    };
    assert_eq!(pattern.as_str(), "libssl*");
}

#[test]
fn the_approved_list_takes_what_is_no_security_update_only_where_it_says_so() {
    let mut baseline = debian();
    baseline.approved = ApprovedList {
        patterns: patterns(&["libssl3"], Packaging::Deb),
        level: ComplianceLevel::Critical,
        includes_non_security: false,
    };
    let listed = Decision::NotApproved(Unapproved::NotSecurity { rule: RuleNumber(1) });
    assert_eq!(decide(&baseline, deb(false, None)), listed);
    baseline.rules.clear();
    assert_eq!(decide(&baseline, deb(false, None)), Decision::NotApproved(Unapproved::ListedNotSecurity));
    baseline.approved.includes_non_security = true;
    assert_eq!(decide(&baseline, deb(false, None)).level(), Some(ComplianceLevel::Critical));
}

#[test]
fn rejection_beats_every_approval() {
    let mut baseline = debian();
    baseline.approved.patterns = patterns(&["libssl3"], Packaging::Deb);
    baseline.rejected =
        RejectedList { patterns: patterns(&["lib*"], Packaging::Deb), action: RejectedAction::Block };
    let Decision::Rejected { by } = decide(&baseline, deb(true, None)) else { panic!("not rejected") };
    assert_eq!(by.as_str(), "lib*");
}

#[test]
fn delays_count_on_apt_only_by_first_sight_and_only_if_asked_for() {
    let mut baseline = debian();
    assert_eq!(decide(&baseline, deb(true, Some("2026-11-23T11:00:00Z"))), APPROVED_BY_1);
    baseline.delays_by_first_seen = true;
    let later = |after| Decision::NotYet { rule: RuleNumber(1), after: at(after) };
    assert_eq!(decide(&baseline, deb(true, Some("2026-11-20T08:00:00Z"))), later("2026-11-27T08:00:00Z"));
    assert_eq!(decide(&baseline, deb(true, Some("2026-11-16T11:59:59Z"))), APPROVED_BY_1);
    // The limit itself is not yet behind us.
    assert_eq!(decide(&baseline, deb(true, Some("2026-11-16T12:00:00Z"))), later("2026-11-23T12:00:00Z"));
    // A version that nobody kept the date of counts as new.
    assert_eq!(decide(&baseline, deb(true, None)), later("2026-11-30T12:00:00Z"));
}

#[test]
fn an_until_date_takes_the_whole_day_and_nothing_after_it() {
    let mut baseline = Baseline::builtin(OperatingSystem::AmazonLinux2023);
    baseline.rules.truncate(1);
    let until: Date = "2026-11-20".parse().unwrap();
    baseline.rules[0].delay = Delay::UntilDate(until);
    let on = |issued| [notice("security", "Important", issued, None)];
    assert_eq!(decide(&baseline, rpm(RpmManager::Dnf, &on("2026-11-20T23:59:59Z"))), APPROVED_BY_1);
    let too_late = Decision::NotApproved(Unapproved::ReleasedTooLate { rule: RuleNumber(1), until });
    assert_eq!(decide(&baseline, rpm(RpmManager::Dnf, &on("2026-11-21T00:00:00Z"))), too_late);
}

#[test]
fn each_package_manager_has_its_own_date_of_a_release() {
    let baseline = Baseline::builtin(OperatingSystem::AmazonLinux2023);
    let waits = |traits: Traits<'_>| matches!(decide(&baseline, traits), Decision::NotYet { .. });
    let old = "2026-11-01T00:00:00Z";
    let new = "2026-11-20T00:00:00Z";
    let edited = [notice("security", "Critical", old, Some(new))];
    assert!(waits(rpm(RpmManager::Yum, &edited)));
    assert!(waits(rpm(RpmManager::Dnf, &edited)));
    assert!(!waits(rpm(RpmManager::Zypper, &edited)));
    // yum takes the build for the release where that is later than the notice.
    let settled = [notice("security", "Critical", old, None)];
    let built = |manager| Traits::Rpm { manager, advisories: &settled, built_at: Some(at(new)) };
    assert!(waits(built(RpmManager::Yum)));
    assert!(!waits(built(RpmManager::Dnf)));
}

#[test]
fn each_package_manager_has_its_own_idea_of_security() {
    let mut baseline = Baseline::builtin(OperatingSystem::RedHatEnterpriseLinux);
    baseline.rules = vec![Rule {
        filters: vec![],
        level: ComplianceLevel::Unspecified,
        delay: Delay::AfterDays(0),
        includes_non_security: false,
    }];
    let is_approved = |traits: Traits<'_>| decide(&baseline, traits).level().is_some();
    let bugfix = [notice("bugfix", "", "2026-01-01T00:00:00Z", None)];
    assert!(is_approved(rpm(RpmManager::Yum, &bugfix)));
    assert!(!is_approved(rpm(RpmManager::Dnf, &bugfix)));
    let rated = [notice("bugfix", "None", "2026-01-01T00:00:00Z", None)];
    assert!(is_approved(rpm(RpmManager::Dnf, &rated)));
    for manager in [RpmManager::Yum, RpmManager::Dnf, RpmManager::Zypper] {
        assert!(!is_approved(rpm(manager, &[])));
    }
}

#[test]
fn non_security_widens_no_filter_and_has_no_date_to_wait_for() {
    let mut baseline = Baseline::builtin(OperatingSystem::RedHatEnterpriseLinux);
    for rule in &mut baseline.rules {
        rule.includes_non_security = true;
    }
    let nothing = Decision::NotApproved(Unapproved::NoRule);
    assert_eq!(decide(&baseline, rpm(RpmManager::Dnf, &[])), nothing);
    let centos = Baseline::builtin(OperatingSystem::CentOs);
    assert_eq!(decide(&centos, rpm(RpmManager::Dnf, &[])), APPROVED_BY_1);
}

#[test]
fn every_notice_of_a_version_counts_by_itself() {
    let mut baseline = Baseline::builtin(OperatingSystem::AlmaLinux);
    baseline.rules[0].level = ComplianceLevel::High;
    let both = [
        notice("bugfix", "None", "2026-01-01T00:00:00Z", None),
        notice("security", "Important", "2026-01-01T00:00:00Z", None),
    ];
    assert_eq!(decide(&baseline, rpm(RpmManager::Dnf, &both)).level(), Some(ComplianceLevel::High));
    // The class of one and the severity of the other don't make a third.
    let mixed = [
        notice("enhancement", "Critical", "2026-01-01T00:00:00Z", None),
        notice("security", "Low", "2026-01-01T00:00:00Z", None),
    ];
    assert_eq!(decide(&baseline, rpm(RpmManager::Dnf, &mixed)).level(), None);
}

#[test]
fn medium_covers_moderate_in_a_severity_and_nowhere_else() {
    let mut baseline = Baseline::builtin(OperatingSystem::AmazonLinux2023);
    baseline.rules[0].filters[1].values = vec!["Medium".into()];
    let moderate = [notice("Security", "Moderate", "2026-01-01T00:00:00Z", None)];
    assert!(decide(&baseline, rpm(RpmManager::Dnf, &moderate)).level().is_some());
    baseline.rules[0].filters[1].values = vec!["Moderate".into()];
    let medium = [notice("Security", "Medium", "2026-01-01T00:00:00Z", None)];
    assert!(decide(&baseline, rpm(RpmManager::Dnf, &medium)).level().is_none());
}

#[test]
fn every_operating_system_has_its_predefined_baseline() {
    for system in OperatingSystem::ALL {
        let baseline = Baseline::builtin(system);
        assert_eq!(Baseline::builtin_by_id(&baseline.id).as_ref(), Some(&baseline));
        assert!(
            !baseline.rules.is_empty() && baseline.rules.iter().all(|rule| rule.delay == Delay::AfterDays(7))
        );
        let keys = baseline.rules.iter().flat_map(|rule| &rule.filters).map(|filter| filter.key);
        assert!(keys.into_iter().all(|key| key.works_on(system.packaging())), "{}", baseline.name);
        assert_eq!(baseline.global_filters.is_empty(), system == OperatingSystem::CentOs);
    }
    assert_eq!(Baseline::builtin_by_id("builtin:windows"), None);
}
