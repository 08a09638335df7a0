//! The event stream of a run: what the journal has of it, then what happens, until it is over.
//!
//! A slow client loses progress and never a move: those are read from the journal, when it says that there is more. A
//! stream waits for nothing else, and tells its connection that it lives by being asked for more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use patchd_core::run::RunId;
use patchd_protocol::control::ProblemType;
use patchd_protocol::control::events::{EVENT_STREAM, HEARTBEAT_SECONDS, RunEvent};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Sources;
use super::answer::{Answer, Problem};
use super::read::{id_of, run_of};
use crate::chain::chain;
use crate::journal::{JournalError, Moves};
use crate::live::Follower;

/// As many moves are read at once.
const PIECE: u32 = 50;

/// Where a client says which event it had last.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a comment looks like that says only that the daemon is there.
const HEARTBEAT: Bytes = Bytes::from_static(b": patchd is there\n\n");

/// What a connection lends to the streams on it.
#[derive(Debug, Clone)]
pub(super) struct Lent {
    /// Room for followers.
    pub(super) room: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) pulse: Pulse,
}

/// When a stream was last asked for more, if there is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulse {
    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, to: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

/// One client's way through a run.
struct Stream {
    sources: Arc<Sources>,
    run: RunId,
    follower: Follower,
    /// The place of the last move that it was told.
    after: u64,
    has_more: bool,
    beat_at: Instant,
    lent: Lent,
    _room: OwnedSemaphorePermit,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.lent.pulse.set(None);
    }
}

pub(super) async fn follow(
    State(sources): State<Arc<Sources>>,
    Extension(lent): Extension<Lent>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let run = id_of(id)?;
    let after = last_event_id(&headers)?;
    let Ok(room) = Arc::clone(&lent.room).try_acquire_owned() else {
        let detail = "come back when another one has ended".to_owned();
        return Err(Problem::new(ProblemType::TooManyFollowers, detail));
    };
    // From here on nothing that happens is missed.
    let follower = sources.live.follow();
    run_of(&sources, &run).await?;
    lent.pulse.set(Some(Instant::now()));
    let beat_at = Instant::now() + heartbeat();
    let stream = Stream { sources, run, follower, after, has_more: true, beat_at, lent, _room: room };
    let pieces = stream::unfold(Some(stream), |stream| async move {
        let mut stream = stream?;
        match stream.next().await {
            Ok(Some((piece, is_last))) => Some((Ok(piece), (!is_last).then_some(stream))),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(error = chain(&error), "an event stream was cut");
                Some((Err(error), None))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn heartbeat() -> Duration {
    Duration::from_secs(HEARTBEAT_SECONDS)
}

fn last_event_id(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(0) };
    let text = value.to_str().unwrap_or_default();
    text.parse().map_err(|_| {
        Problem::new(ProblemType::BadRequest, format!("last-event-id {text:.100?} is no id of an event"))
    })
}

impl Stream {
    /// What comes next, and whether it is the last; `None` if the daemon stops.
    async fn next(&mut self) -> Result<Option<(Bytes, bool)>, JournalError> {
        self.lent.pulse.set(Some(Instant::now()));
        loop {
            if self.has_more {
                let Some(Moves { moves, concluded }) = self.moves().await? else { return Ok(None) };
                let Some(last) = moves.last() else {
                    self.has_more = false;
                    if let Some(summary) = concluded {
                        return Ok(Some((told([RunEvent::Concluded(summary)])?, true)));
                    }
                    continue;
                };
                self.after = last.sequence;
                return Ok(Some((self.beating(told(moves.into_iter().map(RunEvent::Moved))?), false)));
            }
            tokio::select! {
                biased;
                () = self.lent.stop.cancelled() => return Ok(None),
                changed = self.follower.moves.changed() => match changed {
                    Ok(()) => self.has_more = true,
                    Err(_) => return Ok(None),
                },
                told_of = self.follower.progress.recv() => match told_of {
                    Ok(of) if of.0 == self.run => {
                        let piece = told([RunEvent::Progress(of.1.clone())])?;
                        return Ok(Some((self.beating(piece), false)));
                    }
                    // It was of another run, or it is gone: the next one is as good.
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(None),
                },
                () = tokio::time::sleep_until(self.beat_at) => return Ok(Some((self.beating(HEARTBEAT), false))),
            }
        }
    }

    /// Counts a piece as a sign of life.
    fn beating(&mut self, piece: Bytes) -> Bytes {
        self.beat_at = Instant::now() + heartbeat();
        piece
    }

    async fn moves(&self) -> Result<Option<Moves>, JournalError> {
        let (run, after) = (self.run.to_string(), self.after);
        self.sources.journal.with(move |journal| journal.moves(&run, after, PIECE)).await
    }
}

/// Events as they go over the wire.
fn told(events: impl IntoIterator<Item = RunEvent>) -> Result<Bytes, JournalError> {
    let mut text = String::new();
    for event in events {
        if let RunEvent::Moved(moved) = &event {
            text.push_str(&format!("id: {}\n", moved.sequence));
        }
        // JSON has no line breaks of its own.
        text.push_str(&format!("event: {}\ndata: {}\n\n", event.name(), serde_json::to_string(&event)?));
    }
    Ok(text.into())
}
