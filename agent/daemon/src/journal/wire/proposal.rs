//! What an apply is proposed to do, in the journal: what must go together, and what each package needs.

use jiff::SignedDuration;
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::system::Packaging;
use patchd_core::package::{Architecture, PackageId, PackageName};
use patchd_core::plan::Plan;
use patchd_core::plan::need::Footprint;
use patchd_core::plan::steps::{Bond, Tie};
use patchd_core::run::event::Proposal;
use serde::{Deserialize, Serialize};

use super::InvalidEntry;
use super::end::milliseconds;

/// A package, the one without which it can't go, and why: there are thousands of these, so they are short.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TieWire(String, String, BondWire);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BondWire {
    Needed,
    SameSource,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FootprintWire {
    /// As `name:architecture`.
    package: String,
    download_bytes: u64,
    installed_bytes: u64,
    replaced_bytes: u64,
    boot_bytes: u64,
    time_milliseconds: i64,
}

impl From<&Tie> for TieWire {
    fn from(tie: &Tie) -> Self {
        let bond = match tie.bond {
            Bond::Needed => BondWire::Needed,
            Bond::SameSource => BondWire::SameSource,
        };
        Self(tie.package.to_string(), tie.on.to_string(), bond)
    }
}

impl From<&Footprint> for FootprintWire {
    fn from(footprint: &Footprint) -> Self {
        Self {
            package: footprint.package.to_string(),
            download_bytes: footprint.download_bytes,
            installed_bytes: footprint.installed_bytes,
            replaced_bytes: footprint.replaced_bytes,
            boot_bytes: footprint.boot_bytes,
            time_milliseconds: milliseconds(footprint.time),
        }
    }
}

/// `name:architecture`, as a package prints itself.
fn package(text: &str) -> Result<PackageId, InvalidEntry> {
    let (name, architecture) =
        text.split_once(':').ok_or_else(|| InvalidEntry::Package(text.chars().take(100).collect()))?;
    Ok(PackageId { name: PackageName::parse(name)?, architecture: Architecture::parse(architecture)? })
}

pub(super) fn decode(
    plan: Plan,
    ties: &[TieWire],
    footprints: &[FootprintWire],
    blocked: &[String],
) -> Result<Proposal, InvalidEntry> {
    let tie = |TieWire(own, on, bond): &TieWire| {
        let bond = match bond {
            BondWire::Needed => Bond::Needed,
            BondWire::SameSource => Bond::SameSource,
        };
        Ok(Tie { package: package(own)?, on: package(on)?, bond })
    };
    let footprint = |wire: &FootprintWire| {
        Ok(Footprint {
            package: package(&wire.package)?,
            download_bytes: wire.download_bytes,
            installed_bytes: wire.installed_bytes,
            replaced_bytes: wire.replaced_bytes,
            boot_bytes: wire.boot_bytes,
            time: SignedDuration::from_millis(wire.time_milliseconds),
        })
    };
    Ok(Proposal {
        plan,
        ties: ties.iter().map(tie).collect::<Result<_, InvalidEntry>>()?,
        footprints: footprints.iter().map(footprint).collect::<Result<_, InvalidEntry>>()?,
        blocked: blocked
            .iter()
            .map(|entry| Pattern::parse(entry, Packaging::Deb))
            .collect::<Result<_, _>>()?,
    })
}
