//! What each source file keeps.

use super::{files, none};

/// Lines that a file may have without a reason.
const LIMIT: usize = 500;

/// Longer files, with the reason.
const LONG: [(&str, &str); 0] = [];

#[test]
fn every_file_says_first_what_it_is() {
    let sources = files().into_iter().filter(|file| file.has_extension("rs"));
    let silent = sources.filter(|file| {
        let text = file.text();
        let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
        !first.is_some_and(|line| line.starts_with("//! ") && line.len() > 20)
    });
    let findings: Vec<_> = silent.map(|file| file.path).collect();
    none("files that don't begin with `//!`", &findings);
}

#[test]
fn long_files_have_a_reason() {
    let sources: Vec<_> = files().into_iter().filter(|file| file.has_extension("rs")).collect();
    let mut findings = Vec::new();
    for file in &sources {
        let lines = file.text().lines().count();
        let is_listed = LONG.iter().any(|(path, _)| *path == file.path);
        match (lines > LIMIT, is_listed) {
            (true, false) => findings.push(format!("{} has {lines} lines", file.path)),
            (false, true) => findings.push(format!("{} has {lines} lines: it needs no reason", file.path)),
            _ => {}
        }
    }
    let gone = LONG.iter().filter(|(path, _)| !sources.iter().any(|file| file.path == *path));
    findings.extend(gone.map(|(path, _)| format!("{path} is listed and gone")));
    none("files over 500 lines", &findings);
}

#[test]
fn no_test_is_switched_off() {
    let sources = files().into_iter().filter(|file| file.has_extension("rs"));
    let marks = [concat!("#[ig", "nore"), concat!("#[cfg_attr(", "miri"), concat!("should_", "panic")];
    let mut findings = Vec::new();
    for file in sources {
        let text = file.text();
        findings.extend(
            marks.iter().filter(|mark| text.contains(**mark)).map(|mark| format!("{}: {mark}", file.path)),
        );
    }
    none("tests that are switched off, or that only ask for any panic", &findings);
}

#[test]
fn what_is_left_to_do_has_an_issue() {
    let word = concat!("TO", "DO");
    let mut findings = Vec::new();
    for file in files().into_iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (index, line) in file.text().lines().enumerate() {
            let is_marked = line.contains(word) && !line.contains(&format!("{word}(#"));
            if is_marked || line.contains(concat!("FIX", "ME")) {
                findings.push(format!("{}:{}", file.path, index + 1));
            }
        }
    }
    none("write down what is left with the number of an issue", &findings);
}

/// Paths of a machine, and addresses that every clone would carry along.
#[test]
fn nothing_knows_the_machine_that_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/tmp/", "wt"),
        concat!("/tmp/", "target"),
        concat!("deb.debian", ".org"),
    ];
    let mut findings = Vec::new();
    for file in files() {
        for (index, line) in file.text().lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{}:{}: {word}", file.path, index + 1));
            }
        }
    }
    none("names of one machine's places", &findings);
}
