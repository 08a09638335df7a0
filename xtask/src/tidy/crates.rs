//! The arrows between crates, and what may not be compiled at all. deny.toml says the latter too, for people who have
//! cargo-deny.

use std::collections::{BTreeMap, BTreeSet};

use xshell::{Shell, cmd};

use super::{files, none, workspace};

/// A crate of the agent: what of the workspace it may use, and what its whole tree may not have.
struct Fence {
    name: &'static str,
    folder: &'static str,
    may_use: &'static [&'static str],
    /// Names, or prefixes that end in `-`.
    must_not_compile: &'static [&'static str],
}

const CORE: &str = "patchd-core";
const PROTOCOL: &str = "patchd-protocol";
const HOST: &str = "patchd-host";

const FENCES: [Fence; 6] = [
    Fence {
        name: CORE,
        folder: "agent/core",
        may_use: &[],
        must_not_compile: &["tokio", "reqwest", "nix", "rusqlite", "serde", "serde_json", "hyper", "aws-"],
    },
    Fence {
        name: PROTOCOL,
        folder: "agent/protocol",
        may_use: &[CORE],
        must_not_compile: &["tokio", "reqwest", "nix", "rusqlite", "hyper", "aws-"],
    },
    Fence {
        name: HOST,
        folder: "agent/host",
        may_use: &[CORE, PROTOCOL],
        must_not_compile: &["reqwest", "hyper", "rustls", "aws-"],
    },
    Fence {
        name: "patchd-executor",
        folder: "agent/executor",
        may_use: &[CORE, PROTOCOL, HOST],
        must_not_compile: &["reqwest", "hyper", "hyper-", "http", "axum", "rustls", "rusqlite", "aws-"],
    },
    Fence {
        name: "patchctl",
        folder: "agent/cli",
        may_use: &[CORE, PROTOCOL, HOST],
        must_not_compile: &["reqwest", "rustls", "rusqlite", "aws-"],
    },
    Fence {
        name: "patchd",
        folder: "agent/daemon",
        may_use: &[CORE, PROTOCOL, HOST],
        must_not_compile: &["aws-sdk-ec2"],
    },
];

/// Never compiled, for whatever target of ours: why stands in deny.toml.
const BANNED: [&str; 5] = ["ring", "openssl", "openssl-sys", "native-tls", "chrono"];

fn is_banned(name: &str, rule: &str) -> bool {
    name == rule || (rule.ends_with('-') && name.starts_with(rule))
}

fn table(path: &str) -> toml::Table {
    let path = workspace().root.join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of everything that `cargo tree` lists.
fn compiled(arguments: &[&str]) -> BTreeSet<String> {
    let shell = Shell::new().expect("the working directory exists");
    shell.change_dir(workspace().root);
    let name_first = "{p}";
    let tree =
        cmd!(shell, "cargo tree --locked --offline --prefix none --format {name_first} {arguments...}");
    let tree = tree.quiet().ignore_stderr().read().expect("the workspace has been built");
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn arrows_point_to_the_core() {
    let ours: BTreeSet<_> = FENCES.iter().map(|fence| fence.name).collect();
    let mut findings = Vec::new();
    for fence in &FENCES {
        let manifest = table(&format!("{}/Cargo.toml", fence.folder));
        for kind in ["dependencies", "build-dependencies"] {
            let listed = manifest.get(kind).and_then(toml::Value::as_table);
            for name in listed.into_iter().flat_map(toml::Table::keys) {
                if ours.contains(name.as_str()) && !fence.may_use.contains(&name.as_str()) {
                    findings.push(format!("{} uses {name}", fence.name));
                }
            }
        }
    }
    none("arrows that point back or sideways", &findings);
}

#[test]
fn no_crate_compiles_what_its_fence_keeps_out() {
    let mut findings = Vec::new();
    for fence in &FENCES {
        let tree = compiled(&["-p", fence.name, "-e", "normal,build"]);
        for rule in fence.must_not_compile {
            let found = tree.iter().filter(|name| is_banned(name, rule));
            findings.extend(found.map(|name| format!("{} compiles {name}", fence.name)));
        }
    }
    none("crates that a fence keeps out", &findings);
}

#[test]
fn banned_crates_are_compiled_for_no_target() {
    let mut findings = Vec::new();
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let tree = compiled(&["--workspace", "-e", "normal,build,dev", "--target", target]);
        for rule in BANNED {
            if tree.contains(rule) {
                findings.push(format!("{rule} for {target}: see `cargo tree -i {rule}`"));
            }
        }
    }
    none("banned crates", &findings);
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let lock = table("Cargo.lock");
    let packages = lock.get("package").and_then(toml::Value::as_array).unwrap();
    let mut ours = BTreeSet::new();
    let mut findings = Vec::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let name = text("name").unwrap();
        match text("source") {
            None => {
                ours.insert(name);
            }
            Some(source) if source.starts_with("registry+") && text("checksum").is_some() => {}
            Some(source) => findings.push(format!("{name} from {source}")),
        }
    }
    none("dependencies that no checksum of the registry holds", &findings);
    let mut expected: BTreeSet<_> = FENCES.iter().map(|fence| fence.name).collect();
    expected.extend(["patchd-tests", "xtask"]);
    assert_eq!(ours, expected);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let mut findings = Vec::new();
    let manifests = files().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    for manifest in manifests.filter(|manifest| !manifest.path.starts_with("tests/fuzz/")) {
        let inherits = table(&manifest.path)
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            findings.push(manifest.path);
        }
    }
    none("no `[lints] workspace = true`", &findings);
}

/// What a list of bans says: what it bans, and why.
fn bans(list: Option<&toml::Value>, key: &str) -> BTreeMap<String, String> {
    let entries = list.and_then(toml::Value::as_array).into_iter().flatten();
    let text =
        |entry: &toml::Value, key| entry.get(key).and_then(toml::Value::as_str).unwrap_or("").to_owned();
    entries.map(|entry| (text(entry, key), text(entry, "reason"))).collect()
}

#[test]
fn every_ban_has_a_reason() {
    let (clippy, deny) = (table("clippy.toml"), table("deny.toml"));
    let mut reasons = bans(clippy.get("disallowed-methods"), "path");
    assert!(!reasons.is_empty());
    let crates = bans(deny.get("bans").and_then(|bans| bans.get("deny")), "crate");
    assert_eq!(crates.keys().cloned().collect::<BTreeSet<_>>(), BANNED.map(str::to_owned).into());
    reasons.extend(crates);
    let bare = reasons.iter().filter(|(_, reason)| reason.split(' ').count() < 3);
    let findings: Vec<_> = bare.map(|(ban, reason)| format!("{ban}: {reason:?}")).collect();
    none("bans without a reason", &findings);
}
