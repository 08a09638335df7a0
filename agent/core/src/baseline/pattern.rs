//! Entries of the lists of approved and rejected patches: names, globs, versions, and the ids of advisories and holes.
//!
//! What a pattern says depends on the kind of package, as Patch Manager documents it. A glob is the shell's: `*`, `?`
//! and `[…]`, always over the whole name and without case.

use std::fmt;

use thiserror::Error;

use super::subject::{Facts, Subject, Traits};
use super::system::Packaging;
use crate::package::{PackageId, Version};
use crate::version::rpm;

/// The longest entry of a list, in characters, as in the Systems Manager API.
pub const MAX_PATTERN: usize = 100;

/// Why a text can't be an entry of a list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPattern {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_PATTERN} characters")]
    TooLong,
    #[error("it has the character {0:?}")]
    Character(char),
    #[error("{0:?} is no version to compare with; write it like `curl < 8.0-1`")]
    Range(String),
}

/// One entry of a list, with the text that it was written as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Bugzilla(u64),
    Cve(String),
    /// A name, a version, an advisory, or a glob over one of these.
    Glob(ShellGlob),
    /// zypper's `name < version > version`.
    Range {
        name: ShellGlob,
        bounds: Vec<Bound>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    operator: Operator,
    version: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    Greater,
}

impl Pattern {
    pub fn parse(text: &str, packaging: Packaging) -> Result<Self, InvalidPattern> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        if MAX_PATTERN < trimmed.chars().count() {
            return Err(InvalidPattern::TooLong);
        }
        let is_odd = |c: char| !(c.is_ascii_graphic() || c == ' ' && packaging == Packaging::Zypper);
        if let Some(odd) = trimmed.chars().find(|&c| is_odd(c)) {
            return Err(InvalidPattern::Character(odd));
        }
        let is_number = || trimmed.bytes().all(|byte| byte.is_ascii_digit());
        let form = match trimmed.parse() {
            Ok(number) if packaging != Packaging::Deb && is_number() => Form::Bugzilla(number),
            _ if is_cve(trimmed) => Form::Cve(trimmed.to_ascii_uppercase()),
            _ if trimmed.contains(' ') => parse_range(trimmed)?,
            _ => Form::Glob(ShellGlob::new(trimmed)),
        };
        Ok(Self { text: trimmed.to_owned(), form })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names an advisory's fact that packages of this kind don't have, so that it can match nothing.
    pub fn is_in_vain(&self, packaging: Packaging) -> bool {
        packaging == Packaging::Deb && matches!(self.form, Form::Cve(_) | Form::Bugzilla(_))
    }

    /// Whether it names a version, by itself or by one of its advisories.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        let advisories = subject.facts.traits.advisories();
        match &self.form {
            Form::Bugzilla(number) => advisories.iter().any(|advisory| advisory.bugzillas.contains(number)),
            Form::Cve(id) => {
                advisories.iter().any(|advisory| advisory.cves.iter().any(|cve| cve.eq_ignore_ascii_case(id)))
            }
            Form::Glob(glob) => {
                advisories.iter().any(|advisory| glob.matches(&advisory.id)) || is_named(glob, subject)
            }
            Form::Range { name, bounds } => {
                let package = subject.package;
                (name.matches(package.name.as_str())
                    || name.matches(&format!("{}.{}", package.name, package.architecture)))
                    && bounds.iter().all(|bound| bound.holds(subject.version.as_str()))
            }
        }
    }

    /// The one version of one deb package.
    pub(crate) fn of_deb(package: &PackageId, version: &Version) -> Self {
        let text = format!("{}.{}:{version}", package.name, package.architecture);
        let form = Form::Glob(ShellGlob::new(&text));
        Self { text, form }
    }

    /// Whether it names a version of a deb package, of which it asks for name, architecture and version alone.
    pub fn matches_deb(&self, package: &PackageId, version: &Version) -> bool {
        let traits = Traits::Deb { priority: None, section: None, is_security: false, first_seen: None };
        self.matches(&Subject { package, version, facts: Facts { product: "", traits } })
    }

    /// Whether it names a package whatever its version: by name, or by name and architecture.
    pub fn names_package(&self, name: &str, architecture: &str) -> bool {
        match &self.form {
            Form::Glob(glob) => glob.matches(name) || glob.matches(&format!("{name}.{architecture}")),
            Form::Bugzilla(_) | Form::Cve(_) | Form::Range { .. } => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

fn is_cve(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| 4 <= part.len() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    parts.next().is_some_and(|part| part.eq_ignore_ascii_case("cve"))
        && is_number(parts.next())
        && is_number(parts.next())
}

/// Reads `name < version > version`: blanks between the words, as zypper's lists have them.
fn parse_range(text: &str) -> Result<Form, InvalidPattern> {
    let mut words = text.split_whitespace();
    let name = ShellGlob::new(words.next().unwrap_or_default());
    let mut bounds = Vec::new();
    while let Some(word) = words.next() {
        let operator = match word {
            "=" | "==" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            ">" => Operator::Greater,
            _ => return Err(InvalidPattern::Range(word.to_owned())),
        };
        let version = words.next().ok_or_else(|| InvalidPattern::Range(word.to_owned()))?;
        bounds.push(Bound { operator, version: version.to_owned() });
    }
    Ok(Form::Range { name, bounds })
}

impl Bound {
    fn holds(&self, version: &str) -> bool {
        let order = rpm::compare(version, &self.version);
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::Greater => order.is_gt(),
        }
    }
}

/// Whether a glob matches one of the renderings that Patch Manager tries.
pub(super) fn is_named(glob: &ShellGlob, subject: &Subject<'_>) -> bool {
    let (name, arch) = (subject.package.name.as_str(), subject.package.architecture.as_str());
    let full = subject.version.as_str();
    let mut tries = vec![name.to_owned(), format!("{name}.{arch}")];
    match subject.facts.traits {
        Traits::Deb { .. } => tries.extend([
            full.to_owned(),
            format!("{name}-{full}"),
            format!("{arch}:{full}"),
            format!("{name}.{arch}:{full}"),
        ]),
        Traits::Rpm { .. } => {
            let (epoch, rest) = full.split_once(':').unwrap_or(("0", full));
            let bare = rest.rsplit_once('-').map_or(rest, |(version, _)| version);
            tries.extend([
                format!("{name}-{rest}.{arch}"),
                // What SUSE documents is the name of the file.
                format!("{name}-{rest}.{arch}.rpm"),
                format!("{name}-{bare}"),
                format!("{name}-{rest}"),
                format!("{epoch}:{name}-{rest}.{arch}"),
                format!("{name}-{epoch}:{rest}.{arch}"),
                format!("{name}-{epoch}:{rest}"),
                bare.to_owned(),
                rest.to_owned(),
                format!("{epoch}:{rest}"),
                format!("{name}.{arch}:{epoch}:{rest}"),
            ]);
        }
    }
    tries.iter().any(|rendering| glob.matches(rendering))
}

/// A glob as fnmatch(3) has it, without case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellGlob(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    One(u8),
    /// Ranges of bytes, and whether it is these that are shut out.
    Class {
        ranges: Vec<(u8, u8)>,
        is_negated: bool,
    },
}

impl ShellGlob {
    /// Every text is a glob: a `[` without its `]` is itself.
    pub fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.as_bytes();
        let mut tokens = Vec::new();
        while let [first, after @ ..] = rest {
            rest = after;
            tokens.push(match first {
                b'*' => Token::Star,
                b'?' => Token::Any,
                b'[' => match class(after) {
                    Some((token, behind)) => {
                        rest = behind;
                        token
                    }
                    None => Token::One(b'['),
                },
                byte => Token::One(*byte),
            });
        }
        Self(tokens)
    }

    /// Whether the whole of `text` is matched. Only the last star is ever taken back, so it is quadratic at worst.
    pub fn matches(&self, text: &str) -> bool {
        let (tokens, text) = (&self.0, text.as_bytes());
        let (mut at, mut seen) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (tokens.get(at), text.get(seen)) {
                (None, None) => return true,
                (Some(Token::Star), _) => {
                    at += 1;
                    star = Some((at, seen));
                    continue;
                }
                (Some(token), Some(byte)) if token.takes(byte.to_ascii_lowercase()) => {
                    at += 1;
                    seen += 1;
                    continue;
                }
                _ => {}
            }
            match star {
                Some((after, from)) if from < text.len() => {
                    star = Some((after, from + 1));
                    at = after;
                    seen = from + 1;
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::One(wanted) => *wanted == byte,
            Self::Class { ranges, is_negated } => {
                ranges.iter().any(|(first, last)| (first..=last).contains(&&byte)) != *is_negated
            }
        }
    }
}

/// The class behind a `[`, and what comes after its `]`. The first character may itself be a `]`.
fn class(text: &[u8]) -> Option<(Token, &[u8])> {
    let (is_negated, body) = match text {
        [b'!' | b'^', body @ ..] => (true, body),
        body => (false, body),
    };
    let end = body.iter().skip(1).position(|&byte| byte == b']')? + 1;
    let (members, behind) = body.split_at_checked(end)?;
    let mut ranges = Vec::new();
    let mut rest = members;
    loop {
        rest = match rest {
            [] => break,
            [first, b'-', last, after @ ..] => {
                ranges.push((*first, *last));
                after
            }
            [one, after @ ..] => {
                ranges.push((*one, *one));
                after
            }
        };
    }
    Some((Token::Class { ranges, is_negated }, behind.get(1..)?))
}

#[cfg(test)]
mod tests;
