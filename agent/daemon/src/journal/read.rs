//! What the journal tells: runs for the control API, and the history that the scheduler decides by.

use jiff::Timestamp;
use patchd_protocol::control::events::RunMoved;
use patchd_protocol::control::{
    GateWire, JournalEntry, ReportSummary, RunDocument, RunOutcome, RunPhase, RunSchema, RunSummary,
    RunTransaction, RunTrigger,
};
use patchd_protocol::report::native::{OperationWire, RunWire};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::DRY_RUN;
use super::{IntentWire, Journal, JournalError};

/// What was tried in one occurrence of a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    pub count: u32,
    /// The last one's end; absent while it is under way.
    pub last: Option<LastAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    pub concluded_at: Timestamp,
    pub verdict: RunOutcome,
    /// Whether somebody asked it to stop.
    pub was_stopped: bool,
}

/// Some of a run's moves, and whether it is over once they have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    pub moves: Vec<RunMoved>,
    /// Absent while more moves may come, or are there already.
    pub concluded: Option<RunSummary>,
}

const SUMMARY: &str = "SELECT runs.id, operation, trigger, phase, requested_at, concluded_at, verdict, detail, \
     reports.summary, wish FROM runs LEFT JOIN reports ON reports.run = runs.id";

impl Journal {
    /// The newest runs first.
    pub fn runs(&self, limit: u32) -> Result<Vec<RunSummary>, JournalError> {
        let mut statement =
            self.connection.prepare_cached(&format!("{SUMMARY} ORDER BY sequence DESC LIMIT ?1"))?;
        let rows = statement.query_map(params![limit], summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub fn run_summary(&self, id: &str) -> Result<Option<RunSummary>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!("{SUMMARY} WHERE runs.id = ?1"))?;
        Ok(statement.query_row(params![id], summary).optional()?)
    }

    /// The last run that concluded.
    pub fn last_concluded(&self) -> Result<Option<RunSummary>, JournalError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "{SUMMARY} WHERE concluded_at IS NOT NULL ORDER BY sequence DESC LIMIT 1"
        ))?;
        Ok(statement.query_row([], summary).optional()?)
    }

    pub fn run(&self, id: &str) -> Result<Option<RunDocument>, JournalError> {
        let Some(run) = self.run_summary(id)? else { return Ok(None) };
        let (gates, record) = self.connection.query_row(
            "SELECT gates, record FROM runs WHERE id = ?1",
            params![id],
            |row| Ok((json::<Vec<GateWire>>(row, 0)?, optional_json::<RunWire>(row, 1)?)),
        )?;
        let (journal, transactions) = self.entries(id, record)?;
        Ok(Some(RunDocument { schema: RunSchema::V1, run, gates, transactions, journal }))
    }

    /// Pairs each intent with the event that came after it.
    fn entries(
        &self,
        id: &str,
        record: Option<RunWire>,
    ) -> Result<(Vec<JournalEntry>, Vec<RunTransaction>), JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT at, kind, code, body, text FROM entries WHERE run = ?1 ORDER BY sequence",
        )?;
        let mut rows = statement.query(params![id])?;
        let mut entries: Vec<JournalEntry> = Vec::new();
        let mut transactions = Vec::new();
        while let Some(row) = rows.next()? {
            let (at, code) = (timestamp(row, 0)?, row.get::<_, String>(2)?);
            if row.get_ref(1)?.as_str().map_err(|error| conversion(1, error))? == "intent" {
                let intent: IntentWire = json(row, 3)?;
                if code == "apply"
                    && let (Some(id), Some(digest)) = (intent.transaction, intent.digest)
                {
                    let changes = record
                        .iter()
                        .flat_map(|record| &record.transactions)
                        .find(|transaction| transaction.id == id)
                        .map(|transaction| transaction.changes.clone())
                        .unwrap_or_default();
                    transactions.push(RunTransaction { id, digest, changes });
                }
                entries.push(JournalEntry {
                    sequence: u64::try_from(entries.len()).unwrap_or(u64::MAX).saturating_add(1),
                    effect: code,
                    intended_at: at,
                    done_at: None,
                    outcome: None,
                });
            } else if code != "stop_requested"
                && let Some(entry) = entries.last_mut().filter(|entry| entry.outcome.is_none())
            {
                entry.done_at = Some(at);
                // Version 1 took down no sentences.
                entry.outcome = Some(row.get::<_, Option<String>>(4)?.unwrap_or(code));
            }
        }
        Ok((entries, transactions))
    }

    /// What happened to a run after an entry of that number, oldest first and at most so many; `None` if there is no
    /// such run.
    pub fn moves(&self, run: &str, after: u64, limit: u32) -> Result<Option<Moves>, JournalError> {
        let Some(summary) = self.run_summary(run)? else { return Ok(None) };
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, at, coalesce(phase, 'queued'), coalesce(text, code), packages FROM entries \
             WHERE run = ?1 AND kind = 'event' AND ?2 < sequence ORDER BY sequence LIMIT ?3",
        )?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![run, after, limit], |row| {
            Ok(RunMoved {
                sequence: u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default(),
                at: timestamp(row, 1)?,
                phase: word(row, 2)?,
                text: row.get(3)?,
                packages: optional_json(row, 4)?,
            })
        })?;
        let moves: Vec<RunMoved> = rows.collect::<Result<_, _>>()?;
        let is_all = moves.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        let concluded = (is_all && summary.concluded_at.is_some()).then_some(summary);
        Ok(Some(Moves { moves, concluded }))
    }

    /// The newest instant that the journal knows of: a clock that shows less is wrong, or was before.
    pub fn newest_instant(&self) -> Result<Option<Timestamp>, JournalError> {
        let newest: Option<String> = self.connection.query_row(
            "SELECT max(at) FROM entries WHERE sequence > coalesce( \
             (SELECT CAST(value AS INTEGER) FROM marks WHERE name = 'clock_accepted_after'), 0)",
            [],
            |row| row.get(0),
        )?;
        Ok(newest.and_then(|text| text.parse().ok()))
    }

    /// The last report that was written.
    pub fn last_report(&self) -> Result<Option<ReportSummary>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT summary FROM reports JOIN runs ON runs.id = run ORDER BY sequence DESC LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| json(row, 0)).optional()?)
    }

    /// When the last run concluded, well or not. A dry run leaves no report, so it is none.
    pub fn last_end(&self) -> Result<Option<Timestamp>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT concluded_at FROM runs WHERE concluded_at IS NOT NULL AND wish <> ?1 \
             ORDER BY sequence DESC LIMIT 1",
        )?;
        Ok(statement.query_row(params![DRY_RUN], |row| timestamp(row, 0)).optional()?)
    }

    /// What was tried in an occurrence of a window.
    pub fn attempts(&self, occurrence: &str) -> Result<Attempts, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT concluded_at, verdict, EXISTS (SELECT 1 FROM entries WHERE run = runs.id \
             AND code = 'stop_requested') FROM runs WHERE occurrence = ?1 ORDER BY sequence",
        )?;
        let mut rows = statement.query(params![occurrence])?;
        let mut attempts = Attempts::default();
        while let Some(row) = rows.next()? {
            attempts.count += 1;
            attempts.last = match (optional_timestamp(row, 0)?, optional_word(row, 1)?) {
                (Some(concluded_at), Some(verdict)) => {
                    Some(LastAttempt { concluded_at, verdict, was_stopped: row.get(2)? })
                }
                _ => None,
            };
        }
        Ok(attempts)
    }
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let report: Option<ReportSummary> = optional_json(row, 8)?;
    Ok(RunSummary {
        id: row.get(0)?,
        operation: word::<OperationWire>(row, 1)?,
        dry_run: row.get_ref(9)?.as_str().map_err(|error| conversion(9, error))? == DRY_RUN,
        trigger: json::<RunTrigger>(row, 2)?,
        phase: word::<RunPhase>(row, 3)?,
        requested_at: timestamp(row, 4)?,
        concluded_at: optional_timestamp(row, 5)?,
        verdict: optional_word(row, 6)?,
        detail: row.get(7)?,
        compliance: report.as_ref().map(|report| report.summary.compliance),
        report: report.map(|report| report.id),
    })
}

fn conversion(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| conversion(column, error))
}

fn optional_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| conversion(column, error))).transpose()
}

/// The word that a value of a closed set is stored by.
pub(super) fn text_of<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(value)?)
}

/// One word of a closed set.
fn word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    serde_json::from_value(serde_json::Value::String(text)).map_err(|error| conversion(column, error))
}

fn optional_word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| {
        serde_json::from_value(serde_json::Value::String(text)).map_err(|error| conversion(column, error))
    })
    .transpose()
}

fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error: jiff::Error| conversion(column, error))
}

fn optional_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let text: Option<String> = row.get(column)?;
    text.map(|text| text.parse().map_err(|error: jiff::Error| conversion(column, error))).transpose()
}
