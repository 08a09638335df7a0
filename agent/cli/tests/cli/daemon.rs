//! The client beside a socket that answers as the daemon does: what each answer means for the caller.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use crate::root::{HALF_NOW, HostRoot, stanza};
use crate::{Outcome, patchctl};

/// A socket with an answer for each request; the last answer to a request is repeated.
struct Daemon {
    _directory: tempfile::TempDir,
    socket: PathBuf,
}

type Answers = BTreeMap<&'static str, Vec<(u16, String)>>;

impl Daemon {
    fn new(answers: impl IntoIterator<Item = (&'static str, Vec<(u16, String)>)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("patchd.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut answers: Answers = answers.into_iter().collect();
        // The thread ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut answers);
            }
        });
        Self { _directory: directory, socket }
    }

    fn call(&self, arguments: &[&str]) -> Outcome {
        patchctl(["--socket", self.socket.to_str().unwrap()].iter().chain(arguments))
    }
}

fn answer(mut stream: UnixStream, answers: &mut Answers) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let request = first.trim_end_matches(" HTTP/1.1");
    let head: Vec<_> = std::iter::repeat_with(line).take_while(|line| !line.is_empty()).collect();
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    if request.starts_with("POST") {
        assert_eq!(body, br#"{"operation":"scan"}"#);
    }
    let (status, body) = match answers.get_mut(request) {
        Some(left) if 1 < left.len() => left.remove(0),
        Some(left) => left.first().unwrap().clone(),
        None => (404, problem("not-found", "there is no such thing here", request)),
    };
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len());
    // The client may have enough of it already.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn problem(kind: &str, title: &str, detail: &str) -> String {
    json!({"type": format!("urn:patchd:problem:{kind}"), "title": title, "status": 0, "detail": detail})
        .to_string()
}

fn run(phase: &str, more: &Value) -> Value {
    let mut run = json!({
        "schema": "patchd.run/1", "id": "20261123T120000Z-1", "operation": "scan",
        "trigger": {"request": {"uid": 1000}}, "phase": phase, "requested_at": HALF_NOW,
        "gates": [], "transactions": [],
        "journal": [{"sequence": 1, "effect": "assess", "intended_at": HALF_NOW}],
    });
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

/// A report as the daemon would have it.
fn report() -> String {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    let store = tempfile::tempdir().unwrap();
    let arguments = ["scan", "--once", "--json", "--root", root.path().to_str().unwrap(), "--store"];
    patchctl(arguments.iter().chain(&[store.path().to_str().unwrap()])).expect_code(0).stdout
}

const RUN: &str = "GET /v1/runs/20261123T120000Z-1";

fn started() -> (&'static str, Vec<(u16, String)>) {
    let run = run("queued", &json!({}));
    let answer = json!({"schema": "patchd.run-answer/1", "started": true, "run": run});
    ("POST /v1/runs", vec![(202, answer.to_string())])
}

#[test]
fn a_scan_waits_for_its_run_and_shows_the_report() {
    let report = report();
    let concluded =
        run("concluded", &json!({"verdict": "succeeded", "report": "r-1", "concluded_at": HALF_NOW}));
    let daemon = Daemon::new([
        started(),
        (RUN, vec![(200, run("assessing", &json!({})).to_string()), (200, concluded.to_string())]),
        ("GET /v1/reports/r-1", vec![(200, report.clone())]),
    ]);
    let outcome = daemon.call(&["scan", "--json"]).expect_code(0);
    assert_eq!(outcome.json(), serde_json::from_str::<Value>(&report).unwrap());
    assert_eq!(daemon.call(&["report", "r-1", "--json"]).expect_code(0).stdout, report);
    daemon.call(&["scan", "--exit-code"]).expect_code(3);
}

#[test]
fn a_run_that_failed_is_a_failure() {
    let failed = run("concluded", &json!({"verdict": "failed", "detail": "the disk is full"}));
    let daemon = Daemon::new([started(), (RUN, vec![(200, failed.to_string())])]);
    let outcome = daemon.call(&["scan"]).expect_code(1);
    assert!(outcome.stderr.contains("the disk is full"), "{}", outcome.stderr);
}

#[test]
fn a_run_is_shown_with_its_journal() {
    let daemon = Daemon::new([(RUN, vec![(200, run("assessing", &json!({})).to_string())])]);
    let page = daemon.call(&["show", "20261123T120000Z-1"]).expect_code(0).stdout;
    assert!(page.contains("scan by uid 1000"), "{page}");
    assert!(page.contains("Outcome    looking at the host"), "{page}");
    assert!(page.contains("12:00:00  assess     under way, or cut by a crash"), "{page}");
}

#[test]
fn each_refusal_has_its_exit_code() {
    let daemon = Daemon::new([
        ("POST /v1/runs", vec![(403, problem("not-authorised", "you may not do this", "uid 1000"))]),
        ("GET /v1/status", vec![(503, problem("stopping", "patchd is stopping", "soon"))]),
        ("GET /v1/runs", vec![(500, "no JSON".into())]),
        ("GET /v1/updates", vec![(200, "no JSON".into())]),
        ("GET /v1/inventory", vec![(200, r#"{"schema":"patchd.inventory/2"}"#.into())]),
    ]);
    let refused = daemon.call(&["scan"]).expect_code(6);
    assert_eq!(refused.stderr, "patchctl: patchd: you may not do this: uid 1000\n");
    daemon.call(&["status"]).expect_code(6);
    daemon.call(&["runs"]).expect_code(1);
    daemon.call(&["show", "none"]).expect_code(7);
    daemon.call(&["show", "../status"]).expect_code(2);
    for command in ["updates", "inventory"] {
        let outcome = daemon.call(&[command]).expect_code(1);
        assert!(outcome.stderr.contains("of the same version"), "{}", outcome.stderr);
    }
}

#[test]
fn a_socket_that_speaks_something_else_is_no_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("patchd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            stream.unwrap().write_all(b"220 example.org ESMTP\r\n").unwrap();
        }
    });
    patchctl(["--socket", socket.to_str().unwrap(), "status"]).expect_code(5);
}
