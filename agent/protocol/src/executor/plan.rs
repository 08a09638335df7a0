//! A plan on the wire, and the digest that names it. What may be done with it is not said here.

use patchd_core::package::{Architecture, InvalidWord, PackageId, PackageName, Version};
use patchd_core::plan::{InvalidPlan, Plan, PlannedChange};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageWire {
    pub name: String,
    pub architecture: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedChangeWire {
    pub name: String,
    pub architecture: String,
    pub from: Option<String>,
    pub to: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanWire {
    pub changes: Vec<PlannedChangeWire>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<PackageWire>,
}

/// Why a plan on the wire is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPlanWire {
    #[error("{field} {text:?} of a planned package: {why}")]
    Word { field: &'static str, text: String, why: InvalidWord },
    #[error(transparent)]
    Plan(#[from] InvalidPlan),
}

impl From<&Plan> for PlanWire {
    fn from(plan: &Plan) -> Self {
        Self {
            changes: plan.changes().iter().map(PlannedChangeWire::from).collect(),
            removals: plan.removals().iter().map(PackageWire::from).collect(),
        }
    }
}

impl From<&PlannedChange> for PlannedChangeWire {
    fn from(change: &PlannedChange) -> Self {
        Self {
            name: change.package.name.as_str().into(),
            architecture: change.package.architecture.as_str().into(),
            from: change.from.as_ref().map(|version| version.as_str().into()),
            to: change.to.as_str().into(),
        }
    }
}

impl TryFrom<&PlannedChangeWire> for PlannedChange {
    type Error = InvalidPlanWire;

    fn try_from(wire: &PlannedChangeWire) -> Result<Self, InvalidPlanWire> {
        let version = |text: &str| Version::parse(text).map_err(word("version", text));
        Ok(Self {
            package: package_id(&wire.name, &wire.architecture)?,
            from: wire.from.as_deref().map(version).transpose()?,
            to: version(&wire.to)?,
        })
    }
}

impl From<&PackageId> for PackageWire {
    fn from(package: &PackageId) -> Self {
        Self { name: package.name.as_str().into(), architecture: package.architecture.as_str().into() }
    }
}

impl TryFrom<&PackageWire> for PackageId {
    type Error = InvalidPlanWire;

    fn try_from(wire: &PackageWire) -> Result<Self, InvalidPlanWire> {
        package_id(&wire.name, &wire.architecture)
    }
}

fn word(field: &'static str, text: &str) -> impl FnOnce(InvalidWord) -> InvalidPlanWire {
    let text = text.to_owned();
    move |why| InvalidPlanWire::Word { field, text, why }
}

fn package_id(name: &str, architecture: &str) -> Result<PackageId, InvalidPlanWire> {
    Ok(PackageId {
        name: PackageName::parse(name).map_err(word("name", name))?,
        architecture: Architecture::parse(architecture).map_err(word("architecture", architecture))?,
    })
}

impl TryFrom<&PlanWire> for Plan {
    type Error = InvalidPlanWire;

    fn try_from(wire: &PlanWire) -> Result<Self, InvalidPlanWire> {
        let changes = wire.changes.iter().map(PlannedChange::try_from).collect::<Result<Vec<_>, _>>()?;
        let removals = wire.removals.iter().map(PackageId::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Plan::with_removals(changes, removals)?)
    }
}

/// The digest that names a plan: SHA-256 in hex over one line a change, then one a removal, in the plan's order.
pub fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for change in plan.changes() {
        let from = change.from.as_ref().map_or("-", Version::as_str);
        let PackageId { name, architecture } = &change.package;
        hash.update(format!("{name} {architecture} {from} {}\n", change.to));
    }
    for PackageId { name, architecture } in plan.removals() {
        hash.update(format!("{name} {architecture} remove\n"));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
