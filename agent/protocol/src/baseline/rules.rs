//! Approval rules: their filters, their delay, their level.

use jiff::civil::Date;
use patchd_core::baseline::filter::{Filter, FilterKey};
use patchd_core::baseline::system::{OperatingSystem, Packaging};
use patchd_core::baseline::{ComplianceLevel, Delay, Rule};

use super::filters;
use super::names::{Names, Shape, short_name};
use super::notation::{Node, Value};
use super::section::{Findings, Place, Section, shown};
use super::text::{check_length, word};

pub(super) const MOST_RULES: usize = 10;
pub(super) const MOST_DAYS: u16 = 360;

/// What of a document a rule depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) names: &'a Names,
    pub(super) system: OperatingSystem,
    pub(super) delays_by_first_seen: bool,
}

/// Every rule. One with a mistake may be missing: the file is refused then.
pub(super) fn read(section: &mut Section<'_>, context: Context<'_>, findings: &mut Findings) -> Vec<Rule> {
    let names = context.names;
    let listed = match names.shape {
        Shape::Flat { .. } => section.list(names.rules, findings),
        Shape::Wrapped { rules, .. } => section.section(names.rules, findings).and_then(|mut wrapped| {
            let listed = wrapped.list(rules, findings);
            wrapped.finish(findings);
            listed
        }),
    };
    let Some((items, place)) = listed else { return Vec::new() };
    check_length(&place, items.len(), MOST_RULES, "rules", findings);
    items.into_iter().filter_map(|(node, place)| read_one(node, place, context, findings)).collect()
}

fn read_one(node: &Node, place: Place, context: Context<'_>, findings: &mut Findings) -> Option<Rule> {
    let names = &context.names.rule;
    let mut section = Section::of(node, place, findings)?;
    let level = read_level(&mut section, names.level, findings);
    let delay = read_delay(&mut section, context, findings);
    let non_security = section.boolean(names.non_security, findings);
    let filters = match context.names.shape {
        Shape::Flat { filters } => flat_filters(&mut section, filters, context, findings),
        Shape::Wrapped { filters, filter_group, .. } => {
            wrapped_filters(&mut section, filter_group, filters, context, findings)
        }
    };
    if let Some(asked) = non_security.as_ref().filter(|asked| asked.value) {
        let by_advisory = filters.iter().find(|filter| {
            matches!(filter.key, FilterKey::Classification | FilterKey::Severity)
                && !filter.values.iter().any(|value| value == "*")
        });
        if let Some(filter) = by_advisory {
            let message = format!(
                "it widens no filter: what no advisory names has no {} and is left out all the same",
                filter.key.as_str()
            );
            findings.note(&asked.place, message);
        }
    }
    section.finish(findings);
    let includes_non_security = non_security.is_some_and(|asked| asked.value);
    Some(Rule { filters, level, delay: delay?, includes_non_security })
}

pub(super) fn read_level(
    section: &mut Section<'_>,
    key: &'static str,
    findings: &mut Findings,
) -> ComplianceLevel {
    let known = ComplianceLevel::ALL.map(ComplianceLevel::as_str);
    let text = section.text(key, findings);
    text.and_then(|text| word(&text, &known, ComplianceLevel::parse, findings))
        .unwrap_or(ComplianceLevel::Unspecified)
}

/// `{"PatchFilterGroup": {"PatchFilters": [...]}}`.
fn wrapped_filters(
    section: &mut Section<'_>,
    group: &'static str,
    list: &'static str,
    context: Context<'_>,
    findings: &mut Findings,
) -> Vec<Filter> {
    if !section.has(group) {
        findings.mistake(&section.place, format!("a rule needs {group}"));
    }
    let Some(mut wrapped) = section.section(group, findings) else { return Vec::new() };
    let listed = wrapped.list(list, findings);
    wrapped.finish(findings);
    listed.map_or_else(Vec::new, |(items, place)| {
        filters::read_list(items, &place, &context.names.rule, context.system, findings)
    })
}

/// `severity = ["Critical"]`, in the order of the file, and then those in full.
fn flat_filters(
    section: &mut Section<'_>,
    list: &'static str,
    context: Context<'_>,
    findings: &mut Findings,
) -> Vec<Filter> {
    let mut filters = Vec::new();
    let in_order: Vec<_> = section
        .keys()
        .filter_map(|key| FilterKey::ALL.into_iter().find(|it| short_name(*it) == key))
        .collect();
    for key in FilterKey::ALL {
        if key.works_on(context.system.packaging()) {
            section.ignore(short_name(key));
        }
    }
    for key in in_order {
        let Some(values) = section.texts(short_name(key), findings) else { continue };
        if !key.works_on(context.system.packaging()) {
            findings.mistake(&values.place, filters::does_not_work(short_name(key), context.system));
        }
        filters.push(Filter { key, values: filters::read_values(key, values, context.system, findings) });
    }
    if let Some((items, place)) = section.list(list, findings) {
        filters.extend(filters::read_list(items, &place, &context.names.rule, context.system, findings));
    }
    filters
}

/// One of the two, and not both.
fn read_delay(section: &mut Section<'_>, context: Context<'_>, findings: &mut Findings) -> Option<Delay> {
    let names = &context.names.rule;
    let after_days = section.get(names.after_days);
    let until_date = section.get(names.until_date);
    let (delay, place) = match (after_days, until_date) {
        (Some((node, place)), None) => (days(node, &place, findings).map(Delay::AfterDays), place),
        (None, Some((node, place))) => (date(node, &place, findings).map(Delay::UntilDate), place),
        (None, None) => {
            let message = format!("a rule needs {} or {}", names.after_days, names.until_date);
            findings.mistake(&section.place, message);
            return None;
        }
        (Some((node, of_days)), Some((other, place))) => {
            // Whichever is kept, it has to be right.
            days(node, &of_days, findings);
            date(other, &place, findings);
            let message =
                format!("{} is there too, and only one of them can hold; keep one", names.after_days);
            findings.mistake(&place, message);
            return None;
        }
    };
    let is_deb = context.system.packaging() == Packaging::Deb;
    if is_deb && !context.delays_by_first_seen && delay.is_some_and(|delay| delay != Delay::AfterDays(0)) {
        let message = format!(
            "the archives of {} have no dates of release, so it is ignored, as Systems Manager does; with {} = true it \
             counts from the day on which the host first saw a version",
            context.system.as_str(),
            context.names.delays_by_first_seen
        );
        findings.note(&place, message);
    }
    delay
}

/// A number, or a text of digits as snapshots have it.
fn days(node: &Node, place: &Place, findings: &mut Findings) -> Option<u16> {
    let text = match &node.value {
        Value::Number(text) | Value::Text(text) => text,
        other => {
            findings.mistake(place, format!("it must be a number of days, not {}", other.describe()));
            return None;
        }
    };
    let days = text.parse().ok().filter(|days| *days <= MOST_DAYS);
    if days.is_none() {
        let message =
            format!("{} is no number of days; whole numbers from 0 to {MOST_DAYS} are", shown(text));
        findings.mistake(place, message);
    }
    days
}

/// `2026-11-30`, in TOML also without quotes.
fn date(node: &Node, place: &Place, findings: &mut Findings) -> Option<Date> {
    let text = match &node.value {
        Value::Date(text) | Value::Text(text) => text,
        other => {
            findings.mistake(
                place,
                format!("it must be a date such as \"2026-11-30\", not {}", other.describe()),
            );
            return None;
        }
    };
    let is_formed = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = is_formed.then(|| text.parse().ok()).flatten();
    if date.is_none() {
        findings.mistake(place, format!("\"{}\" is no day; write it like 2026-11-30", shown(text)));
    }
    date
}
