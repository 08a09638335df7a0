//! One stanza of dpkg's database, checked. Whether two entries can stand side by side is for `database` to say.
//!
//! A problem is `Incomplete` where dpkg would refuse the whole database or where the verdict loses a fact, and a
//! `Notice` where dpkg itself only warns. A missing `Status`, which dpkg lets pass, is a lost fact: it writes one always.

use std::rc::Rc;

use patchd_core::inventory::{DpkgState, Status};
use patchd_core::package::{Architecture, PackageId, PackageName, SourcePackage, Version};
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::version::deb;

use super::state;
use crate::deb822::{End, Field, Stanza};
use crate::problem_list::{ProblemList, quoted};

/// apt's name for the architecture of a package that states none.
const NO_ARCHITECTURE: &str = "none";

/// What one stanza says of one package.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: PackageId,
    pub(super) state: DpkgState,
    pub(super) version: Option<Version>,
    pub(super) source: Option<SourcePackage>,
    pub(super) priority: Option<Box<str>>,
    pub(super) section: Option<Box<str>>,
    pub(super) essential: bool,
    pub(super) multi_arch_same: bool,
    pub(super) place: Place,
}

/// Where an entry was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: Rc<str>,
    pub(super) line: u64,
}

impl Place {
    pub(super) fn problem(&self, kind: ProblemKind, weight: Weight, message: impl Into<String>) -> Problem {
        Problem::new(kind, weight, &*self.file, message).at_line(self.line)
    }
}

/// What a stanza without a `Status` field means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// In dpkg's own files: the package is not installed.
    NotInstalled,
    /// In `status.d`: the package is part of the image.
    Installed,
}

/// The fields that are read. Their numbers are their places in `NAMES`.
#[derive(Debug, Clone, Copy)]
enum Key {
    Package,
    Status,
    Version,
    Architecture,
    MultiArch,
    Source,
    Priority,
    Section,
    Essential,
    Protected,
}

const NAMES: [&str; 10] = [
    "Package",
    "Status",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Priority",
    "Section",
    "Essential",
    "Protected",
];

/// Those fields as they stand in the stanza.
#[derive(Default)]
struct Raw<'a>([Option<Field<'a>>; NAMES.len()]);

impl<'a> Raw<'a> {
    fn get(&self, key: Key) -> Option<Field<'a>> {
        self.0.get(key as usize).copied().flatten()
    }

    /// Where a field belongs, if it is one of them.
    fn slot(&mut self, field: &Field<'a>) -> Option<&mut Option<Field<'a>>> {
        let at = NAMES.iter().position(|name| field.is(name))?;
        self.0.get_mut(at)
    }
}

/// Fields of a package list that have no place in dpkg's database: dpkg refuses a database with one.
const ARCHIVE_FIELDS: [&str; 4] = ["Filename", "Size", "MD5sum", "MSDOS-Filename"];

/// Reads one stanza. None is a stanza that describes no package, or one that can't be told; then it is in `problems`.
pub(super) fn parse(
    stanza: &Stanza<'_>,
    file: &Rc<str>,
    missing: Missing,
    problems: &mut ProblemList,
) -> Option<Entry> {
    let mut reader = EntryReader { file, subject: None, problems };
    let whole = reader.whole_lines(*stanza);
    let raw = reader.collect_fields(&whole)?;
    reader.entry(&raw, missing, stanza.line)
}

struct EntryReader<'a, 's> {
    file: &'a Rc<str>,
    /// The name of the package as it is written, once it was seen.
    subject: Option<&'s [u8]>,
    problems: &'a mut ProblemList,
}

impl<'s> EntryReader<'_, 's> {
    fn report(&mut self, kind: ProblemKind, weight: Weight, line: u64, message: &str) {
        let message = match self.subject.and_then(parse_name) {
            Some(package) => format!("package {package}: {message}"),
            None => message.to_owned(),
        };
        self.problems.push(Problem::new(kind, weight, &**self.file, message).at_line(line));
    }

    /// Something that dpkg refuses a database for, or that hides a fact.
    fn refused(&mut self, line: u64, message: &str) {
        self.report(ProblemKind::Malformed, Weight::Incomplete, line, message);
    }

    /// Something that dpkg puts up with.
    fn tolerated(&mut self, line: u64, message: &str) {
        self.report(ProblemKind::Malformed, Weight::Notice, line, message);
    }

    /// The stanza without a last line that is only half there: `Version: 1.2` may have been `Version: 1.20`.
    fn whole_lines(&mut self, stanza: Stanza<'s>) -> Stanza<'s> {
        match stanza.end {
            End::Whole => return stanza,
            End::CutFile => self.report(
                ProblemKind::Truncated,
                Weight::Incomplete,
                stanza.line,
                "the file ends in the middle of a line; packages behind it are unknown, restore status-old",
            ),
            End::CutHere => self.report(
                ProblemKind::TooLarge,
                Weight::Incomplete,
                stanza.line,
                "the stanza is longer than any real one; only its beginning was read",
            ),
        }
        let whole = memchr::memrchr(b'\n', stanza.bytes).map_or(0, |at| at + 1);
        Stanza { bytes: stanza.bytes.get(..whole).unwrap_or_default(), ..stanza }
    }

    fn collect_fields(&mut self, stanza: &Stanza<'s>) -> Option<Raw<'s>> {
        let mut raw = Raw::default();
        let mut is_empty = true;
        for field in stanza.fields() {
            let field = match field {
                Ok(field) => field,
                Err(bad) => {
                    self.refused(bad.line, &format!("{bad}; it was passed over, and dpkg refuses the file"));
                    continue;
                }
            };
            is_empty = false;
            if field.is("Package") && self.subject.is_none_or(|seen| parse_name(seen).is_none()) {
                self.subject = Some(field.value);
            }
            match raw.slot(&field) {
                Some(slot @ None) => *slot = Some(field),
                Some(Some(_)) => {
                    let name = quoted(field.name);
                    self.refused(
                        field.line,
                        &format!("the field {name} is there twice; the first was taken"),
                    );
                }
                None if ARCHIVE_FIELDS.iter().any(|name| field.is(name)) => {
                    self.refused(field.line, &format!("dpkg refuses a database with {}", quoted(field.name)));
                }
                None => {}
            }
        }
        (!is_empty).then_some(raw)
    }

    fn entry(&mut self, raw: &Raw<'_>, missing: Missing, line: u64) -> Option<Entry> {
        let name = self.name(raw.get(Key::Package), line)?;
        let state = self.state(raw.get(Key::Status), missing, line)?;
        let version = self.version(raw.get(Key::Version));
        if version.is_none() && state.status != Status::NotInstalled {
            self.refused(line, "its version is unknown; it is not listed as installed");
        }
        let architecture = self.architecture(raw.get(Key::Architecture), state, line);
        let source = version.as_ref().map(|version| self.source(raw.get(Key::Source), &name, version));
        let multi_arch_same = self.is_multi_arch_same(raw.get(Key::MultiArch), &architecture);
        Some(Entry {
            id: PackageId { name, architecture },
            state,
            version,
            source,
            priority: text(raw.get(Key::Priority)),
            section: text(raw.get(Key::Section)),
            essential: self.is_yes(raw.get(Key::Essential)) | self.is_yes(raw.get(Key::Protected)),
            multi_arch_same,
            place: Place { file: Rc::clone(self.file), line },
        })
    }

    fn name(&mut self, field: Option<Field<'_>>, line: u64) -> Option<PackageName> {
        let Some(field) = field else {
            self.refused(line, "the stanza names no package; it was passed over");
            return None;
        };
        let name = parse_name(field.value);
        if name.is_none() {
            let shown = quoted(field.value);
            self.refused(field.line, &format!("{shown} is no package name; the stanza was passed over"));
        }
        name
    }

    fn state(&mut self, field: Option<Field<'_>>, missing: Missing, line: u64) -> Option<DpkgState> {
        match (field, missing) {
            (Some(field), _) => match state::parse(field.value) {
                Ok(state) => Some(state),
                Err(error) => {
                    let shown = quoted(field.value);
                    self.refused(
                        field.line,
                        &format!("{error}: {shown}; whether it is installed is unknown"),
                    );
                    None
                }
            },
            (None, Missing::Installed) => Some(DpkgState::INSTALLED),
            (None, Missing::NotInstalled) => {
                self.refused(line, "it has no Status, so that it counts as not installed, as for dpkg");
                None
            }
        }
    }

    fn version(&mut self, field: Option<Field<'_>>) -> Option<Version> {
        let field = field.filter(|field| !field.value.is_empty())?;
        let shown = || quoted(field.value);
        let text = std::str::from_utf8(field.value).unwrap_or_default();
        let Ok(version) = Version::parse(text) else {
            self.refused(field.line, &format!("{} is no version", shown()));
            return None;
        };
        if let Err(error) = deb::check(text) {
            self.refused(field.line, &format!("dpkg refuses the version {}: {error}", shown()));
        } else if let Some(irregularity) = deb::irregularity(text) {
            self.tolerated(field.line, &format!("the version {} breaks the rules: {irregularity}", shown()));
        }
        Some(version)
    }

    fn architecture(&mut self, field: Option<Field<'_>>, state: DpkgState, line: u64) -> Architecture {
        let field = field.filter(|field| !field.value.is_empty());
        let text = field.map(|field| String::from_utf8_lossy(field.value));
        if let Some(architecture) = text.as_deref().and_then(|text| Architecture::parse(text).ok()) {
            return architecture;
        }
        if let Some(field) = field {
            let shown = quoted(field.value);
            self.tolerated(
                field.line,
                &format!("{shown} is no architecture; it is listed as {NO_ARCHITECTURE:?}"),
            );
        } else if state.has_files() {
            self.tolerated(
                line,
                &format!("it has no Architecture; it is listed as {NO_ARCHITECTURE:?}, as apt does"),
            );
        }
        Architecture::parse(NO_ARCHITECTURE).expect("a word of letters is an architecture")
    }

    /// `Source: name` or `name (version)`; absent, the package is its own source.
    fn source(&mut self, field: Option<Field<'_>>, name: &PackageName, version: &Version) -> SourcePackage {
        let own = || SourcePackage { name: name.clone(), version: version.clone() };
        let Some(field) = field.filter(|field| !field.value.is_empty()) else {
            return own();
        };
        parse_source(field.value, version).unwrap_or_else(|| {
            let shown = quoted(field.value);
            self.refused(
                field.line,
                &format!("its Source {shown} can't be read; its own name was taken instead"),
            );
            own()
        })
    }

    fn is_multi_arch_same(&mut self, field: Option<Field<'_>>, architecture: &Architecture) -> bool {
        let Some(field) = field else {
            return false;
        };
        let is = |word: &str| field.value.eq_ignore_ascii_case(word.as_bytes());
        let is_same = is("same");
        if is_same && architecture.as_str() == "all" {
            self.refused(field.line, "it is Multi-Arch: same but of architecture all");
        } else if !is_same && !["foreign", "allowed", "no"].into_iter().any(is) {
            self.refused(field.line, &format!("Multi-Arch can't be {}", quoted(field.value)));
        }
        is_same
    }

    fn is_yes(&mut self, field: Option<Field<'_>>) -> bool {
        let Some(field) = field else {
            return false;
        };
        let is = |word: &str| field.value.eq_ignore_ascii_case(word.as_bytes());
        if !is("yes") && !is("no") {
            let (name, value) = (quoted(field.name), quoted(field.value));
            self.refused(field.line, &format!("{name} can't be {value}, only yes or no"));
        }
        is("yes")
    }
}

/// A name as dpkg keeps it, in small letters.
fn parse_name(value: &[u8]) -> Option<PackageName> {
    let text = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.starts_with(|c: char| c.is_ascii_alphanumeric()))?;
    let is_lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_lower { PackageName::parse(text) } else { PackageName::parse(&text.to_ascii_lowercase()) }.ok()
}

fn parse_source(value: &[u8], own_version: &Version) -> Option<SourcePackage> {
    let value = std::str::from_utf8(value).ok()?;
    let (name, rest) = value.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((value, ""));
    let version = match rest.trim() {
        "" => own_version.clone(),
        rest => Version::parse(rest.strip_prefix('(')?.strip_suffix(')')?.trim()).ok()?,
    };
    Some(SourcePackage { name: PackageName::parse(name).ok()?, version })
}

/// A short value for people. What isn't UTF-8 in it is replaced.
fn text(field: Option<Field<'_>>) -> Option<Box<str>> {
    let value = field?.value;
    let short = value.get(..patchd_core::package::MAX_WORD).unwrap_or(value);
    (!short.is_empty()).then(|| String::from_utf8_lossy(short).into())
}
