//! The passes over the lists and the status file, in which the versions of packages are gathered.

use std::collections::BTreeSet;
use std::io::Read;

use patchd_core::inventory::{InstalledPackage, Inventory};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::candidate::{Seen, Versions};
use crate::apt::closure::Extra;
use crate::apt::conf::Conf;
use crate::apt::decompress;
use crate::apt::extract::{Extracts, Gathering, Question};
use crate::apt::identity::Sameness;
use crate::apt::offers::Tally;
use crate::apt::packages::{BadStanza, Listed, scan};
use crate::apt::relation::{alternatives, groups};
use crate::apt::repositories::{List, Repositories};
use crate::apt::wanted::Wanted;
use crate::apt::{Options, apt_architecture};
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// Gathers the versions of the installed packages from the lists and the status file.
pub(super) struct Reader<'a> {
    root: &'a Root,
    inventory: &'a Inventory,
    repositories: &'a Repositories,
    wanted: Wanted<'a>,
    /// Beside the inventory's packages.
    pub(super) versions: Vec<Versions>,
    pub(super) tally: Tally<'a>,
    /// Names that are essential in some list and not installed.
    pub(super) essential: BTreeSet<Box<str>>,
    counts_all: bool,
    sameness: Sameness,
    extracts: Option<Extracts<'a>>,
}

/// How the stanzas of one list are taken.
#[derive(Clone, Copy)]
struct Taking {
    /// The list's place among all.
    at: usize,
    is_security: bool,
    /// Whether what is not installed counts at all, and whether all of it does.
    is_counted: bool,
    counts_others: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        root: &'a Root,
        inventory: &'a Inventory,
        repositories: &'a Repositories,
        options: &Options<'a>,
    ) -> Self {
        let versions = vec![Versions::default(); inventory.packages.len()];
        let names = inventory.packages.iter().map(|package| package.id.name.as_str());
        Self {
            root,
            inventory,
            repositories,
            wanted: Wanted::new(&inventory.packages),
            versions,
            tally: Tally::new(options.counted_lists),
            essential: BTreeSet::new(),
            sameness: sameness(inventory),
            counts_all: options.counts_all_not_installed,
            extracts: options.extracts.map(|directory| Extracts::new(directory, names)),
        }
    }

    pub(super) fn read_list(&mut self, at: usize, list: &List, problems: &mut ProblemList) {
        let repository = self.repositories.repositories.get(usize::from(list.repository.0));
        let is_security = repository.is_some_and(|repository| repository.is_security);
        let taking = Taking {
            at,
            is_security,
            is_counted: is_security || self.counts_all || self.tally.counts_by_name(),
            counts_others: is_security || self.counts_all,
        };
        let question = self.question(list, taking.is_counted);
        if let Some((stanzas, length)) = question.as_ref().and_then(Question::answer) {
            scan(stanzas, &list.file, |listed| self.take(listed, taking));
            self.check_length(list, length, problems);
            return;
        }
        let Some((stream, place)) = open_list(self.root, self.repositories, list, problems) else {
            return;
        };
        let mut gathering = question.map(Question::gather);
        let found = scan(stream, &place, |listed| {
            if let Some(gathering) = &mut gathering {
                self.gather(gathering, listed, taking.is_counted);
            }
            self.take(listed, taking)
        });
        let length = found.length;
        let mut ignored = ProblemList::new("the same list");
        let again = || open_list(self.root, self.repositories, list, &mut ignored).map(|(stream, _)| stream);
        let troubles = found.into_problems(again);
        if let (Some(gathering), Some(length), true) = (gathering, length, troubles.is_empty()) {
            gathering.store(length);
        }
        troubles.into_iter().for_each(|problem| problems.push(problem));
        if let Some(length) = length {
            self.check_length(list, length, problems);
        }
    }

    /// What is asked of a list, where answers are kept.
    fn question(&mut self, list: &List, counts: bool) -> Option<Question> {
        let extracts = self.extracts.as_mut()?;
        let file = read::open(self.root, place_of(self.repositories, list)).ok()?;
        Some(extracts.question(&file, &list.file, counts))
    }

    /// Keeps as much of a stanza as `take` would look at.
    fn gather(&mut self, gathering: &mut Gathering, listed: &Listed<'_>, is_counted: bool) {
        if self.wanted.find(&listed.name).is_some() || listed.is_essential() {
            gathering.keep(listed);
        } else if is_counted {
            gathering.keep_class(listed);
        }
    }

    /// What no list asked for is of no use any more.
    pub(super) fn remove_other_extracts(&self) {
        if let Some(extracts) = &self.extracts {
            extracts.remove_others();
        }
    }

    fn take(&mut self, listed: &Listed<'_>, taking: Taking) -> Result<(), BadStanza> {
        let native = self.inventory.native.as_str();
        let packages = &self.inventory.packages;
        let installed = self.wanted.find(&listed.name);
        // The one that is installed for an architecture, as apt files it.
        let find = |architecture: &str| {
            installed.clone()?.find(|&at| apt_architecture_of(packages.get(at), native) == Some(architecture))
        };
        if taking.is_counted {
            let (architecture, priority, section) = listed.class();
            let architecture =
                apt_architecture(std::str::from_utf8(architecture).unwrap_or_default(), native);
            if find(architecture).is_none()
                && (taking.counts_others || self.tally.is_asked_for(&listed.name, architecture))
            {
                self.tally.add(&listed.name, architecture, taking.is_security, priority, section);
            }
        }
        if installed.is_none() {
            if listed.is_essential() {
                self.essential.insert(listed.name.as_ref().into());
            }
            return Ok(());
        }
        let Some((architecture, row)) = listed.row()? else {
            return Ok(());
        };
        let own = find(apt_architecture(&architecture, native));
        if let Some(versions) = own.and_then(|own| self.versions.get_mut(own)) {
            versions.add(row, Seen::Index(taking.at), self.sameness);
        }
        Ok(())
    }

    fn check_length(&self, list: &List, length: u64, problems: &mut ProblemList) {
        if let Some(listed) = list.listed_size
            && length != listed
        {
            let message = format!(
                "the list has {length} bytes, and its Release file says {listed}: it was changed or cut after it was fetched, \
                 or its repository was changed in place"
            );
            let place = self.root.path(place_of(self.repositories, list)).to_string_lossy().into_owned();
            problems.push(Problem::new(ProblemKind::Disagreement, Weight::Notice, place, message));
        }
    }

    /// The installed versions come last, as for apt. What the database says of their state is the inventory's to tell.
    pub(super) fn read_status(&mut self, conf: &Conf, problems: &mut ProblemList) {
        let name = conf.find("Dir::State::status").unwrap_or("/var/lib/dpkg/status");
        let native = self.inventory.native.as_str();
        if let Ok(file) = read::open(self.root, name) {
            // Its problems are in the inventory already.
            scan(file, name, |listed| {
                let Some(installed) = self.wanted.find(&listed.name) else {
                    return Ok(());
                };
                let Some((architecture, row)) = listed.row()? else {
                    return Ok(());
                };
                let architecture = apt_architecture(&architecture, native);
                for place in installed {
                    let package = self.inventory.packages.get(place);
                    if apt_architecture_of(package, native) == Some(architecture)
                        && package.is_some_and(|package| package.version == row.version)
                        && let Some(versions) = self.versions.get_mut(place)
                    {
                        versions.add(row.clone(), Seen::Status, self.sameness);
                    }
                }
                Ok(())
            });
        }
        let mut unseen = 0_usize;
        for (package, versions) in self.inventory.packages.iter().zip(&mut self.versions) {
            if versions.installed().is_none() {
                unseen += 1;
                versions.add_installed(package);
            }
        }
        if unseen != 0 && self.root.resolve(name).is_ok() {
            let message = format!(
                "{unseen} installed packages are not in it as they are known to be installed; apt does not see their state"
            );
            problems.push(Problem::new(ProblemKind::Interrupted, Weight::Notice, name, message));
        }
    }
}

fn apt_architecture_of<'a>(package: Option<&'a InstalledPackage>, native: &'a str) -> Option<&'a str> {
    package.map(|package| apt_architecture(package.id.architecture.as_str(), native))
}

/// How the apt of this host tells versions apart.
pub(super) fn sameness(inventory: &Inventory) -> Sameness {
    let apt = inventory.packages.iter().find(|package| package.id.name.as_str() == "apt");
    Sameness::of_apt(apt.map(|apt| apt.version.as_str()))
}

/// The name of a list's file under the root.
fn place_of(repositories: &Repositories, list: &List) -> String {
    format!("{}/{}", repositories.directory, list.file)
}

/// Opens the stream of a list; what prevents it is a problem.
fn open_list(
    root: &Root,
    repositories: &Repositories,
    list: &List,
    problems: &mut ProblemList,
) -> Option<(Box<dyn Read>, String)> {
    let name = place_of(repositories, list);
    let place = root.path(&name).to_string_lossy().into_owned();
    let (kind, message) = match read::open(root, &name).map(|file| decompress::open(file, list.compression)) {
        Ok(Ok(Some(stream))) => return Some((stream, place)),
        Ok(Ok(None)) => (
            ProblemKind::UnknownFeature,
            "this compression is not known; its packages are left out".to_owned(),
        ),
        Ok(Err(error)) => {
            (ProblemKind::Malformed, format!("it can't be decompressed ({error}); refresh the lists"))
        }
        Err(error) => {
            problems.push(error.to_problem(Weight::Incomplete));
            return None;
        }
    };
    problems.push(Problem::new(kind, Weight::Incomplete, place, message));
    None
}

/// One more pass over all lists: the versions of packages that are not installed, and whether others provide them.
pub(super) fn look_up(
    root: &Root,
    repositories: &Repositories,
    inventory: &Inventory,
    names: &BTreeSet<Box<str>>,
    extra: &mut Extra,
) {
    let native = inventory.native.as_str();
    let sameness = sameness(inventory);
    let mut ignored = ProblemList::new("the package lists");
    for name in names {
        extra.versions.entry(name.clone()).or_default();
    }
    for (at, list) in repositories.lists.iter().enumerate() {
        // The first pass has told what is wrong with a list.
        let Some((stream, place)) = open_list(root, repositories, list, &mut ignored) else {
            continue;
        };
        scan(stream, &place, |listed| {
            if let Some(provides) = listed.provides() {
                let atoms = groups(provides).flat_map(alternatives).flatten();
                for atom in atoms.filter(|atom| names.contains(atom.name)) {
                    extra.virtuals.insert(atom.name.into());
                }
            }
            if !names.contains(&*listed.name) {
                return Ok(());
            }
            if let Some((architecture, row)) = listed.row()?
                && apt_architecture(&architecture, native) == native
                && let Some(versions) = extra.versions.get_mut(&*listed.name)
            {
                versions.add(row, Seen::Index(at), sameness);
            }
            Ok(())
        });
    }
}
