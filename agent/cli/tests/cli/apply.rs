//! Plans and applies beside a daemon that is played: what is asked, what is shown, and with which code it ends.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fake::{Answer, Daemon, HANGS, problem};
use crate::root::HALF_NOW;
use crate::{command, outcome, patchctl};

pub(crate) const ASK: &str = "POST /v1/runs";

/// A run by its id, as lists and answers have it.
pub(crate) fn summary(id: &str, more: &Value) -> Value {
    let mut run = json!({
        "id": id, "operation": "apply", "trigger": {"request": {"uid": 0}}, "phase": "queued",
        "requested_at": HALF_NOW,
    });
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

pub(crate) fn concluded(id: &str, verdict: &str, more: &Value) -> Value {
    let mut run = summary(id, &json!({"phase": "concluded", "verdict": verdict, "concluded_at": HALF_NOW}));
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    run
}

/// The same as a document of its own.
pub(crate) fn document(run: &Value) -> Answer {
    let mut document = json!({"schema": "patchd.run/1", "gates": [], "transactions": [], "journal": []});
    document.as_object_mut().unwrap().extend(run.as_object().unwrap().clone());
    (200, document.to_string())
}

pub(crate) fn accepted(run: &Value, started: bool) -> Answer {
    (200, json!({"schema": "patchd.run-answer/1", "started": started, "run": run}).to_string())
}

pub(crate) fn moved(sequence: u64, phase: &str, text: &str) -> String {
    let moved = json!({"moved": {"sequence": sequence, "at": HALF_NOW, "phase": phase, "text": text}});
    format!("id: {sequence}\nevent: moved\ndata: {moved}\n\n")
}

/// A stream that ends with the run.
pub(crate) fn stream(run: &Value) -> Answer {
    let progress = |progress: Value| format!("event: progress\ndata: {}\n\n", json!({"progress": progress}));
    let text = [
        ": hello\n\n".to_owned(),
        moved(1, "refreshing", "fetching the package lists"),
        moved(2, "applying", "step 1 begins"),
        progress(json!({"kind": "package", "name": "curl", "action": "unpacking", "permille": 120})),
        progress(json!({"kind": "output", "line": "\u{1b}]0;owned\u{7}evil"})),
        format!("event: concluded\ndata: {}\n\n", json!({"concluded": run})),
    ];
    (200, text.concat())
}

/// A plan as the daemon writes it: with blanks that a program would not write.
pub(crate) fn plan() -> String {
    json!({
        "schema": "patchd.plan/1",
        // printf 'curl amd64 1.0 1.1\n' | sha256sum
        "digest": "cfd44a397e3b2cc5f90d6d0df4882ea4f2c348d487e271f39cd10f2ac3ee6af3",
        "host": "web-1", "run": "p", "made_at": HALF_NOW,
        "steps": [{
            "number": 1, "after": [], "removals": [], "estimated_seconds": 20,
            "changes": [{
                "name": "curl", "architecture": "amd64", "from": "1.0", "to": "1.1", "download_bytes": 1,
                "installed_growth_bytes": 0,
            }],
        }],
        "download_bytes": 1, "estimated_seconds": 20, "filesystems": [], "left_out": [],
        "window": {"verdict": "none"},
        "gates": [{"code": "no_window", "detail": "no window is configured"}],
    })
    .to_string()
    .replacen(',', ", ", 1)
}

/// The answers to a dry run `p` that comes to this plan.
pub(crate) fn planning(plan: String) -> Vec<(&'static str, Vec<Answer>)> {
    let dry = json!({"dry_run": true});
    vec![
        (ASK, vec![accepted(&summary("p", &dry), true)]),
        ("GET /v1/runs/p/events", vec![stream(&concluded("p", "succeeded", &dry))]),
        ("GET /v1/runs/p", vec![document(&concluded("p", "succeeded", &dry))]),
        ("GET /v1/runs/p/plan", vec![(200, plan)]),
    ]
}

/// The same, and then an apply `r` that goes well.
pub(crate) fn planning_and_applying() -> Vec<(&'static str, Vec<Answer>)> {
    let mut answers = planning(plan());
    for (request, of_request) in &mut answers {
        if *request == ASK {
            of_request.push(accepted(&summary("r", &json!({})), true));
        }
    }
    let end = concluded("r", "succeeded", &json!({}));
    answers.push(("GET /v1/runs/r/events", vec![stream(&end)]));
    answers.push(("GET /v1/runs/r", vec![document(&end)]));
    answers
}

/// A daemon whose apply `r` comes to this verdict.
fn applying(verdict: &str, more: &Value) -> Daemon {
    let end = concluded("r", verdict, more);
    Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/r/events", vec![stream(&end)]),
        ("GET /v1/runs/r", vec![document(&end)]),
    ])
}

#[test]
fn a_plan_is_shown_to_people_and_given_to_programs_as_it_came() {
    let daemon = Daemon::new(planning(plan()));
    let page = daemon.call(&["plan"]).expect_code(0);
    assert_eq!(daemon.posts(), [(ASK.to_owned(), json!({"operation": "apply", "dry_run": true}))]);
    for part in [
        "curl     1.0   1.1",
        "- no window is configured",
        "patchctl apply --plan plan.json",
        "--now --reason",
    ] {
        assert!(page.stdout.contains(part), "{part:?} in {}", page.stdout);
    }
    assert_eq!(page.stderr, "", "a plan fills no log");
    assert_eq!(daemon.call(&["plan", "--json"]).expect_code(0).stdout, format!("{}\n", plan()));
}

#[test]
fn where_there_is_no_plan_the_run_says_why() {
    let none = |verdict: &str, more: &Value| {
        let mut answers = planning(String::new());
        answers[1].1 = vec![stream(&concluded("p", verdict, more))];
        answers[3].1 = vec![(404, problem("no-plan", "there is no plan", "p"))];
        Daemon::new(answers)
    };
    let done = none("succeeded", &json!({}));
    assert_eq!(done.call(&["plan"]).expect_code(0).stdout, "nothing is to be done\n");
    assert_eq!(done.call(&["plan", "--json"]).expect_code(0).json()["schema"], "patchd.run/1");
    let refused = none("refused", &json!({"detail": "no dry run agrees"})).call(&["plan"]).expect_code(9);
    assert!(refused.stderr.contains("there is no plan: no dry run agrees"), "{}", refused.stderr);
    none("failed", &json!({"detail": "x"})).call(&["plan"]).expect_code(1);
}

#[test]
fn each_verdict_has_its_exit_code() {
    for (verdict, code, word) in [
        ("succeeded", 0, "SUCCEEDED (apply r)"),
        ("partial", 8, "SUCCEEDED IN PART: why (apply r)"),
        ("refused", 9, "NOTHING WAS CHANGED: why (apply r)"),
        ("failed", 1, "FAILED: why (apply r)"),
    ] {
        let more = if code == 0 { json!({}) } else { json!({"detail": "why"}) };
        let daemon = applying(verdict, &more);
        let outcome = daemon.call(&["apply"]).expect_code(code);
        assert!(outcome.stdout.starts_with(word), "{}", outcome.stdout);
        let time = &HALF_NOW[11..19];
        assert_eq!(
            outcome.stderr,
            format!(
                "{time}  fetching the package lists\n{time}  step 1 begins\n           12 %  unpacking curl\n"
            )
        );
        assert_eq!(daemon.posts(), [(ASK.to_owned(), json!({"operation": "apply"}))]);
        let outcome = daemon.call(&["apply", "--json"]).expect_code(code);
        assert_eq!(outcome.json()["verdict"], verdict);
    }
}

#[test]
fn the_report_of_an_apply_tells_what_was_changed() {
    let mut report: Value = serde_json::from_str(&crate::daemon::report()).unwrap();
    report["run"] = json!({
        "verdict": "partial", "window": "sunday",
        "transactions": [{
            "id": "t", "started_at": HALF_NOW, "took_seconds": 3, "exit_code": 100, "output_tail": [],
            "changes": [{
                "name": "curl", "architecture": "amd64", "before": "1.0", "planned": "1.1", "after": "1.1", "done": true,
            }],
        }],
        "failed": [{"packages": ["bad:amd64"], "why": "it failed", "output": ["useradd: \u{1b}[31mno"]}],
        "waiting": [{"packages": ["late:amd64"], "why": "the cutoff came first"}],
        "notes": ["a note"], "left_files": ["/etc/x.dpkg-dist"],
    });
    let end = concluded("r", "partial", &json!({"report": "r-1"}));
    let daemon = Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/r/events", vec![stream(&end)]),
        ("GET /v1/runs/r", vec![document(&end)]),
        ("GET /v1/reports/r-1", vec![(200, report.to_string())]),
    ]);
    let setbacks = [
        "bad:amd64: it failed",
        "| useradd: \u{fffd}[31mno",
        "late:amd64: the cutoff",
        "a note",
        "x.dpkg-dist",
    ];
    let apply = daemon.call(&["apply"]).expect_code(8).stdout;
    assert!(apply.contains("curl     1.0   1.1"), "{apply}");
    for page in [apply, daemon.call(&["show", "r"]).stdout, daemon.call(&["report", "r-1"]).stdout] {
        for part in setbacks {
            assert!(page.contains(part), "{part:?} in {page}");
        }
    }
    assert_eq!(daemon.call(&["apply", "--json"]).expect_code(8).json(), report);
}

#[test]
fn exactly_the_plan_in_the_file_is_asked_for() {
    let daemon = applying("succeeded", &json!({}));
    let path = daemon.directory.path().join("plan.json");
    std::fs::write(&path, plan()).unwrap();
    daemon.call(&["apply", "--plan", path.to_str().unwrap()]).expect_code(0);
    let document: Value = serde_json::from_str(&plan()).unwrap();
    let change = json!({"name": "curl", "architecture": "amd64", "from": "1.0", "to": "1.1"});
    let expected = json!({"digest": document["digest"], "changes": [change], "removals": []});
    let expected = json!({"operation": "apply", "plan": expected});
    assert_eq!(daemon.posts()[0].1, expected);
    let mut piped = command();
    piped.arg("--socket").arg(&daemon.socket).args(["apply", "--plan", "-"]);
    outcome(piped.stdin(File::open(&path).unwrap())).expect_code(0);
    assert_eq!(daemon.posts()[1].1, expected);
}

#[test]
fn a_file_that_is_no_plan_is_refused_before_anybody_is_asked() {
    let daemon = applying("succeeded", &json!({}));
    let path = daemon.directory.path().join("plan.json");
    for (text, mistake) in [
        (String::new(), "it is no JSON"),
        (r#"{"schema":"patchd.run/1"}"#.into(), "schema: it is \"patchd.run/1\""),
        (plan().replace("1.1", "1.2"), "digest: its digest is "),
        (plan().replace("\"1.1\"", "7"), "steps[0].changes[0].to: invalid type"),
    ] {
        std::fs::write(&path, text).unwrap();
        let outcome = daemon.call(&["apply", "--plan", path.to_str().unwrap()]).expect_code(2);
        let start = format!("patchctl: {}: {mistake}", path.display());
        assert!(outcome.stderr.starts_with(&start), "{}", outcome.stderr);
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    }
    daemon.call(&["apply", "--plan", "/nonexistent/plan.json"]).expect_code(7);
    let endless = daemon.call(&["apply", "--plan", "/dev/zero"]).expect_code(2);
    assert!(endless.stderr.contains("/dev/zero: it is longer than"), "{}", endless.stderr);
    daemon.call(&["apply", "--plan", "/"]).expect_code(2);
    assert_eq!(daemon.posts(), []);
}

#[test]
fn a_second_apply_follows_the_first() {
    let end = concluded("r", "succeeded", &json!({}));
    let daemon = Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({"phase": "applying"})), false)]),
        ("GET /v1/runs/r/events", vec![stream(&end)]),
        ("GET /v1/runs/r", vec![document(&end)]),
    ]);
    let outcome = daemon.call(&["apply"]).expect_code(0);
    assert!(outcome.stderr.contains("under way already, apply r: following that one"), "{}", outcome.stderr);
    assert_eq!(daemon.posts().len(), 1);
    let detached = daemon.call(&["apply", "--detach"]).expect_code(6);
    assert_eq!(detached.stdout, "r\n");
}

#[test]
fn a_run_that_does_something_else_is_waited_for() {
    let scan = summary("s", &json!({"operation": "scan"}));
    let end = concluded("r", "succeeded", &json!({}));
    let daemon = Daemon::new([
        (ASK, vec![accepted(&scan, false), accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/s/events", vec![stream(&concluded("s", "failed", &json!({"operation": "scan"})))]),
        ("GET /v1/runs/r/events", vec![stream(&end)]),
        ("GET /v1/runs/r", vec![document(&end)]),
    ]);
    let outcome = daemon.call(&["apply"]).expect_code(0);
    assert!(outcome.stderr.contains("scan s: waiting for its end first"), "{}", outcome.stderr);
    assert!(outcome.stdout.starts_with("SUCCEEDED (apply r)"), "{}", outcome.stdout);
}

#[test]
fn who_does_not_wait_gets_the_id_and_can_come_back() {
    let daemon = applying("refused", &json!({"detail": "outside"}));
    assert_eq!(daemon.call(&["apply", "--detach"]).expect_code(0).stdout, "r\n");
    let document = daemon.call(&["apply", "--detach", "--json"]).expect_code(0).json();
    assert_eq!(document["schema"], "patchd.run-answer/1");
    let back = daemon.call(&["apply", "--follow", "r"]).expect_code(9);
    assert!(back.stdout.starts_with("NOTHING WAS CHANGED: outside"), "{}", back.stdout);
    daemon.call(&["apply", "--follow", "other"]).expect_code(7);
    daemon.call(&["apply", "--follow", "../x"]).expect_code(2);
}

#[test]
fn a_ctrl_c_leaves_the_run_going_and_says_how_to_come_back() {
    let daemon = Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/r/events", vec![(200, moved(1, "applying", "step 1 begins") + HANGS)]),
    ]);
    let mut child = command()
        .arg("--socket")
        .arg(&daemon.socket)
        .arg("apply")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    stderr.read_line(&mut first).unwrap();
    assert!(first.ends_with("step 1 begins\n"), "{first}");
    let killed = Command::new("/bin/kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(
        rest,
        "patchctl: run r goes on; `patchctl apply --follow r` shows it again, `patchctl stop r` stops it between \
         steps\n"
    );
    assert_eq!(daemon.posts().len(), 1, "nothing was stopped");
}

#[test]
fn an_operator_stops_pauses_and_resumes() {
    let status = |paused: bool| {
        json!({
            "schema": "patchd.status/1", "state": "running", "version": "0.1.0", "process_id": 1, "started_at": HALF_NOW,
            "uptime_seconds": 1, "host": "web-1", "store": "file:///x", "spooled_reports": 0,
            "running": summary("r", &json!({"phase": "applying"})), "window": {"verdict": "none"},
            "clock": {"state": "unsynchronised", "required": true},
            "gates": [{"code": "freeze", "detail": "changes are frozen until Monday: year's end"}], "paused": paused,
        })
        .to_string()
    };
    let applying = document(&summary("r", &json!({"phase": "applying"}))).1;
    let daemon = Daemon::new([
        ("POST /v1/runs/r/stop", vec![(202, applying)]),
        (
            "POST /v1/runs/old/stop",
            vec![(409, problem("not-stoppable", "this run can't be stopped", "run old is over"))],
        ),
        ("POST /v1/pause", vec![(200, status(true))]),
        ("POST /v1/resume", vec![(200, status(false))]),
    ]);
    let stop = daemon.call(&["stop", "r"]).expect_code(0).stdout;
    assert!(stop.contains("will stop after the step that is under way"), "{stop}");
    let over = daemon.call(&["stop", "old"]).expect_code(6).stderr;
    assert!(over.contains("run old is over"), "{over}");
    daemon.call(&["stop", "none"]).expect_code(7);
    daemon.call(&["stop", "../r"]).expect_code(2);
    let pause = daemon.call(&["pause"]).expect_code(0).stdout;
    assert!(pause.contains("until `patchctl resume`") && pause.contains("Run r is under way"), "{pause}");
    let resume = daemon.call(&["resume"]).expect_code(0).stdout;
    assert!(resume.contains("frozen until Monday"), "{resume}");
    assert_eq!(daemon.call(&["resume", "--json"]).expect_code(0).json()["paused"], false);
}

#[test]
fn without_the_daemon_nothing_is_planned_or_applied() {
    for command in
        [&["plan"][..], &["apply"], &["apply", "--follow", "r"], &["stop", "r"], &["pause"], &["resume"]]
    {
        patchctl(["--socket", "/nonexistent/patchd.sock"].iter().chain(command)).expect_code(5);
    }
}
