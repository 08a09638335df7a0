//! Reports on this disk until their store has confirmed them. A kill at any instruction loses none: a report is whole on
//! disk before anybody is told that it exists, and it leaves only after the store said yes.
//!
//! It never drops a report to make room for another: what was judged once is evidence. When it is full it takes no more
//! scans, which the caller says aloud; a part of it is kept free for reports of what was changed, which nobody could
//! make a second time. Like any store it holds no more than files under keys, so it can be copied to its store by hand.

mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use patchd_protocol::report::gzip::{self, EncodeError};
use patchd_protocol::report::key::ReportKey;
use patchd_protocol::report::native::{OperationWire, ReportDocument};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::queue::{Queue, QueueError};
use super::{Remedy, Store, StoreError};

/// The first wait after a failure; each further one doubles it, up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(30);
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
/// Where an operator has to act there is no hurry, and no use in asking often.
const FIRST_WAIT_FOR_OPERATOR: Duration = Duration::from_secs(5 * 60);
const LONGEST_WAIT_FOR_OPERATOR: Duration = Duration::from_secs(60 * 60);

/// How much the spool holds. A report of a thousand packages has some 30 KiB: this is months of hourly scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    pub reports: u64,
    pub bytes: u64,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self { reports: 2_000, bytes: 64 << 20 }
    }
}

impl SpoolLimits {
    /// What reports of this operation may fill: the last quarter is for applies.
    fn of(self, operation: OperationWire) -> Self {
        match operation {
            OperationWire::Apply => self,
            OperationWire::Scan => Self { reports: self.reports / 4 * 3, bytes: self.bytes / 4 * 3 },
        }
    }
}

/// Why a report could not be spooled.
#[derive(Debug, Error)]
pub enum SpoolError {
    #[error(
        "the spool {} is full: it holds {reports} reports ({bytes} bytes) that the store has not taken; make the store \
         work, or move them away", directory.display()
    )]
    Full { directory: PathBuf, reports: u64, bytes: u64 },
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error("the spool can't be used")]
    Disk(#[from] QueueError),
    #[error("patchd is stopping")]
    Stopping,
}

/// What lies in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolContents {
    pub reports: u64,
    pub bytes: u64,
    /// Reports that the store will never take. They are kept in `refused/` for a person to look at.
    pub refused: u64,
}

/// What one flush came to.
#[derive(Debug, Default)]
pub struct Flushed {
    /// The keys that the store has confirmed.
    pub stored: Vec<String>,
    /// Reports that the store will never take, with its reasons. They were put aside.
    pub refused: Vec<StoreError>,
    /// Why the rest still waits, and how long it will.
    pub waiting: Option<(StoreError, Duration)>,
    /// Trouble that keeps no report back: the pointer to the newest one, a file that could not be removed.
    pub warnings: Vec<String>,
    /// It was not tried, because it is too soon after the last failure or another flush is under way.
    pub is_deferred: bool,
}

/// The spool of one host. Clones are the same spool.
#[derive(Debug, Clone)]
pub struct Spool {
    queue: Arc<Queue>,
    limits: SpoolLimits,
    retry: Arc<Mutex<Retry>>,
}

/// When the store may be asked again.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    not_before: Option<Instant>,
}

impl Spool {
    /// Opens the spool in `directory` and clears away what a killed writer left half written. It makes the directory.
    pub async fn open(directory: impl Into<PathBuf>, limits: SpoolLimits) -> Result<Self, SpoolError> {
        let directory = directory.into();
        let queue = blocking(move || Queue::open(directory)).await??;
        Ok(Self { queue: Arc::new(queue), limits, retry: Arc::default() })
    }

    /// Writes a report to disk and gives its key. From then on it is safe.
    pub async fn add(&self, document: &ReportDocument) -> Result<ReportKey, SpoolError> {
        let key = ReportKey::of(document);
        let bytes = gzip::encode(document)?;
        self.check_room(document.operation, bytes.len() as u64).await?;
        let (queue, name) = (Arc::clone(&self.queue), key.clone());
        blocking(move || queue.add(name.as_str(), &bytes)).await??;
        Ok(key)
    }

    /// Whether a report of this operation would still be taken. Ask it before an apply starts: a change of which no
    /// report can be kept is not begun.
    pub async fn check_room(&self, operation: OperationWire, bytes: u64) -> Result<(), SpoolError> {
        let held = self.contents().await?;
        let limits = self.limits.of(operation);
        if held.reports < limits.reports && held.bytes.saturating_add(bytes) <= limits.bytes {
            return Ok(());
        }
        Err(SpoolError::Full {
            directory: self.queue.directory().into(),
            reports: held.reports,
            bytes: held.bytes,
        })
    }

    pub async fn contents(&self) -> Result<SpoolContents, SpoolError> {
        let queue = Arc::clone(&self.queue);
        Ok(blocking(move || queue.contents()).await??)
    }

    /// Hands what is spooled to `store`, the oldest first. Call it on every tick: after a failure it waits by itself,
    /// longer each time. It may be dropped at any point; what was not confirmed stays.
    pub async fn flush(&self, store: &Store) -> Result<Flushed, SpoolError> {
        let mut flushed = Flushed::default();
        let Ok(mut retry) = self.retry.try_lock() else {
            flushed.is_deferred = true;
            return Ok(flushed);
        };
        if retry.not_before.is_some_and(|instant| Instant::now() < instant) {
            flushed.is_deferred = true;
            return Ok(flushed);
        }
        self.flush_now(store, &mut flushed).await?;
        match &mut flushed.waiting {
            None => *retry = Retry::default(),
            Some((error, wait)) => {
                *wait = retry.after_failure(error.remedy);
            }
        }
        Ok(flushed)
    }

    /// Forgets the wait after a failure: an operator asked, or the configuration is a new one.
    pub async fn retry_at_once(&self) {
        *self.retry.lock().await = Retry::default();
    }

    async fn flush_now(&self, store: &Store, flushed: &mut Flushed) -> Result<(), SpoolError> {
        let queue = Arc::clone(&self.queue);
        let keys = blocking(move || queue.keys()).await??;
        let mut newest = None;
        for key in keys {
            let Some(bytes) = self.read(&key).await? else { continue };
            match store.put(&key, bytes.clone()).await {
                Ok(_) => {
                    self.remove(&key, flushed).await?;
                    newest = Some((key.clone(), bytes));
                    flushed.stored.push(key);
                }
                Err(error) if error.remedy == Remedy::Never => {
                    self.put_aside(&key).await?;
                    flushed.refused.push(error);
                }
                // The others would meet the same.
                Err(error) => {
                    flushed.waiting = Some((error, Duration::ZERO));
                    break;
                }
            }
        }
        if let Some((key, bytes)) = newest
            && let Some(latest) = ReportKey::latest_beside(&key)
            && let Err(error) = store.replace(&latest, bytes).await
        {
            flushed.warnings.push(error.to_string());
        }
        Ok(())
    }

    async fn read(&self, key: &str) -> Result<Option<Bytes>, SpoolError> {
        let (queue, key) = (Arc::clone(&self.queue), key.to_owned());
        Ok(blocking(move || queue.read(&key)).await??.map(Bytes::from))
    }

    async fn remove(&self, key: &str, flushed: &mut Flushed) -> Result<(), SpoolError> {
        let (queue, name) = (Arc::clone(&self.queue), key.to_owned());
        if let Err(error) = blocking(move || queue.remove(&name)).await? {
            // It is in the store; the next flush finds it there.
            flushed.warnings.push(format!("{key} is stored but stays in the spool: {error}"));
        }
        Ok(())
    }

    async fn put_aside(&self, key: &str) -> Result<(), SpoolError> {
        let (queue, key) = (Arc::clone(&self.queue), key.to_owned());
        Ok(blocking(move || queue.put_aside(&key)).await??)
    }
}

impl Retry {
    /// Counts a failure, and says how long to wait for it.
    fn after_failure(&mut self, remedy: Remedy) -> Duration {
        let (first, longest) = match remedy {
            Remedy::Later | Remedy::Never => (FIRST_WAIT, LONGEST_WAIT),
            Remedy::Configuration => (FIRST_WAIT_FOR_OPERATOR, LONGEST_WAIT_FOR_OPERATOR),
        };
        let whole = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let wait = whole / 2 + (whole / 2).mul_f64(chance(self.failures));
        self.not_before = Some(Instant::now() + wait);
        wait
    }
}

/// A number from 0 to 1 that differs from process to process, so that a fleet whose store was away does not come back
/// in one second. Nothing secret depends on it.
fn chance(number: u32) -> f64 {
    use std::hash::BuildHasher;
    let hash = std::hash::RandomState::new().hash_one(number);
    f64::from(u16::try_from(hash & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}

/// Files are read and written where blocking is allowed.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, SpoolError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| SpoolError::Stopping)
}

#[cfg(test)]
mod tests;
