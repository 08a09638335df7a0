//! How a transaction ended and what was read back after it, in the journal.

use jiff::{SignedDuration, Timestamp};
use patchd_core::package::{PackageId, Version};
use patchd_core::run::event::{Installed, PackageFailure, TransactionEnd};
use patchd_protocol::executor::PackageWire;
use serde::{Deserialize, Serialize};

use super::InvalidEntry;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EndWire {
    #[serde(default)]
    started_at: Option<Timestamp>,
    took_milliseconds: i64,
    exit_code: Option<i32>,
    output_tail: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<FailureWire>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    database: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FailureWire {
    name: String,
    message: String,
    output: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InstalledWire {
    name: String,
    architecture: String,
    version: Option<String>,
    is_sound: bool,
}

/// Whole milliseconds of a duration.
pub(super) fn milliseconds(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<&TransactionEnd> for EndWire {
    fn from(end: &TransactionEnd) -> Self {
        let failure = |failure: &PackageFailure| {
            let PackageFailure { name, message, output } = failure.clone();
            FailureWire { name, message, output }
        };
        Self {
            started_at: end.started_at,
            took_milliseconds: milliseconds(end.took),
            exit_code: end.exit_code,
            output_tail: end.output_tail.clone(),
            failures: end.failures.iter().map(failure).collect(),
            notes: end.notes.clone(),
            left_files: end.left_files.clone(),
            database: end.database.clone(),
        }
    }
}

impl From<EndWire> for TransactionEnd {
    fn from(wire: EndWire) -> Self {
        let failure =
            |FailureWire { name, message, output }: FailureWire| PackageFailure { name, message, output };
        Self {
            started_at: wire.started_at,
            took: SignedDuration::from_millis(wire.took_milliseconds),
            exit_code: wire.exit_code,
            output_tail: wire.output_tail,
            failures: wire.failures.into_iter().map(failure).collect(),
            notes: wire.notes,
            left_files: wire.left_files,
            database: wire.database,
        }
    }
}

impl From<&Installed> for InstalledWire {
    fn from(installed: &Installed) -> Self {
        Self {
            name: installed.package.name.as_str().into(),
            architecture: installed.package.architecture.as_str().into(),
            version: installed.version.as_ref().map(|version| version.as_str().into()),
            is_sound: installed.is_sound,
        }
    }
}

impl TryFrom<&InstalledWire> for Installed {
    type Error = InvalidEntry;

    fn try_from(wire: &InstalledWire) -> Result<Self, InvalidEntry> {
        let package = PackageWire { name: wire.name.clone(), architecture: wire.architecture.clone() };
        Ok(Self {
            package: PackageId::try_from(&package)?,
            version: wire.version.as_deref().map(Version::parse).transpose()?,
            is_sound: wire.is_sound,
        })
    }
}
