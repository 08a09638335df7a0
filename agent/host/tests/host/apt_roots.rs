//! Candidates, upgrades and new packages of small prepared roots, each held against the real apt name by name.

use patchd_core::offer::{KeptBack, Need, Phase};
use patchd_core::package::{Architecture, PackageId, PackageName};

use crate::apt_lab::{Lab, Repo, check};

fn id(name: &str) -> PackageId {
    PackageId { name: PackageName::parse(name).unwrap(), architecture: Architecture::parse("amd64").unwrap() }
}

/// A repository "stable" with 2 of a and b, and "next" with 3.
fn two_suites(preferences: &str) -> Lab {
    Lab::new()
        .installed("a 1\nb 1\nc 1")
        .repo(&Repo::new("stable", "a 2; Source: src-ab\nb 2; Source: src-ab (1:2)\na 1\nc 1"))
        .repo(&Repo::new("next", "a 3; Source: src-ab\nb 3\nc 0.5\na 0.9").at("http://next.example.org/x/"))
        .preferences(preferences)
}

#[test]
fn pins_of_every_form() {
    let pins = [
        "",
        "Package: *\nPin: release a=next\nPin-Priority: 100\n",
        "Package: *\nPin: release a=nex?\nPin-Priority: -10\n",
        "Package: a\nPin: version 2\nPin-Priority: 600\n",
        "Package: a\nPin: version 2*\nPin-Priority: 600\n",
        "Package: a b\nPin: version 1\nPin-Priority: 600\n",
        "Package: a\nPin: version 1\nPin-Priority: 1000\n\nPackage: *\nPin: release n=code-next\nPin-Priority: 1\n",
        "Package: a\nPin: version 0.9\nPin-Priority: 999\n",
        "Package: a\nPin: version 0.9\nPin-Priority: 1000\n",
        "Package: a\nPin: version 0.9\nPin-Priority: 1001\n",
        "Package: c\nPin: version 0.5\nPin-Priority: 1001\n",
        "Package: g* a\nPin: release o=Toy\nPin-Priority: 42\n",
        "Package: /^[ab]$/\nPin: release l=Toy-next\nPin-Priority: -1\n",
        "Package: ?\nPin: release l=toy-NEXT\nPin-Priority: 7\n",
        "Package: *\nPin: origin next.example.org\nPin-Priority: 50\n",
        "Package: *\nPin: origin \"example.org\"\nPin-Priority: 501\n",
        "Package: *\nPin: origin *.example.org\nPin-Priority: 1\n",
        "Package: *\nPin: origin \"\"\nPin-Priority: 900\n",
        "Package: src:src-ab\nPin: release a=stable\nPin-Priority: 700\n",
        "Package: src:src-*\nPin: version 2\nPin-Priority: 700\n",
        "Package: a:amd64\nPin: release a=stable\nPin-Priority: 700\n",
        "Package: a:any b:i386\nPin: release a=stable\nPin-Priority: 700\n",
        "Package: a\nPin: release stable\nPin-Priority: 700\n",
        "Package: a\nPin: release code-stable\nPin-Priority: 700\n",
        "Package: a\nPin: release 12*\nPin-Priority: 700\n",
        "Package: a\nPin: release v=12.1, c=main, b=amd64\nPin-Priority: 700\n",
        "Package: a\nPin: release c=contrib\nPin-Priority: 700\n",
        "Package: *\nPin: release *\nPin-Priority: 30\n",
        "Package: *\nPin: release *\nPin-Priority: -1\n",
        "Package: *\nPin: release a=now\nPin-Priority: 600\n",
        "Package: a\nPin: release now\nPin-Priority: 99\n",
        "Package: a\nPin: release a=now\nPin-Priority: -1\n",
        "Package: *\nPin: release a=next\nPin-Priority: 600\n\nPackage: *\nPin: release a=next\nPin-Priority: 10\n",
        "Package: a\nPin: release a=next\nPin-Priority: 10\n\nPackage: a\nPin: version *\nPin-Priority: 800\n",
        "Package: *\nPin: release a=next\nPin-Priority: never\n\nPackage: a\nPin: version 3\nPin-Priority: 999\n",
        "Package: *\nPin: release a=next\nPin-Priority: 700\n\nPackage: *\nPin: release o=Toy\nPin-Priority: never\n",
        "Explanation: why\nPackage: a\n# a comment\nPin: release a=stable\nPin-Priority: 700x\n",
        "Package: *\nPin: version 1\nPin-Priority: 700\n\nPackage: a\nPin: version 1\nPin-Priority: 700\n",
        "package: A\npin: VERSION 2\npin-priority: 700\n",
        "Package: a\n b\nPin: release a=stable\nPin-Priority: 700\n",
        "Package: a\nPin: version /^[12]$/\nPin-Priority: 700\n",
        "Package: a\r\nPin: version 2\r\nPin-Priority: 700\r\n",
    ];
    for pins in pins {
        check(pins, &two_suites(pins), true);
    }
}

#[test]
fn a_default_release_comes_before_all_pins() {
    for release in ["stable", "next", "code-next", "a=next", "12.1", "s*"] {
        let lab = two_suites("Package: *\nPin: release a=next\nPin-Priority: 995\n")
            .file("etc/apt/apt.conf.d/99release", format!("APT::Default-Release \"{release}\";\n"));
        check(release, &lab, true);
    }
}

#[test]
fn automatic_or_not_is_for_the_repository_to_say() {
    for says in [
        "NotAutomatic: yes",
        "NotAutomatic: yes\nButAutomaticUpgrades: yes",
        "ButAutomaticUpgrades: yes",
        "NotAutomatic: no\nButAutomaticUpgrades: yes",
    ] {
        let lab = Lab::new()
            .installed("a 1\nb 1")
            .repo(&Repo::new("stable", "a 2"))
            .repo(&Repo::new("backports", "a 3\nb 2").says(says));
        check(says, &lab, true);
    }
}

#[test]
fn one_version_in_two_repositories_is_one_or_two() {
    let cases = [
        ("the same", "a 1", "a 1", "a 1"),
        ("other relations", "a 1", "a 1; Depends: c", "a 1; Depends: c"),
        ("rebuilt", "a 1; Depends: c", "a 1", "a 1"),
        ("other file", "a 1", "a 1", "a 1; Description: other"),
        ("other file of another size", "a 1", "a 1; Size: 2", "a 1; Size: 3"),
        ("equal versions of other text", "a 1.0", "a 1.0-0", "a 1.00"),
        ("an epoch of nothing", "a 0:1", "a 1", "a 0:1"),
        ("multi-arch", "a 1", "a 1; Multi-Arch: same", "a 1; Multi-Arch: foreign"),
        ("for all architectures", "a 1", "a 1; Architecture: all", "a 1"),
        ("newer in both", "a 1", "a 2; Depends: c", "a 2"),
    ];
    for (what, installed, one, two) in cases {
        for pins in ["", "Package: *\nPin: release a=two\nPin-Priority: 600\n"] {
            let lab = Lab::new()
                .installed(&format!("{installed}\nc 1"))
                .repo(&Repo::new("one", one))
                .repo(&Repo::new("two", two).at("http://two.example.org/"))
                .preferences(pins);
            check(what, &lab, true);
        }
    }
}

#[test]
fn holds_and_odd_states() {
    let lab = Lab::new()
        .installed("a 1; Status: hold ok installed\nb 1\nd 1; Status: deinstall ok config-files\ne 1; Status: deinstall ok installed")
        .repo(&Repo::new("stable", "a 2\nb 2\nd 2\ne 2"));
    if let Some(offers) = check("holds", &lab, true) {
        assert_eq!(offers.packages[&id("a")].kept_back, Some(KeptBack::Held));
        assert_eq!(offers.packages[&id("b")].kept_back, None);
    }
    let lab = lab.file("etc/apt/apt.conf", "APT::Ignore-Hold \"true\";");
    check("ignored holds", &lab, true);
    let broken = Lab::new()
        .installed("a 1; Status: install ok half-configured\nb 1")
        .repo(&Repo::new("stable", "a 2\nb 2"));
    check("half-configured", &broken, false);
}

#[test]
fn phased_updates_reach_each_machine_by_its_own_draw() {
    let percentages = [0, 10, 25, 50, 75, 90, 99, 100];
    let names: Vec<String> = (0..40).map(|at| format!("p{at}")).collect();
    let installed: String = names.iter().map(|name| format!("{name} 1\n")).collect();
    let offered: String = (names.iter().zip(percentages.iter().cycle()))
        .map(|(name, percentage)| {
            format!("{name} 2; Phased-Update-Percentage: {percentage}; Source: s{name} (2.1)\n")
        })
        .collect();
    for machine in ["0123456789abcdef0123456789abcdef\n", "ffffffffffffffffffffffffffffffff", "", "x\ny\n"] {
        let lab = Lab::new()
            .installed(&installed)
            .repo(&Repo::new("updates", &*offered))
            .file("etc/machine-id", machine);
        let Some(offers) = check(machine, &lab, true) else {
            return;
        };
        let waits = offers.packages.values().filter(|known| known.kept_back.is_some()).count();
        assert!(
            if machine.is_empty() { waits == 0 } else { (5..35).contains(&waits) },
            "{machine:?}: {waits}"
        );
        for setting in [
            "APT::Get::Always-Include-Phased-Updates",
            "Update-Manager::Never-Include-Phased-Updates",
            "APT::Machine-ID",
        ] {
            let conf = format!("{setting} \"yes\";");
            check(
                setting,
                &Lab::new()
                    .installed(&installed)
                    .repo(&Repo::new("updates", &*offered))
                    .file("etc/apt/apt.conf", conf),
                true,
            );
        }
    }
}

#[test]
fn a_security_update_below_frees_from_phasing() {
    let lab = Lab::new()
        .installed("a 1\nb 1\nc 1")
        .repo(&Repo::new("stable-security", "a 2\nb 1").at("http://security.example.org/"))
        .repo(&Repo::new("stable-updates", "a 3; Phased-Update-Percentage: 1\nb 3; Phased-Update-Percentage: 1\nc 3; Phased-Update-Percentage: 1"))
        .file("etc/machine-id", "ffffffffffffffffffffffffffffffff\n");
    if let Some(offers) = check("security below", &lab, true) {
        let phase = |name: &str| offers.packages[&id(name)].candidate().unwrap().phase;
        assert_eq!(phase("a"), Phase::Open);
        assert!(matches!(phase("b"), Phase::Waiting { percentage: 1 }));
        assert!(offers.packages[&id("a")].offers.iter().any(|offer| offers.is_security(offer)));
    }
}

#[test]
fn new_dependencies_are_found_and_named() {
    let stable = "a 2; Depends: n1 (>= 1), l\nn1 1; Depends: n2 | x\nn2 1; Pre-Depends: n3:any\nn3 1; Multi-Arch: allowed\nl 2\nb 2; Depends: n4 (>= 5) | n5\nn4 1\nn5 1; Architecture: all";
    let lab = Lab::new().installed("a 1\nl 1\nb 1").repo(&Repo::new("stable", stable));
    // A relation with :any is left to apt.
    if let Some(offers) = check("a qualified dependency", &lab, false) {
        assert_eq!(offers.new_packages.len(), 4);
    }
    let lab = Lab::new().installed("a 1\nl 1\nb 1").repo(&Repo::new("stable", stable.replace(":any", "")));
    if let Some(offers) = check("new dependencies", &lab, true) {
        let new: Vec<_> = offers.new_packages.iter().map(|new| new.id.to_string()).collect();
        assert_eq!(new, ["n1:amd64", "n2:amd64", "n3:amd64", "n5:all"]);
    }
}

#[test]
fn recommendations_count_where_apt_follows_them() {
    let stable = "a 2; Recommends: r1, old, gone | r2\nr1 1; Recommends: r3\nr2 1\nr3 1\nold 1\nb 2; Recommends: kept (>= 2)\nkept 2";
    let lab = || {
        Lab::new()
            .installed("a 1; Recommends: old\nb 1; Recommends: kept\nkept 1")
            .repo(&Repo::new("stable", stable))
    };
    if let Some(offers) = check("recommendations", &lab(), true) {
        let new: Vec<_> = offers.new_packages.iter().map(|new| new.id.name.as_str()).collect();
        assert_eq!(new, ["r1", "r2", "r3"]);
    }
    check("no recommendations", &lab().file("etc/apt/apt.conf.d/no", "APT::Install-Recommends \"0\";"), true);
}

#[test]
fn provided_names_meet_needs() {
    let lab = Lab::new()
        .installed("a 1; Depends: v\np 1; Provides: v\nq 1; Provides: w (= 1)\nb 1; Depends: w (>= 1)")
        .repo(&Repo::new(
            "stable",
            "a 2; Depends: v, w (>= 2)\np 2; Provides: v\nq 2; Provides: w (= 2)\nb 2; Depends: w (<< 3)",
        ));
    check("provides", &lab, true);
    let lab = Lab::new()
        .installed("a 1\np 1; Provides: v")
        .repo(&Repo::new("stable", "a 2; Depends: v\np 2\nx 1; Provides: v"));
    check("a provider among several", &lab, false);
}

#[test]
fn a_conflict_that_needs_a_removal_is_told() {
    let lab = Lab::new().installed("a 1\nb 1\nc 1").repo(&Repo::new("stable", "a 2; Conflicts: b\nc 2"));
    if let Some(offers) = check("a conflict", &lab, false) {
        let kept_back = &offers.packages[&id("a")].kept_back;
        assert!(
            matches!(kept_back, Some(KeptBack::RemovalRequired { packages }) if packages[0].as_str() == "b"),
            "{kept_back:?}"
        );
        assert_eq!(offers.packages[&id("c")].kept_back, None);
    }
    let lab = Lab::new()
        .installed("a 1\nb 1; Depends: a (<< 2)\nc 1; Depends: b")
        .repo(&Repo::new("stable", "a 2\nc 2; Depends: b"));
    check("a reverse dependency", &lab, false);
    let lab = Lab::new()
        .installed("a 1\nb 1\nc 1")
        .repo(&Repo::new("stable", "a 2; Breaks: b (<< 2)\nb 2\nc 2; Conflicts: c"));
    check("a break that an upgrade heals", &lab, true);
}

fn needs(text: &str, name: &str) -> KeptBack {
    let packages = vec![PackageName::parse(name).unwrap()];
    KeptBack::Dependency { on: Some(Need { text: text.to_owned(), packages }) }
}

#[test]
fn an_unmet_need_keeps_a_package_back() {
    let lab = Lab::new()
        .installed("a 1\nb 1\nc 1; Status: hold ok installed\nd 1; Depends: c (= 1)\ne 1; Depends: d (= 1)")
        .repo(&Repo::new(
            "stable",
            "a 2; Depends: nowhere (>= 3)\nb 2\nc 2\nd 2; Depends: c (= 2)\ne 2; Depends: d (= 2)",
        ));
    if let Some(offers) = check("unmet", &lab, false) {
        let on = |name: &str| offers.packages[&id(name)].kept_back.clone();
        assert_eq!(on("a"), Some(needs("nowhere (>= 3)", "nowhere")));
        assert_eq!(on("b"), None);
        assert_eq!(on("c"), Some(KeptBack::Held));
        assert_eq!(on("d"), Some(needs("c (= 2)", "c")));
        // What it needs could be had but for that.
        assert_eq!(on("e"), Some(needs("d (= 2)", "d")));
    }
    // Without apt it is said that the rest is not proven.
    let alone = lab.offers(false);
    assert!(alone.problems.iter().any(|problem| problem.message.contains("nowhere")), "{:?}", alone.problems);
    assert!(matches!(alone.packages[&id("a")].kept_back, Some(KeptBack::Dependency { .. })));
}

#[test]
fn a_host_that_is_broken_already_is_told() {
    let lab = Lab::new()
        .installed("a 1; Depends: nowhere\nb 1")
        .repo(&Repo::new("stable", "b 2\na 1; Depends: nowhere"));
    if let Some(offers) = check("broken today", &lab, true) {
        assert!(matches!(offers.packages[&id("b")].kept_back, Some(KeptBack::Dependency { .. })));
        assert!(
            offers.problems.iter().any(|problem| problem.message.contains("refuses")),
            "{:?}",
            offers.problems
        );
    }
}

#[test]
fn foreign_architectures_are_packages_of_their_own() {
    let stable = "a 2\na 3; Architecture: i386\nl 2; Multi-Arch: same\nl 2; Architecture: i386; Multi-Arch: same\nt 2; Multi-Arch: foreign\nx 2; Architecture: i386; Depends: t, l (= 2)\nall 2; Architecture: all";
    let lab = || {
        Lab::new()
            .with_architecture("i386")
            .installed("a 1; Architecture: i386\nl 1; Multi-Arch: same\nl 1; Architecture: i386; Multi-Arch: same\nt 1; Multi-Arch: foreign\nx 1; Architecture: i386; Depends: t, l (= 1)\nall 1; Architecture: all")
    };
    check("foreign", &lab().repo(&Repo::new("stable", stable)), true);
    for pins in [
        "Package: a\nPin: version *\nPin-Priority: -1\n",
        "Package: a:i386 all\nPin: version *\nPin-Priority: -1\n",
        "Package: *\nPin: release b=i386\nPin-Priority: -1\n",
    ] {
        // Without its twin of the other architecture, l can't go.
        let is_in_step = !pins.contains("b=i386");
        check(pins, &lab().repo(&Repo::new("stable", stable)).preferences(pins), is_in_step);
    }
    let uneven = stable.replace("l 2; Architecture: i386; Multi-Arch: same\n", "");
    check("out of step", &lab().repo(&Repo::new("stable", uneven)), false);
    let crossgrade = Lab::new()
        .installed("a 1; Architecture: all\nb 1")
        .repo(&Repo::new("stable", "a 2\nb 2; Architecture: all"));
    check("from one architecture to all", &crossgrade, true);
}

#[test]
fn essential_packages_come_with_every_upgrade() {
    let lab =
        Lab::new().installed("a 1").repo(&Repo::new("stable", "a 1\ne 1; Essential: yes; Depends: f\nf 1"));
    if let Some(offers) = check("essential", &lab, true) {
        assert_eq!(offers.new_packages.len(), 2);
    }
}

#[test]
fn an_untrusted_repository_counts_but_not_for_security() {
    let lab = Lab::new().installed("a 1").repo(&Repo::new("stable-security", "a 2").unsigned());
    if let Some(offers) = check("untrusted", &lab, true) {
        let offer = offers.packages[&id("a")].candidate().unwrap();
        assert!(!offers.is_security(offer));
        assert!(offers.problems.iter().any(|problem| problem.kind.code() == "unsigned"));
    }
    let trusted = Repo::new("stable-security", "a 2").unsigned();
    let lab = Lab::new()
        .installed("a 1")
        .lists(&trusted)
        .file("etc/apt/sources.list", "deb [trusted=yes] http://example.org/toy stable-security main");
    if let Some(offers) = check("marked trusted", &lab, true) {
        assert!(offers.is_security(offers.packages[&id("a")].candidate().unwrap()));
    }
}

#[test]
fn lists_in_every_compression_are_read() {
    for suffix in ["", ".gz", ".xz", ".lzma", ".lz4", ".zst"] {
        let many: String = (0..3000).map(|at| format!("p{at} {at}; Section: s{}\n", at / 2)).collect();
        let repo = Repo::new("stable", format!("{many}a 2\nb 2")).compressed(suffix);
        let lab = Lab::new().installed("a 1\np2999 1\np0 0").repo(&repo);
        if let Some(offers) = check(suffix, &lab, true) {
            assert_eq!(offers.packages.len(), 3, "{suffix}");
            assert_eq!(offers.problems, [], "{suffix}");
        }
    }
}

#[test]
fn sources_of_every_form_are_joined_with_their_lists() {
    let flat = Repo::new("flat", "a 2").flat().at("http://flat.example.org/x/");
    check("flat", &Lab::new().installed("a 1").repo(&flat), true);
    let stanza = "Types: deb deb-src\nURIs: http://example.org/toy\nSuites: stable next\nComponents: main\n\
        Signed-By: /usr/share/keyrings/toy.gpg\nArchitectures: amd64\n\n\
        Enabled: no\nTypes: deb\nURIs: http://example.org/toy\nSuites: off\nComponents: main\n";
    let lab = Lab::new()
        .installed("a 1\nb 1\nc 1")
        .lists(&Repo::new("stable", "a 2"))
        .lists(&Repo::new("next", "b 2"))
        .lists(&Repo::new("off", "c 2"))
        .file("etc/apt/sources.list.d/toy.sources", stanza)
        .file("etc/apt/sources.list.d/ignored.save", "deb http://example.org/toy off main\n")
        .file("etc/apt/sources.list.d/.hidden.list", "deb http://example.org/toy off main\n");
    if let Some(offers) = check("deb822", &lab, true) {
        assert_eq!(offers.repositories.len(), 2);
        assert_eq!(offers.problems, []);
    }
    let odd = Repo::new("a/b", "a 2").at("http://u:p@example.org:8080/t_o~y/");
    if let Some(offers) = check("odd names", &Lab::new().installed("a 1").repo(&odd), true) {
        assert_eq!(offers.repositories[0].uri, "http://example.org:8080/t_o~y/");
        assert_eq!(offers.repositories[0].site, "example.org");
    }
    let arch =
        Lab::new().installed("a 1").lists(&Repo::new("stable", "a 2").at("http://example.org/amd64/")).file(
            "etc/apt/sources.list",
            "deb [arch=amd64,i386 signed-by=/x] http://example.org/$(ARCH) stable main # here\n",
        );
    check("a variable", &arch, true);
    let moved = Lab::new()
        .installed("a 1")
        .lists(&Repo::new("stable", "a 2"))
        .file("etc/apt/other.list", "deb http://example.org/toy stable main\n")
        .file("etc/apt/apt.conf.d/1", "Dir::Etc { sourcelist \"other.list\"; };\n");
    check("a moved sources file", &moved, true);
}

#[test]
fn a_root_of_lists_alone_takes_each_for_a_source() {
    let named = Lab::new()
        .installed("a 1\nb 1")
        .repo(&Repo::new("stable-security", "a 2"))
        .repo(&Repo::new("x/y", "b 2"));
    let bare = Lab::new()
        .installed("a 1\nb 1")
        .lists(&Repo::new("stable-security", "a 2"))
        .lists(&Repo::new("x/y", "b 2"));
    let (named, bare) = (named.offers(false), bare.offers(false));
    assert_eq!(named.packages, bare.packages);
    assert_eq!(bare.repositories[0].distribution, "stable-security");
    assert_eq!(bare.repositories[1].distribution, "x/y");
    assert!(bare.is_security(bare.packages[&id("a")].candidate().unwrap()));
    assert_eq!(bare.problems.len(), 1);
}

#[test]
fn what_the_readers_do_not_follow_is_asked_for() {
    let lab = two_suites("Package: *\nPin: release a=next\nPin-Priority: 1\n")
        .file("etc/apt/apt.conf", "APT::Get::Phase-Policy \"true\";");
    if let Some(offers) = check("a policy of phases", &lab, false) {
        assert!(offers.problems.iter().any(|problem| problem.kind.code() == "unknown_feature"));
    }
}

#[test]
fn settings_of_another_root_that_can_name_programs_are_withheld_from_apt() {
    for setting in ["APT::Solver \"/root/evil\";", "#include \"/etc/passwd\";"] {
        let lab = two_suites("").file("etc/apt/apt.conf.d/1", setting);
        let offers = lab.offers(true);
        let told = offers.problems.iter().find(|problem| problem.kind.code() == "unknown_feature").unwrap();
        assert_eq!(told.weight, patchd_core::problem::Weight::Incomplete);
        assert!(told.message.contains("another root"), "{told}");
    }
    // Names of programs and hooks are no candidates' business, and don't reach apt either.
    let hooks = "Dir::Bin::dpkg \"/root/evil\"; DPkg::Pre-Invoke { \"/root/evil\"; }; APT::Get::Phase-Policy \"true\";";
    let lab = two_suites("").file("etc/apt/apt.conf.d/1", hooks);
    let offers = lab.offers(true);
    assert!(offers.problems.iter().all(|problem| problem.weight == patchd_core::problem::Weight::Notice));
}

#[test]
fn preferences_that_disable_apt_are_told() {
    for pins in [
        "Package: a\nPin: release a=next\nPin-Priority: 0\n\nPackage: b\nPin: version 1\nPin-Priority: 999\n",
        "Pin: version 1\nPin-Priority: 3\n",
    ] {
        let lab = two_suites(pins);
        let offers = lab.offers(false);
        let told = offers.problems.iter().find(|problem| problem.message.contains("apt-get refuses"));
        assert_eq!(told.unwrap().weight, patchd_core::problem::Weight::Incomplete);
        if let Some(answer) = lab.apt("/usr/bin/apt-get", &["-s", "dist-upgrade"]) {
            assert_eq!(answer.code, Some(100));
        }
    }
}

#[test]
fn lists_have_the_names_that_apt_gives_them() {
    use patchd_host::apt::list_files::{file_name, index_uri, repository_uri};
    use patchd_host::apt::sources::parse;

    let sources = "deb http://example.org/debian stable main contrib\n\
        deb http://u:p@example.org:8080/a_b/c~d%20e stable/updates main\n\
        deb mirror+file:///etc/apt/mirrors/debian.list stable main\n\
        deb mirror+file:/etc/apt/mirrors/x.list stable main\n\
        deb file:/srv/repo ./\ndeb file:///srv/flat /\ndeb copy:/srv/a+b sub/dir/\n\
        deb cdrom:[Disc 1/2]/ stable main\n\
        deb http://[::1]:80/x stable main\ndeb http://tor.example.org/$(ARCH)/y stable main\n\
        deb http://example.org/debian other non-free/sub\n";
    let lab = Lab::new().file("etc/apt/sources.list", sources);
    let Some(answer) = lab.apt("/usr/bin/apt-get", &["update", "--print-uris"]) else {
        return;
    };
    let theirs: std::collections::BTreeSet<&str> =
        answer.output.lines().filter_map(|line| line.rsplit_once("' ")?.1.split(' ').next()).collect();
    let (found, _) = parse(sources.as_bytes(), "sources", false, &["amd64".to_owned()]);
    assert_eq!(found.sources.len(), 12);
    for source in found.sources {
        let release = file_name(&repository_uri(&source.uri, &source.distribution)) + "InRelease";
        assert!(theirs.contains(release.as_str()), "{release} is not in {theirs:?}");
        let index = file_name(&index_uri(&source.uri, &source.distribution, &source.component, "amd64"));
        let is_there = theirs.iter().any(|name| name.trim_end_matches(".xz") == index);
        assert!(is_there, "{index} is not in {theirs:?}");
    }
}
