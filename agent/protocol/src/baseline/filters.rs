//! Filters: which keys an operating system has, and which words each key can be asked for.

use patchd_core::baseline::filter::{Filter, FilterKey};
use patchd_core::baseline::system::OperatingSystem;

use super::names::RuleNames;
use super::notation::Node;
use super::section::{Findings, Located, Place, Section, shown};
use super::text::{FILTER_VALUE, check_length, unknown_word, within};
use super::vocabulary::{API_KEYS, keys, words};
use crate::mistake::suggest;

pub(super) const MOST_FILTERS: usize = 4;
pub(super) const MOST_VALUES: usize = 20;

/// A list of filters in full. A filter with a mistake is left out.
pub(super) fn read_list(
    items: Vec<(&Node, Place)>,
    place: &Place,
    names: &RuleNames,
    system: OperatingSystem,
    findings: &mut Findings,
) -> Vec<Filter> {
    check_length(place, items.len(), MOST_FILTERS, "filters", findings);
    items.into_iter().filter_map(|(node, place)| read_one(node, place, names, system, findings)).collect()
}

/// `{"Key": "SEVERITY", "Values": ["Critical"]}`.
fn read_one(
    node: &Node,
    place: Place,
    names: &RuleNames,
    system: OperatingSystem,
    findings: &mut Findings,
) -> Option<Filter> {
    let mut section = Section::of(node, place.clone(), findings)?;
    for key in [names.filter_key, names.filter_values] {
        if !section.has(key) {
            findings.mistake(&place, format!("a filter needs {key}"));
        }
    }
    let key = section.text(names.filter_key, findings).and_then(|key| read_key(&key, system, findings));
    let values = section.texts(names.filter_values, findings);
    section.finish(findings);
    let (key, values) = (key?, values?);
    Some(Filter { key, values: read_values(key, values, system, findings) })
}

fn read_key(key: &Located<String>, system: OperatingSystem, findings: &mut Findings) -> Option<FilterKey> {
    let known = keys(system);
    match FilterKey::parse(&key.value) {
        Some(parsed) if parsed.works_on(system.packaging()) => return Some(parsed),
        Some(_) => findings.mistake(&key.place, does_not_work(&key.value, system)),
        None if API_KEYS.iter().any(|api| api.eq_ignore_ascii_case(&key.value)) => {
            findings.mistake(&key.place, does_not_work(&key.value, system));
        }
        None => findings.mistake(&key.place, unknown_word(&key.value, &known)),
    }
    None
}

pub(super) fn does_not_work(key: &str, system: OperatingSystem) -> String {
    let known = keys(system).join(", ");
    format!("the key {key} does not work on {}; use one of: {known}", system.as_str())
}

/// The values of one filter, those with a mistake included: the file is refused then.
pub(super) fn read_values(
    key: FilterKey,
    values: Located<Vec<Located<String>>>,
    system: OperatingSystem,
    findings: &mut Findings,
) -> Vec<String> {
    if values.value.is_empty() {
        findings.mistake(&values.place, "there must be a value; \"*\" stands for every one");
    }
    check_length(&values.place, values.value.len(), MOST_VALUES, "values", findings);
    let mut read = Vec::new();
    for value in values.value {
        if let Some(value) = within(value, FILTER_VALUE, findings) {
            check_value(key, &value, system, findings);
            read.push(value.value);
        }
    }
    read
}

fn check_value(key: FilterKey, value: &Located<String>, system: OperatingSystem, findings: &mut Findings) {
    if value.value == "*" {
        return;
    }
    if let Some(words) = words(key, system.packaging()) {
        if !words.iter().any(|word| word.eq_ignore_ascii_case(&value.value)) {
            let message = format!(
                "\"{}\" is no {} of {}; {}",
                shown(&value.value),
                key.as_str(),
                system.as_str(),
                suggest(&value.value, words)
            );
            findings.mistake(&value.place, message);
        }
    } else if key == FilterKey::Product && !is_product_of(&value.value, system) {
        let message = format!(
            "\"{}\" is no product of {}, so it matches none of its hosts; theirs begin with {}",
            shown(&value.value),
            system.as_str(),
            system.product_name()
        );
        findings.note(&value.place, message);
    }
}

fn is_product_of(product: &str, system: OperatingSystem) -> bool {
    let name = system.product_name();
    product.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}
