//! What the names and ages of `info/*.list` tell: when a package was last unpacked, and which packages the database
//! has forgotten. The files themselves are not opened.

use std::ffi::CStr;
use std::path::PathBuf;

use jiff::Timestamp;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstatat};
use patchd_core::inventory::InstalledPackage;
use patchd_core::package::PackageName;
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::problem_list::{ProblemList, quoted};
use crate::read::FileError;
use crate::root::Root;

pub(super) const INFO: &str = "var/lib/dpkg/info";
const SUFFIX: &[u8] = b".list";
const FLAGS: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);
/// Some five files a package, for twice as many packages as are read.
const MAX_ENTRIES: usize = 2_000_000;

/// Names of packages without an entry in the database, though their file list is there.
#[derive(Debug, Default)]
struct Forgotten {
    /// They come after the last package that the database knows. dpkg writes it in that order.
    behind_the_end: Vec<String>,
    elsewhere: Vec<String>,
}

/// The file lists under a root, as they were found.
#[derive(Debug)]
pub(super) struct FileLists {
    found: Result<Found, FileError>,
    shown: PathBuf,
}

/// What the names of file lists say, and how old the lists are.
#[derive(Debug, Default)]
struct Found {
    /// All of them in one text, each with a zero byte behind it: the system wants them so.
    names: Vec<u8>,
    /// One an entry of `names`.
    unpacked_at: Vec<Option<Timestamp>>,
}

impl FileLists {
    pub(super) fn find(root: &Root) -> Self {
        let shown = root.path(INFO);
        let found =
            root.resolve(INFO).and_then(|path| Ok(Found::read(Dir::open(&path, FLAGS, Mode::empty())?)));
        Self { found: found.map_err(|error| FileError::from_io(&shown, error)), shown }
    }
}

impl Found {
    fn read(mut directory: Dir) -> Self {
        let mut found = Self::default();
        for entry in directory.iter().take(MAX_ENTRIES).map_while(Result::ok) {
            let name = entry.file_name();
            if name.to_bytes().ends_with(SUFFIX) && name.to_str().is_ok() {
                found.names.extend_from_slice(name.to_bytes_with_nul());
            }
        }
        // These ask by the open directory's number: no path is walked, no file opened.
        let age = |name: &[u8]| {
            let name = CStr::from_bytes_with_nul(name).ok()?;
            let status = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
            Timestamp::from_second(status.st_mtime).ok()
        };
        found.unpacked_at = found.names.split_inclusive(|&byte| byte == 0).map(age).collect();
        found
    }

    /// `NAME` or `NAME:ARCHITECTURE` of each, with its age.
    fn lists(&self) -> impl Iterator<Item = (&str, Option<Timestamp>)> {
        let names = self.names.split(|&byte| byte == 0);
        let stems = names.map(|name| str::from_utf8(name.strip_suffix(SUFFIX)?).ok());
        stems.zip(&self.unpacked_at).filter_map(|(stem, &unpacked_at)| Some((stem?, unpacked_at)))
    }
}

/// Sets `installed_at` of `packages`, and lists what the database lacks. `names` are those that have an entry. Both
/// are sorted.
pub(super) fn apply(
    lists: FileLists,
    packages: &mut [InstalledPackage],
    names: &[PackageName],
    problems: &mut ProblemList,
) {
    let found = match lists.found {
        Ok(found) => found,
        Err(error) => {
            if !error.is_absent() {
                problems.push(error.to_problem(Weight::Notice));
            }
            return;
        }
    };
    let mut forgotten = Forgotten::default();
    for (stem, unpacked_at) in found.lists() {
        let (name, architecture) =
            stem.split_once(':').map_or((stem, None), |(name, architecture)| (name, Some(architecture)));
        let instances = instances(packages, name);
        if instances.is_empty() && names.binary_search_by(|known| known.as_str().cmp(name)).is_err() {
            let is_behind = names.last().is_some_and(|last| last.as_str() < name);
            let which = if is_behind { &mut forgotten.behind_the_end } else { &mut forgotten.elsewhere };
            which.push(name.to_owned());
        }
        // A list without an architecture belongs to every instance that has no list of its own yet.
        for package in instances {
            let is_its_own = architecture
                .map_or(package.installed_at.is_none(), |word| package.id.architecture.as_str() == word);
            if is_its_own {
                package.installed_at = unpacked_at;
            }
        }
    }
    forgotten.report(&lists.shown.to_string_lossy(), problems);
}

/// The packages of this name.
fn instances<'a>(packages: &'a mut [InstalledPackage], name: &str) -> &'a mut [InstalledPackage] {
    let from = packages.partition_point(|package| package.id.name.as_str() < name);
    let behind = packages.get_mut(from..).unwrap_or_default();
    let count = behind.iter().take_while(|package| package.id.name.as_str() == name).count();
    behind.get_mut(..count).unwrap_or_default()
}

impl Forgotten {
    fn report(&self, place: &str, problems: &mut ProblemList) {
        if let Some(example) = self.behind_the_end.first() {
            let message = format!(
                "{} packages have files on disk but no entry, {} for one, and all of them would stand at the end of \
                 the status file: it was cut; restore status-old",
                self.behind_the_end.len(),
                quoted(example.as_bytes())
            );
            problems.push(Problem::new(ProblemKind::Truncated, Weight::Incomplete, place, message));
        }
        if let Some(example) = self.elsewhere.first() {
            let message = format!(
                "{} file lists belong to no package of the database, that of {} for one",
                self.elsewhere.len(),
                quoted(example.as_bytes())
            );
            problems.push(Problem::new(ProblemKind::Malformed, Weight::Notice, place, message));
        }
    }
}
