//! What the journal tells: runs for the control API, and the history that the scheduler decides by.

use jiff::Timestamp;
use patchd_protocol::control::{
    GateWire, JournalEntry, ReportSummary, RunDocument, RunOutcome, RunPhase, RunSchema, RunSummary,
    RunTransaction, RunTrigger,
};
use patchd_protocol::report::native::{OperationWire, RunWire};
use rusqlite::types::Type;
use rusqlite::{OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

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
}

const SUMMARY: &str = "SELECT runs.id, operation, trigger, phase, requested_at, concluded_at, verdict, detail, \
     reports.summary FROM runs LEFT JOIN reports ON reports.run = runs.id";

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
        let mut statement = self
            .connection
            .prepare_cached("SELECT at, kind, code, body FROM entries WHERE run = ?1 ORDER BY sequence")?;
        let mut rows = statement.query(params![id])?;
        let mut entries: Vec<JournalEntry> = Vec::new();
        let mut transactions = Vec::new();
        while let Some(row) = rows.next()? {
            let (at, code) = (timestamp(row, 0)?, row.get::<_, String>(2)?);
            if row.get_ref(1)?.as_str().map_err(|error| conversion(1, error))? == "intent" {
                let intent: IntentWire = json(row, 3)?;
                if let (Some(id), Some(digest)) = (intent.transaction, intent.digest) {
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
                entry.outcome = Some(code);
            }
        }
        Ok((entries, transactions))
    }

    /// The last report that was written.
    pub fn last_report(&self) -> Result<Option<ReportSummary>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT summary FROM reports JOIN runs ON runs.id = run ORDER BY sequence DESC LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| json(row, 0)).optional()?)
    }

    /// When the last run concluded, well or not.
    pub fn last_end(&self) -> Result<Option<Timestamp>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT concluded_at FROM runs WHERE concluded_at IS NOT NULL ORDER BY sequence DESC LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| timestamp(row, 0)).optional()?)
    }

    /// What was tried in an occurrence of a window.
    pub fn attempts(&self, occurrence: &str) -> Result<Attempts, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT concluded_at, verdict FROM runs WHERE occurrence = ?1 ORDER BY sequence",
        )?;
        let mut rows = statement.query(params![occurrence])?;
        let mut attempts = Attempts::default();
        while let Some(row) = rows.next()? {
            attempts.count += 1;
            attempts.last = match (optional_timestamp(row, 0)?, optional_word(row, 1)?) {
                (Some(concluded_at), Some(verdict)) => Some(LastAttempt { concluded_at, verdict }),
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
