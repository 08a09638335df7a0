//! What one report says: who was looked at, when, by which rules, and what came of it. Its JSON is in the protocol.

use jiff::{SignedDuration, Timestamp};

use crate::baseline::ruling::Origin;
use crate::compliance::{self, Judgement, PatchState};
use crate::gate::Shut;
use crate::inventory::Inventory;
use crate::offer::Offers;
use crate::os::OsRelease;
use crate::package::{PackageId, Version};
use crate::pending::OldCode;
use crate::problem::{Problem, Weight};
use crate::reason::{Cause, Reason};

/// "Cannot tell" is a value of its own, and never means yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tristate {
    Yes(String),
    No,
    Unknown(String),
}

/// Who patches this host besides us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPatcher {
    pub name: String,
    pub evidence: String,
}

/// What is known of the machine itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The instance id on EC2; elsewhere a stable id that was derived from the machine id, or configured.
    pub id: String,
    pub hostname: String,
    pub account: Option<String>,
    pub region: Option<String>,
    pub os: OsRelease,
    pub architecture: String,
    /// The running kernel. A root that is looked at from outside runs none, and has no boot and no memory.
    pub kernel: Option<String>,
    pub boot_id: Option<String>,
    pub memory_bytes: Option<u64>,
    pub needs_reboot: Tristate,
    /// Code in memory that was replaced on disk.
    pub old_code: OldCode,
    pub other_patchers: Vec<OtherPatcher>,
}

/// Whether the verdict rests on everything that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assessment {
    Complete,
    /// Something was unknown: "no updates" in such a report proves nothing.
    Incomplete {
        because: Vec<Problem>,
    },
}

impl Assessment {
    /// Incomplete as soon as one problem weighs that much.
    pub fn of<'a>(problems: impl IntoIterator<Item = &'a Problem>) -> Self {
        let because: Vec<_> =
            problems.into_iter().filter(|problem| problem.weight == Weight::Incomplete).cloned().collect();
        if because.is_empty() { Self::Complete } else { Self::Incomplete { because } }
    }
}

/// What a run did to one package, read back from the package database and from nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub package: PackageId,
    pub before: Option<Version>,
    pub planned: Option<Version>,
    pub after: Option<Version>,
    pub is_done: bool,
}

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionKind {
    /// Packages were changed by plan.
    Apply,
    /// The package database was made whole after a cut.
    Repair,
    /// The operator's own programs.
    Hooks,
}

/// One call of the package manager, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub id: String,
    pub kind: TransactionKind,
    pub started_at: Timestamp,
    pub took: SignedDuration,
    /// The exit code, told for completeness: the verdict is in the changes.
    pub exit_code: Option<i32>,
    pub changes: Vec<Change>,
    /// The end of what the package manager printed.
    pub output_tail: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunVerdict {
    /// Everything planned was read back as done, or nothing had to be done.
    Succeeded,
    /// Some of it was.
    Partial {
        detail: String,
    },
    /// Nothing was changed, because this stood in the way.
    Refused {
        detail: String,
    },
    Failed {
        detail: String,
    },
}

impl RunVerdict {
    /// The stable name that reports, logs and the API use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial { .. } => "partial",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
        }
    }

    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Succeeded => None,
            Self::Partial { detail } | Self::Refused { detail } | Self::Failed { detail } => Some(detail),
        }
    }
}

/// Packages that were planned and did not get where they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setback {
    pub packages: Vec<PackageId>,
    pub why: String,
    /// The last words of the package that failed; empty where none did.
    pub output: Vec<String>,
    pub reason: Reason,
}

/// A host's wish for a reboot at the end of a run, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reboot {
    /// Why the host asks.
    pub because: String,
    /// The packages that run only after it, with their versions.
    pub packages: Vec<String>,
    pub outcome: RebootOutcome,
}

/// What became of a reboot. Only another boot's id is proof that one took place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebootOutcome {
    Done {
        asked_at: Timestamp,
        /// When the run went on in the boot after it.
        seen_at: Timestamp,
        boot_before: String,
        boot_after: String,
    },
    /// It was not asked for, or was refused: this stood in the way. Never empty.
    Waits { gates: Vec<Shut> },
    /// It was asked for, and the host did not go down.
    Missed { asked_at: Timestamp, detail: String },
}

impl Reboot {
    /// Why the host still waits for it, if it does.
    pub fn waits(&self) -> Option<String> {
        match &self.outcome {
            RebootOutcome::Done { .. } => None,
            RebootOutcome::Waits { gates } => {
                Some(gates.iter().map(Shut::sentence).collect::<Vec<_>>().join("; "))
            }
            RebootOutcome::Missed { detail, .. } => Some(detail.clone()),
        }
    }
}

/// What an apply run adds to a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    pub verdict: RunVerdict,
    /// Whose word the changes rested on: a window's name, or a grant's reason.
    pub window: Option<String>,
    pub transactions: Vec<Transaction>,
    /// What was tried and failed, or can't go.
    pub failed: Vec<Setback>,
    /// What was planned and not tried.
    pub waiting: Vec<Setback>,
    /// What happened on the way that somebody should know.
    pub notes: Vec<String>,
    /// Configuration files that were left beside the ones in use.
    pub left_files: Vec<String>,
    /// Absent where the host did not ask for one, or nobody could tell.
    pub reboot: Option<Box<Reboot>>,
}

impl RunRecord {
    /// The record of a run that tried nothing.
    pub fn of(verdict: RunVerdict) -> Self {
        Self {
            verdict,
            window: None,
            transactions: Vec::new(),
            failed: Vec::new(),
            waiting: Vec::new(),
            notes: Vec::new(),
            left_files: Vec::new(),
            reboot: None,
        }
    }

    /// Whether anything was done to the host: then nothing else can tell of it later.
    pub fn tells_of_changes(&self) -> bool {
        let is_done = |reboot: &Reboot| matches!(reboot.outcome, RebootOutcome::Done { .. });
        !self.transactions.is_empty() || self.reboot.as_deref().is_some_and(is_done)
    }
}

/// A reason that names the run in which it arose.
fn named(reason: &Reason, id: &str) -> Reason {
    match &reason.cause {
        Cause::Failed { run: None, detail } => {
            let cause = Cause::Failed { run: Some(id.to_owned()), detail: detail.clone() };
            Reason { cause, ..reason.clone() }
        }
        _ => reason.clone(),
    }
}

/// A scan looked; an apply also changed something, or tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Scan,
    Apply,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub id: String,
    pub operation: Operation,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub agent_version: String,
    pub host: HostFacts,
    pub baseline_id: String,
    pub baseline_name: String,
    pub baseline_origin: Origin,
    pub inventory: Inventory,
    pub offers: Offers,
    pub judgement: Judgement,
    /// Problems that belong to neither the inventory nor the offers.
    pub problems: Vec<Problem>,
    /// Present on an apply.
    pub run: Option<RunRecord>,
}

impl Report {
    /// Every problem that was met, the host's own first.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().chain(&self.inventory.problems).chain(&self.offers.problems)
    }

    pub fn assessment(&self) -> Assessment {
        Assessment::of(self.all_problems())
    }

    /// Tells with every package that runs only after a reboot why the host did not get one.
    #[must_use]
    pub fn with_waiting_reboot(mut self, waits: Option<&str>) -> Self {
        for reason in self.judgement.items.iter_mut().filter_map(|item| item.reason.as_mut()) {
            if let Cause::Reboot { waits: told, .. } = &mut reason.cause {
                *told = waits.map(str::to_owned);
            }
        }
        self
    }

    /// Adds what a run did. What the baseline asks for, and the run tried in vain or could not try because of what the
    /// baseline blocks, has failed. What was not tried is still missing, and says what stood in the way.
    #[must_use]
    pub fn with_run(mut self, record: RunRecord) -> Self {
        let find = |setbacks: &[Setback], package: &PackageId| {
            let setback = setbacks.iter().find(|setback| setback.packages.contains(package))?;
            Some(named(&setback.reason, &self.id))
        };
        let told = |package: &PackageId, known: &Reason| {
            find(&record.failed, package)
                .or_else(|| find(&record.waiting, package).filter(|_| known.cause.lets_plan()))
        };
        let is_blocked = |reason: &Reason| matches!(reason.root(), Cause::Rejected { .. });
        for item in self.judgement.items.iter_mut().filter(|item| item.approved.is_some()) {
            let Some(known) = &item.reason else { continue };
            let has_failed = find(&record.failed, &item.package).is_some() || is_blocked(known);
            if let Some(reason) = told(&item.package, known) {
                item.reason = Some(reason);
            }
            if has_failed && item.state == PatchState::Missing {
                item.state = PatchState::Failed;
            }
        }
        for update in self.judgement.updates.iter_mut().filter(|update| update.approved.is_some()) {
            if let Some(reason) = told(&update.package, &update.reason) {
                update.reason = reason;
            }
        }
        let waits = record.reboot.as_deref().and_then(Reboot::waits);
        self = self.with_waiting_reboot(waits.as_deref());
        let not_applicable = self.judgement.counts.not_applicable;
        self.judgement.counts = compliance::count(&self.judgement.items, not_applicable);
        self.run = Some(record);
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::baseline::ruling::Ruling;
    use crate::baseline::system::OperatingSystem;

    /// A report of this judgement, under the id `run-1`.
    pub(crate) fn report(inventory: Inventory, offers: Offers, judgement: Judgement) -> Report {
        Report {
            id: "run-1".into(),
            operation: Operation::Apply,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: Timestamp::UNIX_EPOCH,
            agent_version: "0".into(),
            host: HostFacts {
                id: "h".into(),
                hostname: "h".into(),
                account: None,
                region: None,
                os: OsRelease::default(),
                architecture: "amd64".into(),
                kernel: None,
                boot_id: None,
                memory_bytes: None,
                needs_reboot: Tristate::No,
                old_code: OldCode::default(),
                other_patchers: vec![],
            },
            baseline_id: "b".into(),
            baseline_name: "b".into(),
            baseline_origin: Ruling::predefined(OperatingSystem::Debian).origin,
            inventory,
            offers,
            judgement,
            problems: vec![],
            run: None,
        }
    }
}
