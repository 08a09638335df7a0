//! `scan --once`, `updates --once` and `report` on prepared roots, with apt's own list as the expectation.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::root::{HALF_NOW, HostRoot, debian_12_half, debian_12_half_updates, stanza};
use crate::{Outcome, check_schema, data, outcome, patchctl};

fn word<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A scan of `root` into a store of its own.
fn scan(root: &HostRoot, store: &Path, more: &[&str]) -> Outcome {
    let arguments =
        ["scan", "--once", "--root", text(root.path()), "--now", HALF_NOW, "--store", text(store)];
    patchctl(arguments.iter().chain(more))
}

fn updates(document: &Value) -> BTreeSet<[String; 4]> {
    let row = |update: &Value| {
        ["name", "architecture", "installed", "candidate"].map(|field| word(update, field).to_owned())
    };
    document["updates"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn updates_are_what_apt_lists() {
    let Some(root) = debian_12_half() else { return };
    let arguments = ["updates", "--once", "--root", text(root.path()), "--now", HALF_NOW];
    let document = patchctl(arguments.iter().chain(&["--json"])).expect_code(0).json();
    check_schema("patchd.updates.v1.schema.json", &document);
    let rows = debian_12_half_updates();
    let expected: BTreeSet<_> = rows
        .iter()
        .map(|[name, architecture, installed, candidate, _]| {
            [name, architecture, installed, candidate].map(String::clone)
        })
        .collect();
    assert_eq!(updates(&document), expected);
    let all = document["updates"].as_array().unwrap();
    let from_security = rows.iter().filter(|row| row[4].contains("security")).count();
    assert_eq!(all.iter().filter(|update| update["security"] == true).count(), from_security);

    let page = patchctl(arguments).expect_code(0).stdout;
    assert!(page.contains("49 updates, 35 of them security offered"), "{page}");
    let first = page.lines().nth(1).unwrap();
    assert!(first.contains("security"), "security updates stand first: {first}");
}

#[test]
fn a_scan_prints_the_report_that_it_keeps() {
    let Some(root) = debian_12_half() else { return };
    let store = tempfile::tempdir().unwrap();
    let outcome = scan(&root, store.path(), &["--json"]).expect_code(0);
    let document = outcome.json();
    check_schema("patchd.report.v1.schema.json", &document);
    assert_eq!(document["assessment"], "complete", "{}", document["problems"]);
    assert_eq!(document["summary"]["compliance"], "non_compliant");
    assert_eq!(document["summary"]["counts"]["missing_count"], 35);
    assert_eq!(document["summary"]["packages"], 552);

    let place = outcome.stderr.trim_end().strip_prefix("patchctl: the report is in ").unwrap();
    assert_eq!(outcome.stderr.lines().count(), 1);
    assert_eq!(patchctl(["report", "--json", place]).expect_code(0).json(), document);
    let from_store = ["report", "--json", "--store", text(store.path())];
    assert_eq!(patchctl(from_store).expect_code(0).json(), document);
    assert_eq!(patchctl(from_store.iter().chain(&[word(&document, "id")])).expect_code(0).json(), document);
    patchctl(from_store.iter().chain(&["no-such-id"])).expect_code(7);
}

/// A baseline of the caller's own, at a time of the caller's own. What it must approve is told by apt's own list.
#[test]
fn a_scan_judges_by_the_baseline_that_it_is_given() {
    let Some(root) = debian_12_half() else { return };
    let store = tempfile::tempdir().unwrap();
    let baseline = |name: &str, text: &str| {
        let path = store.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = |baseline: &str| {
        let document = scan(&root, store.path(), &["--json", "--baseline", baseline]).expect_code(0).json();
        check_schema("patchd.report.v1.schema.json", &document);
        let missing = document["items"].as_array().unwrap().iter().filter(|item| item["state"] == "Missing");
        let names: BTreeSet<_> = missing.map(|item| word(item, "name").to_owned()).collect();
        (names, document)
    };
    let rows = debian_12_half_updates();
    let names = |chosen: &dyn Fn(&[String; 5]) -> bool| -> BTreeSet<String> {
        rows.iter().filter(|row| chosen(row)).map(|row| row[0].clone()).collect()
    };
    let rule = "[[rule]]\nnon_security = true\napprove_after_days = 0\n";
    let all =
        baseline("all.toml", &format!("id = \"lab\"\nname = \"all\"\noperating_system = \"DEBIAN\"\n{rule}"));
    let (found, document) = missing(&all);
    assert_eq!(found, names(&|_| true));
    assert_eq!(document["baseline"]["source"], all.as_str());
    assert_eq!(document["baseline"]["digest"].as_str().map(str::len), Some(64));
    let (found, _) = missing("builtin:debian");
    assert_eq!(found, names(&|row| row[4].contains("security")));
    let some = baseline(
        "some.json",
        r#"{"Name":"some","OperatingSystem":"DEBIAN","ApprovedPatches":["lib*"],"RejectedPatches":["libc*"],
            "ApprovedPatchesComplianceLevel":"CRITICAL"}"#,
    );
    let (found, document) = missing(&some);
    let is_asked_for = |name: &str| name.starts_with("lib") && !name.starts_with("libc");
    assert_eq!(found, names(&|row| row[4].contains("security") && is_asked_for(&row[0])));
    assert_eq!(document["summary"]["counts"]["critical_non_compliant_count"], found.len());

    let broken = baseline("broken.json", r#"{"Name":"some","OperatingSystem":"UBUNTU"}"#);
    let told = scan(&root, store.path(), &["--baseline", &broken]).expect_code(2).stderr;
    assert!(told.contains("broken.json") && told.contains("no baseline for DEBIAN"), "{told}");
    scan(&root, store.path(), &["--baseline", "/nowhere.json"]).expect_code(2);
    scan(&root, store.path(), &["--baseline", "builtin:windows"]).expect_code(2);
}

#[test]
fn a_person_sees_the_verdict_what_is_missing_and_what_to_do() {
    let Some(root) = debian_12_half() else { return };
    let store = tempfile::tempdir().unwrap();
    let page = scan(&root, store.path(), &[]).expect_code(0).stdout;
    let position = |part: &str| page.find(part).unwrap_or_else(|| panic!("{part:?} in {page}"));
    let order = [
        "refreshed 2026-11-23 06:00 UTC (6 hours ago)",
        "NOT COMPLIANT: 35 security updates missing\n",
        "Missing security updates (35)\n",
        "14 other updates offered",
        "What next\n",
        // In half a host, half of the dependencies are missing.
        &format!("chroot {} apt-get -s dist-upgrade\n", text(root.path())),
        "the report is in ",
    ]
    .map(position);
    assert!(order.is_sorted(), "{order:?} {page}");
    let group = page.split("Missing security updates (35)\n").nth(1).unwrap();
    let rows = group.lines().skip(1).take_while(|line| line.contains("Debian")).count();
    assert_eq!(rows, 35, "{page}");
    let all = scan(&root, store.path(), &["--all"]).expect_code(0).stdout;
    assert!(all.contains("Other updates (14)\n"), "{all}");
}

#[test]
fn the_verdict_is_an_exit_code_for_those_who_ask() {
    let Some(root) = debian_12_half() else { return };
    let store = tempfile::tempdir().unwrap();
    scan(&root, store.path(), &["--exit-code"]).expect_code(4);
    // A source without a list: nothing is known to be missing, and nothing can be said.
    let unknown = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    unknown.put("etc/apt/sources.list", b"deb http://example.org/debian bookworm main\n");
    let document = scan(&unknown, store.path(), &["--json"]).expect_code(0).json();
    assert_eq!(document["assessment"], "incomplete");
    assert_eq!(document["summary"]["compliance"], "unknown");
    assert_ne!(document["assessment_reasons"], serde_json::json!([]));
    let page = scan(&unknown, store.path(), &["--exit-code"]).expect_code(3).stdout;
    assert!(page.contains("CANNOT TELL: "), "{page}");
}

#[test]
fn a_host_that_has_all_its_updates_is_compliant() {
    let Some(root) = debian_12_half() else { return };
    let Some(status) = data("apt/debian12-half/status.gz") else { return };
    // The same host after an upgrade: every package at apt's own candidate.
    let rows = debian_12_half_updates();
    let status = String::from_utf8(crate::root::content(&status)).unwrap();
    let upgraded = status.split("\n\n").map(|stanza| {
        let name = stanza.lines().find_map(|line| line.strip_prefix("Package: ")).unwrap_or_default();
        match rows.iter().find(|row| row[0] == name) {
            Some(row) => {
                let version = |line: &str| match line.strip_prefix("Version: ") {
                    Some(_) => format!("Version: {}\n", row[3]),
                    None => format!("{line}\n"),
                };
                stanza.lines().map(version).collect::<String>() + "\n"
            }
            None => format!("{stanza}\n\n"),
        }
    });
    root.put("var/lib/dpkg/status", upgraded.collect::<String>().as_bytes());
    let store = tempfile::tempdir().unwrap();
    let page = scan(&root, store.path(), &["--exit-code"]).expect_code(0).stdout;
    assert!(page.contains("\nCOMPLIANT: every approved update is installed\n"), "{page}");
    assert!(!page.contains("What next"), "{page}");
}

#[test]
fn a_host_that_cannot_be_read_is_a_failure_and_still_a_report() {
    let empty = HostRoot::empty();
    let store = tempfile::tempdir().unwrap();
    let outcome = scan(&empty, store.path(), &["--json"]).expect_code(1);
    let document = outcome.json();
    check_schema("patchd.report.v1.schema.json", &document);
    assert_eq!(document["assessment"], "incomplete");
    assert_eq!(document["summary"]["compliance"], "unknown");
    assert!(outcome.stderr.contains("can't read the package database"), "{}", outcome.stderr);
    let arguments = ["updates", "--once", "--root", text(empty.path())];
    patchctl(arguments).expect_code(1);
}

#[test]
fn a_store_that_takes_nothing_is_a_failure_after_the_report_was_printed() {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    let file = root.put("file", b"");
    let outcome = scan(&root, &file, &["--json"]).expect_code(1);
    assert_eq!(outcome.json()["schema"], "patchd.report/1");
    assert!(outcome.stderr.contains("can't keep the report"), "{}", outcome.stderr);
}

#[test]
fn a_store_in_s3_is_refused_before_anything_is_read() {
    let outcome = patchctl(["scan", "--once", "--store", "s3://bucket/prefix"]).expect_code(2);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("patchd once scan --store s3://bucket/prefix"), "{}", outcome.stderr);
}

#[test]
fn reports_go_beside_the_caller_unless_told_otherwise() {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    let here = tempfile::tempdir().unwrap();
    let mut command = crate::command();
    command.current_dir(here.path()).args(["scan", "--once", "--root", text(root.path())]);
    outcome(&mut command).expect_code(0);
    assert!(here.path().join("patchd-reports/v1/reports").is_dir());
    // The host that was read has nothing new in it.
    assert!(!root.path().join("patchd-reports").exists());
}

#[test]
fn mistakes_in_the_configuration_stop_a_scan() {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    root.put("etc/patchd/patchd.toml", b"[scan]\nintervall = \"6h\"\n");
    let store = tempfile::tempdir().unwrap();
    let outcome = scan(&root, store.path(), &["--json"]).expect_code(2);
    assert_eq!(outcome.stdout, "");
    assert!(outcome.stderr.contains("etc/patchd/patchd.toml:2: "), "{}", outcome.stderr);
    let elsewhere = HostRoot::empty();
    scan(&root, store.path(), &["--config-root", text(elsewhere.path())]).expect_code(0);
}

#[test]
fn a_repository_cannot_command_the_terminal() {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    root.put("etc/apt/sources.list", b"deb http://example.org/\x1b]0;owned\x07 bookworm main\n");
    let store = tempfile::tempdir().unwrap();
    let outcome = scan(&root, store.path(), &["--all"]).expect_code(0);
    assert!(!outcome.stdout.contains(['\x1b', '\x07']), "{:?}", outcome.stdout);
}
