//! The files that make up dpkg's database, merged by dpkg's own rules: `status`, the journal in `updates/`, and the
//! `status.d/` of images that were built without dpkg. It takes no lock, and writes nothing.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use patchd_core::inventory::{Flag, Status};
use patchd_core::package::PackageName;
use patchd_core::problem::{Problem, ProblemKind, Weight};

use super::entry::{self, Entry, Missing};
use crate::deb822::StanzaReader;
use crate::problem_list::ProblemList;
use crate::read::{self, FileError};
use crate::root::Root;

pub(super) const DIRECTORY: &str = "var/lib/dpkg";
const STATUS: &str = "var/lib/dpkg/status";
const JOURNAL: &str = "var/lib/dpkg/updates";
const IMAGE: &str = "var/lib/dpkg/status.d";

/// A hundred times the status file of a full desktop.
const MAX_STATUS: u64 = 256 << 20;
/// dpkg folds its journal at 250 files; an image has one file a package.
const MAX_FILES: usize = 100_000;
const MAX_PACKAGES: usize = 200_000;
/// How often a database that changes under our eyes is read again.
const MAX_ATTEMPTS: u32 = 5;

/// Which of the three places a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Status,
    Journal,
    Image,
}

/// Every entry, those that are not installed included.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) entries: BTreeMap<PackageName, Vec<Entry>>,
    pub(super) problems: ProblemList,
    /// Whether dpkg has state changes that it has not folded into `status` yet.
    pub(super) has_journal: bool,
    count: usize,
}

impl Database {
    pub(super) fn new(place: &Path) -> Self {
        let problems = ProblemList::new(place.to_string_lossy());
        Self { entries: BTreeMap::new(), problems, has_journal: false, count: 0 }
    }

    /// Adds what one file says.
    pub(super) fn add_file(&mut self, source: impl Read, place: &Path, role: Role) {
        let file: Rc<str> = place.to_string_lossy().into();
        let missing = if role == Role::Image { Missing::Installed } else { Missing::NotInstalled };
        let mut reader = StanzaReader::new(source);
        loop {
            match reader.next_stanza() {
                Ok(Some(stanza)) => {
                    if let Some(entry) = entry::parse(&stanza, &file, missing, &mut self.problems) {
                        self.insert(entry, role);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    let message = format!("it can't be read on: {error}");
                    let problem = Problem::new(ProblemKind::Unreadable, Weight::Incomplete, &*file, message);
                    self.problems.push(problem.at_line(reader.line()));
                    return;
                }
            }
            if MAX_PACKAGES <= self.count {
                let message =
                    format!("it describes more than {MAX_PACKAGES} packages; the rest was not read");
                self.problems.push(Problem::new(ProblemKind::TooLarge, Weight::Incomplete, &*file, message));
                return;
            }
        }
    }

    /// A later stanza replaces the whole earlier one, as for dpkg.
    fn insert(&mut self, entry: Entry, role: Role) {
        self.count += 1;
        // Few packages have a second instance: room for one is what a thousand of them need.
        let instances = self.entries.entry(entry.id.name.clone()).or_insert_with(|| Vec::with_capacity(1));
        if role == Role::Journal {
            take_over(instances, &entry);
        }
        match instances.iter_mut().find(|instance| instance.id == entry.id) {
            Some(earlier) => {
                if role != Role::Journal {
                    self.problems.push(duplicate(earlier, &entry));
                }
                *earlier = entry;
            }
            None => instances.push(entry),
        }
    }

    /// Lists the packages that have more instances than dpkg allows.
    pub(super) fn check_instances(&mut self) {
        for (name, instances) in &self.entries {
            let mut present = instances.iter().filter(|entry| entry.state.status != Status::NotInstalled);
            let (Some(first), Some(second)) = (present.next(), present.next()) else {
                continue;
            };
            let mut all = present.chain([first, second]);
            if !all.all(|entry| entry.multi_arch_same) {
                let message = format!(
                    "package {name} is there for {} and for {} without being Multi-Arch: same; both are listed, \
                     and dpkg refuses the database",
                    first.id.architecture, second.id.architecture
                );
                self.problems.push(second.place.problem(ProblemKind::Duplicate, Weight::Incomplete, message));
            }
        }
    }

    /// Whether somebody's transaction on a package is under way, or was cut.
    pub(super) fn has_broken_entry(&self) -> bool {
        self.entries.values().flatten().any(|entry| entry.state.has_files() && entry.state.is_broken())
    }

    /// Lists the packages that somebody's transaction left half done.
    pub(super) fn check_interrupted(&mut self, is_dpkg_running: bool) {
        for entry in self.entries.values().flatten() {
            if let Some((weight, message)) = interruption(entry, is_dpkg_running) {
                let message = format!("package {}: {message}", entry.id);
                self.problems.push(entry.place.problem(ProblemKind::Interrupted, weight, message));
            }
        }
    }
}

/// In its journal, dpkg notes a change of architecture as an entry that takes the place of the only instance.
fn take_over(instances: &mut Vec<Entry>, new: &Entry) {
    let mut present = instances.iter().filter(|entry| entry.state.status != Status::NotInstalled);
    if let (Some(only), None) = (present.next(), present.next())
        && !(only.multi_arch_same && new.multi_arch_same)
    {
        instances.clear();
    }
}

fn duplicate(earlier: &Entry, later: &Entry) -> Problem {
    let is_same = (&earlier.version, earlier.state) == (&later.version, later.state);
    let weight = if is_same { Weight::Notice } else { Weight::Incomplete };
    let message = format!(
        "package {} was described already at {}:{}; this one counts",
        later.id, earlier.place.file, earlier.place.line
    );
    later.place.problem(ProblemKind::Duplicate, weight, message)
}

fn interruption(entry: &Entry, is_dpkg_running: bool) -> Option<(Weight, &'static str)> {
    if !entry.state.has_files() || !entry.state.is_broken() {
        return None;
    }
    match entry.state.status {
        Status::HalfInstalled => Some((
            Weight::Incomplete,
            "it is half installed, so that its version is uncertain; install it again",
        )),
        _ if entry.state.flag == Flag::ReinstallRequired => {
            Some((Weight::Notice, "it has to be installed again before anything else (reinst-required)"))
        }
        // While dpkg runs, packages pass through these states.
        _ if is_dpkg_running => None,
        Status::Unpacked => {
            Some((Weight::Notice, "it is unpacked but not configured; run dpkg --configure -a"))
        }
        _ => Some((Weight::Notice, "its configuration was cut or failed; run dpkg --configure -a")),
    }
}

/// Reads the database. When dpkg writes to it meanwhile, it is read again.
pub(super) fn load(root: &Root) -> Database {
    load_watched(root, || ())
}

/// The same, with something to do between `status` and the journal.
fn load_watched(root: &Root, mut between_files: impl FnMut()) -> Database {
    let mut attempts = 1;
    loop {
        let (mut database, is_steady) = load_once(root, &mut between_files);
        if is_steady {
            return database;
        }
        if attempts == MAX_ATTEMPTS {
            let message =
                format!("it changed each of the {MAX_ATTEMPTS} times that it was read; scan again later");
            let place = root.path(STATUS).to_string_lossy().into_owned();
            database.problems.push(Problem::new(ProblemKind::Unreadable, Weight::Incomplete, place, message));
            return database;
        }
        attempts += 1;
    }
}

/// One reading, and whether nothing was folded or replaced between its files.
fn load_once(root: &Root, between_files: &mut impl FnMut()) -> (Database, bool) {
    let mut database = Database::new(&root.path(DIRECTORY));
    let status = match read::open(root, STATUS) {
        Ok(file) => {
            let stamp = file.stamp();
            let (path, size) = (file.path().to_owned(), file.size());
            database.add_file(file.take(MAX_STATUS), &path, Role::Status);
            if MAX_STATUS < size {
                let message = format!("it is longer than {MAX_STATUS} bytes; the rest was not read");
                let place = path.to_string_lossy();
                let problem = Problem::new(ProblemKind::TooLarge, Weight::Incomplete, place, message);
                database.problems.push(problem);
            }
            Ok(stamp)
        }
        Err(error) => Err(error),
    };
    between_files();
    let is_journal_whole = add_journal(&mut database, root);
    let has_image = add_image(&mut database, root);
    let is_steady = match status {
        Ok(stamp) => read::stamp(root, STATUS).is_ok_and(|now| now == stamp) && is_journal_whole,
        Err(error) => {
            if !(error.is_absent() && has_image) {
                database.problems.push(error.to_problem(Weight::Incomplete));
            }
            is_journal_whole
        }
    };
    (database, is_steady)
}

/// Applies the journal in the order of its file names; false if a file vanished meanwhile.
fn add_journal(database: &mut Database, root: &Root) -> bool {
    let is_number = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    let names = list_files(database, root, JOURNAL, is_number);
    database.has_journal = !names.is_empty();
    if let Some([first, others @ ..]) = names.get(..)
        && others.iter().any(|name| name.len() != first.len())
    {
        let message = "the names of its numbered files differ in length, so that dpkg refuses them; they were applied \
                       in the order of their bytes";
        let place = root.path(JOURNAL).to_string_lossy().into_owned();
        database.problems.push(Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message));
    }
    add_files(database, root, JOURNAL, &names, Role::Journal)
}

/// Adds the entries of an image without dpkg; true if it has any.
fn add_image(database: &mut Database, root: &Root) -> bool {
    let is_entry = |name: &OsStr| !name.as_encoded_bytes().ends_with(b".md5sums");
    let names = list_files(database, root, IMAGE, is_entry);
    add_files(database, root, IMAGE, &names, Role::Image);
    !names.is_empty()
}

fn list_files(
    database: &mut Database,
    root: &Root,
    directory: &str,
    belongs: impl Fn(&OsStr) -> bool,
) -> Vec<OsString> {
    let mut names = read::list(root, directory, MAX_FILES).unwrap_or_else(|error| {
        if !error.is_absent() {
            database.problems.push(error.to_problem(Weight::Incomplete));
        }
        Vec::new()
    });
    names.retain(|name| belongs(name));
    names
}

fn add_files(database: &mut Database, root: &Root, directory: &str, names: &[OsString], role: Role) -> bool {
    let mut is_whole = true;
    for name in names {
        let name = Path::new(directory).join(name);
        match read::open(root, &name) {
            Ok(file) => {
                let path = file.path().to_owned();
                database.add_file(file.take(MAX_STATUS), &path, role);
            }
            Err(error) => {
                is_whole &= !FileError::is_absent(&error);
                database.problems.push(error.to_problem(Weight::Incomplete));
            }
        }
    }
    is_whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, version: &str) -> String {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n")
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn replace(root: &Root, name: &str, content: &str) {
        std::fs::create_dir_all(root.path("var/lib/dpkg/updates")).unwrap();
        std::fs::write(root.path("var/lib/dpkg/new"), content).unwrap();
        std::fs::rename(root.path("var/lib/dpkg/new"), root.path(name)).unwrap();
    }

    fn versions(database: &Database) -> Vec<String> {
        let entries = database.entries.values().flatten();
        entries.map(|entry| format!("{} {}", entry.id, entry.version.as_ref().unwrap())).collect()
    }

    #[test]
    fn a_journal_that_is_folded_while_we_read_is_not_missed() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        replace(&root, STATUS, &stanza("a", "1"));
        replace(&root, "var/lib/dpkg/updates/0000", &stanza("a", "2"));
        let mut readings = 0;
        let database = load_watched(&root, || {
            readings += 1;
            if readings == 1 {
                replace(&root, STATUS, &stanza("a", "2"));
                std::fs::remove_file(root.path("var/lib/dpkg/updates/0000")).unwrap();
            }
        });
        assert_eq!(versions(&database), ["a:amd64 2"]);
        assert_eq!((readings, database.problems.is_empty()), (2, true));
    }

    #[test]
    fn a_database_that_never_rests_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        replace(&root, STATUS, &stanza("a", "1"));
        let mut readings = 0;
        let database = load_watched(&root, || {
            readings += 1;
            replace(&root, STATUS, &stanza("a", &"1".repeat(readings)));
        });
        assert_eq!(readings, MAX_ATTEMPTS as usize);
        let problems = database.problems.into_problems();
        assert_eq!(problems.len(), 1);
        assert_eq!((problems[0].kind, problems[0].weight), (ProblemKind::Unreadable, Weight::Incomplete));
    }

    #[test]
    fn a_change_of_architecture_in_the_journal_takes_the_place_of_the_old_one() {
        let mut database = Database::new(Path::new("dpkg"));
        let all = stanza("a", "2").replace("amd64", "all");
        database.add_file(stanza("a", "1").as_bytes(), Path::new("status"), Role::Status);
        database.add_file(all.as_bytes(), Path::new("0000"), Role::Journal);
        assert_eq!(versions(&database), ["a:all 2"]);

        let same =
            |architecture| stanza("b", "1").replace("amd64", &format!("{architecture}\nMulti-Arch: same"));
        database.add_file(same("amd64").as_bytes(), Path::new("0001"), Role::Journal);
        database.add_file(same("i386").as_bytes(), Path::new("0002"), Role::Journal);
        database.check_instances();
        assert_eq!(versions(&database), ["a:all 2", "b:amd64 1", "b:i386 1"]);
        assert!(database.problems.is_empty());
    }
}
