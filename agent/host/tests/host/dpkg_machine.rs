//! This very machine: its whole database against dpkg-query and apt-mark.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use patchd_core::inventory::{Inventory, Mark};
use patchd_host::dpkg::read_inventory;
use patchd_host::root::Root;

use crate::support::{ROW_FORMAT, dpkg_query, oracle_rows, rows, run};

/// Asks the oracle between two readings of ours that agree, since somebody may be installing packages meanwhile.
fn beside<T>(ask: impl Fn() -> Option<T>) -> Option<(Inventory, T)> {
    for _ in 0..10 {
        let before = read_inventory(&Root::host());
        let answer = ask()?;
        if before == read_inventory(&Root::host()) {
            return Some((before, answer));
        }
    }
    panic!("the package database of this machine does not rest");
}

#[test]
fn our_inventory_is_what_dpkg_query_lists() {
    let Some((inventory, answer)) = beside(|| dpkg_query(&Root::host(), ROW_FORMAT)) else {
        return;
    };
    assert_eq!(rows(&inventory), oracle_rows(&answer.output));
    eprintln!("{} packages agree", inventory.packages.len());
}

#[test]
fn ages_and_kinds_are_what_dpkg_query_says() {
    const FORMAT: &str = "${db:Status-Status}\t${Package}:${Architecture}\t${db-fsys:Last-Modified}\t${Priority}\t\
                          ${Section}\t${Essential}${Protected}\t${Multi-Arch}\n";
    let Some((inventory, answer)) = beside(|| dpkg_query(&Root::host(), FORMAT)) else {
        return;
    };
    let ours: BTreeSet<String> = inventory
        .packages
        .iter()
        .map(|package| {
            let age = package.installed_at.map_or(String::new(), |at| at.as_second().to_string());
            let same = if package.multi_arch_same { "same" } else { "" };
            let priority = package.priority.as_deref().unwrap_or_default();
            let section = package.section.as_deref().unwrap_or_default();
            format!("{}\t{age}\t{priority}\t{section}\t{}\t{same}", package.id, package.essential)
        })
        .collect();
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let [status, id, age, priority, section, essential, multi_arch] = fields.as_slice() else {
            panic!("{line}");
        };
        let same = if *multi_arch == "same" { "same" } else { "" };
        let is_installed = !matches!(*status, "config-files" | "not-installed");
        is_installed
            .then(|| format!("{id}\t{age}\t{priority}\t{section}\t{}\t{same}", essential.contains("yes")))
    };
    let theirs: BTreeSet<String> = answer.output.lines().filter_map(row).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn automatic_packages_are_those_that_apt_mark_shows() {
    let Some((inventory, answer)) = beside(|| run("/usr/bin/apt-mark", &["showauto"], Stdio::null())) else {
        return;
    };
    let mut ours = BTreeMap::<String, usize>::new();
    for package in inventory.packages.iter().filter(|package| package.mark == Mark::Automatic) {
        let is_native = [inventory.native.as_str(), "all"].contains(&package.id.architecture.as_str());
        let name = if is_native { package.id.name.to_string() } else { package.id.to_string() };
        *ours.entry(name).or_default() += 1;
    }
    let theirs: BTreeMap<String, usize> = answer.output.lines().map(|line| (line.to_owned(), 1)).collect();
    assert_eq!(ours, theirs);
}
