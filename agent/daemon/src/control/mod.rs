//! The control API: HTTP/1.1 and JSON over a Unix socket. It asks the agent, the journal and the documents on this
//! disk, and owns nothing itself.
//!
//! Nobody is let in by a password: the kernel says who is at the other end, and the configuration what that one may do.

mod access;
mod answer;
mod change;
mod connection;
mod endpoint;
mod events;
pub mod openapi;
mod peer;
mod read;
pub mod socket;
#[cfg(test)]
mod tests;
mod unpacked;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use patchd_protocol::config::Settings;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::events::{Lent, Pulse};
use self::peer::Peer;
use self::socket::{ControlSocket, SocketError, SocketFile};
use crate::agent::AgentHandle;
use crate::doctor::Doctor;
use crate::documents::Documents;
use crate::journal::SharedJournal;
use crate::live::Live;

/// How many connections are served at once, and how many more may wait for that. Root and the daemon's own user have
/// their own, so that nobody else can keep them out.
const SERVED_USERS: usize = 24;
const SERVED_TRUSTED: usize = 12;
const ADMITTED_USERS: usize = 96;
const ADMITTED_TRUSTED: usize = 96;

/// How many of those served may follow runs, which takes as long as a run.
const FOLLOWING_USERS: usize = 12;
const FOLLOWING_TRUSTED: usize = 6;

/// As many peers are looked up at once: each takes a thread, and the journal needs some too.
const LOOKUPS: usize = 2;

/// How long a connection waits to be served.
const TURN_LIMIT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// How long the connections have at the end, all together.
const DRAIN_LIMIT: Duration = Duration::from_millis(1_200);

/// Where answers come from.
#[derive(Debug)]
pub struct Sources {
    pub agent: AgentHandle,
    pub journal: SharedJournal,
    pub documents: Documents,
    pub live: Live,
    pub doctor: Doctor,
}

/// A control server at work.
#[derive(Debug)]
pub struct ServerHandle(JoinHandle<()>);

impl ServerHandle {
    /// Waits until the last answer is out and the socket gone: little more than a second after the stop.
    pub async fn stopped(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the control server broke: a bug of patchd");
        }
    }
}

/// Listens at `path` from the moment that this returns, until `stop`. New settings count for connections after them,
/// but the socket's own group and mode stay until the next start.
pub async fn serve(
    path: &Path,
    settings: watch::Receiver<Settings>,
    sources: Sources,
    stop: CancellationToken,
) -> Result<ServerHandle, SocketError> {
    let control = settings.borrow().control.clone();
    let ControlSocket { listener, file } = socket::bind(path, &control).await?;
    let server = Server {
        router: endpoint::router(Arc::new(sources)),
        settings,
        stop,
        users: Pool::new(ADMITTED_USERS, SERVED_USERS, FOLLOWING_USERS),
        trusted: Pool::new(ADMITTED_TRUSTED, SERVED_TRUSTED, FOLLOWING_TRUSTED),
        lookups: Arc::new(Semaphore::new(LOOKUPS)),
    };
    Ok(ServerHandle(tokio::spawn(server.run(listener, file))))
}

/// Room for connections.
#[derive(Debug, Clone)]
struct Pool {
    admitted: Arc<Semaphore>,
    served: Arc<Semaphore>,
    following: Arc<Semaphore>,
}

impl Pool {
    fn new(admitted: usize, served: usize, following: usize) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        Self { admitted: room(admitted), served: room(served), following: room(following) }
    }
}

struct Server {
    router: Router,
    settings: watch::Receiver<Settings>,
    stop: CancellationToken,
    users: Pool,
    trusted: Pool,
    lookups: Arc<Semaphore>,
}

impl Server {
    async fn run(self, listener: UnixListener, file: SocketFile) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, &connections),
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        // Clients see at once that nobody listens.
        file.remove();
        drop(listener);
        connections.close();
        let _ = tokio::time::timeout(DRAIN_LIMIT, connections.wait()).await;
    }

    /// Serves a connection beside the others, or closes it where there are too many.
    fn admit(&self, stream: UnixStream, connections: &TaskTracker) {
        let credentials = match stream.peer_cred() {
            Ok(credentials) => credentials,
            Err(error) => {
                tracing::warn!(%error, "the kernel does not say who connected");
                return;
            }
        };
        let pool = if Peer::is_trusted(&credentials) { &self.trusted } else { &self.users };
        let (uid, pid) = (credentials.uid(), credentials.pid());
        let Ok(admitted) = Arc::clone(&pool.admitted).try_acquire_owned() else {
            tracing::warn!(uid, pid, "too many connections to the control socket; this one is closed");
            return;
        };
        let (served, lookups) = (Arc::clone(&pool.served), Arc::clone(&self.lookups));
        let settings = self.settings.clone();
        let (router, stop) = (self.router.clone(), self.stop.clone());
        let room = Arc::clone(&pool.following);
        connections.spawn(async move {
            let _admitted = admitted;
            let turn = tokio::select! {
                turn = tokio::time::timeout(TURN_LIMIT, served.acquire_owned()) => turn,
                () = stop.cancelled() => return,
            };
            let Ok(Ok(_served)) = turn else { return };
            let control = settings.borrow().control.clone();
            let peer = Peer::of(&credentials, control, lookups).await;
            let lent = Lent { room, stop, pulse: Pulse::default() };
            connection::converse(stream, peer, router, lent).await;
        });
    }
}
