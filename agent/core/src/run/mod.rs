//! A run: one pass from facts to report. `step` is the only way in which it moves.
//!
//! It performs nothing: it says which effect comes next, and is told what came of it. A crash is an event like any
//! other, `Restarted`, since what the crash cut is unknown: reads are repeated, and a transaction is asked about and
//! never started again.

mod applying;
mod draft;
pub mod event;
mod progress;
mod rebooting;
mod record;
mod step;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

pub use self::draft::{Draft, LeftOut};
use self::event::{Effect, Event, RefreshOutcome, TransactionEnd};
pub use self::progress::{Batch, Hooks, MAX_LOCK_LOOKS, MAX_TRANSACTIONS, Outcome, Progress};
pub use self::rebooting::{Asked, Closing, MAX_REBOOT_LOOKS};
use crate::gate::Shut;
use crate::plan::Plan;
use crate::report::{Assessment, Operation, RunRecord, RunVerdict, Transaction};

/// The longest run id, in bytes. A transaction's id adds a few to it, and the executor takes 64.
pub const MAX_RUN_ID: usize = 48;

/// How often a run may be cut by a crash before it is given up: a run that kills the agent must not do so for ever.
pub const MAX_RESTARTS: u8 = 3;

/// How often the executor is asked about a transaction that goes on. Each question stays with it for minutes.
pub const MAX_RECALLS: u16 = 720;

/// The same when the executor gives no answer at all.
pub const MAX_LOST_RECALLS: u16 = 20;

/// The name of a run, and of the report that it writes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Box<str>);

/// Why a text is no run id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no run id: it has 1 to {MAX_RUN_ID} letters, digits, `.`, `_` and `-`, the first a letter or digit"
)]
pub struct InvalidRunId(pub String);

impl RunId {
    /// Takes what is fit for a file name, a key and a log field.
    pub fn parse(text: &str) -> Result<Self, InvalidRunId> {
        let is_fit = text.len() <= MAX_RUN_ID
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if is_fit {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRunId(text.chars().take(MAX_RUN_ID).collect()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Whether a run fetches the package lists before it looks at them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshPolicy {
    Refresh,
    UseListsAsTheyAre,
}

/// Whose wish a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The scheduler's, or somebody's who wants what is due.
    WhatIsDue,
    /// Somebody's who was shown this plan, and wants it and nothing else.
    ThisPlan(Plan),
    /// To see what would be done, and do nothing.
    DryRun,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: RunId,
    pub operation: Operation,
    pub refresh: RefreshPolicy,
    pub wish: Wish,
}

/// A run and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    pub order: Order,
    /// Who asked the run to stop, if anybody did. It is honoured between two steps, never within one.
    pub stop: Option<String>,
    pub restarts: u8,
    /// The repair that came before everything else, if one was needed.
    pub mended: Option<Transaction>,
    pub phase: Phase,
}

/// How far a run has come, with what it needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    Queued,
    Refreshing {
        transaction: String,
        /// Whether it got no answer the first time. To fetch lists again does no harm.
        is_repeated: bool,
    },
    Assessing {
        refresh: Option<RefreshOutcome>,
        purpose: Purpose,
    },
    /// Somebody's transaction was cut before this run: may it be repaired now?
    MendingGates {
        refresh: Option<RefreshOutcome>,
        assessment: Assessment,
    },
    Mending {
        refresh: Option<RefreshOutcome>,
        transaction: String,
        lost: u16,
    },
    /// The package manager's dry run is asked what it would do.
    Planning(Box<Draft>),
    /// Before every transaction.
    Gating(Box<Progress>),
    /// The operator's hooks are run, before the first transaction.
    Preparing(Box<Progress>),
    Applying(Box<Underway>),
    /// What came of the transaction is unknown, and the executor is asked.
    Recalling {
        underway: Box<Underway>,
        asked: u16,
        lost: u16,
    },
    /// It did not end well, and the package database is made whole before anything else.
    Repairing {
        underway: Box<Underway>,
        ending: Ending,
        lost: u16,
    },
    ReadingBack {
        underway: Box<Underway>,
        ending: Ending,
    },
    /// The operator's hooks are run, after the last transaction.
    Finishing {
        progress: Box<Progress>,
        gates: Vec<Shut>,
    },
    /// What was to be done is done or can't be. Does the host ask for a reboot, and may it have one now?
    Weighing(Box<Closing>),
    /// The operator's hooks are run, before the reboot.
    PreparingReboot(Box<Closing>),
    /// The reboot was asked for, once. From here on only the id of the present boot tells whether it took place.
    Rebooting {
        closing: Box<Closing>,
        asked: Asked,
    },
    Reporting {
        refresh: Option<RefreshOutcome>,
        result: Option<Box<ApplyResult>>,
    },
    Concluded {
        verdict: RunVerdict,
        /// The shut gates, if those were the reason.
        gates: Vec<Shut>,
        is_reported: bool,
    },
}

/// Why the host is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// For the report of a scan.
    Scan,
    /// To see what an apply has to do.
    Before,
    /// For the report of an apply whose end is known.
    Final(Box<ApplyResult>),
}

/// A transaction that was asked for: from here on something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Underway {
    pub progress: Progress,
    pub batch: Batch,
    pub work: event::Work,
    pub started_at: Timestamp,
}

/// How a transaction ended, as far as the executor knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Known(TransactionEnd),
    /// It was cut; the end is what is known of it.
    Cut(TransactionEnd),
    Unknown {
        because: String,
    },
}

/// What an apply came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyResult {
    pub record: RunRecord,
    pub gates: Vec<Shut>,
}

impl Phase {
    /// The stable name that the API and logs use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Refreshing { .. } => "refreshing",
            Self::Assessing { .. } => "assessing",
            Self::Planning(_) => "planning",
            Self::MendingGates { .. } | Self::Gating(_) => "gating",
            Self::Preparing(_) => "preparing",
            Self::Applying(_) => "applying",
            Self::Recalling { .. } => "recalling",
            Self::Mending { .. } | Self::Repairing { .. } => "repairing",
            Self::ReadingBack { .. } => "reading_back",
            Self::Finishing { .. } => "finishing",
            Self::Weighing(_) | Self::PreparingReboot(_) | Self::Rebooting { .. } => "rebooting",
            Self::Reporting { .. } => "reporting",
            Self::Concluded { .. } => "concluded",
        }
    }

    /// Whether the run has not asked for any change yet.
    fn is_before_change(&self) -> bool {
        match self {
            Self::Queued
            | Self::Refreshing { .. }
            | Self::MendingGates { .. }
            | Self::Mending { .. }
            | Self::Planning(_) => true,
            Self::Assessing { purpose, .. } => !matches!(purpose, Purpose::Final(_)),
            Self::Gating(progress) => progress.hooks == Hooks::NotBegun,
            Self::Preparing(_)
            | Self::Applying(_)
            | Self::Recalling { .. }
            | Self::Repairing { .. }
            | Self::ReadingBack { .. }
            | Self::Finishing { .. }
            | Self::Weighing(_)
            | Self::PreparingReboot(_)
            | Self::Rebooting { .. }
            | Self::Reporting { .. }
            | Self::Concluded { .. } => false,
        }
    }

    /// The plan that is settled, while its steps are under way.
    pub fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Gating(progress) | Self::Preparing(progress) | Self::Finishing { progress, .. } => {
                Some(progress)
            }
            Self::Applying(underway)
            | Self::Recalling { underway, .. }
            | Self::Repairing { underway, .. }
            | Self::ReadingBack { underway, .. } => Some(&underway.progress),
            _ => None,
        }
    }
}

/// An event that a run in this phase can't have: a bug of the driver, or a journal that somebody wrote into.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a run that is {phase} can't take the event {event}")]
pub struct IllegalTransition {
    pub phase: &'static str,
    pub event: &'static str,
}

impl RunState {
    pub fn new(order: Order) -> Self {
        Self { order, stop: None, restarts: 0, mended: None, phase: Phase::Queued }
    }

    pub fn is_concluded(&self) -> bool {
        matches!(self.phase, Phase::Concluded { .. })
    }

    /// Whether a stop request would still keep the run from anything: at the end, from a reboot.
    pub fn is_stoppable(&self) -> bool {
        !matches!(
            &self.phase,
            Phase::Assessing { purpose: Purpose::Final(_), .. }
                | Phase::Rebooting { .. }
                | Phase::Reporting { .. }
                | Phase::Concluded { .. }
        )
    }
}

/// Moves a run: its state after `event`, and what is to be done next. At most one effect is ever under way.
pub fn step(run: RunState, event: Event) -> Result<(RunState, Vec<Effect>), IllegalTransition> {
    match event {
        Event::StopRequested { by } => Ok(run.note_stop(by)),
        Event::Restarted => Ok(run.restart()),
        Event::Lost { detail } => run.lose(detail),
        Event::Refused(refusal) => run.take_refusal(refusal),
        answer => run.take_answer(answer),
    }
}
