//! `patchd.report/1`: our own report document. It is written and read here, and rendered nowhere.
//!
//! Fields are only ever added to version 1; a field that changes its meaning makes a version 2.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::old_code::OldCodeWire;
use crate::words::{
    AnswerWire, ItemStatusWire, LevelWire, MethodNameWire, PatchStateWire, ReasonWire, RebootOutcomeWire,
    TrustWire, VerdictWire,
};

/// The name and version of this format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ReportSchema {
    #[serde(rename = "patchd.report/1")]
    V1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationWire {
    Scan,
    Apply,
}

/// Whether the verdict rests on everything that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AssessmentWire {
    Complete,
    /// Something was unknown; `assessment_reasons` says what.
    Incomplete,
}

/// The verdict in one word. An incomplete assessment is never `compliant`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComplianceWire {
    Compliant,
    NonCompliant,
    Unknown,
}

/// One report: who was looked at, when, by which rules, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportDocument {
    pub schema: ReportSchema,
    pub id: String,
    pub operation: OperationWire,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    pub agent: AgentWire,
    pub host: HostWire,
    pub baseline: BaselineWire,
    pub assessment: AssessmentWire,
    /// Why the assessment is incomplete; empty if it is complete.
    pub assessment_reasons: Vec<ProblemWire>,
    pub summary: SummaryWire,
    /// When the package lists were last fetched with success, as far as the host tells.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub refreshed_at: Option<Timestamp>,
    pub method: MethodWire,
    pub repositories: Vec<RepositoryWire>,
    /// One item for each installed package.
    pub items: Vec<ItemWire>,
    /// The packages that are not at their candidate, or not at the version that the baseline asks for.
    pub updates: Vec<UpdateWire>,
    /// What installing all updates would bring in beside them.
    pub new_packages: Vec<NewPackageWire>,
    /// Everything that was met on the way, the reasons above included.
    pub problems: Vec<ProblemWire>,
    /// What was changed; only on an apply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<RunWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentWire {
    pub name: String,
    pub version: String,
}

/// A yes, a no, or that it can't be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TristateWire {
    pub answer: AnswerWire,
    /// Why: the evidence for a yes, what is lacking for an unknown.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostWire {
    /// The instance id on EC2, elsewhere a stable id of this installation.
    pub id: String,
    pub hostname: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    pub os: OsWire,
    pub architecture: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kernel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bytes: Option<u64>,
    pub needs_reboot: TristateWire,
    /// Code in memory that was replaced on disk. Absent in reports from before it was looked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub old_code: Option<OldCodeWire>,
    pub other_patchers: Vec<OtherPatcherWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OsWire {
    pub id: String,
    pub version_id: String,
    pub codename: String,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherPatcherWire {
    pub name: String,
    pub evidence: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BaselineWire {
    pub id: String,
    pub name: String,
    /// A path, an `s3://` URL, or `builtin:` and a name..
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<String>,
    /// The SHA-256 of the baseline's file, in hexadecimal; absent for a predefined one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// When it was fetched, where it comes from elsewhere.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fetched_at: Option<Timestamp>,
    /// The patch group that the host is in, if it is in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub patch_group: Option<String>,
    /// The `InstallOverrideList` that the run went by, if it went by one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub install_override_list: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SummaryWire {
    pub compliance: ComplianceWire,
    /// The worst level among what is not compliant; absent if all is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub non_compliant_severity: Option<LevelWire>,
    pub packages: u64,
    pub updates: u64,
    pub security_updates: u64,
    pub counts: CountsWire,
}

/// Patch Manager's counts, in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CountsWire {
    pub installed_count: u64,
    pub installed_other_count: u64,
    pub installed_pending_reboot_count: u64,
    pub installed_rejected_count: u64,
    pub missing_count: u64,
    pub failed_count: u64,
    pub not_applicable_count: u64,
    pub critical_non_compliant_count: u64,
    pub security_non_compliant_count: u64,
    pub other_non_compliant_count: u64,
}

/// How the candidates were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MethodWire {
    pub name: MethodNameWire,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepositoryWire {
    pub uri: String,
    pub distribution: String,
    pub component: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub suite: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub codename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub date: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub valid_until: Option<Timestamp>,
    pub trust: TrustWire,
    pub security: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemWire {
    pub name: String,
    pub architecture: String,
    pub state: PatchStateWire,
    pub status: ItemStatusWire,
    /// The level of the rule that matched.
    pub level: LevelWire,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub classification: Option<String>,
    /// For apt the package's `Priority`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub severity: Option<String>,
    pub installed: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub installed_at: Option<Timestamp>,
    /// Why the approved version is not installed, or why the installed one should not be or does not run yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<ReasonWire>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// When that will change by itself, where it is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes_at: Option<Timestamp>,
    /// What is behind it: the packages that it waits for, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub chain: Vec<LinkWire>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateWire {
    pub name: String,
    pub architecture: String,
    pub installed: String,
    pub candidate: String,
    /// What the baseline asks for; it can be older than the candidate. Null if it asks for nothing.
    pub approved: Option<String>,
    pub security: bool,
    /// Where the candidate comes from: `Label:Version/Suite`.
    pub origin: String,
    /// Advisory ids. Empty on apt hosts, whose archives carry none.
    pub advisories: Vec<String>,
    /// Why it is not installed yet.
    pub reason: ReasonWire,
    /// The same in a sentence.
    pub detail: String,
    /// When that will change by itself, where it is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes_at: Option<Timestamp>,
    /// What is behind it: the packages that it waits for, the nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub chain: Vec<LinkWire>,
    /// Every version above the installed one, the newest first, with what the baseline says of it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub offered: Vec<OfferedWire>,
}

/// One version that is offered, and what the baseline says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferedWire {
    pub version: String,
    /// Where it comes from: `Label:Version/Suite`.
    pub origin: String,
    pub approved: bool,
    /// Which rule or entry says so, or why none does.
    pub detail: String,
    /// When it will be approved, where its delay alone is in the way.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes_at: Option<Timestamp>,
}

/// A package that another one waits for, and why it is no help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkWire {
    /// As `name:architecture`.
    pub package: String,
    pub reason: ReasonWire,
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewPackageWire {
    pub name: String,
    pub architecture: String,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemWire {
    /// A stable name: `unreadable`, `malformed`, `stale` … The set grows: treat one that you don't know as the rest.
    pub code: String,
    /// The file, URL or command that it was met in.
    pub place: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u64>,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunWire {
    pub verdict: VerdictWire,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    /// Whose word the changes rested on: a window's name, or the reason of a grant.
    pub window: Option<String>,
    pub transactions: Vec<TransactionWire>,
    /// What was tried and failed, or can't go.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failed: Vec<SetbackWire>,
    /// What was planned and not tried.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waiting: Vec<SetbackWire>,
    /// What happened on the way that somebody should know.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Configuration files that were left beside the ones in use: `.dpkg-dist`, `.dpkg-old`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_files: Vec<String>,
    /// The reboot that the host asked for at the end; absent where it asked for none, or nobody could tell.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reboot: Option<RebootWire>,
}

/// A host's wish for a reboot at the end of a run, and what became of it. Whether it still asks is in `host.needs_reboot`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RebootWire {
    /// `done` only if the run went on in another boot.
    pub outcome: RebootOutcomeWire,
    /// Why the host asked.
    pub because: String,
    /// The packages that run only after it, as `name=version`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub packages: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked_at: Option<Timestamp>,
    /// When the run went on in the boot after it.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seen_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub boot_after: Option<String>,
    /// The gates that were shut for it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reasons: Vec<ReasonWire>,
    /// Why it waits, in sentences.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
}

/// Packages that were planned and did not get where they should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetbackWire {
    /// As `name:architecture`.
    pub packages: Vec<String>,
    pub why: String,
    /// The last words of the package that failed; absent where none did.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub output: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionKindWire {
    /// Packages were changed by plan.
    #[default]
    Apply,
    /// The package database was made whole after a cut.
    Repair,
    /// The operator's own programs.
    Hooks,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TransactionWire {
    pub id: String,
    #[serde(default)]
    pub kind: TransactionKindWire,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    pub took_seconds: i64,
    pub exit_code: Option<i32>,
    pub changes: Vec<ChangeWire>,
    pub output_tail: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeWire {
    pub name: String,
    pub architecture: String,
    pub before: Option<String>,
    pub planned: Option<String>,
    pub after: Option<String>,
    pub done: bool,
}
