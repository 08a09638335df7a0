//! Every documented path is asked for, and what it answers is held against what the document says of it.

use std::io::Read;

use flate2::read::GzDecoder;
use patchd_core::run::RunState;
use patchd_core::run::event::Event;
use patchd_host::durable;
use patchd_protocol::control::events::EVENT_STREAM;
use patchd_protocol::report::native::ReportDocument;
use serde_json::{Value, json};

use super::sample;
use super::server::{Reply, Server, nobody_else, request};
use crate::control::openapi;
use crate::journal::Move;

/// Set it to anything, run these tests once, and docs/openapi.json is written anew.
const WRITE: &str = "PATCHD_WRITE_SCHEMAS";

const REPORT: &str = "20261123T060000Z-0001";

fn keep(server: &Server) -> ReportDocument {
    let report = sample::report(REPORT);
    let document = ReportDocument::from(&report);
    server.keep(&report, &document);
    document
}

/// Writes the plan that a dry run would leave.
async fn keep_plan(server: &Server) {
    let (run, plan) = sample::planned("planned");
    let now = jiff::Timestamp::UNIX_EPOCH;
    let order = run.order.clone();
    let moved =
        Move { event: Event::Started, after: RunState::new(order), effects: vec![], plan: Some(plan) };
    server
        .journal
        .with(move |journal| {
            journal.begin(&run, now)?;
            journal.append(&moved, now)
        })
        .await
        .unwrap();
}

/// Holds a reply against the document: the path and the method are in it, with this status and a body like this one.
#[track_caller]
fn check_documented(method: &str, path: &str, reply: &Reply) {
    let document = openapi::document();
    let status = reply.status.as_u16();
    let media_type = reply.headers["content-type"].to_str().unwrap();
    let schema =
        &document["paths"][path][method]["responses"][status.to_string()]["content"][media_type]["schema"];
    assert!(schema.is_object(), "{method} {path} is not documented to answer {status} with {media_type}");
    let schema = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
    // Of events, the last one stands for all.
    let body = match media_type {
        EVENT_STREAM => {
            let text = String::from_utf8_lossy(&reply.body);
            serde_json::from_str(
                text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap(),
            )
            .unwrap()
        }
        _ => reply.json(),
    };
    let errors: Vec<_> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{method} {path}: {errors:#?} in {body:#}");
}

#[test]
fn the_published_document_is_what_the_types_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let expected = format!("{:#}\n", openapi::document());
    if std::env::var_os(WRITE).is_some() {
        #[expect(clippy::disallowed_methods, reason = "a developer's tool, in a source tree under git")]
        std::fs::write(path, &expected).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == expected,
        "docs/openapi.json is stale: run `{WRITE}=1 cargo test -p patchd` and commit what it wrote"
    );
}

#[tokio::test]
async fn every_documented_path_answers_as_it_is_documented() {
    let server = Server::start(nobody_else()).await;
    let mut asked: Vec<(&str, &str)> = Vec::new();
    let mut check = |method, path, status: u16, reply: &Reply| {
        assert_eq!(reply.status.as_u16(), status, "{method} {path}: {:?}", reply.body);
        check_documented(method, path, reply);
        asked.push((method, path));
    };

    check("get", "/v1/compliance", 404, &server.get("/v1/compliance").await);
    check("get", "/v1/updates", 404, &server.get("/v1/updates").await);
    check("get", "/v1/inventory", 404, &server.get("/v1/inventory").await);
    keep(&server);
    check("get", "/v1/compliance", 200, &server.get("/v1/compliance").await);
    check("get", "/v1/updates", 200, &server.get("/v1/updates").await);
    check("get", "/v1/inventory", 200, &server.get("/v1/inventory").await);
    check("get", "/v1/status", 200, &server.get("/v1/status").await);
    check("get", "/v1/health", 200, &server.get("/v1/health").await);
    check("get", "/v1/doctor", 200, &server.get("/v1/doctor").await);
    check("get", "/v1/windows", 200, &server.get("/v1/windows").await);
    check("get", "/v1/openapi.json", 200, &server.get("/v1/openapi.json").await);
    check("get", "/v1/reports/{id}", 200, &server.get(&format!("/v1/reports/{REPORT}")).await);
    check("get", "/v1/reports/{id}", 404, &server.get("/v1/reports/20261123T060000Z-0002").await);

    let paused = server.post("/v1/pause", "").await;
    check("post", "/v1/pause", 200, &paused);
    assert_eq!(paused.json()["paused"], true);
    let resumed = server.post("/v1/resume", "").await;
    check("post", "/v1/resume", 200, &resumed);
    assert_eq!(resumed.json()["paused"], false);

    let started = server.post("/v1/runs", r#"{"operation":"apply"}"#).await;
    check("post", "/v1/runs", 202, &started);
    let id = started.json()["run"]["id"].as_str().unwrap().to_owned();
    let second = server.post("/v1/runs", r#"{"operation":"scan"}"#).await;
    check("post", "/v1/runs", 200, &second);
    assert_eq!(second.json()["run"]["id"], id.as_str(), "it is the one that was under way");
    check("post", "/v1/runs", 400, &server.post("/v1/runs", "scan").await);
    check("get", "/v1/runs", 200, &server.get("/v1/runs").await);
    let run = server.get(&format!("/v1/runs/{id}")).await;
    check("get", "/v1/runs/{id}", 200, &run);
    assert_eq!(run.json()["trigger"]["request"]["uid"], nix::unistd::getuid().as_raw());
    check("get", "/v1/runs/{id}", 404, &server.get("/v1/runs/none").await);
    check("post", "/v1/runs/{id}/stop", 404, &server.post("/v1/runs/none/stop", "").await);
    let stop = format!("/v1/runs/{id}/stop");
    check("post", "/v1/runs/{id}/stop", 202, &server.post(&stop, "").await);
    server.give_up_work().await;
    check("post", "/v1/runs/{id}/stop", 409, &server.post(&stop, "").await);
    check("get", "/v1/runs/{id}/events", 200, &server.get(&format!("/v1/runs/{id}/events")).await);
    check("get", "/v1/runs/{id}/events", 404, &server.get("/v1/runs/none/events").await);
    check("get", "/v1/plan", 404, &server.get("/v1/plan").await);
    check("get", "/v1/runs/{id}/plan", 404, &server.get(&format!("/v1/runs/{id}/plan")).await);
    check("get", "/v1/runs/{id}/plan", 404, &server.get("/v1/runs/none/plan").await);
    keep_plan(&server).await;
    check("get", "/v1/plan", 200, &server.get("/v1/plan").await);
    check("get", "/v1/runs/{id}/plan", 200, &server.get("/v1/runs/planned/plan").await);

    let document = openapi::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            assert!(asked.contains(&(method, path)), "{method} {path} is documented and was not asked for");
        }
    }
}

#[tokio::test]
async fn what_is_not_documented_is_not_there() {
    let server = Server::start(nobody_else()).await;
    let absent = [
        "/",
        "/v1",
        "/v1/",
        "/v2/status",
        "/status",
        "/v1/status/",
        "/v1//status",
        "/v1/STATUS",
        "/v1/config",
        "/v1/events",
        "/v1/explain/bash",
        "/v1/metrics",
        "/v1/nothing",
        "/v1/runs/",
        "/v1/runs/a/b",
        "/v1/runs/a/event",
        "/v1/plans",
        "/v1/reports",
        "/v1/reports/",
        "/v1/reports/../status",
        "/v1/reports/%2e%2e%2fstatus",
        "/v1/reports/%00",
        "/v1/reports/%ff",
        "/v1/rollback/a",
        "/v1/stop",
        "/favicon.ico",
    ];
    for path in absent {
        let reply = server.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (404, "not-found"), "{path}");
    }
    let document = openapi::document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FETCH"] {
            if methods.get(method.to_lowercase()).is_none() {
                let reply = server.ask(request(method, path, "")).await;
                assert_eq!(reply.status.as_u16(), 405, "{method} {path}");
                assert_eq!(reply.problem(), "method-not-allowed", "{method} {path}");
                assert!(reply.headers.contains_key("allow"), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_report_goes_out_as_it_lies_or_unpacked() {
    let server = Server::start(nobody_else()).await;
    let report = keep(&server);
    let path = format!("/v1/reports/{REPORT}");
    let plain = server.get(&path).await;
    assert!(!plain.headers.contains_key("content-encoding"));
    assert_eq!(plain.json(), serde_json::to_value(&report).unwrap());

    let mut asked = request("GET", &path, "");
    asked.headers_mut().insert("accept-encoding", "gzip, br".parse().unwrap());
    let packed = server.ask(asked).await;
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert_eq!(packed.headers["vary"], "accept-encoding");
    let on_disk =
        std::fs::read(server.directory.path().join(format!("documents/reports/{REPORT}.json.gz"))).unwrap();
    assert_eq!(packed.body, on_disk);
    let mut unpacked = String::new();
    GzDecoder::new(&packed.body[..]).read_to_string(&mut unpacked).unwrap();
    assert_eq!(plain.body, unpacked);
}

#[tokio::test]
async fn the_lists_say_what_the_report_says() {
    let server = Server::start(nobody_else()).await;
    let report = serde_json::to_value(keep(&server)).unwrap();
    let compliance = server.get("/v1/compliance").await.json();
    let updates = server.get("/v1/updates").await.json();
    let pairs: [(&Value, &str); 8] = [
        (&compliance, "items"),
        (&compliance, "summary"),
        (&compliance, "assessment"),
        (&compliance, "baseline"),
        (&compliance, "assessment_reasons"),
        (&updates, "updates"),
        (&updates, "new_packages"),
        (&updates, "problems"),
    ];
    for (document, field) in pairs {
        assert_eq!(document[field], report[field], "{field}");
    }
    assert_eq!(compliance["report"], REPORT);
    assert_eq!(compliance["assessed_at"], report["started_at"]);
    assert_eq!(server.get("/v1/inventory").await.json()["packages"][0]["name"], "one");
}

#[tokio::test]
async fn what_lacks_a_report_says_when_one_comes() {
    let server = Server::start(nobody_else()).await;
    let reply = server.get("/v1/compliance").await;
    assert_eq!(reply.problem(), "no-report");
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the next scan begins at 2026-11-24T06:"), "{detail}");
    server.post("/v1/runs", r#"{"operation":"scan"}"#).await;
    let detail = server.get("/v1/compliance").await.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("is under way"), "{detail}");
}

#[tokio::test]
async fn a_damaged_document_is_no_empty_list() {
    let server = Server::start(nobody_else()).await;
    keep(&server);
    let path = server.directory.path().join("documents/updates.json.gz");
    let whole = std::fs::read(&path).unwrap();
    durable::atomic_write(&path, &whole[..whole.len() / 2], 0o644).unwrap();
    let answer = server.send(b"GET /v1/updates HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!answer.ends_with("0\r\n\r\n"), "it looks whole: {answer}");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let reply = server.get("/v1/updates").await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (500, "internal"));
}
