//! How the events of a run lie in the journal, version 1. The domain's types derive no wire format; these mirror them.

use jiff::{SignedDuration, Timestamp};
use patchd_core::package::{InvalidWord, PackageName, Version};
use patchd_core::plan::{InvalidPlan, Plan, PlannedChange};
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::Assessment;
use patchd_core::run::event::{
    Event, Findings, Installed, Recall, RefreshOutcome, Simulation, TransactionEnd,
};
use patchd_core::window::{Occurrence, Verdict};
use patchd_protocol::executor::{InvalidPlanWire, PlanWire, PlannedChangeWire};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why an entry of the journal makes no event.
#[derive(Debug, Error)]
pub enum InvalidEntry {
    #[error("it is not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Plan(#[from] InvalidPlanWire),
    #[error("{0:?} is no kind of problem")]
    Problem(String),
    #[error("a package's name or version in it is none: {0}")]
    Word(#[from] InvalidWord),
    #[error(transparent)]
    EmptyPlan(#[from] InvalidPlan),
}

/// One event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventWire {
    Started,
    /// Without failures everything was fetched.
    Refreshed {
        failures: Vec<String>,
    },
    Assessed {
        /// Why the assessment is incomplete; it is complete if empty.
        because: Vec<ProblemWire>,
        plan: Option<PlanWire>,
    },
    Simulated {
        changes: Vec<PlannedChangeWire>,
        removals: Vec<String>,
        refusal: Option<String>,
    },
    GatesSeen {
        now: Timestamp,
        window: VerdictWire,
        is_paused: bool,
    },
    Applied(EndWire),
    Recalled(RecallWire),
    ReadBack(Vec<InstalledWire>),
    Reported,
    Refused {
        detail: String,
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
pub(super) struct ProblemWire {
    kind: String,
    place: String,
    line: Option<u64>,
    message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum VerdictWire {
    NoneConfigured,
    Open(OccurrenceWire),
    Shut(Option<OccurrenceWire>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OccurrenceWire {
    name: String,
    start: Timestamp,
    cutoff: Timestamp,
    end: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndWire {
    took_milliseconds: i64,
    exit_code: Option<i32>,
    output_tail: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RecallWire {
    Unknown,
    Running,
    Ended(EndWire),
    Cut { detail: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InstalledWire {
    name: String,
    architecture: String,
    version: Option<String>,
    is_sound: bool,
}

impl From<&Event> for EventWire {
    fn from(event: &Event) -> Self {
        match event {
            Event::Started => Self::Started,
            Event::Refreshed(RefreshOutcome::Fetched) => Self::Refreshed { failures: Vec::new() },
            Event::Refreshed(RefreshOutcome::Failed { failures }) => {
                Self::Refreshed { failures: failures.clone() }
            }
            Event::Assessed(Findings { assessment, plan }) => Self::Assessed {
                because: match assessment {
                    Assessment::Complete => Vec::new(),
                    Assessment::Incomplete { because } => because.iter().map(ProblemWire::from).collect(),
                },
                plan: plan.as_ref().map(PlanWire::from),
            },
            Event::Simulated(Simulation { changes, removals, refusal }) => Self::Simulated {
                changes: changes.iter().map(PlannedChangeWire::from).collect(),
                removals: removals.iter().map(|name| name.as_str().into()).collect(),
                refusal: refusal.clone(),
            },
            Event::GatesSeen { now, window, is_paused } => {
                Self::GatesSeen { now: *now, window: VerdictWire::from(window), is_paused: *is_paused }
            }
            Event::Applied(end) => Self::Applied(EndWire::from(end)),
            Event::Recalled(recall) => Self::Recalled(match recall {
                Recall::Unknown => RecallWire::Unknown,
                Recall::Running => RecallWire::Running,
                Recall::Ended(end) => RecallWire::Ended(EndWire::from(end)),
                Recall::Cut { detail } => RecallWire::Cut { detail: detail.clone() },
            }),
            Event::ReadBack(installed) => Self::ReadBack(installed.iter().map(InstalledWire::from).collect()),
            Event::Reported => Self::Reported,
            Event::Refused { detail } => Self::Refused { detail: detail.clone() },
            Event::Lost { detail } => Self::Lost { detail: detail.clone() },
            Event::StopRequested { by } => Self::StopRequested { by: by.clone() },
            Event::Restarted => Self::Restarted,
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
            EventWire::Assessed { because, plan } => {
                let because = because.into_iter().map(Problem::try_from).collect::<Result<Vec<_>, _>>()?;
                Self::Assessed(Findings {
                    assessment: Assessment::of(&because),
                    plan: plan.as_ref().map(Plan::try_from).transpose()?,
                })
            }
            EventWire::Simulated { changes, removals, refusal } => Self::Simulated(Simulation {
                changes: changes.iter().map(PlannedChange::try_from).collect::<Result<_, _>>()?,
                removals: removals.iter().map(|name| PackageName::parse(name)).collect::<Result<_, _>>()?,
                refusal,
            }),
            EventWire::GatesSeen { now, window, is_paused } => {
                Self::GatesSeen { now, window: Verdict::from(window), is_paused }
            }
            EventWire::Applied(end) => Self::Applied(TransactionEnd::from(end)),
            EventWire::Recalled(recall) => Self::Recalled(match recall {
                RecallWire::Unknown => Recall::Unknown,
                RecallWire::Running => Recall::Running,
                RecallWire::Ended(end) => Recall::Ended(TransactionEnd::from(end)),
                RecallWire::Cut { detail } => Recall::Cut { detail },
            }),
            EventWire::ReadBack(installed) => {
                Self::ReadBack(installed.iter().map(Installed::try_from).collect::<Result<_, _>>()?)
            }
            EventWire::Reported => Self::Reported,
            EventWire::Refused { detail } => Self::Refused { detail },
            EventWire::Lost { detail } => Self::Lost { detail },
            EventWire::StopRequested { by } => Self::StopRequested { by },
            EventWire::Restarted => Self::Restarted,
        })
    }
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

impl From<&Verdict> for VerdictWire {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::NoneConfigured => Self::NoneConfigured,
            Verdict::Open(occurrence) => Self::Open(OccurrenceWire::from(occurrence)),
            Verdict::Shut { next } => Self::Shut(next.as_ref().map(OccurrenceWire::from)),
        }
    }
}

impl From<VerdictWire> for Verdict {
    fn from(wire: VerdictWire) -> Self {
        match wire {
            VerdictWire::NoneConfigured => Self::NoneConfigured,
            VerdictWire::Open(occurrence) => Self::Open(occurrence.into()),
            VerdictWire::Shut(next) => Self::Shut { next: next.map(Occurrence::from) },
        }
    }
}

impl From<&Occurrence> for OccurrenceWire {
    fn from(occurrence: &Occurrence) -> Self {
        let Occurrence { start, cutoff, end, name } = occurrence;
        Self { name: name.clone(), start: *start, cutoff: *cutoff, end: *end }
    }
}

impl From<OccurrenceWire> for Occurrence {
    fn from(OccurrenceWire { name, start, cutoff, end }: OccurrenceWire) -> Self {
        Self { start, cutoff, end, name }
    }
}

impl From<&TransactionEnd> for EndWire {
    fn from(end: &TransactionEnd) -> Self {
        Self {
            took_milliseconds: i64::try_from(end.took.as_millis()).unwrap_or(i64::MAX),
            exit_code: end.exit_code,
            output_tail: end.output_tail.clone(),
        }
    }
}

impl From<EndWire> for TransactionEnd {
    fn from(wire: EndWire) -> Self {
        Self {
            took: SignedDuration::from_millis(wire.took_milliseconds),
            exit_code: wire.exit_code,
            output_tail: wire.output_tail,
        }
    }
}

impl From<&Installed> for InstalledWire {
    fn from(installed: &Installed) -> Self {
        Self {
            name: installed.package.name.as_str().into(),
            architecture: installed.package.architecture.as_str().into(),
            version: installed.version.as_ref().map(|version| version.as_str().into()),
            is_sound: installed.is_sound,
        }
    }
}

impl TryFrom<&InstalledWire> for Installed {
    type Error = InvalidEntry;

    fn try_from(wire: &InstalledWire) -> Result<Self, InvalidEntry> {
        Ok(Self {
            package: patchd_core::package::PackageId {
                name: PackageName::parse(&wire.name)?,
                architecture: patchd_core::package::Architecture::parse(&wire.architecture)?,
            },
            version: wire.version.as_deref().map(Version::parse).transpose()?,
            is_sound: wire.is_sound,
        })
    }
}

/// An event as one line of JSON.
pub(super) fn encode(event: &Event) -> Result<String, serde_json::Error> {
    serde_json::to_string(&EventWire::from(event))
}

/// The event in one line of JSON.
pub(super) fn decode(body: &str) -> Result<Event, InvalidEntry> {
    Event::try_from(serde_json::from_str::<EventWire>(body)?)
}
