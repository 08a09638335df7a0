//! The endpoints that change something. Who asked is told to the agent, which takes it down; who may ask was decided
//! before.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode};
use patchd_core::plan::Plan;
use patchd_core::report::Operation;
use patchd_core::run::Wish;
use patchd_protocol::control::{MAX_REQUEST_BODY, ProblemType, RunRequest, RunTrigger};
use patchd_protocol::executor::MAX_CHANGES;
use patchd_protocol::report::gzip;
use patchd_protocol::report::native::OperationWire;

use super::Sources;
use super::answer::{self, Answer, Problem};
use super::peer::Peer;
use super::read::{id_of, run_of};
use crate::agent::Refusal;

/// How long a client may take over its request's body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn start_run(
    State(sources): State<Arc<Sources>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    check_media_type(request.headers())?;
    let body = read(request.into_body()).await?;
    let request: RunRequest = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(ProblemType::BadRequest, format!("the body is no run request: {error}"))
    })?;
    let operation = match request.operation {
        OperationWire::Scan => Operation::Scan,
        OperationWire::Apply => Operation::Apply,
    };
    let wish = wish(&request)?;
    let run = sources.agent.start_run(operation, wish, RunTrigger::Request { uid: peer.uid }).await?;
    answer::document(if run.started { StatusCode::ACCEPTED } else { StatusCode::OK }, &run)
}

/// What an apply is to do. A plan must be what its digest says, and of a size that the executor takes.
fn wish(request: &RunRequest) -> Result<Wish, Problem> {
    let bad = |detail: String| Problem::new(ProblemType::BadRequest, detail);
    let is_apply = request.operation == OperationWire::Apply;
    match (&request.plan, request.dry_run) {
        (None, false) => Ok(Wish::WhatIsDue),
        (None, true) if is_apply => Ok(Wish::DryRun),
        (Some(plan), false) if is_apply => {
            if MAX_CHANGES < plan.changes.len().saturating_add(plan.removals.len()) {
                return Err(bad(format!("the plan has more than {MAX_CHANGES} packages")));
            }
            let plan = Plan::try_from(plan).map_err(|error| bad(format!("this is no plan: {error}")))?;
            Ok(Wish::ThisPlan(plan))
        }
        (Some(_), true) => Err(bad("a plan is carried out or a new one is made, not both".into())),
        (Some(_), false) | (None, true) => Err(bad("only an apply has a plan".into())),
    }
}

/// JSON and nothing else: what a web page can make a browser send is none.
fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(gzip::CONTENT_TYPE) {
        return Ok(());
    }
    Err(Problem::new(ProblemType::UnsupportedMediaType, format!("it is {essence:?}")))
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let limited = Limited::new(body, MAX_REQUEST_BODY).collect();
    let bad = |detail: String| Problem::new(ProblemType::BadRequest, detail);
    match tokio::time::timeout(BODY_LIMIT, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("its body has more than {MAX_REQUEST_BODY} bytes");
            Err(Problem::new(ProblemType::BodyTooLarge, detail))
        }
        Ok(Err(error)) => Err(bad(format!("the body broke off: {error}"))),
        Err(_) => Err(bad(format!("the body did not come within {} seconds", BODY_LIMIT.as_secs()))),
    }
}

pub(super) async fn stop_run(
    State(sources): State<Arc<Sources>>,
    Extension(peer): Extension<Peer>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let id = id_of(id)?;
    match sources.agent.stop_run(id.to_string(), peer.name()).await {
        Ok(()) => answer::document(StatusCode::ACCEPTED, &run_of(&sources, &id).await?),
        Err(Refusal::NotUnderWay) => {
            // A run that never was is told apart from one that is over.
            run_of(&sources, &id).await?;
            Err(Problem::new(ProblemType::NotStoppable, format!("run {id} is over")))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

pub(super) async fn pause(State(sources): State<Arc<Sources>>, Extension(peer): Extension<Peer>) -> Answer {
    sources.agent.pause(peer.name()).await?;
    answer::document(StatusCode::OK, &sources.agent.status().await?)
}

pub(super) async fn resume(State(sources): State<Arc<Sources>>, Extension(peer): Extension<Peer>) -> Answer {
    sources.agent.resume(peer.name()).await?;
    answer::document(StatusCode::OK, &sources.agent.status().await?)
}
