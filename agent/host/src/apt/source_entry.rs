//! One `deb` line or one stanza of a sources file, taken apart into its words. What they multiply out to is `sources`.

use crate::apt::conf::parse_flag;
use crate::apt::sources::SourceSettings;
use crate::deb822::Stanza;

/// One `deb` line or stanza before it is multiplied out.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) uris: Vec<String>,
    pub(super) distributions: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) options: Vec<(String, Change, Vec<String>)>,
    pub(super) line: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Set,
    Add,
    Remove,
}

impl Entry {
    fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().rfind(|(key, change, _)| key == name && *change == Change::Set)?;
        found.2.first().map(String::as_str)
    }

    pub(super) fn architectures(&self, default: &[String]) -> Vec<String> {
        let mut chosen = default.to_vec();
        for (_, change, values) in self.options.iter().filter(|(name, ..)| name == "arch") {
            match change {
                Change::Set => chosen.clone_from(values),
                Change::Add => chosen.extend(values.iter().cloned()),
                Change::Remove => chosen.retain(|name| !values.contains(name)),
            }
        }
        chosen
    }

    pub(super) fn settings(&self) -> Result<SourceSettings, &'static str> {
        let seconds = |name| match self.option(name).map(str::parse::<i64>) {
            None => Ok(None),
            Some(Ok(seconds)) => Ok(Some(seconds).filter(|&seconds| seconds != 0)),
            Some(Err(_)) => Err("a time of validity is no number"),
        };
        Ok(SourceSettings {
            trusted: self.option("trusted").and_then(parse_flag),
            min_valid_seconds: seconds("valid-until-min")?,
            max_valid_seconds: seconds("valid-until-max")?,
        })
    }
}

/// The line up to its comment; a `#` inside of brackets is none.
fn without_comment(line: &str) -> &str {
    let mut is_inside = false;
    for (at, c) in line.char_indices() {
        match c {
            '[' => is_inside = true,
            ']' => is_inside = false,
            '#' if !is_inside => return line.get(..at).unwrap_or_default(),
            _ => {}
        }
    }
    line
}

/// Takes a one-line source apart; none for an empty line, a comment or a source of source packages.
pub(super) fn parse_line(line: &str) -> Result<Option<Entry>, &'static str> {
    let mut words = Words(without_comment(line).trim());
    let Some(kind) = words.next().transpose()? else {
        return Ok(None);
    };
    match kind.as_str() {
        "deb" => {}
        "deb-src" => return Ok(None),
        _ => return Err("the line begins with neither deb nor deb-src"),
    }
    let mut entry = Entry::default();
    if let Some(rest) = words.0.trim_start().strip_prefix('[') {
        let (options, rest) = rest.split_once(']').ok_or("an option list has no ] at its end")?;
        for option in Words(options) {
            let option = option?;
            let (name, value) = option.split_once('=').ok_or("an option has no = sign")?;
            let (name, change) = match (name.strip_suffix('+'), name.strip_suffix('-')) {
                (Some(name), _) => (name, Change::Add),
                (_, Some(name)) => (name, Change::Remove),
                _ => (name, Change::Set),
            };
            let values = value.split(',').filter(|value| !value.is_empty()).map(str::to_owned).collect();
            entry.options.push((name.to_ascii_lowercase(), change, values));
        }
        words.0 = rest;
    }
    entry.uris.push(words.next().ok_or("the line has no address")??);
    entry.distributions.push(words.next().ok_or("the line has no suite")??);
    entry.components = words.collect::<Result<_, _>>()?;
    Ok(Some(entry))
}

/// Takes a deb822 source apart; none for one that is switched off or of source packages only.
pub(super) fn parse_stanza(stanza: &Stanza<'_>) -> Result<Option<Entry>, &'static str> {
    let mut entry = Entry::default();
    let mut types = Vec::new();
    let mut has_fields = false;
    for field in stanza.fields() {
        let field = field.map_err(|_| "a line is no field")?;
        has_fields = true;
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        let value: Vec<_> = field.lines().map(String::from_utf8_lossy).collect();
        let value = value.join(" ");
        let words: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        match name.as_str() {
            "types" => types = words,
            "uris" => entry.uris = words,
            "suites" => entry.distributions = words,
            "components" => entry.components = words,
            "enabled" if parse_flag(&value) == Some(false) => return Ok(None),
            _ => {
                let (name, change) = match (name.strip_suffix("-add"), name.strip_suffix("-remove")) {
                    (Some(name), _) => (name, Change::Add),
                    (_, Some(name)) => (name, Change::Remove),
                    _ => (name.as_str(), Change::Set),
                };
                let name = match name {
                    "architectures" => "arch",
                    "targets" => "target",
                    other => other,
                };
                let values = words.iter().flat_map(|word| word.split(',')).map(str::to_owned).collect();
                entry.options.push((name.to_owned(), change, values));
            }
        }
    }
    if !has_fields {
        return Ok(None);
    }
    if types.is_empty() {
        return Err("a stanza has no Types");
    }
    if types.iter().any(|kind| kind != "deb" && kind != "deb-src") {
        return Err("a type is neither deb nor deb-src");
    }
    if entry.uris.is_empty() {
        return Err("a stanza has no URIs");
    }
    if entry.distributions.is_empty() {
        return Err("a stanza has no Suites");
    }
    Ok(types.iter().any(|kind| kind == "deb").then_some(entry))
}

/// apt's words of a line: parted by blanks, but not inside of quotes or brackets; `%20` is a blank.
struct Words<'a>(&'a str);

impl Iterator for Words<'_> {
    type Item = Result<String, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start();
        let mut word = Vec::new();
        let mut closing = None;
        let mut bytes = rest.bytes().enumerate();
        let mut end = rest.len();
        while let Some((at, byte)) = bytes.next() {
            match (closing, byte) {
                (None, _) if byte.is_ascii_whitespace() => {
                    end = at;
                    break;
                }
                (None, b'"') => closing = Some(b'"'),
                (Some(b'"'), b'"') => closing = None,
                (None, b'[') => {
                    closing = Some(b']');
                    word.push(byte);
                }
                (Some(b']'), b']') => {
                    closing = None;
                    word.push(byte);
                }
                (_, b'%') => {
                    match rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                        Some(decoded) => {
                            word.push(decoded);
                            bytes.next();
                            bytes.next();
                        }
                        None => word.push(byte),
                    }
                }
                _ => word.push(byte),
            }
        }
        if rest.is_empty() {
            return None;
        }
        self.0 = rest.get(end..).unwrap_or_default();
        Some(if closing.is_some() {
            Err("a quote or bracket is not closed")
        } else if word.is_empty() {
            Err("a word is empty")
        } else {
            Ok(String::from_utf8_lossy(&word).into_owned())
        })
    }
}
