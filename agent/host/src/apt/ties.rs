//! Which upgrades can't go without which others, so that a host can be left between any two steps of a plan.
//!
//! It compares two sets, the host as it is and with every upgrade made, and looks at each relation that what changes can
//! make or break. A relation that several changes could save is tied to one of them: more than needed, and never less.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use patchd_core::inventory::Inventory;
use patchd_core::offer::{NewPackage, PackageOffers};
use patchd_core::package::{PackageId, SourcePackage};
use patchd_core::plan::steps::{Bond, Tie};

use crate::apt::apt_architecture;
use crate::apt::candidate::Versions;
use crate::apt::closure::Extra;
use crate::apt::future::{Future, Member};
use crate::apt::identity::{Identity, MultiArch};
use crate::apt::packages::{Relations, Row};
use crate::apt::relation::{alternatives, groups};

/// With more, everything is tied to everything.
const MAX_TIES: usize = 200_000;

/// What would change, and what is known of it.
pub(super) struct Upgrades<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) native: &'a str,
    /// Beside the inventory's packages.
    pub(super) versions: &'a [Versions],
    pub(super) offers: &'a [PackageOffers],
    pub(super) new: &'a [NewPackage],
    pub(super) found: &'a Extra,
    pub(super) heeds_recommends: bool,
}

/// The ties between all upgrades that are not kept back and the new packages. Sorted, each once.
pub(super) fn find(upgrades: &Upgrades<'_>) -> Vec<Tie> {
    let goes = |known: &PackageOffers| known.is_upgradable && known.kept_back.is_none();
    if !upgrades.offers.iter().any(goes) {
        return Vec::new();
    }
    let new_rows: Vec<_> = upgrades.new.iter().map(|new| upgrades.row_of_new(new)).collect();
    let (mut ids, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for ((package, versions), known) in
        upgrades.inventory.packages.iter().zip(upgrades.versions).zip(upgrades.offers)
    {
        let Some(installed) = versions.installed_row() else {
            continue;
        };
        // Another build of the very version is none that a plan could name.
        let candidate = known.candidate().filter(|offer| goes(known) && offer.version != installed.version);
        let target = candidate.and_then(|candidate| versions.row(&candidate.version));
        let member = Member {
            name: package.id.name.as_str(),
            architecture: apt_architecture(package.id.architecture.as_str(), upgrades.native),
            row: installed,
            before: None,
            is_changed: false,
        };
        ids.push(&package.id);
        before.push(member);
        after.push(match target {
            Some(row) => Member { row, before: Some(installed), is_changed: true, ..member },
            None => member,
        });
    }
    for (new, row) in upgrades.new.iter().zip(&new_rows) {
        ids.push(&new.id);
        after.push(Member {
            name: new.id.name.as_str(),
            architecture: apt_architecture(new.id.architecture.as_str(), upgrades.native),
            row,
            before: None,
            is_changed: true,
        });
    }
    let comparison = Comparison {
        touched: touched(&after),
        today: Future::new(before, upgrades.native),
        after: Future::new(after, upgrades.native),
        heeds_recommends: upgrades.heeds_recommends,
    };
    to_ties(&ids, comparison.pairs())
}

impl<'a> Upgrades<'a> {
    /// Of a new package that is in no list that was read, nothing but its version is known.
    fn row_of_new(&self, new: &NewPackage) -> Cow<'a, Row> {
        let versions = self.found.versions.get(new.id.name.as_str());
        if let Some(row) = versions.and_then(|versions| versions.row(&new.version)) {
            return Cow::Borrowed(row);
        }
        let is_all = new.id.architecture.as_str() == "all";
        Cow::Owned(Row {
            version: new.version.clone(),
            source: SourcePackage { name: new.id.name.clone(), version: new.version.clone() },
            identity: Identity::new(&[], 0, None, MultiArch::No, is_all),
            relations: Relations::default(),
            priority: None,
            section: None,
            download_bytes: 0,
            installed_kib: 0,
            phased_percentage: 100,
            is_essential: false,
        })
    }
}

/// What changing packages are called and provide, before and after: no other relation can be made or broken.
fn touched<'a>(after: &[Member<'a>]) -> HashSet<&'a str> {
    let mut touched = HashSet::new();
    for member in after.iter().filter(|member| member.is_changed) {
        touched.insert(member.name);
        for row in [Some(member.row), member.before].into_iter().flatten() {
            let provided = groups(&row.relations.provides).flat_map(alternatives).flatten();
            touched.extend(provided.map(|atom| atom.name));
        }
    }
    touched
}

fn to_ties(ids: &[&PackageId], pairs: Vec<Pair>) -> Vec<Tie> {
    let tie = |Pair { package, on, bond }| {
        Some(Tie { package: PackageId::clone(ids.get(package)?), on: PackageId::clone(ids.get(on)?), bond })
    };
    let mut ties: Vec<Tie> = pairs.into_iter().filter_map(tie).collect();
    ties.sort();
    ties.dedup_by(|later, known| later.package == known.package && later.on == known.on);
    ties
}

/// The places of what is tied.
#[derive(Clone, Copy)]
struct Pair {
    package: usize,
    on: usize,
    bond: Bond,
}

impl Pair {
    fn needed(package: usize, on: usize) -> Self {
        Self { package, on, bond: Bond::Needed }
    }
}

/// A new package that comes along with another one, and whether it is what apt looks at first.
#[derive(Clone, Copy)]
struct Bringing {
    by: usize,
    new: usize,
    is_first: bool,
}

#[derive(Default)]
struct Found {
    pairs: Vec<Pair>,
    bringing: Vec<Bringing>,
}

/// A circle, which makes one step of all.
fn ring(all: Vec<usize>, bond: Bond) -> impl Iterator<Item = Pair> {
    let count = all.len();
    let next: Vec<usize> = all.iter().copied().cycle().skip(1).take(count).collect();
    let pairs = all.into_iter().zip(next).map(move |(package, on)| Pair { package, on, bond });
    pairs.filter(|pair| pair.package != pair.on)
}

/// Members of the same place are the same package in both sets; those that are new stand behind all others.
struct Comparison<'a> {
    touched: HashSet<&'a str>,
    today: Future<'a>,
    after: Future<'a>,
    heeds_recommends: bool,
}

impl Comparison<'_> {
    fn pairs(&self) -> Vec<Pair> {
        let mut found = Found::default();
        for at in 0..self.after.members.len() {
            self.tie_new_version(at, &mut found);
            self.tie_old_version(at, &mut found);
            if MAX_TIES < found.pairs.len() {
                let all = (0..self.after.members.len()).filter(|&at| self.is_changed(at)).collect();
                return ring(all, Bond::Needed).collect();
            }
        }
        self.tie_new_packages(&mut found);
        found.pairs.extend(self.of_one_source().into_values().flat_map(|all| ring(all, Bond::SameSource)));
        found.pairs
    }

    /// The upgrades to one version of one source.
    fn of_one_source(&self) -> BTreeMap<(&str, &str), Vec<usize>> {
        let mut sources: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
        for (at, member) in self.after.members.iter().enumerate() {
            if member.is_changed && !self.is_new(at) {
                let SourcePackage { name, version } = &member.row.source;
                sources.entry((name.as_str(), version.as_str())).or_default().push(at);
            }
        }
        sources
    }

    fn is_changed(&self, at: usize) -> bool {
        self.after.members.get(at).is_some_and(|member| member.is_changed)
    }

    fn is_new(&self, at: usize) -> bool {
        self.today.members.len() <= at
    }

    fn is_touched(&self, group: &str) -> bool {
        alternatives(group).flatten().any(|atom| self.touched.contains(atom.name))
    }

    /// What the new version of a package needs and clashes with.
    fn tie_new_version(&self, at: usize, found: &mut Found) {
        let Some(member) = self.after.members.get(at).filter(|member| member.is_changed) else {
            return;
        };
        for group in self.after.needs(at, self.heeds_recommends, &self.today) {
            if self.is_touched(group) {
                self.tie_new_need(at, member, group, found);
            }
        }
        found.pairs.extend(self.clashes(member, &self.today).map(|other| Pair::needed(at, other)));
        if member.row.multi_arch() == MultiArch::Same {
            let twins = self.after.named(member.name).filter(|&twin| twin != at && self.is_changed(twin));
            found.pairs.extend(twins.flat_map(|twin| [Pair::needed(at, twin), Pair::needed(twin, at)]));
        }
    }

    /// The changing packages that a version can't stand beside in the other set.
    fn clashes<'b>(&'b self, member: &'b Member<'_>, others: &'b Future<'_>) -> impl Iterator<Item = usize> {
        let relations = &member.row.relations;
        [&relations.breaks, &relations.conflicts]
            .into_iter()
            .flat_map(|field| groups(field))
            .flat_map(alternatives)
            .flatten()
            .filter(|atom| self.touched.contains(atom.name))
            .flat_map(|atom| others.clashing(member.name, &atom).collect::<Vec<_>>())
            .filter(|&other| self.is_changed(other))
    }

    /// A need of a new version that nothing meets today, or only what will not do so any more.
    fn tie_new_need(&self, at: usize, member: &Member<'_>, group: &str, found: &mut Found) {
        let Some((today, later)) = self.meeting(member, group) else {
            return;
        };
        let is_lasting = |other: &usize| *other == at || !self.is_changed(*other) || today.contains(other);
        if later.iter().any(is_lasting) {
            return;
        }
        // What is installed can be asked for by name, so that apt need not choose.
        let installed = later.iter().find(|&&other| !self.is_new(other));
        let Some(&on) = installed.or(later.first()) else {
            return;
        };
        found.pairs.push(Pair::needed(at, on));
        if self.is_new(on) {
            let first = alternatives(group).next().and_then(Result::ok).map(|atom| atom.name);
            let is_first = self.after.members.get(on).map(|member| member.name) == first;
            found.bringing.push(Bringing { by: at, new: on, is_first });
        }
    }

    /// What the installed version of a package needs and clashes with.
    fn tie_old_version(&self, at: usize, found: &mut Found) {
        let Some(member) = self.today.members.get(at) else {
            return;
        };
        let relations = &member.row.relations;
        for group in [&relations.pre_depends, &relations.depends].into_iter().flat_map(|field| groups(field))
        {
            if self.is_touched(group) {
                self.tie_old_need(at, member, group, found);
            }
        }
        if self.is_changed(at) {
            found.pairs.extend(self.clashes(member, &self.after).map(|other| Pair::needed(other, at)));
        }
    }

    /// A need of an installed version that is met today only by what will not do so any more.
    fn tie_old_need(&self, at: usize, member: &Member<'_>, group: &str, found: &mut Found) {
        let Some((today, later)) = self.meeting(member, group) else {
            return;
        };
        let is_lasting = |other: &usize| *other == at || !self.is_changed(*other) || later.contains(other);
        if today.iter().any(is_lasting) {
            return;
        }
        let Some(&last) = today.first() else {
            return;
        };
        if self.is_changed(at) {
            found.pairs.push(Pair::needed(last, at));
        } else if let Some(&on) = later.first() {
            found.pairs.push(Pair::needed(last, on));
        }
    }

    /// What meets a relation today, and what will.
    fn meeting(&self, member: &Member<'_>, group: &str) -> Option<(Vec<usize>, Vec<usize>)> {
        let meeting = |set: &Future<'_>| set.meeting(member.architecture, group).ok();
        Some((meeting(&self.today)?, meeting(&self.after)?))
    }

    /// apt brings a new package together with the first that needs it: from those that are installed inwards, and by
    /// preference with one that leaves apt no choice.
    fn tie_new_packages(&self, found: &mut Found) {
        let mut has_bringer: Vec<bool> = (0..self.after.members.len()).map(|at| !self.is_new(at)).collect();
        for only_first in [true, false] {
            let mut is_moving = true;
            while std::mem::take(&mut is_moving) {
                for bringing in found.bringing.iter().filter(|bringing| bringing.is_first || !only_first) {
                    if has_bringer.get(bringing.by) == Some(&true)
                        && let Some(has @ false) = has_bringer.get_mut(bringing.new)
                    {
                        *has = true;
                        is_moving = true;
                        found.pairs.push(Pair::needed(bringing.new, bringing.by));
                    }
                }
            }
        }
    }
}
