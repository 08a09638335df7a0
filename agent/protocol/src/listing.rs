//! The lists that `patchctl --json` and the control API print: `patchd.inventory/1` and `patchd.updates/1`.

use std::borrow::Cow;

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
pub struct InventoryDocument<'a> {
    pub schema: InventorySchema,
    pub packages: Vec<PackageWire<'a>>,
    /// Removed packages of which only configuration files are left.
    pub residual: Vec<ResidualWire<'a>>,
    pub problems: Vec<ProblemWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageWire<'a> {
    pub name: Cow<'a, str>,
    pub version: Cow<'a, str>,
    pub architecture: Cow<'a, str>,
    pub status: PackageStatusWire,
    pub want: WantWire,
    /// Whether dpkg asks for the package to be installed again.
    pub reinstall_required: bool,
    pub source: Cow<'a, str>,
    pub source_version: Cow<'a, str>,
    pub held: bool,
    /// Whether it was installed as a dependency only.
    pub automatic: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub section: Option<Cow<'a, str>>,
    /// When its files were last unpacked.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub installed_at: Option<Timestamp>,
    /// The repository that has this version, where one is known: `Label:Version/Suite`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResidualWire<'a> {
    pub name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Cow<'a, str>>,
    pub architecture: Cow<'a, str>,
    pub status: PackageStatusWire,
    pub want: WantWire,
}

impl<'a> InventoryDocument<'a> {
    /// `offers` adds the origin of each installed version where a repository still has it. The words are the
    /// inventory's own and no copies: a host has ten thousand of them.
    pub fn new(inventory: &'a Inventory, offers: Option<&Offers>) -> Self {
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

impl<'a> From<&'a InstalledPackage> for PackageWire<'a> {
    fn from(package: &'a InstalledPackage) -> Self {
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
            priority: package.priority.as_deref().map(Cow::from),
            section: package.section.as_deref().map(Cow::from),
            installed_at: package.installed_at,
            origin: None,
        }
    }
}

impl<'a> From<&'a ResidualPackage> for ResidualWire<'a> {
    fn from(package: &'a ResidualPackage) -> Self {
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
