//! What apt would offer to this host, read from apt's own files without running apt.
//!
//! `read_offers` is the way in. It fetches nothing, and says in the problems what it could not know.

mod ahead;
mod blame;
pub mod candidate;
mod child;
pub mod closure;
pub mod conf;
pub mod decompress;
mod extract;
pub mod future;
pub mod identity;
pub mod list_files;
pub mod native_apt;
pub mod offers;
pub mod packages;
pub mod pattern;
pub mod phasing;
pub mod preferences;
mod reader;
pub mod relation;
pub mod release;
pub mod repositories;
pub mod simulation;
mod source_entry;
pub mod sources;
mod ties;
mod verdict;
mod wanted;

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::Baseline;
use patchd_core::inventory::Inventory;
use patchd_core::offer::Offers;
use patchd_core::problem::Weight;

use crate::apt::candidate::{Index, Policy};
use crate::apt::conf::Conf;
use crate::apt::offers::{Phaser, to_offers};
use crate::apt::preferences::Preferences;
use crate::apt::reader::Reader;
use crate::apt::repositories::Host;
use crate::apt::sources::read_sources;
use crate::apt::verdict::{Case, unmodelled_settings};
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// What the caller can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options<'a> {
    /// Lists that were refreshed longer ago make the assessment incomplete.
    pub max_list_age: SignedDuration,
    /// Count what is not installed in every repository, and not only in those of security updates.
    pub counts_all_not_installed: bool,
    /// Tell of what is not installed whether a list of this baseline names it.
    pub counted_lists: Option<&'a Baseline>,
    /// Run apt where its files alone do not give the answer.
    pub asks_apt: bool,
    /// Where what was taken from each list is kept for the next time: a directory of nothing else.
    pub extracts: Option<&'a Path>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            max_list_age: SignedDuration::from_hours(7 * 24),
            counts_all_not_installed: false,
            counted_lists: None,
            asks_apt: true,
            extracts: None,
        }
    }
}

/// Reads what the sources of the host under `root` offer for the packages of its inventory.
pub fn read_offers(root: &Root, inventory: &Inventory, now: Timestamp, options: &Options<'_>) -> Offers {
    let mut problems = ProblemList::new("the package lists");
    let conf = Conf::read(root, &mut problems);
    let architectures = architectures(root, &conf, inventory, &mut problems);
    let sources = read_sources(root, &conf, &architectures, &mut problems);
    let preferences = Preferences::read(root, &conf, &mut problems);
    let host =
        Host { root, conf: &conf, architectures: &architectures, now, max_list_age: options.max_list_age };
    let configured = sources.has_files.then_some(sources.sources);
    let repositories = repositories::find(&host, configured, &mut problems);

    let mut reader = Reader::new(root, inventory, &repositories, options);
    for (at, list) in repositories.lists.iter().enumerate() {
        reader.read_list(at, list, &mut problems);
    }
    reader.remove_other_extracts();
    reader.read_status(&conf, &mut problems);
    let (versions, tally, essential) = (reader.versions, reader.tally, reader.essential);

    let indexes = repositories.lists.iter().map(|list| Index {
        facts: repositories.facts(list),
        not_automatic: list.not_automatic,
        but_automatic_upgrades: list.but_automatic_upgrades,
    });
    let policy = Policy::new(indexes.collect(), &preferences, inventory.native.as_str());
    let phaser = Phaser::new(root, &conf, inventory);
    let mut offers = to_offers(inventory, &versions, &policy, &repositories, &phaser);
    let case = Case {
        root,
        conf: &conf,
        inventory,
        repositories: &repositories,
        versions: &versions,
        essential: &essential,
        architectures: &architectures,
        phaser: &phaser,
        asks_apt: options.asks_apt,
    };
    let settings = unmodelled_settings(&conf);
    let unknown = [&conf.unknown, &sources.unknown, &preferences.unknown, &settings].into_iter().flatten();
    let unknown: Vec<String> = unknown.cloned().collect();
    let asked =
        if unknown.is_empty() { None } else { case.ask_for_candidates(&unknown, &mut offers, &mut problems) };
    let doubt = (!unknown.is_empty()).then(|| unknown.join(", "));
    let heeds_recommends = conf.flag("APT::Install-Recommends") != Some(false);
    let decision = case.decide(&policy, &mut offers, heeds_recommends, doubt, &mut problems);

    let ids = inventory.packages.iter().map(|package| package.id.clone());
    Offers {
        packages: ids.zip(offers).filter(|(_, known)| !known.offers.is_empty()).collect(),
        new_packages: decision.new_packages,
        ties: decision.ties,
        not_installed: tally.counts(),
        refreshed_at: repositories.refreshed_at,
        method: asked.unwrap_or(decision.method),
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

/// apt files packages for all architectures under the native one.
fn apt_architecture<'a>(architecture: &'a str, native: &'a str) -> &'a str {
    if architecture == "all" { native } else { architecture }
}
