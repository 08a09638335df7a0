//! The steps of a plan against the real apt: asked for the installed packages of any steps, it must change exactly what is
//! in them, in prepared roots and in random ones.

use std::collections::BTreeSet;

use patchd_core::inventory::Inventory;
use patchd_core::offer::{Method, Offers};
use patchd_core::package::PackageId;
use patchd_core::plan::steps::{Bond, Step, cut};
use patchd_core::plan::{Plan, PlannedChange};
use patchd_host::apt::native_apt::full_name;
use patchd_host::apt::simulation::Simulation;

use crate::apt_lab::{Lab, Repo};
use crate::support::{Answer, Numbers};

/// Everything that is not kept back, and what comes new with it.
pub(crate) fn whole_plan(inventory: &Inventory, offers: &Offers) -> Option<Plan> {
    let upgrades = inventory.packages.iter().filter_map(|package| {
        let known = offers.packages.get(&package.id)?;
        let to = known.candidate()?.version.clone();
        // Another build of the very version is none that a plan could name.
        let goes = known.is_upgradable && known.kept_back.is_none() && to != package.version;
        let (package, from) = (package.id.clone(), Some(package.version.clone()));
        goes.then_some(PlannedChange { package, from, to })
    });
    // Those that only come with upgrades that cost a removal are tied to nothing.
    let is_tied = |id: &PackageId| offers.ties.iter().any(|tie| tie.on == *id);
    let new = offers.new_packages.iter().filter(|new| is_tied(&new.id)).map(|new| PlannedChange {
        package: new.id.clone(),
        from: None,
        to: new.version.clone(),
    });
    Plan::try_new(upgrades.chain(new).collect()).ok()
}

/// What apt would change if it were asked for the installed packages of some steps, or why it would not.
fn simulate(
    steps: &[&Step],
    inventory: &Inventory,
    apt: &impl Fn(&[&str]) -> Option<Answer>,
) -> Option<Result<BTreeSet<String>, String>> {
    let native = inventory.native.as_str();
    let name = |id: &PackageId| full_name(id.name.as_str(), id.architecture.as_str(), native);
    let changes = || steps.iter().flat_map(|step| &step.changes);
    let named: Vec<String> = changes()
        .filter(|change| change.from.is_some())
        .map(|change| format!("{}={}", name(&change.package), change.to))
        .collect();
    if named.is_empty() {
        return Some(Err(format!("to be asked for nothing: {steps:?}")));
    }
    let by_name = "APT::Get::Upgrade-By-Source-Package=false";
    let arguments = ["-s", "-y", "--no-remove", "--only-upgrade", "-o", by_name, "install"];
    let arguments: Vec<&str> = arguments.into_iter().chain(named.iter().map(String::as_str)).collect();
    let answer = apt(&arguments)?;
    if answer.code != Some(0) {
        return Some(Err(format!("{}{}", answer.output, answer.errors)));
    }
    let simulation = Simulation::parse(&answer.output, inventory).unwrap();
    // Two packages whose old and new versions clash with each other's: apt takes one away for a moment.
    let comes_back = |gone: &PackageId| simulation.changes.iter().any(|change| change.package == *gone);
    assert!(simulation.removals.iter().all(comes_back), "{:?}", simulation.removals);
    // Another build of the very version is none that a plan could name.
    let found = simulation.changes.iter().filter(|change| change.from.as_ref() != Some(&change.to));
    Some(Ok(found.map(shown).collect()))
}

fn shown(change: &PlannedChange) -> String {
    format!("{}={}", change.package, change.to)
}

/// Every step with what it must come after, and some more of them at random.
fn closed_union(steps: &[Step], numbers: &mut Numbers) -> Vec<usize> {
    let mut pending: Vec<usize> = (0..=numbers.below(3)).map(|_| numbers.below(steps.len())).collect();
    let mut union = BTreeSet::new();
    while let Some(at) = pending.pop() {
        if union.insert(at) {
            pending.extend(&steps[at].after);
        }
    }
    union.into_iter().collect()
}

/// Holds every set of `sets` against apt; how many were held, and what differs.
pub(crate) fn compare(
    steps: &[Step],
    sets: impl Iterator<Item = Vec<usize>>,
    inventory: &Inventory,
    apt: &impl Fn(&[&str]) -> Option<Answer>,
) -> Option<(usize, Vec<String>)> {
    let (mut held, mut differences) = (0, Vec::new());
    for set in sets.collect::<BTreeSet<_>>() {
        let chosen: Vec<&Step> = set.iter().map(|&at| &steps[at]).collect();
        let wanted = chosen.iter().flat_map(|step| &step.changes).map(shown).collect();
        match simulate(&chosen, inventory, apt)? {
            Ok(found) if found == wanted => {}
            Ok(found) => {
                let more: Vec<_> = found.difference(&wanted).collect();
                let less: Vec<_> = wanted.difference(&found).collect();
                differences.push(format!(
                    "{} steps, the last {:?}: apt has {more:?} more, {less:?} less",
                    set.len(),
                    set.last()
                ));
            }
            Err(refusal) => differences.push(format!(
                "{} steps, the last {:?}: apt refuses {refusal}",
                set.len(),
                set.last()
            )),
        }
        held += 1;
    }
    Some((held, differences))
}

/// Every beginning of the steps, and random unions of them.
pub(crate) fn sets(steps: &[Step], seed: u64, unions: usize) -> impl Iterator<Item = Vec<usize>> {
    let mut numbers = Numbers::new(seed);
    let prefixes = (1..=steps.len()).map(|end| (0..end).collect());
    let unions: Vec<_> = (0..unions).map(|_| closed_union(steps, &mut numbers)).collect();
    prefixes.chain(unions)
}

fn steps_of(lab: &Lab, offers: &Offers) -> Vec<Step> {
    let inventory = lab.inventory();
    whole_plan(&inventory, offers).map(|plan| cut(&plan, &offers.ties)).unwrap_or_default()
}

/// The steps of a root are these, and they are apt's. Its upgrade must be proven.
#[track_caller]
fn check(what: &str, lab: &Lab, expected: &[&str]) {
    let offers = lab.offers(true);
    assert_eq!(offers.method, Method::Native, "{what}");
    let steps = steps_of(lab, &offers);
    let shown: Vec<String> = steps
        .iter()
        .map(|step| {
            step.packages().map(|id| id.to_string().replace(":amd64", "")).collect::<Vec<_>>().join(" ")
        })
        .collect();
    assert_eq!(shown, expected, "{what}: {:?}", offers.ties);
    if let Some((_, differences)) = compare(&steps, sets(&steps, 1, 8), &lab.inventory(), &|arguments| {
        lab.apt("/usr/bin/apt-get", arguments)
    }) {
        assert_eq!(differences, Vec::<String>::new(), "{what}");
    }
}

fn lab(installed: &str, offered: &str) -> Lab {
    Lab::new().installed(installed).repo(&Repo::new("stable", offered))
}

#[test]
fn what_is_needed_goes_first_or_along() {
    check("alone", &lab("a 1\nb 1", "a 2\nb 2"), &["a", "b"]);
    check("met by both", &lab("a 1; Depends: b\nb 1", "a 2; Depends: b (>= 1)\nb 2"), &["a", "b"]);
    check("met by the new one", &lab("a 1\nb 1", "a 2; Depends: b (>= 2)\nb 2"), &["b", "a"]);
    let exact = lab("a 1; Depends: b (= 1)\nb 1", "a 2; Depends: b (= 2)\nb 2");
    check("exactly the same", &exact, &["a b"]);
    check("kept by the old one", &lab("a 1; Depends: b (<< 2)\nb 1", "a 2\nb 2"), &["a", "b"]);
    let moved = lab("a 1; Depends: v\nb 1; Provides: v\nc 1", "a 2; Depends: v\nb 2\nc 2; Provides: v");
    check("a virtual package moves", &moved, &["c", "a", "b"]);
    let stays = lab("a 1; Depends: v\nb 1; Provides: v\nc 1", "b 2\nc 2; Provides: v");
    check("of one that stays", &stays, &["c", "b"]);
    let either = lab("a 1\nb 1\nc 1", "a 2; Depends: n (>= 2) | c (>= 2) | b (>= 2)\nb 2\nc 2");
    check("one of two", &either, &["c", "a", "b"]);
    let itself = lab("a 1; Depends: v; Provides: v\nb 1", "a 2; Depends: v; Provides: v\nb 2; Provides: v");
    check("what it provides itself", &itself, &["a", "b"]);
}

#[test]
fn what_would_clash_goes_apart() {
    check("broken by the new one", &lab("a 1\nb 1", "a 2; Breaks: b (<< 2)\nb 2"), &["b", "a"]);
    check("broken by the old one", &lab("a 1; Breaks: b (>= 2)\nb 1", "a 2\nb 2"), &["a", "b"]);
    let both = lab("a 1; Conflicts: b (>= 2)\nb 1", "a 2; Breaks: b (<< 2)\nb 2");
    check("by both", &both, &["a b"]);
    let provided = lab("a 1; Conflicts: v\nb 1", "a 2\nb 2; Provides: v");
    check("by what it provides", &provided, &["a", "b"]);
}

#[test]
fn new_packages_go_with_one_that_needs_them() {
    let kernel = lab(
        "meta 1; Depends: image-1\nimage-1 1\nother 1",
        "meta 2; Depends: image-2\nimage-2 2; Depends: base (>= 2), tool (>= 2)\nbase 2\nother 2\ntool 2",
    );
    check("a chain", &kernel, &["base image-2 meta tool", "other"]);
    let shared = lab("a 1\nb 1", "a 2; Depends: n\nb 2; Depends: n\nn 1");
    check("needed twice", &shared, &["a n", "b"]);
    let recommended = lab("a 1\nb 1", "a 2; Recommends: n\nb 2\nn 1; Depends: b (>= 2)");
    check("recommended", &recommended, &["b", "a n"]);
    let unheeded = lab("a 1; Recommends: n", "a 2; Recommends: n\nn 1");
    check("not recommended any more than before", &unheeded, &["a"]);
    let breaking = lab("a 1\nb 1", "a 2; Depends: n\nb 2\nn 1; Breaks: b (<< 2)");
    check("a new one that breaks", &breaking, &["b", "a n"]);
    let newer = lab("a 1\nb 1", "a 2; Recommends: b (>= 2)\nb 2");
    check("a recommendation of what is there", &newer, &["b", "a"]);
}

#[test]
fn packages_of_one_source_go_together() {
    let offered = "a 2; Source: s\nb 2; Source: s\nc 2+b1; Source: s (2)\nd 2; Source: s (3)\ne 2";
    check("siblings", &lab("a 1\nb 1\nc 1\nd 1\ne 1", offered), &["a b c", "d", "e"]);
    let needed = lab("a 1\nb 1", "a 2; Source: s; Depends: b (>= 2)\nb 2; Source: s");
    let bonds: Vec<_> = needed.offers(true).ties.into_iter().map(|tie| tie.bond).collect();
    assert_eq!(bonds, [Bond::Needed, Bond::SameSource]);
}

#[test]
fn architectures_go_together_where_they_must() {
    let same = "l 1; Multi-Arch: same\nl 1; Architecture: i386; Multi-Arch: same\na 1\n\
        p 1; Architecture: i386; Depends: l (= 1)";
    let offered = "l 2; Multi-Arch: same\nl 2; Architecture: i386; Multi-Arch: same\na 2; Depends: l (>= 2)\n\
        p 2; Architecture: i386; Depends: l (= 2)";
    let lab = Lab::new().with_architecture("i386").installed(same).repo(&Repo::new("stable", offered));
    check("the same", &lab, &["l l:i386 p:i386", "a"]);
}

#[test]
fn what_is_kept_back_is_tied_to_nothing() {
    let lab = lab(
        "a 1; Status: hold ok installed\nb 1\nc 1",
        "a 2\nb 2; Depends: c (>= 2)\nc 2; Phased-Update-Percentage: 0",
    );
    let offers = lab.offers(true);
    let steps = steps_of(&lab, &offers);
    assert!(offers.packages.values().filter(|known| known.kept_back.is_some()).count() >= 2, "{steps:?}");
    assert_eq!(offers.ties, []);
}

const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];

/// Relations of installed packages that hold where all are at 1, and not always where they are at 2.
fn old_relation(numbers: &mut Numbers, names: &[&str]) -> String {
    let other = names[numbers.below(names.len())];
    match numbers.below(11) {
        0 => format!("; Depends: {other} (= 1)"),
        1 => format!("; Depends: {other} (<< 2)"),
        2 => format!("; Depends: {other}"),
        3 => format!("; Breaks: {other} (>> 1)"),
        4 => format!("; Conflicts: {other} (= 2)"),
        5 => "; Provides: v".to_owned(),
        6 => "; Provides: v (= 1), w".to_owned(),
        7 => format!("; Recommends: {other}, n2"),
        _ => String::new(),
    }
}

fn new_relation(numbers: &mut Numbers, names: &[&str]) -> String {
    let (other, another) = (names[numbers.below(names.len())], names[numbers.below(names.len())]);
    match numbers.below(18) {
        0 | 1 => format!("; Depends: {other} (= 2)"),
        2 | 3 => format!("; Depends: {other} (>= 2), {another}"),
        4 => format!("; Pre-Depends: {other} (>= 2)"),
        5 => format!("; Breaks: {other} (<< 2)"),
        6 => format!("; Conflicts: {other} (= 1), {another} (<< 2)"),
        7 => "; Provides: v (= 2)".to_owned(),
        8 => "; Provides: w".to_owned(),
        9 => "; Depends: n1".to_owned(),
        10 => format!("; Depends: n2 | {other}"),
        11 => format!("; Depends: {other} (>= 2) | n1"),
        12 => "; Recommends: n3".to_owned(),
        13 => format!("; Recommends: {other} (>= 2)"),
        14 => "; Depends: v".to_owned(),
        _ => String::new(),
    }
}

/// A host that is sound, with relations that tie its upgrades.
fn tied_lab(seed: u64) -> (Lab, String) {
    let mut numbers = Numbers::new(seed.wrapping_mul(0xd134_2543_de82_ef95));
    let provider = "p 1; Provides: v (= 1), w\n".to_owned();
    let installed: String = NAMES
        .iter()
        .map(|name| {
            let others: Vec<&str> = NAMES.iter().copied().filter(|other| other != name).collect();
            format!("{name} 1{}\n", old_relation(&mut numbers, &others))
        })
        .chain([provider])
        .collect();
    let mut offered = String::new();
    for name in NAMES.iter().chain(&["p", "n1", "n2", "n3"]) {
        let others: Vec<&str> = NAMES.iter().copied().filter(|other| other != name).collect();
        let source = if numbers.below(4) == 0 { "; Source: s" } else { "" };
        offered.push_str(&format!("{name} 2{source}{}\n", new_relation(&mut numbers, &others)));
    }
    (lab(&installed, &offered), format!("installed:\n{installed}\noffered:\n{offered}\n"))
}

#[test]
fn the_steps_of_random_hosts_are_those_of_apt() {
    let (mut proven, mut asked, mut held, mut many, mut off) = (0, 0, 0, 0, Vec::new());
    for seed in 1..=24 {
        let (lab, told) = tied_lab(seed);
        let Some(whole) = lab.apt("/usr/bin/apt-get", &["-s", "dist-upgrade"]) else {
            return;
        };
        let offers = lab.offers(true);
        let steps = steps_of(&lab, &offers);
        // apt finds no order for packages that pre-depend on each other, whatever it is asked for.
        if whole.code != Some(0) || steps.is_empty() {
            continue;
        }
        let apt = |arguments: &[&str]| lab.apt("/usr/bin/apt-get", arguments);
        let Some((count, differences)) = compare(&steps, sets(&steps, seed, 4), &lab.inventory(), &apt)
        else {
            return;
        };
        if offers.method == Method::Native {
            assert_eq!(differences, Vec::<String>::new(), "seed {seed}\n{told}{:?}", offers.ties);
            proven += 1;
        } else {
            off.extend(differences.iter().map(|_| seed));
            asked += 1;
        }
        held += count;
        many += usize::from(3 < steps.len());
    }
    eprintln!(
        "{proven} proven, {asked} asked for, {held} sets held, {many} with more than 3 steps, off: {off:?}"
    );
    assert!(
        12 < proven && 12 < many && off.len() < 10,
        "{proven} proven, {asked} asked for, {many} of many steps"
    );
}
