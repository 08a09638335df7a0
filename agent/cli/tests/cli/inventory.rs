//! `inventory --once`: on prepared roots, on this machine beside dpkg-query, and on roots that are no hosts.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::root::{HostRoot, content, debian_12_half, stanza};
use crate::{Outcome, check_schema, data, patchctl};

fn inventory(root: &Path) -> Outcome {
    patchctl(["inventory", "--once", "--json", "--root", root.to_str().unwrap()])
}

/// What dpkg-query says in the same words: name, version, architecture and whether the files are on disk.
fn asked(arguments: &[&str]) -> BTreeSet<[String; 3]> {
    let output = Command::new("/usr/bin/dpkg-query")
        .args(arguments)
        .args(["-W", "-f", "${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let cells: Vec<_> = line.split('\t').map(str::to_owned).collect();
        let [name, version, architecture, status]: [String; 4] = cells.try_into().unwrap();
        let has_files = status != "not-installed" && status != "config-files";
        has_files.then_some([name, version, architecture])
    };
    text.lines().filter_map(row).collect()
}

fn listed(document: &Value) -> BTreeSet<[String; 3]> {
    let word = |package: &Value, field: &str| package[field].as_str().unwrap().to_owned();
    let packages = document["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| ["name", "version", "architecture"].map(|field| word(package, field)))
        .collect()
}

#[test]
fn this_machine_is_as_dpkg_query_says() {
    let outcome = patchctl(["inventory", "--once", "--json"]).expect_code(0);
    let document = outcome.json();
    check_schema("patchd.inventory.v1.schema.json", &document);
    assert_eq!(listed(&document), asked(&[]));
}

/// Real databases, each with dpkg-query on the same file.
#[test]
fn real_databases_are_as_dpkg_query_says() {
    for name in [
        "dpkg/apt-ubuntu-bug-614993.status.gz",
        "dpkg/fanal-dpkg.status.gz",
        "dpkg/osconfig-debian.status",
        "dpkg/postgresql.status",
        "dpkg/stackrox.status",
        "dpkg/syft-deinstall.status",
        "dpkg/texlive.status.gz",
        "apt/debian12-half/status.gz",
        "apt/debian12-half/status-holds-and-odd-states.gz",
    ] {
        let Some(path) = data(name) else { continue };
        let root = HostRoot::debian_12(&content(&path));
        let database = root.path().join("var/lib/dpkg");
        let expected = asked(&["--admindir", database.to_str().unwrap()]);
        let document = inventory(root.path()).expect_code(0).json();
        assert!(!expected.is_empty(), "dpkg-query reads {name}");
        assert_eq!(listed(&document), expected, "{name}");
    }
}

/// Every `Package` and `Version` that the lists under a root have, cut out by hand.
fn in_lists(root: &Path) -> BTreeSet<[String; 2]> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("var/lib/apt/lists")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_str().unwrap().ends_with("_Packages") {
            continue;
        }
        let text = String::from_utf8(content(&path)).unwrap();
        let word = |stanza: &str, field: &str| {
            stanza.lines().find_map(|line| line.strip_prefix(field)).map(str::to_owned)
        };
        let row = |stanza: &str| Some([word(stanza, "Package: ")?, word(stanza, "Version: ")?]);
        found.extend(text.split("\n\n").filter_map(row));
    }
    found
}

#[test]
fn origins_are_told_where_a_list_has_the_installed_version() {
    let Some(root) = debian_12_half() else { return };
    let arguments = ["inventory", "--once", "--json", "--origins", "--root", root.path().to_str().unwrap()];
    let document = patchctl(arguments).expect_code(0).json();
    let listed = in_lists(root.path());
    let packages = document["packages"].as_array().unwrap();
    let mut with_origin = 0;
    for package in packages {
        let row = ["name", "version"].map(|field| package[field].as_str().unwrap().to_owned());
        let origin = package["origin"].as_str();
        assert_eq!(origin.is_some(), listed.contains(&row), "{row:?} {origin:?}");
        with_origin += usize::from(origin.is_some_and(|origin| origin.starts_with("Debian")));
    }
    assert!(400 < with_origin && with_origin < packages.len(), "{with_origin} of {}", packages.len());
}

#[test]
fn holds_and_broken_packages_are_told_to_people() {
    let Some(path) = data("apt/debian12-half/status-holds-and-odd-states.gz") else { return };
    let root = HostRoot::debian_12(&content(&path));
    let outcome = patchctl(["inventory", "--once", "--root", root.path().to_str().unwrap()]).expect_code(0);
    let counts = "550 packages installed, 5 on hold, 3 not sound, 2 removed but for its configuration\n";
    assert!(outcome.stdout.contains(counts), "{}", outcome.stdout);
}

/// A root where nothing can be read is a failure, never "no packages".
#[test]
fn a_root_without_a_package_database_is_a_failure() {
    let missing = inventory(Path::new("/nonexistent/root")).expect_code(2);
    assert_eq!(missing.stdout, "");
    assert!(missing.stderr.contains("/nonexistent/root"), "{}", missing.stderr);
    let file = HostRoot::empty().put("file", b"");
    inventory(&file).expect_code(2);

    let empty = HostRoot::empty();
    let empty_database = HostRoot::debian_12(b"");
    let no_database = HostRoot::debian_12(&[0xff; 4096]);
    let directory = HostRoot::empty();
    directory.put("var/lib/dpkg/status/file", b"");
    let outside = HostRoot::empty();
    outside.put("var/lib/dpkg/lock", b"");
    symlink("/../../../../../var/lib/dpkg/status", outside.path().join("var/lib/dpkg/status")).unwrap();
    for root in [&empty, &empty_database, &no_database, &directory, &outside] {
        let outcome = inventory(root.path()).expect_code(1);
        let document = outcome.json();
        assert_eq!(document["packages"], serde_json::json!([]));
        assert_ne!(document["problems"], serde_json::json!([]), "{document}");
        assert!(outcome.stderr.contains("can't read the package database"), "{}", outcome.stderr);
    }
}

#[test]
fn a_truncated_database_gives_what_is_whole_and_a_problem() {
    let mut status = stanza("whole", "1.0");
    status.push_str("Package: cut\nStatus: install ok insta");
    let root = HostRoot::debian_12(status.as_bytes());
    let outcome = inventory(root.path()).expect_code(0);
    let document = outcome.json();
    assert!(listed(&document).contains(&["whole", "1.0", "amd64"].map(str::to_owned)), "{document}");
    let problems = document["problems"].as_array().unwrap();
    let place = root.path().join("var/lib/dpkg/status");
    assert!(
        problems
            .iter()
            .any(|problem| problem["place"] == place.to_str().unwrap() && problem["line"].is_u64()),
        "{document}"
    );
}

#[test]
fn without_once_another_root_is_refused() {
    patchctl(["inventory", "--root", "/"]).expect_code(2);
}
