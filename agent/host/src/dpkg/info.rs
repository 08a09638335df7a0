//! What the names and ages of `info/*.list` tell: when a package was last unpacked, and which packages the database
//! has forgotten. The files themselves are not opened.

use std::fs::DirEntry;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use jiff::Timestamp;
use patchd_core::inventory::InstalledPackage;
use patchd_core::package::PackageName;
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::problem_list::{ProblemList, quoted};
use crate::read::FileError;
use crate::root::Root;

const INFO: &str = "var/lib/dpkg/info";
/// Some five files a package, for twice as many packages as are read.
const MAX_ENTRIES: usize = 2_000_000;

/// Names of packages without an entry in the database, though their file list is there.
#[derive(Debug, Default)]
struct Forgotten {
    /// They come after the last package that the database knows. dpkg writes it in that order.
    behind_the_end: Vec<String>,
    elsewhere: Vec<String>,
}

/// One file list: what its name says, and how old it is.
#[derive(Debug)]
struct FileList {
    /// `NAME` or `NAME:ARCHITECTURE`.
    stem: String,
    unpacked_at: Option<Timestamp>,
}

/// The file lists under a root, as they were found. They can be looked for while the database is read.
#[derive(Debug)]
pub(super) struct FileLists {
    found: Result<Vec<FileList>, FileError>,
    shown: PathBuf,
}

impl FileLists {
    pub(super) fn find(root: &Root) -> Self {
        let shown = root.path(INFO);
        let found = root
            .resolve(INFO)
            .and_then(std::fs::read_dir)
            .map(|entries| entries.take(MAX_ENTRIES).filter_map(Result::ok).filter_map(to_list).collect())
            .map_err(|error| FileError::from_io(&shown, error));
        Self { found, shown }
    }
}

fn to_list(entry: DirEntry) -> Option<FileList> {
    let file_name = entry.file_name();
    let stem = file_name.to_str()?.strip_suffix(".list")?.to_owned();
    Some(FileList { stem, unpacked_at: unpacked_at(&entry) })
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
    for FileList { stem, unpacked_at } in found {
        let (name, architecture) =
            stem.split_once(':').map_or((stem.as_str(), None), |(name, arch)| (name, Some(arch)));
        if names.binary_search_by(|known| known.as_str().cmp(name)).is_err() {
            let is_behind = names.last().is_some_and(|last| last.as_str() < name);
            let which = if is_behind { &mut forgotten.behind_the_end } else { &mut forgotten.elsewhere };
            which.push(name.to_owned());
            continue;
        }
        for package in of_list(packages, name, architecture) {
            package.installed_at = unpacked_at;
        }
    }
    forgotten.report(&lists.shown.to_string_lossy(), problems);
}

/// The packages that a list belongs to: the instance that it names, or, without an architecture, every one that has no
/// list of its own yet.
fn of_list<'a>(
    packages: &'a mut [InstalledPackage],
    name: &'a str,
    architecture: Option<&'a str>,
) -> impl Iterator<Item = &'a mut InstalledPackage> {
    let from = packages.partition_point(|package| package.id.name.as_str() < name);
    let instances = packages.get_mut(from..).unwrap_or_default().iter_mut();
    instances.take_while(move |package| package.id.name.as_str() == name).filter(move |package| {
        architecture.map_or(package.installed_at.is_none(), |word| package.id.architecture.as_str() == word)
    })
}

fn unpacked_at(entry: &DirEntry) -> Option<Timestamp> {
    // This asks by the open directory's number: no path is walked, no file opened.
    let metadata = entry.metadata().ok()?;
    Timestamp::from_second(metadata.mtime()).ok()
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
