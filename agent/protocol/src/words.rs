//! The sets of words in our documents. Each is an enum here, so that the published schema lists its words and no writer
//! can invent one.
//!
//! Closed sets are somebody else's, and final. Open ones are ours and may grow within version 1 of a document: a reader
//! keeps a word that it does not know, as it is.

use patchd_core::baseline::ComplianceLevel;
use patchd_core::compliance::PatchState;
use patchd_core::inventory::{Status, Want};
use patchd_core::offer::Trust;
use patchd_core::pending::Remedy;
use patchd_core::reason::Cause;
use patchd_core::report::RunVerdict;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A closed enum of words, each written once.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$of_word:meta])* $variant:ident = $word:tt,)+ }) => {
        $(#[$about])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        pub enum $name {
            $($(#[$of_word])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word as documents spell it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }
    };
}

/// An open enum of words, each written once. The published schema lists those of this version.
macro_rules! open_words {
    ($(#[doc = $about:literal])+ $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($variant,)+
            /// A word of a later version. Nobody writes one but to pass on what was read.
            Other(Box<str>),
        }

        impl $name {
            /// The word as documents spell it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl $name {
            fn of_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word.into()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = Box::<str>::deserialize(deserializer)?;
                Ok(Self::of_word(&word))
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let about = [$($about),+].map(str::trim).join("\n");
                let words = ObjectBuilder::new().schema_type(Type::String).description(Some(about));
                words.enum_values(Some([$($word),+])).into()
            }
        }

        impl ToSchema for $name {}
    };
}

words! {
    /// A yes, a no, or that it can't be told.
    AnswerWire {
        Yes = "yes",
        No = "no",
        Unknown = "unknown",
    }
}

words! {
    /// Patch Manager's state of one package.
    PatchStateWire {
        Installed = "Installed",
        InstalledOther = "InstalledOther",
        InstalledPendingReboot = "InstalledPendingReboot",
        InstalledRejected = "InstalledRejected",
        Missing = "Missing",
        Failed = "Failed",
    }
}

words! {
    /// Patch Manager's status of one package.
    ItemStatusWire {
        Compliant = "COMPLIANT",
        NonCompliant = "NON_COMPLIANT",
    }
}

words! {
    /// Patch Manager's compliance level, the least grave first.
    LevelWire {
        Unspecified = "UNSPECIFIED",
        Informational = "INFORMATIONAL",
        Low = "LOW",
        Medium = "MEDIUM",
        High = "HIGH",
        Critical = "CRITICAL",
    }
}

open_words! {
    /// Why a package is not at the version that it should be at, or is and does not run yet. Later documents of version 1
    /// may know more reasons.
    ReasonWire {
        Held = "held",
        Pinned = "pinned",
        Phased = "phased",
        NotApproved = "not_approved",
        Rejected = "rejected",
        NotListed = "not_listed",
        Conffile = "conffile",
        SameVersion = "same_version",
        Dependency = "dependency",
        RemovalRequired = "removal_required",
        Failed = "failed",
        Paused = "paused",
        Freeze = "freeze",
        NoWindow = "no_window",
        OutsideWindow = "outside_window",
        WontFit = "wont_fit",
        Stopped = "stopped",
        Disk = "disk",
        Memory = "memory",
        Locked = "locked",
        RefreshFailed = "refresh_failed",
        DatabaseInterrupted = "database_interrupted",
        ClockUntrusted = "clock_untrusted",
        AssessmentIncomplete = "assessment_incomplete",
        HookFailed = "hook_failed",
        NeverRebooted = "never_rebooted",
        Forbidden = "forbidden",
        Ready = "ready",
        Reboot = "reboot",
        Restart = "restart",
    }
}

words! {
    /// What it takes for a process to run what is on disk.
    RemedyWire {
        Restart = "restart",
        Reboot = "reboot",
    }
}

open_words! {
    /// Why a list of packages is believed, or that it is not.
    TrustWire {
        Signed = "signed",
        MarkedTrusted = "marked_trusted",
        Untrusted = "untrusted",
    }
}

open_words! {
    /// How the candidates were found: by our own reader, or by asking the package manager where the host uses something
    /// that our reader does not know.
    MethodNameWire {
        Native = "native",
        AskedPackageManager = "asked_package_manager",
    }
}

open_words! {
    /// What became of the reboot that a host asked for at the end of a run.
    RebootOutcomeWire {
        Done = "done",
        Waits = "waits",
        Missed = "missed",
    }
}

open_words! {
    /// How a run ended; from what was read back, never from an exit code.
    VerdictWire {
        Succeeded = "succeeded",
        Partial = "partial",
        Refused = "refused",
        Failed = "failed",
    }
}

words! {
    /// dpkg's state of a package.
    PackageStatusWire {
        NotInstalled = "not-installed",
        ConfigFiles = "config-files",
        HalfInstalled = "half-installed",
        Unpacked = "unpacked",
        HalfConfigured = "half-configured",
        TriggersAwaited = "triggers-awaited",
        TriggersPending = "triggers-pending",
        Installed = "installed",
    }
}

words! {
    /// dpkg's selection of a package.
    WantWire {
        Unknown = "unknown",
        Install = "install",
        Hold = "hold",
        Deinstall = "deinstall",
        Purge = "purge",
    }
}

impl From<PatchState> for PatchStateWire {
    fn from(state: PatchState) -> Self {
        match state {
            PatchState::Installed => Self::Installed,
            PatchState::InstalledOther => Self::InstalledOther,
            PatchState::InstalledPendingReboot => Self::InstalledPendingReboot,
            PatchState::InstalledRejected => Self::InstalledRejected,
            PatchState::Missing => Self::Missing,
            PatchState::Failed => Self::Failed,
        }
    }
}

impl From<ComplianceLevel> for LevelWire {
    fn from(level: ComplianceLevel) -> Self {
        match level {
            ComplianceLevel::Unspecified => Self::Unspecified,
            ComplianceLevel::Informational => Self::Informational,
            ComplianceLevel::Low => Self::Low,
            ComplianceLevel::Medium => Self::Medium,
            ComplianceLevel::High => Self::High,
            ComplianceLevel::Critical => Self::Critical,
        }
    }
}

impl From<&Cause> for ReasonWire {
    fn from(cause: &Cause) -> Self {
        Self::of_word(cause.code())
    }
}

impl From<Remedy> for RemedyWire {
    fn from(remedy: Remedy) -> Self {
        match remedy {
            Remedy::Restart => Self::Restart,
            Remedy::Reboot => Self::Reboot,
        }
    }
}

impl From<Trust> for TrustWire {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Signed => Self::Signed,
            Trust::MarkedTrusted => Self::MarkedTrusted,
            Trust::Untrusted => Self::Untrusted,
        }
    }
}

impl From<&RunVerdict> for VerdictWire {
    fn from(verdict: &RunVerdict) -> Self {
        match verdict {
            RunVerdict::Succeeded => Self::Succeeded,
            RunVerdict::Partial { .. } => Self::Partial,
            RunVerdict::Refused { .. } => Self::Refused,
            RunVerdict::Failed { .. } => Self::Failed,
        }
    }
}

impl From<Status> for PackageStatusWire {
    fn from(status: Status) -> Self {
        match status {
            Status::NotInstalled => Self::NotInstalled,
            Status::ConfigFiles => Self::ConfigFiles,
            Status::HalfInstalled => Self::HalfInstalled,
            Status::Unpacked => Self::Unpacked,
            Status::HalfConfigured => Self::HalfConfigured,
            Status::TriggersAwaited => Self::TriggersAwaited,
            Status::TriggersPending => Self::TriggersPending,
            Status::Installed => Self::Installed,
        }
    }
}

impl From<Want> for WantWire {
    fn from(want: Want) -> Self {
        match want {
            Want::Unknown => Self::Unknown,
            Want::Install => Self::Install,
            Want::Hold => Self::Hold,
            Want::Deinstall => Self::Deinstall,
            Want::Purge => Self::Purge,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use patchd_core::baseline::decide::Unapproved;
    use patchd_core::baseline::{RejectedAction, RuleNumber};
    use patchd_core::gate::Shut;

    use super::*;

    #[test]
    fn a_word_of_a_later_version_is_kept_where_the_set_is_open() {
        for word in ["\"held\"", "\"quarantined\""] {
            let reason: ReasonWire = serde_json::from_str(word).unwrap();
            assert_eq!(serde_json::to_string(&reason).unwrap(), word);
        }
        assert_eq!(serde_json::from_str::<VerdictWire>("\"failed\"").unwrap(), VerdictWire::Failed);
        assert!(serde_json::from_str::<ReasonWire>("7").is_err());
        assert!(serde_json::from_str::<PackageStatusWire>("\"quarantined\"").is_err());
    }

    #[test]
    fn one_spelling_in_text_in_json_and_in_the_domain() {
        assert_eq!(serde_json::to_string(&LevelWire::High).unwrap(), "\"HIGH\"");
        assert_eq!(serde_json::from_str::<LevelWire>("\"CRITICAL\"").unwrap(), LevelWire::Critical);
        assert!(serde_json::from_str::<LevelWire>("\"Critical\"").is_err());
        assert_eq!(format!("{:<5}|", AnswerWire::Yes), "yes  |");
        for level in [ComplianceLevel::Unspecified, ComplianceLevel::Medium] {
            assert_eq!(LevelWire::from(level).as_str(), level.as_str());
        }
        for state in [PatchState::InstalledOther, PatchState::Missing] {
            assert_eq!(PatchStateWire::from(state).as_str(), state.as_str());
        }
    }

    #[test]
    fn every_cause_has_its_word() {
        for cause in causes() {
            let word = ReasonWire::from(&cause);
            assert_eq!(word.as_str(), cause.code());
            assert!(!matches!(word, ReasonWire::Other(_)), "{cause:?}");
        }
    }

    fn causes() -> Vec<Cause> {
        let detail = String::new;
        let shut = [
            Shut::Paused,
            Shut::Stopped { by: detail() },
            Shut::NoWindow,
            Shut::OutsideWindow { next: None },
            Shut::Frozen { until: Timestamp::UNIX_EPOCH, reason: detail() },
            Shut::WontFit { needed: SignedDuration::ZERO, left: SignedDuration::ZERO },
            Shut::NoRoom { detail: detail() },
            Shut::NoMemory { available: 0 },
            Shut::Locked { detail: detail() },
            Shut::RefreshFailed { detail: detail() },
            Shut::DatabaseInterrupted { detail: detail() },
            Shut::ClockUntrusted { detail: detail() },
            Shut::AssessmentIncomplete { detail: detail() },
            Shut::HookFailed { detail: detail() },
            Shut::NoTimeToReboot { needed: SignedDuration::ZERO, left: SignedDuration::ZERO },
            Shut::RebootHookFailed { detail: detail() },
            Shut::NeverRebooted { detail: detail() },
            Shut::Forbidden { detail: detail() },
        ];
        let others = [
            Cause::Held,
            Cause::Pinned,
            Cause::Phased { percentage: 1 },
            Cause::NotApproved { miss: Unapproved::NoRule },
            Cause::Delayed { rule: RuleNumber(1), after: Timestamp::UNIX_EPOCH },
            Cause::Rejected { entry: detail(), action: RejectedAction::Block },
            Cause::NotListed,
            Cause::Conffile { detail: detail() },
            Cause::SameVersion,
            Cause::Dependency { on: None },
            Cause::RemovalRequired { packages: vec![] },
            Cause::Failed { run: None, detail: detail() },
            Cause::Ready,
            Cause::Reboot { because: detail(), waits: None },
            Cause::Restart { processes: detail() },
        ];
        shut.into_iter().map(Cause::Shut).chain(others).collect()
    }
}
