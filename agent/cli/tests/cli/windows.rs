//! `patchctl windows`: the times of a schedule, what is open or shut, and what is wrong with one.

use serde_json::{Value, json};

use crate::root::HostRoot;
use crate::{check_schema, patchctl};

fn windows(arguments: &[&str]) -> Value {
    patchctl([&["windows", "--json"], arguments].concat()).expect_code(0).json()
}

fn starts(document: &Value) -> Vec<&str> {
    document["windows"].as_array().unwrap().iter().map(|window| window["start"].as_str().unwrap()).collect()
}

#[test]
fn a_schedule_is_shown_with_its_next_windows() {
    let third_thursday = "cron(0 2 ? * THU#3 *)";
    let from = ["--from", "2026-12-01T00:00:00Z", "--count", "1"];
    let asked = ["--schedule", third_thursday, "--timezone", "UTC", "--duration", "3h", "--cutoff", "1h"];
    let outcome = patchctl([&["windows", "--json"], &asked[..], &from].concat()).expect_code(0);
    assert_eq!(
        outcome.stdout,
        "{\"schema\":\"patchd.windows/1\",\"windows\":[{\"start\":\"2026-12-17T02:00:00Z\",\
         \"cutoff\":\"2026-12-17T04:00:00Z\",\"end\":\"2026-12-17T05:00:00Z\"}]}\n"
    );
    let document = windows(&["--schedule", third_thursday, "--from", "2026-12-01T00:00:00Z", "--count", "3"]);
    assert_eq!(starts(&document), ["2026-12-17T02:00:00Z", "2027-01-21T02:00:00Z", "2027-02-18T02:00:00Z"]);
    assert_eq!(document["windows"][0]["end"], "2026-12-17T02:00:00Z", "nobody said how long it lasts");

    let once = windows(&["--schedule", "at(2020-07-07T15:55:00)", "--from", "2020-07-01T00:00:00Z"]);
    assert_eq!(starts(&once), ["2020-07-07T15:55:00Z"]);
}

#[test]
fn what_a_schedule_counts_from_is_its_start_or_from() {
    let offset = ["--schedule", "cron(30 23 ? * TUE#3 *)", "--offset", "2", "--count", "1"];
    let from = |from| windows(&[&offset[..], &["--from", from]].concat());
    assert_eq!(starts(&from("2026-12-01T00:00:00Z")), ["2026-12-17T23:30:00Z"]);
    assert_eq!(starts(&from("2026-12-16T00:00:00Z")), ["2027-01-21T23:30:00Z"]);

    let rate = ["--schedule", "rate(5 hours)", "--count", "2"];
    let alone = windows(&[&rate[..], &["--from", "2026-12-01T00:07:00Z"]].concat());
    assert_eq!(starts(&alone), ["2026-12-01T05:07:00Z", "2026-12-01T10:07:00Z"]);
    let from = ["--from", "2026-12-01T00:07:00Z", "--start", "2026-12-01T01:00:00+01:00"];
    assert_eq!(
        starts(&windows(&[&rate[..], &from].concat())),
        ["2026-12-01T05:00:00Z", "2026-12-01T10:00:00Z"]
    );
}

#[test]
fn open_or_shut_is_told_with_its_reason() {
    let asked = ["--schedule", "daily 10:00 +3h", "--cutoff", "1h", "--at"];
    let at = |at| windows(&[&asked[..], &[at]].concat())["at"].clone();
    let open = at("2026-11-23T11:59:59Z");
    assert_eq!((&open["open"], &open["windows"]), (&json!(true), &json!("open")));
    assert_eq!(open["because"], "a change may start until the cutoff at 2026-11-23T12:00:00Z");
    let late = at("2026-11-23T12:00:00Z");
    assert_eq!((&late["open"], &late["windows"]), (&json!(false), &json!("shut")));
    let because = "the cutoff was at 2026-11-23T12:00:00Z; the next opens at 2026-11-24T10:00:00Z";
    assert_eq!(late["because"], because);
    assert_eq!(
        at("2026-11-23T09:00:00Z")["because"],
        "no window is open; the next opens at 2026-11-23T10:00:00Z"
    );
}

#[test]
fn the_configuration_is_shown_and_a_freeze_shuts_what_is_open() {
    let root = HostRoot::empty();
    let config = "[[window]]\nname = \"night\"\nschedule = \"cron(0 22 ? * * *)\"\ntimezone = \"Europe/Berlin\"\n\
                  duration = \"6h\"\n[[freeze]]\nname = \"fair\"\nfrom = 2026-11-24T00:00:00Z\n\
                  until = 2026-11-25T00:00:00Z\nreason = \"trade fair\"\n";
    root.put("etc/patchd/patchd.toml", config.as_bytes());
    let here = ["--config-root", root.path().to_str().unwrap(), "--at"];
    let open = windows(&[&here[..], &["2026-11-23T23:00:00Z"]].concat());
    assert_eq!(open["at"]["open"], true);
    assert_eq!(open["at"]["window"]["name"], "night");
    assert_eq!(open["windows"][0]["start"], "2026-11-24T21:00:00Z");
    assert_eq!(open["configured"]["windows"][0]["timezone"], "Europe/Berlin");
    check_schema("patchd.windows.v1.schema.json", &open);
    let frozen = windows(&[&here[..], &["2026-11-24T01:00:00Z"]].concat());
    assert_eq!(frozen["at"]["open"], false);
    assert_eq!(frozen["at"]["windows"], "open");
    assert_eq!(
        frozen["at"]["because"],
        "changes are frozen until 2026-11-25T00:00:00Z: trade fair (\"fair\")"
    );

    let shown = patchctl([&["windows"], &here[..], &["2026-11-24T01:00:00Z"]].concat()).expect_code(0).stdout;
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some("shut at 2026-11-24 01:00 UTC"));
    assert!(shown.contains("window night: cron(0 22 ? * * *) in Europe/Berlin, lasts 6h"), "{shown}");
    assert!(shown.contains("\nOPENS "), "{shown}");
    patchctl(["windows", "--config-root", "/nonexistent"]).expect_code(2);
}

#[track_caller]
fn check_refused(arguments: &[&str], field: &str) {
    let outcome = patchctl([&["windows"], arguments].concat()).expect_code(2);
    assert!(outcome.stdout.is_empty(), "{}", outcome.stdout);
    let told = outcome.stderr.strip_prefix("patchctl: ").expect(&outcome.stderr);
    assert!(told.starts_with(field) && told.trim_end().lines().count() == 1, "{told}");
}

#[test]
fn what_is_wrong_is_told_in_one_line_that_names_the_field() {
    check_refused(&["--schedule", "cron(0 2 1 * MON *)"], "schedule: day-of-week: ");
    check_refused(&["--schedule", "cron(0 25 ? * MON *)"], "schedule: hours: ");
    check_refused(&["--schedule", "rate(1 hours)"], "schedule: rate: ");
    check_refused(&["--schedule", "rate(5 hour)"], "schedule: rate: ");
    let daily = |more: &[&'static str]| [&["--schedule", "cron(0 2 ? * * *)"], more].concat();
    check_refused(&daily(&["--timezone", "Mars/Base"]), "timezone: ");
    check_refused(&daily(&["--offset", "7"]), "offset: ");
    check_refused(&daily(&["--offset", "-1"]), "offset: ");
    check_refused(&daily(&["--offset", "x"]), "offset: ");
    check_refused(&daily(&["--duration", "25h"]), "duration: ");
    check_refused(&daily(&["--duration", "3"]), "duration: ");
    check_refused(&daily(&["--duration", "3h", "--cutoff", "3h"]), "cutoff: ");
    check_refused(&daily(&["--cutoff", "1h"]), "duration: ");
    check_refused(&daily(&["--at", "2026-11-23T00:00:00Z"]), "duration: ");
    check_refused(&daily(&["--start", "tomorrow"]), "start: ");
    check_refused(&daily(&["--start", "2027-01-01T00:00:00Z", "--end", "2026-01-01T00:00:00Z"]), "end: ");
    check_refused(&daily(&["--from", "2026-11-23"]), "from: ");
    check_refused(&["--schedule", "Sun 02:00 +3h UTC", "--timezone", "UTC"], "timezone: ");
    check_refused(&["--schedule", "Sun 02:00 +3h UTC", "--duration", "3h"], "duration: ");
    check_refused(
        &["--schedule", "rate(1 day)", "--duration", "3h", "--at", "2026-11-23T00:00:00Z"],
        "start: ",
    );
}
