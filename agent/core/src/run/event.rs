//! What a run asks the world to do, and what it is told of it. Nothing moves here.

use jiff::{SignedDuration, Timestamp};

use crate::baseline::pattern::Pattern;
use crate::gate::Observed;
use crate::package::{PackageId, Version};
use crate::plan::need::Footprint;
use crate::plan::steps::Tie;
use crate::plan::{Plan, PlannedChange};
use crate::report::{Assessment, RunRecord};

/// What is to be done next. Each can be asked for again after a crash without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Fetch the package lists.
    Refresh { transaction: String },
    /// Look at the host and judge it. A failed refresh makes the assessment incomplete.
    Assess { refresh: Option<RefreshOutcome> },
    /// Ask the package manager what it would do.
    Simulate { plan: Plan },
    /// Say what time it is, what the windows say, and everything else that gates look at. The plan is the whole one.
    LookAtGates { plan: Option<Plan> },
    /// Run the operator's hooks of a stage.
    RunHooks { transaction: String, stage: Stage },
    /// Carry out a part of the plan. Asked for at most once for each transaction's id.
    Apply(Work),
    /// Ask the executor what came of the transaction, and stay with it for a while if it is under way.
    Recall { transaction: String },
    /// The same after a pause: the executor gave no answer.
    RecallLater { transaction: String },
    /// Have the package database made whole.
    Repair { transaction: String },
    /// The same after a pause: the executor gave no answer. It answers a repair that ended from its record.
    RepairLater { transaction: String },
    /// Ask which versions of these packages are installed now.
    ReadBack { packages: Vec<PackageId> },
    /// Look whether the host asks for a reboot, and if it does at everything that stands in its way.
    WeighReboot,
    /// Have the host rebooted. Asked for at most once in a run: a crash is answered by `AwaitReboot`.
    Reboot { transaction: String, boot_id: String },
    /// Say which boot is under way, as soon as it is another one than this or will not become another one any more.
    AwaitReboot { transaction: String, boot_id: String },
    /// Write the report of the last assessment, with what was changed.
    Report { record: Option<RunRecord> },
}

/// One transaction that is to be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    pub transaction: String,
    pub plan: Plan,
    pub estimate: SignedDuration,
    /// The whole plan, where the permission is a grant for that one.
    pub granted: Option<Plan>,
}

/// When hooks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    PrePatch,
    PostPatch,
    PreReboot,
}

impl Effect {
    /// The stable name that the journal and logs use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refresh { .. } => "refresh",
            Self::Assess { .. } => "assess",
            Self::Simulate { .. } => "simulate",
            Self::LookAtGates { .. } => "look_at_gates",
            Self::RunHooks { .. } => "run_hooks",
            Self::Apply(_) => "apply",
            Self::Recall { .. } => "recall",
            Self::RecallLater { .. } => "recall_later",
            Self::Repair { .. } => "repair",
            Self::RepairLater { .. } => "repair_later",
            Self::ReadBack { .. } => "read_back",
            Self::WeighReboot => "weigh_reboot",
            Self::Reboot { .. } => "reboot",
            Self::AwaitReboot { .. } => "await_reboot",
            Self::Report { .. } => "report",
        }
    }
}

/// What a run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Its turn has come.
    Started,
    Refreshed(RefreshOutcome),
    Assessed(Findings),
    Simulated(Simulation),
    GatesSeen(Observed),
    HooksRun(TransactionEnd),
    Applied(TransactionEnd),
    Recalled(Recall),
    Repaired(TransactionEnd),
    ReadBack(Vec<Installed>),
    RebootWeighed(RebootView),
    /// The executor has asked for the reboot: the host is about to go down.
    RebootAsked,
    BootSeen(BootSeen),
    /// The report is on disk.
    Reported,
    /// The executor would or could not, and changed nothing.
    Refused(Refusal),
    /// The effect gave no answer. Whether it was done is unknown.
    Lost {
        detail: String,
    },
    /// Somebody wants the run to stop before it changes anything more.
    StopRequested {
        by: String,
    },
    /// The agent was started, and found this run in its journal.
    Restarted,
}

impl Event {
    /// The stable name that the journal and logs use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Refreshed(_) => "refreshed",
            Self::Assessed(_) => "assessed",
            Self::Simulated(_) => "simulated",
            Self::GatesSeen(_) => "gates_seen",
            Self::HooksRun(_) => "hooks_run",
            Self::Applied(_) => "applied",
            Self::Recalled(_) => "recalled",
            Self::Repaired(_) => "repaired",
            Self::ReadBack(_) => "read_back",
            Self::RebootWeighed(_) => "reboot_weighed",
            Self::RebootAsked => "reboot_asked",
            Self::BootSeen(_) => "boot_seen",
            Self::Reported => "reported",
            Self::Refused(_) => "refused",
            Self::Lost { .. } => "lost",
            Self::StopRequested { .. } => "stop_requested",
            Self::Restarted => "restarted",
        }
    }
}

/// How fetching the lists went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshOutcome {
    Fetched,
    /// These sources could not be fetched, in the package manager's own words. Never empty.
    Failed {
        failures: Vec<String>,
    },
}

/// What an apply needs to know of an assessment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    pub assessment: Assessment,
    /// What the baseline asks for and nothing but a window keeps back; absent if there is nothing.
    pub proposal: Option<Proposal>,
}

/// What is to be changed, with what planning needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub plan: Plan,
    pub ties: Vec<Tie>,
    /// Of its packages and of those that may come with them.
    pub footprints: Vec<Footprint>,
    /// What may not come in any way: the rejected list, where the baseline says BLOCK.
    pub blocked: Vec<Pattern>,
}

/// The answer of the package manager's dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    pub changes: Vec<PlannedChange>,
    pub removals: Vec<PackageId>,
    /// The removals and downgrades in it that policy does not name, each in a sentence.
    pub forbidden: Vec<String>,
    /// Why the package manager would not do it, if it would not.
    pub refusal: Option<String>,
}

/// The executor's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is about these packages; others may still go.
    Packages {
        detail: String,
        /// Empty if it can't be told which.
        blamed: Vec<PackageId>,
        objection: Objection,
    },
    /// It is about the time, the policy or the machine: nothing may be changed now.
    Everything { detail: String },
}

/// What the executor has against packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Objection {
    /// Policy holds them for their edited configuration files.
    Conffiles,
    Other,
}

impl Refusal {
    pub fn detail(&self) -> &str {
        match self {
            Self::Packages { detail, .. } | Self::Everything { detail } => detail,
        }
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransactionEnd {
    pub started_at: Option<Timestamp>,
    pub took: SignedDuration,
    pub exit_code: Option<i32>,
    pub output_tail: Vec<String>,
    pub failures: Vec<PackageFailure>,
    pub notes: Vec<String>,
    pub left_files: Vec<String>,
    /// What is still wrong with the package database.
    pub database: Vec<String>,
}

/// One package that the package manager could not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageFailure {
    /// As the package manager named it.
    pub name: String,
    pub message: String,
    /// Its own last words.
    pub output: Vec<String>,
}

/// What the executor has of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recall {
    /// It never heard of it.
    Unknown,
    /// It goes on.
    Running,
    Ended(TransactionEnd),
    /// It was cut, and nothing works on it any more.
    Cut(TransactionEnd),
}

/// What the package database says of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub package: PackageId,
    pub version: Option<Version>,
    /// Whether it is unpacked and configured, and no part of it waits for repair.
    pub is_sound: bool,
}

/// Whether the host asks for a reboot. "Cannot tell" is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebootView {
    NotAsked,
    Unknown { because: String },
    Asked(Box<RebootAsk>),
}

/// A host's wish for a reboot, and what the gates look at before one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootAsk {
    pub because: String,
    /// The packages that run only after it, with their versions.
    pub packages: Vec<String>,
    /// The boot that is under way; without it nobody could tell whether a reboot took place.
    pub boot_id: Option<String>,
    pub observed: Observed,
    /// What is wrong with the package database.
    pub database: Vec<String>,
    /// Why this host is not rebooted by patchd at all, if policy or the way in which it runs says so.
    pub never: Option<String>,
}

/// Which boot is under way after a reboot was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootSeen {
    pub at: Timestamp,
    pub boot_id: Option<String>,
    /// Why it is the same one still, as far as anybody knows.
    pub detail: String,
}
