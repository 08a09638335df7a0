//! How the events of a run lie in the journal. The domain's types derive no wire format; these mirror them.
//!
//! Version 2. What version 1 wrote is read where it says all that is needed now; where it does not, the run is told as
//! one that can't be carried on.

mod end;
mod observed;
mod proposal;
mod reboot;
mod wish;

use patchd_core::baseline::pattern::InvalidPattern;
use patchd_core::package::{InvalidWord, PackageId};
use patchd_core::plan::{InvalidPlan, Plan, PlannedChange};
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::Assessment;
use patchd_core::run::event::{
    Event, Findings, Installed, Objection, Recall, RefreshOutcome, Refusal, Simulation, TransactionEnd,
};
use patchd_protocol::executor::{InvalidPlanWire, PackageWire, PlanWire, PlannedChangeWire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use self::end::{EndWire, InstalledWire};
use self::observed::ObservedWire;
use self::proposal::{FootprintWire, TieWire};
use self::reboot::{BootWire, RebootViewWire};
pub(super) use self::wish::{DRY_RUN, decode_wish, encode_wish};

/// The version that is written.
pub(super) const VERSION: i64 = 2;

/// Why an entry of the journal makes no event.
#[derive(Debug, Error)]
pub enum InvalidEntry {
    #[error("an older patchd wrote it and did not say what is needed now")]
    Old(#[source] serde_json::Error),
    #[error("it is not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    #[error("version {0} of the journal's entries is not known")]
    Version(i64),
    #[error(transparent)]
    Plan(#[from] InvalidPlanWire),
    #[error("{0:?} is no kind of problem")]
    Problem(String),
    #[error("{0:?} is no package")]
    Package(String),
    #[error("a package's name or version in it is none: {0}")]
    Word(#[from] InvalidWord),
    #[error(transparent)]
    EmptyPlan(#[from] InvalidPlan),
    #[error("an entry of a rejected list in it is none: {0}")]
    Pattern(#[from] InvalidPattern),
}

/// One event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventWire {
    Started,
    /// Without failures everything was fetched.
    Refreshed {
        failures: Vec<String>,
    },
    Assessed {
        /// Why the assessment is incomplete; it is complete if empty.
        because: Vec<ProblemWire>,
        plan: Option<PlanWire>,
        #[serde(default)]
        ties: Vec<TieWire>,
        #[serde(default)]
        footprints: Vec<FootprintWire>,
        /// Entries of a rejected list, as they were written.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        blocked: Vec<String>,
    },
    Simulated {
        changes: Vec<PlannedChangeWire>,
        removals: Vec<PackageWire>,
        #[serde(default)]
        forbidden: Vec<String>,
        refusal: Option<String>,
    },
    GatesSeen(Box<ObservedWire>),
    HooksRun(EndWire),
    Applied(EndWire),
    Recalled(RecallWire),
    Repaired(EndWire),
    ReadBack(Vec<InstalledWire>),
    RebootWeighed(RebootViewWire),
    RebootAsked,
    BootSeen(BootWire),
    Reported,
    Refused {
        detail: String,
        /// Absent where it was about more than packages.
        #[serde(default)]
        packages: Option<Vec<PackageWire>>,
        /// Whether policy holds them for their configuration files.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        conffiles: bool,
    },
    Lost {
        detail: String,
    },
    StopRequested {
        by: String,
    },
    Restarted,
}

#[derive(Debug, Serialize, Deserialize)]
struct ProblemWire {
    kind: String,
    place: String,
    line: Option<u64>,
    message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RecallWire {
    Unknown,
    Running,
    Ended(EndWire),
    Cut(EndWire),
}

impl From<&Event> for EventWire {
    fn from(event: &Event) -> Self {
        match event {
            Event::Started => Self::Started,
            Event::Refreshed(RefreshOutcome::Fetched) => Self::Refreshed { failures: Vec::new() },
            Event::Refreshed(RefreshOutcome::Failed { failures }) => {
                Self::Refreshed { failures: failures.clone() }
            }
            Event::Assessed(findings) => Self::from(findings),
            Event::Simulated(simulation) => Self::Simulated {
                changes: simulation.changes.iter().map(PlannedChangeWire::from).collect(),
                removals: simulation.removals.iter().map(PackageWire::from).collect(),
                forbidden: simulation.forbidden.clone(),
                refusal: simulation.refusal.clone(),
            },
            Event::GatesSeen(observed) => Self::GatesSeen(Box::new(ObservedWire::from(observed))),
            Event::HooksRun(end) => Self::HooksRun(EndWire::from(end)),
            Event::Applied(end) => Self::Applied(EndWire::from(end)),
            Event::Recalled(recall) => Self::Recalled(match recall {
                Recall::Unknown => RecallWire::Unknown,
                Recall::Running => RecallWire::Running,
                Recall::Ended(end) => RecallWire::Ended(EndWire::from(end)),
                Recall::Cut(end) => RecallWire::Cut(EndWire::from(end)),
            }),
            Event::Repaired(end) => Self::Repaired(EndWire::from(end)),
            Event::ReadBack(installed) => Self::ReadBack(installed.iter().map(InstalledWire::from).collect()),
            Event::RebootWeighed(view) => Self::RebootWeighed(RebootViewWire::from(view)),
            Event::RebootAsked => Self::RebootAsked,
            Event::BootSeen(seen) => Self::BootSeen(BootWire::from(seen)),
            Event::Reported => Self::Reported,
            Event::Refused(Refusal::Packages { detail, blamed, objection }) => Self::Refused {
                detail: detail.clone(),
                packages: Some(blamed.iter().map(PackageWire::from).collect()),
                conffiles: *objection == Objection::Conffiles,
            },
            Event::Refused(Refusal::Everything { detail }) => {
                Self::Refused { detail: detail.clone(), packages: None, conffiles: false }
            }
            Event::Lost { detail } => Self::Lost { detail: detail.clone() },
            Event::StopRequested { by } => Self::StopRequested { by: by.clone() },
            Event::Restarted => Self::Restarted,
        }
    }
}

impl From<&Findings> for EventWire {
    fn from(Findings { assessment, proposal }: &Findings) -> Self {
        let proposal = proposal.as_ref();
        Self::Assessed {
            because: match assessment {
                Assessment::Complete => Vec::new(),
                Assessment::Incomplete { because } => because.iter().map(ProblemWire::from).collect(),
            },
            plan: proposal.map(|proposal| PlanWire::from(&proposal.plan)),
            ties: proposal.iter().flat_map(|proposal| &proposal.ties).map(TieWire::from).collect(),
            footprints: proposal
                .iter()
                .flat_map(|proposal| &proposal.footprints)
                .map(FootprintWire::from)
                .collect(),
            blocked: proposal
                .iter()
                .flat_map(|proposal| &proposal.blocked)
                .map(ToString::to_string)
                .collect(),
        }
    }
}

impl TryFrom<EventWire> for Event {
    type Error = InvalidEntry;

    fn try_from(wire: EventWire) -> Result<Self, InvalidEntry> {
        Ok(match wire {
            EventWire::Started => Self::Started,
            EventWire::Refreshed { failures } if failures.is_empty() => {
                Self::Refreshed(RefreshOutcome::Fetched)
            }
            EventWire::Refreshed { failures } => Self::Refreshed(RefreshOutcome::Failed { failures }),
            EventWire::Assessed { because, plan, ties, footprints, blocked } => {
                let because = because.into_iter().map(Problem::try_from).collect::<Result<Vec<_>, _>>()?;
                let plan = plan.as_ref().map(Plan::try_from).transpose()?;
                let proposal =
                    plan.map(|plan| proposal::decode(plan, &ties, &footprints, &blocked)).transpose()?;
                Self::Assessed(Findings { assessment: Assessment::of(&because), proposal })
            }
            EventWire::Simulated { changes, removals, forbidden, refusal } => Self::Simulated(Simulation {
                changes: changes.iter().map(PlannedChange::try_from).collect::<Result<_, _>>()?,
                removals: packages(&removals)?,
                forbidden,
                refusal,
            }),
            EventWire::GatesSeen(observed) => Self::GatesSeen((*observed).into()),
            EventWire::HooksRun(end) => Self::HooksRun(TransactionEnd::from(end)),
            EventWire::Applied(end) => Self::Applied(TransactionEnd::from(end)),
            EventWire::Recalled(recall) => Self::Recalled(match recall {
                RecallWire::Unknown => Recall::Unknown,
                RecallWire::Running => Recall::Running,
                RecallWire::Ended(end) => Recall::Ended(TransactionEnd::from(end)),
                RecallWire::Cut(end) => Recall::Cut(TransactionEnd::from(end)),
            }),
            EventWire::Repaired(end) => Self::Repaired(TransactionEnd::from(end)),
            EventWire::ReadBack(installed) => {
                Self::ReadBack(installed.iter().map(Installed::try_from).collect::<Result<_, _>>()?)
            }
            EventWire::RebootWeighed(view) => Self::RebootWeighed(view.into()),
            EventWire::RebootAsked => Self::RebootAsked,
            EventWire::BootSeen(seen) => Self::BootSeen(seen.into()),
            EventWire::Reported => Self::Reported,
            EventWire::Refused { detail, packages: Some(blamed), conffiles } => {
                let objection = if conffiles { Objection::Conffiles } else { Objection::Other };
                Self::Refused(Refusal::Packages { detail, blamed: packages(&blamed)?, objection })
            }
            EventWire::Refused { detail, packages: None, .. } => {
                Self::Refused(Refusal::Everything { detail })
            }
            EventWire::Lost { detail } => Self::Lost { detail },
            EventWire::StopRequested { by } => Self::StopRequested { by },
            EventWire::Restarted => Self::Restarted,
        })
    }
}

fn packages(wire: &[PackageWire]) -> Result<Vec<PackageId>, InvalidEntry> {
    Ok(wire.iter().map(PackageId::try_from).collect::<Result<_, _>>()?)
}

impl From<&Problem> for ProblemWire {
    fn from(problem: &Problem) -> Self {
        Self {
            kind: problem.kind.code().into(),
            place: problem.place.clone(),
            line: problem.line,
            message: problem.message.clone(),
        }
    }
}

impl TryFrom<ProblemWire> for Problem {
    type Error = InvalidEntry;

    fn try_from(wire: ProblemWire) -> Result<Self, InvalidEntry> {
        let kind = ProblemKind::parse(&wire.kind).ok_or(InvalidEntry::Problem(wire.kind))?;
        let problem = Self::new(kind, Weight::Incomplete, wire.place, wire.message);
        Ok(Self { line: wire.line, ..problem })
    }
}

/// An event as one line of JSON, in version `VERSION`.
pub(super) fn encode(event: &Event) -> Result<String, serde_json::Error> {
    serde_json::to_string(&EventWire::from(event))
}

/// The event in one line of JSON of this version.
pub(super) fn decode(version: i64, body: &str) -> Result<Event, InvalidEntry> {
    if !(1..=VERSION).contains(&version) {
        return Err(InvalidEntry::Version(version));
    }
    let wire = serde_json::from_str::<EventWire>(body).map_err(|error| match version {
        VERSION => InvalidEntry::Json(error),
        _ => InvalidEntry::Old(error),
    });
    Event::try_from(wire?)
}
