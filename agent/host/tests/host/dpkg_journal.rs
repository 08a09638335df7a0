//! States, the journal, the lock, marks and file lists in prepared roots, with dpkg-query beside us.

use std::fmt::Write;
use std::io::Seek;

use nix::fcntl::{FcntlArg, fcntl};
use patchd_core::inventory::{Mark, Want};
use patchd_core::problem::{ProblemKind, Weight};
use patchd_host::dpkg::{lock, read_inventory};
use patchd_host::root::Root;

use crate::support::{ROW_FORMAT, dpkg_query, is_incomplete, oracle_rows, put, root_with_status, rows};

fn stanza(name: &str, state: &str, architecture: &str, version: &str) -> String {
    format!(
        "Package: {name}\nStatus: {state}\nMaintainer: A <a@example.org>\nArchitecture: {architecture}\n\
         Version: {version}\nDescription: a package\n\n"
    )
}

const OK: &str = "install ok installed";

#[track_caller]
fn check_rows(root: &Root) {
    if let Some(answer) = dpkg_query(root, ROW_FORMAT) {
        assert_eq!(answer.code, Some(0), "{}", answer.errors);
        assert_eq!(rows(&read_inventory(root)), oracle_rows(&answer.output));
    }
}

#[test]
fn every_combination_of_states_is_listed_as_dpkg_lists_it() {
    let mut status = String::new();
    for want in ["unknown", "install", "hold", "deinstall", "purge"] {
        for flag in ["ok", "reinstreq"] {
            for state in [
                "not-installed",
                "config-files",
                "half-installed",
                "unpacked",
                "half-configured",
                "triggers-awaited",
                "triggers-pending",
                "installed",
            ] {
                let name = format!("p-{want}-{flag}-{state}");
                let mut text = stanza(&name, &format!("{want} {flag} {state}"), "amd64", "1:2.0-3");
                if state == "triggers-awaited" {
                    text.insert_str(text.len() - 1, "Triggers-Awaited: p-install-ok-triggers-pending\n");
                } else if state == "triggers-pending" {
                    text.insert_str(text.len() - 1, "Triggers-Pending: a-trigger\n");
                }
                status.push_str(&text);
            }
        }
    }
    let (_directory, root) = root_with_status(&status);
    check_rows(&root);
    let inventory = read_inventory(&root);
    assert_eq!((inventory.packages.len(), inventory.residual.len()), (60, 10));
    assert_eq!(inventory.packages.iter().filter(|package| package.is_held()).count(), 12);
    let count = |weight| {
        let is_it = |kind, w| kind == ProblemKind::Interrupted && w == weight;
        inventory.problems.iter().filter(|problem| is_it(problem.kind, problem.weight)).count()
    };
    // Half installed: 5 wants and 2 flags. Otherwise: 2 half-done states with ok, all 5 states with reinstreq.
    assert_eq!((count(Weight::Incomplete), count(Weight::Notice)), (10, 35));
}

#[test]
fn the_two_old_flags_that_apt_reads_are_holds() {
    let status = stanza("a", "install hold installed", "amd64", "1")
        + &stanza("b", "install hold-reinstreq installed", "amd64", "1");
    let (_directory, root) = root_with_status(status);
    let inventory = read_inventory(&root);
    assert!(inventory.packages.iter().all(|package| package.state.want == Want::Hold));
}

#[test]
fn the_journal_counts_before_it_is_folded() {
    let same = |architecture: &str, version: &str| {
        stanza("libx", OK, architecture, version).replace("Version", "Multi-Arch: same\nVersion")
    };
    let status = [
        stanza("gone", OK, "amd64", "1"),
        stanza("kept", OK, "all", "1"),
        stanza("moved", OK, "i386", "1"),
        stanza("newer", OK, "amd64", "1.0-1"),
        same("amd64", "1"),
        same("i386", "1"),
    ];
    let (_directory, root) = root_with_status(status.concat());
    put(&root, "var/lib/dpkg/updates/0000", stanza("newer", "install ok unpacked", "amd64", "1.0-2"));
    put(&root, "var/lib/dpkg/updates/0001", stanza("newer", OK, "amd64", "1.0-2"));
    put(&root, "var/lib/dpkg/updates/0002", stanza("gone", "purge ok not-installed", "amd64", "1"));
    put(&root, "var/lib/dpkg/updates/0003", stanza("moved", OK, "amd64", "2"));
    put(&root, "var/lib/dpkg/updates/0004", same("i386", "2"));
    put(&root, "var/lib/dpkg/updates/tmp.i", stanza("half", OK, "amd64", "1"));
    check_rows(&root);
    let inventory = read_inventory(&root);
    let listed: Vec<_> = inventory.packages.iter().map(|p| format!("{} {}", p.id, p.version)).collect();
    assert_eq!(listed, ["kept:all 1", "libx:amd64 1", "libx:i386 2", "moved:amd64 2", "newer:amd64 1.0-2"]);
    let [problem] = inventory.problems.as_slice() else {
        panic!("{:#?}", inventory.problems);
    };
    assert_eq!((problem.kind, problem.weight), (ProblemKind::Interrupted, Weight::Incomplete));
    assert!(problem.place.ends_with("updates"));

    put(&root, "var/lib/dpkg/updates/00005", stanza("odd", OK, "amd64", "1"));
    assert!(is_incomplete(&read_inventory(&root).problems));
}

#[test]
fn a_journal_of_a_dpkg_that_runs_is_no_interruption() {
    let (_directory, root) = root_with_status(stanza("a", "install ok unpacked", "amd64", "1"));
    put(&root, "var/lib/dpkg/updates/0000", stanza("b", "install ok half-configured", "amd64", "1"));
    put(&root, "var/lib/dpkg/lock", "");
    assert!(!lock::is_database_held(&root));
    assert_eq!(read_inventory(&root).problems.len(), 3);

    let mut file = std::fs::OpenOptions::new().write(true).open(root.path("var/lib/dpkg/lock")).unwrap();
    file.rewind().unwrap();
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK.try_into().unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // dpkg's kind of lock is never seen by the process that holds it; this kind is, and dpkg would wait for it too.
    fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)).unwrap();
    assert!(lock::is_database_held(&root));
    assert_eq!(read_inventory(&root).problems, []);
}

#[test]
fn marks_and_ages_come_from_their_files() {
    let same = |architecture: &str| {
        stanza("libx", OK, architecture, "1").replace("Version", "Multi-Arch: same\nVersion")
    };
    let status =
        stanza("asked", OK, "amd64", "1") + &stanza("data", OK, "all", "1") + &same("amd64") + &same("i386");
    let (_directory, root) = root_with_status(status);
    put(&root, "var/lib/dpkg/arch", "amd64\ni386\n");
    let mut states = String::new();
    for (name, architecture, automatic) in
        [("asked", "amd64", 0), ("data", "amd64", 1), ("libx", "i386", 1), ("gone", "amd64", 1)]
    {
        write!(states, "Package: {name}\nArchitecture: {architecture}\nAuto-Installed: {automatic}\n\n")
            .unwrap();
    }
    put(&root, "var/lib/apt/extended_states", states);
    put(&root, "var/lib/dpkg/info/asked.list", "/.\n");
    put(&root, "var/lib/dpkg/info/libx:i386.list", "/.\n");
    let inventory = read_inventory(&root);
    assert_eq!((inventory.problems.as_slice(), inventory.native.as_str()), (&[][..], "amd64"));
    let seen: Vec<_> = inventory
        .packages
        .iter()
        .map(|package| (package.id.to_string(), package.mark, package.installed_at.is_some()))
        .collect();
    let expected = [
        ("asked:amd64", Mark::Manual, true),
        ("data:all", Mark::Automatic, false),
        ("libx:amd64", Mark::Manual, false),
        ("libx:i386", Mark::Automatic, true),
    ];
    assert_eq!(seen, expected.map(|(id, mark, has_age)| (id.to_owned(), mark, has_age)));
}

#[test]
fn a_database_that_was_cut_between_two_packages_is_shorter_than_its_file_lists() {
    let (_directory, root) = root_with_status(stanza("a", OK, "amd64", "1") + &stanza("c", OK, "amd64", "1"));
    for name in ["a", "b", "c"] {
        put(&root, &format!("var/lib/dpkg/info/{name}.list"), "/.\n");
    }
    let problems = read_inventory(&root).problems;
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].kind, problems[0].weight), (ProblemKind::Malformed, Weight::Notice));
    put(&root, "var/lib/dpkg/info/d:amd64.list", "/.\n");
    let problems = read_inventory(&root).problems;
    assert_eq!((problems[0].kind, problems[0].weight), (ProblemKind::Truncated, Weight::Incomplete));
}
