//! Which upgrades would be taken and which stay, and what comes new: by proof where there is one, else by asking apt.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use patchd_core::inventory::Inventory;
use patchd_core::offer::{KeptBack, Method, NewPackage, PackageOffers};
use patchd_core::package::{Architecture, PackageId, PackageName};
use patchd_core::plan::steps::Tie;
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::apt::blame::{self, to_need};
use crate::apt::candidate::{Policy, Versions};
use crate::apt::closure::{Extra, Upgrade, Verdict, judge};
use crate::apt::conf::Conf;
use crate::apt::native_apt::{AskError, NativeApt, PolicyAnswer, full_name};
use crate::apt::offers::{Phaser, kept_back};
use crate::apt::reader::look_up;
use crate::apt::repositories::Repositories;
use crate::apt::simulation::Simulation;
use crate::apt::ties;
use crate::problem_list::ProblemList;
use crate::root::Root;

/// Settings that change what apt chooses and that the readers do not follow.
const UNMODELLED: [&str; 5] = [
    "APT::Get::Phase-Policy",
    "APT::Solver",
    "pkgCacheGen::Essential",
    "pkgCacheGen::ForceEssential",
    "Acquire::IndexTargets::deb::Packages",
];

/// The settings of this host that the readers do not follow.
pub(super) fn unmodelled_settings(conf: &Conf) -> Vec<String> {
    let is_set = |key: &&&str| {
        conf.has(key)
            && conf.flag(key) != Some(false)
            && conf.find(key).is_none_or(|value| value != "internal")
    };
    UNMODELLED.iter().filter(is_set).map(|key| format!("the setting {key}")).collect()
}

/// What an upgrade of everything would be.
pub(super) struct Decision {
    pub(super) new_packages: Vec<NewPackage>,
    pub(super) ties: Vec<Tie>,
    pub(super) method: Method,
}

/// What is known before the verdict.
pub(super) struct Case<'a> {
    pub(super) root: &'a Root,
    pub(super) conf: &'a Conf,
    pub(super) inventory: &'a Inventory,
    pub(super) repositories: &'a Repositories,
    pub(super) versions: &'a [Versions],
    pub(super) essential: &'a BTreeSet<Box<str>>,
    pub(super) architectures: &'a [String],
    pub(super) phaser: &'a Phaser,
    pub(super) asks_apt: bool,
}

impl Case<'_> {
    fn native(&self) -> &str {
        self.inventory.native.as_str()
    }

    fn apt(&self) -> Result<NativeApt, AskError> {
        NativeApt::new(self.root, self.conf, self.architectures)
    }

    /// Replaces our candidates by apt's, where the host uses what the readers do not understand.
    pub(super) fn ask_for_candidates(
        &self,
        unknown: &[String],
        offers: &mut [PackageOffers],
        problems: &mut ProblemList,
    ) -> Option<Method> {
        let because = unknown.join(", ");
        let answer = if self.asks_apt {
            self.apt().and_then(|apt| apt.policy(self.inventory)).map(Some)
        } else {
            Ok(None)
        };
        let (weight, message, method) = match answer {
            Ok(Some(answers)) => {
                self.take_candidates(&answers, offers);
                let message = format!(
                    "the host uses {because}, which is not followed here: apt was asked for candidates"
                );
                (Weight::Notice, message, Some(Method::AskedPackageManager { because }))
            }
            Ok(None) => {
                let message = format!(
                    "the host uses {because}, which is not followed here: candidates may differ from apt's"
                );
                (Weight::Incomplete, message, None)
            }
            Err(error) => {
                let message =
                    format!("the host uses {because}, which is not followed here, and {}", chain(&error));
                (Weight::Incomplete, message, None)
            }
        };
        problems.push(Problem::new(ProblemKind::UnknownFeature, weight, "apt", message));
        method
    }

    fn take_candidates(&self, answers: &[PolicyAnswer], offers: &mut [PackageOffers]) {
        let by_name: HashMap<&str, &PolicyAnswer> =
            answers.iter().map(|answer| (answer.name.as_str(), answer)).collect();
        for (package, known) in self.inventory.packages.iter().zip(offers) {
            let name = full_name(package.id.name.as_str(), package.id.architecture.as_str(), self.native());
            let Some(answer) = by_name.get(name.as_str()) else {
                continue;
            };
            let candidate = answer.candidate.as_deref();
            known.candidate = known.offers.iter().position(|offer| Some(offer.version.as_str()) == candidate);
            known.is_upgradable = known.candidate().is_some_and(|candidate| {
                self.inventory.scheme.compare(&candidate.version, &package.version).is_gt()
            });
            known.kept_back = kept_back(package, known, self.phaser);
            for offer in &mut known.offers {
                let row = answer.versions.iter().find(|(version, _)| version == offer.version.as_str());
                if let Some((_, priority)) = row {
                    offer.pin = *priority;
                }
            }
        }
    }

    /// Says of each upgrade that is neither held nor phased whether it would be taken, what would come new, and what
    /// can't go without what. `doubt` is why our own candidates can't be built upon.
    pub(super) fn decide(
        &self,
        policy: &Policy<'_>,
        offers: &mut [PackageOffers],
        heeds_recommends: bool,
        doubt: Option<String>,
        problems: &mut ProblemList,
    ) -> Decision {
        let mut found = Extra::default();
        let (mut new_packages, method) =
            self.find_changes(policy, offers, heeds_recommends, doubt, &mut found, problems);
        self.complete(&mut new_packages, &mut found);
        let upgrades = ties::Upgrades {
            inventory: self.inventory,
            native: self.native(),
            versions: self.versions,
            offers,
            new: &new_packages,
            found: &found,
            heeds_recommends,
        };
        let ties = ties::find(&upgrades);
        Decision { new_packages, ties, method }
    }

    /// Reads the lists for the new packages that apt has named.
    fn complete(&self, new: &mut [NewPackage], found: &mut Extra) {
        let names = new.iter().map(|new| new.id.name.as_str());
        let names = names.filter(|&name| !found.versions.contains_key(name)).map(Box::from);
        let names: BTreeSet<Box<str>> = names.collect();
        if !names.is_empty() {
            look_up(self.root, self.repositories, self.inventory, &names, found);
        }
        for new in new {
            let versions = found.versions.get(new.id.name.as_str());
            if let Some(row) = versions.and_then(|versions| versions.row(&new.version)) {
                (new.download_bytes, new.installed_kib) = (row.download_bytes, row.installed_kib);
            }
        }
    }

    fn find_changes(
        &self,
        policy: &Policy<'_>,
        offers: &mut [PackageOffers],
        heeds_recommends: bool,
        doubt: Option<String>,
        found: &mut Extra,
        problems: &mut ProblemList,
    ) -> (Vec<NewPackage>, Method) {
        let places = 0..offers.len();
        let mut targets: Vec<_> = places.clone().map(|place| self.target(place, policy, offers)).collect();
        let waiting: Vec<_> = places.map(|place| self.waiting_target(place, policy, offers)).collect();
        if let Some(because) = doubt {
            return self.ask(because, &BTreeMap::new(), &targets, offers, problems);
        }
        if targets.iter().all(Option::is_none) && self.essential.is_empty() {
            return (Vec::new(), Method::Native);
        }
        let verdict = self.judge(policy, &targets, heeds_recommends, found);
        let new = match verdict {
            Verdict::Proven { new } => new,
            Verdict::Unproven { because, blame } => {
                return self.ask(because, &blame, &targets, offers, problems);
            }
        };
        let packages = self.new_packages(&new, found, policy);
        if waiting.iter().any(Option::is_some) {
            // apt takes phased updates with the rest, and puts them back at the end: with them it must be sound, too.
            for (target, waiting) in targets.iter_mut().zip(&waiting) {
                *target = target.or(*waiting);
            }
            let together = self.judge(policy, &targets, heeds_recommends, found);
            if together != (Verdict::Proven { new }) {
                let because = "phased updates do not go together with the others".to_owned();
                for (target, waiting) in targets.iter_mut().zip(&waiting) {
                    *target = target.filter(|_| waiting.is_none());
                }
                return self.ask(because, &BTreeMap::new(), &targets, offers, problems);
            }
        }
        (packages, Method::Native)
    }

    fn judge(
        &self,
        policy: &Policy<'_>,
        targets: &[Option<usize>],
        heeds_recommends: bool,
        found: &mut Extra,
    ) -> Verdict {
        let upgrade = Upgrade {
            inventory: self.inventory,
            native: self.native(),
            versions: self.versions,
            targets,
            essential: self.essential,
            heeds_recommends,
        };
        judge(&upgrade, policy, found, &mut |names, extra| {
            look_up(self.root, self.repositories, self.inventory, names, extra);
        })
    }

    /// The place of the version that a package waits for by its phase.
    fn waiting_target(&self, place: usize, policy: &Policy<'_>, offers: &[PackageOffers]) -> Option<usize> {
        let (package, versions, known) =
            (self.inventory.packages.get(place)?, self.versions.get(place)?, offers.get(place)?);
        let architecture = super::apt_architecture(package.id.architecture.as_str(), self.native());
        let is_waiting = matches!(known.kept_back, Some(KeptBack::Phased { .. }));
        policy.candidate(package.id.name.as_str(), architecture, versions).filter(|_| is_waiting)
    }

    /// The place of the version that a package would go to.
    fn target(&self, place: usize, policy: &Policy<'_>, offers: &[PackageOffers]) -> Option<usize> {
        let (package, versions, known) =
            (self.inventory.packages.get(place)?, self.versions.get(place)?, offers.get(place)?);
        let architecture = super::apt_architecture(package.id.architecture.as_str(), self.native());
        let candidate = policy.candidate(package.id.name.as_str(), architecture, versions)?;
        let installed = versions.installed()?;
        let is_held = package.is_held() && self.conf.flag("APT::Ignore-Hold") != Some(true);
        // A pin of 1000 and more makes a downgrade of it.
        let goes = if candidate < installed {
            known.kept_back.is_none()
        } else {
            candidate != installed && !is_held
        };
        goes.then_some(candidate)
    }

    fn new_packages(&self, new: &[Box<str>], found: &Extra, policy: &Policy<'_>) -> Vec<NewPackage> {
        let mut packages = Vec::new();
        for name in new {
            let listed = found.versions.get(name).and_then(|versions| {
                policy.candidate(name, self.native(), versions).and_then(|at| versions.listed.get(at))
            });
            if let (Some(listed), Ok(parsed)) = (listed, PackageName::parse(name)) {
                let architecture = if listed.row.is_all() { "all" } else { self.native() };
                if let Ok(architecture) = Architecture::parse(architecture) {
                    let id = PackageId { name: parsed, architecture };
                    packages.push(NewPackage {
                        id,
                        version: listed.row.version.clone(),
                        download_bytes: 0,
                        installed_kib: 0,
                    });
                }
            }
        }
        packages
    }

    fn ask(
        &self,
        because: String,
        blame: &BTreeMap<usize, String>,
        targets: &[Option<usize>],
        offers: &mut [PackageOffers],
        problems: &mut ProblemList,
    ) -> (Vec<NewPackage>, Method) {
        let asked = if self.asks_apt {
            self.apt().and_then(|apt| {
                let all = apt.simulate_upgrade(self.inventory)?;
                let without_removals = match all.removals.as_slice() {
                    [] => None,
                    _ => Some(apt.simulate_upgrade_without_removals(self.inventory)?),
                };
                Ok(Some((all, without_removals)))
            })
        } else {
            Ok(None)
        };
        match asked {
            Ok(Some((all, without_removals))) => {
                self.take_simulation(&all, without_removals.as_ref(), blame, offers);
                blame::find_needs(self.inventory, self.native(), self.versions, offers);
                (self.new_of_simulation(&all), Method::AskedPackageManager { because })
            }
            refused => {
                let refusal = refused.err();
                let stops_all = matches!(refusal, Some(AskError::Refused(_)));
                for (place, known) in offers.iter_mut().enumerate() {
                    let is_guilty = blame.contains_key(&place);
                    if targets.get(place).is_some_and(Option::is_some)
                        && known.is_upgradable
                        && (stops_all || is_guilty)
                    {
                        known.kept_back =
                            Some(KeptBack::Dependency { on: blame.get(&place).map(|text| to_need(text)) });
                    }
                }
                let reason = refusal.map_or_else(|| "apt was not asked".to_owned(), |error| chain(&error));
                let message =
                    format!("whether every upgrade can be installed is not proven ({because}), and {reason}");
                problems.push(Problem::new(ProblemKind::UnknownFeature, Weight::Notice, "apt", message));
                (Vec::new(), Method::Native)
            }
        }
    }

    /// Marks what the simulation leaves, or takes only by removing others.
    fn take_simulation(
        &self,
        all: &Simulation,
        without_removals: Option<&Simulation>,
        blame: &BTreeMap<usize, String>,
        offers: &mut [PackageOffers],
    ) {
        let mut removals: Vec<_> = all.removals.iter().map(|removal| removal.name.clone()).collect();
        removals.dedup();
        let takes = |simulation: &Simulation, id: &PackageId| {
            let place = simulation.changes.binary_search_by(|change| change.package.cmp(id)).ok();
            place.and_then(|at| simulation.changes.get(at)).is_some_and(|change| change.from.is_some())
        };
        for (place, (package, known)) in self.inventory.packages.iter().zip(offers).enumerate() {
            if !known.is_upgradable || known.kept_back.is_some() {
                continue;
            }
            if !takes(all, &package.id) {
                known.kept_back =
                    Some(KeptBack::Dependency { on: blame.get(&place).map(|text| to_need(text)) });
            } else if without_removals.is_some_and(|gently| !takes(gently, &package.id)) {
                known.kept_back = Some(KeptBack::RemovalRequired { packages: removals.clone() });
            }
        }
    }

    fn new_of_simulation(&self, all: &Simulation) -> Vec<NewPackage> {
        let new = all.changes.iter().filter(|change| change.from.is_none());
        let new = new.map(|change| NewPackage {
            id: change.package.clone(),
            version: change.to.clone(),
            download_bytes: 0,
            installed_kib: 0,
        });
        new.collect()
    }
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
