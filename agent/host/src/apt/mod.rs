//! What apt would offer to this host, read from apt's own files without running apt.
//!
//! `read_offers` is the way in. It fetches nothing, and says in the problems what it could not know.

pub mod candidate;
pub mod conf;
pub mod decompress;
pub mod list_files;
pub mod offers;
pub mod packages;
pub mod pattern;
pub mod phasing;
pub mod preferences;
pub mod release;
pub mod repositories;
mod source_entry;
pub mod sources;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use patchd_core::inventory::Inventory;
use patchd_core::offer::{Method, Offers};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::candidate::{Index, Policy, Seen, Versions};
use crate::apt::conf::Conf;
use crate::apt::offers::{Phaser, Tally, to_offers};
use crate::apt::packages::{Listed, scan};
use crate::apt::preferences::Preferences;
use crate::apt::repositories::{Host, List, Repositories};
use crate::apt::sources::read_sources;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// What the caller can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Lists that were refreshed longer ago make the assessment incomplete.
    pub max_list_age: SignedDuration,
    /// Count what is not installed in every repository, and not only in those of security updates.
    pub counts_all_not_installed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_list_age: SignedDuration::from_hours(7 * 24), counts_all_not_installed: false }
    }
}

/// Reads what the sources of the host under `root` offer for the packages of its inventory.
pub fn read_offers(root: &Root, inventory: &Inventory, now: Timestamp, options: &Options) -> Offers {
    let mut problems = ProblemList::new("the package lists");
    let conf = Conf::read(root, &mut problems);
    let architectures = architectures(root, &conf, inventory, &mut problems);
    let sources = read_sources(root, &conf, &architectures, &mut problems);
    let preferences = Preferences::read(root, &conf, &mut problems);
    for feature in sources.unknown.iter().chain(&preferences.unknown) {
        let message = format!("{feature} is not understood; candidates may differ from apt's");
        problems.push(Problem::new(ProblemKind::UnknownFeature, Weight::Incomplete, "apt", message));
    }
    let host =
        Host { root, conf: &conf, architectures: &architectures, now, max_list_age: options.max_list_age };
    let configured = sources.has_files.then_some(sources.sources);
    let repositories = repositories::find(&host, configured, &mut problems);

    let mut reader = Reader::new(root, inventory, &repositories, options.counts_all_not_installed);
    for (at, list) in repositories.lists.iter().enumerate() {
        reader.read_list(at, list, &mut problems);
    }
    reader.read_status(&conf, &mut problems);

    let native = inventory.native.as_str();
    let indexes = repositories.lists.iter().map(|list| Index {
        facts: repositories.facts(list),
        not_automatic: list.not_automatic,
        but_automatic_upgrades: list.but_automatic_upgrades,
    });
    let policy = Policy::new(indexes.collect(), &preferences, native);
    let phaser = Phaser::new(root, &conf, inventory);
    let (versions, tally) = (reader.versions, reader.tally);
    let packages = to_offers(inventory, &versions, &policy, &repositories, &phaser);
    Offers {
        packages,
        new_packages: Vec::new(),
        not_installed: tally.counts(),
        refreshed_at: repositories.refreshed_at,
        method: Method::Native,
        repositories: repositories.repositories,
        problems: problems.into_problems(),
    }
}

/// The architectures that apt works with, the native one first.
fn architectures(root: &Root, conf: &Conf, inventory: &Inventory, problems: &mut ProblemList) -> Vec<String> {
    const MAX_FILE: u64 = 64 << 10;
    let native = conf.find("APT::Architecture").unwrap_or(inventory.native.as_str()).to_owned();
    let mut all: Vec<String> = conf.list("APT::Architectures").into_iter().map(str::to_owned).collect();
    if all.is_empty() {
        match read::read_optional(root, "/var/lib/dpkg/arch", MAX_FILE) {
            Ok(text) => {
                let text = text.unwrap_or_default();
                all = String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect();
            }
            Err(error) => problems.push(error.to_problem(Weight::Incomplete)),
        }
    }
    all.retain(|name| *name != native);
    all.insert(0, native);
    all
}

/// Gathers the versions of the installed packages from the lists and the status file.
struct Reader<'a> {
    root: &'a Root,
    inventory: &'a Inventory,
    repositories: &'a Repositories,
    /// The installed packages of a name: their architecture as apt names them, and their place in the inventory.
    wanted: HashMap<&'a str, Vec<(&'a str, usize)>>,
    /// Beside the inventory's packages.
    versions: Vec<Versions>,
    tally: Tally,
    counts_all: bool,
}

impl<'a> Reader<'a> {
    fn new(
        root: &'a Root,
        inventory: &'a Inventory,
        repositories: &'a Repositories,
        counts_all: bool,
    ) -> Self {
        let mut wanted: HashMap<&str, Vec<(&str, usize)>> = HashMap::new();
        for (at, package) in inventory.packages.iter().enumerate() {
            let architecture = apt_architecture(package.id.architecture.as_str(), inventory.native.as_str());
            wanted.entry(package.id.name.as_str()).or_default().push((architecture, at));
        }
        let versions = vec![Versions::default(); inventory.packages.len()];
        Self { root, inventory, repositories, wanted, versions, tally: Tally::default(), counts_all }
    }

    fn read_list(&mut self, at: usize, list: &List, problems: &mut ProblemList) {
        let name = format!("{}/{}", self.repositories.directory, list.file);
        let place = self.root.path(&name).to_string_lossy().into_owned();
        let stream = match read::open(self.root, &name) {
            Ok(file) => decompress::open(file, list.compression),
            Err(error) => return problems.push(error.to_problem(Weight::Incomplete)),
        };
        let stream = match stream {
            Ok(Some(stream)) => stream,
            Ok(None) => {
                let message = "this compression is not known; its packages are left out";
                return problems.push(Problem::new(
                    ProblemKind::UnknownFeature,
                    Weight::Incomplete,
                    place,
                    message,
                ));
            }
            Err(error) => {
                let message = format!("it can't be decompressed ({error}); refresh the lists");
                return problems.push(Problem::new(
                    ProblemKind::Malformed,
                    Weight::Incomplete,
                    place,
                    message,
                ));
            }
        };
        let repository = self.repositories.repositories.get(usize::from(list.repository.0));
        let is_security = repository.is_some_and(|repository| repository.is_security);
        let is_counted = is_security || self.counts_all;
        let native = self.inventory.native.as_str();
        let found = scan(stream, &place, |listed: &Listed<'_>| {
            let installed = self.wanted.get(&*listed.name);
            if is_counted {
                let (architecture, priority, section) = listed.class();
                let architecture =
                    apt_architecture(std::str::from_utf8(architecture).unwrap_or_default(), native);
                if !installed.is_some_and(|all| all.iter().any(|(known, _)| *known == architecture)) {
                    self.tally.add(&listed.name, architecture, is_security, priority, section);
                }
            }
            let Some(installed) = installed else {
                return Ok(());
            };
            let Some((architecture, row)) = listed.row()? else {
                return Ok(());
            };
            let architecture = apt_architecture(&architecture, native);
            let place = installed.iter().find(|(known, _)| *known == architecture).map(|(_, place)| *place);
            if let Some(versions) = place.and_then(|place| self.versions.get_mut(place)) {
                versions.add(row, Seen::Index(at));
            }
            Ok(())
        });
        found.into_iter().for_each(|problem| problems.push(problem));
    }

    /// The installed versions come last, as for apt. What the database says of their state is the inventory's to tell.
    fn read_status(&mut self, conf: &Conf, problems: &mut ProblemList) {
        let name = conf.find("Dir::State::status").unwrap_or("/var/lib/dpkg/status");
        let native = self.inventory.native.as_str();
        if let Ok(file) = read::open(self.root, name) {
            // Its problems are in the inventory already.
            scan(file, name, |listed| {
                let Some(installed) = self.wanted.get(&*listed.name) else {
                    return Ok(());
                };
                let Some((architecture, row)) = listed.row()? else {
                    return Ok(());
                };
                let architecture = apt_architecture(&architecture, native);
                for &(_, place) in installed.iter().filter(|(known, _)| *known == architecture) {
                    let package = self.inventory.packages.get(place);
                    if package.is_some_and(|package| package.version == row.version)
                        && let Some(versions) = self.versions.get_mut(place)
                    {
                        versions.add(row.clone(), Seen::Status);
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

/// apt files packages for all architectures under the native one.
fn apt_architecture<'a>(architecture: &'a str, native: &'a str) -> &'a str {
    if architecture == "all" { native } else { architecture }
}
