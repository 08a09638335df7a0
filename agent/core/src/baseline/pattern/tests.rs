//! Patterns against the renderings of ssm.md, section 1.2, one form a row.

use super::*;
use crate::advisory::Advisory;
use crate::baseline::subject::{Facts, RpmManager};
use crate::package::{Architecture, PackageId, PackageName, Version};

fn package(name: &str, architecture: &str) -> PackageId {
    PackageId {
        name: PackageName::parse(name).unwrap(),
        architecture: Architecture::parse(architecture).unwrap(),
    }
}

#[track_caller]
fn check(packaging: Packaging, name: &str, version: &str, yes: &[&str], no: &[&str]) {
    let (package, version) = (package(name, "x86_64"), Version::parse(version).unwrap());
    let advisories = [Advisory {
        id: "RHSA-2017:0864".into(),
        classification: Some("security".into()),
        severity: None,
        cves: vec!["CVE-2017-1000111".into()],
        bugzillas: vec![1_234_567],
        issued: None,
        updated: None,
    }];
    let traits = match packaging {
        Packaging::Deb => Traits::Deb { priority: None, section: None, is_security: true, first_seen: None },
        Packaging::Rpm | Packaging::Zypper => {
            Traits::Rpm { manager: RpmManager::Dnf, advisories: &advisories, built_at: None }
        }
    };
    let subject = Subject { package: &package, version: &version, facts: Facts { product: "Test1", traits } };
    for text in yes {
        assert!(Pattern::parse(text, packaging).unwrap().matches(&subject), "{text} names it");
    }
    for text in no {
        assert!(!Pattern::parse(text, packaging).unwrap().matches(&subject), "{text} does not name it");
    }
}

#[test]
fn a_deb_is_named_by_name_version_and_architecture() {
    let yes = [
        "libssl3",
        "LIBSSL3",
        "libssl*",
        "libssl?",
        "libssl[0-9]",
        "libssl[!a-z]",
        "libssl3.x86_64",
        "libssl3-1:3.0.11-1~deb12u2",
        "1:3.0.11-1~deb12u2",
        "x86_64:1:3.0.11-1~deb12u2",
        "libssl3.x86_64:1:3.0.11-1~deb12u2",
    ];
    let no = ["libssl", "ssl", "libssl3-dev", "libssl[a-z]", "3.0.11", "1234567", "CVE-2017-1000111"];
    check(Packaging::Deb, "libssl3", "1:3.0.11-1~deb12u2", &yes, &no);
}

#[test]
fn an_rpm_is_named_in_every_documented_form() {
    let yes = [
        "example-pkg",
        "example-pkg.x86_64",
        "example-pkg-0.710.10-2.7.abcd.x86_64",
        "example-pkg-0.710.10",
        "example-pkg-0.710.10-2.7.abcd",
        "0:example-pkg-0.710.10-2.7.abcd.x86_64",
        "example-pkg-0:0.710.10-2.7.abcd.x86_64",
        "example-pkg-0:0.710.10-2.7.abcd",
        "0.710.10",
        "0.710.10-2.7.abcd",
        "0:0.710.10-2.7.abcd",
        "example-pkg.x86_64:0:0.710.10-2.7.abcd",
        "example-pkg-*.abcd.x86_64",
        "1234567",
        "cve-2017-1000111",
        "RHSA-2017:0864",
        "rhsa-2017:*",
    ];
    let no = ["example", "example-pkg-0.710.1", "7654321", "CVE-2017-1000112", "RHSA-2017:0865", "x86_64"];
    check(Packaging::Rpm, "example-pkg", "0.710.10-2.7.abcd", &yes, &no);
    check(
        Packaging::Rpm,
        "bind",
        "32:9.8.2-0.62",
        &["32:9.8.2-0.62", "bind-32:9.8.2-0.62"],
        &["0:9.8.2-0.62"],
    );
}

#[test]
fn a_suse_list_has_files_patches_and_ranges() {
    let yes = [
        "curl",
        "curl-8.0.1-150400.5.23.1.x86_64.rpm",
        "curl-8.0.1-150400.5.23.1.*.rpm",
        "curl < 8.1",
        "curl.x86_64 > 8.0.0-1 < 8.1",
        "curl = 8.0.1-150400.5.23.1",
        "c* != 7",
    ];
    // A name is a whole name: `cur` is not taken for the beginning of one.
    let no = ["cur", "curl-devel", "curl < 8.0", "curl > 8.0.0-1 < 8.0.1-1", "cur > 1"];
    check(Packaging::Zypper, "curl", "8.0.1-150400.5.23.1", &yes, &no);
}

#[test]
fn what_can_name_nothing_is_refused_or_known_to_be_in_vain() {
    let refused = |text: &str, packaging| Pattern::parse(text, packaging).unwrap_err();
    assert_eq!(refused("  ", Packaging::Deb), InvalidPattern::Empty);
    assert_eq!(refused(&"x".repeat(101), Packaging::Deb), InvalidPattern::TooLong);
    assert_eq!(refused("a b", Packaging::Deb), InvalidPattern::Character(' '));
    assert_eq!(refused("curl <", Packaging::Zypper), InvalidPattern::Range("<".into()));
    assert_eq!(refused("curl ~ 3", Packaging::Zypper), InvalidPattern::Range("~".into()));
    let cve = |packaging| Pattern::parse("CVE-2024-12345", packaging).unwrap().is_in_vain(packaging);
    assert!(cve(Packaging::Deb));
    assert!(!cve(Packaging::Rpm));
}

#[test]
fn a_glob_is_what_fnmatch_takes_it_for() {
    for (glob, text, expected) in [
        ("*", "", true),
        ("a[]]b", "a]b", true),
        ("a[b", "a[b", true),
        ("a[!b-d]e", "aee", true),
        ("a[!b-d]e", "ace", false),
        ("a[^b-d]e", "ace", false),
        ("[a-]", "-", true),
        ("*a*b*c*", "xxaxxbxxcxx", true),
        ("*a*b*c*", "xxaxxcxxbxx", false),
        ("LIB*", "libx", true),
    ] {
        assert_eq!(ShellGlob::new(glob).matches(text), expected, "{glob} ~ {text}");
    }
    assert!(!ShellGlob::new(&("*a".repeat(50) + "b")).matches(&"a".repeat(10_000)));
}
