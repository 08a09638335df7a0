//! What stands between a host and its first report, and between it and its first patch: the document of
//! `patchctl doctor`, of `GET /v1/doctor` and of `patchd check`. It looks at nothing itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum DoctorSchema {
    #[serde(rename = "patchd.doctor/1")]
    V1,
}

/// Everything that was looked at, in the order in which things build on each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DoctorDocument {
    pub schema: DoctorSchema,
    /// The version of the program that looked.
    pub version: String,
    #[schema(value_type = String, format = DateTime)]
    pub looked_at: Timestamp,
    /// The worst of the verdicts: `failing`, else `cannot_tell`, else `warning`, else `ok`.
    pub verdict: CheckVerdictWire,
    pub checks: Vec<CheckWire>,
}

/// One thing that a host needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckWire {
    pub name: CheckName,
    pub verdict: CheckVerdictWire,
    /// What was found, in a sentence.
    pub detail: String,
    /// What to do about it: a command, or what to write into which file. Absent where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdictWire {
    Ok,
    /// Reports are written all the same, but somebody should look.
    Warning,
    /// Whoever looked may not see it, or it did not answer in time. It never means that it is well.
    CannotTell,
    /// It stands in the way.
    Failing,
}

/// The closed list of checks. A name never changes its meaning; new ones are only added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// Whether this operating system and its package manager are known.
    System,
    /// Whether this is a container, which is never patched.
    Container,
    Config,
    Baseline,
    /// The user and the group `patchd`.
    Account,
    /// Owners and modes of the state directories.
    State,
    Disk,
    /// The units and sockets of systemd.
    Units,
    /// Whether the daemon answers, and its version.
    Daemon,
    /// Whether the root helper answers, and its version.
    Executor,
    /// Whether programs of before an upgrade still run.
    OldProgram,
    Selinux,
    Clock,
    CloudInit,
    /// How old the package lists are.
    Lists,
    /// What the last run came to.
    LastRun,
    Journal,
    /// Whose reports these are: the instance, and how that is known.
    Identity,
    Proxy,
    Region,
    Credentials,
    /// Where reports go, and whether that can be reached.
    Store,
    /// What came of the last report's way there, and how many wait.
    Delivery,
    Windows,
    Freeze,
    Pause,
    Patchers,
    Reboot,
}

impl CheckName {
    /// All of them, in their order.
    pub const ALL: [Self; 28] = [
        Self::System,
        Self::Container,
        Self::Config,
        Self::Baseline,
        Self::Account,
        Self::State,
        Self::Disk,
        Self::Units,
        Self::Daemon,
        Self::Executor,
        Self::OldProgram,
        Self::Selinux,
        Self::Clock,
        Self::CloudInit,
        Self::Lists,
        Self::LastRun,
        Self::Journal,
        Self::Identity,
        Self::Proxy,
        Self::Region,
        Self::Credentials,
        Self::Store,
        Self::Delivery,
        Self::Windows,
        Self::Freeze,
        Self::Pause,
        Self::Patchers,
        Self::Reboot,
    ];

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Container => "container",
            Self::Config => "configuration",
            Self::Baseline => "baseline",
            Self::Account => "user and group",
            Self::State => "state directories",
            Self::Disk => "disk",
            Self::Units => "units",
            Self::Daemon => "daemon",
            Self::Executor => "executor",
            Self::OldProgram => "old programs",
            Self::Selinux => "SELinux",
            Self::Clock => "clock",
            Self::CloudInit => "cloud-init",
            Self::Lists => "package lists",
            Self::LastRun => "last run",
            Self::Journal => "journal",
            Self::Identity => "identity",
            Self::Proxy => "proxy",
            Self::Region => "region",
            Self::Credentials => "credentials",
            Self::Store => "store",
            Self::Delivery => "delivery",
            Self::Windows => "windows",
            Self::Freeze => "freezes",
            Self::Pause => "pause",
            Self::Patchers => "other patchers",
            Self::Reboot => "reboot",
        }
    }
}

impl CheckWire {
    pub fn ok(name: CheckName, detail: impl Into<String>) -> Self {
        Self { name, verdict: CheckVerdictWire::Ok, detail: detail.into(), remedy: None }
    }

    pub fn warning(name: CheckName, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(name, CheckVerdictWire::Warning, detail, remedy)
    }

    pub fn failing(name: CheckName, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(name, CheckVerdictWire::Failing, detail, remedy)
    }

    pub fn cannot_tell(name: CheckName, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::of(name, CheckVerdictWire::CannotTell, detail, remedy)
    }

    fn of(
        name: CheckName,
        verdict: CheckVerdictWire,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { name, verdict, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

impl DoctorDocument {
    /// The checks in their order, with the worst verdict on top. Of one name, the first that could be told counts.
    pub fn new(version: &str, looked_at: Timestamp, mut checks: Vec<CheckWire>) -> Self {
        checks.sort_by_key(|check| (check.name, check.verdict == CheckVerdictWire::CannotTell));
        checks.dedup_by_key(|check| check.name);
        let verdict = checks.iter().map(|check| check.verdict).max().unwrap_or(CheckVerdictWire::CannotTell);
        Self { schema: DoctorSchema::V1, version: version.into(), looked_at, verdict, checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_in_its_order() {
        let mut sorted = CheckName::ALL.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted, CheckName::ALL);
        // Whatever name a document may have is in the list: one more would have a higher number than the last.
        assert_eq!(CheckName::Reboot as usize + 1, CheckName::ALL.len());
    }

    #[test]
    fn what_cannot_be_told_is_never_well_and_the_first_of_one_name_counts() {
        let checks = vec![
            CheckWire::ok(CheckName::Store, "there"),
            CheckWire::cannot_tell(CheckName::Clock, "nobody says", "run it as root"),
            CheckWire::cannot_tell(CheckName::Disk, "nobody says", "run it as root"),
            CheckWire::failing(CheckName::Store, "gone", "mend it"),
            CheckWire::warning(CheckName::Disk, "full", "make room"),
        ];
        let document = DoctorDocument::new("0.1.0", Timestamp::UNIX_EPOCH, checks);
        assert_eq!(document.verdict, CheckVerdictWire::CannotTell);
        let names: Vec<_> = document.checks.iter().map(|check| check.name).collect();
        assert_eq!(names, [CheckName::Disk, CheckName::Clock, CheckName::Store]);
        let text = serde_json::to_string(&document).unwrap();
        assert!(text.contains(r#"{"name":"store","verdict":"ok","detail":"there"}"#), "{text}");
        assert_eq!(serde_json::from_str::<DoctorDocument>(&text).unwrap(), document);
        let nothing = DoctorDocument::new("0.1.0", Timestamp::UNIX_EPOCH, vec![]);
        assert_eq!(nothing.verdict, CheckVerdictWire::CannotTell);
    }
}
