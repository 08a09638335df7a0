//! `explain --once` on prepared roots: packages that wait, that don't, and that are not there; holes with a changelog and
//! without one.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::root::{HALF_NOW, HostRoot, debian_12_half, debian_12_half_updates, stanza};
use crate::{Outcome, check_schema, patchctl};

fn explain(root: &HostRoot, query: &str, more: &[&str]) -> Outcome {
    let directory = root.path().to_str().unwrap();
    let arguments = ["explain", query, "--once", "--root", directory, "--now", HALF_NOW];
    patchctl(arguments.iter().chain(more))
}

fn document(root: &HostRoot, query: &str, code: i32) -> Value {
    let document = explain(root, query, &["--json"]).expect_code(code).json();
    check_schema("patchd.explanation.v1.schema.json", &document);
    document
}

#[test]
fn each_update_of_a_real_host_is_explained_with_what_the_baseline_says_of_it() {
    let Some(root) = debian_12_half() else { return };
    let rows = debian_12_half_updates();
    let (mut approved, mut refused) = (0, 0);
    for [name, _, installed, candidate, suites] in rows.iter().take(12) {
        let document = document(&root, name, 0);
        let package = &document["packages"][0];
        assert_eq!(
            (&package["installed"], &package["candidate"]),
            (&installed[..].into(), &candidate[..].into())
        );
        let offered = &package["offered"][0];
        assert_eq!(&offered["version"], candidate);
        let is_security = suites.contains("security");
        assert_eq!(offered["approved"], is_security, "{document}");
        match is_security {
            true => approved += 1,
            false => refused += 1,
        }
        // Half of its packages are not there, so that apt itself would not touch it.
        let expected = if is_security { "dependency" } else { "not_approved" };
        assert_eq!(package["reason"], expected, "{document}");
        assert!(package["advice"].is_string(), "{document}");
    }
    assert!(0 < approved && 0 < refused, "{approved} {refused}");
}

#[test]
fn a_package_at_its_candidate_says_so_and_one_that_is_not_there_proposes_others() {
    let root = HostRoot::debian_12((stanza("curl", "7.88.1-10") + &stanza("openssl", "3.0.1")).as_bytes());
    let page = explain(&root, "curl", &[]).expect_code(0).stdout;
    assert!(page.contains("curl:amd64") && page.contains("it is at its candidate"), "{page}");
    let unknown = document(&root, "crul", 7);
    assert_eq!((&unknown["outcome"], &unknown["near"][0]), (&"not_found".into(), &"curl".into()));
    explain(&root, "two words", &[]).expect_code(2);
}

#[test]
fn of_a_hole_only_changelogs_tell_and_silence_is_no_answer() {
    let root = HostRoot::debian_12(stanza("curl", "7.88.1-10+deb12u2").as_bytes());
    let mut changelog = GzEncoder::new(Vec::new(), Compression::fast());
    changelog
        .write_all(
            b"curl (7.88.1-10+deb12u1) bookworm-security; urgency=high\n\n  * CVE-2026-12345: no more\n",
        )
        .unwrap();
    root.put("usr/share/doc/curl/changelog.Debian.gz", &changelog.finish().unwrap());
    let told = document(&root, "cve-2026-12345", 0);
    assert_eq!(told["fixes"][0]["package"], "curl");
    assert_eq!(told["fixes"][0]["version"], "7.88.1-10+deb12u1");
    for (query, kind) in [("CVE-2026-1234", "cve"), ("DSA-5432-1", "advisory")] {
        let silent = document(&root, query, 3);
        assert_eq!((&silent["kind"], &silent["outcome"]), (&kind.into(), &"cannot_tell".into()));
        let detail = silent["detail"].as_str().unwrap();
        assert!(detail.contains("does not mean that this host is not affected"), "{detail}");
    }
}
