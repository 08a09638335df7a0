//! Counts. What the runners write is read here; nothing is run.

use std::fmt;
use std::ops::AddAssign;

/// How many passed, failed and could not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// So many lines of one test are noted.
const SHOWN: usize = 3;

/// What nextest's JUnit file says, with what the tests themselves said of work that they could not do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) tally: Tally,
    /// `name: what is wrong` of failed tests, `name: skipped: reason` and `name: left out: cases` of others.
    pub(crate) notes: Vec<String>,
}

/// Reads the JUnit file of nextest. A test that printed `skipped: …` counts as skipped, however it ended well.
pub(crate) fn junit(text: &str) -> Tests {
    let mut tests = Tests::default();
    for case in text.split("<testcase ").skip(1) {
        let case = case.split_once("</testcase>").map_or(case, |(case, _)| case);
        let name = attribute(case, "name");
        let said = said(case);
        if case.contains("<failure") || case.contains("<error") {
            tests.tally += Tally::FAILED;
            tests.notes.push(format!("{name}: FAILED"));
        } else if said.iter().any(|line| line.starts_with("skipped: ")) || case.contains("<skipped") {
            tests.tally.skipped += 1;
        } else {
            tests.tally += Tally::PASSED;
        }
        tests.notes.extend(said.iter().take(SHOWN).map(|line| format!("{name}: {line}")));
        if SHOWN < said.len() {
            tests.notes.push(format!("{name}: and {} more", said.len() - SHOWN));
        }
    }
    tests
}

/// The lines of one test that the harness marks.
fn said(case: &str) -> Vec<String> {
    let outputs = ["system-out", "system-err"].into_iter().filter_map(|tag| {
        let (_, rest) = case.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0)
    });
    outputs
        .flat_map(str::lines)
        .filter(|line| line.starts_with("skipped: ") || line.starts_with("left out: "))
        .map(unescape)
        .collect()
}

fn attribute(case: &str, name: &str) -> String {
    let value = case.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"'));
    value.map_or_else(String::new, |(value, _)| unescape(value))
}

fn unescape(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// Adds up the `test result:` lines of `cargo test`.
pub(crate) fn libtest(text: &str) -> Tally {
    let mut tally = Tally::default();
    for line in text.lines().filter_map(|line| line.strip_prefix("test result: ")) {
        let count = |word: &str| -> u64 {
            let before = line.split(';').find_map(|part| part.trim().strip_suffix(word));
            before.and_then(|part| part.rsplit(' ').nth(1)?.parse().ok()).unwrap_or(0)
        };
        tally += Tally { passed: count("passed"), failed: count("failed"), skipped: count("ignored") };
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junit_file_is_counted_with_what_the_tests_said() {
        let text = r#"<?xml version="1.0"?><testsuites><testsuite name="s" tests="4">
            <testcase name="a::passes" classname="s"><system-out>running 1 test
            </system-out><system-err>left out: a &lt; b &amp;&amp; c
</system-err></testcase>
            <testcase name="a::fails" classname="s"><failure type="test failure"/></testcase>
            <testcase name="a::skips" classname="s"><system-err>skipped: needs root
</system-err></testcase>
            <testcase name="a::quiet" classname="s"/></testsuite></testsuites>"#;
        let tests = junit(text);
        assert_eq!(tests.tally, Tally { passed: 2, failed: 1, skipped: 1 });
        assert_eq!(
            tests.notes,
            ["a::passes: left out: a < b && c", "a::fails: FAILED", "a::skips: skipped: needs root"]
        );
    }

    #[test]
    fn an_empty_file_counts_nothing() {
        assert_eq!(junit(""), Tests::default());
    }

    #[test]
    fn result_lines_add_up() {
        let text = "running 3 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.21s\n\
            noise\n\
            test result: FAILED. 1 passed; 12 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s\n";
        assert_eq!(libtest(text), Tally { passed: 3, failed: 12, skipped: 1 });
    }

    #[test]
    fn the_closing_line_is_plain() {
        let tally = Tally { passed: 12, failed: 0, skipped: 3 };
        assert_eq!(tally.to_string(), "12 passed, 0 failed, 3 skipped");
    }
}
