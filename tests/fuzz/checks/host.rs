//! What has to hold for any bytes: called by the fuzz targets, and by the ordinary tests with the corpus.

use std::io::{self, Read};
use std::path::Path;

use patchd_host::apt::conf::Conf;
use patchd_host::apt::packages::scan;
use patchd_host::apt::preferences::{Facts, Preferences};
use patchd_host::apt::relation::{alternatives, groups};
use patchd_host::apt::{native_apt, release, sources};
use patchd_host::deb822::{End, StanzaReader};
use patchd_host::problem_list::ProblemList;

/// More than a reader may list, whatever it reads.
const MOST_PROBLEMS: usize = 300;

/// A status file gives sorted packages with versions, and a bounded list of problems; nothing at all is a problem.
pub(crate) fn dpkg_status(content: &[u8]) {
    let inventory = patchd_host::dpkg::parse_status(content, Path::new("status"));
    assert!(inventory.packages.is_sorted_by(|a, b| a.id < b.id));
    assert!(inventory.packages.iter().all(|package| package.state.has_files()));
    assert!(inventory.problems.len() < MOST_PROBLEMS);
    assert!(!inventory.packages.is_empty() || !inventory.problems.is_empty());
}

/// Hands out one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1);
        self.0.read(buffer.get_mut(..count).unwrap_or_default())
    }
}

/// Stanzas are the same however the bytes arrive, come in order, and lose nothing but empty lines and what is cut.
pub(crate) fn deb822(content: &[u8]) {
    const LIMIT: usize = 64;
    let collect = |source: &mut dyn Read| {
        let mut reader = StanzaReader::with_limit(source, LIMIT);
        let mut stanzas = Vec::new();
        while let Ok(Some(stanza)) = reader.next_stanza() {
            assert!(stanza.bytes.len() <= LIMIT && !stanza.bytes.is_empty());
            let fields = stanza.fields().count();
            assert!(fields <= stanza.bytes.len());
            stanzas.push((stanza.line, stanza.end, stanza.bytes.to_vec()));
        }
        stanzas
    };
    let stanzas = collect(&mut &*content);
    assert_eq!(stanzas, collect(&mut Drip(content)));
    assert!(stanzas.is_sorted_by(|a, b| a.0 < b.0));
    if stanzas.iter().all(|(_, end, _)| *end != End::CutHere) {
        let kept: usize = stanzas.iter().map(|(_, _, bytes)| count_of_others(bytes)).sum();
        assert_eq!(kept, count_of_others(content));
    }
}

/// How many bytes are no line ends.
fn count_of_others(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| !b"\r\n".contains(byte)).count()
}

/// A value holds no line end, whatever its file does.
pub(crate) fn os_release(content: &[u8]) {
    let (os, bad_lines) = patchd_host::os::parse(content);
    assert!(bad_lines.is_sorted_by(|a, b| a.0 < b.0));
    assert!(!os.id.contains('\n') && !os.pretty_name.contains('\n'));
    assert!(os.id_like.iter().all(|word| !word.contains(|c: char| c.is_ascii_whitespace())));
}

/// Settings end at their first syntax error; paths are asked for without harm.
pub(crate) fn apt_conf(content: &[u8]) {
    let mut problems = ProblemList::new("settings");
    let mut conf = Conf::default();
    conf.apply(&String::from_utf8_lossy(content), "apt.conf", &mut problems);
    assert!(problems.into_problems().len() <= 1);
    let _ = (
        conf.path("Dir::State::lists"),
        conf.list("APT::Architectures"),
        conf.flag("APT::Install-Recommends"),
    );
}

/// Sources in both styles come with an address, a suite and a place.
pub(crate) fn apt_sources(content: &[u8]) {
    for is_deb822 in [false, true] {
        let (found, problems) = sources::parse(content, "sources", is_deb822, &["amd64".to_owned()]);
        assert!(problems.len() < MOST_PROBLEMS);
        for source in found.sources {
            assert!(source.uri.ends_with('/') && source.uri.contains(':'));
            assert_eq!(source.distribution.ends_with('/'), source.component.is_empty());
            assert!(0 < source.line);
        }
    }
}

/// Pins have a priority in range, and can be held against anything.
pub(crate) fn apt_preferences(content: &[u8]) {
    let mut problems = ProblemList::new("preferences");
    let mut preferences = Preferences::default();
    preferences.apply(content, "preferences", &mut problems);
    assert!(problems.into_problems().len() < MOST_PROBLEMS);
    let facts =
        Facts { suite: Some("stable"), version: Some("12.1"), site: "example.org", ..Facts::default() };
    for pin in &preferences.general {
        assert!(pin.priority != 0 && i16::try_from(pin.priority).is_ok());
        let _ = pin.matches.matches_index(&facts);
    }
    for pin in &preferences.specific {
        assert!(pin.priority != 0 && i16::try_from(pin.priority).is_ok());
        let _ = (pin.matches.matches_index(&facts), pin.matches.matches_version("1.0-1"));
    }
}

/// A Release file with or without armour gives facts or says what is wrong with it.
pub(crate) fn apt_release(content: &[u8]) {
    let (found, troubles) = release::parse(content);
    assert!(troubles.len() < MOST_PROBLEMS);
    assert!(found.suite.is_none_or(|suite| !suite.is_empty()));
    let _ = release::listed_size(content, "main/binary-amd64/Packages");
}

/// A list gives rows with versions and relations, and few problems however damaged it is; so do apt's own answers.
pub(crate) fn apt_packages(content: &[u8]) {
    let scanned = scan(content, "list", |listed| {
        assert!(!listed.name.is_empty());
        let _ = (listed.class(), listed.is_essential(), listed.provides());
        if let Some((_, row)) = listed.row()? {
            assert!(!row.version.as_str().is_empty() && row.phased_percentage <= 100);
            assert!(
                row.identity
                    .is_same(&row.identity, patchd_host::apt::identity::Sameness::RelationsAndChecksum)
            );
            for group in groups(&row.relations.depends) {
                for atom in alternatives(group).flatten() {
                    let _ = (atom.accepts("1.0-1"), atom.accepts_provided(None));
                }
            }
        }
        Ok(())
    });
    assert_eq!(scanned.length, Some(content.len() as u64));
    assert!(scanned.into_problems(|| Some(content)).len() < 10);
    let text = String::from_utf8_lossy(content);
    let _ = native_apt::parse_policy(&text);
    let inventory = patchd_host::dpkg::parse_status(&b""[..], std::path::Path::new("status"));
    if let Ok(simulation) = patchd_host::apt::simulation::Simulation::parse(&text, &inventory) {
        assert!(simulation.changes.is_sorted() && simulation.removals.is_sorted());
    }
}
