//! The socket as its peers see it: frames, refusals, limits, and when it ends.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use patchd_host::root::Root;
use patchd_protocol::executor::{PROTOCOL, Request};
use serde_json::json;

use super::*;
use crate::apt::Apt;
use crate::clock;
use crate::dpkg::Dpkg;
use crate::grant::Grants;
use crate::inhibitor::Inhibitors;
use crate::policy::Policy;
use crate::reboot::Reboots;
use crate::record::Records;

const LONG: Duration = Duration::from_secs(600);

struct Site {
    directory: tempfile::TempDir,
    server: Arc<Server>,
    /// Writing here is a SIGTERM.
    stop: UnixStream,
    stopped: Option<UnixStream>,
}

impl Site {
    fn new(allowed: Vec<u32>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = own();
        let root = Root::at(directory.path());
        let records = Records::open(&directory.path().join("state"), owner, root.clone()).unwrap();
        let executor = Executor {
            policy: Policy::new(root.clone(), owner),
            apt: Apt::new(Path::new("/nonexistent"), records.output()),
            inhibitors: Inhibitors::new(Path::new("/nonexistent"), records.output()),
            dpkg: Dpkg::new(Path::new("/nonexistent")),
            root,
            records,
            grants: Grants::open(&directory.path().join("state"), owner).unwrap(),
            reboots: Reboots::new(Path::new("/nonexistent"), &directory.path().join("state"), || None),
            systemctl: crate::patchers::Systemctl::new(
                std::path::Path::new("/nonexistent"),
                directory.path(),
            ),
            now: clock::now,
            stopping: AtomicBool::new(false),
            clock: patchd_host::clock::synchronisation,
        };
        let (stop, stopped) = UnixStream::pair().unwrap();
        Self { directory, server: Server::new(executor, allowed), stop, stopped: Some(stopped) }
    }

    fn start(&mut self, socket: Socket, idle: Duration) -> JoinHandle<Result<(), ServeError>> {
        let (server, stopped) = (Arc::clone(&self.server), self.stopped.take().unwrap());
        std::thread::spawn(move || server.run(socket, idle, &stopped))
    }

    fn pair(&mut self) -> (UnixStream, JoinHandle<Result<(), ServeError>>) {
        let (client, socket) = UnixStream::pair().unwrap();
        let thread = self.start(Socket::Connected(socket), LONG);
        (client, thread)
    }
}

fn own() -> u32 {
    nix::unistd::Uid::effective().as_raw()
}

fn send(client: &mut UnixStream, verb: Verb) {
    frame::write(client, &Request { protocol: PROTOCOL, run: "r".into(), verb }, MAX_REQUEST).unwrap();
}

fn receive(client: &mut UnixStream) -> Option<Reply> {
    frame::read(client, MAX_REPLY).unwrap()
}

#[track_caller]
fn check_refused(reply: Option<Reply>, expected: RefusalCode) {
    assert!(matches!(&reply, Some(Reply::Refused(refusal)) if refusal.code == expected), "{reply:?}");
}

#[test]
fn a_pair_is_served_request_by_request_until_it_hangs_up() {
    let mut site = Site::new(vec![own()]);
    let (mut client, thread) = site.pair();
    for _ in 0..3 {
        send(&mut client, Verb::Recall { transaction: "t".into(), wait_seconds: 0 });
        assert_eq!(receive(&mut client), Some(Reply::Recalled(None)));
    }
    let unknown = json!({"protocol": PROTOCOL, "run": "r", "verb": {"shell": {}}});
    frame::write(&mut client, &unknown, MAX_REQUEST).unwrap();
    check_refused(receive(&mut client), RefusalCode::UnknownVerb);
    // A refusal ends no connection.
    send(&mut client, Verb::Refresh { transaction: "t".into() });
    assert!(matches!(receive(&mut client), Some(Reply::Failed { .. })));
    drop(client);
    thread.join().unwrap().unwrap();
}

#[test]
fn hostile_frames_end_the_connection_and_nothing_else() {
    let mut giant = (MAX_REQUEST + 1).to_be_bytes().to_vec();
    giant.extend_from_slice(b"{}");
    let text = b"\0\0\0\x03abc".to_vec();
    let deep = [&20_000_u32.to_be_bytes()[..], "[".repeat(20_000).as_bytes()].concat();
    for bytes in [giant, text, deep] {
        let mut site = Site::new(vec![own()]);
        let (mut client, thread) = site.pair();
        client.write_all(&bytes).unwrap();
        check_refused(receive(&mut client), RefusalCode::Malformed);
        thread.join().unwrap().unwrap();
    }
    let mut site = Site::new(vec![own()]);
    let (mut client, thread) = site.pair();
    client.write_all(b"\0\0\0\x09{").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(receive(&mut client), None);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_peer_that_nobody_named_is_refused() {
    let mut site = Site::new(vec![own() + 1]);
    let (mut client, thread) = site.pair();
    check_refused(receive(&mut client), RefusalCode::NotAuthorised);
    assert_eq!(receive(&mut client), None);
    thread.join().unwrap().unwrap();
}

#[test]
fn a_listener_serves_several_and_ends_when_told() {
    let mut site = Site::new(vec![own()]);
    let path = site.directory.path().join("socket");
    let thread = site.start(Socket::Listening(UnixListener::bind(&path).unwrap()), LONG);
    let mut clients: Vec<_> = (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for client in clients.iter_mut().rev() {
        send(client, Verb::Recall { transaction: "t".into(), wait_seconds: 0 });
        assert_eq!(receive(client), Some(Reply::Recalled(None)));
    }
    let mut one_too_many = UnixStream::connect(&path).unwrap();
    check_refused(receive(&mut one_too_many), RefusalCode::Busy);
    (&site.stop).write_all(b"x").unwrap();
    thread.join().unwrap().unwrap();
}

#[test]
fn an_idle_listener_ends_by_itself() {
    let mut site = Site::new(vec![own()]);
    let listener = UnixListener::bind(site.directory.path().join("socket")).unwrap();
    let thread = site.start(Socket::Listening(listener), Duration::from_millis(1));
    thread.join().unwrap().unwrap();
}

#[test]
fn an_answer_that_is_under_way_is_finished_before_the_end() {
    let mut site = Site::new(vec![own()]);
    let server = Arc::clone(&site.server);
    let answering = Answering::start(&server);
    let (client, thread) = site.pair();
    (&site.stop).write_all(b"x").unwrap();
    assert!(!thread.is_finished());
    drop(answering);
    thread.join().unwrap().unwrap();
    drop(client);
}
