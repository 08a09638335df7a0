//! Clients that send what is no request, too much of one, or too slowly; and many at once.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use patchd_host::durable;
use patchd_protocol::control::MAX_REQUEST_BODY;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::server::{Server, nobody_else, request};

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_server_goes_on() {
    let server = Server::start(nobody_else()).await;
    let long_field = format!("GET /v1/status HTTP/1.1\r\nhost: patchd\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_fields = format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: patchd\r\n\r\n", "x".repeat(1 << 20));
    let cases: [(&[u8], &str); 8] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is how TLS begins\r\n\r\n", "400"),
        (&[0xff; 70_000], "400"),
        (b"GET /v1/status HTTP/9.9\r\n\r\n", "400"),
        (b"GET\r\n\r\n", "400"),
        (b"POST /v1/runs HTTP/1.1\r\nhost: patchd\r\ncontent-length: -1\r\n\r\n", "400"),
        (long_field.as_bytes(), "431"),
        (many_fields.as_bytes(), "431"),
        (long_path.as_bytes(), "41"),
    ];
    for (bytes, status) in cases {
        let answer = server.send(bytes).await;
        let what = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let is_refused =
            answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with("HTTP/1.1 431");
        assert!(is_refused || answer.is_empty(), "{what:?} gave {answer:?}");
        assert!(!answer.starts_with("HTTP/1.1 2"), "{what:?} gave {answer:?}");
    }
    assert_eq!(server.get("/v1/status").await.status, 200);
}

const WRONG_DIGEST: &str = r#"{"operation":"apply","plan":{"digest":"d","changes":[{"name":"one","architecture":"amd64","from":"1","to":"2"}]}}"#;

#[tokio::test]
async fn a_body_is_checked_before_anything_begins() {
    let server = Server::start(nobody_else()).await;
    let cases = [
        ("", "bad-request"),
        ("null", "bad-request"),
        ("{}", "bad-request"),
        (r#"{"operation":"format"}"#, "bad-request"),
        (r#"{"operation":"scan","force":true}"#, "bad-request"),
        (r#"{"operation":"scan","operation":"apply"}"#, "bad-request"),
        (r#"{"operation":"scan"}}"#, "bad-request"),
        ("{\"operation\":\"scan\u{0}\"}", "bad-request"),
        (r#"{"operation":"scan","dry_run":true}"#, "bad-request"),
        (r#"{"operation":"scan","plan":{"digest":"d","changes":[]}}"#, "bad-request"),
        (r#"{"operation":"apply","plan":{"digest":"d","changes":[]}}"#, "bad-request"),
        (WRONG_DIGEST, "bad-request"),
    ];
    for (body, expected) in cases {
        let reply = server.post("/v1/runs", body).await;
        assert_eq!(reply.problem(), expected, "{body:?}");
    }
    let changed = server.post("/v1/runs", WRONG_DIGEST).await.json();
    assert!(changed["detail"].as_str().unwrap().contains("it was changed after it was made"), "{changed}");
    let unknown = server.post("/v1/runs", r#"{"operation":"scan","force":true}"#).await.json();
    assert!(unknown["detail"].as_str().unwrap().contains("unknown field `force`"), "{unknown}");
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
        let mut asked = request("POST", "/v1/runs", r#"{"operation":"scan"}"#);
        asked.headers_mut().insert("content-type", media_type.parse().unwrap());
        assert_eq!(server.ask(asked).await.problem(), "unsupported-media-type", "{media_type:?}");
    }
    assert_eq!(server.get("/v1/runs").await.json()["runs"].as_array().unwrap().len(), started(&server).await);
    let mut asked = request("POST", "/v1/runs", r#"{"operation":"scan"}"#);
    asked.headers_mut().insert("content-type", "Application/JSON; charset=utf-8".parse().unwrap());
    assert!(server.ask(asked).await.status.is_success());
}

/// How many runs the agent itself has begun.
async fn started(server: &Server) -> usize {
    usize::from(server.get("/v1/status").await.json()["running"].is_object())
}

#[tokio::test]
async fn a_giant_body_is_refused_whether_it_says_its_length_or_not() {
    let server = Server::start(nobody_else()).await;
    let head =
        "POST /v1/runs HTTP/1.1\r\nhost: patchd\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let length = MAX_REQUEST_BODY + 1;
    let told = format!("{head}content-length: {length}\r\n\r\n{}", " ".repeat(length));
    let chunks = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(17);
    let untold = format!("{head}transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for bytes in [told, untold] {
        let answer = server.send(bytes.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("urn:patchd:problem:body-too-large"), "{answer}");
    }
}

#[tokio::test]
async fn a_slow_client_is_left_and_the_others_are_not_kept_waiting() {
    let server = Server::start(nobody_else()).await;
    let mut slow = Vec::new();
    for head in [
        "",
        "GET /v1/sta",
        "POST /v1/runs HTTP/1.1\r\nhost: patchd\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = UnixStream::connect(&server.socket).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    assert_eq!(server.get("/v1/status").await.status, 200);
    // From here on time goes as fast as the server waits for it.
    tokio::time::pause();
    let begin = Instant::now();
    for mut stream in slow {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(90), stream.read_to_end(&mut answer));
        let _ = read.await.expect("a slow client was never left");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(begin.elapsed() < Duration::from_secs(61), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_connection_is_used_again_and_not_for_ever() {
    let server = Server::start(nobody_else()).await;
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /v1/runs/none HTTP/1.1\r\nhost: patchd\r\n\r\n").await.unwrap();
        let mut piece = vec![0; 4096];
        let length = stream.read(&mut piece).await.unwrap();
        assert!(piece[..length].starts_with(b"HTTP/1.1 404"));
    }
    tokio::time::pause();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(90), stream.read_to_end(&mut rest));
    read.await.expect("an idle connection stays open").unwrap();
}

#[tokio::test]
async fn many_clients_at_once_are_all_answered() {
    let server = Server::start(nobody_else()).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let socket = server.socket.clone();
        asked.spawn(async move {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            stream
                .write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.starts_with("HTTP/1.1 200 OK")
        });
    }
    assert!(asked.join_all().await.into_iter().all(|is_answered| is_answered));
}

/// A report that no socket holds at once, and how long it is unpacked.
fn keep_large(server: &Server) -> usize {
    let content = vec![b' '; 8 << 20];
    let mut stream = GzEncoder::new(Vec::new(), Compression::fast());
    stream.write_all(&content).unwrap();
    let reports = server.directory.path().join("documents/reports");
    durable::create_directories(&reports, 0o755).unwrap();
    durable::atomic_write(&reports.join("large.json.gz"), &stream.finish().unwrap(), 0o644).unwrap();
    content.len()
}

/// Asks for the large report and reads the first of it.
async fn ask_large(server: &Server) -> UnixStream {
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    stream.write_all(b"GET /v1/reports/large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut begin = [0; 15];
    stream.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200 OK");
    stream
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_left() {
    let server = Server::start(nobody_else()).await;
    let length = keep_large(&server);
    let mut stream = ask_large(&server).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.len() < length, "the server waited for ever");
}

#[tokio::test]
async fn an_answer_that_has_begun_is_finished_at_a_stop() {
    let server = Server::start(nobody_else()).await;
    let length = keep_large(&server);
    let mut stream = ask_large(&server).await;
    server.stop.cancel();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(length < rest.len() && rest.ends_with(b"0\r\n\r\n"), "{} bytes came", rest.len());
    server.handle.stopped().await;
}

#[tokio::test]
async fn a_stop_ends_everything_in_time_and_takes_the_socket_away() {
    let server = Server::start(nobody_else()).await;
    let mut silent = UnixStream::connect(&server.socket).await.unwrap();
    let mut half = UnixStream::connect(&server.socket).await.unwrap();
    half.write_all(
        b"POST /v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n",
    )
    .await
    .unwrap();
    assert_eq!(server.get("/v1/status").await.status, 200);
    let begin = Instant::now();
    server.stop.cancel();
    server.handle.stopped().await;
    assert!(begin.elapsed() < Duration::from_millis(1_500), "{:?}", begin.elapsed());
    assert!(!server.socket.exists());
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    }
}
