//! Tables while they are read: the keys that were asked for are the keys that one may have. Every mistake is collected
//! with its place; nothing ends the reading.

use std::collections::BTreeSet;

use super::notation::{Entry, Node, Value};
use super::{MAX_MISTAKES, Note};
use crate::mistake::{Mistake, Mistakes, suggest};

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    /// `$.ApprovalRules.PatchRules[2].ApproveAfterDays`.
    pub(super) path: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// What was found wrong in one file, and what will have no effect.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) notes: Vec<Note>,
}

impl Place {
    pub(super) fn top(line: usize) -> Self {
        Self { line, path: "$".into() }
    }

    fn key(&self, line: usize, key: &str) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let path = if !key.is_empty() && key.len() <= 64 && key.chars().all(is_plain) {
            format!("{}.{key}", self.path)
        } else {
            format!("{}[\"{}\"]", self.path, shown(key))
        };
        Self { line, path }
    }

    pub(super) fn item(&self, line: usize, index: usize) -> Self {
        Self { line, path: format!("{}[{index}]", self.path) }
    }
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), mistakes: Vec::new(), notes: Vec::new() }
    }

    /// Beyond a hundred, nobody reads on.
    pub(super) fn mistake(&mut self, place: &Place, message: impl Into<String>) {
        let (line, key) = (Some(place.line), Some(place.path.clone()));
        match self.mistakes.len() {
            length if length < MAX_MISTAKES => {
                self.mistakes.push(Mistake { file: self.file.clone(), line, key, message: message.into() });
            }
            MAX_MISTAKES => {
                let message = "there are more mistakes than are listed; mend these first".into();
                self.mistakes.push(Mistake { file: self.file.clone(), line, key: None, message });
            }
            _ => {}
        }
    }

    /// A mistake of the file as a whole, or of its notation.
    pub(super) fn broken(&mut self, line: Option<usize>, message: impl Into<String>) {
        self.mistakes.push(Mistake { file: self.file.clone(), line, key: None, message: message.into() });
    }

    /// For callers that have just told one.
    pub(super) fn into_mistakes(self) -> Mistakes {
        Mistakes::new(self.mistakes).expect("a mistake was told")
    }

    pub(super) fn note(&mut self, place: &Place, message: impl Into<String>) {
        if self.notes.len() < MAX_MISTAKES {
            let (line, path) = (place.line, place.path.clone());
            self.notes.push(Note { file: self.file.clone(), line, path, message: message.into() });
        }
    }
}

/// One table.
#[derive(Debug)]
pub(super) struct Section<'n> {
    entries: &'n [Entry],
    pub(super) place: Place,
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    pub(super) fn of(node: &'n Node, place: Place, findings: &mut Findings) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            let message = format!("it must be a table of keys and values, not {}", node.value.describe());
            findings.mistake(&place, message);
            return None;
        };
        let mut seen = BTreeSet::new();
        for entry in entries {
            if !seen.insert(&entry.key) {
                findings.mistake(
                    &place.key(entry.line, &entry.key),
                    "the key is there already, further up; keep one of them",
                );
            }
        }
        Some(Self { entries, place, known: Vec::new() })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'n str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// A key that has no meaning here and does no harm.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.known.push(key);
    }

    /// A null is as good as nothing.
    pub(super) fn get(&mut self, key: &'static str) -> Option<(&'n Node, Place)> {
        self.known.push(key);
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then(|| (&entry.node, self.place.key(entry.line, key)))
    }

    pub(super) fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<Located<String>> {
        let (node, place) = self.get(key)?;
        text_of(node, place, findings)
    }

    pub(super) fn boolean(&mut self, key: &'static str, findings: &mut Findings) -> Option<Located<bool>> {
        let (node, place) = self.get(key)?;
        match &node.value {
            Value::Boolean(value) => Some(Located { value: *value, place }),
            other => {
                findings.mistake(&place, format!("it must be true or false, not {}", other.describe()));
                None
            }
        }
    }

    /// `None` if there is no such key; what is no text in the list is left out, and told.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<Located<Vec<Located<String>>>> {
        let (items, place) = self.list(key, findings)?;
        let texts = items.into_iter().filter_map(|(node, place)| text_of(node, place, findings));
        Some(Located { value: texts.collect(), place })
    }

    pub(super) fn list(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<(Vec<(&'n Node, Place)>, Place)> {
        let (node, place) = self.get(key)?;
        let Value::List(items) = &node.value else {
            findings.mistake(&place, format!("it must be a list, not {}", node.value.describe()));
            return None;
        };
        let located = items.iter().enumerate().map(|(index, item)| (item, place.item(item.line, index)));
        Some((located.collect(), place))
    }

    pub(super) fn section(&mut self, key: &'static str, findings: &mut Findings) -> Option<Self> {
        let (node, place) = self.get(key)?;
        Section::of(node, place, findings)
    }

    /// Tells every key that nobody asked for.
    pub(super) fn finish(self, findings: &mut Findings) {
        for entry in self.entries {
            if MAX_MISTAKES < findings.mistakes.len() {
                break;
            }
            if !self.known.contains(&entry.key.as_str()) {
                let message = format!(
                    "there is no key \"{}\" here; {}",
                    shown(&entry.key),
                    suggest(&entry.key, &self.known)
                );
                findings.mistake(&self.place.key(entry.line, &entry.key), message);
            }
        }
    }
}

fn text_of(node: &Node, place: Place, findings: &mut Findings) -> Option<Located<String>> {
    match &node.value {
        Value::Text(text) => Some(Located { value: text.clone(), place }),
        other => {
            findings.mistake(&place, format!("it must be a text in quotes, not {}", other.describe()));
            None
        }
    }
}

/// A text of somebody else's making, on one line and not too long.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}
