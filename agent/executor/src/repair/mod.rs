//! Making the package database whole: finishing what was cut, and installing again what only that puts right.
//!
//! Read `mend`: its steps stand there in their order, each done once. What is damaged is read from the database before
//! and after, never from an exit code: `dpkg --configure -a` and `apt-get -f install` succeed beside a package that is
//! half installed. What can't be mended is told, and left as it is.

mod kept;
mod permit;

use std::io::Write;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use patchd_core::inventory::Want;
use patchd_core::package::{PackageId, Version};
use patchd_host::dpkg::audit::{Finding, audit};
use patchd_protocol::executor::{
    PackageFailureWire, ProgressWire, RefusalCode, TransactionKind, TransactionRecord, TransactionState,
};

pub(crate) use self::permit::{by_policy, unfinished};
use crate::apt::{Reinstallation, Reinstalled};
use crate::child::{Ended, keep_end, open_to_append};
use crate::inhibitor::Inhibitor;
use crate::observe::damage;
use crate::progress::Watcher;
use crate::record::{self, Held};
use crate::refusal::Stop;
use crate::transaction::wait::{self, Guarded};
use crate::transaction::{marks, recall};
use crate::verbs::{Executor, Progress};
use crate::{log, text};

/// How long others may stay at work before a repair is put off.
const WAIT: Duration = Duration::from_secs(10 * 60);

/// How long apt may wait for a lock that somebody took in the moment in between.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// The most packages that are installed again one by one, when apt would not take them together.
const MAX_SINGLE: usize = 20;

/// The most failures and notes of a record.
const MAX_TOLD: usize = 100;

/// Repairs, once: asked again with the same id, the answer is the record, unless it was cut. Then it is done again.
pub(crate) fn repair(
    executor: &Executor,
    run: &str,
    id: &str,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    if let Some(ended) = ended(executor, id)? {
        return Ok(ended);
    }
    let held = executor.hold(&format!("repair {id}"))?;
    if let Some(ended) = ended(executor, id)? {
        return Ok(ended);
    }
    let word = permit::permission(executor)?;
    let mut notes = Vec::new();
    wait::until_free(executor, Guarded::Archives, WAIT, &|| true, progress, &mut notes)?;
    let intent = record::intent(id, run, TransactionKind::Repair, (executor.now)());
    let intent = TransactionRecord { permission: word, notes, ..intent };
    let mut record = match last(executor, id)? {
        None => {
            executor.records.begin(&intent).map_err(|error| Stop::failed(&error))?;
            intent
        }
        Some(cut) => {
            let notes = ["the executor died while this was under way; it is done again".to_owned()];
            let notes = notes.into_iter().chain(intent.notes).collect();
            TransactionRecord { notes, permission: intent.permission, ..cut }
        }
    };
    log::info(format_args!("repair {id} of run {run}, allowed by {:?}", record.permission));
    let failed = if audit(&executor.root).is_empty() {
        record.notes.push("nothing was wrong with the package database".into());
        None
    } else {
        inhibited(executor, &mut record, progress)
    };
    let is_quiet =
        wait::until_free(executor, Guarded::Database, Duration::MAX, &|| true, progress, &mut record.notes);
    if is_quiet.is_err() {
        // A script works on, and the executor is told to end: the repair is cut, and done again by who asks next.
        return Ok(record);
    }
    finish(executor, record, failed, &held)
}

/// Mends, while nobody shuts the host down. How the first step that failed ended.
fn inhibited(
    executor: &Executor,
    record: &mut TransactionRecord,
    progress: &mut Progress<'_>,
) -> Option<Option<i32>> {
    let inhibitor = executor.inhibitors.take(&format!("packages are repaired (transaction {})", record.id));
    let kept = inhibitor.as_ref().ok().and_then(Inhibitor::descriptor);
    let mut job = Job { executor, record, kept, failed: None };
    if let Err(why) = &inhibitor {
        job.note(format!("nothing kept the host from shutting down meanwhile: {why}"));
    }
    mend(&mut job, progress);
    job.failed
}

fn last(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    executor.records.last(id).map_err(|error| Stop::failed(&error))
}

fn ended(executor: &Executor, id: &str) -> Result<Option<TransactionRecord>, Stop> {
    let Some(record) = last(executor, id)? else { return Ok(None) };
    if record.kind != TransactionKind::Repair {
        let message = format!("transaction {id} was no repair");
        return Err(Stop::refused(RefusalCode::Malformed, message));
    }
    Ok(Some(record).filter(|record| record.state == TransactionState::Ended))
}

/// One repair under way.
struct Job<'a> {
    executor: &'a Executor,
    record: &'a mut TransactionRecord,
    /// Stays open in whatever changes packages, so that the inhibitor holds should the executor die.
    kept: Option<BorrowedFd<'a>>,
    /// How the first step that failed ended.
    failed: Option<Option<i32>>,
}

/// A package that only an archive puts right.
type Broken = (PackageId, Option<Version>);

fn mend(job: &mut Job<'_>, progress: &mut Progress<'_>) {
    job.configure(progress);
    let broken = job.broken();
    if broken.is_empty() {
        return;
    }
    job.install_kept(&broken, progress);
    job.reinstall(progress);
    if audit(&job.executor.root).iter().any(is_for_dpkg) {
        job.configure(progress);
    }
}

fn is_for_dpkg(finding: &Finding) -> bool {
    match finding {
        Finding::Journal => true,
        Finding::Package { damage, .. } => !damage.needs_archive(),
        Finding::Unreadable(_) => false,
    }
}

impl Job<'_> {
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        log::info(format_args!("repair {}: {text}", self.record.id));
        if self.record.notes.len() < MAX_TOLD {
            self.record.notes.push(text::cut(&text));
        }
    }

    /// The packages that are to be installed again, without those that somebody wanted gone.
    fn broken(&self) -> Vec<Broken> {
        let package = |finding: Finding| match finding {
            Finding::Package { want: Want::Deinstall | Want::Purge, .. } => None,
            Finding::Package { id, version, damage, .. } if damage.needs_archive() => Some((id, version)),
            _ => None,
        };
        audit(&self.executor.root).into_iter().filter_map(package).collect()
    }

    /// Finishes what is unpacked or half configured, and takes over the journal.
    fn configure(&mut self, progress: &mut Progress<'_>) {
        let (executor, kept, log) = (self.executor, self.kept, self.executor.records.log(&self.record.id));
        self.watched("dpkg --configure -a", progress, |watcher| {
            executor.dpkg.configure_all(&log, kept, watcher).map_err(|error| Stop::failed(&error))
        });
    }

    /// Installs what was kept of transactions that were not finished.
    fn install_kept(&mut self, broken: &[Broken], progress: &mut Progress<'_>) {
        let (executor, kept) = (self.executor, self.kept);
        let archives = kept::archives(&executor.records.with_archives(), executor.policy.owner());
        let native = executor.inventory().native;
        let found =
            broken.iter().filter_map(|(id, version)| kept::find(&archives, id, version.as_ref(), &native));
        let paths: Vec<_> = found.map(|archive| archive.path.as_path()).collect();
        if paths.is_empty() {
            return;
        }
        let log = executor.records.log(&self.record.id);
        let what = format!("dpkg --install of kept archives: {}", kept::names(&paths));
        self.watched(&what, progress, |watcher| {
            executor.dpkg.install(&paths, &log, kept, watcher).map_err(|error| Stop::failed(&error))
        });
    }

    /// Has apt fetch what is still broken: all at once, since it refuses any part while there is another; else one by
    /// one, for those that it can.
    fn reinstall(&mut self, progress: &mut Progress<'_>) {
        let broken = self.versioned();
        if broken.is_empty() {
            return;
        }
        // apt forgets the marks of what it is told to install by name; they are given back at the end.
        let (executor, ids) = (self.executor, broken.iter().map(|(id, _)| id));
        if let Err(stop) = marks::remember_these(executor, &self.record.id, ids, &executor.inventory()) {
            return self.note(format!(
                "the marks of packages could not be kept, and none was reinstalled: {stop:?}"
            ));
        }
        if self.reinstall_these(&broken, progress) || broken.len() == 1 {
            return;
        }
        for package in broken.iter().take(MAX_SINGLE) {
            self.reinstall_these(std::slice::from_ref(package), progress);
        }
    }

    /// What is still broken, with the version to install: what a transaction of ours was bringing, else what was there.
    fn versioned(&self) -> Vec<(PackageId, Version)> {
        let records = self.executor.records.all();
        let planned = |id: &PackageId| {
            let changes = records.iter().rev().flat_map(|record| &record.changes);
            let mut ours = changes
                .filter(|change| !change.done && change.name == id.name.as_str())
                .filter(|change| change.architecture == id.architecture.as_str());
            ours.find_map(|change| Version::parse(change.planned.as_deref()?).ok())
        };
        let version = |(id, present): Broken| {
            let version = planned(&id).or(present)?;
            Some((id, version))
        };
        self.broken().into_iter().filter_map(version).collect()
    }

    fn reinstall_these(&mut self, packages: &[(PackageId, Version)], progress: &mut Progress<'_>) -> bool {
        let (executor, kept, id) = (self.executor, self.kept, self.record.id.clone());
        let (log, status) = (executor.records.log(&id), executor.records.status(&id));
        let before = executor.inventory();
        let names: Vec<_> = packages.iter().map(|(id, version)| format!("{id}={version}")).collect();
        let what = format!("apt-get install --reinstall of {}", names.join(" "));
        let mut refusal = None;
        let is_done = self.watched(&what, progress, |watcher| {
            let call = Reinstallation { packages, inventory: &before, log: &log, status: &status, kept };
            let reinstalled = executor.apt.reinstall(&call, LOCK_WAIT, watcher);
            match reinstalled.map_err(|error| Stop::failed(&error))? {
                Reinstalled::Ran(ended) => Ok(ended),
                Reinstalled::Refused(why) => {
                    refusal = Some(why);
                    Ok(Ended { code: Some(100), cut: None })
                }
            }
        });
        if let Some(why) = refusal {
            self.note(format!("apt-get would not do it: {why}"));
        }
        is_done
    }

    /// Runs one step, and keeps how it ended and who failed in it. Whether it ended well.
    fn watched(
        &mut self,
        what: &str,
        progress: &mut Progress<'_>,
        run: impl FnOnce(&mut Watcher<'_>) -> Result<Ended, Stop>,
    ) -> bool {
        let records = &self.executor.records;
        let (log, status) = (records.log(&self.record.id), records.status(&self.record.id));
        progress(ProgressWire::Note { text: text::cut(what) });
        // Should this be cut, its output tells how far it was.
        if let Err(error) = open_to_append(&log).and_then(|mut file| writeln!(file, "patchd: {what}")) {
            self.note(format!("the output has no word of {what}: {error}"));
        }
        let mut watcher = match Watcher::new(progress, &status, self.executor.apt.stall) {
            Ok(watcher) => watcher,
            Err(error) => {
                self.failed = self.failed.or(Some(None));
                self.note(format!("{what} could not be watched, and was not run: {error}"));
                return false;
            }
        };
        let ended = run(&mut watcher);
        let (failures, _, notes) = watcher.into_story().end();
        failures.into_iter().for_each(|failure| self.fail(failure));
        notes.into_iter().for_each(|note| self.note(note));
        let (is_done, how) = match &ended {
            Ok(ended) => (ended.is_success(), Some(ended.code)),
            Err(_) => (false, None),
        };
        match ended {
            Ok(Ended { code: Some(code), .. }) => self.note(format!("{what} ended with {code}")),
            Ok(Ended { code: None, .. }) => self.note(format!("{what} was ended by a signal")),
            Err(stop) => self.note(format!("{what} could not be run: {stop:?}")),
        }
        if !is_done {
            self.failed = self.failed.or(Some(how.flatten()));
        }
        is_done
    }

    /// Keeps a package's failure; of one that fails again, the last words count.
    fn fail(&mut self, failure: PackageFailureWire) {
        let failures = &mut self.record.failures;
        let has_room = failures.len() < MAX_TOLD;
        match failures.iter_mut().find(|earlier| earlier.name == failure.name) {
            Some(earlier) => *earlier = failure,
            None if has_room => failures.push(failure),
            None => {}
        }
    }
}

/// Reads back what came of it and records that.
fn finish(
    executor: &Executor,
    mut record: TransactionRecord,
    failed: Option<Option<i32>>,
    held: &Held,
) -> Result<TransactionRecord, Stop> {
    recall::clean_up(executor, held);
    record.state = TransactionState::Ended;
    record.ended_at = Some((executor.now)());
    record.exit_code = failed.unwrap_or(Some(0));
    record.output_tail = executor.records.log_tail(&record.id);
    record.database = damage(executor);
    // Who failed first and was put right later is told by the notes.
    let is_wrong = |failure: &PackageFailureWire| {
        let is_file = failure.name.contains('/');
        let bare = failure.name.split(':').next().unwrap_or_default();
        is_file || record.database.iter().any(|line| line.split(':').next() == Some(bare))
    };
    record.failures.retain(is_wrong);
    log::info(format_args!(
        "repair {}: left {:?}, exit code {:?}",
        record.id, record.database, record.exit_code
    ));
    executor.records.end(&record).map_err(|error| Stop::failed(&error))?;
    let _ = keep_end(&executor.records.log(&record.id));
    executor.records.prune();
    Ok(record)
}
