//! Waiting until nobody else works on packages, with an end, and with the name of whom it waits for.
//!
//! apt itself waits for the two locks of dpkg's database, and for no other; that too is asked of it, for one that is
//! faster than we. Nobody is ended here.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use patchd_protocol::executor::{ProgressWire, RefusalCode};

use crate::apt::lock::{Guarded, holder};
use crate::clock::Moment;
use crate::refusal::Stop;
use crate::verbs::{Executor, Progress};

/// How often it is looked, and how often it is told.
const PAUSE: Duration = Duration::from_millis(500);
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// Who keeps packages from being changed.
pub(crate) fn blocker(executor: &Executor, guarded: &[Guarded]) -> Result<Option<String>, Stop> {
    for guarded in guarded {
        let held = holder(&executor.root, *guarded).map_err(|error| Stop::Failed {
            message: format!("can't look at the locks of packages: {error}"),
        })?;
        if let Some(holder) = held {
            return Ok(Some(holder.to_string()));
        }
    }
    Ok(None)
}

/// Waits, `limit` at most. What it waited for is added to `notes`.
pub(crate) fn until_free(
    executor: &Executor,
    guarded: &[Guarded],
    limit: Duration,
    progress: &mut Progress<'_>,
    notes: &mut Vec<String>,
) -> Result<(), Stop> {
    let started = Moment::now();
    let mut told: Option<Moment> = None;
    let mut last = None;
    while let Some(holder) = blocker(executor, guarded)? {
        let waited = started.elapsed();
        let is_stopping = executor.stopping.load(Ordering::Relaxed);
        if limit <= waited || is_stopping {
            let why =
                if is_stopping { "the executor is told to end" } else { "there is no more time to wait" };
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
