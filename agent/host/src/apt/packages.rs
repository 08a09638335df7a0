//! The stanzas of a Packages list or of dpkg's status file, as rows: one pass over the stream, in which only the wanted
//! packages are looked at more closely than their name. A list is never held in memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::LazyLock;

use memchr::memmem::Finder;

use patchd_core::inventory::InstalledPackage;
use patchd_core::package::{PackageName, SourcePackage, Version};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::identity::{Identity, MultiArch};
use crate::deb822::{End, Field, MAX_STANZA, Stanza, StanzaReader, count_lines};

/// The most that one list may hold when it is decompressed. Debian's largest is about 60 MiB.
const MAX_LIST: u64 = 1 << 30;

/// The fields that say what a version needs and what it clashes with, as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    pub depends: Box<str>,
    pub pre_depends: Box<str>,
    pub recommends: Box<str>,
    pub breaks: Box<str>,
    pub conflicts: Box<str>,
    pub provides: Box<str>,
}

/// One version of a package in one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub version: Version,
    pub source: SourcePackage,
    pub identity: Identity,
    pub relations: Relations,
    pub priority: Option<Box<str>>,
    pub section: Option<Box<str>>,
    pub download_bytes: u64,
    pub installed_kib: u64,
    /// 100 where it isn't phased.
    pub phased_percentage: u8,
    pub is_essential: bool,
}

impl Row {
    /// What the inventory knows of an installed version that has no stanza.
    pub fn of_installed(package: &InstalledPackage) -> Self {
        Self {
            version: package.version.clone(),
            source: package.source.clone(),
            identity: Identity::of_installed(package),
            relations: Relations::default(),
            priority: package.priority.clone(),
            section: package.section.clone(),
            download_bytes: 0,
            installed_kib: 0,
            phased_percentage: 100,
            is_essential: package.essential,
        }
    }

    pub fn is_all(&self) -> bool {
        self.identity.is_all()
    }

    pub fn multi_arch(&self) -> MultiArch {
        self.identity.multi_arch()
    }
}

/// A stanza as far as its name; the rest is parsed on demand.
#[derive(Debug)]
pub struct Listed<'a> {
    pub name: Cow<'a, str>,
    stanza: Stanza<'a>,
}

/// What came of reading a list.
#[derive(Debug)]
pub struct Scanned {
    /// What is wrong with it, and how many bytes come before that.
    troubles: Vec<(u64, Problem)>,
    /// How long it was, if it could be read to its end.
    pub length: Option<u64>,
}

impl Scanned {
    /// What is wrong with the list. Where something is, the list is read `again` to count the lines before it: sound
    /// lists are not counted.
    pub fn into_problems<R: Read>(mut self, again: impl FnOnce() -> Option<R>) -> Vec<Problem> {
        self.troubles.sort_by_key(|(offset, _)| *offset);
        let mut source = if self.troubles.is_empty() { None } else { again() };
        let (mut line, mut passed) = (1, 0);
        let with_line = |(offset, problem): (u64, Problem)| {
            let Some(source) = &mut source else {
                return problem;
            };
            line += count_lines_of(&mut source.take(offset - passed));
            passed = offset;
            problem.at_line(line)
        };
        let mut problems: Vec<_> = self.troubles.into_iter().map(with_line).collect();
        problems.sort();
        problems
    }
}

/// How many lines end before the end of `source`, or before its first error.
fn count_lines_of(source: &mut impl Read) -> u64 {
    let mut buffer = vec![0; 64 << 10];
    let mut lines = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return lines,
            Ok(count) => lines += count_lines(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return lines,
        }
    }
}

/// Reads a list to its end and hands out every stanza that has a name.
pub fn scan<R: Read>(
    source: R,
    place: &str,
    mut visit: impl FnMut(&Listed<'_>) -> Result<(), BadStanza>,
) -> Scanned {
    let read = Cell::new(0);
    let mut reader = StanzaReader::without_lines(Counted { source, read: &read });
    let mut is_whole = true;
    let mut bad: HashMap<BadStanza, (u64, u64)> = HashMap::new();
    let mut troubles = Vec::new();
    loop {
        let stanza = match reader.next_stanza() {
            Ok(Some(stanza)) => stanza,
            Ok(None) => break,
            Err(error) => {
                troubles.push((reader.offset(), stream_problem(place, &error)));
                is_whole = false;
                break;
            }
        };
        let result = match stanza.end {
            End::CutHere => Err(BadStanza::TooLong),
            // What was cut off is unknown: a version or a relation of it would be a guess.
            End::CutFile => Err(BadStanza::Cut),
            End::Whole => match find_name(&stanza) {
                Some(name) => visit(&Listed { name, stanza }),
                None => Err(BadStanza::NoName),
            },
        };
        if let Err(trouble) = result {
            let seen = bad.entry(trouble).or_insert((stanza.offset, 0));
            seen.1 += 1;
        }
    }
    troubles.extend(bad.into_iter().map(|(bad, (offset, count))| (offset, bad.to_problem(place, count))));
    Scanned { troubles, length: is_whole.then(|| read.get()) }
}

/// Why a stanza does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadStanza {
    NoName,
    BadVersion,
    BadSource,
    TooLong,
    Cut,
}

impl BadStanza {
    fn to_problem(self, place: &str, count: u64) -> Problem {
        let (kind, what) = match self {
            Self::NoName => (ProblemKind::Malformed, "a stanza has no package name".to_owned()),
            Self::BadVersion => (ProblemKind::Malformed, "a stanza has no version that is one".to_owned()),
            Self::BadSource => (ProblemKind::Malformed, "the source of a stanza is none".to_owned()),
            Self::TooLong => (ProblemKind::TooLarge, format!("a stanza is longer than {MAX_STANZA} bytes")),
            Self::Cut => (ProblemKind::Truncated, "the file ends in the middle of a line".to_owned()),
        };
        let more = if count > 1 { format!(" (and {} more like it)", count - 1) } else { String::new() };
        Problem::new(kind, Weight::Incomplete, place, format!("{what}{more}; it was left out"))
    }
}

fn stream_problem(place: &str, error: &io::Error) -> Problem {
    let kind = match error.kind() {
        io::ErrorKind::UnexpectedEof => ProblemKind::Truncated,
        io::ErrorKind::FileTooLarge => ProblemKind::TooLarge,
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            ProblemKind::Malformed
        }
        _ => ProblemKind::Unreadable,
    };
    let message = format!("it can be read up to here only ({error}); refresh the lists");
    Problem::new(kind, Weight::Incomplete, place, message)
}

/// Counts what goes through it, and stops a stream that decompresses to more than anybody's list.
struct Counted<'a, R> {
    source: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        if MAX_LIST < self.read.get() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(count) }
    }
}

/// The package name in small letters, as apt has it. It is the first field in every archive, but need not be.
fn find_name<'a>(stanza: &Stanza<'a>) -> Option<Cow<'a, str>> {
    let value = match stanza.bytes.strip_prefix(b"Package:") {
        // Names are short: looking at each byte costs less than starting a search.
        Some(rest) => rest.get(..rest.iter().position(|&byte| byte == b'\n')?)?.trim_ascii(),
        None => stanza.fields().flatten().find(|field| field.is("Package"))?.value,
    };
    let name = std::str::from_utf8(value).ok().filter(|name| !name.is_empty())?;
    let has_capital = name.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(if has_capital { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) })
}

impl Listed<'_> {
    /// The stanza as it is in the list.
    pub(super) fn bytes(&self) -> &[u8] {
        self.stanza.bytes
    }

    /// The architecture, and the class that a tally counts by. Cheaper than the whole row.
    pub fn class(&self) -> (&[u8], Option<Box<str>>, Option<Box<str>>) {
        let mut class = (&b""[..], None, None);
        for field in self.stanza.fields().flatten() {
            if field.is("Architecture") {
                class.0 = field.value;
            } else if field.is("Priority") {
                class.1 = word(&field);
            } else if field.is("Section") {
                class.2 = word(&field);
            }
        }
        class
    }

    /// The architecture that the stanza is for, and its row; none for a stanza without a version, which describes no
    /// package.
    pub fn row(&self) -> Result<Option<(Box<str>, Row)>, BadStanza> {
        let mut fields = RowFields::default();
        for field in self.stanza.fields().flatten() {
            fields.take(&field);
        }
        fields.finish(&self.name)
    }

    /// Whether the package is one without which a system can't do. Only as archives write it: fields are not parsed.
    pub fn is_essential(&self) -> bool {
        static FIELD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\nEssential: yes"));
        FIELD.find(self.stanza.bytes).is_some()
    }

    /// What the package provides, if anything.
    pub fn provides(&self) -> Option<&str> {
        static FIELD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\nProvides:"));
        FIELD.find(self.stanza.bytes)?;
        let field = self.stanza.fields().flatten().find(|field| field.is("Provides"))?;
        std::str::from_utf8(field.value).ok()
    }
}

/// The values of a stanza that make up its row.
#[derive(Default)]
struct RowFields<'a> {
    version: Option<&'a [u8]>,
    architecture: Option<&'a [u8]>,
    source: Option<&'a [u8]>,
    priority: Option<Box<str>>,
    section: Option<Box<str>>,
    multi_arch: &'a [u8],
    /// In the order in which apt hashes them.
    hashed: [Option<&'a [u8]>; 6],
    recommends: &'a [u8],
    provides: &'a [u8],
    size: u64,
    sha256: Option<Box<[u8]>>,
    phased_percentage: Option<u8>,
    is_essential: bool,
}

impl<'a> RowFields<'a> {
    fn take(&mut self, field: &Field<'a>) {
        const HASHED: [&str; 6] =
            ["Installed-Size", "Depends", "Pre-Depends", "Conflicts", "Breaks", "Replaces"];
        if let Some(slot) =
            HASHED.iter().position(|name| field.is(name)).and_then(|at| self.hashed.get_mut(at))
        {
            *slot = Some(field.value);
        } else if field.is("Version") {
            self.version = Some(field.value);
        } else if field.is("Architecture") {
            self.architecture = Some(field.value);
        } else if field.is("Source") {
            self.source = Some(field.value);
        } else if field.is("Priority") {
            self.priority = word(field);
        } else if field.is("Section") {
            self.section = word(field);
        } else if field.is("Multi-Arch") {
            self.multi_arch = field.value;
        } else if field.is("Recommends") {
            self.recommends = field.value;
        } else if field.is("Provides") {
            self.provides = field.value;
        } else if field.is("Size") {
            self.size = number(field.value);
        } else if field.is("SHA256") {
            self.sha256 = Some(field.value.to_ascii_lowercase().into());
        } else if field.is("Phased-Update-Percentage") {
            self.phased_percentage = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
        } else if field.is("Essential") {
            self.is_essential = field.value.eq_ignore_ascii_case(b"yes");
        }
    }

    fn finish(self, name: &str) -> Result<Option<(Box<str>, Row)>, BadStanza> {
        let Some(version) = self.version.filter(|version| !version.is_empty()) else {
            return Ok(None);
        };
        let version = std::str::from_utf8(version).ok().and_then(|text| Version::parse(text).ok());
        let version = version.ok_or(BadStanza::BadVersion)?;
        let source = parse_source(self.source, name, &version)?;
        let architecture = text(self.architecture.unwrap_or(b"none"));
        let is_all = &*architecture == "all";
        let multi_arch = match self.multi_arch {
            b"same" if !is_all => MultiArch::Same,
            b"foreign" => MultiArch::Foreign,
            b"allowed" => MultiArch::Allowed,
            _ => MultiArch::No,
        };
        let [installed_size, depends, pre_depends, conflicts, breaks, _] =
            self.hashed.map(Option::unwrap_or_default);
        let row = Row {
            version,
            source,
            identity: Identity::new(&self.hashed, self.size, self.sha256, multi_arch, is_all),
            relations: Relations {
                depends: text(depends),
                pre_depends: text(pre_depends),
                recommends: text(self.recommends),
                breaks: text(breaks),
                conflicts: text(conflicts),
                provides: text(self.provides),
            },
            priority: self.priority,
            section: self.section,
            download_bytes: self.size,
            installed_kib: number(installed_size),
            phased_percentage: self.phased_percentage.unwrap_or(100).min(100),
            is_essential: self.is_essential,
        };
        Ok(Some((architecture, row)))
    }
}

fn text(value: &[u8]) -> Box<str> {
    String::from_utf8_lossy(value).into()
}

fn word(field: &Field<'_>) -> Option<Box<str>> {
    Some(text(field.value).to_ascii_lowercase().into_boxed_str()).filter(|word| !word.is_empty())
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// `Source: name (version)`; what is left out is the package's own.
fn parse_source(value: Option<&[u8]>, name: &str, version: &Version) -> Result<SourcePackage, BadStanza> {
    let value = value.map(String::from_utf8_lossy).unwrap_or_default();
    let (source, rest) = value.split_once(' ').unwrap_or((&value, ""));
    let inner =
        rest.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(inner, _)| inner.trim());
    let source = if source.is_empty() { name } else { source };
    Ok(SourcePackage {
        name: PackageName::parse(source).map_err(|_| BadStanza::BadSource)?,
        version: match inner.filter(|inner| !inner.is_empty()) {
            Some(inner) => Version::parse(inner).map_err(|_| BadStanza::BadSource)?,
            None => version.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> (Vec<(String, String, Row)>, Vec<Problem>) {
        let mut rows = Vec::new();
        let scanned = scan(text, "list", |listed| {
            if let Some((architecture, row)) = listed.row()? {
                rows.push((listed.name.to_string(), architecture.into(), row));
            }
            Ok(())
        });
        assert_eq!(scanned.length, Some(text.len() as u64));
        (rows, scanned.into_problems(|| Some(text)))
    }

    #[test]
    fn a_stanza_becomes_a_row() {
        let text = b"Package: LibX\nSource: x (1:2-3)\nVersion: 2-3+b1\nArchitecture: amd64\nMulti-Arch: same\nSize: 1234\n\
            Installed-Size: 56\nPriority: Optional\nSection: libs\nDepends: libc6 (>= 2.36)\nPhased-Update-Percentage: 20\n\
            SHA256: AB\n\nVersion: 1\nArchitecture: all\npackage: y\n";
        let (rows, problems) = rows(text);
        assert_eq!(problems, []);
        let (name, architecture, row) = &rows[0];
        assert_eq!((name.as_str(), architecture.as_str()), ("libx", "amd64"));
        assert_eq!((row.source.name.as_str(), row.source.version.as_str()), ("x", "1:2-3"));
        assert_eq!((row.download_bytes, row.installed_kib, row.phased_percentage), (1234, 56, 20));
        assert_eq!((row.priority.as_deref(), row.section.as_deref()), (Some("optional"), Some("libs")));
        assert_eq!(row.multi_arch(), MultiArch::Same);
        assert_eq!(&*row.relations.depends, "libc6 (>= 2.36)");
        assert_eq!((rows[1].0.as_str(), rows[1].2.source.name.as_str()), ("y", "y"));
    }

    #[test]
    fn damage_is_counted_and_the_rest_is_read() {
        let long = format!("Package: z\nVersion: 1\nDescription: {}\n", "x".repeat(MAX_STANZA));
        let text = format!(
            "Package: a\nVersion: 1\n\nVersion: 3\n\nPackage: b\nVersion: \x01\n\nX: y\n\n{long}\nPackage: c\nVersion: 2\n\nPackage: d\nVersion: 2"
        );
        let (rows, problems) = rows(text.as_bytes());
        let names: Vec<_> = rows.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "c"]);
        let kinds: Vec<_> = problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(
            kinds,
            [ProblemKind::Truncated, ProblemKind::TooLarge, ProblemKind::Malformed, ProblemKind::Malformed]
        );
        assert!(problems.iter().any(|problem| problem.message.contains("and 1 more")));
        assert!(problems.iter().all(|problem| problem.weight == Weight::Incomplete));
    }

    #[test]
    fn problems_name_the_line_where_the_first_of_their_kind_begins() {
        let text =
            "Package: a\nVersion: 1\n\n\nX: y\n\nPackage: b\nVersion: 1\n\nX: y\n\nPackage: c\nVersion: ?é\n";
        let (_, problems) = rows(text.as_bytes());
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [Some(5), Some(12)]);
        let again = || None::<&[u8]>;
        let unplaced = scan(&b"X: y\n"[..], "list", |_| Ok(())).into_problems(again);
        assert_eq!(unplaced.iter().map(|problem| problem.line).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn carriage_returns_do_not_matter() {
        let text = "Package: a\r\nVersion: 1\r\nArchitecture: amd64\r\n\r\nPackage: b\r\nVersion: 2\r\n";
        let (rows, problems) = rows(text.as_bytes());
        assert_eq!(problems, []);
        assert_eq!(rows.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
