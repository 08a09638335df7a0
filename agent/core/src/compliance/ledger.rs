//! Which cause keeps each package back, and what is behind it. States and counts are the parent's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::baseline::RejectedAction;
use crate::baseline::decide::Decision;
use crate::baseline::pattern::Pattern;
use crate::inventory::InstalledPackage;
use crate::offer::{KeptBack, Need, Offer, PackageOffers, Phase};
use crate::package::{PackageId, Version};
use crate::plan::steps::Bond;
use crate::reason::{Cause, Link, Reason};

use super::{Attempt, Case, Update};

/// How many links a chain may have: longer ones help nobody.
const MAX_LINKS: usize = 8;

/// What must be known of all packages before the cause of one can be told.
pub(super) struct Ledger<'a> {
    case: &'a Case<'a>,
    blocked: BTreeMap<&'a PackageId, Blocked<'a>>,
}

/// Why the baseline's BLOCK keeps a package where it is.
enum Blocked<'a> {
    /// What is offered is itself rejected.
    Rejected(&'a Pattern),
    /// It can't go without this one.
    Needs(&'a PackageId),
}

impl<'a> Ledger<'a> {
    pub(super) fn new(case: &'a Case<'a>) -> Self {
        let blocked = match case.baseline.rejected.action {
            RejectedAction::Block => find_blocked(case),
            RejectedAction::AllowAsDependency => BTreeMap::new(),
        };
        Self { case, blocked }
    }

    /// The first cause that holds: what the administrator and the publisher say, then the baseline, then what the package
    /// manager can do, then what stands in the way of the whole host.
    pub(super) fn cause(
        &self,
        package: &InstalledPackage,
        known: &PackageOffers,
        approved: Option<&Offer>,
    ) -> Cause {
        if package.is_held() {
            return Cause::Held;
        }
        if self.case.override_list.is_some()
            && !approved.is_some_and(|offer| self.case.is_listed(&package.id, &offer.version))
        {
            return Cause::NotListed;
        }
        if let Some(KeptBack::Phased { percentage }) = known.kept_back {
            return Cause::Phased { percentage };
        }
        let Some(approved) = approved else { return self.disapproval(package, known) };
        let is_within_reach = known.is_upgradable
            && known.candidate().is_some_and(|candidate| {
                self.case.inventory.scheme.compare(&approved.version, &candidate.version).is_le()
            });
        if !is_within_reach {
            return Cause::Pinned;
        }
        if let Some(kept_back) = &known.kept_back {
            return of_package_manager(kept_back);
        }
        // What is tied to what is known of candidates only. Of an older version the dry run will tell.
        let is_candidate = known.candidate().is_some_and(|candidate| candidate.version == approved.version);
        if let Some(Blocked::Needs(on)) = self.blocked.get(&package.id).filter(|_| is_candidate) {
            return Cause::Dependency { on: Some(on.to_string()) };
        }
        let is_same =
            |attempt: &&Attempt| attempt.installed == package.version && attempt.wanted == approved.version;
        if let Some(attempt) = self.case.attempts.get(&package.id).filter(is_same) {
            return attempt.cause.clone();
        }
        self.case.shut.first().map_or(Cause::Ready, |shut| Cause::Shut(shut.clone()))
    }

    /// Why the baseline asks for nothing newer.
    fn disapproval(&self, package: &InstalledPackage, known: &PackageOffers) -> Cause {
        let Some(candidate) = known.candidate() else { return Cause::Pinned };
        match (self.case.decision(&package.id, candidate), candidate.phase) {
            (Decision::Rejected { by }, _) => self.case.rejection(by),
            (Decision::NotYet { rule, after }, _) => Cause::Delayed { rule, after },
            (Decision::NotApproved(miss), _) => Cause::NotApproved { miss },
            (Decision::Approved { .. }, Phase::Waiting { percentage }) => Cause::Phased { percentage },
            (Decision::Approved { .. }, Phase::Open) => Cause::SameVersion,
        }
    }

    /// Follows what each package needs to the cause at the end.
    pub(super) fn add_chains(&self, updates: &mut [Update]) {
        let waiting: BTreeMap<&PackageId, &Cause> =
            updates.iter().map(|update| (&update.package, &update.reason.cause)).collect();
        let chains: Vec<Vec<Link>> = updates
            .iter()
            .map(|update| match update.reason.cause {
                Cause::Dependency { .. } => self.chain(&update.package, &waiting),
                _ => Vec::new(),
            })
            .collect();
        for (update, chain) in updates.iter_mut().zip(chains).filter(|(_, chain)| !chain.is_empty()) {
            update.reason = Reason::new(update.reason.cause.clone(), chain);
        }
    }

    fn chain(&self, from: &PackageId, waiting: &BTreeMap<&PackageId, &Cause>) -> Vec<Link> {
        let mut chain = Vec::new();
        let mut seen = BTreeSet::from([from]);
        let mut at = from;
        while chain.len() < MAX_LINKS {
            let Some((next, cause)) = self.behind(at, waiting) else { break };
            // A circle has no end to tell.
            if !seen.insert(next) {
                break;
            }
            chain.push(Link { package: next.clone(), cause });
            at = next;
        }
        chain
    }

    /// The package that one waits for, and what keeps that one back.
    fn behind<'b>(
        &'b self,
        package: &PackageId,
        waiting: &BTreeMap<&'b PackageId, &Cause>,
    ) -> Option<(&'b PackageId, Cause)> {
        if !waiting.get(package).is_none_or(|cause| matches!(cause, Cause::Dependency { .. })) {
            return None;
        }
        let kept_back = self.case.offers.packages.get(package).and_then(|known| known.kept_back.as_ref());
        if let Some(KeptBack::Dependency { on: Some(Need { packages, .. }) }) = kept_back {
            let is_meant = |id: &PackageId| packages.contains(&id.name);
            let mut meant = waiting.iter().filter(|(id, _)| is_meant(id) && **id != package);
            let own = meant.clone().find(|(id, _)| id.architecture == package.architecture);
            let (next, cause) = own.or_else(|| meant.next())?;
            return Some((next, Cause::clone(cause)));
        }
        match self.blocked.get(package)? {
            Blocked::Rejected(_) => None,
            Blocked::Needs(on) => {
                let cause = match self.blocked.get(on)? {
                    Blocked::Rejected(entry) => self.case.rejection(entry),
                    Blocked::Needs(further) => Cause::Dependency { on: Some(further.to_string()) },
                };
                Some((on, cause))
            }
        }
    }
}

fn of_package_manager(kept_back: &KeptBack) -> Cause {
    match kept_back {
        KeptBack::Held => Cause::Held,
        KeptBack::Phased { percentage } => Cause::Phased { percentage: *percentage },
        KeptBack::Dependency { on } => Cause::Dependency { on: on.as_ref().map(|need| need.text.clone()) },
        KeptBack::RemovalRequired { packages } => Cause::RemovalRequired {
            packages: packages.iter().map(|name| name.as_str().to_owned()).collect(),
        },
    }
}

/// What the baseline rejects of all that an upgrade would bring, and all that can't go without it.
fn find_blocked<'a>(case: &Case<'a>) -> BTreeMap<&'a PackageId, Blocked<'a>> {
    let mut blocked = BTreeMap::new();
    let mut queue = VecDeque::new();
    let candidates = case.offers.packages.iter().filter(|(_, known)| known.is_upgradable);
    let candidates = candidates.filter_map(|(id, known)| Some((id, &known.candidate()?.version)));
    let new = case.offers.new_packages.iter().map(|new| (&new.id, &new.version));
    for (id, version) in candidates.chain(new) {
        if let Some(entry) = rejected_by(case, id, version).filter(|_| !case.is_listed(id, version)) {
            blocked.insert(id, Blocked::Rejected(entry));
            queue.push_back(id);
        }
    }
    if queue.is_empty() {
        return blocked;
    }
    let mut needed_by: BTreeMap<&PackageId, Vec<&PackageId>> = BTreeMap::new();
    for tie in case.offers.ties.iter().filter(|tie| tie.bond == Bond::Needed) {
        needed_by.entry(&tie.on).or_default().push(&tie.package);
    }
    while let Some(on) = queue.pop_front() {
        for &package in needed_by.get(on).into_iter().flatten() {
            if !blocked.contains_key(package) {
                blocked.insert(package, Blocked::Needs(on));
                queue.push_back(package);
            }
        }
    }
    blocked
}

fn rejected_by<'a>(case: &Case<'a>, package: &PackageId, version: &Version) -> Option<&'a Pattern> {
    case.baseline.rejected.patterns.iter().find(|pattern| pattern.matches_deb(package, version))
}
