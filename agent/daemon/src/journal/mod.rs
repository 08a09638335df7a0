//! The journal: what every run intended and what came of it, in SQLite, on the disk before anything is done.
//!
//! A run's state is not stored: it is the fold of its events through `run::step`, the same after a crash as before.
//! It performs no effect and moves no run. What it gives to readers is in `read`.

mod first_seen;
mod pace;
mod plans;
mod read;
mod schema;
mod shared;
#[cfg(test)]
mod tests;
mod wire;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use patchd_core::report::{Operation, RunVerdict};
use patchd_core::run::event::{Effect, Event};
use patchd_core::run::{Order, Phase, RefreshPolicy, RunId, RunState, step};
use patchd_protocol::control::plan::PlanDocument;
use patchd_protocol::control::{GateWire, ReportSummary, RunTrigger};
use patchd_protocol::executor::digest;
use patchd_protocol::report::native::RunWire;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::read::{Attempts, LastAttempt, Moves};
pub use self::schema::MovedAside;
pub use self::shared::SharedJournal;
use crate::chain::chain;
use crate::narrative;

/// How many runs are kept, and so how large the journal can grow: the oldest are forgotten first.
const KEPT_RUNS: u32 = 1_000;

/// Of how many runs everything is kept that their events said; of older ones only the sentences.
const KEPT_BODIES: u32 = 50;

/// Why the journal did not take or give something. Nothing may be done that it did not take.
#[derive(Debug, Error)]
pub enum JournalError {
    #[error("can't open the journal {}: {reason}", path.display())]
    Open { path: PathBuf, reason: String },
    #[error("the journal can't grow: the file system is full")]
    Full,
    #[error("the journal is on a file system that is mounted read-only, or this user may not write it")]
    ReadOnly,
    #[error("the journal is in use by another patchd")]
    Busy,
    #[error("the journal failed")]
    Sqlite(#[source] rusqlite::Error),
    #[error("patchd stopped while the journal was at work")]
    Interrupted,
    #[error("the journal can't say this as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl JournalError {
    /// The same while opening, where the path is what a person needs.
    fn of(path: &Path, error: rusqlite::Error) -> Self {
        match Self::from(error) {
            Self::Sqlite(error) => Self::Open { path: path.into(), reason: error.to_string() },
            other => other,
        }
    }
}

/// A run that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    pub order: Order,
    pub trigger: RunTrigger,
    /// The window occurrence that the scheduler started it for.
    pub occurrence: Option<String>,
}

/// A run that did not conclude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub id: String,
    /// As its events left it, or why they can't be followed any more.
    pub state: Result<RunState, String>,
}

/// The journal. It is the only one who has the database open.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
}

/// What is kept of an intent.
#[derive(Debug, Serialize, Deserialize)]
struct IntentWire {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    transaction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    boot_id: Option<String>,
}

impl From<&Effect> for IntentWire {
    fn from(effect: &Effect) -> Self {
        let boot_id = match effect {
            Effect::Reboot { boot_id, .. } | Effect::AwaitReboot { boot_id, .. } => Some(boot_id.clone()),
            _ => None,
        };
        let (transaction, digest) = match effect {
            Effect::Apply(work) => (Some(work.transaction.clone()), Some(digest(&work.plan))),
            Effect::Refresh { transaction }
            | Effect::RunHooks { transaction, .. }
            | Effect::Recall { transaction }
            | Effect::RecallLater { transaction }
            | Effect::Repair { transaction }
            | Effect::RepairLater { transaction }
            | Effect::Reboot { transaction, .. }
            | Effect::AwaitReboot { transaction, .. } => (Some(transaction.clone()), None),
            Effect::LookAtGates { plan: Some(plan) } => (None, Some(digest(plan))),
            Effect::Assess { .. }
            | Effect::Simulate { .. }
            | Effect::LookAtGates { plan: None }
            | Effect::ReadBack { .. }
            | Effect::WeighReboot
            | Effect::Report { .. } => (None, None),
        };
        Self { transaction, digest, boot_id }
    }
}

/// A move of a run: what happened, what that made of it, what it intends next, and the plan if it made one.
#[derive(Debug, Clone)]
pub struct Move {
    pub event: Event,
    pub after: RunState,
    pub effects: Vec<Effect>,
    pub plan: Option<Box<PlanDocument>>,
}

fn operation_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Scan => "scan",
        Operation::Apply => "apply",
    }
}

impl Journal {
    /// Opens the journal, and says if it had to begin a new one.
    pub fn open(path: &Path, now: Timestamp) -> Result<(Self, Option<MovedAside>), JournalError> {
        let (connection, moved) = schema::open(path, now)?;
        Ok((Self { connection }, moved))
    }

    /// A journal that is gone with the process: for a run that nobody resumes.
    pub fn in_memory() -> Result<Self, JournalError> {
        let (connection, _) = schema::open(Path::new(":memory:"), Timestamp::UNIX_EPOCH)?;
        Ok(Self { connection })
    }

    /// Lets the database grow to so many pages and no further, as a full disk would.
    #[cfg(test)]
    pub(crate) fn limit_pages(&self, pages: u32) {
        self.connection.execute_batch(&format!("PRAGMA max_page_count = {pages}")).expect("a pragma");
    }

    /// Takes down that a run was asked for, and forgets the oldest.
    pub fn begin(&mut self, run: &NewRun, now: Timestamp) -> Result<(), JournalError> {
        let trigger = serde_json::to_string(&run.trigger)?;
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO runs (id, operation, refresh, wish, trigger, occurrence, requested_at, phase) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'queued')",
            params![
                run.order.id.as_str(),
                operation_word(run.order.operation),
                run.order.refresh == RefreshPolicy::Refresh,
                wire::encode_wish(&run.order.wish)?,
                trigger,
                run.occurrence,
                now.to_string(),
            ],
        )?;
        transaction.execute(
            "DELETE FROM runs WHERE concluded_at IS NOT NULL \
             AND sequence <= (SELECT max(sequence) FROM runs) - ?1",
            params![KEPT_RUNS],
        )?;
        // Each run that begins moves the limit by one.
        transaction.execute(
            "UPDATE entries SET body = '' WHERE kind = 'event' AND run = (SELECT id FROM runs \
             WHERE concluded_at IS NOT NULL AND sequence = (SELECT max(sequence) FROM runs) - ?1)",
            params![KEPT_BODIES],
        )?;
        Ok(transaction.commit()?)
    }

    /// Takes down a move of a run, in one commit.
    pub fn append(&mut self, moved: &Move, now: Timestamp) -> Result<(), JournalError> {
        let Move { event, after, effects, plan } = moved;
        let run = after.order.id.as_str();
        let now = now.to_string();
        let phase = narrative::phase(&after.phase);
        let counts = narrative::counts(&after.phase);
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO entries (run, at, kind, code, body, version, phase, text, packages) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?;
            insert.execute(params![
                run,
                now,
                "event",
                event.code(),
                wire::encode(event)?,
                wire::VERSION,
                read::text_of(&phase)?,
                narrative::sentence(event, after),
                counts.map(|counts| serde_json::to_string(&counts)).transpose()?,
            ])?;
            for effect in effects {
                let body = serde_json::to_string(&IntentWire::from(effect))?;
                let none: Option<String> = None;
                insert.execute(params![
                    run,
                    now,
                    "intent",
                    effect.code(),
                    body,
                    wire::VERSION,
                    none,
                    none,
                    none
                ])?;
            }
        }
        transaction
            .execute("UPDATE runs SET phase = ?2 WHERE id = ?1", params![run, read::text_of(&phase)?])?;
        let gates = narrative::gates(&after.phase);
        if !gates.is_empty() {
            let gates: Vec<GateWire> = gates.iter().map(narrative::gate).collect();
            transaction.execute(
                "UPDATE runs SET gates = ?2 WHERE id = ?1",
                params![run, serde_json::to_string(&gates)?],
            )?;
        }
        match &after.phase {
            Phase::Reporting { result: Some(result), .. } => {
                let record = serde_json::to_string(&RunWire::from(&result.record))?;
                transaction.execute("UPDATE runs SET record = ?2 WHERE id = ?1", params![run, record])?;
            }
            Phase::Concluded { verdict, .. } => conclude(&transaction, run, verdict, &now)?,
            _ => {}
        }
        if let Some(plan) = plan {
            plans::keep(&transaction, run, plan)?;
        }
        Ok(transaction.commit()?)
    }

    /// Ends a run that can't be carried on.
    pub fn abandon(&mut self, run: &str, why: &str, now: Timestamp) -> Result<(), JournalError> {
        let verdict = RunVerdict::Failed { detail: why.into() };
        self.connection.execute("UPDATE runs SET phase = 'concluded' WHERE id = ?1", params![run])?;
        Ok(conclude(&self.connection, run, &verdict, &now.to_string())?)
    }

    /// Takes down what a report says and the key that its store will have it under.
    pub fn record_report(
        &mut self,
        run: &RunId,
        key: &str,
        summary: &ReportSummary,
    ) -> Result<(), JournalError> {
        self.connection.execute(
            "INSERT INTO reports (run, key, finished_at, summary) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (run) DO UPDATE SET key = ?2, finished_at = ?3, summary = ?4",
            params![run.as_str(), key, summary.finished_at.to_string(), serde_json::to_string(summary)?],
        )?;
        Ok(())
    }

    /// Takes down that a store has confirmed the report of this key.
    pub fn record_delivery(&mut self, key: &str) -> Result<(), JournalError> {
        self.connection.execute(
            "UPDATE reports SET summary = json_set(summary, '$.key', key) WHERE key = ?1",
            params![key],
        )?;
        Ok(())
    }

    /// Every run that did not conclude, oldest first.
    pub fn unfinished(&self) -> Result<Vec<Unfinished>, JournalError> {
        let mut statement = self.connection.prepare(
            "SELECT id, operation, refresh, wish FROM runs WHERE concluded_at IS NULL ORDER BY sequence",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, bool>(2)?,
                row.get::<_, String>(3)?,
            ))
        })?;
        let mut runs = Vec::new();
        for row in rows {
            let (id, operation, refresh, wish) = row?;
            let order = RunId::parse(&id).map_err(|error| error.to_string()).and_then(|id| {
                Ok(Order {
                    id,
                    operation: if operation == "apply" { Operation::Apply } else { Operation::Scan },
                    refresh: if refresh { RefreshPolicy::Refresh } else { RefreshPolicy::UseListsAsTheyAre },
                    wish: wire::decode_wish(&wish).map_err(|error| chain(&error))?,
                })
            });
            let state = match order {
                Ok(order) => self.replay(&id, order)?,
                Err(why) => Err(why),
            };
            runs.push(Unfinished { id, state });
        }
        Ok(runs)
    }

    fn replay(&self, id: &str, order: Order) -> Result<Result<RunState, String>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT version, body FROM entries WHERE run = ?1 AND kind = 'event' ORDER BY sequence",
        )?;
        let entries =
            statement.query_map(params![id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let mut run = RunState::new(order);
        for entry in entries {
            let (version, body) = entry?;
            let event = match wire::decode(version, &body) {
                Ok(event) => event,
                Err(error) => return Ok(Err(chain(&error))),
            };
            run = match step(run, event) {
                Ok((next, _)) => next,
                Err(error) => return Ok(Err(error.to_string())),
            };
        }
        Ok(Ok(run))
    }

    /// Whether an operator told the agent to change nothing until further notice.
    pub fn is_paused(&self) -> Result<bool, JournalError> {
        let mark = self
            .connection
            .query_row("SELECT value FROM marks WHERE name = 'paused'", [], |row| row.get::<_, String>(0))
            .optional()?;
        Ok(mark.is_some())
    }

    /// Takes down that the clock is right now, whatever instants stand in the journal.
    pub fn accept_clock(&mut self) -> Result<(), JournalError> {
        self.connection.execute(
            "INSERT OR REPLACE INTO marks (name, value) \
             SELECT 'clock_accepted_after', coalesce(max(sequence), 0) FROM entries",
            [],
        )?;
        Ok(())
    }

    /// Pauses the agent: `by` is who said so.
    pub fn pause(&mut self, by: &str) -> Result<(), JournalError> {
        self.connection
            .execute("INSERT OR IGNORE INTO marks (name, value) VALUES ('paused', ?1)", params![by])?;
        Ok(())
    }

    pub fn resume(&mut self) -> Result<(), JournalError> {
        self.connection.execute("DELETE FROM marks WHERE name = 'paused'", [])?;
        Ok(())
    }
}

fn conclude(connection: &Connection, run: &str, verdict: &RunVerdict, now: &str) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE runs SET concluded_at = ?2, verdict = ?3, detail = ?4 WHERE id = ?1 AND concluded_at IS NULL",
        params![run, now, verdict.code(), verdict.detail()],
    )?;
    Ok(())
}
