//! One connection: HTTP/1.1 within limits of size and time, each request judged before it reaches its endpoint.
//!
//! It knows no path. What it must never do is wait for a client without an end.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use patchd_protocol::control::ProblemType;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::access::Access;
use super::answer::Problem;
use super::events::Lent;
use super::peer::Peer;

/// How long a client may take over a request's head, and be silent between two requests.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The longest head, in bytes and in fields.
const MAX_HEAD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64;

/// How long an endpoint may take. Clients wait for 30 seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How long a connection lives, whatever it does, and how long it then has for the answer under way.
const LIFETIME: Duration = Duration::from_secs(60);
const LAST_ANSWER: Duration = Duration::from_secs(30);

/// A connection with an event stream lives as long as that, and is looked at so often. A client that took nothing for
/// so long has lost interest: every few seconds there is something to take.
const STREAM_LOOK: Duration = Duration::from_secs(30);
const STREAM_LIMIT: Duration = Duration::from_secs(60);

/// The same when the daemon stops.
const LAST_ANSWER_AT_STOP: Duration = Duration::from_secs(1);

/// Answers a client's requests until it has enough, or its time is over.
pub(super) async fn converse(stream: UnixStream, peer: Peer, router: Router, lent: Lent) {
    let router = TowerToHyperService::new(router);
    let (stop, pulse) = (lent.stop.clone(), lent.pulse.clone());
    let service = service_fn(move |request| answer(router.clone(), peer, lent.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS)
        // Who may do nothing here is told so once.
        .keep_alive(peer.rights.may_read)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut look_at = Instant::now() + LIFETIME;
    let last_answer = loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, uid = peer.uid, pid = peer.pid, "a client broke off");
                }
                return;
            }
            () = stop.cancelled() => break LAST_ANSWER_AT_STOP,
            () = tokio::time::sleep_until(look_at) => match pulse.last() {
                None => break LAST_ANSWER,
                Some(last) if last.elapsed() < STREAM_LIMIT => look_at = Instant::now() + STREAM_LOOK,
                Some(_) => {
                    tracing::debug!(uid = peer.uid, pid = peer.pid, "a client follows a run and reads nothing");
                    return;
                }
            }
        }
    };
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(last_answer, connection).await.is_err() {
        tracing::debug!(uid = peer.uid, pid = peer.pid, "a client took too long and was left");
    }
}

async fn answer(
    router: TowerToHyperService<Router>,
    peer: Peer,
    lent: Lent,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let method = request.method().clone();
    // For logs; a head has room for very long ones.
    let path: String = request.uri().path().chars().take(200).collect();
    let Peer { uid, pid, rights } = peer;
    let access = Access::of(&method);
    if !rights.allow(access) {
        tracing::warn!(uid, pid, %method, path, "a request over the control socket was refused");
        let what = match access {
            Access::Read => "uid {uid} is not in control.read_group",
            Access::Change => "uid {uid} is not in control.change_users or control.change_groups",
        };
        let detail = what.replace("{uid}", &uid.to_string());
        return Ok(Problem::new(ProblemType::NotAuthorised, detail).into_response());
    }
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(lent);
    let response = match tokio::time::timeout(ANSWER_LIMIT, router.call(request)).await {
        Ok(response) => response?,
        Err(_) => {
            let detail = format!("it took longer than {} seconds", ANSWER_LIMIT.as_secs());
            Problem::new(ProblemType::Internal, detail).into_response()
        }
    };
    let status = response.status().as_u16();
    match access {
        Access::Read => tracing::debug!(uid, pid, %method, path, status, "answered"),
        Access::Change => tracing::info!(uid, pid, %method, path, status, "asked over the control socket"),
    }
    Ok(response)
}
