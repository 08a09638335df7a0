//! Real lists of other machines: a Debian 12 with half of its packages, and an old Ubuntu.

use std::collections::{BTreeMap, BTreeSet};

use patchd_core::offer::Offers;
use patchd_core::problem::ProblemKind;

use crate::apt_lab::{Lab, ask, assert_same_candidates};
use crate::support::{content, data, put};

/// A root with the lists of a directory of the collection, each under its name without `.gz`.
fn lab_of(lists: &str, status: &str, sources: &str) -> Option<Lab> {
    let (lists, status) = (data(lists)?, data(status)?);
    let lab = Lab::new().file("var/lib/dpkg/status", content(&status)).file("etc/apt/sources.list", sources);
    for entry in std::fs::read_dir(lists).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".gz").to_owned();
        put(&lab.root, &format!("var/lib/apt/lists/{name}"), content(&path));
    }
    Some(lab)
}

const DEBIAN: &str = "deb http://deb.example.org/debian bookworm main\n\
    deb http://deb.example.org/debian bookworm-updates main\n\
    deb http://deb.example.org/debian-security bookworm-security main\n";

fn upgradable(offers: &Offers) -> BTreeMap<String, (String, bool)> {
    let known = offers.packages.iter().filter(|(_, known)| known.is_upgradable);
    known
        .map(|(id, known)| {
            let candidate = known.candidate().unwrap();
            (id.name.to_string(), (candidate.version.to_string(), offers.is_security(candidate)))
        })
        .collect()
}

#[test]
fn a_debian_with_half_of_its_packages() {
    let Some(lab) = lab_of("apt/debian12-half/lists", "apt/debian12-half/status.gz", DEBIAN) else {
        return;
    };
    let expected = String::from_utf8(content(&data("apt/debian12-half/upgradable.tsv").unwrap())).unwrap();
    let rows: Vec<Vec<&str>> = expected.lines().map(|line| line.split('\t').collect()).collect();
    let names: BTreeSet<&str> =
        rows.iter().filter(|row| row.len() > 1 && row[0] != "package").map(|row| row[0]).collect();
    let offers = lab.offers(false);
    let found = upgradable(&offers);
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    assert_eq!(found.values().filter(|(_, is_security)| *is_security).count(), 35);
    // Its security list was valid for a week, and this is long before it was made.
    assert!(offers.problems.iter().any(|problem| problem.kind == ProblemKind::NotYetValid));
    if let Some(oracle) = ask(&lab, &lab.inventory()) {
        assert_same_candidates("half a Debian", &lab.inventory(), &offers, &oracle);
    }
    // The same lists without a word of sources.
    let bare = lab_of("apt/debian12-half/lists", "apt/debian12-half/status.gz", "").unwrap();
    std::fs::remove_file(bare.root.path("etc/apt/sources.list")).unwrap();
    let bare = bare.offers(false);
    assert_eq!(upgradable(&bare), found);
    let titles = |offers: &Offers| offers.repositories.iter().map(|one| one.title()).collect::<BTreeSet<_>>();
    assert_eq!(titles(&bare), titles(&offers));
}

#[test]
fn holds_and_odd_states_of_a_debian() {
    let status = "apt/debian12-half/status-holds-and-odd-states.gz";
    let Some(lab) = lab_of("apt/debian12-half/lists", status, DEBIAN) else {
        return;
    };
    let offers = lab.offers(false);
    if let Some(oracle) = ask(&lab, &lab.inventory()) {
        assert_same_candidates("odd states", &lab.inventory(), &offers, &oracle);
    }
    let held = offers
        .packages
        .iter()
        .filter(|(_, known)| known.kept_back == Some(patchd_core::offer::KeptBack::Held));
    let held: Vec<_> = held.map(|(id, _)| id.name.as_str()).collect();
    let expected: Vec<_> = lab
        .inventory()
        .packages
        .iter()
        .filter(|package| {
            package.is_held() && offers.packages.get(&package.id).is_some_and(|known| known.is_upgradable)
        })
        .map(|package| package.id.name.to_string())
        .collect();
    assert_eq!(held, expected);
}

#[test]
fn an_old_ubuntu() {
    let sources = "deb http://archive.ubuntu.com/ubuntu lucid-updates main\n\
        deb http://archive.ubuntu.com/ubuntu lucid-security main\n";
    let Some(lab) = lab_of("apt/uu-rewind", "dpkg/uu-rewind.status", sources) else {
        return;
    };
    let offers = lab.offers(true);
    let inventory = lab.inventory();
    if let Some(oracle) = ask(&lab, &inventory) {
        assert_same_candidates("an old Ubuntu", &inventory, &offers, &oracle);
        if let Some(simulation) = &oracle.simulation {
            crate::apt_lab::assert_same_upgrade("an old Ubuntu", &inventory, &offers, simulation);
        }
    }
    assert!(!offers.packages.is_empty());
}
