//! This very machine: its own apt against our readers, on its own lists and database.

use std::collections::BTreeMap;
use std::process::Stdio;

use jiff::Timestamp;
use patchd_core::offer::Method;
use patchd_host::apt::native_apt::{parse_policy, parse_simulation};
use patchd_host::apt::{Options, read_offers};
use patchd_host::dpkg::read_inventory;
use patchd_host::root::Root;

use crate::apt_lab::{NOW, Oracle, assert_same_candidates, assert_same_upgrade, full_names, listed_name};
use crate::support::run;

#[test]
fn the_machine_itself() {
    let root = Root::host();
    let inventory = read_inventory(&root);
    let names: Vec<String> = full_names(&inventory).collect();
    let arguments: Vec<&str> = ["policy"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let Some(policy) = run("/usr/bin/apt-cache", &arguments, Stdio::null()) else {
        return;
    };
    let policy = parse_policy(&policy.output);
    let list = run("/usr/bin/apt", &["list", "--upgradable"], Stdio::null()).unwrap();
    let simulated = run("/usr/bin/apt-get", &["-s", "dist-upgrade"], Stdio::null()).unwrap();
    let offers = read_offers(&root, &inventory, NOW.parse::<Timestamp>().unwrap(), &Options::default());
    // Somebody may install a package while the test runs: then there is nothing to compare.
    if read_inventory(&root).packages != inventory.packages {
        eprintln!("left out: this machine, since its packages changed meanwhile");
        return;
    }
    let upgradable = list.output.lines().filter(|line| line.contains("[upgradable from: "));
    let oracle = Oracle {
        candidates: policy.iter().map(|answer| (answer.name.clone(), answer.candidate.clone())).collect(),
        versions: policy.into_iter().map(|answer| (answer.name, answer.versions)).collect::<BTreeMap<_, _>>(),
        upgradable: upgradable.map(listed_name).collect(),
        simulation: (simulated.code == Some(0)).then(|| parse_simulation(&simulated.output)),
    };
    assert_same_candidates("this machine", &inventory, &offers, &oracle);
    if let Some(simulation) = &oracle.simulation {
        assert_same_upgrade("this machine", &inventory, &offers, simulation);
    }
    let method = match &offers.method {
        Method::Native => "proven".to_owned(),
        Method::AskedPackageManager { because } => format!("asked, because {because}"),
    };
    let (known, upgradable) = (offers.packages.len(), oracle.upgradable.len());
    eprintln!("{known} packages with sources, {upgradable} upgradable, {method}");
}
