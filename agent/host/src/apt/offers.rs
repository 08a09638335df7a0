//! From apt's versions to what the rest of the agent asks for: offers with their phase, the candidate, and the two
//! reasons to stay that are known without looking at other packages: a hold and phasing.

use std::collections::{BTreeMap, HashMap};

use patchd_core::baseline::Baseline;
use patchd_core::baseline::pattern::Pattern;
use patchd_core::inventory::{InstalledPackage, Inventory};
use patchd_core::offer::{KeptBack, Listed, NotInstalledClass, Offer, PackageOffers, Phase, RepositoryId};
use patchd_core::version::deb;

use crate::apt::candidate::{self, Policy, Seen, Versions};
use crate::apt::conf::Conf;
use crate::apt::phasing::draw;
use crate::apt::repositories::Repositories;
use crate::read;
use crate::root::Root;

/// Decides on phased updates as apt on this host does.
#[derive(Debug)]
pub struct Phaser {
    machine_id: String,
    rule: Rule,
    /// Whether the host's apt keeps phased updates back by itself; before that, only its frontends did.
    pub is_known_to_apt: bool,
    /// `APT::Ignore-Hold`.
    ignores_holds: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Always,
    Never,
    Draw,
}

impl Phaser {
    pub fn new(root: &Root, conf: &Conf, inventory: &Inventory) -> Self {
        let flag = |name: &str| {
            conf.flag(&format!("APT::Get::{name}")).or_else(|| conf.flag(&format!("Update-Manager::{name}")))
        };
        let machine_id = machine_id(root, conf);
        let rule = if flag("Always-Include-Phased-Updates") == Some(true) {
            Rule::Always
        } else if flag("Never-Include-Phased-Updates") == Some(true) {
            Rule::Never
        } else if machine_id.is_empty() || is_in_chroot(root) {
            Rule::Always
        } else {
            Rule::Draw
        };
        let apt = inventory.packages.iter().find(|package| package.id.name.as_str() == "apt");
        // Jammy's apt learnt it in an update.
        let is_known_to_apt = apt.is_none_or(|apt| deb::compare(apt.version.as_str(), "2.4.13").is_ge());
        let ignores_holds = conf.flag("APT::Ignore-Hold") == Some(true);
        Self { machine_id, rule, is_known_to_apt, ignores_holds }
    }

    fn phase(&self, listed: &candidate::Listed) -> Phase {
        let percentage = listed.row.phased_percentage;
        let waiting = Phase::Waiting { percentage };
        match self.rule {
            _ if percentage == 100 => Phase::Open,
            Rule::Always => Phase::Open,
            Rule::Never => waiting,
            Rule::Draw => {
                let source = &listed.row.source;
                let drawn = draw(source.name.as_str(), source.version.as_str(), &self.machine_id);
                if percentage < drawn { waiting } else { Phase::Open }
            }
        }
    }
}

/// The first line of the machine's id, which seeds its draws.
fn machine_id(root: &Root, conf: &Conf) -> String {
    const MAX_FILE: u64 = 4096;
    if let Some(id) = conf.find("APT::Machine-ID") {
        return id.to_owned();
    }
    let file = match conf.path("Dir::Etc::machine-id") {
        path if path.is_empty() => format!("{}/../machine-id", conf.path("Dir::Etc").trim_end_matches('/')),
        path => path,
    };
    let text = read::read(root, file, MAX_FILE).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

/// Whether this process sees another root than process 1, where apt switches phasing off. It can't always be told
/// without rights; then it is taken for none, which is what apt finds when the executor runs it.
fn is_in_chroot(root: &Root) -> bool {
    use std::os::unix::fs::MetadataExt;
    if !root.is_host() {
        return false;
    }
    match (std::fs::metadata("/"), std::fs::metadata("/proc/1/root")) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// The offers for every installed package, beside the inventory's list.
pub fn to_offers(
    inventory: &Inventory,
    versions: &[Versions],
    policy: &Policy<'_>,
    repositories: &Repositories,
    phaser: &Phaser,
) -> Vec<PackageOffers> {
    let repository_of = |seen: &Seen| match seen {
        Seen::Index(at) => repositories.lists.get(*at).map(|list| list.repository),
        Seen::Status => None,
    };
    let is_security_suite = |id: RepositoryId| {
        let suite = repositories.repositories.get(usize::from(id.0)).and_then(|one| one.suite.as_deref());
        suite.is_some_and(|suite| suite.ends_with("-security"))
    };
    let mut packages = Vec::with_capacity(versions.len());
    for (package, versions) in inventory.packages.iter().zip(versions) {
        let candidate = policy.candidate(package.id.name.as_str(), apt_name(package, inventory), versions);
        let installed = versions.installed();
        let mut known = PackageOffers {
            offers: Vec::new(),
            candidate: None,
            is_upgradable: false,
            kept_back: None,
            installed_kib: versions.installed_row().map_or(0, |row| row.installed_kib),
        };
        // From the lowest version up: a security update below frees every version above from phasing.
        let mut has_security = false;
        for (at, listed) in versions.listed.iter().enumerate().rev() {
            let is_older = deb::compare(listed.row.version.as_str(), package.version.as_str()).is_lt();
            let mut from: Vec<_> = listed.seen.iter().filter_map(repository_of).collect();
            from.dedup();
            has_security |= installed.is_some_and(|installed| at < installed)
                && from.iter().any(|&id| is_security_suite(id));
            if from.is_empty() || (is_older && candidate != Some(at)) {
                continue;
            }
            if candidate == Some(at) {
                known.candidate = Some(known.offers.len());
            }
            known.offers.push(Offer {
                version: listed.row.version.clone(),
                source: listed.row.source.clone(),
                priority: listed.row.priority.clone(),
                section: listed.row.section.clone(),
                repositories: from,
                pin: policy.priority(package.id.name.as_str(), apt_name(package, inventory), listed),
                phase: if has_security { Phase::Open } else { phaser.phase(listed) },
                download_bytes: listed.row.download_bytes,
                installed_kib: listed.row.installed_kib,
            });
        }
        known.offers.reverse();
        known.candidate = known.candidate.map(|at| known.offers.len() - 1 - at);
        known.is_upgradable =
            candidate.zip(installed).is_some_and(|(candidate, installed)| candidate < installed);
        known.kept_back = kept_back(package, &known, phaser);
        packages.push(known);
    }
    packages
}

fn apt_name<'a>(package: &'a InstalledPackage, inventory: &'a Inventory) -> &'a str {
    super::apt_architecture(package.id.architecture.as_str(), inventory.native.as_str())
}

/// Why a package would stay, as far as it alone tells.
pub(super) fn kept_back(
    package: &InstalledPackage,
    known: &PackageOffers,
    phaser: &Phaser,
) -> Option<KeptBack> {
    if !known.is_upgradable {
        return None;
    }
    if package.is_held() && !phaser.ignores_holds {
        return Some(KeptBack::Held);
    }
    match known.candidate()?.phase {
        Phase::Waiting { percentage } if phaser.is_known_to_apt => Some(KeptBack::Phased { percentage }),
        _ => None,
    }
}

/// Counts the packages of the repositories that the host has not, each once.
#[derive(Debug, Default)]
pub struct Tally<'a> {
    seen: HashMap<(Box<str>, Box<str>), NotInstalledClass>,
    baseline: Option<&'a Baseline>,
}

impl<'a> Tally<'a> {
    pub fn new(baseline: Option<&'a Baseline>) -> Self {
        Self { seen: HashMap::new(), baseline }
    }

    /// Whether the baseline asks by name for what is no security update.
    pub fn counts_by_name(&self) -> bool {
        self.baseline.is_some_and(|baseline| {
            baseline.approved.includes_non_security && !baseline.approved.patterns.is_empty()
        })
    }

    /// Whether the baseline asks for this package by name, wherever it is from.
    pub fn is_asked_for(&self, name: &str, architecture: &str) -> bool {
        self.counts_by_name() && self.listed(name, architecture) == Some(Listed::Approved)
    }

    /// The first stanza of a package gives its class; a security repository anywhere makes it one of security.
    pub fn add(
        &mut self,
        name: &str,
        architecture: &str,
        is_security: bool,
        priority: Option<Box<str>>,
        section: Option<Box<str>>,
    ) {
        let class = NotInstalledClass { is_security, priority, section, listed: None };
        let known = self.seen.entry((name.into(), architecture.into())).or_insert(class);
        known.is_security |= is_security;
    }

    fn listed(&self, name: &str, architecture: &str) -> Option<Listed> {
        let Baseline { approved, rejected, .. } = self.baseline?;
        let names = |pattern: &Pattern| pattern.names_package(name, architecture);
        if rejected.patterns.iter().any(names) {
            return Some(Listed::Rejected);
        }
        approved.patterns.iter().any(names).then_some(Listed::Approved)
    }

    pub fn counts(mut self) -> BTreeMap<NotInstalledClass, u64> {
        let mut counts = BTreeMap::new();
        for ((name, architecture), class) in std::mem::take(&mut self.seen) {
            let listed = self.listed(&name, &architecture);
            *counts.entry(NotInstalledClass { listed, ..class }).or_default() += 1;
        }
        counts
    }
}
