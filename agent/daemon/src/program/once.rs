//! One run without a daemon: the same steps, on a journal that is gone with the process.
//!
//! It resumes nothing. Of a run that was cut, the executor's record tells the transaction, and the next run looks anew.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use patchd_core::report::{Operation, RunVerdict};
use patchd_core::run::event::Event;
use patchd_core::run::{Order, Phase, RefreshPolicy, RunId, RunState, Wish, step};
use patchd_daemon::baselines::Baselines;
use patchd_daemon::clock::{ClockWatch, SystemClock};
use patchd_daemon::cloud_init::CloudInitWatch;
use patchd_daemon::deliver::store_of;
use patchd_daemon::driver::{Host, perform_in_time};
use patchd_daemon::journal::{Journal, Move, NewRun, SharedJournal};
use patchd_daemon::live::Live;
use patchd_daemon::machine::{Life, Machine, Parts};
use patchd_daemon::store::Store;
use patchd_daemon::store::spool::{Spool, SpoolLimits};
use patchd_host::root::Root;
use patchd_protocol::config::Settings;
use patchd_protocol::control::{ReportSummary, RunTrigger};
use patchd_protocol::store_url::StoreUrl;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::arguments::{self, Once};
use super::privilege::{self, Helper};
use super::service;

/// The waits between tries to bring the report to its store.
const TRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];

/// The settings with what the command line says in their place.
pub(crate) fn settings(mut settings: Settings, once: &Once) -> Settings {
    let Once { store, endpoint, path_style, region, kms_key_id, no_refresh, .. } = once.clone();
    settings.store.location = store.unwrap_or(settings.store.location);
    settings.store.s3.endpoint = endpoint.or(settings.store.s3.endpoint);
    settings.store.s3.path_style |= path_style;
    settings.store.s3.region = region.or(settings.store.s3.region);
    settings.store.s3.kms_key_id = kms_key_id.or(settings.store.s3.kms_key_id);
    settings.scan.refresh &= !no_refresh;
    settings
}

/// Where the spool lies.
pub(crate) fn state(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(state) = given {
        return Ok(state.into());
    }
    if nix::unistd::Uid::effective().is_root() {
        return Ok(service::STATE.into());
    }
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => Ok(PathBuf::from(home).join(".local/state/patchd")),
        _ => bail!("there is no HOME to keep an undelivered report in: name a directory with --state"),
    }
}

/// Makes what has to be there before root is given up.
pub(crate) fn prepare(state: &Path, settings: &Settings) -> Result<()> {
    privilege::own_directory(state)?;
    if let StoreUrl::File { path } = &settings.store.location
        && !path.exists()
    {
        privilege::own_directory(path)?;
    }
    Ok(())
}

/// Carries out one run and prints what came of it. Gives the exit code.
pub(crate) async fn run(
    operation: Operation,
    mut settings: Settings,
    state: &Path,
    helper: &Helper,
    socket: &Path,
    stop: CancellationToken,
) -> Result<u8> {
    if matches!(helper, Helper::None) {
        if operation == Operation::Apply {
            bail!("an apply needs the root helper: run it as root");
        }
        settings.scan.refresh = false;
    }
    let executor = helper.client(socket);
    let spool = Spool::open(state.join("once-spool"), SpoolLimits::default()).await.context("can't spool")?;
    let journal = SharedJournal::new(Journal::in_memory()?);
    let store = store_of(&settings.store);
    let (_keep, receiver) = watch::channel(settings.clone());
    let clock = Arc::new(ClockWatch::new(SystemClock, None));
    let machine = Machine::new(Parts {
        life: Life::SingleRun,
        clock: Arc::clone(&clock),
        root: Root::host(),
        version: env!("CARGO_PKG_VERSION"),
        executor,
        identities: Arc::new(service::identities()?),
        baselines: Baselines::new(Root::host(), Root::host(), None),
        settings: receiver,
        spool: spool.clone(),
        documents: None,
        extracts: None,
        journal: journal.clone(),
        spooled: Arc::new(Notify::new()),
        live: Live::default(),
        cloud_init: CloudInitWatch::off(),
    });
    let verdict = drive(&machine, &journal, &clock, operation, &settings, stop).await?;
    let report = journal.with(|journal| journal.last_report()).await?;
    let Some(report) = report else {
        bail!("no report was written: {}", verdict.detail().unwrap_or("nobody knows why"));
    };
    let key = deliver(&spool, &store, &report.id).await?;
    print(&report, operation, &verdict, &store, key.as_deref()).context("can't print")?;
    Ok(match (&verdict, key) {
        (_, None) => arguments::NOT_DELIVERED,
        (RunVerdict::Succeeded, Some(_)) => arguments::DONE,
        (RunVerdict::Refused { .. }, Some(_)) => arguments::REFUSED,
        (RunVerdict::Partial { .. } | RunVerdict::Failed { .. }, Some(_)) => arguments::FAILED,
    })
}

/// Moves the run from its beginning to its end.
async fn drive<H: Host>(
    host: &H,
    journal: &SharedJournal,
    clock: &ClockWatch<SystemClock>,
    operation: Operation,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<RunVerdict> {
    let now = clock.now();
    let id = RunId::parse(&format!("{}-once-{}", now.strftime("%Y%m%dT%H%M%SZ"), std::process::id()))?;
    let refresh = match settings.scan.refresh {
        true => RefreshPolicy::Refresh,
        false => RefreshPolicy::UseListsAsTheyAre,
    };
    let order = Order { id, operation, refresh, wish: Wish::WhatIsDue };
    let new = NewRun { order: order.clone(), trigger: RunTrigger::Once, occurrence: None };
    journal.with(move |journal| journal.begin(&new, now)).await?;
    let mut state = RunState::new(order.clone());
    let mut event = Event::Started;
    loop {
        let (after, effects) = step(state, event.clone())?;
        let (moved, now) = (Move { event, after, effects, plan: None }, clock.now());
        let moved = journal.with(move |journal| journal.append(&moved, now).map(|()| moved)).await?;
        let Move { after, mut effects, .. } = moved;
        state = after;
        if let Phase::Concluded { verdict, .. } = state.phase {
            return Ok(verdict);
        }
        let effect = effects.pop().context("a run that waits for nothing")?;
        tracing::info!(run_id = %order.id, phase = state.phase.code(), "run is {}", state.phase.code());
        let mut performed = pin!(perform_in_time(host, &order, effect));
        event = loop {
            tokio::select! {
                event = performed.as_mut() => break event,
                () = stop.cancelled(), if state.stop.is_none() && state.is_stoppable() => {
                    state = step(state, Event::StopRequested { by: "a signal".into() })?.0;
                    // A transaction under way is waited for: what it did is read back, and nothing more begins.
                    let is_waited_for = state.phase.progress().is_some() || matches!(state.phase, Phase::Mending { .. });
                    if !is_waited_for {
                        break Event::Lost { detail: "stopped by a signal".into() };
                    }
                }
            }
        };
    }
}

/// Brings what is spooled to the store, and gives the key of this report once it is there.
async fn deliver(spool: &Spool, store: &Store, report: &str) -> Result<Option<String>> {
    for wait in TRIES {
        spool.retry_at_once().await;
        let flushed = spool.flush(store).await.context("can't read the spool")?;
        for warning in flushed.warnings {
            tracing::warn!("{warning}");
        }
        for error in flushed.refused {
            tracing::error!("{error}");
        }
        if let Some(key) = flushed.stored.into_iter().find(|key| key.contains(report)) {
            return Ok(Some(key));
        }
        let Some((error, _)) = flushed.waiting else { break };
        tracing::warn!("{error}");
        tokio::time::sleep(wait).await;
    }
    Ok(None)
}

fn print(
    report: &ReportSummary,
    operation: Operation,
    verdict: &RunVerdict,
    store: &Store,
    key: Option<&str>,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let word = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let compliance = serde_json::to_value(report.summary.compliance).map(|value| word(&value))?;
    let assessment = serde_json::to_value(report.assessment).map(|value| word(&value))?;
    if operation == Operation::Apply {
        writeln!(out, "run        {}{}", verdict.code(), detail(verdict))?;
    }
    let summary = &report.summary;
    writeln!(out, "host       {compliance}, assessment {assessment}")?;
    writeln!(
        out,
        "packages   {}, {} approved patches missing, {} updates of which {} security",
        summary.packages, summary.counts.missing_count, summary.updates, summary.security_updates
    )?;
    match key {
        Some(key) => writeln!(out, "report     {store}/{key}"),
        None => writeln!(out, "report     {} waits in the spool; {store} did not take it", report.id),
    }
}

fn detail(verdict: &RunVerdict) -> String {
    verdict.detail().map(|detail| format!(": {detail}")).unwrap_or_default()
}
