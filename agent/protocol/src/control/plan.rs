//! A plan as people and programs see it: `patchctl plan --json` prints it, `patchctl apply --plan` takes it back.
//!
//! Its digest names what would be changed and nothing else: times and sizes are estimates.

use jiff::Timestamp;
use patchd_core::plan::Plan;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GateWire, WindowStatus};
use crate::executor::{InvalidPlanWire, PackageWire, PlanWire, PlannedChangeWire, digest};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum PlanSchema {
    #[serde(rename = "patchd.plan/1")]
    V1,
}

/// What an apply would do on this host, in which steps, and what it takes: `GET /v1/plan`, `GET /v1/runs/{id}/plan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanDocument {
    pub schema: PlanSchema,
    /// SHA-256 over one line a change, then one a removal, sorted: `NAME ARCHITECTURE FROM TO`, with `-` for a package
    /// that is not installed, and `NAME ARCHITECTURE remove`.
    pub digest: String,
    pub host: String,
    /// The run that made it.
    pub run: String,
    #[schema(value_type = String, format = DateTime)]
    pub made_at: Timestamp,
    /// The smallest sets that can be applied by themselves, in the order in which they would be.
    pub steps: Vec<PlanStepWire>,
    pub download_bytes: u64,
    pub estimated_seconds: i64,
    /// What all of it needs of each file system.
    pub filesystems: Vec<PlanRoomWire>,
    /// Packages that are due and that the package manager does not agree to.
    pub left_out: Vec<LeftOutWire>,
    pub window: WindowStatus,
    /// What would keep it from being applied when it was made; empty if nothing.
    pub gates: Vec<GateWire>,
}

/// One smallest closed set of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStepWire {
    /// Counted from 1.
    pub number: u64,
    /// The numbers of the steps that must be done before it.
    pub after: Vec<u64>,
    pub changes: Vec<PlanChangeWire>,
    /// As `name:architecture`. Only where policy names them.
    pub removals: Vec<String>,
    pub estimated_seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanChangeWire {
    pub name: String,
    pub architecture: String,
    /// Null if it is not installed: a new dependency.
    pub from: Option<String>,
    pub to: String,
    pub download_bytes: u64,
    /// What it adds on disk; less than nothing if it becomes smaller.
    pub installed_growth_bytes: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanRoomWire {
    pub mount: String,
    /// `archives`, `system`, `boot`, `database`, `state`, `temporary`.
    pub uses: Vec<String>,
    pub needed_bytes: u64,
    pub free_bytes: u64,
    /// Why it is not enough, if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shortage: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOutWire {
    /// As `name:architecture`.
    pub packages: Vec<String>,
    pub why: String,
}

/// A plan that is asked for, without its estimates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    pub digest: String,
    pub changes: Vec<RequestedChange>,
    /// As `name:architecture`.
    #[serde(default)]
    pub removals: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestedChange {
    pub name: String,
    pub architecture: String,
    pub from: Option<String>,
    pub to: String,
}

/// Why a plan that is asked for is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPlanRequest {
    #[error(transparent)]
    Plan(#[from] InvalidPlanWire),
    #[error("{0:?} is no package; write name:architecture")]
    Removal(String),
    #[error("its digest is {is}, and it says {says}: it was changed after it was made")]
    Digest { is: String, says: String },
}

impl From<&PlanDocument> for PlanRequest {
    fn from(document: &PlanDocument) -> Self {
        let changes = document.steps.iter().flat_map(|step| &step.changes).map(|change| RequestedChange {
            name: change.name.clone(),
            architecture: change.architecture.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        });
        let removals = document.steps.iter().flat_map(|step| step.removals.clone());
        Self { digest: document.digest.clone(), changes: changes.collect(), removals: removals.collect() }
    }
}

impl TryFrom<&PlanRequest> for Plan {
    type Error = InvalidPlanRequest;

    fn try_from(request: &PlanRequest) -> Result<Self, InvalidPlanRequest> {
        let change = |change: &RequestedChange| PlannedChangeWire {
            name: change.name.clone(),
            architecture: change.architecture.clone(),
            from: change.from.clone(),
            to: change.to.clone(),
        };
        let removal = |text: &String| match text.split_once(':') {
            Some((name, architecture)) => {
                Ok(PackageWire { name: name.into(), architecture: architecture.into() })
            }
            None => Err(InvalidPlanRequest::Removal(text.clone())),
        };
        let wire = PlanWire {
            changes: request.changes.iter().map(change).collect(),
            removals: request.removals.iter().map(removal).collect::<Result<_, _>>()?,
        };
        let plan = Plan::try_from(&wire)?;
        let is = digest(&plan);
        if is == request.digest {
            Ok(plan)
        } else {
            Err(InvalidPlanRequest::Digest { is, says: request.digest.clone() })
        }
    }
}
