//! Baselines written down: as `aws ssm get-patch-baseline` prints them, or in our own form. What is written is read again
//! as the same baseline.

use std::fmt::Write as _;

use patchd_core::baseline::filter::{Filter, FilterKey};
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::{ComplianceLevel, Delay, RejectedAction, Rule};
use serde::Serialize;

use super::BaselineFile;
use super::names::short_name;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct BaselineWire<'a> {
    baseline_id: &'a str,
    name: &'a str,
    operating_system: &'static str,
    global_filters: GroupWire<'a>,
    approval_rules: RulesWire<'a>,
    approved_patches: Vec<&'a str>,
    approved_patches_compliance_level: &'static str,
    approved_patches_enable_non_security: bool,
    rejected_patches: Vec<&'a str>,
    rejected_patches_action: &'static str,
    patch_groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    created_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// patchd has none, and carries nobody's on.
    sources: [(); 0],
    /// An extension of ours: Systems Manager has no word for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delays_by_first_seen: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RulesWire<'a> {
    patch_rules: Vec<RuleWire<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RuleWire<'a> {
    patch_filter_group: GroupWire<'a>,
    compliance_level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    approve_after_days: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approve_until_date: Option<String>,
    enable_non_security: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupWire<'a> {
    patch_filters: Vec<FilterWire<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FilterWire<'a> {
    key: &'static str,
    values: &'a [String],
}

impl BaselineFile {
    /// The document that `aws ssm get-patch-baseline` would print.
    pub fn to_json(&self) -> impl Serialize {
        let baseline = &self.baseline;
        BaselineWire {
            baseline_id: &baseline.id,
            name: &baseline.name,
            operating_system: baseline.system.as_str(),
            global_filters: GroupWire::of(&baseline.global_filters),
            approval_rules: RulesWire { patch_rules: baseline.rules.iter().map(RuleWire::of).collect() },
            approved_patches: texts(&baseline.approved.patterns),
            approved_patches_compliance_level: baseline.approved.level.as_str(),
            approved_patches_enable_non_security: baseline.approved.includes_non_security,
            rejected_patches: texts(&baseline.rejected.patterns),
            rejected_patches_action: baseline.rejected.action.as_str(),
            patch_groups: &self.patch_groups,
            created_date: self.created_at.map(|at| at.to_string()),
            modified_date: self.modified_at.map(|at| at.to_string()),
            description: self.description.as_deref(),
            sources: [],
            delays_by_first_seen: baseline.delays_by_first_seen,
        }
    }

    /// Our own form; what has its default is left out.
    pub fn to_toml(&self) -> String {
        let baseline = &self.baseline;
        let mut text = String::new();
        if baseline.id != baseline.name {
            pair(&mut text, "id", &quoted(&baseline.id));
        }
        pair(&mut text, "name", &quoted(&baseline.name));
        pair(&mut text, "operating_system", &quoted(baseline.system.as_str()));
        if let Some(description) = &self.description {
            pair(&mut text, "description", &quoted(description));
        }
        pair_unless(&mut text, self.patch_groups.is_empty(), "patch_groups", || list(&self.patch_groups));
        pair_unless(&mut text, !baseline.delays_by_first_seen, "delays_by_first_seen", || "true".into());
        let approved = &baseline.approved;
        pair_unless(&mut text, approved.patterns.is_empty(), "approved", || list(&texts(&approved.patterns)));
        let is_default = approved.level == ComplianceLevel::Unspecified;
        pair_unless(&mut text, is_default, "approved_level", || quoted(approved.level.as_str()));
        pair_unless(&mut text, !approved.includes_non_security, "approved_non_security", || "true".into());
        let rejected = &baseline.rejected;
        pair_unless(&mut text, rejected.patterns.is_empty(), "rejected", || list(&texts(&rejected.patterns)));
        let is_default = rejected.action == RejectedAction::AllowAsDependency;
        pair_unless(&mut text, is_default, "rejected_action", || quoted(rejected.action.as_str()));
        for filter in &baseline.global_filters {
            text.push_str("\n[[global_filter]]\n");
            pair(&mut text, "key", &quoted(filter.key.as_str()));
            pair(&mut text, "values", &list(&filter.values));
        }
        for rule in &baseline.rules {
            push_rule(&mut text, rule);
        }
        text
    }
}

impl<'a> GroupWire<'a> {
    fn of(filters: &'a [Filter]) -> Self {
        let wire = |filter: &'a Filter| FilterWire { key: filter.key.as_str(), values: &filter.values };
        Self { patch_filters: filters.iter().map(wire).collect() }
    }
}

impl<'a> RuleWire<'a> {
    fn of(rule: &'a Rule) -> Self {
        let (approve_after_days, approve_until_date) = match rule.delay {
            Delay::AfterDays(days) => (Some(days), None),
            Delay::UntilDate(date) => (None, Some(date.to_string())),
        };
        Self {
            patch_filter_group: GroupWire::of(&rule.filters),
            compliance_level: rule.level.as_str(),
            approve_after_days,
            approve_until_date,
            enable_non_security: rule.includes_non_security,
        }
    }
}

fn push_rule(text: &mut String, rule: &Rule) {
    text.push_str("\n[[rule]]\n");
    let has_key_twice = |key: FilterKey| 1 < rule.filters.iter().filter(|filter| filter.key == key).count();
    if rule.filters.iter().any(|filter| has_key_twice(filter.key)) {
        let full = rule.filters.iter().map(|filter| {
            format!("{{ key = {}, values = {} }}", quoted(filter.key.as_str()), list(&filter.values))
        });
        pair(text, "filter", &format!("[{}]", full.collect::<Vec<_>>().join(", ")));
    } else {
        for filter in &rule.filters {
            pair(text, short_name(filter.key), &list(&filter.values));
        }
    }
    match rule.delay {
        Delay::AfterDays(days) => pair(text, "approve_after_days", &days.to_string()),
        Delay::UntilDate(date) => pair(text, "approve_until_date", &date.to_string()),
    }
    let is_default = rule.level == ComplianceLevel::Unspecified;
    pair_unless(text, is_default, "level", || quoted(rule.level.as_str()));
    pair_unless(text, !rule.includes_non_security, "non_security", || "true".into());
}

fn texts(patterns: &[Pattern]) -> Vec<&str> {
    patterns.iter().map(Pattern::as_str).collect()
}

fn pair(text: &mut String, key: &str, value: &str) {
    writeln!(text, "{key} = {value}").expect("a text takes everything");
}

fn pair_unless(text: &mut String, is_default: bool, key: &str, value: impl Fn() -> String) {
    if !is_default {
        pair(text, key, &value());
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(items: &[impl AsRef<str>]) -> String {
    format!("[{}]", items.iter().map(|item| quoted(item.as_ref())).collect::<Vec<_>>().join(", "))
}
