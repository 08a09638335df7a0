//! The executor's memory: an intent before each transaction, an outcome after it, each written once and never again.
//!
//! It also holds the lock that lets one operation at a time touch apt. What a transaction does is not its concern.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use nix::fcntl::OFlag;
use patchd_host::durable::{self, WriteError, atomic_write, create_directories};
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use patchd_protocol::executor::{TransactionKind, TransactionRecord, TransactionState};
use thiserror::Error;

use crate::transaction::wait::{self, Guarded};
use crate::{log, text};

/// The longest record, in bytes: 2,000 changes and the tail of an output.
const MAX_RECORD: u64 = 4 << 20;

/// How much of the end of an output is read for its last lines, and for what it tells of failures.
const TAIL: u64 = 64 << 10;
const END: u64 = 1 << 20;

/// The newest records that are kept with their outputs.
const MAX_RECORDS: usize = 200;

/// How often, and at which distance, a lock is tried that may be held by somebody's short look only.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why the executor's own files can't be used.
#[derive(Debug, Error)]
pub(crate) enum RecordError {
    #[error("{} {problem}; nothing is done without a place for records that only root can write", path.display())]
    Directory { path: PathBuf, problem: String },
    #[error("can't make the executor's directory")]
    Make(#[source] WriteError),
    #[error("can't keep the record of transaction {id}")]
    Write { id: String, source: WriteError },
    #[error("can't read the record of transaction {id}")]
    Read { id: String, source: FileError },
    #[error("the record {} can't be understood", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("can't use the lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("there is a record of transaction {id} already")]
    Exists { id: String },
    #[error("the executor is at work: {holder}")]
    Busy { holder: String },
}

/// The files below the executor's state directory.
#[derive(Debug)]
pub(crate) struct Records {
    /// The host that transactions change: whose apt may be at work.
    host: Root,
    transactions: PathBuf,
    output: PathBuf,
    archives: PathBuf,
    lock: PathBuf,
}

/// A record with nothing in it yet.
pub(crate) fn intent(id: &str, run: &str, kind: TransactionKind, now: Timestamp) -> TransactionRecord {
    TransactionRecord {
        id: id.into(),
        run: run.into(),
        kind,
        digest: String::new(),
        state: TransactionState::Running,
        started_at: now,
        ended_at: None,
        exit_code: None,
        permission: String::new(),
        changes: Vec::new(),
        output_tail: Vec::new(),
        failures: Vec::new(),
        notes: Vec::new(),
        timings: Vec::new(),
        download: None,
        left_files: Vec::new(),
        database: Vec::new(),
    }
}

/// The right to use apt, as long as it lives.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

impl Records {
    /// Makes what is missing, and refuses directories that somebody else than `owner` may write.
    pub(crate) fn open(state: &Path, owner: u32, host: Root) -> Result<Self, RecordError> {
        let records = Self {
            host,
            transactions: state.join("transactions"),
            output: state.join("output"),
            archives: state.join("archives"),
            lock: state.join("lock"),
        };
        for path in [state, &records.transactions, &records.output, &records.archives] {
            private_directory(path, owner)?;
        }
        Ok(records)
    }

    /// Where calls leave their words that are no transactions.
    pub(crate) fn output(&self) -> &Path {
        &self.output
    }

    /// Where the package manager's words of a transaction go.
    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.transactions.join(format!("{id}.log"))
    }

    /// Where its words for programs go.
    pub(crate) fn status(&self, id: &str) -> PathBuf {
        self.transactions.join(format!("{id}.status"))
    }

    /// What is kept of the marks that it takes away.
    pub(crate) fn marks(&self, id: &str) -> PathBuf {
        self.transactions.join(format!("{id}.marks"))
    }

    /// Its plan, as it is held against apt's own.
    pub(crate) fn expectation(&self, id: &str) -> PathBuf {
        self.transactions.join(format!("{id}.plan"))
    }

    /// The directory of its archives.
    pub(crate) fn archives(&self, id: &str) -> PathBuf {
        self.archives.join(id)
    }

    /// The last words of a transaction.
    pub(crate) fn log_tail(&self, id: &str) -> Vec<String> {
        text::tail(&self.log_end(id, TAIL))
    }

    /// The last lines of a transaction's output, as many as are of use for more than showing.
    pub(crate) fn log_lines(&self, id: &str) -> Vec<String> {
        self.log_lines_since(id, 0)
    }

    /// Those of them that came after a length.
    pub(crate) fn log_lines_since(&self, id: &str, length: u64) -> Vec<String> {
        let since = self.log_length(id).saturating_sub(length);
        self.log_end(id, END.min(since)).lines().map(str::to_owned).collect()
    }

    pub(crate) fn log_length(&self, id: &str) -> u64 {
        self.log(id).symlink_metadata().map(|metadata| metadata.len()).unwrap_or_default()
    }

    fn log_end(&self, id: &str, bytes: u64) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut options = OpenOptions::new();
            let mut file = options.read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(self.log(id))?;
            let over = file.metadata()?.len().saturating_sub(bytes);
            io::Seek::seek(&mut file, io::SeekFrom::Start(over))?;
            let mut content = Vec::new();
            file.take(bytes).read_to_end(&mut content)?;
            // What was cut out of a long output reads as nulls.
            content.retain(|byte| *byte != 0);
            Ok(content)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// The transactions whose marks were not given back yet.
    pub(crate) fn with_marks(&self) -> Vec<String> {
        let names = names(&self.transactions);
        names.iter().filter_map(|name| name.strip_suffix(".marks").map(str::to_owned)).collect()
    }

    /// The directories of kept archives.
    pub(crate) fn with_archives(&self) -> Vec<PathBuf> {
        names(&self.archives).iter().map(|name| self.archives.join(name)).collect()
    }

    /// Forgets the oldest transactions beyond a number, never one without an outcome: it runs, or was cut. Bounds the
    /// output of the one that has just ended.
    pub(crate) fn prune(&self) {
        let names = names(&self.transactions);
        let modified = |name: &str| self.transactions.join(name).symlink_metadata()?.modified();
        let mut ended: Vec<_> = names
            .iter()
            .filter_map(|name| Some((modified(name).ok()?, name.strip_suffix(".outcome.json")?)))
            .collect();
        ended.sort();
        let over = ended.len().saturating_sub(MAX_RECORDS);
        for (_, id) in ended.into_iter().take(over) {
            // The outcome last: what is left half way is tried again.
            let parts = ["log", "status", "marks", "plan", "intent.json", "outcome.json"];
            for path in parts.map(|part| self.transactions.join(format!("{id}.{part}"))) {
                if let Err(error) = durable::remove(&path) {
                    log::warning(format_args!("an old record can't be removed: {error}"));
                }
            }
            let _ = std::fs::remove_dir_all(self.archives(id));
        }
    }

    /// Keeps what is about to be done. When it returns, the record is on disk.
    pub(crate) fn begin(&self, record: &TransactionRecord) -> Result<(), RecordError> {
        self.write(record, "intent")
    }

    /// Keeps what came of it.
    pub(crate) fn end(&self, record: &TransactionRecord) -> Result<(), RecordError> {
        self.write(record, "outcome")
    }

    /// The record of a transaction. One without an outcome is running as long as anybody may be at work, and was
    /// interrupted otherwise. An apt or a script at work may be what a dead executor started: whose it is can't be told,
    /// and a wrong "running" is put right by asking again.
    pub(crate) fn find(&self, id: &str) -> Result<Option<TransactionRecord>, RecordError> {
        if let Some(outcome) = self.read(id, "outcome")? {
            return Ok(Some(outcome));
        }
        let Some(intent) = self.read(id, "intent")? else { return Ok(None) };
        if self.is_locked()? || wait::blocker(&self.host, Guarded::Database).is_some() {
            return Ok(Some(TransactionRecord { state: TransactionState::Running, ..intent }));
        }
        // It may have ended between the two looks.
        let outcome = self.read(id, "outcome")?;
        let interrupted = TransactionRecord { state: TransactionState::Interrupted, ..intent };
        Ok(Some(outcome.unwrap_or(interrupted)))
    }

    /// The record of a transaction as it was last written, whoever may be at work: its outcome, else its intent.
    pub(crate) fn last(&self, id: &str) -> Result<Option<TransactionRecord>, RecordError> {
        Ok(match self.read(id, "outcome")? {
            None => self.read(id, "intent")?,
            outcome => outcome,
        })
    }

    /// All transactions as they were last written, the earliest first. One that can't be read is left out: it gives
    /// nobody a right.
    pub(crate) fn all(&self) -> Vec<TransactionRecord> {
        let names = names(&self.transactions);
        let ids = names.iter().filter_map(|name| name.strip_suffix(".intent.json"));
        let mut records: Vec<_> = ids.filter_map(|id| self.last(id).ok().flatten()).collect();
        records.sort_by_key(|record| record.started_at);
        records
    }

    /// Whether the intent of a transaction was written.
    pub(crate) fn has_begun(&self, id: &str) -> bool {
        self.path(id, "intent").symlink_metadata().is_ok()
    }

    /// Takes the right to use apt for `purpose`, or tells who has it.
    pub(crate) fn lock(&self, purpose: &str) -> Result<Held, RecordError> {
        let mut file = self.open_lock()?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => {
                    let told = file.set_len(0).and_then(|()| file.write_all(purpose.as_bytes()));
                    told.map_err(self.lock_error())?;
                    return Ok(Held { _lock: file });
                }
                Err(TryLockError::WouldBlock) => sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => return Err(self.lock_error()(error)),
            }
        }
        let mut holder = String::new();
        file.take(200).read_to_string(&mut holder).map_err(self.lock_error())?;
        Err(RecordError::Busy { holder: text::cut(&holder) })
    }

    fn is_locked(&self) -> Result<bool, RecordError> {
        match self.open_lock()?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(self.lock_error()(error)),
        }
    }

    fn open_lock(&self) -> Result<File, RecordError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        options.custom_flags(OFlag::O_NOFOLLOW.bits()).open(&self.lock).map_err(self.lock_error())
    }

    fn lock_error(&self) -> impl Fn(io::Error) -> RecordError {
        let path = self.lock.clone();
        move |source| RecordError::Lock { path: path.clone(), source }
    }

    fn path(&self, id: &str, part: &str) -> PathBuf {
        self.transactions.join(format!("{id}.{part}.json"))
    }

    fn write(&self, record: &TransactionRecord, part: &str) -> Result<(), RecordError> {
        let path = self.path(&record.id, part);
        if path.symlink_metadata().is_ok() {
            return Err(RecordError::Exists { id: record.id.clone() });
        }
        let damaged = |source| RecordError::Damaged { path: path.clone(), source };
        let content = serde_json::to_vec_pretty(record).map_err(damaged)?;
        let id = record.id.clone();
        atomic_write(&path, &content, 0o600).map_err(|source| RecordError::Write { id, source })
    }

    fn read(&self, id: &str, part: &str) -> Result<Option<TransactionRecord>, RecordError> {
        let path = self.path(id, part);
        let content = read::read_optional(&Root::host(), &path, MAX_RECORD)
            .map_err(|source| RecordError::Read { id: id.into(), source })?;
        let parse = |content: Vec<u8>| serde_json::from_slice(&content);
        content.map(parse).transpose().map_err(|source| RecordError::Damaged { path, source })
    }
}

/// The names in a directory of the executor's own.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Makes a directory of the executor's own, and refuses one that somebody else than `owner` may write.
pub(crate) fn private_directory(path: &Path, owner: u32) -> Result<(), RecordError> {
    create_directories(path, 0o700).map_err(RecordError::Make)?;
    let problem = match std::fs::symlink_metadata(path) {
        Err(error) => format!("can't be looked at: {error}"),
        Ok(metadata) if !metadata.is_dir() => "is no directory".into(),
        Ok(metadata) if metadata.uid() != owner => format!("belongs to uid {}", metadata.uid()),
        Ok(metadata) if metadata.mode() & 0o022 != 0 => {
            format!("has mode {:04o}", metadata.mode() & 0o7777)
        }
        Ok(_) => return Ok(()),
    };
    Err(RecordError::Directory { path: path.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn owner() -> u32 {
        nix::unistd::Uid::effective().as_raw()
    }

    fn records(directory: &tempfile::TempDir) -> Records {
        Records::open(&directory.path().join("state"), owner(), Root::at(directory.path())).unwrap()
    }

    fn record(id: &str) -> TransactionRecord {
        TransactionRecord {
            digest: "d".into(),
            ..intent(id, "run", TransactionKind::Apply, "2026-11-29T02:00:00Z".parse().unwrap())
        }
    }

    #[test]
    fn an_intent_without_an_outcome_is_running_or_was_interrupted() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        assert_eq!(records.find("a").unwrap(), None);
        let held = records.lock("apply a").unwrap();
        records.begin(&record("a")).unwrap();
        assert_eq!(records.find("a").unwrap().unwrap().state, TransactionState::Running);
        drop(held);
        assert_eq!(records.find("a").unwrap().unwrap().state, TransactionState::Interrupted);
        let ended = TransactionRecord { state: TransactionState::Ended, exit_code: Some(0), ..record("a") };
        records.end(&ended).unwrap();
        assert_eq!(records.find("a").unwrap(), Some(ended));
    }

    #[test]
    fn nothing_is_written_twice() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        records.begin(&record("a")).unwrap();
        assert!(matches!(records.begin(&record("a")), Err(RecordError::Exists { .. })));
    }

    #[test]
    fn one_at_a_time_and_the_other_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let held = records.lock("a long purpose").unwrap();
        drop(held);
        let _held = records.lock("apply a").unwrap();
        let busy = records.lock("refresh b").unwrap_err();
        assert!(matches!(&busy, RecordError::Busy { holder } if holder == "apply a"), "{busy:?}");
    }

    #[test]
    fn a_place_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let open = |name, owner| Records::open(&path(name), owner, Root::at(directory.path()));
        drop(records(&directory));
        assert!(matches!(open("state", owner() + 1), Err(RecordError::Directory { .. })));
        symlink(path("state"), path("link")).unwrap();
        assert!(matches!(open("link", owner()), Err(RecordError::Directory { .. })));
        std::fs::set_permissions(path("state/transactions"), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(open("state", owner()), Err(RecordError::Directory { .. })));
    }

    #[test]
    fn a_linked_lock_and_a_damaged_record_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let elsewhere = directory.path().join("elsewhere");
        symlink(&elsewhere, &records.lock).unwrap();
        assert!(matches!(records.lock("x"), Err(RecordError::Lock { .. })));
        assert!(!elsewhere.exists());
        atomic_write(&records.path("a", "outcome"), b"{", 0o600).unwrap();
        assert!(matches!(records.find("a"), Err(RecordError::Damaged { .. })));
    }

    #[test]
    fn of_a_giant_log_the_end_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let mut content = vec![0; usize::try_from(END).unwrap()];
        content.extend_from_slice("x\n".repeat(100_000).as_bytes());
        content.extend_from_slice(b"\nthe end\n");
        atomic_write(&records.log("a"), &content, 0o600).unwrap();
        assert_eq!(records.log_tail("a").last().map(String::as_str), Some("the end"));
        assert_eq!(records.log_lines("a").len(), 100_002);
    }

    #[test]
    fn a_linked_log_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        let secret = directory.path().join("secret");
        atomic_write(&secret, b"secret\n", 0o600).unwrap();
        symlink(&secret, records.log("a")).unwrap();
        assert_eq!(records.log_tail("a"), Vec::<String>::new());
    }

    #[test]
    fn the_newest_records_are_kept_and_those_without_an_outcome() {
        let directory = tempfile::tempdir().unwrap();
        let records = records(&directory);
        records.begin(&record("cut")).unwrap();
        for number in 0..=MAX_RECORDS {
            let id = format!("t-{number:03}");
            let content = serde_json::to_vec(&record(&id)).unwrap();
            for part in ["intent", "outcome"] {
                File::create(records.path(&id, part)).unwrap().write_all(&content).unwrap();
            }
            let path = records.path(&id, "outcome");
            let at = std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(number).unwrap());
            File::open(path).unwrap().set_modified(at).unwrap();
            drop(File::create(records.log(&id)).unwrap());
        }
        records.prune();
        assert_eq!(records.find("t-000").unwrap(), None);
        assert!(!records.log("t-000").exists());
        assert!(records.find("t-001").unwrap().is_some() && records.log("t-001").exists());
        assert!(records.find("cut").unwrap().is_some());
    }
}
