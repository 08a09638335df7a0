//! What the executor keeps of a transaction and tells of it. Success is in `changes`, which are read back; nothing else
//! here is a verdict.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::native::ChangeWire;

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionState {
    /// The package manager is at work, or may be.
    Running,
    Ended,
    /// The executor died before it could tell the outcome. What it did is read back each time that it is asked.
    Interrupted,
}

/// What a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionKind {
    Apply,
    Repair,
    Hooks,
    /// The order to reboot. Whether a boot came of it, another boot's id tells.
    Reboot,
}

impl TransactionKind {
    /// Whether packages are changed by it.
    pub fn is_of_packages(self) -> bool {
        match self {
            Self::Apply | Self::Repair => true,
            Self::Hooks | Self::Reboot => false,
        }
    }
}

/// What the executor keeps of one transaction, before, during and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    pub id: String,
    pub run: String,
    pub kind: TransactionKind,
    /// The digest of the plan; empty for a repair and hooks.
    pub digest: String,
    pub state: TransactionState,
    pub started_at: Timestamp,
    /// Absent unless it ended.
    pub ended_at: Option<Timestamp>,
    /// Absent unless it ended, or if a signal ended the package manager. Of hooks and repairs: of the first that failed.
    pub exit_code: Option<i32>,
    /// Whose word the change rested on: the window's name, or the grant's reason.
    #[serde(default)]
    pub permission: String,
    /// Read back from the package database after the call. While it runs, what is there so far.
    pub changes: Vec<ChangeWire>,
    pub output_tail: Vec<String>,
    /// The packages that failed, each with its own last words.
    #[serde(default)]
    pub failures: Vec<PackageFailureWire>,
    /// What happened on the way that a report should tell: waits for locks, a stall, no inhibitor, marks not given back.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How long each package took, and the fetching of all: what estimates are learned from.
    #[serde(default)]
    pub timings: Vec<PackageTimingWire>,
    #[serde(default)]
    pub download: Option<DownloadWire>,
    /// Configuration files that were left beside the ones in use: `.dpkg-dist`, `.dpkg-old`.
    #[serde(default)]
    pub left_files: Vec<String>,
    /// What is still wrong with the package database; of a repair, what it could not mend.
    #[serde(default)]
    pub database: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFailureWire {
    /// The package as dpkg named it.
    pub name: String,
    /// dpkg's own sentence.
    pub message: String,
    /// The last lines that its scripts printed.
    pub output: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageTimingWire {
    pub name: String,
    pub milliseconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DownloadWire {
    pub bytes: u64,
    pub milliseconds: u64,
}
