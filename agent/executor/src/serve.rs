//! The executor's socket: who may speak, how much, and for how long. What is said is for `verbs`.
//!
//! A connection has a thread, since one that waits for apt must not keep another from asking how far it is. When it is
//! told to stop, or has nothing to do, the executor ends; an answer that is under way is always finished first.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use patchd_host::dpkg::quiet;
use patchd_protocol::executor::{ProgressWire, RefusalCode, RefusalWire, Reply, Verb};
use patchd_protocol::frame::{self, FrameError, MAX_REPLY, MAX_REQUEST};
use serde_json::Value;
use thiserror::Error;

use crate::refusal::Stop;
use crate::verbs::{Executor, Peer, answer, decode};
use crate::{log, text};

/// The most connections at once: the daemon needs two, one that waits for apt and one that asks.
const MAX_CONNECTIONS: usize = 8;

/// How long a client that connected by itself may be silent, and any client may take to read.
const READ_LIMIT: Duration = Duration::from_secs(60);
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// Why the socket can't be served.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    #[error(
        "standard input is no Unix socket: systemd starts the executor with StandardInput=socket, and patchd with its \
         own end of a socketpair"
    )]
    NoSocket(#[source] io::Error),
    #[error("waiting on the socket failed")]
    Wait(#[source] io::Error),
}

/// What standard input is.
#[derive(Debug)]
pub(crate) enum Socket {
    /// systemd's: anybody who may open it connects, so that each one's uid is looked at.
    Listening(UnixListener),
    /// One end of a pair that the starter made.
    Connected(UnixStream),
}

impl Socket {
    /// Takes the socket that the executor was started with.
    pub(crate) fn of_standard_input() -> Result<Self, ServeError> {
        let descriptor = io::stdin().as_fd().try_clone_to_owned().map_err(ServeError::NoSocket)?;
        let is_listening = getsockopt(&descriptor, sockopt::AcceptConn)
            .map_err(|errno| ServeError::NoSocket(errno.into()))?;
        if is_listening {
            let listener = UnixListener::from(descriptor);
            listener.local_addr().map_err(ServeError::NoSocket)?;
            Ok(Self::Listening(listener))
        } else {
            let stream = UnixStream::from(descriptor);
            stream.local_addr().map_err(ServeError::NoSocket)?;
            Ok(Self::Connected(stream))
        }
    }
}

/// The executor with those who may ask it.
#[derive(Debug)]
pub(crate) struct Server {
    executor: Executor,
    allowed: Vec<u32>,
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    connections: usize,
    answering: usize,
}

impl Server {
    pub(crate) fn new(executor: Executor, allowed: Vec<u32>) -> Arc<Self> {
        Arc::new(Self { executor, allowed, counts: Mutex::default(), changed: Condvar::new() })
    }

    /// Serves until there was nothing to do for `idle`, the only client hung up, or `stop` became readable.
    pub(crate) fn run(
        self: &Arc<Self>,
        socket: Socket,
        idle: Duration,
        stop: &UnixStream,
    ) -> Result<(), ServeError> {
        match socket {
            Socket::Listening(listener) => self.listen(&listener, idle, stop)?,
            Socket::Connected(stream) => self.attend(stream, stop)?,
        }
        self.executor.stopping.store(true, Ordering::Relaxed);
        let mut counts = self.counts();
        while counts.answering != 0 {
            counts = self.changed.wait(counts).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    fn listen(
        self: &Arc<Self>,
        listener: &UnixListener,
        idle: Duration,
        stop: &UnixStream,
    ) -> Result<(), ServeError> {
        loop {
            match wait(listener, stop, Some(idle))? {
                Waited::Stop => return Ok(()),
                Waited::TimeOut if self.counts().connections == 0 => return Ok(()),
                Waited::TimeOut => {}
                Waited::Ready => match listener.accept() {
                    Ok((stream, _)) => self.greet(stream),
                    Err(error) => log::warning(format_args!("accepting a connection failed: {error}")),
                },
            }
        }
    }

    /// Gives a connection its thread, if its peer may ask at all.
    fn greet(self: &Arc<Self>, stream: UnixStream) {
        let limited = stream
            .set_read_timeout(Some(READ_LIMIT))
            .and_then(|()| stream.set_write_timeout(Some(WRITE_LIMIT)));
        if let Err(error) = limited {
            log::warning(format_args!("a connection can't be given limits: {error}"));
            return;
        }
        {
            let mut counts = self.counts();
            if counts.connections < MAX_CONNECTIONS {
                counts.connections += 1;
            } else {
                drop(counts);
                let message = format!("{MAX_CONNECTIONS} connections are open already");
                refuse(&stream, RefusalCode::Busy, message);
                return;
            }
        }
        let connection = Connection(Arc::clone(self), Origin::Accepted);
        let started = std::thread::Builder::new().spawn(move || connection.converse(&stream));
        if let Err(error) = started {
            log::error(format_args!("no thread for a connection: {error}"));
        }
    }

    fn attend(self: &Arc<Self>, stream: UnixStream, stop: &UnixStream) -> Result<(), ServeError> {
        stream.set_write_timeout(Some(WRITE_LIMIT)).map_err(ServeError::Wait)?;
        let (ours, theirs) = UnixStream::pair().map_err(ServeError::Wait)?;
        self.counts().connections += 1;
        let connection = Connection(Arc::clone(self), Origin::Paired);
        std::thread::Builder::new()
            .spawn(move || {
                connection.converse(&stream);
                drop(theirs);
            })
            .map_err(ServeError::Wait)?;
        wait(&ours, stop, None).map(|_| ())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Numbers stay right whoever panicked while holding them.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client, counted as long as this lives.
struct Connection(Arc<Server>, Origin);

/// What the kernel's word about the peer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is about who connected.
    Accepted,
    /// It is about who made the pair, who may have given up root since.
    Paired,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.counts().connections -= 1;
    }
}

/// One answer under way, counted as long as this lives.
struct Answering<'a>(&'a Server);

impl<'a> Answering<'a> {
    fn start(server: &'a Server) -> Self {
        server.counts().answering += 1;
        Self(server)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.counts().answering -= 1;
        self.0.changed.notify_all();
    }
}

impl Connection {
    /// Takes request after request until the peer hangs up.
    fn converse(&self, stream: &UnixStream) {
        let peer = match getsockopt(stream, sockopt::PeerCredentials) {
            Ok(peer) => peer,
            Err(errno) => return log::warning(format_args!("a connection has no peer: {errno}")),
        };
        if !self.0.allowed.contains(&peer.uid()) {
            log::warning(format_args!("uid {} (pid {}) may not ask the executor", peer.uid(), peer.pid()));
            return refuse(stream, RefusalCode::NotAuthorised, format!("uid {} may not ask", peer.uid()));
        }
        loop {
            let message = match frame::read::<Value>(&mut &*stream, MAX_REQUEST) {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => {
                    log::warning(format_args!("uid {}: {}", peer.uid(), describe(&error)));
                    if matches!(error, FrameError::TooLong { .. } | FrameError::Json(_)) {
                        refuse(stream, RefusalCode::Malformed, describe(&error));
                    }
                    return;
                }
            };
            let _answering = Answering::start(&self.0);
            let uid = match self.1 {
                Origin::Accepted => peer.uid(),
                // Whoever is gone by now, or can't be looked at, has nobody's rights.
                Origin::Paired => u32::try_from(peer.pid()).ok().and_then(quiet::uid_now).unwrap_or(u32::MAX),
            };
            if !self.respond(stream, message, uid) {
                return;
            }
        }
    }

    /// Whether the answer reached the peer, as far as anybody can tell.
    fn respond(&self, stream: &UnixStream, message: Value, uid: u32) -> bool {
        let mut is_reached = true;
        let reply = match decode(message) {
            Err(stop) => Reply::from(stop),
            Ok(request) => {
                if !matches!(request.verb, Verb::Recall { .. } | Verb::ReadBack { .. }) {
                    let run = text::cut(&request.run);
                    log::info(format_args!("uid {uid} asks for {} in run {run}", request.verb.name()));
                }
                let peer = Peer { uid, is_there: &|| is_there(stream) };
                answer(&self.0.executor, &request, &peer, &mut |progress: ProgressWire| {
                    // A frame that was cut off can't be followed by another.
                    is_reached = is_reached
                        && frame::write(&mut &*stream, &Reply::Progress(progress), MAX_REPLY).is_ok();
                })
            }
        };
        if let Reply::Refused(RefusalWire { code, message, .. }) = &reply {
            log::warning(format_args!("uid {uid} is refused ({code:?}): {message}"));
        }
        if let Reply::Failed { message } = &reply {
            log::error(format_args!("{message}"));
        }
        is_reached && frame::write(&mut &*stream, &reply, MAX_REPLY).is_ok()
    }
}

/// Refuses without having been asked. Whether the peer reads it is its own affair.
fn refuse(stream: &UnixStream, code: RefusalCode, message: String) {
    let _ = frame::write(&mut &*stream, &Reply::from(Stop::refused(code, message)), MAX_REPLY);
}

fn describe(error: &FrameError) -> String {
    match Stop::failed(error) {
        Stop::Failed { message } | Stop::Refused(RefusalWire { message, .. }) => text::cut(&message),
    }
}

/// Whether the peer has not hung up: of that, poll tells unasked.
fn is_there(stream: &UnixStream) -> bool {
    let mut descriptors = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    !matches!(poll(&mut descriptors, PollTimeout::ZERO), Ok(1..))
}

enum Waited {
    Ready,
    Stop,
    TimeOut,
}

fn wait(ready: &impl AsFd, stop: &UnixStream, limit: Option<Duration>) -> Result<Waited, ServeError> {
    let limit =
        limit.map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX));
    loop {
        let mut descriptors =
            [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
        match poll(&mut descriptors, limit) {
            Ok(0) => return Ok(Waited::TimeOut),
            Ok(_) if descriptors[0].any().unwrap_or(true) => return Ok(Waited::Stop),
            Ok(_) => return Ok(Waited::Ready),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(ServeError::Wait(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests;
