//! The real host: performs a run's effects with the scan pipeline, the executor, the spool and the journal's index.
//!
//! It decides nothing. What a run needs of a scan is kept until its report is written, and given back after.

mod replies;

use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use patchd_core::package::PackageId;
use patchd_core::plan::Plan;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_core::report::{Assessment, Operation, Report, RunRecord};
use patchd_core::run::event::{Effect, Event, Findings, RefreshOutcome};
use patchd_core::run::{Order, RunId};
use patchd_host::root::Root;
use patchd_host::scan::{ScanRequest, scan};
use patchd_protocol::config::Settings;
use patchd_protocol::control::ReportSummary;
use patchd_protocol::executor::{PackageWire, PlanWire, Verb, digest};
use patchd_protocol::report::native::{OperationWire, ReportDocument};
use tokio::sync::{Notify, watch};

use crate::chain::chain;
use crate::clock::{Clock, SystemClock};
use crate::documents::Documents;
use crate::driver::Host;
use crate::executor_client::ExecutorClient;
use crate::identity::Identities;
use crate::journal::SharedJournal;
use crate::store::spool::Spool;
use crate::sys;

/// How many problems a run remembers of an incomplete assessment. The report has them all.
const MAX_PROBLEMS: usize = 50;

/// Room in the spool that an apply wants to see before it begins.
const REPORT_ROOM: u64 = 1 << 20;

/// What the machine is made of.
#[derive(Debug)]
pub struct Parts {
    pub root: Root,
    pub version: &'static str,
    pub executor: ExecutorClient,
    pub identities: Arc<Identities>,
    pub settings: watch::Receiver<Settings>,
    pub spool: Spool,
    /// Absent where nobody reads them: in a single run.
    pub documents: Option<Documents>,
    pub journal: SharedJournal,
    /// Woken when a report was spooled.
    pub spooled: Arc<Notify>,
}

/// This machine.
#[derive(Debug)]
pub struct Machine {
    parts: Parts,
    /// The last assessment, until its report is written.
    assessed: Mutex<Option<Report>>,
}

impl Machine {
    pub fn new(parts: Parts) -> Self {
        Self { parts, assessed: Mutex::new(None) }
    }

    async fn ask(&self, run: &RunId, verb: Verb) -> Event {
        let name = verb.name();
        let progress = |line: &str| tracing::debug!(run_id = %run, verb = name, "{line}");
        replies::event(self.parts.executor.ask(run, verb, progress).await)
    }

    async fn apply(&self, order: &Order, transaction: String, plan: &Plan) -> Event {
        if let Err(error) = self.parts.spool.check_room(OperationWire::Apply, REPORT_ROOM).await {
            let detail = format!("no report of a change could be kept: {}", chain(&error));
            return Event::Refused { detail };
        }
        let verb = Verb::Apply { transaction, plan: PlanWire::from(plan), digest: digest(plan) };
        self.ask(&order.id, verb).await
    }

    async fn assess(&self, order: &Order, refresh: Option<RefreshOutcome>) -> Event {
        let (cloud, problem) = self.parts.identities.cloud().await;
        let mut problems: Vec<Problem> = problem.into_iter().collect();
        if let Some(RefreshOutcome::Failed { failures }) = refresh {
            problems.extend(failures.into_iter().map(|failure| {
                Problem::new(ProblemKind::RefreshFailed, Weight::Incomplete, "refresh", failure)
            }));
        }
        let (root, id, operation) = (self.parts.root.clone(), order.id.clone(), order.operation);
        let (version, settings) = (self.parts.version, self.parts.settings.borrow().clone());
        let scanned = tokio::task::spawn_blocking(move || {
            let request = ScanRequest {
                id: id.as_str(),
                operation,
                agent_version: version,
                host_id: settings.agent.host_id.as_deref(),
                cloud: cloud.as_ref(),
                windows: &settings.windows,
                max_list_age: SignedDuration::try_from(settings.scan.max_list_age)
                    .unwrap_or(SignedDuration::MAX),
                problems,
                run: None,
            };
            scan(&root, request, || SystemClock.now())
        });
        let report = match scanned.await {
            Ok(report) => report,
            Err(error) => return Event::Lost { detail: format!("a bug of patchd cut the scan: {error}") },
        };
        let findings = Findings {
            assessment: bounded(report.assessment()),
            plan: match operation {
                Operation::Scan => None,
                Operation::Apply => Plan::of_approved(&report.judgement),
            },
        };
        *self.assessed.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        Event::Assessed(findings)
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
        let report = match record {
            Some(record) => report.with_run(record),
            None => report,
        };
        let written = self.write(order, report).await;
        sys::give_memory_back();
        match written {
            Ok(()) => Event::Reported,
            Err(detail) => Event::Lost { detail },
        }
    }

    async fn write(&self, order: &Order, report: Report) -> Result<(), String> {
        let document = ReportDocument::from(&report);
        let key = self.parts.spool.add(&document).await.map_err(|error| chain(&error))?;
        tracing::info!(run_id = %order.id, phase = "reporting", key = key.as_str(), "the report is on disk");
        let summary = ReportSummary {
            id: document.id.clone(),
            operation: document.operation,
            finished_at: document.finished_at,
            assessment: document.assessment,
            summary: document.summary.clone(),
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

impl Host for Machine {
    async fn perform(&self, order: &Order, effect: Effect) -> Event {
        match effect {
            Effect::Refresh { transaction } => self.ask(&order.id, Verb::Refresh { transaction }).await,
            Effect::Assess { refresh } => self.assess(order, refresh).await,
            Effect::Simulate { plan } => {
                self.ask(&order.id, Verb::Simulate { plan: PlanWire::from(&plan) }).await
            }
            Effect::Apply { transaction, plan } => self.apply(order, transaction, &plan).await,
            Effect::Recall { transaction } | Effect::RecallLater { transaction } => {
                self.ask(&order.id, Verb::Recall { transaction }).await
            }
            Effect::ReadBack { plan } => {
                let packages = plan.changes().iter().map(|change| package(&change.package)).collect();
                self.ask(&order.id, Verb::ReadBack { packages }).await
            }
            Effect::Report { record } => self.report(order, record).await,
            Effect::LookAtGates => Event::Lost { detail: "the gates are the agent's to look at".into() },
        }
    }
}

fn package(package: &PackageId) -> PackageWire {
    PackageWire { name: package.name.as_str().into(), architecture: package.architecture.as_str().into() }
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
