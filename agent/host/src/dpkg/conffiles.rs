//! The configuration files that dpkg keeps an eye on: what it has recorded of them, what is on disk, and whether it would
//! ask what to do about one (deb-conffiles(5)). What a package's scripts manage themselves (ucf, debconf) is not seen here.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use md5::Digest;
use patchd_core::package::{Architecture, PackageId, PackageName};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use super::diversions::Diversions;
use crate::deb822::{End, Stanza, StanzaReader};
use crate::problem_list::{ProblemList, quoted};
use crate::read;
use crate::root::Root;

const STATUS: &str = "/var/lib/dpkg/status";
const JOURNAL: &str = "/var/lib/dpkg/updates";
const MAX_STATUS: u64 = 256 << 20;
const MAX_JOURNAL_FILES: usize = 10_000;
/// A thousand times what a full desktop has.
const MAX_CONFFILES: usize = 1_000_000;
/// The longest configuration file that is hashed.
const MAX_FILE: u64 = 256 << 20;

/// What dpkg compares configuration files by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Md5([u8; 16]);

impl Md5 {
    pub fn parse(text: &str) -> Option<Self> {
        let number = Some(text)
            .filter(|text| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        Some(Self(u128::from_str_radix(number, 16).ok()?.to_be_bytes()))
    }

    pub fn of(content: &[u8]) -> Self {
        Self(md5::Md5::digest(content).into())
    }

    /// The hash of what a reader holds, which must be at most `limit` bytes.
    fn of_reader(mut reader: impl Read, limit: u64) -> io::Result<Self> {
        let mut hash = md5::Md5::new();
        let mut buffer = [0; 8 << 10];
        let mut length = 0_u64;
        loop {
            let count = match reader.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            };
            if count == 0 {
                return Ok(Self(hash.finalize().into()));
            }
            length = length.saturating_add(count as u64);
            if limit < length {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            hash.update(buffer.get(..count).unwrap_or_default());
        }
    }
}

impl fmt::Display for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Md5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Md5({self})")
    }
}

/// What dpkg recorded when it last dealt with a conffile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The file as the package shipped it.
    Shipped(Md5),
    /// It was never dealt with: `newconffile`, or no record at all.
    Never,
}

/// One conffile in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conffile {
    pub path: PathBuf,
    pub recorded: Recorded,
    /// The installed version does not ship it any more. If a later one does, the record counts again.
    pub is_obsolete: bool,
    /// It goes away with the next version, and nobody is asked.
    pub is_removed_on_upgrade: bool,
}

/// What is on disk in a conffile's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    Missing,
    Content(Md5),
    /// dpkg compares what the link leads to with a new version beside that, but puts the new version beside the link:
    /// it finds nothing new, keeps the link and leaves the new version there as `.dpkg-new` (dpkg 1.21.23).
    Linked,
    /// A directory or a device: dpkg says so, and asks nothing.
    Special,
    /// It can't be read, at which dpkg fails.
    Unreadable {
        detail: String,
    },
}

/// What dpkg would do about one conffile of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Silent,
    Prompt,
}

/// dpkg's own decision, without any of its `--force-conf…` options.
pub fn decide(recorded: Recorded, current: &Current, shipped: Md5) -> Answer {
    let is_edited = |known: Md5| *current != Current::Content(known);
    match (recorded, current) {
        (_, Current::Linked | Current::Special) => Answer::Silent,
        (_, Current::Content(content)) if *content == shipped => Answer::Silent,
        (_, Current::Unreadable { .. }) => Answer::Prompt,
        (Recorded::Never, Current::Missing) => Answer::Silent,
        (Recorded::Never, Current::Content(_)) => Answer::Prompt,
        (Recorded::Shipped(known), _) if is_edited(known) && known != shipped => Answer::Prompt,
        (Recorded::Shipped(_), _) => Answer::Silent,
    }
}

/// How a conffile differs from its record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edit {
    Changed,
    Deleted,
    Linked,
    /// A file that dpkg never dealt with was there before the package's own.
    Foreign,
    /// Nobody can tell.
    Unreadable {
        detail: String,
    },
}

/// A conffile that is not as its package shipped it: dpkg would ask as soon as a version ships it changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edited {
    pub package: PackageId,
    pub path: PathBuf,
    pub edit: Edit,
    pub is_obsolete: bool,
}

/// Every conffile of the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conffiles {
    packages: BTreeMap<PackageId, Vec<Conffile>>,
    diversions: Diversions,
    count: usize,
}

impl Conffiles {
    /// Reads the database under `root`, with its journal. Half-done changes are for a repair to end first.
    pub fn read(root: &Root) -> (Self, Vec<Problem>) {
        let mut problems = ProblemList::new(root.path(STATUS).to_string_lossy());
        let mut conffiles = Self { diversions: Diversions::read(root, &mut problems), ..Self::default() };
        conffiles.add_file(root, Path::new(STATUS), &mut problems);
        let mut journal = match read::list(root, JOURNAL, MAX_JOURNAL_FILES) {
            Ok(names) => names,
            Err(error) if error.is_absent() => Vec::new(),
            Err(error) => {
                problems.push(error.to_problem(Weight::Incomplete));
                Vec::new()
            }
        };
        journal.retain(|name| name.as_bytes().iter().all(u8::is_ascii_digit));
        for name in journal {
            conffiles.add_file(root, &Path::new(JOURNAL).join(name), &mut problems);
        }
        (conffiles, problems.into_problems())
    }

    /// A later stanza of a package replaces the earlier one.
    fn add_file(&mut self, root: &Root, name: &Path, problems: &mut ProblemList) {
        let file = match read::open(root, name) {
            Ok(file) => file,
            Err(error) => return problems.push(error.to_problem(Weight::Incomplete)),
        };
        let place = file.path().to_string_lossy().into_owned();
        let mut reader = StanzaReader::new(file.take(MAX_STATUS));
        loop {
            match reader.next_stanza() {
                Ok(Some(stanza)) => self.add_stanza(&stanza, &place, problems),
                Ok(None) => return,
                Err(error) => {
                    let message = format!("it can't be read on: {error}");
                    let problem = Problem::new(ProblemKind::Unreadable, Weight::Incomplete, place, message);
                    return problems.push(problem.at_line(reader.line()));
                }
            }
        }
    }

    fn add_stanza(&mut self, stanza: &Stanza<'_>, place: &str, problems: &mut ProblemList) {
        let (mut name, mut architecture, mut own, mut is_there) = (None, None, Vec::new(), false);
        for field in stanza.fields().flatten() {
            let text = std::str::from_utf8(field.value).unwrap_or_default();
            if field.is("Package") {
                name = PackageName::parse(text).ok();
            } else if field.is("Architecture") {
                architecture = Architecture::parse(text).ok();
            } else if field.is("Status") {
                is_there = !text.ends_with(" not-installed");
            } else if field.is("Conffiles") {
                for line in
                    field.value.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty())
                {
                    match parse_line(line) {
                        Some(conffile) => own.push(conffile),
                        None => {
                            let message = format!("{} is no conffile with its hash", quoted(line));
                            let problem =
                                Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message);
                            problems.push(problem.at_line(field.line));
                        }
                    }
                }
            }
        }
        // The inventory tells of stanzas that describe no package.
        let (Some(name), Some(architecture)) = (name, architecture) else {
            return;
        };
        self.count += own.len();
        if stanza.end != End::Whole || MAX_CONFFILES < self.count {
            let message =
                format!("the conffiles of {name} are not all known: the database is cut, or too large");
            problems.push(
                Problem::new(ProblemKind::Truncated, Weight::Incomplete, place, message).at_line(stanza.line),
            );
            return;
        }
        let id = PackageId { name, architecture };
        if is_there && !own.is_empty() {
            self.packages.insert(id, own);
        } else {
            self.packages.remove(&id);
        }
    }

    /// In the order of the database.
    pub fn of(&self, package: &PackageId) -> &[Conffile] {
        self.packages.get(package).map(Vec::as_slice).unwrap_or_default()
    }

    /// What dpkg would compare a file of this package with: its own record, or that of the package that it takes the
    /// file over from.
    pub fn recorded(&self, package: &PackageId, path: &Path) -> Recorded {
        let of =
            |conffiles: &[Conffile]| conffiles.iter().find(|one| one.path == path).map(|one| one.recorded);
        let others = || self.packages.iter().filter(|(id, _)| *id != package).find_map(|(_, own)| of(own));
        of(self.of(package)).or_else(others).unwrap_or(Recorded::Never)
    }

    /// What is on disk where dpkg would look for a conffile of this package.
    pub fn current(&self, root: &Root, package: &PackageId, path: &Path) -> Current {
        let place = self.place(package, path);
        let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
            return Current::Special;
        };
        let file = root.resolve(parent).map(|parent| parent.join(name));
        let found = file.and_then(|file| Ok((std::fs::symlink_metadata(&file)?, file)));
        match found {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Current::Missing,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Current::Special,
            Err(error) => Current::Unreadable { detail: error.to_string() },
            Ok((metadata, _)) if metadata.is_symlink() => Current::Linked,
            Ok((metadata, _)) if !metadata.is_file() => Current::Special,
            Ok((_, file)) => match read::open(&Root::host(), &file) {
                Ok(content) => match Md5::of_reader(content, MAX_FILE) {
                    Ok(hash) => Current::Content(hash),
                    Err(error) => Current::Unreadable { detail: error.to_string() },
                },
                Err(error) => Current::Unreadable { detail: error.to_string() },
            },
        }
    }

    /// Which of the conffiles that a new version of this package ships dpkg would ask about.
    pub fn prompts<'a>(
        &self,
        root: &Root,
        package: &PackageId,
        shipped: impl IntoIterator<Item = (&'a Path, Md5)>,
    ) -> Vec<&'a Path> {
        let shipped = shipped.into_iter().filter(|(path, shipped)| {
            let current = self.current(root, package, path);
            decide(self.recorded(package, path), &current, *shipped) == Answer::Prompt
        });
        shipped.map(|(path, _)| path).collect()
    }

    /// Where a conffile of this package lies.
    pub(super) fn place<'a>(&'a self, package: &PackageId, path: &'a Path) -> &'a Path {
        self.diversions.place(path, package.name.as_str())
    }

    /// The conffiles of these packages that the administrator changed. Sorted.
    pub fn edited<'a>(&self, root: &Root, packages: impl IntoIterator<Item = &'a PackageId>) -> Vec<Edited> {
        let mut edited = Vec::new();
        for package in packages {
            for conffile in self.of(package).iter().filter(|conffile| !conffile.is_removed_on_upgrade) {
                let edit = match (conffile.recorded, self.current(root, package, &conffile.path)) {
                    (_, Current::Special) | (Recorded::Never, Current::Missing) => continue,
                    (Recorded::Shipped(known), Current::Content(content)) if known == content => continue,
                    (_, Current::Unreadable { detail }) => Edit::Unreadable { detail },
                    (_, Current::Linked) => Edit::Linked,
                    (Recorded::Shipped(_), Current::Missing) => Edit::Deleted,
                    (Recorded::Shipped(_), Current::Content(_)) => Edit::Changed,
                    (Recorded::Never, Current::Content(_)) => Edit::Foreign,
                };
                let (package, path) = (package.clone(), conffile.path.clone());
                edited.push(Edited { package, path, edit, is_obsolete: conffile.is_obsolete });
            }
        }
        edited.sort();
        edited
    }
}

/// `PATH HASH [obsolete] [remove-on-upgrade]`, read from its end since a path may hold blanks.
fn parse_line(line: &[u8]) -> Option<Conffile> {
    let cut = |text: &'_ [u8]| {
        let text = text.trim_ascii_end();
        let at = text.iter().rposition(u8::is_ascii_whitespace)?;
        Some((text.get(..at)?.to_vec(), text.get(at + 1..)?.to_vec()))
    };
    let (mut rest, mut word) = cut(line)?;
    let is_removed_on_upgrade = word == b"remove-on-upgrade";
    if is_removed_on_upgrade {
        (rest, word) = cut(&rest)?;
    }
    let is_obsolete = word == b"obsolete";
    if is_obsolete {
        (rest, word) = cut(&rest)?;
    }
    let recorded = match std::str::from_utf8(&word).ok()? {
        "newconffile" => Recorded::Never,
        hash => Recorded::Shipped(Md5::parse(hash)?),
    };
    let path = Path::new(OsStr::from_bytes(rest.trim_ascii()));
    let path = Some(path).filter(|path| path.is_absolute())?.to_owned();
    Some(Conffile { path, recorded, is_obsolete, is_removed_on_upgrade })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_from_their_end() {
        let hash = "d41d8cd98f00b204e9800998ecf8427e";
        let conffile = |line: String| parse_line(line.as_bytes());
        let plain = conffile(format!(" /etc/a b.conf {hash}")).unwrap();
        assert_eq!(
            (plain.path.as_path(), plain.recorded),
            (Path::new("/etc/a b.conf"), Recorded::Shipped(Md5::of(b"")))
        );
        assert!(!plain.is_obsolete && !plain.is_removed_on_upgrade);
        assert!(conffile(format!(" /etc/a {hash} obsolete")).unwrap().is_obsolete);
        assert!(conffile(format!(" /etc/a {hash} remove-on-upgrade")).unwrap().is_removed_on_upgrade);
        let both = conffile(format!(" /etc/obsolete {hash} obsolete remove-on-upgrade ")).unwrap();
        assert!(both.is_obsolete && both.is_removed_on_upgrade && both.path == Path::new("/etc/obsolete"));
        assert_eq!(conffile(" /etc/a newconffile".to_owned()).unwrap().recorded, Recorded::Never);
        for bad in ["", " /etc/a", " /etc/a nohash", &format!(" etc/a {hash}"), &format!(" {hash}")] {
            assert_eq!(parse_line(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn hashes_are_those_of_md5sum() {
        assert_eq!(Md5::of(b"abc").to_string(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(Md5::parse("900150983CD24FB0D6963F7D28E17F72"), Some(Md5::of(b"abc")));
        assert_eq!(Md5::parse("+00150983cd24fb0d6963f7d28e17f72"), None);
        assert_eq!(Md5::of_reader(&b"abc"[..], 3).unwrap(), Md5::of(b"abc"));
        assert!(Md5::of_reader(&b"abcd"[..], 3).is_err());
    }
}
