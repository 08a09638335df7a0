//! The client beside a socket that answers as the daemon does: what each answer means for the caller.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::thread;

use serde_json::{Value, json};

use crate::fake::{Daemon, problem};
use crate::patchctl;
use crate::root::{HALF_NOW, HostRoot, stanza};

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
pub(crate) fn report() -> String {
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
    assert_eq!(daemon.posts()[0].1, json!({"operation": "scan"}));
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
