//! What is wrong with a database, held against `dpkg --audit`.

use std::collections::BTreeSet;
use std::process::Stdio;

use patchd_host::dpkg::audit::{Damage, Finding, audit};
use patchd_host::root::Root;

use crate::support::{put, root_with_status, run};

const STATES: [&str; 8] = [
    "not-installed",
    "config-files",
    "half-installed",
    "unpacked",
    "half-configured",
    "triggers-awaited",
    "triggers-pending",
    "installed",
];

fn stanza(name: &str, state: &str) -> String {
    let more = if state.ends_with("triggers-awaited") {
        "Triggers-Awaited: p-install-ok-triggers-pending\n"
    } else if state.ends_with("triggers-pending") {
        "Triggers-Pending: a-trigger\n"
    } else {
        ""
    };
    format!(
        "Package: {name}\nStatus: {state}\nMaintainer: A <a@example.org>\nArchitecture: amd64\nVersion: 1\n{more}\
         Description: toy\n\n"
    )
}

/// The sections of `dpkg --audit` by words of their first lines, in the terms of ours.
const SECTIONS: [(&str, Damage); 6] = [
    ("in a mess", Damage::ReinstallRequired),
    ("only half installed", Damage::HalfInstalled),
    ("unpacked but not yet configured", Damage::Unpacked),
    ("only half configured", Damage::HalfConfigured),
    ("awaiting processing of triggers", Damage::TriggersAwaited),
    ("have been triggered", Damage::TriggersPending),
];

fn oracle(output: &str) -> BTreeSet<(String, Damage)> {
    let mut section = None;
    let mut listed = BTreeSet::new();
    for line in output.lines() {
        if let Some(name) = line.strip_prefix(' ').and_then(|line| line.split_whitespace().next()) {
            listed.insert((name.to_owned(), section.expect(line)));
        } else if let Some((_, damage)) = SECTIONS.iter().find(|(words, _)| line.contains(words)) {
            section = Some(*damage);
        }
    }
    listed
}

fn ours(findings: &[Finding]) -> BTreeSet<(String, Damage)> {
    let package = |finding: &Finding| match finding {
        Finding::Package { id, damage, .. } => Some((id.name.to_string(), *damage)),
        Finding::Journal | Finding::Unreadable(_) => None,
    };
    findings.iter().filter_map(package).collect()
}

/// dpkg lists packages without their file lists too; they have them here.
fn put_lists(root: &Root, name: &str) {
    put(root, &format!("var/lib/dpkg/info/{name}.list"), "");
    put(root, &format!("var/lib/dpkg/info/{name}.md5sums"), "");
}

#[track_caller]
fn check(root: &Root) -> Vec<Finding> {
    let findings = audit(root);
    let admin = format!("--admindir={}", root.path("var/lib/dpkg").display());
    if let Some(answer) = run("/usr/bin/dpkg", &[&admin, "--audit"], Stdio::null()) {
        assert_eq!(ours(&findings), oracle(&answer.output), "{}{}", answer.output, answer.errors);
    }
    findings
}

#[test]
fn every_state_is_listed_as_dpkg_lists_it() {
    let mut status = String::new();
    let mut names = Vec::new();
    for want in ["unknown", "install", "hold", "deinstall", "purge"] {
        for flag in ["ok", "reinstreq"] {
            for state in STATES {
                let name = format!("p-{want}-{flag}-{state}");
                status.push_str(&stanza(&name, &format!("{want} {flag} {state}")));
                names.push(name);
            }
        }
    }
    let (_directory, root) = root_with_status(status);
    for name in &names {
        put_lists(&root, name);
    }
    let findings = check(&root);
    assert_eq!(findings.len(), 5 * (8 + 5));
    let archives = findings
        .iter()
        .filter(|finding| matches!(finding, Finding::Package { damage, .. } if damage.needs_archive()));
    assert_eq!(archives.count(), 5 * (8 + 1));
}

#[test]
fn a_sound_database_has_nothing_and_a_journal_counts_before_it_is_taken_over() {
    let (_directory, root) = root_with_status(stanza("a", "install ok installed"));
    put_lists(&root, "a");
    put_lists(&root, "b");
    assert_eq!(check(&root), []);
    // Cut before its first version was there: the inventory has no such package, and the audit has.
    let half = stanza("b", "install reinstreq half-installed").replace("Version: 1\n", "");
    put(&root, "var/lib/dpkg/updates/0000", half);
    let findings = check(&root);
    let told: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "dpkg was cut: its journal has not been taken over",
            "b:amd64: its installation was cut, and it has to be installed again",
        ]
    );
}

#[test]
fn a_database_that_can_not_be_read_is_not_sound() {
    let (_directory, root) = root_with_status("");
    std::fs::remove_file(root.path("var/lib/dpkg/status")).unwrap();
    let findings = audit(&root);
    assert!(matches!(findings.as_slice(), [Finding::Unreadable(_)]), "{findings:?}");
}
