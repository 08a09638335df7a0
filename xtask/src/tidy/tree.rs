//! What lies at the top of the repository.

use std::collections::BTreeSet;

use super::{files, none, workspace};

const FOLDERS: [&str; 6] = ["agent", "docs", "packaging", "systemd", "tests", "xtask"];
const FILES: [&str; 8] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
];

#[test]
fn the_top_level_is_the_table_of_contents() {
    let mut folders = BTreeSet::new();
    let mut unexpected = BTreeSet::new();
    for file in files() {
        match file.path.split_once('/') {
            Some((folder, _)) if !folder.starts_with('.') => {
                folders.insert(folder.to_owned());
            }
            None if !file.path.starts_with('.') && !FILES.contains(&file.path.as_str()) => {
                unexpected.insert(file.path);
            }
            _ => {}
        }
    }
    assert_eq!(folders, FOLDERS.map(str::to_owned).into());
    assert_eq!(unexpected, BTreeSet::new(), "files that the list in this test does not name");
    let missing: Vec<_> = FILES.into_iter().filter(|name| !workspace().root.join(name).is_file()).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn the_licence_is_apache_2() {
    let text = std::fs::read_to_string(workspace().root.join("LICENSE")).unwrap();
    let words: Vec<_> = text.split_whitespace().take(4).collect();
    assert_eq!(words, ["Apache", "License", "Version", "2.0,"]);
}

#[test]
fn the_gate_is_one_command() {
    let text = std::fs::read_to_string(workspace().root.join(".ci/run")).unwrap();
    let last = text.lines().last().unwrap();
    assert_eq!(last, "exec cargo xtask test");
}

#[test]
fn the_readme_leads_with_the_two_commands() {
    let text = std::fs::read_to_string(workspace().root.join("README.md")).unwrap();
    let first_screen: Vec<_> = text.lines().take(40).collect();
    let commands = ["cargo run --release -p patchctl -- scan --once", "cargo xtask test"];
    assert_eq!(crate::readme::commands(&text), commands);
    let mut findings = Vec::new();
    for command in commands {
        if !first_screen.iter().any(|line| line.trim() == command || line.starts_with(&format!("{command} ")))
        {
            findings.push(command.to_owned());
        }
    }
    none("not on a line of its own on the first screen of README.md", &findings);
}
