//! Opening the journal's database: its pragmas, its schema, and what becomes of a file that can't be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode};

use super::JournalError;

/// The schema that this program writes, kept in `user_version`.
const VERSION: i64 = 3;

/// `PTCD`, kept in `application_id`: tells the journal from anybody else's database.
const APPLICATION: i64 = 0x5054_4344;

/// Version 1; what came later is in `CHANGES`.
const FIRST: &str = "
CREATE TABLE runs (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  operation TEXT NOT NULL,
  refresh INTEGER NOT NULL,
  trigger TEXT NOT NULL,
  occurrence TEXT,
  requested_at TEXT NOT NULL,
  phase TEXT NOT NULL,
  concluded_at TEXT,
  verdict TEXT,
  detail TEXT,
  gates TEXT NOT NULL DEFAULT '[]',
  record TEXT
) STRICT;
CREATE INDEX runs_by_occurrence ON runs (occurrence) WHERE occurrence IS NOT NULL;
CREATE TABLE entries (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  at TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('event', 'intent')),
  code TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX entries_by_run ON entries (run, sequence);
CREATE TABLE reports (
  run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  finished_at TEXT NOT NULL,
  summary TEXT NOT NULL
) STRICT;
CREATE INDEX reports_by_key ON reports (key);
CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
";

/// What each later version changed, from 2 on. None is ever edited.
const CHANGES: [&str; 2] = [
    "
ALTER TABLE runs ADD COLUMN wish TEXT NOT NULL DEFAULT '\"what_is_due\"';
ALTER TABLE entries ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE entries ADD COLUMN phase TEXT;
ALTER TABLE entries ADD COLUMN text TEXT;
ALTER TABLE entries ADD COLUMN packages TEXT;
CREATE TABLE plans (
  run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  document TEXT NOT NULL
) STRICT;
CREATE TABLE timings (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  package TEXT NOT NULL,
  transaction_id TEXT NOT NULL,
  milliseconds INTEGER NOT NULL,
  UNIQUE (package, transaction_id)
) STRICT;
CREATE TABLE downloads (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  transaction_id TEXT NOT NULL UNIQUE,
  bytes INTEGER NOT NULL,
  milliseconds INTEGER NOT NULL
) STRICT;
",
    "
CREATE TABLE first_seen (
  package TEXT NOT NULL,
  architecture TEXT NOT NULL,
  version TEXT NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (package, architecture, version)
) STRICT, WITHOUT ROWID;
",
];

/// A database that was put aside, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    pub to: PathBuf,
    pub because: String,
}

/// Opens the journal at `path`. One that is damaged, or not ours to read, is moved aside and a new one begun.
pub(super) fn open(path: &Path, now: Timestamp) -> Result<(Connection, Option<MovedAside>), JournalError> {
    let because = match try_open(path) {
        Ok(connection) => return Ok((connection, None)),
        Err(Unusable::Aside(because)) => because,
        Err(Unusable::Error(error)) => return Err(error),
    };
    let to = move_aside(path, now)?;
    match try_open(path) {
        Ok(connection) => Ok((connection, Some(MovedAside { to, because }))),
        Err(Unusable::Error(error)) => Err(error),
        Err(Unusable::Aside(because)) => Err(JournalError::Open {
            path: path.into(),
            reason: format!("a new one can't be used: {because}"),
        }),
    }
}

/// Why a database can't be used.
enum Unusable {
    /// It is no journal of ours that can be read.
    Aside(String),
    /// It may be a good one, but can't be opened now.
    Error(JournalError),
}

fn try_open(path: &Path) -> Result<Connection, Unusable> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Unusable::Aside(error.to_string()),
        _ => Unusable::Error(JournalError::of(path, error)),
    };
    let mut connection = Connection::open(path).map_err(failed)?;
    configure(&connection).map_err(failed)?;
    let application: i64 = pragma(&connection, "application_id").map_err(failed)?;
    let version: i64 = pragma(&connection, "user_version").map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (application, version, tables) {
        (0, 0, 0) => update(&mut connection, 0).map_err(failed)?,
        (APPLICATION, VERSION, _) => {}
        (APPLICATION, older @ 1..VERSION, _) => update(&mut connection, older).map_err(failed)?,
        (APPLICATION, newer, _) if VERSION < newer => {
            return Err(Unusable::Aside(format!(
                "version {newer} is newer than this patchd, which knows {VERSION}"
            )));
        }
        _ => return Err(Unusable::Aside("it is not a journal of patchd".into())),
    }
    let check: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if check == "ok" { Ok(connection) } else { Err(Unusable::Aside(check)) }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
}

/// One process, every commit on the disk before it is believed, and little memory.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -256; PRAGMA trusted_schema = OFF;",
    )?;
    connection.query_row("PRAGMA wal_autocheckpoint = 250", [], |_| Ok(()))?;
    connection.query_row("PRAGMA journal_size_limit = 1048576", [], |_| Ok(()))
}

/// Brings a database of a version, or an empty one, to ours: all of it or nothing.
fn update(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    if from == 0 {
        transaction.execute_batch(FIRST)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
    }
    let done = usize::try_from(from.saturating_sub(1)).unwrap_or_default();
    for change in CHANGES.iter().skip(done) {
        transaction.execute_batch(change)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// A database as version 1 made it, for tests of what became of it since.
#[cfg(test)]
pub(super) fn create_first(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(FIRST).unwrap();
    connection.pragma_update(None, "application_id", APPLICATION).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection
}

/// Renames the database and what belongs to it. Its write-ahead log must go with it, or a new one would take it for its own.
fn move_aside(path: &Path, now: Timestamp) -> Result<PathBuf, JournalError> {
    let name = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let stamp = now.strftime("%Y%m%dT%H%M%SZ");
    for suffix in ["-wal", "-shm", ""] {
        let to = name(&format!(".damaged-{stamp}{suffix}"));
        match std::fs::rename(name(suffix), &to) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let reason = format!("it can't be moved aside to {}: {error}", to.display());
                return Err(JournalError::Open { path: path.into(), reason });
            }
        }
    }
    Ok(name(&format!(".damaged-{stamp}")))
}
