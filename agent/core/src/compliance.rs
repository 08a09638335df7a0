//! The verdict on each package: its compliance state, and for each that waits the reason why it does.
//!
//! The states and the counting are Patch Manager's. It decides nothing about when to act: see `gate`.

use jiff::Timestamp;

use crate::baseline::first_seen::FirstSeen;
use crate::baseline::subject::{Facts, Subject, Traits};
use crate::baseline::{Baseline, ComplianceLevel};
use crate::inventory::{InstalledPackage, Inventory};
use crate::offer::{KeptBack, Offer, Offers, PackageOffers, Phase, Repository};
use crate::package::{PackageId, Version};
use crate::pending::Pending;
use crate::window::Verdict;

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

/// Why a package is not at its candidate, or is and does not run yet. One cause each, the first that holds in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// The administrator put it on hold.
    Held,
    /// Preferences keep it below the approved version.
    Pinned,
    /// Its publisher gives it to a part of the hosts first, and this host's turn has not come.
    Phased { percentage: u8 },
    /// No rule of the baseline approves it.
    NotApproved,
    /// It needs something that can't be had.
    Dependency { on: Option<String> },
    /// It could only be installed by removing other packages.
    RemovalRequired { packages: Vec<String> },
    /// The last run tried and failed.
    Failed { detail: String },
    /// No window is configured: the agent looks and changes nothing.
    NoWindow,
    /// It waits for the next window.
    OutsideWindow { next: Option<Timestamp> },
    /// Nothing stands in its way: the next step of a run takes it.
    Ready,
    /// It is installed, and runs after a reboot.
    Reboot { because: String },
    /// It is installed, and runs once these were started again.
    Restart { processes: String },
}

impl WaitReason {
    /// The stable name that reports and the API use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pinned => "pinned",
            Self::Phased { .. } => "phased",
            Self::NotApproved => "not_approved",
            Self::Dependency { .. } => "dependency",
            Self::RemovalRequired { .. } => "removal_required",
            Self::Failed { .. } => "failed",
            Self::NoWindow => "no_window",
            Self::OutsideWindow { .. } => "outside_window",
            Self::Ready => "ready",
            Self::Reboot { .. } => "reboot",
            Self::Restart { .. } => "restart",
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Self::Held => "on hold: `apt-mark unhold` releases it".into(),
            Self::Pinned => "preferences (apt_preferences) keep it below the approved version".into(),
            Self::Phased { percentage } => {
                format!("its publisher has given it to {percentage} % of hosts so far, and not to this one")
            }
            Self::NotApproved => "the baseline does not ask for it".into(),
            Self::Dependency { on: Some(on) } => format!("it needs {on}, which can't be installed"),
            Self::Dependency { on: None } => "one of its dependencies can't be installed".into(),
            Self::RemovalRequired { packages } => format!("it would remove {}", packages.join(", ")),
            Self::Failed { detail } => format!("the last run could not install it: {detail}"),
            Self::NoWindow => "no window is configured, so patchd changes nothing".into(),
            Self::OutsideWindow { next: Some(next) } => format!("waits for the window of {next}"),
            Self::OutsideWindow { next: None } => "no window is left to wait for".into(),
            Self::Ready => "will be installed by the next step of the run".into(),
            Self::Reboot { because } => format!("it runs after a reboot: {because}"),
            Self::Restart { processes } => format!("{processes} must be restarted to run it"),
        }
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
    /// Why an approved version is not installed, or an installed one does not run yet.
    pub reason: Option<WaitReason>,
}

impl ComplianceItem {
    /// What is as it should be on disk is not compliant before it runs: in memory is the hole.
    fn wait_for_restart(&mut self, pending: &Pending) {
        if self.state.is_compliant()
            && let Some(reason) = pending.get(&self.package)
        {
            self.state = PatchState::InstalledPendingReboot;
            self.reason = Some(reason.clone());
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
    pub reason: WaitReason,
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
}

/// What a judgement goes by.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub inventory: &'a Inventory,
    pub offers: &'a Offers,
    pub baseline: &'a Baseline,
    /// The host's product: `Debian12`.
    pub product: &'a str,
    pub window: &'a Verdict,
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
    for package in &case.inventory.packages {
        let (mut item, update) = case.judge_one(package);
        item.wait_for_restart(case.pending);
        items.push(item);
        updates.extend(update);
    }
    let counts = count(&items, case.not_applicable());
    let non_compliant_severity = items
        .iter()
        .filter(|item| !item.state.is_compliant())
        .map(|item| item.level.max(ComplianceLevel::Informational))
        .max();
    Judgement { items, updates, counts, non_compliant_severity }
}

impl Case<'_> {
    fn level(&self, package: &PackageId, offer: &Offer) -> Option<ComplianceLevel> {
        let traits = Traits::Deb {
            priority: offer.priority.as_deref(),
            section: offer.section.as_deref(),
            is_security: self.offers.is_security(offer),
            first_seen: self.first_seen.get(package, &offer.version),
        };
        let facts = Facts { product: self.product, traits };
        self.baseline.decide(&Subject { package, version: &offer.version, facts }, self.now).level()
    }

    fn judge_one(&self, package: &InstalledPackage) -> (ComplianceItem, Option<Update>) {
        let known = self.offers.packages.get(&package.id);
        let offers = known.map_or(&[][..], |known| &known.offers);
        let is_newer = |offer: &&Offer| {
            self.inventory.scheme.compare(&package.version, &offer.version) == std::cmp::Ordering::Less
        };
        let approved = offers
            .iter()
            .filter(is_newer)
            .filter(|offer| offer.phase == Phase::Open)
            .find_map(|offer| Some((offer, self.level(&package.id, offer)?)));
        let current = offers
            .iter()
            .filter(|offer| offer.version == package.version)
            .find_map(|offer| Some((offer, self.level(&package.id, offer)?)));
        let update = known.and_then(|known| self.update(package, known, approved.map(|(offer, _)| offer)));
        let (state, judged) = match (approved, current) {
            (Some(found), _) => (PatchState::Missing, Some(found)),
            (None, Some(found)) => (PatchState::Installed, Some(found)),
            (None, None) => (PatchState::InstalledOther, None),
        };
        let item = ComplianceItem {
            package: package.id.clone(),
            state,
            level: judged.map_or(ComplianceLevel::Unspecified, |(_, level)| level),
            is_security: judged.is_some_and(|(offer, _)| self.offers.is_security(offer)),
            severity: judged
                .and_then(|(offer, _)| offer.priority.clone())
                .or_else(|| package.priority.clone()),
            installed: package.version.clone(),
            approved: approved.map(|(offer, _)| offer.version.clone()),
            installed_at: package.installed_at,
            reason: update
                .as_ref()
                .filter(|_| state == PatchState::Missing)
                .map(|update| update.reason.clone()),
        };
        (item, update)
    }

    fn update(
        &self,
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
            reason: self.reason(package, known, approved),
        })
    }

    /// Where a version comes from: a security source that has it, else the first that does.
    fn origin(&self, offer: &Offer) -> String {
        let known = || offer.repositories.iter().filter_map(|&id| self.offers.repository(id));
        let shown = known().find(|repository| repository.is_security).or_else(|| known().next());
        shown.map(Repository::title).unwrap_or_default()
    }

    fn reason(
        &self,
        package: &InstalledPackage,
        known: &PackageOffers,
        approved: Option<&Offer>,
    ) -> WaitReason {
        if package.is_held() {
            return WaitReason::Held;
        }
        if let Some(KeptBack::Phased { percentage }) = known.kept_back {
            return WaitReason::Phased { percentage };
        }
        let Some(approved) = approved else { return WaitReason::NotApproved };
        let is_within_reach = known.is_upgradable
            && known.candidate().is_some_and(|candidate| {
                self.inventory.scheme.compare(&approved.version, &candidate.version).is_le()
            });
        if !is_within_reach {
            return WaitReason::Pinned;
        }
        match &known.kept_back {
            Some(KeptBack::Held) => WaitReason::Held,
            Some(KeptBack::Phased { percentage }) => WaitReason::Phased { percentage: *percentage },
            Some(KeptBack::Dependency { on }) => WaitReason::Dependency { on: on.clone() },
            Some(KeptBack::RemovalRequired { packages }) => WaitReason::RemovalRequired {
                packages: packages.iter().map(|name| name.as_str().to_owned()).collect(),
            },
            None => match self.window {
                Verdict::NoneConfigured => WaitReason::NoWindow,
                Verdict::Open(_) => WaitReason::Ready,
                Verdict::Shut { next } => {
                    WaitReason::OutsideWindow { next: next.as_ref().map(|occurrence| occurrence.start) }
                }
            },
        }
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
            self.baseline.approves_unlisted(&Facts { product: self.product, traits }, self.now)
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

#[cfg(test)]
mod tests;
