//! Root's word outside of every window: who may give it, for what, and what the executor is told. The executor is played.

use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use patchd_protocol::executor::{RefusalCode, RefusalWire, Reply, Request, Verb};
use patchd_protocol::frame::{self, MAX_REPLY, MAX_REQUEST};
use serde_json::{Value, json};

use crate::apply::{ASK, plan, planning_and_applying};
use crate::fake::Daemon;
use crate::root::HALF_NOW;
use crate::{Outcome, command, outcome};

/// Whether this test runs as root, as most do.
fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        println!("left out: giving root's word takes root");
    }
    is_root
}

/// An executor that answers each connection with the next of these replies, and tells what it was asked.
pub(crate) fn executor(directory: &Path, replies: Vec<Reply>) -> (PathBuf, Receiver<Request>) {
    let socket = directory.join("executor.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, asked) = sync_channel(8);
    thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let request = frame::read(&mut stream, MAX_REQUEST).unwrap().unwrap();
            sender.send(request).unwrap();
            frame::write(&mut stream, &reply, MAX_REPLY).unwrap();
        }
    });
    (socket, asked)
}

/// A daemon that plans `p` and then applies `r`.
fn daemon() -> Daemon {
    Daemon::new(planning_and_applying())
}

fn apply_now(daemon: &Daemon, executor: &Path, more: &[&str]) -> Outcome {
    let arguments = ["apply", "--now", "--reason", "CVE-2026-1", "--executor-socket"];
    let mut command = command();
    command.arg("--socket").arg(&daemon.socket).args(arguments).arg(executor).args(more);
    outcome(&mut command)
}

#[test]
fn who_is_not_root_is_refused_before_anybody_is_asked() {
    let daemon = daemon();
    let mut command = command();
    command.arg("--socket").arg(&daemon.socket).args(["apply", "--now", "--reason", "x", "--yes"]);
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534);
    }
    let refused = outcome(&mut command).expect_code(6);
    assert!(refused.stderr.contains("only root may apply outside of a window"), "{}", refused.stderr);
    assert_eq!(daemon.posts(), []);
}

#[test]
fn the_grant_is_for_the_plan_that_is_shown_and_then_asked_for() {
    if !is_root() {
        return;
    }
    let daemon = daemon();
    let until = HALF_NOW.parse().unwrap();
    let (socket, asked) = executor(daemon.directory.path(), vec![Reply::Granted { until }]);
    let outcome = apply_now(&daemon, &socket, &["--yes", "--minutes", "5"]).expect_code(0);
    assert!(outcome.stderr.contains("curl     1.0   1.1"), "the plan is shown: {}", outcome.stderr);
    assert!(outcome.stderr.contains("holds until 2026-11-23 12:00 UTC"), "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("SUCCEEDED (apply r)"), "{}", outcome.stdout);
    let document: Value = serde_json::from_str(&plan()).unwrap();
    let request = asked.recv().unwrap();
    assert_eq!(request.run, "p");
    let Verb::Grant { plan, digest, reason, seconds } = request.verb else { panic!("{request:?}") };
    assert_eq!(
        (digest.as_str(), reason.as_str(), seconds),
        (document["digest"].as_str().unwrap(), "CVE-2026-1", 300)
    );
    assert_eq!((plan.changes.len(), plan.changes[0].to.as_str()), (1, "1.1"));
    let posts = daemon.posts();
    assert_eq!(posts[0].1, json!({"operation": "apply", "dry_run": true}));
    assert_eq!(posts[1].0, ASK);
    assert_eq!(posts[1].1["plan"]["digest"], document["digest"]);
}

#[test]
fn a_plan_from_a_file_is_granted_as_it_is() {
    if !is_root() {
        return;
    }
    let daemon = daemon();
    let path = daemon.directory.path().join("plan.json");
    std::fs::write(&path, plan()).unwrap();
    // The first request is for the apply: no second plan is made.
    let (socket, asked) =
        executor(daemon.directory.path(), vec![Reply::Granted { until: HALF_NOW.parse().unwrap() }]);
    apply_now(&daemon, &socket, &["--yes", "--plan", path.to_str().unwrap()]);
    assert!(matches!(asked.recv().unwrap().verb, Verb::Grant { .. }));
    assert_eq!(daemon.posts()[0].1["operation"], "apply");
    assert_ne!(daemon.posts()[0].1["plan"], Value::Null);
}

#[test]
fn without_a_yes_or_a_grant_nothing_is_asked_for() {
    if !is_root() {
        return;
    }
    let daemon = daemon();
    let refusal =
        RefusalWire { code: RefusalCode::Frozen, message: "changes are frozen".into(), blamed: vec![] };
    let replies = vec![
        Reply::Refused(refusal),
        Reply::Failed { message: "no disk".into() },
        Reply::ReadBack { installed: vec![] },
    ];
    let (socket, asked) = executor(daemon.directory.path(), replies);
    let silent = apply_now(&daemon, &socket, &[]).expect_code(2);
    assert!(silent.stderr.contains("--yes agrees to the plan"), "{}", silent.stderr);
    let path = daemon.directory.path().join("plan.json");
    std::fs::write(&path, plan()).unwrap();
    let with_file = ["--yes", "--plan", path.to_str().unwrap()];
    let refused = apply_now(&daemon, &socket, &with_file).expect_code(6);
    assert!(refused.stderr.contains("gave no grant: changes are frozen"), "{}", refused.stderr);
    apply_now(&daemon, &socket, &with_file).expect_code(1);
    apply_now(&daemon, &socket, &with_file).expect_code(1);
    assert_eq!(asked.iter().count(), 3);
    let absent = apply_now(&daemon, Path::new("/nonexistent/executor.sock"), &with_file).expect_code(5);
    assert!(absent.stderr.contains("systemctl start patchd-executor.socket"), "{}", absent.stderr);
    assert_eq!(daemon.posts().len(), 1, "one dry run");
}
