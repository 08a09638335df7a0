//! What the daemon may ask of the root helper, and what it answers: the closed list of verbs, version 1.
//!
//! Every request is checked again by the executor against root's own policy; nothing here is trusted by it.
//!
//! The executor finds its socket as its standard input, and nowhere else. Under systemd that is the listening socket
//! (`StandardInput=socket`); without it, the daemon makes a socketpair, starts `PROGRAM` with one end as standard input
//! and speaks on the other. A connection takes one request after the other, each answered before the next is read.

use jiff::Timestamp;
use patchd_core::package::{Architecture, InvalidWord, PackageId, PackageName, Version};
use patchd_core::plan::{InvalidPlan, Plan, PlannedChange};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::report::native::ChangeWire;

/// The version of this protocol. An executor refuses a request of another.
pub const PROTOCOL: u32 = 1;

/// Where systemd listens for the executor.
pub const SOCKET: &str = "/run/patchd/executor.sock";

/// Where packages put the executor.
pub const PROGRAM: &str = "/usr/libexec/patchd/patchd-executor";

/// The most changes of one plan, so that an argument vector and an answer stay within their limits.
pub const MAX_CHANGES: usize = 2_000;

/// The longest transaction or run id, in bytes.
pub const MAX_ID: usize = 64;

/// Whether a text may be the id of a run or a transaction: it names files and stands in log lines.
pub fn is_id(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.len() <= MAX_ID
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_allowed)
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub protocol: u32,
    /// The run that asks, for the record and the logs.
    pub run: String,
    pub verb: Verb,
}

/// Everything that the executor can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Verb {
    /// Fetch the package lists.
    Refresh { transaction: String },
    /// What would happen, by the package manager's own dry run. Changes nothing.
    Simulate { plan: PlanWire },
    /// Carry out a plan, exactly, now, if root's policy allows it now. Asked again with the same id and plan, the answer
    /// is the record of the first time.
    Apply { transaction: String, plan: PlanWire, digest: String },
    /// What was asked with this id before, and what came of it.
    Recall { transaction: String },
    /// Which versions of these packages are installed now.
    ReadBack { packages: Vec<PackageWire> },
}

impl Verb {
    /// Every verb's name; a request for another one is refused by name.
    pub const NAMES: [&str; 5] = ["refresh", "simulate", "apply", "recall", "read_back"];

    /// The name that logs and refusals use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refresh { .. } => "refresh",
            Self::Simulate { .. } => "simulate",
            Self::Apply { .. } => "apply",
            Self::Recall { .. } => "recall",
            Self::ReadBack { .. } => "read_back",
        }
    }
}

/// One frame of an answer: any number of `Progress`, then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Progress {
        line: String,
    },
    Refreshed(RefreshWire),
    Simulated(SimulationWire),
    Applied(TransactionRecord),
    /// `None` if this executor never heard of the id.
    Recalled(Option<TransactionRecord>),
    ReadBack {
        installed: Vec<InstalledWire>,
    },
    Refused {
        code: RefusalCode,
        message: String,
    },
    /// The package manager could not be started or asked, or its downloads failed. Nothing was changed.
    Failed {
        message: String,
    },
}

/// Why the executor refuses. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    Protocol,
    UnknownVerb,
    Malformed,
    NotAuthorised,
    /// Root's policy is unreadable or may be written by others.
    Policy,
    OutsideWindow,
    NoWindow,
    DigestMismatch,
    /// The dry run gave another set than the plan.
    PlanDiffers,
    /// The plan removes or downgrades something.
    NotAllowed,
    Busy,
}

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
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshWire {
    pub exit_code: Option<i32>,
    /// The sources that could not be fetched, in the package manager's own words. Empty means that all were.
    pub failures: Vec<String>,
    pub output_tail: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationWire {
    pub changes: Vec<PlannedChangeWire>,
    pub removals: Vec<String>,
    /// Why the package manager would not do it, if it would not.
    pub refusal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledWire {
    pub name: String,
    pub architecture: String,
    pub version: Option<String>,
    /// dpkg's three words: `install ok installed`.
    pub status: String,
}

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

/// What the executor keeps of one transaction, before, during and after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRecord {
    pub id: String,
    pub run: String,
    pub digest: String,
    pub state: TransactionState,
    pub started_at: Timestamp,
    /// Absent unless it ended.
    pub ended_at: Option<Timestamp>,
    /// Absent unless it ended, or if a signal ended the package manager.
    pub exit_code: Option<i32>,
    /// Read back from the package database after the call. While it runs, what is there so far.
    pub changes: Vec<ChangeWire>,
    pub output_tail: Vec<String>,
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
        Self { changes: plan.changes().iter().map(PlannedChangeWire::from).collect() }
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
        let word = |field, text: &str| {
            let text = text.to_owned();
            move |why| InvalidPlanWire::Word { field, text, why }
        };
        let version = |text: &str| Version::parse(text).map_err(word("version", text));
        Ok(Self {
            package: PackageId {
                name: PackageName::parse(&wire.name).map_err(word("name", &wire.name))?,
                architecture: Architecture::parse(&wire.architecture)
                    .map_err(word("architecture", &wire.architecture))?,
            },
            from: wire.from.as_deref().map(version).transpose()?,
            to: version(&wire.to)?,
        })
    }
}

impl TryFrom<&PlanWire> for Plan {
    type Error = InvalidPlanWire;

    fn try_from(wire: &PlanWire) -> Result<Self, InvalidPlanWire> {
        let changes = wire.changes.iter().map(PlannedChange::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(Plan::try_new(changes)?)
    }
}

/// The digest that names a plan: SHA-256 in hex over one line a change, in the plan's order.
pub fn digest(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    for change in plan.changes() {
        let from = change.from.as_ref().map_or("-", Version::as_str);
        let PackageId { name, architecture } = &change.package;
        hash.update(format!("{name} {architecture} {from} {}\n", change.to));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(name: &str) -> PlanWire {
        PlanWire {
            changes: vec![PlannedChangeWire {
                name: name.into(),
                architecture: "amd64".into(),
                from: Some("1.0".into()),
                to: "1.1".into(),
            }],
        }
    }

    #[test]
    fn a_plan_survives_the_wire_and_keeps_its_digest() {
        let plan = Plan::try_from(&wire("openssl")).unwrap();
        assert_eq!(PlanWire::from(&plan), wire("openssl"));
        // printf 'openssl amd64 1.0 1.1\n' | sha256sum
        assert_eq!(digest(&plan), "c6eaa9e671dddd311b0ce4c9e5960439323284f6c143794ba688976d751e6de1");
        assert_ne!(digest(&plan), digest(&Plan::try_from(&wire("openssh")).unwrap()));
    }

    #[test]
    fn what_could_be_an_option_is_no_package() {
        let error = Plan::try_from(&wire("--allow-downgrades")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name \"--allow-downgrades\" of a planned package: it has the character '-'"
        );
    }

    #[test]
    fn an_id_names_a_file_and_nothing_else() {
        for id in ["run-1", "0f3c.2", "A_b"] {
            assert!(is_id(id), "{id}");
        }
        for id in ["", ".", "..", "-x", "a/b", "a b", "a\n", "\u{e9}", &"a".repeat(MAX_ID + 1)] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn the_names_are_those_on_the_wire() {
        let plan = wire("openssl");
        let (transaction, digest) = ("t".to_owned(), String::new());
        let verbs = [
            Verb::Refresh { transaction: transaction.clone() },
            Verb::Simulate { plan: plan.clone() },
            Verb::Apply { transaction: transaction.clone(), plan, digest },
            Verb::Recall { transaction },
            Verb::ReadBack { packages: vec![] },
        ];
        assert_eq!(verbs.each_ref().map(Verb::name), Verb::NAMES);
        for verb in verbs {
            assert!(serde_json::to_value(&verb).unwrap().get(verb.name()).is_some(), "{}", verb.name());
        }
    }

    #[test]
    fn an_unknown_verb_or_field_is_refused() {
        let unknown = r#"{"protocol":1,"run":"r","verb":{"shell":{"command":"id"}}}"#;
        assert!(serde_json::from_str::<Request>(unknown).is_err());
        let extra = r#"{"protocol":1,"run":"r","root":true,"verb":{"recall":{"transaction":"t"}}}"#;
        assert!(serde_json::from_str::<Request>(extra).is_err());
    }
}
