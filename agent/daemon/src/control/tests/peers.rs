//! Peers of other users and groups, as the kernel tells them. It takes root to be somebody else; without it, and without
//! the perl that every Debian has, these cases are left out and say so.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use patchd_protocol::config::ControlSettings;

use super::server::{Server, nobody_else};

const PERL: &str = "/usr/bin/perl";

/// Connects as it is, sends what it reads, and prints what comes back.
const CLIENT: &str = "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die; \
    connect(S, sockaddr_un($ARGV[0])) or do { print \"connect: $!\"; exit }; \
    $/ = undef; syswrite(S, <STDIN>); while (sysread(S, $b, 65536)) { print $b }";

/// Connects many times, says so, and holds on until it is let go.
const CROWD_CLIENT: &str = "use Socket; $| = 1; for (1 .. $ARGV[1]) { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; \
    connect($s, sockaddr_un($ARGV[0])); push @s, $s } print \"there\"; <STDIN>";

/// Numbers that no account has.
const USER: u32 = 54_321;
const GROUP: u32 = 54_322;
const OTHER: u32 = 54_323;

fn can_be_somebody_else() -> bool {
    let can = nix::unistd::getuid().is_root() && Path::new(PERL).exists();
    if !can {
        eprintln!("left out: peers of other users (needs root, and {PERL})");
    }
    can
}

/// A program run by this user in this group.
#[expect(clippy::disallowed_methods, reason = "somebody else must be another process")]
fn somebody(uid: u32, gid: u32, program: &str) -> Command {
    let mut command = Command::new(PERL);
    command.args(["-e", program]).env_clear().current_dir("/").uid(uid).gid(gid);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// What the server answers to a peer of this user and this primary group.
async fn ask_as(server: &Server, uid: u32, gid: u32, request: &str) -> String {
    let socket = server.socket.clone();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let request = match request.starts_with("POST") {
        true => format!(
            "{request}content-type: application/json\r\ncontent-length: 20\r\n\r\n{{\"operation\":\"scan\"}}"
        ),
        false => format!("{request}\r\n"),
    };
    let answer = tokio::task::spawn_blocking(move || {
        let mut child = somebody(uid, gid, CLIENT).arg(&socket).spawn().unwrap();
        // A client that may not connect says so and ends, perhaps before it was told what to ask.
        let _ = child.stdin.take().unwrap().write_all(request.as_bytes());
        child.wait_with_output().unwrap().stdout
    });
    String::from_utf8(answer.await.unwrap()).unwrap()
}

#[track_caller]
fn check(answer: &str, expected: &str) {
    assert!(answer.starts_with(expected), "{expected} is not what came: {answer}");
}

const READ: &str = "GET /v1/status";
const CHANGE: &str = "POST /v1/runs";

#[tokio::test]
async fn members_of_the_read_group_read_and_change_nothing() {
    if !can_be_somebody_else() {
        return;
    }
    let server =
        Server::start(ControlSettings { read_group: Some(GROUP.to_string()), ..nobody_else() }).await;
    check(&ask_as(&server, USER, GROUP, READ).await, "HTTP/1.1 200");
    let refused = ask_as(&server, USER, GROUP, CHANGE).await;
    check(&refused, "HTTP/1.1 403");
    assert!(refused.contains("urn:patchd:problem:not-authorised"), "{refused}");
    assert!(refused.contains(&format!("uid {USER}")), "{refused}");
    // The file's mode keeps everybody else out.
    check(&ask_as(&server, USER, OTHER, READ).await, "connect: Permission denied");
    check(&ask_as(&server, 0, 0, CHANGE).await, "HTTP/1.1 20");
    assert_eq!(server.get("/v1/status").await.status, 200);
}

#[tokio::test]
async fn those_who_are_named_change_and_the_rest_is_refused() {
    if !can_be_somebody_else() {
        return;
    }
    let settings = ControlSettings {
        read_group: None,
        change_users: vec![USER.to_string()],
        change_groups: vec![GROUP.to_string()],
    };
    let server = Server::start(settings).await;
    check(&ask_as(&server, USER, OTHER, CHANGE).await, "HTTP/1.1 20");
    check(&ask_as(&server, USER, OTHER, READ).await, "HTTP/1.1 200");
    check(&ask_as(&server, OTHER, GROUP, CHANGE).await, "HTTP/1.1 20");
    for request in [READ, CHANGE, "GET /v1/nothing", "DELETE /v1/status"] {
        check(&ask_as(&server, OTHER, OTHER, request).await, "HTTP/1.1 403");
    }
    // New rules count for the next connection.
    server.settings.send_modify(|settings| settings.control = nobody_else());
    check(&ask_as(&server, USER, OTHER, READ).await, "HTTP/1.1 403");
}

#[tokio::test]
async fn groups_count_by_their_names_too() {
    if !can_be_somebody_else() {
        return;
    }
    // `daemon` is group 1 everywhere.
    let settings = ControlSettings { change_groups: vec!["daemon".into()], ..nobody_else() };
    let server = Server::start(settings).await;
    check(&ask_as(&server, OTHER, 1, CHANGE).await, "HTTP/1.1 20");
    check(&ask_as(&server, OTHER, OTHER, CHANGE).await, "HTTP/1.1 403");
}

/// More than are served and waited for.
const CROWD: usize = 150;

#[tokio::test]
async fn a_crowd_of_others_does_not_keep_root_out() {
    if !can_be_somebody_else() {
        return;
    }
    let server =
        Server::start(ControlSettings { change_users: vec![USER.to_string()], ..nobody_else() }).await;
    let mut command = somebody(USER, USER, CROWD_CLIENT);
    let mut crowd = command.arg(&server.socket).arg(CROWD.to_string()).spawn().unwrap();
    let mut output = crowd.stdout.take().unwrap();
    let connected = tokio::task::spawn_blocking(move || {
        let mut line = [0; 5];
        output.read_exact(&mut line).unwrap();
        line
    });
    assert_eq!(&connected.await.unwrap(), b"there");
    assert_eq!(server.get("/v1/status").await.status, 200);
    assert!(server.post("/v1/runs", r#"{"operation":"scan"}"#).await.status.is_success());
    drop(crowd.stdin.take());
    crowd.wait().unwrap();
    check(&ask_as(&server, USER, USER, READ).await, "HTTP/1.1 200");
}
