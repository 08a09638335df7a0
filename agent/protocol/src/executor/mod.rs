//! What the daemon may ask of the root helper, and what it answers: the closed list of verbs, version 2.
//!
//! Every request is checked again by the executor against root's own policy; nothing here is trusted by it.
//!
//! The executor finds its socket as its standard input, and nowhere else. Under systemd that is the listening socket
//! (`StandardInput=socket`); without it, the daemon makes a socketpair, starts `PROGRAM` with one end as standard input
//! and speaks on the other. A connection takes one request after the other, each answered before the next is read.

mod plan;
mod record;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::old_code::OldCodeWire;
use crate::patchers::{Patcher, PatcherAction};

pub use self::plan::{InvalidPlanWire, PackageWire, PlanWire, PlannedChangeWire, digest};
pub use self::record::{
    DownloadWire, PackageFailureWire, PackageTimingWire, TransactionKind, TransactionRecord, TransactionState,
};

/// The version of this protocol. An executor refuses a request of another.
pub const PROTOCOL: u32 = 2;

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
    /// What root's own rules and the machine say now, for the gates. Changes nothing and waits for nothing.
    Observe {
        /// The digest of the plan that a grant is looked for; none is looked for without it.
        digest: Option<String>,
    },
    /// Which processes run code that was replaced on disk. Changes nothing and waits for nothing.
    Processes {},
    /// Fetch the package lists.
    Refresh { transaction: String },
    /// What would happen, by the package manager's own dry run. Changes nothing.
    Simulate { plan: PlanWire },
    /// Run the hooks of a stage, once: asked again with the same id, the answer is the record of the first time.
    RunHooks { transaction: String, stage: HookStage },
    /// Carry out a plan, exactly, now, if root's policy allows it now. Asked again with the same id and plan, the answer
    /// is the record of the first time.
    Apply {
        transaction: String,
        plan: PlanWire,
        digest: String,
        /// How long it is meant to take: it does not wait for a lock any longer than leaves this much before the cutoff.
        estimate_seconds: u64,
        /// The digest of the granted plan that this one is a part of, where a change rests on a grant.
        grant: Option<String>,
    },
    /// Make the package database whole: finish what was cut, reinstall what must be, from kept archives where there are
    /// any. In a window, or at any time after a transaction of the executor's own that was cut.
    Repair { transaction: String },
    /// What was asked with this id before, and what came of it. While it runs, its progress is told, until it ends or
    /// `wait_seconds` have passed.
    Recall { transaction: String, wait_seconds: u64 },
    /// Which versions of these packages are installed now.
    ReadBack { packages: Vec<PackageWire> },
    /// Have the host rebooted, once: asked again with the same id, the answer is the record of the first time. Only in a
    /// window, only if the host asks for it by root's own look, only in the boot of this id, and never for the same reasons
    /// over and over.
    Reboot { transaction: String, boot_id: String },
    /// Root's word that this plan, or any part of it, may be carried out now and outside of every window. Only root may
    /// ask for it.
    Grant { plan: PlanWire, digest: String, reason: String, seconds: u64 },
    /// Keep another patcher from installing, or give it back. Only root may ask for it.
    Patcher { patcher: Patcher, action: PatcherAction },
}

impl Verb {
    /// Every verb's name; a request for another one is refused by name.
    pub const NAMES: [&str; 12] = [
        "observe",
        "processes",
        "refresh",
        "simulate",
        "run_hooks",
        "apply",
        "repair",
        "recall",
        "read_back",
        "reboot",
        "grant",
        "patcher",
    ];

    /// The name that logs and refusals use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Observe { .. } => "observe",
            Self::Processes {} => "processes",
            Self::Refresh { .. } => "refresh",
            Self::Simulate { .. } => "simulate",
            Self::RunHooks { .. } => "run_hooks",
            Self::Apply { .. } => "apply",
            Self::Repair { .. } => "repair",
            Self::Recall { .. } => "recall",
            Self::ReadBack { .. } => "read_back",
            Self::Reboot { .. } => "reboot",
            Self::Grant { .. } => "grant",
            Self::Patcher { .. } => "patcher",
        }
    }
}

/// When hooks run. Each stage has a directory below `/etc/patchd/hooks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookStage {
    /// `pre-patch.d`: before the first package is touched. One that fails keeps the run from changing anything.
    PrePatch,
    /// `post-patch.d`: after the last. One that fails is reported.
    PostPatch,
    /// `pre-reboot.d`: before a reboot. One that fails keeps the host from it.
    PreReboot,
}

impl HookStage {
    /// The directory's name.
    pub fn directory(self) -> &'static str {
        match self {
            Self::PrePatch => "pre-patch.d",
            Self::PostPatch => "post-patch.d",
            Self::PreReboot => "pre-reboot.d",
        }
    }
}

/// One frame of an answer: any number of `Progress`, then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Progress(ProgressWire),
    Observed(ObservedWire),
    Processes(OldCodeWire),
    Refreshed(RefreshWire),
    Simulated(SimulationWire),
    /// What hooks, an apply, a repair or the order to reboot came to.
    Done(TransactionRecord),
    /// `None` if this executor never heard of the id.
    Recalled(Option<TransactionRecord>),
    ReadBack {
        installed: Vec<InstalledWire>,
    },
    Granted {
        until: Timestamp,
    },
    /// The files that were written or taken away; none if it was so already.
    PatcherSet {
        files: Vec<String>,
    },
    Refused(RefusalWire),
    /// The package manager could not be started or asked, or its downloads failed. Nothing was changed.
    Failed {
        message: String,
    },
}

/// What is going on, while it goes on. None of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressWire {
    /// A line of what a process says.
    Output { line: String },
    /// How far the fetching of archives or lists is, in thousandths.
    Download { permille: u16, item: String },
    /// What the package manager does with which package, and how far it is with all, in thousandths.
    Package { name: String, action: String, permille: u16 },
    /// Waiting for a lock that somebody else holds, named.
    Waiting { holder: String, seconds: u64 },
    /// The package manager has said nothing for so long. It is left alone: cutting it would do harm.
    Stalled { seconds: u64, last: String },
    /// Anything else that a person wants to know.
    Note { text: String },
}

/// What the gates of a run look at, from root's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedWire {
    pub clock: ClockWire,
    pub filesystems: Vec<FilesystemWire>,
    pub available_memory_bytes: Option<u64>,
    /// Who is at work on installed packages, if somebody is: `pid 812 (unattended-upgr)`.
    pub lock_holder: Option<String>,
    /// What is wrong with the package database, if anything: what `dpkg --audit` would say, and a journal not folded in.
    pub database: Vec<String>,
    pub grant: Option<GrantWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockWire {
    Synchronised,
    Unsynchronised,
    Unknown { detail: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemWire {
    pub mount: String,
    /// `patchd_core::plan::need::Use` by code.
    pub uses: Vec<String>,
    pub free_bytes: u64,
    pub free_inodes: Option<u64>,
    pub is_read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantWire {
    pub reason: String,
    pub until: Timestamp,
}

/// A no with its kind, a sentence, and the packages that are to blame where some are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalWire {
    pub code: RefusalCode,
    pub message: String,
    #[serde(default)]
    pub blamed: Vec<PackageWire>,
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
    Frozen,
    /// The clock is not synchronised, and root's policy wants it to be.
    Clock,
    DigestMismatch,
    /// The dry run gave another set than the plan.
    PlanDiffers,
    /// The plan removes or downgrades something that policy does not name.
    NotAllowed,
    /// Policy holds back what would replace or ask about a changed configuration file.
    Conffile,
    /// Archives could not all be fetched.
    Download,
    /// Not enough room on a file system.
    NoRoom,
    /// Another operation of the executor is under way.
    Busy,
    /// Another package manager holds the lock, and did not let go in time.
    Locked,
    /// The package database needs a repair first.
    Interrupted,
    /// A hook is not a file that only root can write.
    Hook,
    /// There is no such grant, or it is over.
    NoGrant,
    /// Policy says that patchd reboots nothing here, or the host is none that it could reboot: a container, no systemd.
    NeverRebooted,
    /// The host does not ask for a reboot, or nobody can tell.
    NotNeeded,
    /// Another boot is under way than the one that was to be ended.
    OtherBoot,
    /// It was rebooted for the same reasons already, or too often.
    RebootLoop,
    /// Somebody asked systemd that the host stay up.
    Inhibited,
    /// What the next boot would start is not all there.
    BootFiles,
}

impl RefusalCode {
    /// Whether it is about the very packages that were asked for, so that others may still go.
    pub fn is_about_packages(self) -> bool {
        matches!(
            self,
            Self::PlanDiffers
                | Self::NotAllowed
                | Self::Conffile
                | Self::Download
                | Self::NoRoom
                | Self::DigestMismatch
        )
    }
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
    pub removals: Vec<PackageWire>,
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

#[cfg(test)]
mod tests {
    use patchd_core::plan::Plan;

    use super::*;

    fn wire(name: &str) -> PlanWire {
        PlanWire {
            changes: vec![PlannedChangeWire {
                name: name.into(),
                architecture: "amd64".into(),
                from: Some("1.0".into()),
                to: "1.1".into(),
            }],
            removals: vec![],
        }
    }

    #[test]
    fn a_plan_survives_the_wire_and_keeps_its_digest() {
        let plan = Plan::try_from(&wire("openssl")).unwrap();
        assert_eq!(PlanWire::from(&plan), wire("openssl"));
        // printf 'openssl amd64 1.0 1.1\n' | sha256sum
        assert_eq!(digest(&plan), "c6eaa9e671dddd311b0ce4c9e5960439323284f6c143794ba688976d751e6de1");
        assert_ne!(digest(&plan), digest(&Plan::try_from(&wire("openssh")).unwrap()));
        let old = PackageWire { name: "old".into(), architecture: "all".into() };
        let removing = PlanWire { removals: vec![old], ..wire("openssl") };
        let plan = Plan::try_from(&removing).unwrap();
        assert_eq!(PlanWire::from(&plan), removing);
        // printf 'openssl amd64 1.0 1.1\nold all remove\n' | sha256sum
        assert_eq!(digest(&plan), "1951f9efe18479e64682e4bf53a0e8d33e4fb806a1a7ec1ec08552009e9b30c8");
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
            Verb::Observe { digest: None },
            Verb::Processes {},
            Verb::Refresh { transaction: transaction.clone() },
            Verb::Simulate { plan: plan.clone() },
            Verb::RunHooks { transaction: transaction.clone(), stage: HookStage::PrePatch },
            Verb::Apply {
                transaction: transaction.clone(),
                plan: plan.clone(),
                digest: digest.clone(),
                estimate_seconds: 1,
                grant: None,
            },
            Verb::Repair { transaction: transaction.clone() },
            Verb::Recall { transaction, wait_seconds: 0 },
            Verb::ReadBack { packages: vec![] },
            Verb::Reboot { transaction: "t".into(), boot_id: "b".into() },
            Verb::Grant { plan, digest, reason: "why".into(), seconds: 1 },
            Verb::Patcher { patcher: Patcher::UnattendedUpgrades, action: PatcherAction::Disable },
        ];
        assert_eq!(verbs.each_ref().map(Verb::name), Verb::NAMES);
        for verb in verbs {
            assert!(serde_json::to_value(&verb).unwrap().get(verb.name()).is_some(), "{}", verb.name());
        }
    }

    #[test]
    fn an_unknown_verb_or_field_is_refused() {
        let unknown = r#"{"protocol":2,"run":"r","verb":{"shell":{"command":"id"}}}"#;
        assert!(serde_json::from_str::<Request>(unknown).is_err());
        let extra =
            r#"{"protocol":2,"run":"r","root":true,"verb":{"recall":{"transaction":"t","wait_seconds":0}}}"#;
        assert!(serde_json::from_str::<Request>(extra).is_err());
    }
}
