//! Every path of the control API, once: the router and the OpenAPI document are both made from this table, so that
//! neither has what the other lacks.

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};
use hyper::{Method, Uri};
use patchd_protocol::control::events::RunEvent;
use patchd_protocol::control::plan::PlanDocument;
use patchd_protocol::control::windows::WindowsDocument;
use patchd_protocol::control::{
    ComplianceDocument, HealthDocument, ProblemType, RunAnswer, RunDocument, RunRequest, RunsDocument,
    StatusDocument,
};
use patchd_protocol::doctor::DoctorDocument;
use patchd_protocol::listing::{InventoryDocument, UpdatesDocument};
use patchd_protocol::report::native::ReportDocument;

use super::answer::Problem;
use super::openapi::{Content, events_of, json_object, of};
use super::{Sources, change, events, read};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
}

/// One path with one method.
pub(super) struct Endpoint {
    pub(super) verb: Verb,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) request: Option<fn() -> Content>,
    /// What it answers when it does what was asked.
    pub(super) answers: &'static [Reply],
    /// What it answers beside the errors that every endpoint has.
    pub(super) problems: &'static [ProblemType],
    route: fn() -> MethodRouter<Arc<Sources>>,
}

/// A status, when it is the answer, and what comes with it.
pub(super) struct Reply(pub(super) u16, pub(super) &'static str, pub(super) fn() -> Content);

/// The errors that every endpoint has.
pub(super) const COMMON_PROBLEMS: [ProblemType; 3] =
    [ProblemType::NotAuthorised, ProblemType::Stopping, ProblemType::Internal];

pub(super) const ENDPOINTS: [Endpoint; 18] = [
    Endpoint {
        verb: Verb::Get,
        path: "/v1/status",
        summary: "What the agent is doing, and what it knows of the host",
        request: None,
        answers: &[Reply(200, "The status", of::<StatusDocument>)],
        problems: &[],
        route: || get(read::status),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/health",
        summary: "Whether the agent itself is well",
        request: None,
        answers: &[
            Reply(200, "It is", of::<HealthDocument>),
            Reply(503, "It is not, and the document says why; or it is stopping", of::<HealthDocument>),
        ],
        problems: &[],
        route: || get(read::health),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/doctor",
        summary: "What stands between this host and its reports and patches",
        request: None,
        answers: &[Reply(200, "Every check, with its verdict and what to do", of::<DoctorDocument>)],
        problems: &[],
        route: || get(read::doctor),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/inventory",
        summary: "What was installed when the last report was written",
        request: None,
        answers: &[Reply(200, "The packages, and what could not be read", of::<InventoryDocument>)],
        problems: &[ProblemType::NoReport],
        route: || get(read::inventory),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/compliance",
        summary: "The verdict of the last report, package by package",
        request: None,
        answers: &[Reply(200, "The verdict", of::<ComplianceDocument>)],
        problems: &[ProblemType::NoReport],
        route: || get(read::compliance),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/updates",
        summary: "What could be, or should be, newer than it is, by the last report",
        request: None,
        answers: &[Reply(200, "The updates", of::<UpdatesDocument>)],
        problems: &[ProblemType::NoReport],
        route: || get(read::updates),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/windows",
        summary: "What is open or shut now, what opens next, and what is configured",
        request: None,
        answers: &[Reply(200, "The windows and freezes", of::<WindowsDocument>)],
        problems: &[],
        route: || get(read::windows),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/runs",
        summary: "The latest hundred runs, newest first",
        request: None,
        answers: &[Reply(200, "The runs", of::<RunsDocument>)],
        problems: &[],
        route: || get(read::runs),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/v1/runs",
        summary: "Ask for a run",
        request: Some(of::<RunRequest>),
        answers: &[
            Reply(202, "It begins", of::<RunAnswer>),
            Reply(200, "Another one is under way, and no second one begins", of::<RunAnswer>),
        ],
        problems: &[ProblemType::BadRequest, ProblemType::BodyTooLarge, ProblemType::UnsupportedMediaType],
        route: || post(change::start_run),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/runs/{id}",
        summary: "One run with its history",
        request: None,
        answers: &[Reply(200, "The run", of::<RunDocument>)],
        problems: &[ProblemType::NotFound],
        route: || get(read::run),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/runs/{id}/plan",
        summary: "The plan that a run made, as it was when its gates were first looked at",
        request: None,
        answers: &[Reply(200, "The plan", of::<PlanDocument>)],
        problems: &[ProblemType::NoPlan],
        route: || get(read::plan),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/runs/{id}/events",
        summary: "What happens to a run, from its beginning, or from Last-Event-ID on, to its end",
        request: None,
        answers: &[Reply(
            200,
            "Server-sent events, each with one document as its data",
            events_of::<RunEvent>,
        )],
        problems: &[ProblemType::NotFound, ProblemType::BadRequest, ProblemType::TooManyFollowers],
        route: || get(events::follow),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/plan",
        summary: "The newest plan that a run made",
        request: None,
        answers: &[Reply(200, "The plan", of::<PlanDocument>)],
        problems: &[ProblemType::NoPlan],
        route: || get(read::last_plan),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/v1/runs/{id}/stop",
        summary: "Ask the run under way to end before it changes anything more",
        request: None,
        answers: &[Reply(202, "It ends as soon as it can: this is how far it has come", of::<RunDocument>)],
        problems: &[ProblemType::NotFound, ProblemType::NotStoppable],
        route: || post(change::stop_run),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/reports/{id}",
        summary: "One of the latest reports",
        request: None,
        answers: &[Reply(200, "The report, gzipped for those who accept that", of::<ReportDocument>)],
        problems: &[ProblemType::NotFound],
        route: || get(read::report),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/v1/pause",
        summary: "Change nothing on this host until somebody resumes; it is still scanned",
        request: None,
        answers: &[Reply(200, "The status, now paused", of::<StatusDocument>)],
        problems: &[],
        route: || post(change::pause),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/v1/resume",
        summary: "Take back a pause",
        request: None,
        answers: &[Reply(200, "The status, no longer paused", of::<StatusDocument>)],
        problems: &[],
        route: || post(change::resume),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/v1/openapi.json",
        summary: "This document",
        request: None,
        answers: &[Reply(200, "The description of this API", json_object)],
        problems: &[],
        route: || get(read::openapi),
    },
];

/// The router with every endpoint, and an answer for everything else.
pub(super) fn router(sources: Arc<Sources>) -> Router {
    let router = ENDPOINTS
        .iter()
        .fold(Router::new(), |router, endpoint| router.route(endpoint.path, (endpoint.route)()));
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method).with_state(sources)
}

async fn no_such_path(uri: Uri) -> impl IntoResponse {
    Problem::new(
        ProblemType::NotFound,
        format!("{:.200} is no path of this API; see /v1/openapi.json", uri.path()),
    )
}

async fn no_such_method(method: Method, uri: Uri) -> impl IntoResponse {
    let detail = format!("{:.200} does not take {:.20}", uri.path(), method.as_str());
    Problem::new(ProblemType::MethodNotAllowed, detail)
}
