//! The verdict on each package: its compliance state, and for each that waits the reason why it does.
//!
//! The states and the counting are Patch Manager's. It decides nothing about when to act: see `gate`.

mod ledger;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::ledger::Ledger;
use crate::baseline::decide::{ApprovedBy, Decision};
use crate::baseline::first_seen::FirstSeen;
use crate::baseline::override_list::{InstallOverride, Listing};
use crate::baseline::pattern::Pattern;
use crate::baseline::subject::{Facts, Subject, Traits};
use crate::baseline::{Baseline, ComplianceLevel, RejectedAction};
use crate::gate::Shut;
use crate::inventory::{InstalledPackage, Inventory};
use crate::offer::{Listed, Offer, Offers, PackageOffers, Phase, Repository};
use crate::package::{PackageId, Version};
use crate::pending::Pending;
use crate::reason::{Cause, Reason};

/// How many versions of one package are told of.
const MAX_OFFERED: usize = 20;

/// Patch Manager's state of one patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PatchState {
    Installed,
    InstalledOther,
    InstalledPendingReboot,
    InstalledRejected,
    Missing,
    Failed,
}

impl PatchState {
    /// Patch Manager's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "Installed",
            Self::InstalledOther => "InstalledOther",
            Self::InstalledPendingReboot => "InstalledPendingReboot",
            Self::InstalledRejected => "InstalledRejected",
            Self::Missing => "Missing",
            Self::Failed => "Failed",
        }
    }

    pub fn is_compliant(self) -> bool {
        matches!(self, Self::Installed | Self::InstalledOther)
    }
}

/// The verdict on one installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComplianceItem {
    pub package: PackageId,
    pub state: PatchState,
    pub level: ComplianceLevel,
    pub is_security: bool,
    /// For apt the `Priority` field, as Patch Manager reports it.
    pub severity: Option<Box<str>>,
    pub installed: Version,
    /// The newest version that the baseline approves, if it is newer than the installed one.
    pub approved: Option<Version>,
    pub installed_at: Option<Timestamp>,
    /// Why an approved version is not installed, or why an installed one should not be or does not run yet.
    pub reason: Option<Reason>,
}

impl ComplianceItem {
    /// What is as it should be on disk is not compliant before it runs: in memory is the hole.
    fn wait_for_restart(&mut self, pending: &Pending) {
        if self.state.is_compliant()
            && let Some(reason) = pending.get(&self.package)
        {
            self.state = PatchState::InstalledPendingReboot;
            self.reason = Some(reason.clone().into());
        }
    }
}

/// One package that is not at its candidate, or not at the version that the baseline asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    pub package: PackageId,
    pub installed: Version,
    pub candidate: Version,
    /// What the baseline asks for; it can be older than the candidate.
    pub approved: Option<Version>,
    pub is_security: bool,
    /// Where the candidate comes from, as apt prints it: `Debian-Security:12/oldstable-security`.
    pub origin: String,
    pub advisories: Vec<String>,
    pub reason: Reason,
    /// Every version above the installed one, the newest first.
    pub offered: Vec<Offered>,
}

/// One version that is offered, and what the baseline says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub version: Version,
    /// Where it comes from, as apt prints it.
    pub origin: String,
    pub verdict: OfferVerdict,
}

/// What the baseline says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferVerdict {
    Approved {
        level: ComplianceLevel,
        /// The rule or the entry, in words.
        by: String,
    },
    Refused(Cause),
}

/// Patch Manager's summary counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub installed: u64,
    pub installed_other: u64,
    pub installed_pending_reboot: u64,
    pub installed_rejected: u64,
    pub missing: u64,
    pub failed: u64,
    pub not_applicable: u64,
    pub critical_non_compliant: u64,
    pub security_non_compliant: u64,
    pub other_non_compliant: u64,
}

/// The whole verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub items: Vec<ComplianceItem>,
    pub updates: Vec<Update>,
    pub counts: Counts,
    /// The worst level among the items that are not compliant, and at least `Informational`; absent if all are.
    pub non_compliant_severity: Option<ComplianceLevel>,
    /// What no plan may bring along: the rejected list, where the baseline says BLOCK.
    pub blocked: Vec<Pattern>,
}

/// What a run tried in vain. It counts while the same version is installed and the same one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub installed: Version,
    pub wanted: Version,
    pub cause: Cause,
}

/// The last attempt on each package.
pub type Attempts = BTreeMap<PackageId, Attempt>;

/// What a judgement goes by.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub inventory: &'a Inventory,
    pub offers: &'a Offers,
    pub baseline: &'a Baseline,
    /// What this run installs in place of what the baseline approves, if it goes by such a list.
    pub override_list: Option<&'a InstallOverride>,
    /// The host's product: `Debian12`.
    pub product: &'a str,
    /// The gates that are known to be shut.
    pub shut: &'a [Shut],
    pub attempts: &'a Attempts,
    /// The instant that delays are counted to.
    pub now: Timestamp,
    pub first_seen: &'a FirstSeen,
    /// The packages that don't run yet as they are on disk.
    pub pending: &'a Pending,
}

/// Judges every installed package against the baseline.
pub fn judge(case: &Case<'_>) -> Judgement {
    let mut items = Vec::with_capacity(case.inventory.packages.len());
    let mut updates = Vec::new();
    let ledger = Ledger::new(case);
    for package in &case.inventory.packages {
        let (mut item, update) = case.judge_one(&ledger, package);
        item.wait_for_restart(case.pending);
        items.push(item);
        updates.extend(update);
    }
    ledger.add_chains(&mut updates);
    tell_reasons(&mut items, &updates);
    let counts = count(&items, case.not_applicable());
    let non_compliant_severity = items
        .iter()
        .filter(|item| !item.state.is_compliant())
        .map(|item| item.level.max(ComplianceLevel::Informational))
        .max();
    let rejected = &case.baseline.rejected;
    let mut blocked = match rejected.action {
        RejectedAction::Block => rejected.patterns.clone(),
        RejectedAction::AllowAsDependency => Vec::new(),
    };
    blocked.extend(case.other_versions());
    Judgement { items, updates, counts, non_compliant_severity, blocked }
}

/// Gives each item that waits the reason of its update. Both are in the order of the inventory.
fn tell_reasons(items: &mut [ComplianceItem], updates: &[Update]) {
    let mut updates = updates.iter().peekable();
    for item in items {
        let Some(update) = updates.next_if(|update| update.package == item.package) else { continue };
        if item.approved.is_some() {
            item.reason = Some(update.reason.clone());
        }
    }
}

impl<'a> Case<'a> {
    fn facts<'b>(&'b self, package: &PackageId, offer: &'b Offer) -> Facts<'b> {
        let traits = Traits::Deb {
            priority: offer.priority.as_deref(),
            section: offer.section.as_deref(),
            is_security: self.offers.is_security(offer),
            first_seen: self.first_seen.get(package, &offer.version),
        };
        Facts { product: self.product, traits }
    }

    /// What the baseline says of one version that is offered.
    pub fn decision(&self, package: &PackageId, offer: &Offer) -> Decision<'a> {
        let facts = self.facts(package, offer);
        self.baseline.decide(&Subject { package, version: &offer.version, facts }, self.now)
    }

    fn level(&self, package: &PackageId, offer: &Offer) -> Option<ComplianceLevel> {
        self.decision(package, offer).level()
    }

    /// What the baseline says of the installed version, and which offer has it: the one that speaks for it most.
    pub fn decision_on_installed(&self, package: &InstalledPackage) -> (Decision<'a>, Option<&'a Offer>) {
        let known = self.offers.packages.get(&package.id);
        let offers = known.into_iter().flat_map(|known| &known.offers);
        let mut same = offers.filter(|offer| offer.version == package.version);
        let decide = |offer| (self.decision(&package.id, offer), Some(offer));
        if let Some(first) = same.next() {
            let found = decide(first);
            let is_approved = |found: &(Decision<'_>, _)| found.0.level().is_some();
            return if is_approved(&found) {
                found
            } else {
                same.map(decide).find(is_approved).unwrap_or(found)
            };
        }
        // No source has it any more, so that it is no security update whatever it was.
        let traits = Traits::Deb {
            priority: package.priority.as_deref(),
            section: package.section.as_deref(),
            is_security: false,
            first_seen: self.first_seen.get(&package.id, &package.version),
        };
        let facts = Facts { product: self.product, traits };
        let subject = Subject { package: &package.id, version: &package.version, facts };
        (self.baseline.decide(&subject, self.now), None)
    }

    /// The newest version above the installed one that this host may have, and that the baseline approves or the run's
    /// own list names. A list beats the baseline, its rejections included.
    pub fn approved(&self, package: &InstalledPackage) -> Option<(&'a Offer, ComplianceLevel)> {
        let known = self.offers.packages.get(&package.id)?;
        let is_newer =
            |offer: &&Offer| self.inventory.scheme.compare(&package.version, &offer.version).is_lt();
        let newer = || known.offers.iter().filter(is_newer).filter(|offer| offer.phase == Phase::Open);
        let listed = newer().find(|offer| self.is_listed(&package.id, &offer.version));
        match listed {
            Some(offer) => {
                let level = self.level(&package.id, offer).unwrap_or(ComplianceLevel::Unspecified);
                Some((offer, level))
            }
            None => newer().find_map(|offer| Some((offer, self.level(&package.id, offer)?))),
        }
    }

    /// Whether the run's own list names a version.
    pub(crate) fn is_listed(&self, package: &PackageId, version: &Version) -> bool {
        self.override_list
            .is_some_and(|list| matches!(list.listing_of_deb(package, version), Listing::Listed(_)))
    }

    /// The candidates of packages that the run's own list names in another version: nothing may bring them along.
    fn other_versions(&self) -> Vec<Pattern> {
        let Some(list) = self.override_list else { return Vec::new() };
        let candidates =
            self.offers.packages.iter().filter_map(|(id, known)| Some((id, &known.candidate()?.version)));
        let new = self.offers.new_packages.iter().map(|new| (&new.id, &new.version));
        candidates
            .chain(new)
            .filter(|(id, version)| matches!(list.listing_of_deb(id, version), Listing::OtherVersion(_)))
            .map(|(id, version)| Pattern::of_deb(id, version))
            .collect()
    }

    fn judge_one(&self, ledger: &Ledger<'_>, package: &InstalledPackage) -> (ComplianceItem, Option<Update>) {
        let approved = self.approved(package);
        let (decision, offer) = self.decision_on_installed(package);
        let is_blocked = self.baseline.rejected.action == RejectedAction::Block;
        let of_approved = approved.map(|(offer, level)| (Some(offer), level));
        let (state, judged) = match (decision, of_approved) {
            // What must not be there at all comes first, also where a better version is there to be had.
            (Decision::Rejected { .. }, found) if is_blocked => (PatchState::InstalledRejected, found),
            (_, Some(found)) => (PatchState::Missing, Some(found)),
            (Decision::Approved { level, .. }, None) => (PatchState::Installed, Some((offer, level))),
            (_, None) => (PatchState::InstalledOther, None),
        };
        let judged_offer = judged.and_then(|(offer, _)| offer);
        let rejected = match (state, decision) {
            (PatchState::InstalledRejected, Decision::Rejected { by }) => Some(self.rejection(by).into()),
            _ => None,
        };
        let item = ComplianceItem {
            package: package.id.clone(),
            state,
            level: judged.map_or(ComplianceLevel::Unspecified, |(_, level)| level),
            is_security: judged_offer.is_some_and(|offer| self.offers.is_security(offer)),
            severity: judged_offer
                .and_then(|offer| offer.priority.clone())
                .or_else(|| package.priority.clone()),
            installed: package.version.clone(),
            approved: approved.map(|(offer, _)| offer.version.clone()),
            installed_at: package.installed_at,
            reason: rejected,
        };
        let known = self.offers.packages.get(&package.id);
        let approved = approved.map(|(offer, _)| offer);
        (item, known.and_then(|known| self.update(ledger, package, known, approved)))
    }

    fn update(
        &self,
        ledger: &Ledger<'_>,
        package: &InstalledPackage,
        known: &PackageOffers,
        approved: Option<&Offer>,
    ) -> Option<Update> {
        let candidate = known.candidate().filter(|_| known.is_upgradable);
        let shown = candidate.or(approved)?;
        Some(Update {
            package: package.id.clone(),
            installed: package.version.clone(),
            candidate: shown.version.clone(),
            approved: approved.map(|offer| offer.version.clone()),
            is_security: self.offers.is_security(shown)
                || approved.is_some_and(|offer| self.offers.is_security(offer)),
            origin: self.origin(shown),
            advisories: Vec::new(),
            reason: ledger.cause(package, known, approved).into(),
            offered: self.offered(package, known),
        })
    }

    fn offered(&self, package: &InstalledPackage, known: &PackageOffers) -> Vec<Offered> {
        let is_newer =
            |offer: &&Offer| self.inventory.scheme.compare(&package.version, &offer.version).is_lt();
        let newer = known.offers.iter().filter(is_newer).take(MAX_OFFERED);
        let offered = newer.map(|offer| {
            let decision = self.decision(&package.id, offer);
            let verdict = match decision {
                Decision::Approved { level, by: ApprovedBy::Rule(rule) } => {
                    OfferVerdict::Approved { level, by: format!("rule {}", rule.0) }
                }
                Decision::Approved { level, by: ApprovedBy::List(entry) } => {
                    let by = format!("the entry {:?} of the approved list", entry.as_str());
                    OfferVerdict::Approved { level, by }
                }
                Decision::Rejected { by } => OfferVerdict::Refused(self.rejection(by)),
                Decision::NotYet { rule, after } => OfferVerdict::Refused(Cause::Delayed { rule, after }),
                Decision::NotApproved(miss) => OfferVerdict::Refused(Cause::NotApproved { miss }),
            };
            Offered { version: offer.version.clone(), origin: self.origin(offer), verdict }
        });
        offered.collect()
    }

    fn rejection(&self, entry: &Pattern) -> Cause {
        Cause::Rejected { entry: entry.to_string(), action: self.baseline.rejected.action }
    }

    /// Where a version comes from: a security source that has it, else the first that does.
    fn origin(&self, offer: &Offer) -> String {
        let known = || offer.repositories.iter().filter_map(|&id| self.offers.repository(id));
        let shown = known().find(|repository| repository.is_security).or_else(|| known().next());
        shown.map(Repository::title).unwrap_or_default()
    }

    /// How many packages match the baseline and are not installed: counted, never itemised.
    fn not_applicable(&self) -> u64 {
        let matching = self.offers.not_installed.iter().filter(|(class, _)| {
            let traits = Traits::Deb {
                priority: class.priority.as_deref(),
                section: class.section.as_deref(),
                is_security: class.is_security,
                first_seen: None,
            };
            let by_rule =
                || self.baseline.approves_unlisted(&Facts { product: self.product, traits }, self.now);
            match class.listed {
                Some(Listed::Rejected) => false,
                Some(Listed::Approved) => {
                    class.is_security || self.baseline.approved.includes_non_security || by_rule()
                }
                None => by_rule(),
            }
        });
        matching.map(|(_, number)| number).sum()
    }
}

pub(crate) fn count(items: &[ComplianceItem], not_applicable: u64) -> Counts {
    let mut counts = Counts { not_applicable, ..Counts::default() };
    for item in items {
        let of_state = match item.state {
            PatchState::Installed => &mut counts.installed,
            PatchState::InstalledOther => &mut counts.installed_other,
            PatchState::InstalledPendingReboot => &mut counts.installed_pending_reboot,
            PatchState::InstalledRejected => &mut counts.installed_rejected,
            PatchState::Missing => &mut counts.missing,
            PatchState::Failed => &mut counts.failed,
        };
        *of_state += 1;
        if item.state.is_compliant() {
            continue;
        }
        let is_critical = item.level == ComplianceLevel::Critical;
        counts.critical_non_compliant += u64::from(is_critical);
        counts.security_non_compliant += u64::from(item.is_security);
        counts.other_non_compliant += u64::from(!is_critical && !item.is_security);
    }
    counts
}
