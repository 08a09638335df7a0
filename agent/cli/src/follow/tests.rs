//! Streams that break, fall silent, lie or are not there, from a daemon in this process. Time is paused: five minutes
//! pass at once.

use std::path::PathBuf;

use patchd_protocol::control::events::{RunMoved, RunProgress};
use patchd_protocol::control::{RunOutcome, RunTrigger};
use patchd_protocol::report::native::OperationWire;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::*;
use crate::live::tests::{live, moved};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
const NOT_FOUND: &str = "HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n";
const AWAY: &str = "patchctl: patchd is restarting, still waiting\n";

/// What the daemon does with one connection.
enum Turn {
    /// Answers with these bytes and hangs up.
    Say(String),
    /// Answers with these bytes and then with nothing more.
    Hang(String),
    /// The socket goes away for so long before the next turn.
    Away(Duration),
}

fn summary(phase: RunPhase) -> RunSummary {
    let verdict = (phase == RunPhase::Concluded).then_some(RunOutcome::Succeeded);
    RunSummary {
        id: "r".into(),
        operation: OperationWire::Apply,
        dry_run: false,
        trigger: RunTrigger::Schedule,
        phase,
        requested_at: "2026-11-23T14:00:00Z".parse().unwrap(),
        concluded_at: None,
        verdict,
        detail: None,
        report: None,
        compliance: None,
    }
}

fn event(event: &RunEvent) -> String {
    let id = match event {
        RunEvent::Moved(moved) => format!("id: {}\n", moved.sequence),
        _ => String::new(),
    };
    format!("event: {}\n{id}data: {}\n\n", event.name(), serde_json::to_string(event).unwrap())
}

fn step(sequence: u64) -> String {
    event(&RunEvent::Moved(RunMoved { ..moved(sequence, RunPhase::Applying, &format!("move {sequence}")) }))
}

fn end() -> String {
    event(&RunEvent::Concluded(summary(RunPhase::Concluded)))
}

fn document(phase: RunPhase) -> String {
    let mut run = serde_json::to_value(summary(phase)).unwrap();
    let more = json!({"schema": "patchd.run/1", "gates": [], "transactions": [], "journal": []});
    run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let body = run.to_string();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Serves the turns, one a connection, and gives the requests that it read.
fn serve(socket: PathBuf, turns: Vec<Turn>) -> JoinHandle<Vec<String>> {
    let first = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        let mut listener = Some(first);
        let mut requests = Vec::new();
        let mut hanging = Vec::new();
        for turn in turns {
            if let Turn::Away(time) = turn {
                listener = None;
                std::fs::remove_file(&socket).unwrap();
                sleep(time).await;
                continue;
            }
            let (stream, _) =
                listener.get_or_insert_with(|| UnixListener::bind(&socket).unwrap()).accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            requests.push(read_head(&mut stream).await);
            match turn {
                Turn::Say(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                Turn::Hang(text) => {
                    stream.write_all(text.as_bytes()).await.unwrap();
                    hanging.push(stream);
                }
                Turn::Away(_) => {}
            }
        }
        requests
    })
}

/// The path that is asked for, and the event id that is come back with.
async fn read_head(stream: &mut BufReader<UnixStream>) -> String {
    let mut head = String::new();
    let mut text = String::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        match line.trim_end() {
            "" => return text,
            first if head.is_empty() => {
                text.push_str(first.trim_start_matches("GET /v1/runs/").trim_end_matches(" HTTP/1.1"));
                first.clone_into(&mut head);
            }
            other => {
                text.extend(other.strip_prefix("last-event-id: ").map(|id| format!(" after {id}")));
            }
        }
    }
}

struct Told {
    outcome: Result<RunSummary, Failure>,
    log: String,
    requests: Vec<String>,
}

async fn run(turns: Vec<Turn>) -> Told {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("patchd.sock");
    let daemon = Daemon::new(&socket);
    let server = serve(socket, turns);
    let (mut live, log) = live();
    let outcome = follow(&daemon, "r", &mut live).await;
    let requests = if outcome.is_ok() { server.await.unwrap() } else { Vec::new() };
    Told { outcome, log: log.text(), requests }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_followed_to_its_end() {
    let heartbeat = ": hello\n\n".to_owned();
    let progress = event(&RunEvent::Progress(RunProgress::Note { text: "a note".into() }));
    let unknown = "event: later\ndata: {\"later\":1}\n\nevent: moved\ndata: nonsense\n\n".to_owned();
    let told =
        run(vec![Turn::Say([HEAD.into(), step(1), heartbeat, progress, unknown, step(2), end()].concat())])
            .await;
    assert_eq!(told.outcome.unwrap(), summary(RunPhase::Concluded));
    assert_eq!(told.log, "14:02:00  move 1\n          a note\n14:02:00  move 2\n");
    assert_eq!(told.requests, ["r/events"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_goes_on_where_it_was() {
    let told = run(vec![
        Turn::Say([HEAD.into(), step(1), step(2), "event: moved\nda".into()].concat()),
        Turn::Say([HEAD.into(), step(2), step(3)].concat()),
        Turn::Say([HEAD.into(), end()].concat()),
    ])
    .await;
    told.outcome.unwrap();
    assert_eq!(told.log, "14:02:00  move 1\n14:02:00  move 2\n14:02:00  move 3\n");
    assert_eq!(told.requests, ["r/events", "r/events after 2", "r/events after 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_waited_out_and_told_once() {
    let told = run(vec![
        Turn::Say([HEAD.into(), step(1)].concat()),
        Turn::Away(Duration::from_secs(280)),
        Turn::Say("HTTP/1.1 503 x\r\ncontent-length: 0\r\n\r\n".into()),
        Turn::Say([HEAD.into(), step(2), end()].concat()),
    ])
    .await;
    told.outcome.unwrap();
    assert_eq!(told.log, format!("14:02:00  move 1\n{AWAY}14:02:00  move 2\n"));
    assert_eq!(told.requests, ["r/events", "r/events after 1", "r/events after 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_stays_away_is_given_up_after_five_minutes() {
    let before = Instant::now();
    let told =
        run(vec![Turn::Say([HEAD.into(), step(1)].concat()), Turn::Away(Duration::from_secs(3600))]).await;
    let failure = told.outcome.unwrap_err();
    assert_eq!(failure.exit, Exit::NoDaemon);
    assert!(failure.to_string().contains("`patchctl apply --follow r` waits again"), "{failure}");
    assert_eq!(before.elapsed().as_secs(), PATIENCE.as_secs());
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_loss_and_a_heartbeat_is_none() {
    let before = Instant::now();
    let told = run(vec![
        Turn::Hang([HEAD.into(), step(1)].concat()),
        // Its head never comes.
        Turn::Hang(String::new()),
        Turn::Say([HEAD.into(), end()].concat()),
    ])
    .await;
    told.outcome.unwrap();
    assert_eq!(told.log, format!("14:02:00  move 1\n{AWAY}"));
    assert_eq!(before.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_says_nothing_is_asked_about_by_other_means() {
    let told = run(vec![
        Turn::Say(HEAD.into()),
        Turn::Say(document(RunPhase::Applying)),
        Turn::Say([HEAD, ": hello\n\n"].concat()),
        Turn::Say(document(RunPhase::Concluded)),
    ])
    .await;
    assert_eq!(told.outcome.unwrap(), summary(RunPhase::Concluded));
    assert_eq!(told.requests, ["r/events", "r", "r/events", "r"]);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_without_streams_is_asked_again_and_again() {
    let told = run(vec![
        Turn::Say(NOT_FOUND.into()),
        Turn::Say(document(RunPhase::Queued)),
        Turn::Say(document(RunPhase::Assessing)),
        Turn::Say(document(RunPhase::Assessing)),
        Turn::Away(Duration::from_secs(60)),
        Turn::Say(document(RunPhase::Reporting)),
        Turn::Say(document(RunPhase::Concluded)),
    ])
    .await;
    told.outcome.unwrap();
    let blank = " ".repeat(10);
    assert_eq!(
        told.log,
        format!("{blank}waiting its turn\n{blank}looking at the host\n{AWAY}{blank}writing the report\n")
    );
}

#[tokio::test(start_paused = true)]
async fn where_too_many_follow_the_run_is_asked_about() {
    let body = r#"{"type":"urn:patchd:problem:too-many-followers","title":"t","status":503,"detail":"d"}"#;
    let crowded = format!("HTTP/1.1 503 x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let told = run(vec![Turn::Say(crowded), Turn::Say(document(RunPhase::Concluded))]).await;
    told.outcome.unwrap();
    assert_eq!((told.log.as_str(), told.requests.len()), ("", 2));
}

#[tokio::test(start_paused = true)]
async fn what_will_not_pass_is_a_failure_at_once() {
    let told = run(vec![Turn::Say(NOT_FOUND.into()), Turn::Say(NOT_FOUND.into())]).await;
    assert_eq!(told.outcome.unwrap_err().exit, Exit::NotFound);
    let forbidden = "HTTP/1.1 403 x\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(run(vec![Turn::Say(forbidden.into())]).await.outcome.unwrap_err().exit, Exit::Refused);
    let other = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(run(vec![Turn::Say(other.into())]).await.outcome.unwrap_err().exit, Exit::Failed);
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_no_way_to_fill_the_memory() {
    let endless = [HEAD, "data: ", &"a".repeat(crate::sse::MAX_LINE)].concat();
    let told = run(vec![
        Turn::Say(endless),
        Turn::Say(document(RunPhase::Applying)),
        Turn::Say([HEAD.into(), end()].concat()),
    ])
    .await;
    told.outcome.unwrap();
}
