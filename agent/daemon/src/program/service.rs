//! The daemon's life: open what it owns, carry on what was begun, work until told to stop, and leave within a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use patchd_daemon::agent::{Agent, AgentFacts, AgentHandle, Ended};
use patchd_daemon::baselines::Baselines;
use patchd_daemon::clock::{Clock, ClockWatch, SystemClock};
use patchd_daemon::clock_keeper;
use patchd_daemon::cloud_init::CloudInitWatch;
use patchd_daemon::control::{self, ServerHandle, Sources};
use patchd_daemon::deliver::{Deliverer, store_of};
use patchd_daemon::doctor::Doctor;
use patchd_daemon::documents::Documents;
use patchd_daemon::identity::{self, Identities};
use patchd_daemon::imds::{BASE_URL_VARIABLE, DEFAULT_BASE_URL, MetadataService};
use patchd_daemon::journal::{Journal, SharedJournal};
use patchd_daemon::live::Live;
use patchd_daemon::machine::{Life, Machine, Parts};
use patchd_daemon::own_program::OwnProgram;
use patchd_daemon::sandbox::Sandbox;
use patchd_daemon::store::spool::{Spool, SpoolLimits};
use patchd_daemon::systemd;
use patchd_host::config_files;
use patchd_host::root::Root;
use patchd_protocol::config::Settings;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arguments::Places;
use super::logs::LogHandle;
use super::privilege::Helper;

/// Where the daemon keeps its state.
pub(crate) const STATE: &str = "/var/lib/patchd";

/// How long parts have to end after they were told to.
const DRAIN: Duration = Duration::from_millis(1_500);

/// With this variable AWS's own tools are told to ask no metadata service.
const METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// Who this host is, asked of the metadata service where AWS's tools would ask it.
pub(crate) fn identities() -> Result<Identities> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if variable(METADATA_DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Identities::new(&Root::host(), None));
    }
    let url = variable(BASE_URL_VARIABLE);
    let service = MetadataService::new(url.as_deref().unwrap_or(DEFAULT_BASE_URL))
        .context("can't make a client for the metadata service")?;
    Ok(Identities::new(&Root::host(), Some(service)))
}

/// When this machine was started.
fn booted_at(now: Timestamp) -> Option<Timestamp> {
    let uptime = patchd_host::read::read(&Root::host(), "proc/uptime", 256).ok()?;
    let text = String::from_utf8(uptime).ok()?;
    let seconds = text.split('.').next()?.parse().ok()?;
    now.checked_sub(SignedDuration::from_secs(seconds)).ok()
}

/// Runs the daemon until a signal or a new program ends it.
pub(crate) async fn run(
    places: &Places,
    state: &Path,
    settings: Settings,
    helper: &Helper,
    (program, sandbox): (OwnProgram, Sandbox),
    logs: LogHandle,
) -> Result<Ended> {
    let clock = SystemClock;
    // From here on a signal waits for its turn instead of ending the process.
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).context("can't listen to signals")?;
    let stop = CancellationToken::new();
    let executor = helper.client(&places.executor_socket);
    let journal = open_journal(state.join("journal.sqlite"), clock.now()).await?;
    let newest = journal.with(|journal| journal.newest_instant()).await.context("can't read the journal")?;
    let watch = Arc::new(ClockWatch::new(clock, newest));
    let live = Live::default();
    let (spool, waiting) = open_spool(state.join("spool")).await?;
    let (settings_sender, receiver) = watch::channel(settings.clone());
    let spooled = Arc::new(Notify::new());
    let documents = Documents::new(state.join("documents"));
    let identities = Arc::new(identities()?);
    let cloud_init = CloudInitWatch::of(Root::host());
    let host = identities.host(&settings.agent).await;
    let facts = facts(&settings, host, &waiting, (program, sandbox), cloud_init.clone());
    let machine = Machine::new(Parts {
        life: Life::Service,
        clock: Arc::clone(&watch),
        root: Root::host(),
        version: env!("CARGO_PKG_VERSION"),
        executor: executor.clone(),
        identities: Arc::clone(&identities),
        baselines: Baselines::new(Root::host(), Root::at(&places.config_root), Some(state)),
        settings: receiver.clone(),
        spool: spool.clone(),
        documents: Some(documents.clone()),
        extracts: Some(state.join("lists")),
        journal: journal.clone(),
        spooled: Arc::clone(&spooled),
        live: live.clone(),
        cloud_init,
    });
    let (agent, handle) =
        Agent::new(Arc::new(machine), Arc::clone(&watch), journal.clone(), settings, facts, live.clone());
    let (of_identity, of_settings) = (Arc::clone(&identities), receiver.clone());
    let kept = Some(spool.clone());
    let doctor =
        Doctor::new(of_identity, executor.clone(), of_settings, kept, state.into(), || SystemClock.now());
    let (deliveries, of_settings) = (doctor.deliveries.clone(), receiver.clone());
    let deliverer =
        Deliverer { spool, settings: of_settings, journal: journal.clone(), spooled, waiting, deliveries };
    let names = receiver.clone();
    let sources = Sources { agent: handle.clone(), journal, documents, live, doctor };
    let control = control::serve(&places.control_socket, receiver, sources, stop.clone())
        .await
        .context("can't serve the control socket")?;

    let parts = TaskTracker::new();
    let agent = parts.spawn(agent.run(stop.clone()));
    parts.spawn(deliverer.run(stop.clone()));
    parts.spawn(clock_keeper::keep(watch, executor, stop.clone()));
    parts.spawn(identity::tell_name(identities, names, handle.clone(), stop.clone()));
    parts.close();
    systemd::ready();
    let ended = tokio::select! {
        ended = agent => Some(ended),
        () = obey(signals, places.config_root.clone(), handle, settings_sender, logs) => None,
    };
    stop.cancel();
    drain(control, &parts).await;
    match ended {
        Some(ended) => ended.context("the agent broke: a bug of patchd")?.context("the agent can't work"),
        None => Ok(Ended::Told),
    }
}

/// What the agent is told of the host and of itself.
fn facts(
    settings: &Settings,
    host: String,
    spooled: &Arc<AtomicU64>,
    (program, sandbox): (OwnProgram, Sandbox),
    cloud_init: CloudInitWatch,
) -> AgentFacts {
    let now = SystemClock.now();
    AgentFacts {
        version: env!("CARGO_PKG_VERSION"),
        host,
        store: store_of(&settings.store).to_string(),
        spooled: Arc::clone(spooled),
        started_at: now,
        booted_at: booted_at(now),
        program,
        sandbox,
        cloud_init,
    }
}

/// Waits for the parts that were told to end.
async fn drain(control: ServerHandle, parts: &TaskTracker) {
    let drained = async {
        control.stopped().await;
        parts.wait().await;
    };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("not everything ended in time; the journal has what matters");
    }
}

/// Opens the spool, and says how much lies in it.
async fn open_spool(path: PathBuf) -> Result<(Spool, Arc<AtomicU64>)> {
    let spool = Spool::open(path, SpoolLimits::default()).await.context("can't open the spool")?;
    let left = spool.contents().await.context("can't read the spool")?.reports;
    Ok((spool, Arc::new(AtomicU64::new(left))))
}

async fn open_journal(path: PathBuf, now: Timestamp) -> Result<SharedJournal> {
    let opened = tokio::task::spawn_blocking(move || Journal::open(&path, now));
    let (journal, moved) = opened.await.context("opening the journal broke")??;
    if let Some(moved) = moved {
        tracing::error!(
            to = %moved.to.display(),
            because = moved.because,
            "the journal could not be used and was moved aside; a new one was begun, without the runs of before"
        );
    }
    Ok(SharedJournal::new(journal))
}

/// Returns when a signal says to stop; another one has the configuration read again.
async fn obey(
    mut signals: Signals,
    config_root: PathBuf,
    agent: AgentHandle,
    settings: watch::Sender<Settings>,
    logs: LogHandle,
) {
    while let Some(signal) = signals.next().await {
        if signal != SIGHUP {
            tracing::info!(signal, "stopping");
            return;
        }
        let root = Root::at(&config_root);
        match tokio::task::spawn_blocking(move || config_files::load(&root)).await {
            Ok(Ok(new)) => {
                logs.set(new.log.level);
                let _ = agent.reload(new.clone()).await;
                settings.send_replace(new);
            }
            Ok(Err(mistakes)) => {
                for mistake in mistakes.list() {
                    tracing::error!("{mistake}");
                }
                tracing::error!("the configuration has mistakes; patchd goes on with the one it has");
            }
            Err(error) => tracing::error!(%error, "reading the configuration broke"),
        }
    }
}
