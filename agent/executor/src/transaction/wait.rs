//! Waiting until nobody else works on packages, with an end, and with the name of whom it waits for.
//!
//! apt itself waits for the two locks of dpkg's database, and for nothing else; that too is asked of it, for one that is
//! faster than we. Nobody is ended here.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use patchd_host::dpkg::lock::Lock;
use patchd_host::dpkg::quiet::{AtWork, Doing, watch};
use patchd_host::root::Root;
use patchd_protocol::executor::{ProgressWire, RefusalCode};

use crate::clock::Moment;
use crate::refusal::Stop;
use crate::verbs::{Executor, Progress};

/// How often it is looked, and how often it is told.
const PAUSE: Duration = Duration::from_millis(500);
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// What nobody else may be at work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// Installed packages: by the locks of their database, or a script of theirs that lost its dpkg.
    Database,
    /// The same and apt's archives.
    Archives,
    /// The package lists.
    Lists,
}

impl Guarded {
    fn is_touched_by(self, one: &AtWork) -> bool {
        match (&one.doing, self) {
            (
                Doing::Holds(Lock::Frontend | Lock::Database) | Doing::Runs(_),
                Self::Database | Self::Archives,
            )
            | (Doing::Holds(Lock::Archives), Self::Archives)
            | (Doing::Holds(Lock::Lists), Self::Lists) => true,
            (Doing::Holds(_) | Doing::Runs(_), _) => false,
        }
    }
}

/// Who is at work on it.
pub(crate) fn blocker(root: &Root, guarded: Guarded) -> Option<String> {
    let at_work = watch(root).at_work;
    at_work.iter().find(|one| guarded.is_touched_by(one)).map(ToString::to_string)
}

/// Waits, `limit` at most, as long as it is wanted. What it waited for is added to `notes`.
pub(crate) fn until_free(
    executor: &Executor,
    guarded: Guarded,
    limit: Duration,
    is_wanted: &dyn Fn() -> bool,
    progress: &mut Progress<'_>,
    notes: &mut Vec<String>,
) -> Result<(), Stop> {
    let started = Moment::now();
    let mut told: Option<Moment> = None;
    let mut last = None;
    while let Some(holder) = blocker(&executor.root, guarded) {
        let waited = started.elapsed();
        let is_stopping = executor.stopping.load(Ordering::Relaxed);
        let is_unwanted = !is_wanted();
        if limit <= waited || is_stopping || is_unwanted {
            let why = match (is_stopping, is_unwanted) {
                (true, _) => "the executor is told to end",
                (_, true) => "the client hung up",
                _ => "there is no more time to wait",
            };
            let message = format!("{holder} works on packages, after {} seconds; {why}", waited.as_secs());
            return Err(Stop::refused(RefusalCode::Locked, message));
        }
        if told.is_none_or(|told| TOLD_EVERY <= told.elapsed()) {
            progress(ProgressWire::Waiting { holder: holder.clone(), seconds: waited.as_secs() });
            told = Some(Moment::now());
        }
        last = Some(holder);
        sleep(PAUSE.min(limit.saturating_sub(waited)));
    }
    if let Some(holder) = last {
        notes.push(format!("waited {} seconds for {holder}", started.elapsed().as_secs()));
    }
    Ok(())
}
