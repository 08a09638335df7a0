//! Texts with limits: names, ids, descriptions, words of a closed set. The limits are the API's.

use super::section::{Findings, Located, Place, shown};
use crate::mistake::suggest;

/// How many characters, and which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) least: usize,
    pub(super) most: usize,
    /// Beside letters and digits; `None` if anything goes.
    pub(super) marks: Option<&'static str>,
}

pub(super) const NAME: Limit = Limit { least: 3, most: 128, marks: Some("_-.") };
/// Ids are ours to give too, so a short one will do; what has no id has its name for one.
pub(super) const ID: Limit = Limit { least: 1, most: 128, marks: Some("_-:/.") };
pub(super) const DESCRIPTION: Limit = Limit { least: 0, most: 1024, marks: None };
pub(super) const PATCH_GROUP: Limit = Limit { least: 1, most: 256, marks: None };
pub(super) const FILTER_VALUE: Limit = Limit { least: 1, most: 64, marks: None };
pub(super) const SOURCE_NAME: Limit = Limit { least: 3, most: 50, marks: Some("_-.") };
pub(super) const SOURCE_PRODUCT: Limit = Limit { least: 1, most: 128, marks: None };
pub(super) const SOURCE_CONFIGURATION: Limit = Limit { least: 1, most: 1024, marks: None };

/// The text, if it keeps to the limit.
pub(super) fn within(
    text: Located<String>,
    limit: Limit,
    findings: &mut Findings,
) -> Option<Located<String>> {
    let length = text.value.chars().count();
    if length < limit.least || limit.most < length {
        let range = match limit.least {
            0 => format!("at most {}", limit.most),
            least => format!("{least} to {}", limit.most),
        };
        findings.mistake(&text.place, format!("it has {length} characters; {range} are allowed"));
        return None;
    }
    let is_odd =
        |c: &char| limit.marks.is_some_and(|marks| !c.is_ascii_alphanumeric() && !marks.contains(*c));
    if let Some(odd) = text.value.chars().find(is_odd) {
        let marks: Vec<_> = limit.marks.unwrap_or_default().chars().map(String::from).collect();
        let message =
            format!("it has the character {odd:?}; letters, digits and {} are allowed", marks.join(" "));
        findings.mistake(&text.place, message);
        return None;
    }
    Some(text)
}

/// Tells a list that is too long.
pub(super) fn check_length(place: &Place, length: usize, most: usize, what: &str, findings: &mut Findings) {
    if most < length {
        findings.mistake(place, format!("there are {length} {what}; {most} is the most"));
    }
}

/// One word of a closed set.
pub(super) fn word<T>(
    text: &Located<String>,
    known: &[&str],
    parse: impl Fn(&str) -> Option<T>,
    findings: &mut Findings,
) -> Option<T> {
    let parsed = parse(&text.value);
    if parsed.is_none() {
        let message = unknown_word(&text.value, known);
        findings.mistake(&text.place, message);
    }
    parsed
}

pub(super) fn unknown_word(text: &str, known: &[&str]) -> String {
    let upper = known.iter().all(|word| !word.contains(|c: char| c.is_ascii_lowercase()));
    let near = if upper { text.to_ascii_uppercase() } else { text.to_owned() };
    format!("\"{}\" is not known; {}", shown(text), suggest(&near, known))
}
