//! The lists that `patchctl --json` and the control API print: `patchd.inventory/1` and `patchd.updates/1`.

use jiff::Timestamp;
use patchd_core::inventory::{DpkgState, Flag, InstalledPackage, Inventory, Mark, ResidualPackage};
use patchd_core::offer::Offers;
use patchd_core::report::Report;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::native::{NewPackageWire, ProblemWire, UpdateWire};
use crate::words::{PackageStatusWire, WantWire};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum InventorySchema {
    #[serde(rename = "patchd.inventory/1")]
    V1,
}

/// What is installed. Only packages whose files are on disk are in `packages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventoryDocument {
    pub schema: InventorySchema,
    pub packages: Vec<PackageWire>,
    /// Removed packages of which only configuration files are left.
    pub residual: Vec<ResidualWire>,
    pub problems: Vec<ProblemWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageWire {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub status: PackageStatusWire,
    pub want: WantWire,
    /// Whether dpkg asks for the package to be installed again.
    pub reinstall_required: bool,
    pub source: String,
    pub source_version: String,
    pub held: bool,
    /// Whether it was installed as a dependency only.
    pub automatic: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub section: Option<String>,
    /// When its files were last unpacked.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub installed_at: Option<Timestamp>,
    /// The repository that has this version, where one is known: `Label:Version/Suite`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResidualWire {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    pub architecture: String,
    pub status: PackageStatusWire,
    pub want: WantWire,
}

impl InventoryDocument {
    /// `offers` adds the origin of each installed version where a repository still has it.
    pub fn new(inventory: &Inventory, offers: Option<&Offers>) -> Self {
        let origin = |package: &InstalledPackage| {
            let offers = offers?;
            let offer = offers
                .packages
                .get(&package.id)?
                .offers
                .iter()
                .find(|offer| offer.version == package.version)?;
            offer
                .repositories
                .first()
                .and_then(|&id| offers.repository(id))
                .map(|repository| repository.title())
        };
        Self {
            schema: InventorySchema::V1,
            packages: inventory
                .packages
                .iter()
                .map(|package| PackageWire { origin: origin(package), ..PackageWire::from(package) })
                .collect(),
            residual: inventory.residual.iter().map(ResidualWire::from).collect(),
            problems: inventory.problems.iter().map(ProblemWire::from).collect(),
        }
    }
}

impl From<&InstalledPackage> for PackageWire {
    fn from(package: &InstalledPackage) -> Self {
        let DpkgState { want, flag, status } = package.state;
        Self {
            name: package.id.name.as_str().into(),
            version: package.version.as_str().into(),
            architecture: package.id.architecture.as_str().into(),
            status: status.into(),
            want: want.into(),
            reinstall_required: flag == Flag::ReinstallRequired,
            source: package.source.name.as_str().into(),
            source_version: package.source.version.as_str().into(),
            held: package.is_held(),
            automatic: package.mark == Mark::Automatic,
            priority: package.priority.as_deref().map(str::to_owned),
            section: package.section.as_deref().map(str::to_owned),
            installed_at: package.installed_at,
            origin: None,
        }
    }
}

impl From<&ResidualPackage> for ResidualWire {
    fn from(package: &ResidualPackage) -> Self {
        Self {
            name: package.id.name.as_str().into(),
            version: package.version.as_ref().map(|version| version.as_str().into()),
            architecture: package.id.architecture.as_str().into(),
            status: package.state.status.into(),
            want: package.state.want.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum UpdatesSchema {
    #[serde(rename = "patchd.updates/1")]
    V1,
}

/// What could be, or should be, newer than it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdatesDocument {
    pub schema: UpdatesSchema,
    pub updates: Vec<UpdateWire>,
    pub new_packages: Vec<NewPackageWire>,
    pub problems: Vec<ProblemWire>,
}

impl From<&Report> for UpdatesDocument {
    fn from(report: &Report) -> Self {
        Self {
            schema: UpdatesSchema::V1,
            updates: report.judgement.updates.iter().map(UpdateWire::from).collect(),
            new_packages: report.offers.new_packages.iter().map(NewPackageWire::from).collect(),
            problems: report.all_problems().map(ProblemWire::from).collect(),
        }
    }
}
