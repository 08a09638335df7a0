//! `version compare`, with dpkg as the oracle.

use std::process::Command;

use crate::{data, patchctl};

#[track_caller]
fn check(scheme: &str, a: &str, b: &str, expected: &str) {
    let outcome = patchctl(["version", "compare", scheme, "--", a, b]).expect_code(0);
    assert_eq!(outcome.stdout, format!("{expected}\n"), "{scheme} {a} {b}");
}

#[test]
fn the_order_is_a_number() {
    check("deb", "1.0~rc1", "1.0", "-1");
    check("deb", "1:0", "2", "1");
    check("deb", "1.0-0", "1.0", "0");
    check("rpm", "1.0~rc1", "1.0", "-1");
    check("rpm", "1.0^git1", "1.0", "1");
    check("rpm", "0:1.0", "1.0", "0");
}

/// Rows `a op b` of a table of versions.
fn rows(name: &str) -> Vec<(String, char, String)> {
    let Some(path) = data(name) else { return Vec::new() };
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let mut cells = line.split('\t');
        let a = cells.next()?.to_owned();
        let order = cells.next()?.chars().next().filter(|order| "<=>".contains(*order))?;
        Some((a, order, cells.next()?.to_owned()))
    };
    text.lines().filter_map(row).collect()
}

fn number(order: char) -> &'static str {
    match order {
        '<' => "-1",
        '=' => "0",
        _ => "1",
    }
}

#[test]
fn dpkg_has_the_same_order() {
    for (a, order, b) in rows("versions/deb-dpkg.tsv") {
        check("deb", &a, &b, number(order));
        let relation = match order {
            '<' => "lt",
            '=' => "eq",
            _ => "gt",
        };
        let agrees = Command::new("/usr/bin/dpkg").args(["--compare-versions", &a, relation, &b]).status();
        assert!(agrees.unwrap().success(), "dpkg does not agree on {a} {order} {b}");
    }
}

#[test]
fn rpm_has_the_same_order() {
    for (a, order, b) in rows("versions/rpm-evr.tsv") {
        check("rpm", &a, &b, number(order));
    }
}

#[test]
fn an_invalid_version_is_one_line_and_exit_code_2() {
    for bad in ["", "1:", ":1", "a:1", "1 2", "1-"] {
        let outcome = patchctl(["version", "compare", "deb", "--", bad, "1"]).expect_code(2);
        assert_eq!(outcome.stdout, "", "{bad:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("is no Debian version"), "{}", outcome.stderr);
    }
    patchctl(["version", "compare", "nix", "1", "2"]).expect_code(2);
    patchctl(["version", "compare", "deb", "1"]).expect_code(2);
}

#[test]
fn blanks_around_a_version_do_not_count() {
    check("deb", " 1.0", "1.0 ", "0");
}
