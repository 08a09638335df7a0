//! The endpoints that read. What the last scan found is on the disk, ready to be sent; nothing is kept in memory.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::header::ACCEPT_ENCODING;
use hyper::{HeaderMap, StatusCode};
use patchd_core::run::RunId;
use patchd_protocol::control::{ProblemType, RunDocument, RunsDocument, RunsSchema};

use super::Sources;
use super::answer::{self, Answer, Problem};
use super::openapi;
use super::unpacked;
use crate::doctor::AgentWord;
use crate::documents::{Documents, Kind};

/// The longest document that is read, packed, in bytes. A report of a thousand packages has some 30,000.
const MAX_PACKED: u64 = 16 << 20;

/// As many runs are listed.
const LISTED_RUNS: u32 = 100;

pub(super) async fn status(State(sources): State<Arc<Sources>>) -> Answer {
    answer::document(StatusCode::OK, &sources.agent.status().await?)
}

/// An agent that does not answer is not well, which is an answer too.
pub(super) async fn health(State(sources): State<Arc<Sources>>) -> Answer {
    match sources.agent.health().await {
        Ok(health) => {
            let status = if health.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer::document(status, &health)
        }
        Err(refusal) => Err(Problem::from(refusal)),
    }
}

/// What stands in the way of reports and patches. It takes some seconds where something does.
pub(super) async fn doctor(State(sources): State<Arc<Sources>>) -> Answer {
    let (status, health) = (sources.agent.status().await, sources.agent.health().await);
    let word = match (&status, &health) {
        (Ok(status), Ok(health)) => AgentWord::Said(status, health),
        _ => AgentWord::Silent,
    };
    answer::document(StatusCode::OK, &sources.doctor.look(word).await)
}

pub(super) async fn windows(State(sources): State<Arc<Sources>>) -> Answer {
    answer::document(StatusCode::OK, &sources.agent.windows().await?)
}

pub(super) async fn openapi() -> Response {
    answer::json_text(StatusCode::OK, Bytes::from_static(openapi::PUBLISHED.as_bytes()))
}

pub(super) async fn inventory(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Answer {
    of_last_report(&sources, Kind::Inventory, &headers).await
}

pub(super) async fn compliance(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Answer {
    of_last_report(&sources, Kind::Compliance, &headers).await
}

pub(super) async fn updates(State(sources): State<Arc<Sources>>, headers: HeaderMap) -> Answer {
    of_last_report(&sources, Kind::Updates, &headers).await
}

async fn of_last_report(sources: &Sources, kind: Kind, headers: &HeaderMap) -> Answer {
    match packed(&sources.documents, move |documents| documents.open(kind)).await? {
        Some(document) => Ok(answer::packed(document, takes_gzip(headers))),
        None => Err(no_report(sources).await),
    }
}

/// Reads a document as it lies, off the loop.
async fn packed(
    documents: &Documents,
    open: impl FnOnce(&Documents) -> io::Result<Option<File>> + Send + 'static,
) -> Result<Option<Bytes>, Problem> {
    let documents = documents.clone();
    let read = tokio::task::spawn_blocking(move || {
        let Some(file) = open(&documents)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(MAX_PACKED + 1).read_to_end(&mut bytes)?;
        if MAX_PACKED < bytes.len() as u64 {
            return Err(io::Error::other(format!("a document has more than {MAX_PACKED} bytes")));
        }
        Ok(Some(Bytes::from(bytes)))
    });
    let read = read.await.map_err(|error| Problem::internal(&error))?;
    read.map_err(|error: io::Error| Problem::internal(&error))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut said = headers.get_all(ACCEPT_ENCODING).iter();
    said.any(|value| value.to_str().is_ok_and(unpacked::takes_gzip))
}

async fn no_report(sources: &Sources) -> Problem {
    let detail = match sources.agent.status().await {
        Ok(status) => match (status.running, status.next_scan_at) {
            (Some(run), _) => format!("run {} is under way and will write one", run.id),
            (None, Some(at)) => format!("the next scan begins at {at}; `patchctl scan` does not wait for it"),
            (None, None) => "`patchctl scan` writes one".into(),
        },
        Err(refusal) => refusal.to_string(),
    };
    Problem::new(ProblemType::NoReport, detail)
}

pub(super) async fn runs(State(sources): State<Arc<Sources>>) -> Answer {
    let runs = sources.journal.with(|journal| journal.runs(LISTED_RUNS)).await?;
    answer::document(StatusCode::OK, &RunsDocument { schema: RunsSchema::V1, runs })
}

/// The id in a path, where a run or a report can have it.
pub(super) fn id_of(path: Result<Path<String>, PathRejection>) -> Result<RunId, Problem> {
    let none =
        |text: &str| Problem::new(ProblemType::NotFound, format!("{text:?} is no id of a run or a report"));
    let Path(text) = path.map_err(|_| none("this"))?;
    RunId::parse(&text).map_err(|_| none(&text.chars().take(100).collect::<String>()))
}

pub(super) async fn run(
    State(sources): State<Arc<Sources>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    answer::document(StatusCode::OK, &run_of(&sources, &id_of(id)?).await?)
}

/// The newest plan that a run made.
pub(super) async fn last_plan(State(sources): State<Arc<Sources>>) -> Answer {
    let plan = sources.journal.with(|journal| journal.last_plan()).await?;
    of_plan(plan, "`patchctl plan` makes one")
}

pub(super) async fn plan(
    State(sources): State<Arc<Sources>>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let id = id_of(id)?;
    let wanted = id.to_string();
    let plan = sources.journal.with(move |journal| journal.plan(&wanted)).await?;
    if plan.is_none() {
        // A run that never was is told apart from one that made none.
        run_of(&sources, &id).await?;
    }
    of_plan(plan, &format!("run {id} has settled none, or it was long ago"))
}

fn of_plan(plan: Option<String>, why_not: &str) -> Answer {
    match plan {
        Some(plan) => Ok(answer::json_text(StatusCode::OK, Bytes::from(plan))),
        None => Err(Problem::new(ProblemType::NoPlan, why_not)),
    }
}

pub(super) async fn run_of(sources: &Sources, id: &RunId) -> Result<RunDocument, Problem> {
    let wanted = id.to_string();
    let run = sources.journal.with(move |journal| journal.run(&wanted)).await?;
    run.ok_or_else(|| Problem::new(ProblemType::NotFound, format!("the journal has no run {id}")))
}

pub(super) async fn report(
    State(sources): State<Arc<Sources>>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let id = id_of(id)?;
    let wanted = id.clone();
    match packed(&sources.documents, move |documents| documents.open_report(&wanted)).await? {
        Some(report) => Ok(answer::packed(report, takes_gzip(&headers))),
        None => {
            let detail = format!("report {id} is not on this host; if there was one, its store has it");
            Err(Problem::new(ProblemType::NotFound, detail))
        }
    }
}
