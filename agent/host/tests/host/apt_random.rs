//! Small repositories, preferences and installed versions made up at random, each held against `apt-cache policy`.

use crate::apt_lab::{Lab, Repo, ask, assert_same_candidates, assert_same_upgrade};

/// A generator whose numbers depend on its seed alone (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn one(&mut self, all: &[&'static str]) -> &'static str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

const SUITES: [&str; 4] = ["stable", "stable-updates", "testing", "extra"];
const SITES: [&str; 3] = ["http://example.org/toy/", "http://b.example.org/", "file:/nowhere/repo/"];
const VERSIONS: [&str; 10] = ["1", "1.0", "1.0-0", "1.0~rc1", "1:0.5", "2", "2+b1", "0:2", "3~", "3"];
const PACKAGES: [&str; 12] =
    ["a", "ab", "abc", "b", "b-common", "lib1", "lib2", "lib-dev", "x", "y", "zz", "zz-doc"];
const NAMES: [&str; 16] = [
    "*", "a", "b", "ab", "lib*", "?", "/^z/", "src:s1", "src:s*", "a:any", "x:amd64", "y:i386", "a b lib1",
    "[a-b]*", "zz*", "*:any",
];
const PINS: [&str; 24] = [
    "release a=stable",
    "release a=stable*",
    "release n=code-testing",
    "release o=Toy",
    "release l=toy-extra",
    "release v=12.1",
    "release v=12*",
    "release c=main",
    "release b=amd64",
    "release a=testing, o=Toy",
    "release o=Nobody",
    "release testing",
    "release 12.1",
    "release *",
    "release a=now",
    "release /^s/",
    "version 1.0*",
    "version 2",
    "version 1",
    "version /^[12]/",
    "origin example.org",
    "origin *.example.org",
    "origin \"\"",
    "origin b.example.org",
];
const PRIORITIES: [&str; 14] =
    ["-10", "-1", "1", "50", "99", "100", "101", "500", "501", "990", "999", "1000", "1001", "never"];

fn stanza(random: &mut Random, name: &str) -> String {
    let version = random.one(&VERSIONS);
    let mut line = format!("{name} {version}");
    match random.below(6) {
        0 => line.push_str("; Depends: x"),
        1 => line.push_str("; Source: s1"),
        2 => line.push_str("; Source: s2 (9)"),
        3 => line.push_str("; Installed-Size: 11"),
        _ => {}
    }
    line + "\n"
}

fn preferences(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(6) {
        let (name, pin, priority) = (random.one(&NAMES), random.one(&PINS), random.one(&PRIORITIES));
        // What disables apt has tests of its own.
        if priority == "never" && name != "*" {
            continue;
        }
        text.push_str(&format!("Package: {name}\nPin: {pin}\nPin-Priority: {priority}\n\n"));
    }
    text
}

fn lab(seed: u64) -> (Lab, String) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let installed: String = PACKAGES.iter().map(|name| stanza(&mut random, name)).collect();
    let preferences = preferences(&mut random);
    let mut lab = Lab::new().installed(&installed).preferences(&preferences);
    let mut told = format!("installed:\n{installed}\npreferences:\n{preferences}\n");
    for suite in SUITES {
        if random.below(4) == 0 {
            continue;
        }
        let mut packages = String::new();
        for name in PACKAGES {
            for _ in 0..random.below(3) {
                packages.push_str(&stanza(&mut random, name));
            }
        }
        let mut repo = Repo::new(suite, &*packages).at(random.one(&SITES));
        match random.below(5) {
            0 => repo = repo.says("NotAutomatic: yes"),
            1 => repo = repo.says("NotAutomatic: yes\nButAutomaticUpgrades: yes"),
            _ => {}
        }
        told.push_str(&format!("{suite} at {} says {:?}:\n{packages}\n", repo.uri, repo.release));
        lab = lab.repo(&repo);
    }
    if random.below(4) == 0 {
        lab = lab.file("etc/apt/apt.conf", "APT::Default-Release \"s*\";");
        told.push_str("default release s*\n");
    }
    (lab, told)
}

const RELATIONS: [&str; 22] = [
    "Depends: lib1",
    "Depends: lib1 (>= 2)",
    "Depends: lib2 (<< 3), lib1",
    "Depends: new1",
    "Depends: new1 (>= 2)",
    "Depends: new1 | new2",
    "Depends: nowhere | new2",
    "Depends: v",
    "Depends: v | new3",
    "Pre-Depends: new3",
    "Recommends: new2",
    "Recommends: new3 | x, nowhere",
    "Recommends: lib-dev",
    "Breaks: b (<< 2)",
    "Breaks: lib2 (<< 2), x (>> 9)",
    "Conflicts: zz-doc (<< 1)",
    "Conflicts: new2",
    "Provides: v",
    "Provides: new1 (= 2)",
    "Multi-Arch: foreign",
    "Phased-Update-Percentage: 40",
    "Phased-Update-Percentage: 0",
];

/// A host that is sound, and repositories that may ask for anything.
fn related_lab(seed: u64) -> (Lab, String) {
    let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1);
    let installed: String = PACKAGES
        .iter()
        .map(|name| match random.below(12) {
            0 => format!("{name} 1; Status: hold ok installed\n"),
            1 => format!("{name} 1; Provides: v\n"),
            2 => format!("{name} 1; Recommends: lib-dev, new2\n"),
            3 => format!("{name} 1; Depends: lib1\n"),
            4 => format!("{name} 1; Depends: lib2 (<< 2)\n"),
            _ => format!("{name} 1\n"),
        })
        .collect();
    let mut packages = String::new();
    for name in PACKAGES.iter().chain(&["new1", "new2", "new3"]) {
        if random.below(3) == 0 {
            continue;
        }
        packages.push_str(&format!("{name} {}", random.one(&["1", "2", "3"])));
        if random.below(3) == 0 {
            packages.push_str(&format!("; {}", random.one(&RELATIONS)));
        }
        packages.push('\n');
    }
    let told = format!("installed:\n{installed}\noffered:\n{packages}\n");
    (Lab::new().installed(&installed).repo(&Repo::new("stable", packages)), told)
}

#[test]
fn random_hosts_have_the_candidates_that_apt_gives_them() {
    for seed in 1..=40 {
        let (lab, told) = lab(seed);
        let inventory = lab.inventory();
        let Some(oracle) = ask(&lab, &inventory) else {
            return;
        };
        // A default release that no source has is an error, and apt says nothing more.
        if oracle.candidates.is_empty() {
            continue;
        }
        assert_same_candidates(&format!("seed {seed}\n{told}"), &inventory, &lab.offers(false), &oracle);
    }
}

#[test]
fn what_is_proven_of_random_upgrades_is_what_apt_does() {
    let (mut proven, mut asked) = (0, 0);
    for seed in 1..=60 {
        let (lab, told) = related_lab(seed);
        let what = format!("seed {seed}\n{told}");
        let inventory = lab.inventory();
        let Some(oracle) = ask(&lab, &inventory) else {
            return;
        };
        let alone = lab.offers(false);
        assert_same_candidates(&what, &inventory, &alone, &oracle);
        let Some(simulation) = oracle.simulation else {
            continue;
        };
        if alone.problems.is_empty() {
            assert_same_upgrade(&what, &inventory, &alone, &simulation);
            proven += 1;
        } else {
            assert_same_upgrade(&what, &inventory, &lab.offers(true), &simulation);
            asked += 1;
        }
    }
    assert!(10 < proven && 5 < asked, "{proven} proven, {asked} asked for");
}
