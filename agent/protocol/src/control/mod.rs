//! The control API's own documents, version 1: what `GET /v1/…` answers beside the lists in `listing` and the report.
//!
//! Which path answers with which of them is the daemon's OpenAPI document (docs/openapi.json). No transport is here.

pub mod clock;
pub mod events;
pub mod new_program;
pub mod plan;
pub mod windows;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::clock::ClockStatus;
use self::new_program::NewProgram;
use self::plan::PlanRequest;
use crate::report::native::{
    AssessmentWire, BaselineWire, ChangeWire, ComplianceWire, ItemWire, OperationWire, ProblemWire,
    SummaryWire,
};

/// Where the daemon listens unless its config says otherwise.
pub const CONTROL_SOCKET: &str = "/run/patchd/patchd.sock";

/// The longest request body that the daemon reads, in bytes: a plan of 2,000 packages.
pub const MAX_REQUEST_BODY: usize = 1024 * 1024;

/// The media type of every error.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum StatusSchema {
    #[serde(rename = "patchd.status/1")]
    V1,
}

/// What the agent is doing, and what it knows of the host: `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusDocument {
    pub schema: StatusSchema,
    pub state: AgentState,
    pub version: String,
    pub process_id: u32,
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    pub uptime_seconds: i64,
    /// The instance id on EC2, elsewhere a stable id of this installation.
    pub host: String,
    /// Where reports go; a password in it is never shown.
    pub store: String,
    /// Reports that lie on this disk because their store has not confirmed them yet.
    pub spooled_reports: u64,
    /// The run that is under way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub running: Option<RunSummary>,
    /// The last run that concluded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_run: Option<RunSummary>,
    /// What the last report says; absent before the first one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_report: Option<ReportSummary>,
    /// When the scheduler will scan next; absent while a run is under way.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_scan_at: Option<Timestamp>,
    pub window: WindowStatus,
    pub clock: ClockStatus,
    /// Why no apply would start now, by gate; empty if one could.
    pub gates: Vec<GateWire>,
    /// Whether an operator told the agent to change nothing until further notice.
    pub paused: bool,
    /// Where the program on disk is another one than the one that runs: its package was upgraded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub new_program: Option<NewProgram>,
}

/// The agent in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    Idle,
    Running,
    Stopping,
}

/// What the windows say now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WindowStatus {
    pub verdict: WindowVerdict,
    /// The open window, else the next one; absent without any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub occurrence: Option<OccurrenceWire>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowVerdict {
    /// No window is configured: the agent looks and changes nothing.
    None,
    Open,
    Shut,
}

/// One time that a window opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OccurrenceWire {
    pub name: String,
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// From here on no new step starts.
    #[schema(value_type = String, format = DateTime)]
    pub cutoff: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
}

/// One reason to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateWire {
    /// A stable name: `no_window`, `outside_window`, `paused`, `assessment_incomplete`, …
    pub code: String,
    /// The same in a sentence.
    pub detail: String,
}

/// What the last report says, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportSummary {
    pub id: String,
    pub operation: OperationWire,
    #[schema(value_type = String, format = DateTime)]
    pub finished_at: Timestamp,
    pub assessment: AssessmentWire,
    pub summary: SummaryWire,
    /// Whether the host asked for a reboot. Absent in what an older patchd wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub needs_reboot: Option<crate::words::AnswerWire>,
    /// The key that the store keeps it under; absent while it is only in the spool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ComplianceSchema {
    #[serde(rename = "patchd.compliance/1")]
    V1,
}

/// The verdict of the last report, package by package: `GET /v1/compliance`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComplianceDocument {
    pub schema: ComplianceSchema,
    /// The report that it was taken from.
    pub report: String,
    #[schema(value_type = String, format = DateTime)]
    pub assessed_at: Timestamp,
    pub baseline: BaselineWire,
    pub assessment: AssessmentWire,
    pub assessment_reasons: Vec<ProblemWire>,
    pub summary: SummaryWire,
    pub items: Vec<ItemWire>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum RunsSchema {
    #[serde(rename = "patchd.runs/1")]
    V1,
}

/// The latest runs, newest first: `GET /v1/runs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunsDocument {
    pub schema: RunsSchema,
    pub runs: Vec<RunSummary>,
}

/// One run in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    pub id: String,
    pub operation: OperationWire,
    /// Whether it only plans.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    pub trigger: RunTrigger,
    pub phase: RunPhase,
    #[schema(value_type = String, format = DateTime)]
    pub requested_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub concluded_at: Option<Timestamp>,
    /// How it ended; absent while it is under way.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<RunOutcome>,
    /// One sentence beside the verdict.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// The report that it wrote.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub report: Option<String>,
    /// The verdict on the host in that report.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compliance: Option<ComplianceWire>,
}

/// Who asked for a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunTrigger {
    /// The interval of scans, or an opening window.
    Schedule,
    /// A user of the control socket, by the uid that the kernel told.
    Request { uid: u32 },
    /// `patchd once`.
    Once,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    Queued,
    Refreshing,
    Assessing,
    Planning,
    Gating,
    /// Running the pre-patch hooks.
    Preparing,
    Applying,
    /// After a crash: asking the executor what came of the transaction.
    Recalling,
    /// Making the package database whole after a transaction that did not end well.
    Repairing,
    ReadingBack,
    /// Running the post-patch hooks.
    Finishing,
    Rebooting,
    Reporting,
    Concluded,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Succeeded,
    /// Some of what was planned was read back as done.
    Partial,
    /// Nothing was changed, because something stood in the way.
    Refused,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum RunSchema {
    #[serde(rename = "patchd.run/1")]
    V1,
}

/// One run with its history: `GET /v1/runs/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDocument {
    pub schema: RunSchema,
    #[serde(flatten)]
    pub run: RunSummary,
    /// The gates that were shut, if any was.
    pub gates: Vec<GateWire>,
    /// The transactions that it started, by id.
    pub transactions: Vec<RunTransaction>,
    /// What the journal has of it, oldest first.
    pub journal: Vec<JournalEntry>,
}

/// One call of the package manager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunTransaction {
    pub id: String,
    /// The digest of the plan that it carried out.
    pub digest: String,
    /// What was read back after it; empty until then.
    pub changes: Vec<ChangeWire>,
}

/// One intent and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    pub sequence: u64,
    /// What was to be done: `refresh`, `assess`, `simulate`, `look_at_gates`, `run_hooks`, `apply`, `recall`, `repair`,
    /// `read_back`, `report`.
    pub effect: String,
    #[schema(value_type = String, format = DateTime)]
    pub intended_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub done_at: Option<Timestamp>,
    /// What came of it in one sentence; absent while it is under way, or if a crash cut it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub outcome: Option<String>,
}

/// What `POST /v1/runs` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    pub operation: OperationWire,
    /// Only for an apply: plan it, look at the gates, and change nothing. `GET /v1/runs/{id}/plan` has the plan.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
    /// Only for an apply: this plan and nothing else, or nothing at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRequest>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this signature")]
fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum RunAnswerSchema {
    #[serde(rename = "patchd.run-answer/1")]
    V1,
}

/// What `POST /v1/runs` answers. There is one run at a time: while one is under way the answer names that one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunAnswer {
    pub schema: RunAnswerSchema,
    /// Whether this request started it (202). If not (200), `run` was under way before, whatever it does.
    pub started: bool,
    pub run: RunSummary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum HealthSchema {
    #[serde(rename = "patchd.health/1")]
    V1,
}

/// Whether the agent itself is well: `GET /v1/health`. It answers 200 if so and 503 if not, with the same document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthDocument {
    pub schema: HealthSchema,
    pub healthy: bool,
    pub checks: Vec<HealthCheck>,
}

/// One thing that the agent needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// `journal`, `loop`, `last_scan`, `sandbox`.
    pub name: String,
    pub ok: bool,
    pub detail: String,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    /// A stable name of the kind of error: see `ProblemType`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

/// Every kind of error that the control API has. The names don't change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    NotFound,
    MethodNotAllowed,
    NotAuthorised,
    BadRequest,
    BodyTooLarge,
    UnsupportedMediaType,
    /// No report was written yet.
    NoReport,
    /// No plan was made, or none by this run.
    NoPlan,
    /// The run that was to be stopped is over, or has nothing left to stop.
    NotStoppable,
    /// As many clients as there may be follow runs already.
    TooManyFollowers,
    Stopping,
    Internal,
}

impl ProblemType {
    /// The value of `type`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::NotFound => "urn:patchd:problem:not-found",
            Self::MethodNotAllowed => "urn:patchd:problem:method-not-allowed",
            Self::NotAuthorised => "urn:patchd:problem:not-authorised",
            Self::BadRequest => "urn:patchd:problem:bad-request",
            Self::BodyTooLarge => "urn:patchd:problem:body-too-large",
            Self::UnsupportedMediaType => "urn:patchd:problem:unsupported-media-type",
            Self::NoReport => "urn:patchd:problem:no-report",
            Self::NoPlan => "urn:patchd:problem:no-plan",
            Self::NotStoppable => "urn:patchd:problem:not-stoppable",
            Self::TooManyFollowers => "urn:patchd:problem:too-many-followers",
            Self::Stopping => "urn:patchd:problem:stopping",
            Self::Internal => "urn:patchd:problem:internal",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::NotFound => "there is no such thing here",
            Self::MethodNotAllowed => "this path does not take this method",
            Self::NotAuthorised => "you may not do this",
            Self::BadRequest => "the request can't be understood",
            Self::BodyTooLarge => "the request is too large",
            Self::UnsupportedMediaType => "the request's body must be application/json",
            Self::NoReport => "no report was written yet",
            Self::NoPlan => "there is no plan",
            Self::NotStoppable => "this run can't be stopped",
            Self::TooManyFollowers => "too many clients follow runs",
            Self::Stopping => "patchd is stopping",
            Self::Internal => "patchd could not answer",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::NotFound | Self::NoReport | Self::NoPlan => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAuthorised => 403,
            Self::BadRequest => 400,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::NotStoppable => 409,
            Self::TooManyFollowers | Self::Stopping => 503,
            Self::Internal => 500,
        }
    }

    pub fn document(self, detail: impl Into<String>) -> ProblemDocument {
        ProblemDocument {
            kind: self.uri().into(),
            title: self.title().into(),
            status: self.status(),
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_request_takes_nothing_that_it_does_not_know() {
        let request: RunRequest = serde_json::from_str(r#"{"operation":"scan"}"#).unwrap();
        assert_eq!(request.operation, OperationWire::Scan);
        assert!(serde_json::from_str::<RunRequest>(r#"{"operation":"scan","force":true}"#).is_err());
        assert!(serde_json::from_str::<RunRequest>(r#"{"operation":"reboot"}"#).is_err());
    }

    #[test]
    fn a_problem_reads_as_rfc_9457_has_it() {
        let problem = ProblemType::NoReport.document("the first scan is under way");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"urn:patchd:problem:no-report","title":"no report was written yet","status":404,"detail":"the first scan is under way"}"#
        );
    }

    #[test]
    fn a_run_keeps_its_summary_beside_its_schema() {
        let run = RunDocument {
            schema: RunSchema::V1,
            run: RunSummary {
                id: "r".into(),
                operation: OperationWire::Apply,
                dry_run: false,
                trigger: RunTrigger::Request { uid: 0 },
                phase: RunPhase::ReadingBack,
                requested_at: Timestamp::UNIX_EPOCH,
                concluded_at: None,
                verdict: None,
                detail: None,
                report: None,
                compliance: None,
            },
            gates: vec![],
            transactions: vec![],
            journal: vec![],
        };
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(
            text,
            r#"{"schema":"patchd.run/1","id":"r","operation":"apply","trigger":{"request":{"uid":0}},"phase":"reading_back","requested_at":"1970-01-01T00:00:00Z","gates":[],"transactions":[],"journal":[]}"#
        );
        assert_eq!(serde_json::from_str::<RunDocument>(&text).unwrap(), run);
    }
}
