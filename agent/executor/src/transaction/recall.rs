//! What is known of a transaction: from its record if it ended, from the host itself if it was cut, and by following its
//! files while it runs, whoever started it.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use patchd_host::dpkg::audit::audit;
use patchd_protocol::executor::{TransactionRecord, TransactionState};

use crate::child::{Follower, Watch};
use crate::clock::Moment;
use crate::last_words::LastWords;
use crate::observe::damage;
use crate::progress::{STALL, Watcher};
use crate::read_back;
use crate::record::{Held, RecordError};
use crate::refusal::Stop;
use crate::transaction::{archives, marks};
use crate::verbs::{Executor, Peer, Progress};

/// The longest that one request may wait: who wants to know more asks again.
const MAX_WAIT: Duration = Duration::from_secs(600);

/// How often the files are looked at, and how often whether it still runs.
const PAUSE: Duration = Duration::from_millis(200);
const FOUND_EVERY: Duration = Duration::from_secs(1);

/// The record of a transaction; one that runs is followed for `wait` at most.
pub(crate) fn recall(
    executor: &Executor,
    id: &str,
    wait: Duration,
    peer: &Peer<'_>,
    progress: &mut Progress<'_>,
) -> Result<Option<TransactionRecord>, Stop> {
    let Some(mut record) = find(executor, id)? else { return Ok(None) };
    if record.state == TransactionState::Running && !wait.is_zero() {
        record = follow(executor, record, wait.min(MAX_WAIT), peer, progress)?;
    }
    Ok(Some(present(executor, record)))
}

/// The record of a transaction as it is now.
pub(crate) fn now(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    Ok(find(executor, id)?.map(|record| present(executor, record)))
}

fn find(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    executor.records.find(id).map_err(|error| Stop::failed(&error))
}

fn follow(
    executor: &Executor,
    mut record: TransactionRecord,
    wait: Duration,
    peer: &Peer<'_>,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    let wrong = |error| Stop::Failed { message: format!("can't follow transaction {}: {error}", record.id) };
    let mut output = Follower::of_output(&executor.records.log(&record.id)).map_err(wrong)?;
    let status = executor.records.status(&record.id);
    let mut watcher = Watcher::attach(progress, &status, STALL).map_err(wrong)?;
    let (started, mut last_word, mut found) = (Moment::now(), Moment::now(), Moment::now());
    while started.elapsed() < wait && (peer.is_there)() && !executor.stopping.load(Ordering::Relaxed) {
        let has_spoken = output.look(&mut |line| watcher.line(line));
        if watcher.look() || has_spoken {
            last_word = Moment::now();
        } else {
            watcher.silence(last_word.elapsed());
        }
        if FOUND_EVERY <= found.elapsed() {
            match find(executor, &record.id)? {
                Some(now) if now.state == TransactionState::Running => {}
                Some(ended) => {
                    record = ended;
                    break;
                }
                None => break,
            }
            found = Moment::now();
        }
        sleep(PAUSE);
    }
    output.finish(&mut |line| watcher.line(line));
    watcher.look();
    Ok(record)
}

/// A record with what its transaction did so far, read back unless its end was recorded.
fn present(executor: &Executor, mut record: TransactionRecord) -> TransactionRecord {
    if record.state == TransactionState::Ended || !record.kind.is_of_packages() {
        return record;
    }
    if record.state == TransactionState::Interrupted
        && let Ok(held) = executor.records.lock(&format!("recall of {}", record.id))
    {
        clean_up(executor, &held);
    }
    let inventory = executor.inventory();
    record.changes = read_back::changes_again(&record.changes, &inventory);
    record.output_tail = executor.records.log_tail(&record.id);
    if record.state == TransactionState::Interrupted {
        let mut words = LastWords::default();
        executor.records.log_lines(&record.id).iter().for_each(|line| words.line(line));
        record.failures = words.failures();
        record.database = damage(executor);
        record.notes.push("the executor died while this was under way".into());
    }
    record
}

/// Puts in order what executors left that died: marks that were to be given back, archives that nobody needs any more.
pub(crate) fn clean_up(executor: &Executor, held: &Held) {
    marks::give_back_left(executor, held);
    let kept = executor.records.with_archives();
    if !kept.is_empty() {
        archives::keep_needed(&kept, &audit(&executor.root));
    }
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Busy { .. } => {
                Self::refused(patchd_protocol::executor::RefusalCode::Busy, error.to_string())
            }
            error => Self::failed(&error),
        }
    }
}
