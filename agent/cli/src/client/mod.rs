//! Asks the daemon over its Unix socket: HTTP/1.1 and JSON. One request a connection; it decides nothing.

pub(crate) mod events;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use patchd_protocol::control::ProblemDocument;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use crate::exit::{Exit, Failure};

/// How long the daemon may take for one answer. It keeps its answers ready and never works before it answers.
const DEADLINE: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes. A report of 5,000 packages takes two million.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// The longest id of a run or a report.
const MAX_ID: usize = 200;

/// The daemon, for commands that wait for each answer.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) daemon: Daemon,
    pub(crate) runtime: Runtime,
}

/// The daemon, as its socket shows it.
#[derive(Debug)]
pub(crate) struct Daemon {
    socket: PathBuf,
}

/// An answer that says that the request was carried out: one JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let document = serde_json::from_slice(&self.body)
            .context("patchd's answer can't be understood: are patchctl and patchd of the same version?")?;
        Ok(document)
    }
}

impl Client {
    pub(crate) fn new(socket: &Path) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .context("can't start a runtime")?;
        Ok(Self { daemon: Daemon::new(socket), runtime })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.runtime.block_on(self.daemon.get(path))
    }

    /// The document of this id under `path`.
    pub(crate) fn get_by_id(&self, path: &str, id: &str) -> Result<Answer, Failure> {
        self.get(&format!("{path}/{}", checked_id(id)?))
    }

    /// What lies below the run of this id.
    pub(crate) fn get_of_run(&self, id: &str, part: &str) -> Result<Answer, Failure> {
        self.get(&format!("/v1/runs/{}/{part}", checked_id(id)?))
    }

    pub(crate) fn post(&self, path: &str, document: &impl Serialize) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(document).context("can't write the request")?;
        self.runtime.block_on(self.daemon.ask(Method::POST, path, body.into()))
    }
}

/// An id that can stand in a path as it is.
pub(crate) fn checked_id(id: &str) -> Result<&str, Failure> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if id.is_empty() || MAX_ID < id.len() || id.starts_with('.') || !id.chars().all(is_allowed) {
        return Err(Failure::because(Exit::BadInput, format!("{id:?} is no id of a run or a report")));
    }
    Ok(id)
}

impl Daemon {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "patchd")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("can't write the request")?;
        let answered = async {
            let response = self.exchange(request).await?;
            let status = response.status();
            Ok((status, whole(response).await?))
        };
        let (status, body) = tokio::time::timeout(DEADLINE, answered).await.unwrap_or_else(|_| {
            let seconds = DEADLINE.as_secs();
            Err(Failure::because(Exit::NoDaemon, format!("patchd did not answer within {seconds} seconds")))
        })?;
        if status.is_success() { Ok(Answer { body }) } else { Err(refusal(status, &body)) }
    }

    /// Sends a request and gives the head of what comes back, with a body that is still to be read.
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It moves the bytes, and ends with the body or the runtime.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(lost)
    }

    fn unreachable(&self, error: io::Error) -> Failure {
        let socket = self.socket.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::because(
                Exit::NoDaemon,
                format!(
                    "patchd does not run, or not with the socket {socket}: `systemctl start patchd` starts it; \
                     scan, inventory and updates do without it if they are given --once"
                ),
            ),
            io::ErrorKind::PermissionDenied => Failure::because(
                Exit::Refused,
                format!("you may not use the socket {socket}: be root, or a member of its group"),
            )
            .passing(),
            _ => {
                let error = anyhow::Error::new(error).context(format!("can't use the socket {socket}"));
                Failure::new(Exit::NoDaemon, error)
            }
        }
    }
}

fn lost(error: hyper::Error) -> Failure {
    Failure::new(Exit::NoDaemon, anyhow::Error::new(error).context("lost patchd's answer"))
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Failure> {
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| {
        let exit = if error.is::<LengthLimitError>() { Exit::Failed } else { Exit::NoDaemon };
        Failure::new(exit, anyhow!(error).context("can't read patchd's answer"))
    })?;
    Ok(body.to_bytes())
}

/// What an answer that is an error means for the caller.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => Exit::Refused,
        StatusCode::BAD_REQUEST => Exit::BadInput,
        _ => Exit::Failed,
    };
    let failure = match serde_json::from_slice::<ProblemDocument>(body) {
        Ok(problem) => Failure::because(exit, format!("patchd: {}: {}", problem.title, problem.detail)),
        Err(_) => Failure::because(exit, format!("patchd answered with the HTTP status {status}")),
    };
    if status.is_server_error() { failure.passing() } else { failure }
}
