//! Whether `apt-get dist-upgrade` would take every upgrade, and which new packages it would bring in.
//!
//! This is no solver. It applies all upgrades at once, adds the packages that they newly need where there is but one
//! way to do so, and checks that nothing in the result is unmet or clashes. apt starts from the same set, so that a
//! sound one is apt's own answer. Anything else is left unproven, with the reason: then apt must be asked.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use patchd_core::inventory::{Inventory, Want};

use crate::apt::apt_architecture;
use crate::apt::candidate::{Policy, Versions};
use crate::apt::future::{Future, Member, Trouble};
use crate::apt::relation::alternatives;

/// How often the lists are read again for packages that are newly needed.
const MAX_PASSES: u32 = 8;

/// The most packages that an upgrade may newly need before apt is asked.
const MAX_NEW: usize = 2000;

/// What is known of names that are not installed.
#[derive(Debug, Default)]
pub struct Extra {
    /// Every name that was looked for; empty where no list has it.
    pub versions: BTreeMap<Box<str>, Versions>,
    /// Those of them that other packages provide.
    pub virtuals: HashSet<Box<str>>,
}

/// The question.
#[derive(Debug)]
pub struct Upgrade<'a> {
    pub inventory: &'a Inventory,
    pub native: &'a str,
    /// Beside the inventory's packages: all versions, and the one to go to.
    pub versions: &'a [Versions],
    pub targets: &'a [Option<usize>],
    /// Essential packages of the lists that are not installed: apt installs them with every upgrade.
    pub essential: &'a BTreeSet<Box<str>>,
    pub heeds_recommends: bool,
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All of them go, and these come new, each in its candidate.
    Proven { new: Vec<Box<str>> },
    Unproven {
        because: String,
        /// Why single packages can't go: their place, and what is missing or in the way.
        blame: BTreeMap<usize, String>,
    },
}

/// Judges the upgrade. `look_up` reads the lists once more for names that `extra` does not have yet.
pub fn judge(
    upgrade: &Upgrade<'_>,
    policy: &Policy<'_>,
    extra: &mut Extra,
    look_up: &mut dyn FnMut(&BTreeSet<Box<str>>, &mut Extra),
) -> Verdict {
    let mut new: BTreeSet<Box<str>> = BTreeSet::new();
    let mut wanted = upgrade.essential.clone();
    wanted.retain(|name| !extra.versions.contains_key(name));
    let nothing = Extra::default();
    let today = Future::new(upgrade.members(false, &nothing, &BTreeSet::new(), policy), upgrade.native);
    for _ in 0..MAX_PASSES {
        if !wanted.is_empty() {
            look_up(&wanted, extra);
        }
        for name in upgrade.essential {
            let versions = extra.versions.get(name);
            if versions.is_some_and(|versions| policy.candidate(name, upgrade.native, versions).is_some()) {
                new.insert(name.clone());
            }
        }
        match upgrade.settle(policy, extra, &mut new, &today) {
            Settled::Done => return upgrade.conclude(&new, policy, extra, &today),
            Settled::Unproven(verdict) => return verdict,
            Settled::Wants(names) => wanted = names,
        }
    }
    Verdict::Unproven {
        because: format!("the new packages need others more than {MAX_PASSES} deep"),
        blame: BTreeMap::new(),
    }
}

enum Settled {
    Done,
    Wants(BTreeSet<Box<str>>),
    Unproven(Verdict),
}

/// What can be done about one unmet relation.
enum Way {
    Install(Box<str>),
    LookUp(Box<str>),
    /// A recommendation that nothing can follow.
    Leave,
    None,
}

impl<'a> Upgrade<'a> {
    /// The installed packages, after the upgrade or as they are, and the new ones.
    fn members(
        &self,
        is_after: bool,
        extra: &'a Extra,
        new: &BTreeSet<Box<str>>,
        policy: &Policy<'_>,
    ) -> Vec<Member<'a>> {
        let mut members = Vec::with_capacity(self.versions.len() + new.len());
        let packages = self.inventory.packages.iter().zip(self.versions).zip(self.targets);
        for ((package, versions), target) in packages {
            let installed = versions.installed();
            let goes_to = target.filter(|_| is_after);
            let row = goes_to.or(installed).and_then(|at| versions.listed.get(at)).map(|listed| &listed.row);
            let before = installed.and_then(|at| versions.listed.get(at)).map(|listed| &listed.row);
            if let Some(row) = row {
                members.push(Member {
                    name: package.id.name.as_str(),
                    architecture: apt_architecture(package.id.architecture.as_str(), self.native),
                    row,
                    before: before.filter(|_| goes_to.is_some()),
                    is_changed: goes_to.is_some(),
                });
            }
        }
        for (name, versions) in extra.versions.iter().filter(|(name, _)| new.contains(*name)) {
            let candidate =
                policy.candidate(name, self.native, versions).and_then(|at| versions.listed.get(at));
            if let Some(listed) = candidate {
                let row = &listed.row;
                members.push(Member { name, architecture: self.native, row, before: None, is_changed: true });
            }
        }
        members
    }

    /// Adds what is newly needed until the set is sound, more must be looked up, or there is no certain way.
    fn settle(
        &self,
        policy: &Policy<'_>,
        extra: &Extra,
        new: &mut BTreeSet<Box<str>>,
        today: &Future<'_>,
    ) -> Settled {
        while new.len() < MAX_NEW {
            let this: &Upgrade<'_> = self;
            let future = Future::new(this.members(true, extra, new, policy), self.native);
            let mut lookups = BTreeSet::new();
            let mut added = false;
            let mut unsolved = Vec::new();
            for trouble in future.troubles(self.heeds_recommends) {
                let Trouble::Unmet { member, group, is_recommended } = trouble else {
                    unsolved.push(trouble);
                    continue;
                };
                if is_recommended && !future.is_heeded(member, group, today) {
                    continue;
                }
                let Some(needy) = future.members.get(member) else {
                    continue;
                };
                match self.way(needy, group, is_recommended, policy, extra) {
                    Way::Install(name) => added |= new.insert(name),
                    Way::LookUp(name) => {
                        lookups.insert(name);
                    }
                    Way::Leave => {}
                    Way::None => unsolved.push(trouble),
                }
            }
            // All that can be known first: the reasons are for people.
            if !lookups.is_empty() {
                return Settled::Wants(lookups);
            }
            if !unsolved.is_empty() {
                return Settled::Unproven(self.unproven(&future, &unsolved));
            }
            if !added {
                return Settled::Done;
            }
        }
        let because = format!("more than {MAX_NEW} new packages are needed");
        Settled::Unproven(Verdict::Unproven { because, blame: BTreeMap::new() })
    }

    /// The one thing that apt would do about an unmet relation, if that is certain.
    fn way(
        &self,
        member: &Member<'_>,
        group: &str,
        is_recommended: bool,
        policy: &Policy<'_>,
        extra: &Extra,
    ) -> Way {
        for atom in alternatives(group) {
            let Ok(atom) = atom else {
                return Way::None;
            };
            let is_plain = atom.qualifier.is_none() && member.architecture == self.native;
            let is_on_hold = self
                .inventory
                .residual
                .iter()
                .any(|package| package.id.name.as_str() == atom.name && package.state.want == Want::Hold);
            if !is_plain || is_on_hold {
                return Way::None;
            }
            let mut installed = self.installed(atom.name).peekable();
            if installed.peek().is_some() {
                // It is in the set already, and does not do; a version that would is being kept back.
                if installed.any(|versions| {
                    versions.listed.iter().any(|listed| atom.accepts(listed.row.version.as_str()))
                }) {
                    return Way::None;
                }
                continue;
            }
            let Some(versions) = extra.versions.get(atom.name) else {
                return Way::LookUp(atom.name.into());
            };
            // Which of its providers apt would take is for apt to say.
            if extra.virtuals.contains(atom.name) && versions.listed.is_empty() {
                return Way::None;
            }
            let candidate = policy.candidate(atom.name, self.native, versions);
            let candidate = candidate.and_then(|at| versions.listed.get(at));
            if candidate.is_some_and(|listed| atom.accepts(listed.row.version.as_str())) {
                return Way::Install(atom.name.into());
            }
        }
        if is_recommended { Way::Leave } else { Way::None }
    }

    fn installed(&self, name: &str) -> impl Iterator<Item = &'a Versions> {
        let from = self.inventory.packages.partition_point(|package| package.id.name.as_str() < name);
        let packages = self.inventory.packages.iter().zip(self.versions).skip(from);
        packages
            .take_while(move |(package, _)| package.id.name.as_str() == name)
            .map(|(_, versions)| versions)
    }

    fn unproven(&self, future: &Future<'_>, unsolved: &[Trouble<'_>]) -> Verdict {
        let name_of = |at: usize| future.members.get(at).map_or("", |member| member.name);
        let is_changed = |at: usize| future.members.get(at).is_some_and(|member| member.is_changed);
        let mut blame = BTreeMap::new();
        let mut reasons = Vec::new();
        for trouble in unsolved {
            // The members of the installed packages come first, in the inventory's order.
            let (guilty, other, reason) = match *trouble {
                Trouble::Unmet { member, group, is_recommended } => {
                    let verb = if is_recommended { "recommends" } else { "needs" };
                    (member, group.to_owned(), format!("{} {verb} {group}", name_of(member)))
                }
                Trouble::Clash { member, other } => {
                    let guilty = if is_changed(member) { member } else { other };
                    let innocent = if guilty == member { other } else { member };
                    (
                        guilty,
                        name_of(innocent).to_owned(),
                        format!("{} clashes with {}", name_of(member), name_of(other)),
                    )
                }
                Trouble::OutOfStep { member } => (
                    member,
                    name_of(member).to_owned(),
                    format!("{} differs between architectures", name_of(member)),
                ),
                Trouble::Unreadable { member } => (
                    member,
                    name_of(member).to_owned(),
                    format!("{} has a relation that is none", name_of(member)),
                ),
            };
            if guilty < self.versions.len() && is_changed(guilty) {
                blame.entry(guilty).or_insert(other);
            }
            reasons.push(reason);
        }
        let because = reasons.first().cloned().unwrap_or_default();
        Verdict::Unproven { because, blame }
    }

    fn conclude(
        &self,
        new: &BTreeSet<Box<str>>,
        policy: &Policy<'_>,
        extra: &Extra,
        today: &Future<'_>,
    ) -> Verdict {
        let unproven = |because| Verdict::Unproven { because, blame: BTreeMap::new() };
        // Somebody else's cut transaction: apt-get goes its own ways to repair it.
        if let Some(broken) = self.inventory.packages.iter().find(|package| package.state.is_broken()) {
            return unproven(format!("{} is not fully installed", broken.id));
        }
        match self.find_uncertain(new, policy, extra, today) {
            Some(because) => unproven(because),
            None => Verdict::Proven { new: new.iter().cloned().collect() },
        }
    }

    /// apt looks at one package after the other, so that which of several alternatives comes in can depend on their
    /// order. It does not where each new package is indispensable, and each need that only new ones meet would have
    /// chosen one of them by itself.
    fn find_uncertain(
        &self,
        new: &BTreeSet<Box<str>>,
        policy: &Policy<'_>,
        extra: &Extra,
        today: &Future<'_>,
    ) -> Option<String> {
        if new.is_empty() {
            return None;
        }
        let this: &Upgrade<'_> = self;
        let future = Future::new(this.members(true, extra, new, policy), self.native);
        let bare = Future::new(this.members(true, extra, &BTreeSet::new(), policy), self.native);
        let mut indispensable: BTreeSet<Box<str>> = self.essential.clone();
        for (at, member) in future.members.iter().enumerate() {
            for group in future.needs(at, self.heeds_recommends, today) {
                let holds = |set: &Future<'_>, without: &str| {
                    set.holds_without(member.architecture, group, without).unwrap_or_default()
                };
                if holds(&bare, "") || !holds(&future, "") {
                    continue;
                }
                match self.way(member, group, false, policy, extra) {
                    Way::Install(name) if new.contains(&name) => {
                        if !holds(&future, &name) {
                            indispensable.insert(name);
                        }
                    }
                    _ => return Some(format!("{} has more than one way to get {group}", member.name)),
                }
            }
        }
        let spare = new.iter().find(|name| !indispensable.contains(*name))?;
        Some(format!("{spare} may or may not be needed"))
    }
}
