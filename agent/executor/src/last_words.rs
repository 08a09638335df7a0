//! Whose words the lines of dpkg's output are: the packages that failed, each with what its own scripts said last.
//!
//! dpkg names the package when its turn begins (`Setting up lab (1.1) ...`) and when it fails. Nothing is judged by it:
//! whether a package is done is read back from the database.

use std::collections::VecDeque;

use patchd_protocol::executor::PackageFailureWire;

use crate::text;

/// The most lines of one package's words that are kept, and the most failures: dpkg itself gives up after 50.
const MAX_LINES: usize = 20;
const MAX_FAILURES: usize = 100;

/// What dpkg says, as far as it was heard.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    /// Whose turn it is, and its words so far.
    turn: Option<String>,
    words: VecDeque<String>,
    /// The next line is dpkg's sentence about the last failure.
    is_told: bool,
    failures: Vec<PackageFailureWire>,
}

impl LastWords {
    /// Hears the next line of the output.
    pub(crate) fn line(&mut self, line: &str) {
        if std::mem::take(&mut self.is_told)
            && let Some(message) = line.strip_prefix(' ')
            && let Some(failure) = self.failures.last_mut()
        {
            failure.message = text::cut(message.trim());
            return;
        }
        if let Some(name) = failed(line) {
            self.fail(name);
        } else if let Some(name) = whose_turn(line) {
            if self.turn.as_deref() != Some(name) {
                self.turn = Some(name.to_owned());
                self.words.clear();
            }
        } else if self.turn.is_some() && !line.trim().is_empty() {
            if self.words.len() == MAX_LINES {
                self.words.pop_front();
            }
            self.words.push_back(text::cut(line));
        }
    }

    fn fail(&mut self, name: &str) {
        let is_its_turn = self.turn.as_deref().is_some_and(|turn| bare(turn) == bare(name));
        let output = if is_its_turn { self.words.drain(..).collect() } else { Vec::new() };
        self.is_told = self.failures.len() < MAX_FAILURES;
        if self.is_told {
            self.failures.push(PackageFailureWire { name: text::cut(name), message: String::new(), output });
        }
    }

    /// Hears of a failure by another way; it counts if dpkg's output didn't tell it.
    pub(crate) fn error(&mut self, subject: &str, message: &str) {
        let name = of_path(subject).unwrap_or(subject);
        let has_room = self.failures.len() < MAX_FAILURES;
        match self.failures.iter_mut().find(|failure| bare(&failure.name) == bare(name)) {
            Some(failure) if failure.message.is_empty() => failure.message = text::cut(message),
            Some(_) => {}
            None if has_room => {
                let (name, message) = (text::cut(name), text::cut(message));
                self.failures.push(PackageFailureWire { name, message, output: Vec::new() });
            }
            None => {}
        }
    }

    /// The packages that failed, in the order in which they did.
    pub(crate) fn failures(self) -> Vec<PackageFailureWire> {
        self.failures
    }
}

/// A package's name without its architecture.
pub(crate) fn bare(name: &str) -> &str {
    name.split(':').next().unwrap_or(name)
}

/// The package that a line of dpkg says is next.
fn whose_turn(line: &str) -> Option<&str> {
    const BEGINNINGS: [&str; 6] = [
        "Setting up ",
        "Unpacking ",
        "Removing ",
        "Purging configuration files for ",
        "Processing triggers for ",
        "Selecting previously unselected package ",
    ];
    if let Some(rest) = line.strip_prefix("Preparing to unpack ") {
        return of_path(rest.strip_suffix(" ...")?);
    }
    let rest = BEGINNINGS.iter().find_map(|beginning| line.strip_prefix(beginning))?;
    let name = match rest.split_once(' ') {
        Some((name, rest)) if rest.starts_with('(') && rest.ends_with("...") => name,
        None => rest.strip_suffix('.')?,
        Some(_) => return None,
    };
    is_name(name).then_some(name)
}

/// The package that a line of dpkg says has failed.
fn failed(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("dpkg: error processing ")?;
    let (kind, rest) = rest.split_once(' ')?;
    let (subject, _) = rest.rsplit_once(" (--")?;
    match kind {
        "package" => is_name(subject).then_some(subject),
        "archive" => of_path(subject),
        _ => None,
    }
}

/// The package of an archive's path: `.../lab_1.1_amd64.deb`.
fn of_path(path: &str) -> Option<&str> {
    let file = path.strip_suffix(".deb")?;
    let name = file.rsplit('/').next()?.split('_').next()?;
    is_name(name).then_some(name)
}

fn is_name(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "+-.:".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 200 && text.chars().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expected: &[(&str, &str, &[&str])]) {
        let mut words = LastWords::default();
        output.lines().for_each(|line| words.line(line));
        let failures = words.failures();
        let told: Vec<_> = failures
            .iter()
            .map(|f| (f.name.as_str(), f.message.as_str(), f.output.iter().map(String::as_str).collect()))
            .collect();
        let expected: Vec<(&str, &str, Vec<&str>)> =
            expected.iter().map(|(name, message, output)| (*name, *message, output.to_vec())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn each_failure_has_its_own_words() {
        // As dpkg 1.21 prints it.
        check(
            "Preparing to unpack .../lab-a_1.1_amd64.deb ...\n\
             Unpacking lab-a (1.1) over (1.0) ...\n\
             Setting up lab-fine (1.1) ...\n\
             fine so far\n\
             Setting up lab-a:i386 (1.1) ...\n\
             reading the key\n\
             no such key\n\
             dpkg: error processing package lab-a:i386 (--configure):\n \
             installed lab-a package post-installation script subprocess returned error exit status 1\n\
             dpkg: dependency problems prevent configuration of lab-b:\n \
             lab-b depends on lab-a; however:\n\
             dpkg: error processing package lab-b (--configure):\n \
             dependency problems - leaving unconfigured\n\
             Processing triggers for lab-c (1.1) ...\n\
             Errors were encountered while processing:\n lab-a\n lab-b\n",
            &[
                (
                    "lab-a:i386",
                    "installed lab-a package post-installation script subprocess returned error exit status 1",
                    &["reading the key", "no such key"],
                ),
                ("lab-b", "dependency problems - leaving unconfigured", &[]),
            ],
        );
    }

    #[test]
    fn an_archive_that_fails_is_its_package() {
        check(
            "Preparing to unpack .../lab-a_1%3a1.1_all.deb ...\n\
             no room\n\
             dpkg: error processing archive /var/cache/apt/archives/lab-a_1%3a1.1_all.deb (--unpack):\n \
             new lab-a package pre-installation script subprocess returned error exit status 1\n",
            &[(
                "lab-a",
                "new lab-a package pre-installation script subprocess returned error exit status 1",
                &["no room"],
            )],
        );
    }

    #[test]
    fn words_are_bounded_and_what_scripts_forge_is_a_name_at_most() {
        let long: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let output =
            format!("Setting up lab (1) ...\n{long}dpkg: error processing package lab (--configure):\n x\n");
        let mut words = LastWords::default();
        output.lines().for_each(|line| words.line(line));
        let failures = words.failures();
        let output = &failures.first().unwrap().output;
        assert_eq!((output.len(), output.last().map(String::as_str)), (MAX_LINES, Some("line 99")));
        check("dpkg: error processing package ../../x y (--configure):\n no\n", &[]);
        check("Setting up the database\nSetting up \nUnpacking (1) ...\n", &[]);
    }

    #[test]
    fn an_error_that_only_the_status_descriptor_told_counts_too() {
        let mut words = LastWords::default();
        words.line("dpkg: error processing package lab-a (--configure):");
        words.error("lab-a", "one");
        words.error("/var/cache/apt/archives/lab-b_1_all.deb", "two");
        let told: Vec<_> = words.failures().into_iter().map(|f| (f.name, f.message)).collect();
        assert_eq!(told, [("lab-a".into(), "one".into()), ("lab-b".into(), "two".to_owned())]);
    }

    #[test]
    fn the_corpus_of_the_fuzz_target_is_heard() {
        let corpus =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/apt_progress");
        let told = |name: &str| {
            let content = std::fs::read(corpus.join(name)).unwrap();
            let mut words = LastWords::default();
            String::from_utf8_lossy(&content).lines().for_each(|line| words.line(line));
            words.failures().into_iter().map(|failure| (failure.name, failure.output)).collect::<Vec<_>>()
        };
        assert_eq!(told("typical"), [("lab-app".to_owned(), vec!["no such key".to_owned()])]);
        assert_eq!(told("cut"), [("lab".to_owned(), vec!["word".to_owned()])]);
        assert_eq!(told("garbage"), []);
    }
}
