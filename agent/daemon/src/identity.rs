//! Who this host is: what the operator configured, else the instance id, else the machine's own id. Asked for until it
//! is known, and never in the way of a run for longer than the metadata service's own deadlines.

use std::sync::{Mutex, PoisonError};

use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_host::machine::read_machine;
use patchd_host::problem_list::ProblemList;
use patchd_host::root::Root;
use patchd_host::scan::CloudIdentity;

use crate::imds::{Hardware, Identity, MetadataService};

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

    /// The instance that this is, if it is one, and why that is unknown, if it is.
    pub async fn cloud(&self) -> (Option<CloudIdentity>, Option<Problem>) {
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
        let (Some(service), (Some(_), _)) = (&self.service, self.cloud().await) else { return (None, None) };
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

    /// What reports call this host.
    pub async fn host(&self, configured: Option<&str>) -> String {
        match configured {
            Some(id) => id.to_owned(),
            None => self.cloud().await.0.map_or_else(|| self.own_id.clone(), |cloud| cloud.instance_id),
        }
    }
}
