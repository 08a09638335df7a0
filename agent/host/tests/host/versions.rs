//! The order of versions against `dpkg --compare-versions`, and against the tables of both package managers.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::path::Path;
use std::process::Stdio;

use patchd_core::version::{deb, rpm};

use crate::support::{Numbers, content, data, run};

/// One `dpkg` a line: whether the two versions stand so to each other.
const SCRIPT: &str =
    "while read -r a op b; do dpkg --compare-versions \"$a\" \"$op\" \"$b\" 2>/dev/null; echo $?; done";

fn table(name: &str) -> Vec<(String, Ordering, String)> {
    let Some(path) = data(&format!("versions/{name}")) else {
        return Vec::new();
    };
    let row = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let order = match fields[1] {
            "<" => Ordering::Less,
            "=" => Ordering::Equal,
            ">" => Ordering::Greater,
            other => panic!("{other}"),
        };
        (fields[0].to_owned(), order, fields[2].to_owned())
    };
    String::from_utf8(content(&path)).unwrap().lines().skip(1).map(row).collect()
}

#[test]
fn the_tables_of_both_package_managers_hold() {
    for (a, order, b) in table("deb-dpkg.tsv") {
        assert_eq!(deb::compare(&a, &b), order, "{a} {b}");
        assert_eq!(deb::compare(&b, &a), order.reverse(), "{b} {a}");
    }
    for (a, order, b) in [table("rpm-vercmp.tsv"), table("rpm-evr.tsv")].concat() {
        assert_eq!(rpm::compare(&a, &b), order, "{a} {b}");
        assert_eq!(rpm::compare(&b, &a), order.reverse(), "{b} {a}");
    }
}

/// A version as a mean person would write it: few different characters, so that many pairs are nearly equal.
fn version(numbers: &mut Numbers) -> String {
    const FIRST: &[u8] = b"0123456789a";
    const REST: &[u8] = b"00112aZ~~+..--:";
    let mut text = String::from(char::from(FIRST[numbers.below(FIRST.len())]));
    for _ in 0..numbers.below(7) {
        text.push(char::from(REST[numbers.below(REST.len())]));
    }
    text
}

/// A version that differs from `text` in one place.
fn neighbour(text: &str, numbers: &mut Numbers) -> String {
    const CHARACTERS: &[u8] = b"0019aZ~+.-:";
    let at = 1 + numbers.below(text.len());
    let mut near = text.to_owned();
    if at < text.len() && numbers.below(2) == 0 {
        near.remove(at);
    } else {
        near.insert(at, char::from(CHARACTERS[numbers.below(CHARACTERS.len())]));
    }
    near
}

#[test]
fn random_pairs_stand_as_dpkg_says() {
    if !Path::new("/usr/bin/dpkg").exists() {
        eprintln!("left out: random versions against dpkg, which this machine doesn't have");
        return;
    }
    let mut numbers = Numbers::new(42);
    let mut pairs: Vec<(String, String)> = table("deb-dpkg.tsv")
        .into_iter()
        .map(|(a, _, b)| (a, b))
        .filter(|(a, b)| !a.is_empty() && !b.is_empty())
        .collect();
    for _ in 0..1_100 {
        let a = version(&mut numbers);
        pairs.push((a.clone(), neighbour(&a, &mut numbers)));
        pairs.push((a, version(&mut numbers)));
    }
    let mut questions = String::new();
    for (a, b) in &pairs {
        let operator = match deb::compare(a, b) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        writeln!(questions, "{a} {operator} {b}").unwrap();
    }
    let mut input = tempfile::tempfile().unwrap();
    input.write_all(questions.as_bytes()).unwrap();
    input.rewind().unwrap();
    let answer = run("/bin/sh", &["-c", SCRIPT], Stdio::from(input)).unwrap();
    let codes: Vec<_> = answer.output.lines().collect();
    assert_eq!(codes.len(), pairs.len());
    let mut refused = 0;
    for ((a, b), code) in pairs.iter().zip(codes) {
        let is_valid = deb::check(a).is_ok() && deb::check(b).is_ok();
        assert_eq!(code, if is_valid { "0" } else { "2" }, "{a} {:?} {b}", deb::compare(a, b));
        refused += usize::from(!is_valid);
    }
    eprintln!("{} pairs agree, {refused} of them refused", pairs.len());
    assert!(200 < refused && refused < pairs.len() / 2);
}
