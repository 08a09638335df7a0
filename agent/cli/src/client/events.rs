//! One connection to the event stream of a run. What comes after it broke is not decided here: that is `follow`.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::anyhow;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use patchd_protocol::control::ProblemDocument;
use patchd_protocol::control::events::{EVENT_STREAM, HEARTBEAT_SECONDS};

use super::{Daemon, refusal, whole};
use crate::exit::{Exit, Failure};
use crate::sse::{Message, Parser};

/// Who says nothing for so long is lost.
pub(crate) const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// The kind of the daemon's answer where it has no room for another follower.
const TOO_MANY_FOLLOWERS: &str = "urn:patchd:problem:too-many-followers";

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Why there is no stream.
#[derive(Debug)]
pub(crate) enum NoStream {
    /// There is no such path, as in a daemon that is older than streams, or no such run; or too many follow already.
    AskInstead,
    /// The daemon is gone, going or not itself: it may come back.
    Away,
    Refused(Failure),
}

/// What a stream gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Message(Message),
    /// A sign of life.
    Beat,
    /// It ended, broke, or fell silent.
    Lost {
        was_silent: bool,
    },
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
    ready: VecDeque<Message>,
}

impl Daemon {
    /// Opens the event stream of a run, after the event of this id if there is one.
    pub(crate) async fn events(&self, run: &str, last_id: Option<&str>) -> Result<Events, NoStream> {
        match tokio::time::timeout(SILENCE, self.open(run, last_id)).await {
            Ok(opened) => opened,
            Err(_) => Err(NoStream::Away),
        }
    }

    async fn open(&self, run: &str, last_id: Option<&str>) -> Result<Events, NoStream> {
        let mut request = Request::builder()
            .uri(format!("/v1/runs/{run}/events"))
            .header(HOST, "patchd")
            .header(ACCEPT, EVENT_STREAM)
            .body(Full::new(Bytes::new()))
            .map_err(|error| NoStream::Refused(error.into()))?;
        // An id that can't stand in a header is no place to come back to.
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert(LAST_EVENT_ID, id);
        }
        let response = self.exchange(request).await.map_err(|failure| match failure.exit {
            Exit::NoDaemon => NoStream::Away,
            _ => NoStream::Refused(failure),
        })?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Err(NoStream::AskInstead);
        }
        if !status.is_success() {
            let body = whole(response).await.unwrap_or_default();
            return Err(if is_crowded(&body) {
                NoStream::AskInstead
            } else if status.is_server_error() {
                NoStream::Away
            } else {
                NoStream::Refused(refusal(status, &body))
            });
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with(EVENT_STREAM)) {
            let error =
                anyhow!("patchd answered with {} where an event stream belongs", kind.unwrap_or("nothing"));
            return Err(NoStream::Refused(Failure::new(Exit::Failed, error)));
        }
        Ok(Events { body: response.into_body(), parser: Parser::default(), ready: VecDeque::new() })
    }
}

/// Whether others have taken all the room that the daemon has for followers.
fn is_crowded(body: &[u8]) -> bool {
    serde_json::from_slice::<ProblemDocument>(body).is_ok_and(|problem| problem.kind == TOO_MANY_FOLLOWERS)
}

impl Events {
    /// Waits for what comes next.
    pub(crate) async fn next(&mut self) -> Heard {
        if let Some(message) = self.ready.pop_front() {
            return Heard::Message(message);
        }
        let lost = Heard::Lost { was_silent: false };
        let frame = match tokio::time::timeout(SILENCE, self.body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None | Some(Err(_))) => return lost,
            Err(_) => return Heard::Lost { was_silent: true },
        };
        let Some(bytes) = frame.data_ref() else { return Heard::Beat };
        match self.parser.push(bytes) {
            Ok(messages) => self.ready.extend(messages),
            Err(_) => return lost,
        }
        self.ready.pop_front().map_or(Heard::Beat, Heard::Message)
    }
}
