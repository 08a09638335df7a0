//! The plans that runs made, as they were shown: what `patchctl plan` prints, and what an apply of it is held against.

use patchd_protocol::control::plan::PlanDocument;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Journal, JournalError};

/// How many plans are kept. One of 2,000 packages takes half a megabyte.
const KEPT_PLANS: u32 = 20;

/// Takes down the plan of a run, and forgets the oldest ones.
pub(super) fn keep(connection: &Connection, run: &str, plan: &PlanDocument) -> Result<(), JournalError> {
    connection.execute(
        "INSERT INTO plans (run, digest, document) VALUES (?1, ?2, ?3) \
         ON CONFLICT (run) DO UPDATE SET digest = ?2, document = ?3",
        params![run, plan.digest, serde_json::to_string(plan)?],
    )?;
    connection.execute(
        "DELETE FROM plans WHERE run NOT IN (SELECT run FROM plans JOIN runs ON runs.id = run \
         ORDER BY runs.sequence DESC LIMIT ?1)",
        params![KEPT_PLANS],
    )?;
    Ok(())
}

impl Journal {
    /// The newest plan, as JSON.
    pub fn last_plan(&self) -> Result<Option<String>, JournalError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT document FROM plans JOIN runs ON runs.id = run ORDER BY sequence DESC LIMIT 1",
        )?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    /// The plan that a run made, as JSON.
    pub fn plan(&self, run: &str) -> Result<Option<String>, JournalError> {
        let mut statement = self.connection.prepare_cached("SELECT document FROM plans WHERE run = ?1")?;
        Ok(statement.query_row(params![run], |row| row.get(0)).optional()?)
    }
}
