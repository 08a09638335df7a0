//! What apt and dpkg themselves say of a root, in words that can be compared with ours. It judges nothing.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::apt_root::AptRoot;

/// One line of `apt-get -s`: `Inst NAME [OLD] (NEW RELEASE… [ARCHITECTURE])`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Simulated {
    /// `None` if it is not installed yet.
    pub old: Option<String>,
    pub new: String,
    /// The releases that have it: `Debian-Security:stable-security`.
    pub releases: String,
}

/// What `apt-get -s dist-upgrade` would install, by name.
pub fn dist_upgrade(root: &AptRoot) -> Result<BTreeMap<String, Simulated>> {
    let output = root.run(["apt-get", "-s", "dist-upgrade"])?.stdout;
    let lines = output.lines().filter_map(|line| line.strip_prefix("Inst "));
    lines.map(|line| simulated(line).with_context(|| format!("reading `Inst {line}`"))).collect()
}

fn simulated(line: &str) -> Option<(String, Simulated)> {
    let (name, rest) = line.split_once(' ')?;
    let (old, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once("] ").map(|(old, rest)| (Some(old.to_owned()), rest))?,
        None => (None, rest),
    };
    let (inside, _) = rest.strip_prefix('(')?.rsplit_once(" [")?;
    let (new, releases) = inside.split_once(' ')?;
    Some((name.to_owned(), Simulated { old, new: new.to_owned(), releases: releases.to_owned() }))
}

/// What `apt list --upgradable` lists: name to installed and newest version.
pub fn upgradable(root: &AptRoot) -> Result<BTreeMap<String, (String, String)>> {
    let output = root.run(["apt", "list", "--upgradable"])?.stdout;
    let lines = output.lines().filter(|line| line.contains("[upgradable from: "));
    lines.map(|line| upgrade(line).with_context(|| format!("reading `{line}`"))).collect()
}

fn upgrade(line: &str) -> Option<(String, (String, String))> {
    let (name, rest) = line.split_once('/')?;
    let new = rest.split(' ').nth(1)?;
    let old = rest.split_once("[upgradable from: ")?.1.strip_suffix(']')?;
    Some((name.to_owned(), (old.to_owned(), new.to_owned())))
}

/// What dpkg-query has of every package whose files are there: `name architecture` to `version status`.
pub fn installed(root: &AptRoot) -> Result<BTreeMap<String, String>> {
    let format = "-f=${Package} ${Architecture}|${Version} ${db:Status-Status}\n";
    let output = root.run(["dpkg-query", "-W", format])?.stdout;
    let rows = output.lines().filter_map(|line| line.split_once('|'));
    let is_there = |state: &str| !state.ends_with(" config-files") && !state.ends_with(" not-installed");
    Ok(rows.filter(|(_, state)| is_there(state)).map(|(key, state)| (key.into(), state.into())).collect())
}
