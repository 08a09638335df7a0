//! Damaged lists, sources and settings: told, bounded, and no loss of what is sound.

use patchd_core::offer::Offers;
use patchd_core::problem::{ProblemKind, Weight};

use crate::apt_lab::{Lab, Repo, stanzas};
use crate::support::put;

/// A list of some hundred kilobytes, the packages of interest at both ends.
fn repo(suffix: &'static str) -> Repo {
    let many: String = (0..4000).map(|at| format!("p{at} {at}; Section: s{}\n", at * 7919 % 1000)).collect();
    Repo::new("stable", format!("a 2\n{many}z 2")).compressed(suffix)
}

fn list_name(suffix: &str) -> String {
    format!("var/lib/apt/lists/example.org_toy_dists_stable_main_binary-amd64_Packages{suffix}")
}

#[track_caller]
fn assert_incomplete(what: &str, offers: &Offers, kinds: &[ProblemKind]) {
    let told = offers.problems.iter().find(|problem| kinds.contains(&problem.kind));
    assert!(told.is_some_and(|told| told.weight == Weight::Incomplete), "{what}: {:?}", offers.problems);
}

#[test]
fn a_cut_list_is_told_in_every_compression() {
    for suffix in [".gz", ".xz", ".lzma", ".lz4", ".zst"] {
        let repo = repo(suffix);
        let lab = Lab::new().installed("a 1\nz 1").repo(&repo);
        let path = lab.root.path(list_name(suffix));
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(lab.offers(false).packages.len(), 2, "{suffix}");
        for part in 0..16 {
            put(&lab.root, &list_name(suffix), &whole[..whole.len() * part / 16]);
            let offers = lab.offers(false);
            assert_incomplete(
                &format!("{suffix} cut at {part}/16"),
                &offers,
                &[ProblemKind::Truncated, ProblemKind::Malformed],
            );
            assert!(offers.packages.len() < 2, "{suffix}");
        }
        put(&lab.root, &list_name(suffix), &whole[..whole.len() - 1]);
        assert_incomplete(suffix, &lab.offers(false), &[ProblemKind::Truncated, ProblemKind::Malformed]);
        let mut wrong = whole.clone();
        let middle = wrong.len() / 2;
        wrong[middle..middle + 64].iter_mut().for_each(|byte| *byte = !*byte);
        put(&lab.root, &list_name(suffix), &wrong);
        // LZ4 of apt carries no checksum: what it decodes to is for the stanza reader to refuse.
        let offers = lab.offers(false);
        if suffix != ".lz4" {
            assert_incomplete(suffix, &offers, &[ProblemKind::Truncated, ProblemKind::Malformed]);
        }
    }
}

#[test]
fn a_plain_list_that_ends_in_a_line_loses_its_last_stanza_only() {
    let lab = Lab::new().installed("a 1\nz 1").repo(&Repo::new("stable", "a 2"));
    let text = stanzas("a 2\nz 2", false);
    put(&lab.root, &list_name(""), text.trim_end());
    let offers = lab.offers(false);
    assert_incomplete("cut", &offers, &[ProblemKind::Truncated]);
    assert_eq!(offers.packages.len(), 1);
}

#[test]
fn garbage_gigantic_stanzas_and_carriage_returns() {
    let sound = stanzas("a 2\nz 2", false);
    let gigantic = format!("Package: g\nVersion: 1\nDescription: {}\n\n", "x".repeat(3 << 20));
    let cases: [(&str, Vec<u8>, usize, bool); 6] = [
        ("carriage returns", sound.replace('\n', "\r\n").into_bytes(), 2, true),
        ("a gigantic stanza", [gigantic.as_bytes(), sound.as_bytes()].concat(), 2, false),
        ("bytes", (0..=255).cycle().take(1 << 20).collect(), 0, false),
        ("no newline at all", vec![b'x'; 5 << 20], 0, false),
        ("not UTF-8", [b"Package: \xff\xfe\nVersion: 1\n\n", sound.as_bytes()].concat(), 2, false),
        ("nothing", Vec::new(), 0, true),
    ];
    for (what, bytes, packages, is_sound) in cases {
        let lab = Lab::new().installed("a 1\nz 1").repo(&Repo::new("stable", "a 2"));
        put(&lab.root, &list_name(""), bytes);
        let offers = lab.offers(false);
        assert_eq!(offers.packages.len(), packages, "{what}");
        assert_eq!(offers.problems.is_empty(), is_sound, "{what}: {:?}", offers.problems);
        assert!(offers.problems.len() < 10, "{what}");
    }
}

#[test]
fn every_single_wrong_byte_of_a_small_root_is_survived() {
    let short = "a 2; Depends: b (>= 1) | c; Source: s (3)\nb 2; Breaks: a (<< 1); Provides: v (= 1)";
    let lab = Lab::new()
        .installed("a 1\nb 1")
        .repo(&Repo::new("stable", short))
        .preferences("Package: a\nPin: release a=stable, o=T*\nPin-Priority: 500\n");
    let files = [
        list_name(""),
        "var/lib/apt/lists/example.org_toy_dists_stable_InRelease".to_owned(),
        "etc/apt/preferences.d/toy".to_owned(),
        "etc/apt/sources.list".to_owned(),
    ];
    for file in files {
        let whole = std::fs::read(lab.root.path(&file)).unwrap();
        for at in 0..whole.len() {
            for byte in [b'\n', b':', 0xff] {
                let mut wrong = whole.clone();
                wrong[at] = byte;
                put(&lab.root, &file, &wrong);
                let offers = lab.offers(false);
                assert!(offers.problems.len() < 20, "{file} at {at}");
            }
        }
        put(&lab.root, &file, &whole);
    }
}

#[test]
fn a_missing_list_makes_the_assessment_incomplete() {
    let lab = Lab::new()
        .installed("a 1")
        .repo(&Repo::new("stable", "a 2"))
        .file("etc/apt/sources.list.d/more.list", "\ndeb https://user:secret@example.org/gone stable main\n");
    let offers = lab.offers(false);
    assert_incomplete("gone", &offers, &[ProblemKind::NotRefreshed]);
    let told = &offers.problems[0];
    assert_eq!((told.place.as_str(), told.line), ("/etc/apt/sources.list.d/more.list", Some(2)));
    assert!(
        told.message.contains("https://example.org/gone/ stable main") && !told.message.contains("secret")
    );
    let empty = Lab::new().installed("a 1").offers(false);
    assert_incomplete("no lists", &empty, &[ProblemKind::NotRefreshed]);
    assert_eq!(empty.refreshed_at, None);
    // A component that the repository does not have is none that is missing.
    let lab = Lab::new()
        .installed("a 1")
        .repo(&Repo::new("stable", "a 2"))
        .file("etc/apt/sources.list.d/more.list", "deb http://example.org/toy stable contrib\n");
    assert_eq!(lab.offers(false).problems, []);
}

#[test]
fn lists_out_of_their_time_make_the_assessment_incomplete() {
    let of = |says: &str| Lab::new().installed("a 1").repo(&Repo::new("stable", "a 2").says(says));
    let expired = of("Valid-Until: Sat, 14 Jun 2025 00:00:00 UTC").offers(false);
    assert_incomplete("expired", &expired, &[ProblemKind::Expired]);
    assert!(expired.problems[0].message.contains("2025-06-14T00:00:00Z"));
    assert!(expired.packages.values().all(|known| known.is_upgradable));
    assert_eq!(of("Valid-Until: Mon, 16 Jun 2025 00:00:00 UTC").offers(false).problems, []);
    // The administrator's own limit, counted from the list's date on the first of June.
    let limit = "Acquire::Max-ValidTime \"86400\";";
    let limited = of("X: y").file("etc/apt/apt.conf", limit).offers(false);
    assert_incomplete("limited", &limited, &[ProblemKind::Expired]);
    let longer = "Acquire::Min-ValidTime::Toy-stable \"8640000\";";
    let lab = of("Valid-Until: Mon, 02 Jun 2025 00:00:00 UTC").file("etc/apt/apt.conf", longer);
    assert_eq!(lab.offers(false).problems, []);
    let options = patchd_host::apt::Options::default();
    let later = "2099-01-01T00:00:00Z".parse().unwrap();
    let lab = of("X: y");
    let stale = patchd_host::apt::read_offers(&lab.root, &lab.inventory(), later, &options);
    assert_incomplete("stale", &stale, &[ProblemKind::Stale]);
    let earlier = "2025-05-31T23:59:49Z".parse().unwrap();
    let ahead = patchd_host::apt::read_offers(&lab.root, &lab.inventory(), earlier, &options);
    assert_incomplete("from the future", &ahead, &[ProblemKind::NotYetValid]);
}

#[test]
fn what_apt_refuses_is_told_with_its_place() {
    for (file, text) in [
        ("etc/apt/sources.list", "deb http://example.org/toy stable main\ndebb x y z\n"),
        ("etc/apt/sources.list.d/x.sources", "Types: deb\nURIs: http://example.org/toy\n"),
        ("etc/apt/apt.conf.d/x", "APT::x \"y\"\n"),
        ("etc/apt/preferences", "Package: a\nPin: version 1\nPin-Priority: 0\n"),
    ] {
        let lab = Lab::new().installed("a 1").repo(&Repo::new("stable", "a 2")).file(file, text);
        let offers = lab.offers(false);
        assert_incomplete(file, &offers, &[ProblemKind::Malformed]);
        assert!(offers.problems[0].place.ends_with(file), "{:?}", offers.problems);
        assert!(offers.problems[0].line.is_some());
        if let Some(answer) = lab.apt("/usr/bin/apt-get", &["-s", "dist-upgrade"]) {
            assert_eq!(answer.code, Some(100), "{file}: {}", answer.errors);
        }
    }
}
