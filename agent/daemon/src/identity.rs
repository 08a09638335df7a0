//! Who this host is: what the operator configured, else the instance id, else the machine's own id. Asked for until it
//! is known, and never in the way of a run for longer than the metadata service's own deadlines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_host::machine::read_machine;
use patchd_host::problem_list::ProblemList;
use patchd_host::root::Root;
use patchd_host::scan::CloudIdentity;
use patchd_protocol::config::{AgentSettings, InstanceSettings, Settings};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::agent::AgentHandle;
use crate::imds::{Hardware, Identity, MetadataService, Role};

/// The time between two times that the metadata service is asked in the background, from the first up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// What is known of this host's identity.
#[derive(Debug)]
pub struct Identities {
    service: Option<MetadataService>,
    hardware: Hardware,
    own_id: String,
    known: Mutex<Option<Option<CloudIdentity>>>,
    /// The last patch group that was told; `None` before the first answer.
    group: Mutex<Option<Option<String>>>,
}

impl Identities {
    /// `service` is absent where nobody may be asked.
    pub fn new(root: &Root, service: Option<MetadataService>) -> Self {
        let own_id = read_machine(root, &mut ProblemList::new("host")).id;
        Self {
            service,
            hardware: Hardware::of(root),
            own_id,
            known: Mutex::new(None),
            group: Mutex::new(None),
        }
    }

    /// The instance that this is, if it is one, and why that is unknown, if it is. What the operator says needs no asking.
    pub async fn cloud(
        &self,
        configured: Option<&InstanceSettings>,
    ) -> (Option<CloudIdentity>, Option<Problem>) {
        if let Some(InstanceSettings { instance_id, account, region }) = configured.cloned() {
            return (Some(CloudIdentity { instance_id, account, region }), None);
        }
        self.told().await
    }

    /// The same, as far as the metadata service tells.
    async fn told(&self) -> (Option<CloudIdentity>, Option<Problem>) {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return (known, None);
        }
        let Some(service) = &self.service else { return (None, None) };
        let found = match service.identity(self.hardware).await {
            Identity::Ec2(instance) => Some(CloudIdentity {
                instance_id: instance.instance_id,
                account: instance.account,
                region: instance.region,
            }),
            Identity::NotEc2 => None,
            Identity::Unavailable { because } => {
                let problem =
                    Problem::new(ProblemKind::Unreadable, Weight::Notice, "instance metadata", because);
                return (None, Some(problem));
            }
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        (found, None)
    }

    /// The patch group of the instance that this is, and why that is unknown, if it is.
    ///
    /// Tags change, so that it is asked each time. Where it can't be asked now, the last answer stands.
    pub async fn patch_group(&self) -> (Option<String>, Option<Problem>) {
        let (Some(service), (Some(_), _)) = (&self.service, self.told().await) else { return (None, None) };
        match service.patch_group().await {
            Ok(found) => {
                *self.group.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
                (found, None)
            }
            Err(because) => {
                let last = self.group.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let weight = if last.is_some() { Weight::Notice } else { Weight::Incomplete };
                let problem = Problem::new(ProblemKind::Unreadable, weight, "instance tags", because);
                (last.flatten(), Some(problem))
            }
        }
    }

    /// The role whose credentials the instance hands out. `None` where nobody may be asked.
    pub async fn role(&self) -> Option<Result<Option<Role>, String>> {
        Some(self.service.as_ref()?.role().await)
    }

    /// What reports call this host, as far as it is known now.
    pub async fn host(&self, settings: &AgentSettings) -> String {
        match &settings.host_id {
            Some(id) => id.clone(),
            None => {
                let (cloud, _) = self.cloud(settings.instance.as_ref()).await;
                cloud.map_or_else(|| self.own_id.clone(), |cloud| cloud.instance_id)
            }
        }
    }

    /// Whether the metadata service has said what it will say, or nobody may ask it.
    pub fn is_settled(&self) -> bool {
        self.service.is_none() || self.known.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks on until it is known who this is: the network of an instance may come up long after us.
    pub async fn settle(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.is_settled() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let (known, problem) = self.told().await;
            match (known, problem) {
                (Some(cloud), _) => {
                    tracing::info!(instance = cloud.instance_id, "it is known now who this is")
                }
                (None, Some(problem)) => tracing::debug!(%problem, "it is not known yet who this is"),
                (None, None) => {}
            }
        }
    }
}

/// Tells the agent what this host is called, as soon as the metadata service says it and whenever somebody says otherwise.
pub async fn tell_name(
    identities: Arc<Identities>,
    mut settings: watch::Receiver<Settings>,
    agent: AgentHandle,
    stop: CancellationToken,
) {
    let telling = async {
        identities.settle().await;
        loop {
            let said = settings.borrow_and_update().agent.clone();
            if agent.named(identities.host(&said).await).await.is_err() || settings.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling => {}
    }
}
