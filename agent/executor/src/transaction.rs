//! One transaction from order to record. Read `apply`: every reason to refuse stands there in its order, before the line
//! that writes the intent; from that line on the answer is a record, whatever happens.

use std::time::Duration;

use jiff::Timestamp;
use patchd_core::inventory::{Inventory, Mark};
use patchd_core::package::{PackageId, Version};
use patchd_core::plan::Plan;
use patchd_core::problem::ProblemKind;
use patchd_core::version::VersionScheme;
use patchd_core::window::Occurrence;
use patchd_protocol::executor::{RefusalCode, TransactionKind, TransactionRecord, TransactionState};

use crate::apt::{AptError, Simulation, Work};
use crate::child::Ended;
use crate::record::RecordError;
use crate::refusal::Stop;
use crate::verbs::{Executor, Progress, output};
use crate::{log, read_back, record, text};

/// The longest that archives may take to be fetched, and that apt may wait for another package manager. The window's
/// cutoff makes both shorter.
const DOWNLOAD_LIMIT: Duration = Duration::from_secs(60 * 60);
const LOCK_WAIT_LIMIT: Duration = Duration::from_secs(10 * 60);

/// How many lines of a difference a refusal tells.
const MAX_DIFFERENCES: usize = 20;

/// What is to be done, as a client asked for it, in words that were checked.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) run: &'a str,
    pub(crate) id: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) digest: &'a str,
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
    let _held = executor.hold(&format!("transaction {}", order.id))?;
    if let Some(known) = recall_same(executor, order)? {
        return Ok(known);
    }
    executor.policy.open_window((executor.now)())?;
    let before = inventory(executor)?;
    check_start(order.plan, &before)?;
    check_simulation(
        order.plan,
        &executor.apt.simulate(order.plan, &before).map_err(|error| Stop::failed(&error))?,
    )?;
    let path = executor.records.log(order.id);
    let mut work = Work { plan: order.plan, native: &before.native, log: &path, lock_wait: Duration::ZERO };
    download(executor, order, &mut work, progress)?;
    // Waiting for archives takes time: only the window as it is now counts.
    let now = (executor.now)();
    let window = executor.policy.open_window(now)?;

    let mut record = intent(order, &before, now);
    executor.records.begin(&record).map_err(|error| Stop::failed(&error))?;
    log::info(format_args!(
        "transaction {} of run {}: {} packages in window {:?}, plan {}",
        order.id,
        order.run,
        order.plan.changes().len(),
        window.name,
        order.digest
    ));
    work.lock_wait = time_left(&window, now).min(LOCK_WAIT_LIMIT);
    let ended = executor.apt.install(&work, &mut |line| progress(output(line)));
    restore_marks(executor, order, &before);
    finish(executor, order, &mut record, ended);
    Ok(record)
}

/// The record of a transaction as it is now: what it did so far is read back unless its end was recorded.
pub(crate) fn recall(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    let record = executor.records.find(id).map_err(|error| Stop::failed(&error))?;
    Ok(record.map(|mut record| {
        if record.state != TransactionState::Ended {
            record.changes = read_back::changes_again(&record.changes, &executor.inventory());
            record.output_tail = executor.records.log_tail(id);
        }
        record
    }))
}

/// What is known of an order that was given before. The same id with another plan is another order, and refused.
fn recall_same(executor: &Executor, order: &Order<'_>) -> Result<Option<TransactionRecord>, Stop> {
    let Some(record) = recall(executor, order.id)? else { return Ok(None) };
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

/// The inventory, if the package database can be relied on.
fn inventory(executor: &Executor) -> Result<Inventory, Stop> {
    let inventory = executor.inventory();
    let is_doubtful = |kind| {
        matches!(
            kind,
            ProblemKind::Unreadable | ProblemKind::Truncated | ProblemKind::TooLarge | ProblemKind::Duplicate
        )
    };
    match inventory.problems.iter().find(|problem| is_doubtful(problem.kind)) {
        None => Ok(inventory),
        Some(problem) => {
            Err(Stop::Failed { message: format!("the package database is in doubt: {problem}") })
        }
    }
}

/// Refuses a plan that starts from another state than the host's, or that takes anything back.
fn check_start(plan: &Plan, before: &Inventory) -> Result<(), Stop> {
    let mut differences = Vec::new();
    let mut downgrades = Vec::new();
    for change in plan.changes() {
        let installed = read_back::find(before, &change.package).map(|installed| &installed.version);
        if installed != change.from.as_ref() {
            let text =
                |version: Option<&Version>| version.map_or("not installed", Version::as_str).to_owned();
            let (is, planned) = (text(installed), text(change.from.as_ref()));
            differences.push(format!("{} is {is}, and the plan starts from {planned}", change.package));
        }
        if change.from.as_ref().is_some_and(|from| VersionScheme::Deb.compare(&change.to, from).is_lt()) {
            downgrades.push(format!("{} would go down to {}", change.package, change.to));
        }
    }
    if !downgrades.is_empty() {
        return Err(Stop::refused(RefusalCode::NotAllowed, few(&downgrades)));
    }
    if !differences.is_empty() {
        return Err(Stop::refused(RefusalCode::PlanDiffers, few(&differences)));
    }
    Ok(())
}

/// Refuses a plan that the package manager's dry run does not reproduce to the letter.
fn check_simulation(plan: &Plan, simulation: &Simulation) -> Result<(), Stop> {
    if let Some(refusal) = &simulation.refusal {
        let message = format!("apt-get would not do it: {}", text::cut(refusal));
        return Err(Stop::refused(RefusalCode::PlanDiffers, message));
    }
    if !simulation.removals.is_empty() {
        let names: Vec<_> = simulation.removals.iter().map(|name| format!("would remove: {name}")).collect();
        return Err(Stop::refused(RefusalCode::NotAllowed, few(&names)));
    }
    let differences = plan.difference(&simulation.changes, &simulation.removals);
    if differences.is_empty() {
        return Ok(());
    }
    Err(Stop::refused(RefusalCode::PlanDiffers, few(&differences)))
}

/// Fetches every archive before the first package is touched.
fn download(
    executor: &Executor,
    order: &Order<'_>,
    work: &mut Work<'_>,
    progress: &mut Progress<'_>,
) -> Result<(), Stop> {
    let now = (executor.now)();
    let window = executor.policy.open_window(now)?;
    let left = time_left(&window, now);
    let limit = left.min(DOWNLOAD_LIMIT);
    work.lock_wait = left.min(LOCK_WAIT_LIMIT);
    let ended = executor
        .apt
        .download(work, limit, &mut |line| progress(output(line)))
        .map_err(|error| Stop::failed(&error))?;
    if ended.is_success() {
        return Ok(());
    }
    let how = match ended {
        Ended { is_overdue: true, .. } => format!("took longer than {} seconds", limit.as_secs()),
        Ended { code: Some(code), .. } => format!("ended with {code}"),
        Ended { code: None, .. } => "was ended by a signal".into(),
    };
    let tail = executor.records.log_tail(order.id);
    let last = tail.get(tail.len().saturating_sub(5)..).unwrap_or_default().join("; ");
    Err(Stop::Failed { message: format!("fetching the packages {how}; nothing was changed: {last}") })
}

fn intent(order: &Order<'_>, before: &Inventory, now: Timestamp) -> TransactionRecord {
    TransactionRecord {
        digest: order.digest.into(),
        changes: read_back::changes(order.plan, before),
        ..record::intent(order.id, order.run, TransactionKind::Apply, now)
    }
}

/// Gives packages back the automatic mark that naming them took away.
fn restore_marks(executor: &Executor, order: &Order<'_>, before: &Inventory) {
    let after = executor.inventory();
    let is_marked = |inventory: &Inventory, id: &PackageId| {
        read_back::find(inventory, id).map(|package| package.mark == Mark::Automatic)
    };
    let packages = order.plan.changes().iter().map(|change| &change.package);
    let lost = |id: &&PackageId| is_marked(before, id) == Some(true) && is_marked(&after, id) == Some(false);
    let lost: Vec<PackageId> = packages.filter(lost).cloned().collect();
    if lost.is_empty() {
        return;
    }
    let marked = executor.apt.mark_automatic(&lost, &executor.records.log(order.id));
    if !marked.is_ok_and(Ended::is_success) {
        let names: Vec<_> = lost.iter().map(ToString::to_string).collect();
        log::warning(format_args!(
            "transaction {}: the automatic mark of {} could not be given back; run apt-mark auto",
            order.id,
            few(&names)
        ));
    }
}

/// Reads back what came of it and records that.
fn finish(
    executor: &Executor,
    order: &Order<'_>,
    record: &mut TransactionRecord,
    ended: Result<Ended, AptError>,
) {
    record.state = TransactionState::Ended;
    record.ended_at = Some((executor.now)());
    record.changes = read_back::changes(order.plan, &executor.inventory());
    record.output_tail = executor.records.log_tail(order.id);
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
    }
}

fn time_left(window: &Occurrence, now: Timestamp) -> Duration {
    Duration::try_from(window.cutoff.duration_since(now)).unwrap_or_default()
}

fn few(lines: &[String]) -> String {
    let mut text: Vec<_> = lines.iter().take(MAX_DIFFERENCES).map(|line| text::cut(line)).collect();
    if MAX_DIFFERENCES < lines.len() {
        text.push(format!("and {} more", lines.len() - MAX_DIFFERENCES));
    }
    text.join("; ")
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Busy { .. } => Self::refused(RefusalCode::Busy, error.to_string()),
            error => Self::failed(&error),
        }
    }
}
