//! This very machine: its own apt against our readers, on its own lists and database.

use std::collections::BTreeMap;
use std::process::Stdio;

use jiff::Timestamp;
use patchd_core::inventory::Inventory;
use patchd_core::offer::{Method, Offers};
use patchd_core::plan::steps::{Step, cut};
use patchd_host::apt::native_apt::parse_policy;
use patchd_host::apt::simulation::Simulation;
use patchd_host::apt::{Options, read_offers};
use patchd_host::dpkg::read_inventory;
use patchd_host::root::Root;

use crate::apt_lab::{
    Lab, NOW, Oracle, ask, assert_same_candidates, assert_same_upgrade, full_names, listed_name,
};
use crate::apt_ties::{compare, sets, whole_plan};
use crate::support::{Answer, run};

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
        simulation: (simulated.code == Some(0))
            .then(|| Simulation::parse(&simulated.output, &inventory).unwrap()),
    };
    assert_same_candidates("this machine", &inventory, &offers, &oracle);
    if let Some(simulation) = &oracle.simulation {
        assert_same_upgrade("this machine", &inventory, &offers, simulation);
    }
    let (known, upgradable) = (offers.packages.len(), oracle.upgradable.len());
    eprintln!("{known} packages with sources, {upgradable} upgradable, {}", method(&offers));
}

#[test]
fn the_steps_of_the_machine_itself() {
    let root = Root::host();
    let inventory = read_inventory(&root);
    if run("/usr/bin/apt-get", &["--version"], Stdio::null()).is_none() {
        return;
    }
    let apt = |arguments: &[&str]| run("/usr/bin/apt-get", arguments, Stdio::null());
    let offers = read_offers(&root, &inventory, NOW.parse::<Timestamp>().unwrap(), &Options::default());
    let steps = whole_plan(&inventory, &offers).map(|plan| cut(&plan, &offers.ties)).unwrap_or_default();
    let found = differences(&steps, 2, &inventory, &apt);
    if read_inventory(&root).packages == inventory.packages {
        assert_eq!(found, Vec::<String>::new(), "{:?}", offers.method);
    } else {
        eprintln!("left out: the steps of this machine, since its packages changed meanwhile");
    }
}

/// What differs for as many beginnings and unions of the steps, and for all of them. apt takes seconds for each.
fn differences(
    steps: &[Step],
    sample: usize,
    inventory: &Inventory,
    apt: &impl Fn(&[&str]) -> Option<Answer>,
) -> Vec<String> {
    let largest = steps.iter().map(|step| step.changes.len()).max().unwrap_or_default();
    let all: Vec<_> = if steps.is_empty() { Vec::new() } else { sets(steps, 1, sample).collect() };
    let (prefixes, unions) = all.split_at(steps.len());
    let some = prefixes.iter().step_by(steps.len() / sample + 1).chain(prefixes.last()).chain(unions);
    let (held, found) = compare(steps, some.cloned(), inventory, apt).unwrap_or_default();
    eprintln!("{} steps, the largest of {largest}, {held} sets held against apt", steps.len());
    found
}

fn method(offers: &Offers) -> String {
    match &offers.method {
        Method::Native => "proven".to_owned(),
        Method::AskedPackageManager { because } => format!("asked, because {because}"),
    }
}

/// The status file with every third package at a version before all others, and no bounds on what any needs: sound, and
/// much in it can be upgraded. (apt takes half a minute for all of them.)
fn a_third_old(status: &str) -> String {
    let mut text = String::new();
    let mut count = 0;
    for line in status.lines() {
        let field = line.split(':').next().unwrap();
        count += u32::from(field == "Package");
        match field {
            "Breaks" | "Conflicts" => {}
            "Version" if count % 3 == 0 => text.push_str("Version: 0~old\n"),
            // What stays keeps what it is, or its needers would ask for another build of the very version.
            "Provides" if count % 3 != 0 => {
                text.push_str(line);
                text.push('\n');
            }
            "Depends" | "Pre-Depends" | "Recommends" | "Provides" => {
                let mut rest = line;
                while let Some((before, bound)) = rest.split_once(" (") {
                    text.push_str(before);
                    rest = bound.split_once(')').unwrap().1;
                }
                text.push_str(rest);
                text.push('\n');
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// This machine's sources and lists, with a third of its packages old.
fn old_machine() -> Option<Lab> {
    let names = ["/etc/apt/sources.list", "/etc/apt/sources.list.d", "/var/lib/apt/lists"];
    let status = std::fs::read_to_string("/var/lib/dpkg/status").unwrap_or_default();
    let architecture = run("/usr/bin/dpkg", &["--print-architecture"], Stdio::null());
    if architecture.is_none_or(|answer| answer.output.trim() != "amd64") || status.is_empty() {
        eprintln!("left out: this machine with a third of it old, since it is no amd64 Debian");
        return None;
    }
    let lab = Lab::new().file("var/lib/dpkg/status", a_third_old(&status));
    let mut lists = 0;
    for name in names {
        let files: Vec<_> = match std::fs::read_dir(name) {
            Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
            Err(_) => vec![name.into()],
        };
        for file in files.iter().filter(|file| file.is_file()) {
            if std::fs::copy(file, lab.root.path(file)).is_ok() {
                lists += u32::from(file.to_str().unwrap().contains("_Packages"));
            }
        }
    }
    if lists == 0 {
        eprintln!("left out: this machine with a third of it old, since it has no lists");
        return None;
    }
    Some(lab)
}

#[test]
fn the_machine_with_a_third_of_it_old() {
    let Some(lab) = old_machine() else {
        return;
    };
    let inventory = lab.inventory();
    let Some(oracle) = ask(&lab, &inventory) else {
        return;
    };
    let offers = lab.offers(true);
    assert_same_candidates("a third old", &inventory, &offers, &oracle);
    if let Some(simulation) = &oracle.simulation {
        assert_same_upgrade("a third old", &inventory, &offers, simulation);
    }
    let (upgradable, new) = (oracle.upgradable.len(), offers.new_packages.len());
    eprintln!("{upgradable} upgrades and {new} new packages, {}", method(&offers));
}

#[test]
fn the_steps_of_the_machine_with_a_third_of_it_old() {
    if let Some(lab) = old_machine() {
        let (inventory, offers) = (lab.inventory(), lab.offers(false));
        let steps = whole_plan(&inventory, &offers).map(|plan| cut(&plan, &offers.ties)).unwrap_or_default();
        let apt = |arguments: &[&str]| lab.apt("/usr/bin/apt-get", arguments);
        assert_eq!(differences(&steps, 1, &inventory, &apt), Vec::<String>::new());
    }
}
