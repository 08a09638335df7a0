//! The native reader of dpkg's database: what is installed, in which state, from which source, since when.
//!
//! It never runs dpkg, takes no lock and writes nothing; dpkg-query is its oracle in the tests. What could be
//! installed is for the apt lists. A database that is absent, cut or empty is a problem, never "no packages".

mod architecture;
pub mod audit;
pub mod conffiles;
mod database;
mod diversions;
mod entry;
mod info;
pub mod leftovers;
pub mod lock;
mod marks;
pub mod owners;
pub mod quiet;
mod state;

use std::io::Read;
use std::path::Path;

use patchd_core::inventory::{InstalledPackage, Inventory, Mark, ResidualPackage, Status};
use patchd_core::package::PackageName;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::version::VersionScheme;

use self::database::{Database, Role};
use self::entry::Entry;
use self::info::FileLists;
use crate::problem_list::ProblemList;
use crate::root::Root;

/// Everything that the database under `root` says, with what is wrong with it.
pub fn read_inventory(root: &Root) -> Inventory {
    // The lists come first: a package that is installed meanwhile then lacks its age, and none seems forgotten. One
    // thread does both, since starting a second takes as long as it would save.
    let lists = FileLists::find(root);
    let mut database = database::load(root);
    // Only who finds something half done asks who is at work: the kernel takes ten milliseconds to list its locks.
    let is_half_done = database.has_journal || database.has_broken_entry();
    let is_dpkg_running = is_half_done && lock::is_database_held(root);
    database.check_interrupted(is_dpkg_running);
    // What dpkg itself reads is known, but apt reads the journal not, and does nothing before somebody folds it.
    if database.has_journal && !is_dpkg_running {
        let message =
            "dpkg's journal is not folded, and nobody holds its lock: a run was cut; run dpkg --configure -a";
        let place = root.path(database::DIRECTORY).join("updates");
        let place = place.to_string_lossy();
        database.problems.push(Problem::new(ProblemKind::Interrupted, Weight::Incomplete, place, message));
    }
    let mut contents = Contents::of(database, &root.path(database::DIRECTORY));
    info::apply(lists, &mut contents.packages, &contents.names, &mut contents.problems);
    let native = architecture::native(root, &contents.packages, &mut contents.problems);
    marks::apply(root, native.as_str(), &mut contents.packages, &mut contents.problems);
    contents.into_inventory(native)
}

/// What one `status` file says, without the files around it.
pub fn parse_status(source: impl Read, place: &Path) -> Inventory {
    let mut database = Database::new(place);
    database.add_file(source, place, Role::Status);
    database.check_interrupted(false);
    let contents = Contents::of(database, place);
    let native = architecture::native_of(&contents.packages);
    contents.into_inventory(native)
}

/// The entries of a database by what they are.
struct Contents {
    /// Every name that has an entry, sorted.
    names: Vec<PackageName>,
    packages: Vec<InstalledPackage>,
    residual: Vec<ResidualPackage>,
    problems: ProblemList,
}

impl Contents {
    fn of(mut database: Database, place: &Path) -> Self {
        database.check_instances();
        let mut contents = Self {
            names: Vec::with_capacity(database.entries.len()),
            packages: Vec::with_capacity(database.entries.len()),
            residual: Vec::new(),
            problems: database.problems,
        };
        for (name, mut instances) in database.entries {
            contents.names.push(name);
            instances.sort_unstable_by(|a, b| a.id.cmp(&b.id));
            for entry in instances {
                contents.add(entry);
            }
        }
        if contents.packages.is_empty() {
            let message =
                "it names no installed package, which is true of no working host: nothing can be said";
            let problem =
                Problem::new(ProblemKind::Truncated, Weight::Incomplete, place.to_string_lossy(), message);
            contents.problems.push(problem);
        }
        contents
    }

    fn add(&mut self, entry: Entry) {
        let Entry { id, state, version, .. } = entry;
        match (state.status, version, entry.source) {
            (Status::NotInstalled, _, _) => {}
            (Status::ConfigFiles, version, _) => self.residual.push(ResidualPackage { id, version, state }),
            (_, Some(version), Some(source)) => self.packages.push(InstalledPackage {
                id,
                version,
                source,
                state,
                mark: Mark::Manual,
                installed_at: None,
                priority: entry.priority,
                section: entry.section,
                essential: entry.essential,
                multi_arch_same: entry.multi_arch_same,
            }),
            // A package without a version: the stanza's reader has listed the problem.
            _ => {}
        }
    }

    fn into_inventory(mut self, native: patchd_core::package::Architecture) -> Inventory {
        self.packages.shrink_to_fit();
        Inventory {
            scheme: VersionScheme::Deb,
            native,
            packages: self.packages,
            residual: self.residual,
            problems: self.problems.into_problems(),
        }
    }
}
