//! A baseline that asks for less never approves less: whatever is taken off it or put on its lists, what was approved
//! stays approved.

use jiff::civil::date;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::baseline::filter::{Filter, FilterKey};
use crate::baseline::subject::RpmManager;
use crate::baseline::system::{OperatingSystem, Packaging};
use crate::baseline::{ApprovedList, RejectedAction, RejectedList};
use crate::package::{Architecture, PackageId, PackageName, Version};

const WORDS: [&str; 6] = ["*", "Security", "Bugfix", "Critical", "Low", "libs"];
const NAMES: [&str; 6] = ["curl", "cur*", "libssl3", "CVE-2026-1234", "ALAS-2026-1", "*-1"];

/// A version with facts of its own.
#[derive(Debug, Clone)]
struct World {
    is_deb: bool,
    word: &'static str,
    is_security: bool,
    first_seen: Option<Timestamp>,
    manager: RpmManager,
    advisories: Vec<Advisory>,
}

impl World {
    fn is_approved(&self, baseline: &Baseline) -> bool {
        let package = PackageId {
            name: PackageName::parse("curl").unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        };
        let version = Version::parse("8.0-1").unwrap();
        let traits = if self.is_deb {
            Traits::Deb {
                priority: Some(self.word),
                section: Some("libs"),
                is_security: self.is_security,
                first_seen: self.first_seen,
            }
        } else {
            Traits::Rpm { manager: self.manager, advisories: &self.advisories, built_at: None }
        };
        let facts = Facts { product: "libs", traits };
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let subject = Subject { package: &package, version: &version, facts };
        matches!(baseline.decide(&subject, now), Decision::Approved { .. })
    }
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (0..60i64).prop_map(|days| {
        let latest: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
        latest - SignedDuration::from_hours(24 * days)
    })
}

fn any_advisory() -> impl Strategy<Value = Advisory> {
    let word = || prop::option::of(select(WORDS.to_vec()).prop_map(str::to_owned));
    (word(), word(), prop::option::of(any_time()), prop::option::of(any_time()), any::<bool>()).prop_map(
        |(classification, severity, issued, updated, has_hole)| Advisory {
            id: "ALAS-2026-1".into(),
            classification,
            severity,
            cves: if has_hole { vec!["CVE-2026-1234".into()] } else { Vec::new() },
            bugzillas: Vec::new(),
            issued,
            updated,
        },
    )
}

fn any_world() -> impl Strategy<Value = World> {
    let managers = vec![RpmManager::Yum, RpmManager::Dnf, RpmManager::Zypper];
    (
        any::<(bool, bool)>(),
        select(WORDS.to_vec()),
        prop::option::of(any_time()),
        select(managers),
        prop::collection::vec(any_advisory(), 0..3),
    )
        .prop_map(|((is_deb, is_security), word, first_seen, manager, advisories)| World {
            is_deb,
            word,
            is_security,
            first_seen,
            manager,
            advisories,
        })
}

fn any_filters() -> impl Strategy<Value = Vec<Filter>> {
    let values = prop::collection::vec(select(WORDS.to_vec()).prop_map(str::to_owned), 1..3);
    let filter = (select(FilterKey::ALL.to_vec()), values).prop_map(|(key, values)| Filter { key, values });
    prop::collection::vec(filter, 0..3)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let delay = prop_oneof![
        (0..40u16).prop_map(Delay::AfterDays),
        (1..=28i8).prop_map(|day| Delay::UntilDate(date(2026, 11, day))),
    ];
    (any_filters(), select(ComplianceLevel::ALL.to_vec()), delay, any::<bool>()).prop_map(
        |(filters, level, delay, includes_non_security)| Rule {
            filters,
            level,
            delay,
            includes_non_security,
        },
    )
}

fn any_patterns() -> impl Strategy<Value = Vec<Pattern>> {
    let pattern = select(NAMES.to_vec()).prop_map(|name| Pattern::parse(name, Packaging::Rpm).unwrap());
    prop::collection::vec(pattern, 0..3)
}

fn any_baseline() -> impl Strategy<Value = Baseline> {
    let rules = prop::collection::vec(any_rule(), 0..3);
    (any_filters(), rules, any_patterns(), any_patterns(), any::<(bool, bool)>()).prop_map(
        |(global_filters, rules, approved, rejected, (includes_non_security, delays_by_first_seen))| {
            Baseline {
                global_filters,
                rules,
                approved: ApprovedList {
                    patterns: approved,
                    level: ComplianceLevel::Low,
                    includes_non_security,
                },
                rejected: RejectedList { patterns: rejected, action: RejectedAction::AllowAsDependency },
                delays_by_first_seen,
                ..Baseline::nothing("x".into(), "x".into(), OperatingSystem::Debian)
            }
        },
    )
}

/// One way in which a baseline may ask for less.
#[derive(Debug, Clone, Copy)]
enum Loosening {
    FilterValue,
    FilterGone,
    GlobalValue,
    GlobalGone,
    ShorterDelay,
    RuleNonSecurity,
    MoreRules,
    Approved,
    ApprovedNonSecurity,
    NotRejected,
    NoFirstSeen,
}

const LOOSENINGS: [Loosening; 11] = [
    Loosening::FilterValue,
    Loosening::FilterGone,
    Loosening::GlobalValue,
    Loosening::GlobalGone,
    Loosening::ShorterDelay,
    Loosening::RuleNonSecurity,
    Loosening::MoreRules,
    Loosening::Approved,
    Loosening::ApprovedNonSecurity,
    Loosening::NotRejected,
    Loosening::NoFirstSeen,
];

fn pick<T>(items: &mut [T], index: Index) -> Option<&mut T> {
    if items.is_empty() { None } else { items.get_mut(index.index(items.len())) }
}

fn remove<T>(items: &mut Vec<T>, index: Index) {
    if !items.is_empty() {
        items.remove(index.index(items.len()));
    }
}

fn loosen(baseline: &mut Baseline, how: Loosening, index: Index, word: &str, rule: &Rule) {
    let rules = &mut baseline.rules;
    match how {
        Loosening::FilterValue => {
            let filter = pick(rules, index).and_then(|rule| pick(&mut rule.filters, index));
            filter.into_iter().for_each(|filter| filter.values.push(word.into()));
        }
        Loosening::FilterGone => {
            pick(rules, index).into_iter().for_each(|rule| remove(&mut rule.filters, index))
        }
        Loosening::GlobalValue => {
            pick(&mut baseline.global_filters, index)
                .into_iter()
                .for_each(|filter| filter.values.push(word.into()));
        }
        Loosening::GlobalGone => remove(&mut baseline.global_filters, index),
        Loosening::ShorterDelay => {
            if let Some(rule) = pick(rules, index) {
                rule.delay = match rule.delay {
                    Delay::AfterDays(days) => Delay::AfterDays(days / 2),
                    Delay::UntilDate(day) => Delay::UntilDate(day.tomorrow().unwrap()),
                };
            }
        }
        Loosening::RuleNonSecurity => {
            pick(rules, index).into_iter().for_each(|rule| rule.includes_non_security = true);
        }
        Loosening::MoreRules => rules.insert(index.index(rules.len() + 1), rule.clone()),
        Loosening::Approved => {
            baseline.approved.patterns.push(Pattern::parse("curl", Packaging::Rpm).unwrap())
        }
        Loosening::ApprovedNonSecurity => baseline.approved.includes_non_security = true,
        Loosening::NotRejected => remove(&mut baseline.rejected.patterns, index),
        Loosening::NoFirstSeen => baseline.delays_by_first_seen = false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn a_more_permissive_baseline_approves_no_fewer_packages(
        baseline in any_baseline(),
        worlds in prop::collection::vec(any_world(), 8),
        steps in prop::collection::vec((select(LOOSENINGS.to_vec()), any::<Index>(), select(WORDS.to_vec()), any_rule()), 1..4),
    ) {
        let mut looser = baseline.clone();
        for (how, index, word, rule) in &steps {
            loosen(&mut looser, *how, *index, word, rule);
        }
        for world in &worlds {
            prop_assert!(!world.is_approved(&baseline) || world.is_approved(&looser), "{:?}\n{:?}", world, looser);
        }
    }
}
