//! The event stream of a run as clients meet it: from any place on, slow, many, and at a stop.

use std::time::Duration;

use patchd_core::run::RunId;
use patchd_protocol::control::RunOutcome;
use patchd_protocol::control::events::{HEARTBEAT_SECONDS, RunEvent, RunProgress};
use patchd_protocol::executor::ProgressWire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::server::{Following, Server, nobody_else, request};

/// Begins an apply, which takes until the test gives it up.
async fn begin(server: &Server) -> String {
    let started = server.post("/v1/runs", r#"{"operation":"apply"}"#).await.json();
    started["run"]["id"].as_str().unwrap().to_owned()
}

fn note(server: &Server, run: &str, text: &str) {
    server.live.progress(&RunId::parse(run).unwrap(), &ProgressWire::Note { text: text.into() });
}

fn moves(following: &Following) -> Vec<(u64, String)> {
    let moved = |(id, event)| match event {
        RunEvent::Moved(moved) => {
            assert_eq!(id, Some(moved.sequence));
            Some((moved.sequence, moved.text))
        }
        _ => None,
    };
    following.events().into_iter().filter_map(moved).collect()
}

#[tokio::test]
async fn a_run_is_followed_from_its_beginning_to_its_end() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut following = Following::open(&server, &run, None).await;
    following.read_until("the run begins").await;
    note(&server, "another", "not for you");
    note(&server, &run, "a note");
    following.read_until("a note").await;
    server.give_up_work().await;
    following.read_until("nothing ends it but its end").await;
    let told = moves(&following);
    assert_eq!(told[0].1, "the run begins");
    assert!(1 < told.len() && told.is_sorted(), "{told:?}");
    let events = following.events();
    let notes: Vec<_> = events.iter().filter(|(_, event)| matches!(event, RunEvent::Progress(_))).collect();
    let expected = RunEvent::Progress(RunProgress::Note { text: "a note".into() });
    assert_eq!(notes, [&(None, expected)]);
    let Some((None, RunEvent::Concluded(summary))) = events.last() else { panic!("{events:?}") };
    assert_eq!((summary.id.as_str(), summary.verdict), (run.as_str(), Some(RunOutcome::Failed)));

    // The same again, and from each place on.
    for (place, (last, _)) in told.iter().enumerate() {
        let mut again = Following::open(&server, &run, Some(*last)).await;
        again.read_until("nothing ends it but its end").await;
        assert_eq!(moves(&again), told[place + 1..]);
        assert!(matches!(again.events().last(), Some((None, RunEvent::Concluded(_)))));
    }
}

#[tokio::test]
async fn a_slow_client_loses_progress_and_no_moves() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut slow = Following::open(&server, &run, None).await;
    slow.read_until("the run begins").await;
    for _ in 0..5 {
        for _ in 0..2_000 {
            note(&server, &run, &"x".repeat(200));
        }
        tokio::task::yield_now().await;
    }
    server.give_up_work().await;
    slow.read_until("nothing ends it but its end").await;
    let mut whole = Following::open(&server, &run, None).await;
    whole.read_until("nothing ends it but its end").await;
    assert_eq!(moves(&slow), moves(&whole));
    let notes = slow.text.matches("event: progress").count();
    assert!(notes < 10_000, "{notes}");
}

#[tokio::test]
async fn who_hears_nothing_hears_a_heartbeat_for_as_long_as_the_run_takes() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut following = Following::open(&server, &run, None).await;
    following.read_until("the run begins").await;
    tokio::time::pause();
    let begin = Instant::now();
    for _ in 0..30 {
        following.text.clear();
        following.read_until(": patchd is there").await;
    }
    let passed = begin.elapsed().as_secs();
    assert!((29 * HEARTBEAT_SECONDS..=31 * HEARTBEAT_SECONDS).contains(&passed), "{passed}");
}

#[tokio::test]
async fn a_stop_ends_the_streams_in_time() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut following = Following::open(&server, &run, None).await;
    following.read_until("the run begins").await;
    let begin = Instant::now();
    server.stop.cancel();
    following.read_until("nothing ends it but its end").await;
    server.handle.stopped().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(!following.text.contains("event: concluded"), "the run is not over");
}

#[tokio::test]
async fn too_many_followers_are_sent_away_and_keep_nobody_else_out() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut all = Vec::new();
    for _ in 0..super::super::FOLLOWING_TRUSTED {
        all.push(Following::open(&server, &run, None).await);
    }
    let reply = server.get(&format!("/v1/runs/{run}/events")).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (503, "too-many-followers"));
    assert_eq!(server.get("/v1/status").await.status, 200);
    all.pop();
    // Its connection ends when the server notices.
    while server.get(&format!("/v1/runs/{run}/none")).await.status != 404 {}
    loop {
        let mut asked = request("HEAD", &format!("/v1/runs/{run}/events"), "");
        asked.headers_mut().insert("connection", "close".parse().unwrap());
        if server.ask(asked).await.status == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn a_follower_that_reads_nothing_is_left() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    let asked = format!("GET /v1/runs/{run}/events HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    for _ in 0..20_000 {
        note(&server, &run, &"x".repeat(300));
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(200)).await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the server waited for ever");
}

#[tokio::test]
async fn what_can_not_be_followed_is_told() {
    let server = Server::start(nobody_else()).await;
    let run = begin(&server).await;
    let mut asked = request("GET", &format!("/v1/runs/{run}/events"), "");
    asked.headers_mut().insert("last-event-id", "the last".parse().unwrap());
    assert_eq!(server.ask(asked).await.problem(), "bad-request");
    assert_eq!(server.get("/v1/runs/none/events").await.problem(), "not-found");
}
