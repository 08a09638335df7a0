//! The real host: performs a run's effects with the scan pipeline, the executor, the spool and the journal's index.
//!
//! It decides nothing. What a run needs of a scan is kept until its report is written, and given back after.

mod attempts;
mod gates;
mod proposal;
mod reboot;
mod replies;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::pending::OldCode;
use patchd_core::plan::Plan;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::{Assessment, Operation, Report, RunRecord};
use patchd_core::run::event::{Effect, Event, Findings, RefreshOutcome, Refusal, Stage, Work};
use patchd_core::run::{Order, RunId};
use patchd_host::baseline_files::Ruled;
use patchd_host::root::Root;
use patchd_host::scan::{ScanRequest, scan};
use patchd_protocol::config::Settings;
use patchd_protocol::control::ReportSummary;
use patchd_protocol::executor::{
    HookStage, PackageWire, PlanWire, ProgressWire, RefusalCode, Reply, TransactionRecord, TransactionState,
    Verb, digest,
};
use patchd_protocol::report::key::ReportKey;
use patchd_protocol::report::native::{OperationWire, ReportDocument};
use tokio::sync::{Notify, watch};

use crate::baselines::Baselines;
use crate::chain::chain;
use crate::clock::{Clock, ClockWatch};
use crate::cloud_init::CloudInitWatch;
use crate::documents::Documents;
use crate::driver::{Host, RECALL_PAUSE, RECALL_WAIT};
use crate::executor_client::{ExecutorClient, ExecutorError};
use crate::identity::Identities;
use crate::journal::{JournalError, SharedJournal};
use crate::live::Live;
use crate::store::spool::Spool;
use crate::sys;

/// How many problems a run remembers of an incomplete assessment. The report has them all.
const MAX_PROBLEMS: usize = 50;

/// How often a busy executor is asked again, and after which pause.
const BUSY_TRIES: u32 = 24;
const BUSY_PAUSE: Duration = Duration::from_secs(5);

/// How often what only looks is asked for again after it got no answer.
const LOOK_TRIES: u32 = 2;

/// How long the processes may be looked through.
const LOOK_PATIENCE: Duration = Duration::from_secs(30);

/// How often hooks or a repair are asked for again after they were cut.
const MAX_CUTS: u32 = 10;

/// How long until a report that the disk did not take is tried again: longer each time, up to this.
const REPORT_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_REPORT_PAUSE: Duration = Duration::from_secs(60);

/// Room in the spool that an apply wants to see before it begins.
const REPORT_ROOM: u64 = 1 << 20;

/// How long the process lives that is the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// A run that is cut is carried on by the next start.
    Service,
    /// Nobody carries on what is cut: `patchd once`.
    SingleRun,
}

/// What the machine is made of.
#[derive(Debug)]
pub struct Parts<C> {
    pub life: Life,
    pub clock: Arc<ClockWatch<C>>,
    pub root: Root,
    pub version: &'static str,
    pub executor: ExecutorClient,
    pub identities: Arc<Identities>,
    pub baselines: Baselines,
    pub settings: watch::Receiver<Settings>,
    pub spool: Spool,
    /// Absent where nobody reads them: in a single run.
    pub documents: Option<Documents>,
    /// Where scans keep what they took from the package lists; absent in a single run.
    pub extracts: Option<PathBuf>,
    pub journal: SharedJournal,
    /// Woken when a report was spooled.
    pub spooled: Arc<Notify>,
    pub live: Live,
    pub cloud_init: CloudInitWatch,
}

/// This machine.
#[derive(Debug)]
pub struct Machine<C> {
    parts: Parts<C>,
    /// The last assessment, until its report is written.
    assessed: Mutex<Option<Report>>,
}

impl<C: Clock> Machine<C> {
    pub fn new(parts: Parts<C>) -> Self {
        Self { parts, assessed: Mutex::new(None) }
    }

    /// Asks the executor, tells those who follow what goes on meanwhile, and learns from what it took.
    async fn reply(&self, run: &RunId, verb: Verb) -> Result<Reply, ExecutorError> {
        let name = verb.name();
        let progress = |told: &ProgressWire| {
            match told {
                ProgressWire::Waiting { holder, seconds } => {
                    tracing::info!(run_id = %run, verb = name, seconds, "waiting for {holder}");
                }
                ProgressWire::Stalled { seconds, last } => {
                    tracing::warn!(run_id = %run, verb = name, seconds, last, "the package manager says nothing");
                }
                told => tracing::debug!(run_id = %run, verb = name, "{told:?}"),
            }
            self.parts.live.progress(run, told);
        };
        let reply = self.parts.executor.ask(run, verb, progress).await;
        if let Ok(Reply::Done(record) | Reply::Recalled(Some(record))) = &reply {
            self.learn(record).await;
        }
        reply
    }

    /// The same for what only looks, or is done once: an executor that died before it answered is asked again.
    async fn look(&self, run: &RunId, verb: Verb) -> Result<Reply, ExecutorError> {
        for _ in 0..LOOK_TRIES {
            match self.reply(run, verb.clone()).await {
                Err(error) => {
                    tracing::warn!(run_id = %run, verb = verb.name(), error = chain(&error), "there was no answer; it is asked again");
                }
                reply => return reply,
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        self.reply(run, verb).await
    }

    /// The same for an event. A busy executor is asked again for a while: after a restart of patchd it may be about to end
    /// what nobody waits for any more.
    async fn ask(&self, run: &RunId, verb: Verb) -> Event {
        for _ in 0..BUSY_TRIES {
            let reply = match verb {
                Verb::Simulate { .. } | Verb::ReadBack { .. } => self.look(run, verb.clone()).await,
                _ => self.reply(run, verb.clone()).await,
            };
            match &reply {
                Ok(Reply::Refused(refusal)) if refusal.code == RefusalCode::Busy => {
                    let text = refusal.message.clone();
                    tracing::info!(run_id = %run, verb = verb.name(), "{text}; it is asked again");
                    self.parts.live.progress(run, &ProgressWire::Note { text });
                }
                _ => return replies::event(reply),
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
        replies::event(self.reply(run, verb).await)
    }

    async fn learn(&self, record: &TransactionRecord) {
        let is_telling = record.state == TransactionState::Ended
            && !(record.timings.is_empty() && record.download.is_none());
        if !is_telling {
            return;
        }
        let (id, timings, download) = (record.id.clone(), record.timings.clone(), record.download);
        let learnt = self.parts.journal.with(move |journal| journal.learn(&id, &timings, download)).await;
        if let Err(error) = learnt {
            tracing::warn!(error = chain(&error), "how long this took could not be remembered");
        }
    }

    /// A dry run, and which of what it comes to policy does not name.
    async fn simulate(&self, order: &Order, plan: &Plan) -> Event {
        match self.ask(&order.id, Verb::Simulate { plan: PlanWire::from(plan) }).await {
            Event::Simulated(mut simulation) => {
                simulation.forbidden = proposal::forbidden(&simulation, &self.parts.settings.borrow().apply);
                Event::Simulated(simulation)
            }
            other => other,
        }
    }

    async fn apply(&self, order: &Order, work: Work) -> Event {
        if let Err(error) = self.parts.spool.check_room(OperationWire::Apply, REPORT_ROOM).await {
            let detail = format!("no report of a change could be kept: {}", chain(&error));
            return Event::Refused(Refusal::Everything { detail });
        }
        let verb = Verb::Apply {
            transaction: work.transaction,
            plan: PlanWire::from(&work.plan),
            digest: digest(&work.plan),
            estimate_seconds: u64::try_from(work.estimate.as_secs()).unwrap_or_default(),
            grant: work.granted.as_ref().map(digest),
        };
        self.ask(&order.id, verb).await
    }

    /// Hooks or a repair. Where they are under way already, from before a crash, their end is awaited; where they were
    /// cut, they are asked for again: the executor answers from its record what is done once, and does a repair anew.
    async fn side_transaction(&self, order: &Order, transaction: String, verb: Verb) -> Event {
        let mut cuts = 0;
        loop {
            let reply = match verb {
                // They run once for each id, however often they are asked for.
                Verb::RunHooks { .. } => self.look(&order.id, verb.clone()).await,
                _ => self.reply(&order.id, verb.clone()).await,
            };
            let is_under_way = match &reply {
                Ok(Reply::Done(record)) => record.state == TransactionState::Running,
                Ok(Reply::Refused(refusal)) => refusal.code == RefusalCode::Busy,
                _ => false,
            };
            if !is_under_way {
                return replies::event(reply);
            }
            match self.reply(&order.id, recall(transaction.clone())).await {
                // Something else keeps the executor busy.
                Ok(Reply::Recalled(None)) => tokio::time::sleep(RECALL_PAUSE).await,
                Ok(Reply::Recalled(Some(record))) if record.state == TransactionState::Interrupted => {
                    cuts += 1;
                    if MAX_CUTS < cuts {
                        return replies::event(Ok(Reply::Done(record)));
                    }
                }
                Ok(Reply::Recalled(Some(_))) => {}
                other => return replies::event(other),
            }
        }
    }

    /// The old code in memory, which only root sees all of. An executor that is silent holds no report up.
    async fn old_code(&self, run: &RunId) -> OldCode {
        match tokio::time::timeout(LOOK_PATIENCE, self.reply(run, Verb::Processes {})).await {
            Ok(reply) => replies::old_code(reply),
            Err(_) => OldCode::unknown("the executor gave no answer in time"),
        }
    }

    /// What the host is judged by now, and what is to be said beside it.
    async fn ruling(&self, settings: &Settings) -> Ruled {
        let now = self.parts.clock.now();
        let (group, problem) = match &settings.agent.patch_group {
            Some(group) => (Some(group.clone()), None),
            // Without groups that have a baseline of their own, no tag makes a difference.
            None if settings.baseline.groups.is_empty() => {
                (self.parts.identities.patch_group().await.0, None)
            }
            None => self.parts.identities.patch_group().await,
        };
        let (ruling, mut problems) = self.parts.baselines.ruling(settings, group.as_deref(), now).await;
        problems.extend(problem);
        (ruling, problems)
    }

    async fn assess(&self, order: &Order, refresh: Option<RefreshOutcome>) -> Event {
        match self.try_to_assess(order, refresh).await {
            Ok(findings) => Event::Assessed(findings),
            Err(detail) => Event::Lost { detail },
        }
    }

    /// Scans; an error is a sentence.
    async fn try_to_assess(
        &self,
        order: &Order,
        refresh: Option<RefreshOutcome>,
    ) -> Result<Findings, String> {
        let instance = self.parts.settings.borrow().agent.instance.clone();
        let (cloud, problem) = self.parts.identities.cloud(instance.as_ref()).await;
        let mut problems: Vec<Problem> = problem.into_iter().collect();
        if let Some(RefreshOutcome::Failed { failures }) = refresh {
            problems.extend(failures.into_iter().map(|failure| {
                Problem::new(ProblemKind::RefreshFailed, Weight::Incomplete, "refresh", failure)
            }));
        }
        let (root, id, operation) = (self.parts.root.clone(), order.id.clone(), order.operation);
        let (version, settings) = (self.parts.version, self.parts.settings.borrow().clone());
        let is_paused =
            self.parts.journal.with(|journal| journal.is_paused()).await.map_err(|error| chain(&error))?;
        let mut ruled = self.ruling(&settings).await;
        if operation == Operation::Apply {
            ruled = self.parts.baselines.for_apply(&settings, ruled).await;
        }
        let (ruling, said) = ruled;
        problems.extend(said);
        let seen = self.parts.journal.with(|journal| journal.first_seen()).await;
        let seen = Arc::new(seen.map_err(|error| chain(&error))?);
        let (known, clock) = (Arc::clone(&seen), Arc::clone(&self.parts.clock));
        let old_code = self.old_code(&order.id).await;
        let (attempts, waits) = (self.attempts().await, self.waiting_reboot().await);
        let extracts = self.parts.extracts.clone();
        let scanned = tokio::task::spawn_blocking(move || {
            let freeze = settings.frozen(clock.now());
            let request = ScanRequest {
                id: id.as_str(),
                operation,
                agent_version: version,
                host_id: settings.agent.host_id.as_deref(),
                cloud: cloud.as_ref(),
                ruling: &ruling,
                first_seen: &known,
                windows: &settings.windows,
                is_paused,
                freeze: freeze.as_ref(),
                attempts: &attempts,
                max_list_age: SignedDuration::try_from(settings.scan.max_list_age)
                    .unwrap_or(SignedDuration::MAX),
                extracts: extracts.as_deref(),
                problems,
                run: None,
                old_code: Some(old_code),
            };
            scan(&root, request, || clock.now()).with_waiting_reboot(waits.as_deref())
        });
        let report = scanned.await.map_err(|error| format!("a bug of patchd cut the scan: {error}"))?;
        let report = self.note_first_seen(report, seen).await.map_err(|error| chain(&error))?;
        let proposal = match operation {
            Operation::Scan => None,
            Operation::Apply => {
                let pace = self.parts.journal.with(|journal| journal.pace()).await;
                proposal::of(&self.parts.root, &report, &pace.map_err(|error| chain(&error))?)
            }
        };
        let findings = Findings { assessment: bounded(report.assessment()), proposal };
        *self.assessed.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        Ok(findings)
    }

    /// Takes down which versions this scan saw for the first time. A clock that is not believed dates nothing.
    async fn note_first_seen(&self, report: Report, known: Arc<FirstSeen>) -> Result<Report, JournalError> {
        if self.parts.clock.distrust().is_some() {
            return Ok(report);
        }
        let now = report.started_at;
        let noting = self.parts.journal.with(move |journal| {
            journal.note_first_seen(&report.inventory, &report.offers, &known, now)?;
            Ok(report)
        });
        noting.await
    }

    async fn report(&self, order: &Order, record: Option<RunRecord>) -> Event {
        let id = order.id.to_string();
        let known = self.parts.journal.with(move |journal| journal.run_summary(&id)).await;
        if known.is_ok_and(|known| known.is_some_and(|run| run.report.is_some())) {
            // It was written before a crash that came too soon to say so.
            return Event::Reported;
        }
        let assessed = self.assessed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(report) = assessed else {
            return Event::Lost { detail: "nothing was assessed that could be reported".into() };
        };
        let is_dear = record.as_ref().is_some_and(RunRecord::tells_of_changes);
        let report = match record {
            Some(record) => report.with_run(record),
            None => report,
        };
        let written = self.write(order, report, is_dear).await;
        sys::give_memory_back();
        match written {
            Ok(()) => Event::Reported,
            Err(detail) => Event::Lost { detail },
        }
    }

    /// Puts a report on disk. A dear one, which tells of changes, is tried again until the disk takes it: they can't be
    /// told of by another report, and on a disk that takes nothing no other run could do anything either.
    async fn spool(
        &self,
        order: &Order,
        document: &ReportDocument,
        is_dear: bool,
    ) -> Result<ReportKey, String> {
        let mut pause = REPORT_PAUSE;
        loop {
            let error = match self.parts.spool.add(document).await {
                Ok(key) => return Ok(key),
                Err(error) => chain(&error),
            };
            tracing::error!(run_id = %order.id, error, again = is_dear, "the report could not be written");
            if !is_dear {
                return Err(error);
            }
            let text = format!("the report could not be written, and is tried again: {error}");
            self.parts.live.progress(&order.id, &ProgressWire::Note { text });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_REPORT_PAUSE);
        }
    }

    async fn write(&self, order: &Order, report: Report, is_dear: bool) -> Result<(), String> {
        let document = ReportDocument::from(&report);
        let key = self.spool(order, &document, is_dear).await?;
        tracing::info!(run_id = %order.id, phase = "reporting", key = key.as_str(), "the report is on disk");
        let summary = ReportSummary {
            id: document.id.clone(),
            operation: document.operation,
            finished_at: document.finished_at,
            assessment: document.assessment,
            summary: document.summary.clone(),
            needs_reboot: Some(document.host.needs_reboot.answer),
            key: None,
        };
        let id = order.id.clone();
        let recorded =
            self.parts.journal.with(move |journal| journal.record_report(&id, key.as_str(), &summary)).await;
        if let Err(error) = recorded {
            tracing::error!(run_id = %order.id, error = chain(&error), "the journal's index misses this report");
        }
        self.parts.spooled.notify_one();
        if let Some(documents) = self.parts.documents.clone() {
            let written = tokio::task::spawn_blocking(move || documents.write(&report, &document)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(run_id = %order.id, error = chain(&error), "readers get older documents than this report");
            }
        }
        Ok(())
    }
}

impl<C: Clock> Host for Machine<C> {
    async fn perform(&self, order: &Order, effect: Effect) -> Event {
        match effect {
            Effect::Refresh { transaction } => self.ask(&order.id, Verb::Refresh { transaction }).await,
            Effect::Assess { refresh } => self.assess(order, refresh).await,
            Effect::Simulate { plan } => self.simulate(order, &plan).await,
            Effect::LookAtGates { plan } => self.look_at_gates(order, plan.as_ref()).await,
            Effect::RunHooks { transaction, stage } => {
                let stage = match stage {
                    Stage::PrePatch => HookStage::PrePatch,
                    Stage::PostPatch => HookStage::PostPatch,
                    Stage::PreReboot => HookStage::PreReboot,
                };
                let verb = Verb::RunHooks { transaction: transaction.clone(), stage };
                self.side_transaction(order, transaction, verb).await
            }
            Effect::Apply(work) => self.apply(order, work).await,
            Effect::Recall { transaction } | Effect::RecallLater { transaction } => {
                self.ask(&order.id, recall(transaction)).await
            }
            Effect::Repair { transaction } | Effect::RepairLater { transaction } => {
                let verb = Verb::Repair { transaction: transaction.clone() };
                self.side_transaction(order, transaction, verb).await
            }
            Effect::ReadBack { packages } => {
                let packages: Vec<PackageWire> = packages.iter().map(PackageWire::from).collect();
                match self.ask(&order.id, Verb::ReadBack { packages }).await {
                    Event::Refused(refusal) => Event::Lost { detail: refusal.detail().into() },
                    other => other,
                }
            }
            Effect::WeighReboot => self.weigh_reboot(order).await,
            Effect::Reboot { transaction, boot_id } => {
                self.ask(&order.id, Verb::Reboot { transaction, boot_id }).await
            }
            Effect::AwaitReboot { transaction, boot_id } => {
                self.await_reboot(order, transaction, &boot_id).await
            }
            Effect::Report { record } => self.report(order, record).await,
        }
    }
}

fn recall(transaction: String) -> Verb {
    Verb::Recall { transaction, wait_seconds: Duration::as_secs(&RECALL_WAIT) }
}

fn bounded(assessment: Assessment) -> Assessment {
    match assessment {
        Assessment::Complete => Assessment::Complete,
        Assessment::Incomplete { mut because } => {
            because.truncate(MAX_PROBLEMS);
            Assessment::Incomplete { because }
        }
    }
}
