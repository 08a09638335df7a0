//! What a run asks the world to do, and what it is told of it. Nothing moves here.

use jiff::{SignedDuration, Timestamp};

use crate::package::{PackageId, Version};
use crate::plan::{Plan, PlannedChange};
use crate::report::{Assessment, RunRecord};
use crate::window::Verdict;

/// What is to be done next. Each can be asked for again after a crash without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Fetch the package lists.
    Refresh { transaction: String },
    /// Look at the host and judge it. A failed refresh makes the assessment incomplete.
    Assess { refresh: Option<RefreshOutcome> },
    /// Ask the package manager what it would do.
    Simulate { plan: Plan },
    /// Say what time it is, what the windows say and whether the agent is paused.
    LookAtGates,
    /// Carry out the plan. Asked for at most once in the life of a run.
    Apply { transaction: String, plan: Plan },
    /// Ask the executor what came of the transaction.
    Recall { transaction: String },
    /// The same after a pause: it was going on.
    RecallLater { transaction: String },
    /// Ask which versions of the planned packages are installed now.
    ReadBack { plan: Plan },
    /// Write the report of the last assessment, with what was changed.
    Report { record: Option<RunRecord> },
}

impl Effect {
    /// The stable name that the journal and logs use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refresh { .. } => "refresh",
            Self::Assess { .. } => "assess",
            Self::Simulate { .. } => "simulate",
            Self::LookAtGates => "look_at_gates",
            Self::Apply { .. } => "apply",
            Self::Recall { .. } => "recall",
            Self::RecallLater { .. } => "recall_later",
            Self::ReadBack { .. } => "read_back",
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
    GatesSeen {
        now: Timestamp,
        window: Verdict,
        is_paused: bool,
    },
    Applied(TransactionEnd),
    Recalled(Recall),
    ReadBack(Vec<Installed>),
    /// The report is on disk.
    Reported,
    /// The executor would or could not, and changed nothing.
    Refused {
        detail: String,
    },
    /// The effect gave no answer. Whether it was done is unknown.
    Lost {
        detail: String,
    },
    /// Somebody wants the run to stop before it changes anything.
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
            Self::GatesSeen { .. } => "gates_seen",
            Self::Applied(_) => "applied",
            Self::Recalled(_) => "recalled",
            Self::ReadBack(_) => "read_back",
            Self::Reported => "reported",
            Self::Refused { .. } => "refused",
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
    pub plan: Option<Plan>,
}

/// The answer of the package manager's dry run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulation {
    pub changes: Vec<PlannedChange>,
    pub removals: Vec<PackageId>,
    /// Why the package manager would not do it, if it would not.
    pub refusal: Option<String>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionEnd {
    pub took: SignedDuration,
    pub exit_code: Option<i32>,
    pub output_tail: Vec<String>,
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
    Cut {
        detail: String,
    },
}

/// What the package database says of one planned package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    pub package: PackageId,
    pub version: Option<Version>,
    /// Whether it is unpacked and configured, and no part of it waits for repair.
    pub is_sound: bool,
}
