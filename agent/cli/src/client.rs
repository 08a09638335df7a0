//! Asks the daemon over its Unix socket: HTTP/1.1 and JSON. One request a connection; it decides nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
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

/// The daemon, as its socket shows it.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
    runtime: Runtime,
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
        Ok(Self { socket: socket.to_owned(), runtime })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// The document of this id under `path`.
    pub(crate) fn get_by_id(&self, path: &str, id: &str) -> Result<Answer, Failure> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        if id.is_empty() || MAX_ID < id.len() || id.starts_with('.') || !id.chars().all(is_allowed) {
            return Err(Failure::because(Exit::BadInput, format!("{id:?} is no id of a run or a report")));
        }
        self.get(&format!("{path}/{id}"))
    }

    pub(crate) fn post(&self, path: &str, document: &impl Serialize) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(document).context("can't write the request")?;
        self.ask(Method::POST, path, body.into())
    }

    /// Lets time pass between two questions.
    pub(crate) fn pause(&self, duration: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(duration).await });
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "patchd")
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .context("can't write the request")?;
        let (status, body) = self.runtime.block_on(async {
            tokio::time::timeout(DEADLINE, self.exchange(request)).await.unwrap_or_else(|_| {
                let seconds = DEADLINE.as_secs();
                Err(Failure::because(
                    Exit::NoDaemon,
                    format!("patchd did not answer within {seconds} seconds"),
                ))
            })
        })?;
        if status.is_success() { Ok(Answer { body }) } else { Err(refusal(status, &body)) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unreachable(error))?;
        let lost =
            |error| Failure::new(Exit::NoDaemon, anyhow::Error::new(error).context("lost patchd's answer"));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // It moves the bytes, and ends with the runtime at the latest.
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body =
            body.map_err(|error| Failure::from(anyhow!(error).context("can't read patchd's answer")))?;
        Ok((status, body.to_bytes()))
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
            ),
            _ => {
                let error = anyhow::Error::new(error).context(format!("can't use the socket {socket}"));
                Failure::new(Exit::NoDaemon, error)
            }
        }
    }
}

/// What an answer that is an error means for the caller.
fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::FORBIDDEN | StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => Exit::Refused,
        StatusCode::BAD_REQUEST => Exit::BadInput,
        _ => Exit::Failed,
    };
    match serde_json::from_slice::<ProblemDocument>(body) {
        Ok(problem) => Failure::because(exit, format!("patchd: {}: {}", problem.title, problem.detail)),
        Err(_) => Failure::because(exit, format!("patchd answered with the HTTP status {status}")),
    }
}
