//! One transaction from order to record. Read `prepare`: every reason to refuse stands there in its order; `carry_out`
//! begins with the line that writes the intent, and from that line on the answer is a record, whatever happens.

pub(crate) mod archives;
mod checks;
mod conffiles;
pub(crate) mod marks;
mod permission;
pub(crate) mod recall;
pub(crate) mod wait;

use std::time::Duration;

use patchd_core::inventory::Inventory;
use patchd_core::plan::Plan;
use patchd_host::dpkg::audit::audit;
use patchd_host::durable::atomic_write;
use patchd_protocol::executor::{
    DownloadWire, RefusalCode, TransactionKind, TransactionRecord, TransactionState,
};

use crate::apt::{AptError, Licence, Work, fetch};
use crate::child::{Cut, Ended, keep_end};
use crate::clock::Moment;
use crate::inhibitor::Inhibitor;
use crate::observe::damage;
use crate::progress::{Story, Watcher};
use crate::record::{self, Held};
use crate::refusal::Stop;
use crate::transaction::checks::few;
use crate::transaction::permission::{Permission, permission, time_left};
use crate::transaction::wait::Guarded;
use crate::verbs::{Executor, Peer, Progress};
use crate::{log, plan_check, read_back};

/// The longest that archives may take to be fetched. The end of the permission makes it shorter.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What is to be done, as a client asked for it, in words that were checked.
pub(crate) struct Order<'a> {
    pub(crate) run: &'a str,
    pub(crate) id: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) digest: &'a str,
    /// How long it is meant to take.
    pub(crate) estimate: Duration,
    pub(crate) grant: Option<&'a str>,
    /// Who asks: as long as nothing was changed, nothing is for one who has hung up.
    pub(crate) peer: &'a Peer<'a>,
}

/// Everything that was found out before the first package is touched.
struct Prepared {
    before: Inventory,
    licence: Licence,
    permission: Permission,
    download: Option<DownloadWire>,
    notes: Vec<String>,
}

/// Carries out an order, once.
pub(crate) fn apply(
    executor: &Executor,
    order: &Order<'_>,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    if let Some(known) = recall_same(executor, order)? {
        return Ok(known);
    }
    let held = executor.hold(&format!("transaction {}", order.id))?;
    if let Some(known) = recall_same(executor, order)? {
        return Ok(known);
    }
    let prepared = prepare(executor, order, &held, progress);
    if prepared.is_err() {
        // Nothing was changed: what was fetched for it is apt's to keep.
        archives::forget(&executor.records.archives(order.id));
    }
    carry_out(executor, order, prepared?, &held, progress)
}

/// What is known of an order that was given before. The same id with another plan is another order, and refused.
fn recall_same(executor: &Executor, order: &Order<'_>) -> Result<Option<TransactionRecord>, Stop> {
    let Some(record) = recall::now(executor, order.id)? else { return Ok(None) };
    if record.digest != order.digest {
        return Err(Stop::refused(
            RefusalCode::DigestMismatch,
            format!("transaction {} was for the plan {}, not for {}", order.id, record.digest, order.digest),
        ));
    }
    if record.state == TransactionState::Running {
        let message = format!("transaction {} is running; recall it", order.id);
        return Err(Stop::refused(RefusalCode::Busy, message));
    }
    Ok(Some(record))
}

/// Looks at everything that could be a reason not to do it, and fetches the archives.
fn prepare(
    executor: &Executor,
    order: &Order<'_>,
    held: &Held,
    progress: &mut Progress<'_>,
) -> Result<Prepared, Stop> {
    let permission = permission(executor, order)?;
    let licence = checks::licence(order.plan, &permission.apply)?;
    let mut notes = Vec::new();
    wait_for(executor, order, &permission, Guarded::Database, progress, &mut notes)?;
    recall::clean_up(executor, held);
    let before = checks::sound_inventory(executor)?;
    checks::check_start(order.plan, &before)?;
    let simulated =
        executor.apt.simulate(order.plan, licence, &before).map_err(|error| Stop::failed(&error))?;
    checks::check_simulation(order.plan, &simulated)?;
    wait_for(executor, order, &permission, Guarded::Archives, progress, &mut notes)?;
    let work = work(executor, order, &before, licence, time_left(executor, order, &permission));
    let download = download(executor, order, &work, permission.left(executor), progress)?;
    let directory = executor.records.archives(order.id);
    let cache = archives::cache(&executor.root);
    if let Err(error) = archives::keep(&cache, order.plan, before.native.as_str(), &directory) {
        notes.push(format!("the archives could not be kept for a repair: {error}"));
    }
    conffiles::check_held(executor, order.plan, &before, &permission.apply)?;
    // Waiting and fetching take time: only what is allowed now counts, and what is installed now.
    let permission = self::permission(executor, order)?;
    wait_for(executor, order, &permission, Guarded::Database, progress, &mut notes)?;
    let before = checks::sound_inventory(executor)?;
    checks::check_start(order.plan, &before)?;
    if !executor.is_wanted(order.peer) {
        let message = "the client hung up, or the executor is told to end; nothing was changed";
        return Err(Stop::Failed { message: message.into() });
    }
    Ok(Prepared { before, licence, permission, download, notes })
}

/// Waits as long as leaves what the order is meant to take.
fn wait_for(
    executor: &Executor,
    order: &Order<'_>,
    permission: &Permission,
    guarded: Guarded,
    progress: &mut Progress<'_>,
    notes: &mut Vec<String>,
) -> Result<(), Stop> {
    let limit = time_left(executor, order, permission);
    wait::until_free(executor, guarded, limit, order.peer.is_there, progress, notes)
}

/// Does it, and tells what came of it.
fn carry_out(
    executor: &Executor,
    order: &Order<'_>,
    prepared: Prepared,
    held: &Held,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    let Prepared { before, licence, permission, download, notes } = prepared;
    let left = time_left(executor, order, &permission);
    let mut record = TransactionRecord {
        digest: order.digest.into(),
        permission: permission.word.clone(),
        changes: read_back::changes(order.plan, &before),
        download,
        notes,
        ..record::intent(order.id, order.run, TransactionKind::Apply, (executor.now)())
    };
    marks::remember(executor, order.id, order.plan, &before)?;
    let plan = plan_check::expectation(order.plan);
    atomic_write(&executor.records.expectation(order.id), plan.as_bytes(), 0o600)
        .map_err(|error| Stop::failed(&error))?;
    if let Err(error) = executor.records.begin(&record) {
        marks::forget(executor, order.id);
        return Err(Stop::failed(&error));
    }
    log::info(format_args!(
        "transaction {} of run {}: {} packages, allowed by {:?}, plan {}",
        order.id,
        order.run,
        order.plan.changes().len(),
        record.permission,
        order.digest
    ));
    let beside = conffiles::beside(executor, order.plan, &before);
    let work = work(executor, order, &before, licence, left);
    let why = format!("packages are changed (transaction {})", order.id);
    let inhibitor = executor.inhibitors.take(&why);
    if let Err(why) = &inhibitor {
        record.notes.push(format!("nothing kept the host from shutting down meanwhile: {why}"));
    }
    let inhibitor = inhibitor.ok();
    let (ended, story) = install(executor, &work, inhibitor.as_ref(), progress);
    if let Some(story) = story {
        let (failures, timings, said) = story.end();
        (record.failures, record.timings) = (failures, timings);
        record.notes.extend(said);
    }
    if !ended.as_ref().is_ok_and(|ended| ended.is_success())
        && !outlast(executor, &ended, progress, &mut record)
    {
        // Somebody else works on for it: no outcome is known, and who asks later gets what is read back then.
        record.changes = read_back::changes_again(&record.changes, &executor.inventory());
        return Ok(record);
    }
    record.notes.extend(marks::give_back(executor, order.id, held));
    let (left, said) =
        conffiles::settle(executor, order.plan, &executor.inventory(), &permission.apply, &beside);
    record.left_files = left;
    record.notes.extend(said);
    drop(inhibitor);
    finish(executor, order, &mut record, ended);
    Ok(record)
}

fn install(
    executor: &Executor,
    work: &Work<'_>,
    inhibitor: Option<&Inhibitor>,
    progress: &mut Progress<'_>,
) -> (Result<Ended, AptError>, Option<Story>) {
    let kept = inhibitor.and_then(Inhibitor::descriptor);
    match Watcher::new(progress, &work.status, executor.apt.stall) {
        Ok(mut watcher) => (executor.apt.install(work, &mut watcher, kept), Some(watcher.into_story())),
        Err(error) => (Err(AptError::Output(error)), None),
    }
}

/// After a package manager that did not end well: what it started may work on. Whether nobody does any more.
fn outlast(
    executor: &Executor,
    ended: &Result<Ended, AptError>,
    progress: &mut Progress<'_>,
    record: &mut TransactionRecord,
) -> bool {
    if let Ok(Ended { code: None, .. }) = ended {
        record.notes.push("the package manager was ended by a signal".into());
    }
    wait::until_free(executor, Guarded::Database, Duration::MAX, &|| true, progress, &mut record.notes)
        .is_ok()
}

/// Reads back what came of it and records that.
fn finish(
    executor: &Executor,
    order: &Order<'_>,
    record: &mut TransactionRecord,
    ended: Result<Ended, AptError>,
) {
    let inventory = executor.inventory();
    record.state = TransactionState::Ended;
    record.ended_at = Some((executor.now)());
    record.changes = read_back::changes_again(&record.changes, &inventory);
    record.output_tail = executor.records.log_tail(order.id);
    record.database = damage(executor);
    match ended {
        Ok(ended) => record.exit_code = ended.code,
        Err(error) => {
            let stop = Stop::failed(&error);
            log::error(format_args!("transaction {}: {stop:?}", order.id));
            record.output_tail.push(format!("patchd: {stop:?}"));
        }
    }
    let done = record.changes.iter().filter(|change| change.done).count();
    log::info(format_args!(
        "transaction {}: {done} of {} packages done, exit code {:?}",
        order.id,
        record.changes.len(),
        record.exit_code
    ));
    if let Err(error) = executor.records.end(record) {
        // The client still gets the outcome; who asks later gets what is read back then.
        log::error(format_args!("transaction {}: {:?}", order.id, Stop::failed(&error)));
        return;
    }
    archives::keep_needed(&executor.records.with_archives(), &audit(&executor.root));
    // Bounded while it ran, unless the executor that ran it died.
    let _ = keep_end(&executor.records.log(order.id));
    executor.records.prune();
}

/// Fetches every archive before the first package is touched.
fn download(
    executor: &Executor,
    order: &Order<'_>,
    work: &Work<'_>,
    left: Duration,
    progress: &mut Progress<'_>,
) -> Result<Option<DownloadWire>, Stop> {
    let cache = archives::cache(&executor.root);
    let cached = || archives::cached_bytes(&cache, work.plan, work.native.as_str());
    let (before, said, started) = (cached(), executor.records.log_length(work.id), Moment::now());
    let is_wanted = || executor.is_wanted(order.peer);
    let opened = Watcher::new(progress, &work.status, executor.apt.stall).map_err(AptError::Output);
    let ended = opened.and_then(|watcher| {
        executor.apt.download(work, left.min(DOWNLOAD_LIMIT), &mut watcher.while_wanted(&is_wanted))
    });
    let ended = ended.map_err(|error| Stop::failed(&error))?;
    if ended.cut == Some(Cut::Unwanted) {
        let message = format!("fetching the packages {}; nothing was changed", Cut::Unwanted);
        return Err(Stop::Failed { message });
    }
    if !ended.is_success() {
        let lines = executor.records.log_lines_since(work.id, said);
        return Err(download_failed(work, ended, &lines));
    }
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let bytes = cached().saturating_sub(before);
    Ok((0 < bytes).then_some(DownloadWire { bytes, milliseconds }))
}

fn download_failed(work: &Work<'_>, ended: Ended, lines: &[String]) -> Stop {
    let how = match ended {
        Ended { cut: Some(cut), .. } => cut.to_string(),
        Ended { code: Some(code), .. } => format!("ended with {code}"),
        Ended { code: None, .. } => "was ended by a signal".into(),
    };
    let failure = fetch::failure(work.plan, lines);
    let why = if failure.reasons.is_empty() {
        few(lines.get(lines.len().saturating_sub(3)..).unwrap_or_default())
    } else {
        few(&failure.reasons)
    };
    let code = if failure.is_room { RefusalCode::NoRoom } else { RefusalCode::Download };
    let message = format!("fetching the packages {how}; nothing was changed: {why}");
    Stop::blaming(code, message, failure.blamed)
}

fn work<'a>(
    executor: &Executor,
    order: &Order<'a>,
    before: &'a Inventory,
    licence: Licence,
    lock_wait: Duration,
) -> Work<'a> {
    Work {
        id: order.id,
        plan: order.plan,
        native: &before.native,
        licence,
        log: executor.records.log(order.id),
        status: executor.records.status(order.id),
        lock_wait,
        expectation: executor.records.expectation(order.id),
    }
}
