//! What only the daemon can tell of what stands in its way: the executor, the metadata service, credentials, the store,
//! and what came of its runs. All of it is asked at once, and nothing for longer than a few seconds.
//!
//! It mends nothing. Whoever may read the status may ask, so that answers are kept for a moment and given again.

mod cloud;
mod delivery;
mod parts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use patchd_host::root::Root;
use patchd_protocol::config::Settings;
use patchd_protocol::control::{HealthDocument, StatusDocument};
use patchd_protocol::doctor::{CheckName, CheckWire, DoctorDocument};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

pub use self::delivery::{Delivered, Deliveries};
use crate::executor_client::ExecutorClient;
use crate::identity::Identities;
use crate::store::spool::Spool;

/// The longest that one check may take. Those of AWS's tools wait for longer.
const LIMIT: Duration = Duration::from_secs(6);

/// How long an answer is as good as a new one.
const FRESH: Duration = Duration::from_secs(3);

/// Who is asked.
#[derive(Debug)]
pub struct Doctor {
    pub identities: Arc<Identities>,
    pub executor: ExecutorClient,
    pub settings: watch::Receiver<Settings>,
    /// Absent where it can't be opened.
    pub spool: Option<Spool>,
    pub deliveries: Deliveries,
    pub environment: Environment,
    pub state: PathBuf,
    pub now: fn() -> Timestamp,
    pub last: Mutex<Option<(Instant, Vec<CheckWire>)>>,
}

/// What the environment says of AWS and of proxies.
#[derive(Debug, Clone)]
pub struct Environment(pub fn(&str) -> Option<String>);

impl Environment {
    /// The process's own.
    pub fn own() -> Self {
        Self(|name| std::env::var(name).ok())
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

/// What the agent says of itself.
#[derive(Debug, Clone, Copy)]
pub enum AgentWord<'a> {
    Said(&'a StatusDocument, &'a HealthDocument),
    /// It does not answer.
    Silent,
    /// There is none: these are checks without a daemon.
    NotRunning,
}

impl Doctor {
    /// `spool` is absent where it can't be opened.
    pub fn new(
        identities: Arc<Identities>,
        executor: ExecutorClient,
        settings: watch::Receiver<Settings>,
        spool: Option<Spool>,
        state: PathBuf,
        now: fn() -> Timestamp,
    ) -> Self {
        let (deliveries, environment, last) = (Deliveries::default(), Environment::own(), Mutex::new(None));
        Self { identities, executor, settings, spool, deliveries, environment, state, now, last }
    }

    /// Everything that can be told here.
    pub async fn look(&self, agent: AgentWord<'_>) -> DoctorDocument {
        let now = (self.now)();
        let mut checks = self.live().await;
        checks.push(in_time(CheckName::Delivery, delivery::check(self)).await);
        match agent {
            AgentWord::Said(status, health) => checks.extend(parts::of_agent(status, health)),
            AgentWord::Silent => checks.push(parts::silent()),
            AgentWord::NotRunning => checks.push(parts::journal_on_disk(&self.state)),
        }
        let root = Root::host();
        let is_root = nix::unistd::Uid::effective().is_root();
        let local = tokio::task::spawn_blocking(move || patchd_host::doctor::look(&root, now, is_root));
        let mut local = local.await.unwrap_or_default();
        if !matches!(agent, AgentWord::NotRunning) {
            // From within its sandbox every disk is read-only and no other process is to be seen.
            local.retain(|check| !matches!(check.name, CheckName::Disk | CheckName::OldProgram));
        }
        checks.extend(local);
        DoctorDocument::new(env!("CARGO_PKG_VERSION"), now, checks)
    }

    /// What is asked of others. Only one asks at a time; those that come meanwhile get the same answer.
    async fn live(&self) -> Vec<CheckWire> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            tracing::debug!(age = ?at.elapsed(), "what was found a moment ago is told again");
            return checks.clone();
        }
        let settings = self.settings.borrow().clone();
        let (executor, identity, region, credentials, store) = tokio::join!(
            in_time(CheckName::Executor, parts::executor(&self.executor)),
            in_time(CheckName::Identity, cloud::identity(self, &settings)),
            in_time(CheckName::Region, cloud::region(self, &settings)),
            in_time(CheckName::Credentials, cloud::credentials(self, &settings)),
            in_time(CheckName::Store, cloud::store(&settings)),
        );
        let proxy = cloud::proxy(&self.environment);
        let checks = vec![executor, identity, region, credentials, store, proxy];
        *last = Some((Instant::now(), checks.clone()));
        checks
    }
}

/// A check that is given up in time.
async fn in_time(name: CheckName, check: impl Future<Output = CheckWire>) -> CheckWire {
    let late = |_| {
        let detail = format!("there was no answer within {} seconds", LIMIT.as_secs());
        CheckWire::cannot_tell(name, detail, "journalctl -u patchd.service -u patchd-executor.service")
    };
    tokio::time::timeout(LIMIT, check).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests;
