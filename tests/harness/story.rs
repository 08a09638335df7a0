//! A host on which stories of applying are played: patchd and the executor at work, a repository of its own, windows that
//! are always open. The scheduler's own run comes first and finds nothing, so that every other run is the story's.

use anyhow::{Context, Result, bail};
use patchd_protocol::control::{RunAnswer, RunPhase, RunSummary};
use patchd_protocol::report::native::{ReportDocument, RunWire, SetbackWire, TransactionKindWire};
use serde_json::{Value, json};

use crate::agent_host::{AgentHost, always_open};
use crate::repository::ToyPackage;
use crate::supervised::Supervised;

/// A run of toy packages has so many seconds.
const PATIENCE: u64 = 120;

/// Packages at 1.0, and this beside the configuration of a lab.
pub fn host(packages: &[ToyPackage], more: &str) -> Result<AgentHost> {
    let host = AgentHost::build(packages)?;
    host.root.write("/etc/patchd/patchd.toml", format!("{more}\n{}", always_open()))?;
    Ok(host)
}

/// What a run came to.
#[derive(Debug)]
pub struct Told {
    pub summary: RunSummary,
    pub report: ReportDocument,
}

impl Told {
    pub fn run(&self) -> Result<&RunWire> {
        self.report.run.as_ref().context("the report tells of no run")
    }

    /// What was read back as done, as `NAME BEFORE AFTER`, sorted.
    pub fn done(&self) -> Result<Vec<String>> {
        let changes = self.run()?.transactions.iter().flat_map(|transaction| &transaction.changes);
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".into());
        let mut done: Vec<String> = changes
            .filter(|change| change.done)
            .map(|change| format!("{} {} {}", change.name, version(&change.before), version(&change.after)))
            .collect();
        done.sort();
        Ok(done)
    }

    /// How many calls of the package manager changed packages by plan.
    pub fn transactions(&self) -> Result<usize> {
        let transactions = self.run()?.transactions.iter();
        Ok(transactions.filter(|transaction| transaction.kind == TransactionKindWire::Apply).count())
    }

    /// What the report says of a package that failed or waits.
    pub fn setback(&self, name: &str) -> Result<Option<&SetbackWire>> {
        let run = self.run()?;
        let is = |package: &String| package.split(':').next() == Some(name);
        Ok(run.failed.iter().chain(&run.waiting).find(|setback| setback.packages.iter().any(is)))
    }

    /// Why the report says that an update waits, as `CODE: SENTENCE`.
    pub fn reason(&self, name: &str) -> Option<String> {
        let update = self.report.updates.iter().find(|update| update.name == name)?;
        Some(format!("{}: {}", update.reason.as_str(), update.detail))
    }
}

/// Starts patchd and waits until the scheduler has done what it does of itself.
pub fn settle(host: &mut Supervised<'_>) -> Result<()> {
    host.start_patchd()?;
    host.until("the scheduler's first run", PATIENCE, |host| {
        let Ok(runs) = host.runs() else { return Ok(None) };
        let is_over = !runs.is_empty() && runs.iter().all(|run| run.phase == RunPhase::Concluded);
        Ok(is_over.then_some(()))
    })
}

/// Asks for an apply of what is due, and waits for its end and its report.
pub fn apply(host: &mut Supervised<'_>) -> Result<Told> {
    let id = ask(host, &json!({ "operation": "apply" }))?;
    wait_for(host, &id)
}

/// Asks for a run, which must begin.
pub fn ask(host: &mut Supervised<'_>, body: &Value) -> Result<String> {
    let answer = host.post("/v1/runs", body)?;
    let told: RunAnswer =
        serde_json::from_value(answer.body.clone()).with_context(|| format!("{answer:?}"))?;
    if !told.started {
        bail!("another run is under way: {answer:?}");
    }
    Ok(told.run.id)
}

/// Waits for the end of a run and for its report in the store.
pub fn wait_for(host: &mut Supervised<'_>, id: &str) -> Result<Told> {
    let summary = wait_for_end(host, id)?;
    let report = summary.report.clone().with_context(|| format!("{id} has no report: {summary:?}"))?;
    let report = host.until("the report in the store", 20, |host| {
        Ok(host.reports()?.into_iter().find(|stored| stored.id == report))
    })?;
    Ok(Told { summary, report })
}

/// Waits for the end of a run.
pub fn wait_for_end(host: &mut Supervised<'_>, id: &str) -> Result<RunSummary> {
    host.until(&format!("the end of run {id}"), PATIENCE, |host| {
        let Ok(runs) = host.runs() else { return Ok(None) };
        Ok(runs.into_iter().find(|run| run.id == id && run.phase == RunPhase::Concluded))
    })
}
