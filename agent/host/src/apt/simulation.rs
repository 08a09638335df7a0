//! The reader of `apt-get -s`: what would be installed, upgraded and removed. It starts nothing and judges nothing.
//!
//! `Inst NAME[:ARCH] [OLD] (NEW LABEL:VERSION/SUITE, … [ARCH]) [broken …]`: labels may hold blanks, commas and brackets,
//! so a line is cut at what can't stand in a label's place, from both ends.

use patchd_core::inventory::Inventory;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::PlannedChange;
use thiserror::Error;

/// A line that says what would happen, and can't be read. Then nobody knows what would.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("can't read what apt-get's dry run says: {line:?}")]
pub struct UnreadableSimulation {
    line: String,
}

/// What a dry run says. Changes and removals are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    pub changes: Vec<PlannedChange>,
    pub removals: Vec<PackageId>,
}

impl Simulation {
    /// Reads the output of a dry run. The inventory tells which package a line without architecture means.
    pub fn parse(output: &str, inventory: &Inventory) -> Result<Self, UnreadableSimulation> {
        let mut simulation = Self::default();
        for line in output.lines() {
            let unreadable = || UnreadableSimulation { line: line.chars().take(500).collect() };
            if let Some(rest) = line.strip_prefix("Inst ") {
                simulation.changes.push(parse_change(rest, inventory).ok_or_else(unreadable)?);
            } else if let Some(rest) = line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg ")) {
                simulation.removals.push(parse_removal(rest, inventory).ok_or_else(unreadable)?);
            }
        }
        simulation.changes.sort();
        simulation.removals.sort();
        simulation.removals.dedup();
        Ok(simulation)
    }
}

fn parse_change(text: &str, inventory: &Inventory) -> Option<PlannedChange> {
    let (word, rest) = text.split_once(' ')?;
    let (name, foreign) = parse_name(word)?;
    let (from, rest) = match rest.strip_prefix('[') {
        None => (None, rest),
        Some(rest) => {
            let (version, rest) = rest.split_once("] ")?;
            (Some(Version::parse(version).ok()?), rest)
        }
    };
    // After the closing parenthesis stand package names only, so the last one of its kind is it.
    let (inside, _) = rest.strip_prefix('(')?.rsplit_once("])")?;
    let (releases, architecture) = inside.rsplit_once('[')?;
    let to = releases.split_once(' ').map_or(releases, |(version, _)| version);
    let to = Version::parse(to).ok()?;
    let architecture = Architecture::parse(architecture).ok()?;
    let architecture = match (foreign, &from) {
        (Some(foreign), _) => foreign,
        (None, None) => architecture,
        (None, Some(from)) => installed_architecture(&name, from, inventory).unwrap_or(architecture),
    };
    Some(PlannedChange { package: PackageId { name, architecture }, from, to })
}

/// Reads `NAME[:ARCH] [VERSION] …`.
fn parse_removal(text: &str, inventory: &Inventory) -> Option<PackageId> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (name, foreign) = parse_name(word)?;
    let version = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let version = version.and_then(|(version, _)| Version::parse(version).ok());
    let installed = || installed_architecture(&name, version.as_ref()?, inventory);
    let architecture = foreign.or_else(installed).unwrap_or_else(|| inventory.native.clone());
    Some(PackageId { name, architecture })
}

/// To apt, a package for all architectures and one of its own are the same package: which one is installed?
fn installed_architecture(name: &PackageName, from: &Version, inventory: &Inventory) -> Option<Architecture> {
    let all = Architecture::parse("all").ok()?;
    [inventory.native.clone(), all].into_iter().find(|architecture| {
        let id = PackageId { name: name.clone(), architecture: architecture.clone() };
        inventory.find(&id).is_some_and(|installed| installed.version == *from)
    })
}

/// Reads `NAME` or `NAME:ARCH`; the latter is how apt writes a package of another architecture than its own.
fn parse_name(word: &str) -> Option<(PackageName, Option<Architecture>)> {
    match word.split_once(':') {
        None => Some((PackageName::parse(word).ok()?, None)),
        Some((name, architecture)) => {
            Some((PackageName::parse(name).ok()?, Some(Architecture::parse(architecture).ok()?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::dpkg;

    fn inventory() -> Inventory {
        let stanza = |name: &str, architecture: &str, version: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n\
                 Maintainer: L <l@example.invalid>\nDescription: toy\nMulti-Arch: same\n\n"
            )
        };
        let status = [
            stanza("dpkg", "amd64", "1.21"),
            stanza("app", "amd64", "1:1.0-1"),
            stanza("app", "i386", "1:1.0-1"),
            stanza("doc", "all", "1"),
        ];
        dpkg::parse_status(status.concat().as_bytes(), Path::new("status"))
    }

    #[track_caller]
    fn check(line: &str, id: &str, from: Option<&str>, to: &str) {
        let simulation = Simulation::parse(&format!("{line}\n"), &inventory()).unwrap();
        let [change] = simulation.changes.as_slice() else { panic!("{simulation:?}") };
        let from_read = change.from.as_ref().map(Version::as_str);
        assert_eq!((change.package.to_string().as_str(), from_read, change.to.as_str()), (id, from, to));
    }

    #[test]
    fn lines_of_all_shapes_are_read() {
        // As apt 2.6 prints them.
        check("Inst app [1:1.0-1] (1:1.0-2 Lab:1/st [amd64])", "app:amd64", Some("1:1.0-1"), "1:1.0-2");
        check("Inst app:i386 [1:1.0-1] (1:1.0-2 Lab:1/st [i386])", "app:i386", Some("1:1.0-1"), "1:1.0-2");
        check("Inst doc [1] (2 localhost [all])", "doc:all", Some("1"), "2");
        check("Inst doc [1] (2 localhost [amd64])", "doc:all", Some("1"), "2");
        check("Inst new (1~rc1 A:1/x, B (y) [z]):2/w [amd64])", "new:amd64", None, "1~rc1");
        check("Inst new (1 Lab (x) [y]):st [amd64]) [app:amd64 doc:amd64 ]", "new:amd64", None, "1");
        check("Inst new (1 two [amd64]) [app:amd64 on new:amd64] []", "new:amd64", None, "1");
        check("Inst doc [1] (1 two [all])", "doc:all", Some("1"), "1");
    }

    #[test]
    fn removals_are_read_and_the_rest_is_no_change() {
        let output = "Reading package lists...\nNOTE: This is only a simulation!\nRemv app [1:1.0-1] [doc:amd64 ]\n\
                      Purg old:i386 [2]\nRemv app:i386 [1]\nRemv doc [1]\nConf new (1 Lab:1/st [amd64])\nConf x broken\n";
        let simulation = Simulation::parse(output, &inventory()).unwrap();
        assert_eq!(simulation.changes, []);
        let removals: Vec<_> = simulation.removals.iter().map(ToString::to_string).collect();
        assert_eq!(removals, ["app:amd64", "app:i386", "doc:all", "old:i386"]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_an_error() {
        for line in [
            "Inst ",
            "Inst app",
            "Inst app [1",
            "Inst app [1] 2",
            "Inst app (",
            "Inst -x (1 [amd64])",
            "Remv ",
        ] {
            assert!(Simulation::parse(line, &inventory()).is_err(), "{line}");
        }
    }

    #[test]
    fn the_corpus_of_the_fuzz_target_is_read_or_refused() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/apt_simulation");
        let read =
            |name: &str| String::from_utf8_lossy(&std::fs::read(corpus.join(name)).unwrap()).into_owned();
        let parsed = |name| Simulation::parse(&read(name), &inventory());
        assert_eq!(parsed("typical").unwrap().changes.len(), 2);
        assert_eq!(parsed("removals").unwrap().removals.len(), 3);
        assert!(parsed("cut").is_err() && parsed("garbage").is_err());
        for name in ["typical", "removals"] {
            let read = parsed(name).unwrap();
            assert!(read.changes.is_sorted() && read.removals.is_sorted());
        }
    }
}
