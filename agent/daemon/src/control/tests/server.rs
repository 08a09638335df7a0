//! A control server in a directory of its own, with a real agent and a real journal behind it, and a client for it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use patchd_core::report::Report;
use patchd_core::run::Order;
use patchd_core::run::event::{Effect, Event};
use patchd_host::root::Root;
use patchd_protocol::config::{ControlSettings, Settings};
use patchd_protocol::control::events::RunEvent;
use patchd_protocol::executor::ClockWire;
use patchd_protocol::report::native::ReportDocument;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, AgentFacts};
use crate::clock::{Clock, ClockWatch};
use crate::cloud_init::CloudInitWatch;
use crate::control::{ServerHandle, Sources, serve};
use crate::doctor::{Deliveries, Doctor, Environment};
use crate::documents::Documents;
use crate::driver::Host;
use crate::executor_client::ExecutorClient;
use crate::identity::Identities;
use crate::journal::{Journal, SharedJournal};
use crate::live::Live;
use crate::own_program::OwnProgram;
use crate::sandbox::Sandbox;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

const NOW: &str = "2026-11-23T06:00:00Z";

struct StandingClock(Timestamp);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn since_boot(&self) -> Duration {
        Duration::ZERO
    }
}

/// A host on which everything takes until the test gives it up.
struct SlowHost(Arc<Semaphore>);

impl Host for SlowHost {
    async fn perform(&self, _: &Order, _: Effect) -> Event {
        let _ = self.0.acquire().await;
        Event::Lost { detail: "the test gave it up".into() }
    }
}

pub(super) struct Server {
    pub(super) directory: tempfile::TempDir,
    pub(super) socket: PathBuf,
    pub(super) settings: watch::Sender<Settings>,
    pub(super) stop: CancellationToken,
    pub(super) handle: ServerHandle,
    pub(super) journal: SharedJournal,
    pub(super) live: Live,
    work: Arc<Semaphore>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Reply {
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    /// The kind of problem that it is, after a look at the rest of it.
    #[track_caller]
    pub(super) fn problem(&self) -> String {
        let problem = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{problem}");
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        problem["type"].as_str().unwrap().trim_start_matches("urn:patchd:problem:").to_owned()
    }
}

pub(super) fn nobody_else() -> ControlSettings {
    ControlSettings { read_group: None, change_users: vec![], change_groups: vec![] }
}

impl Server {
    pub(super) async fn start(control: ControlSettings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Peers that are not us must get at the socket in it.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let now: Timestamp = NOW.parse().unwrap();
        let (journal, _) = Journal::open(&directory.path().join("journal.db"), now).unwrap();
        let journal = SharedJournal::new(journal);
        let facts = AgentFacts {
            version: "0.1.0",
            host: "test-host".into(),
            store: "file:///somewhere".into(),
            spooled: Arc::new(AtomicU64::new(0)),
            // No scan is due for a day.
            started_at: now.checked_add(SignedDuration::from_hours(24)).unwrap(),
            booted_at: None,
            program: OwnProgram::unwatched(),
            sandbox: Sandbox::without("not in tests"),
            cloud_init: CloudInitWatch::off(),
        };
        let stop = CancellationToken::new();
        let work = Arc::new(Semaphore::new(0));
        let live = Live::default();
        let watch = Arc::new(ClockWatch::new(StandingClock(now), None));
        watch.take_word(ClockWire::Synchronised);
        let (agent, handle) = Agent::new(
            Arc::new(SlowHost(Arc::clone(&work))),
            watch,
            journal.clone(),
            Settings::default(),
            facts,
            live.clone(),
        );
        tokio::spawn(agent.run(stop.clone()));
        let documents = Documents::new(directory.path().join("documents"));
        let socket = directory.path().join("patchd.sock");
        let (settings, receiver) = watch::channel(Settings { control, ..Settings::default() });
        let doctor = Doctor {
            identities: Arc::new(Identities::new(&Root::at(directory.path()), None)),
            executor: ExecutorClient::at_socket(directory.path().join("executor.sock")),
            settings: receiver.clone(),
            spool: None,
            deliveries: Deliveries::default(),
            environment: Environment(|_| None),
            state: directory.path().to_owned(),
            now: || NOW.parse().unwrap(),
            last: tokio::sync::Mutex::new(None),
        };
        let sources =
            Sources { agent: handle, journal: journal.clone(), documents, live: live.clone(), doctor };
        let handle = serve(&socket, receiver, sources, stop.clone()).await.unwrap();
        Self { directory, socket, settings, stop, handle, journal, live, work }
    }

    /// Ends what is under way on the host, and waits until the agent has noticed.
    pub(super) async fn give_up_work(&self) {
        self.work.close();
        while self.get("/v1/status").await.json()["state"] == "running" {}
    }

    /// Writes what a scan would leave.
    pub(super) fn keep(&self, report: &Report, document: &ReportDocument) {
        Documents::new(self.directory.path().join("documents")).write(report, document).unwrap();
    }

    pub(super) async fn ask(&self, request: Request<Full<Bytes>>) -> Reply {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let exchange = async {
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Reply { status: head.status, headers: head.headers, body }
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.ask(request("GET", path, "")).await
    }

    pub(super) async fn post(&self, path: &str, body: &'static str) -> Reply {
        self.ask(request("POST", path, body)).await
    }

    /// Sends bytes as they are, and gives what comes back until the server closes.
    pub(super) async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        // The server may have enough of it before we are through.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
        let _ = read.await.expect("the server never closed");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// An event stream that is open.
pub(super) struct Following {
    body: Incoming,
    pub(super) text: String,
}

impl Following {
    /// Follows a run after an event.
    pub(super) async fn open(server: &Server, run: &str, last: Option<u64>) -> Self {
        let stream = UnixStream::connect(&server.socket).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut asked = request("GET", &format!("/v1/runs/{run}/events"), "");
        if let Some(last) = last {
            asked.headers_mut().insert("last-event-id", last.into());
        }
        let response = sender.send_request(asked).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), text: String::new() }
    }

    /// Reads on until this was told, or to the end.
    pub(super) async fn read_until(&mut self, wanted: &str) {
        while !self.text.contains(wanted) {
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    self.text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
                }
                Some(Err(error)) => panic!("{error} after {}", self.text),
                None => return,
            }
        }
    }

    /// The documents that came, with the ids of those that have one.
    pub(super) fn events(&self) -> Vec<(Option<u64>, RunEvent)> {
        let whole = self.text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let mut events = Vec::new();
        for message in whole.split("\n\n").filter(|message| !message.starts_with(':')) {
            let field = |name| message.lines().find_map(|line| line.strip_prefix(name));
            let event: RunEvent = serde_json::from_str(field("data: ").unwrap()).unwrap();
            assert_eq!(field("event: "), Some(event.name()));
            events.push((field("id: ").map(|id| id.parse().unwrap()), event));
        }
        events
    }
}

pub(super) fn request(method: &str, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "patchd")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}
