//! Which version of a package apt would install: the versions of all lists in apt's order, their priorities, the choice.
//!
//! It asks nobody and reads nothing. Holds and phasing do not change a candidate; they are looked at later.

use std::cmp::Ordering;

use patchd_core::inventory::InstalledPackage;
use patchd_core::package::Version;
use patchd_core::version::deb;

use crate::apt::identity::Sameness;
use crate::apt::packages::Row;
use crate::apt::preferences::{Facts, Match, NEVER, Name, Preferences, Selector};

/// An index as pins see it.
#[derive(Debug, Clone, Copy)]
pub struct Index<'a> {
    pub facts: Facts<'a>,
    pub not_automatic: bool,
    pub but_automatic_upgrades: bool,
}

/// The priorities of a host's indexes, and its specific pins.
#[derive(Debug)]
pub struct Policy<'a> {
    indexes: Vec<Index<'a>>,
    priorities: Vec<i32>,
    status_priority: i32,
    preferences: &'a Preferences,
    native: &'a str,
}

/// Where a version was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// In an index: its place in the policy.
    Index(usize),
    /// In dpkg's status file, which is this version's only for the installed one.
    Status,
}

/// One version and everywhere it was seen.
#[derive(Debug, Clone)]
pub struct Listed {
    pub row: Row,
    pub seen: Vec<Seen>,
}

impl Listed {
    pub fn is_installed(&self) -> bool {
        self.seen.contains(&Seen::Status)
    }
}

/// All versions of one package, the highest first; among equal texts in the order in which they were met.
#[derive(Debug, Clone, Default)]
pub struct Versions {
    pub listed: Vec<Listed>,
}

impl Versions {
    /// Adds a row where apt would: to the first version that is the same, or behind its equals. Rows must come in the
    /// order of the indexes, the status file's last.
    pub fn add(&mut self, row: Row, seen: Seen, sameness: Sameness) {
        let mut place = self.listed.len();
        for (at, known) in self.listed.iter_mut().enumerate() {
            match deb::compare(row.version.as_str(), known.row.version.as_str()) {
                Ordering::Greater => {
                    place = at;
                    break;
                }
                Ordering::Equal if known.row.identity.is_same(&row.identity, sameness) => {
                    if row.phased_percentage != 100 {
                        known.row.phased_percentage = row.phased_percentage;
                    }
                    known.seen.push(seen);
                    return;
                }
                Ordering::Equal | Ordering::Less => {}
            }
        }
        self.listed.insert(place, Listed { row, seen: vec![seen] });
    }

    /// Adds the installed version without knowing its relations: it is then the first of its text.
    pub fn add_installed(&mut self, package: &InstalledPackage) {
        let order = |known: &Listed| deb::compare(known.row.version.as_str(), package.version.as_str());
        if let Some(known) = self.listed.iter_mut().find(|known| order(known).is_eq()) {
            known.seen.push(Seen::Status);
            return;
        }
        let place = self.listed.iter().position(|known| order(known).is_lt()).unwrap_or(self.listed.len());
        self.listed.insert(place, Listed { row: Row::of_installed(package), seen: vec![Seen::Status] });
    }

    /// The first of this text.
    pub fn row(&self, version: &Version) -> Option<&Row> {
        self.listed.iter().map(|listed| &listed.row).find(|row| row.version == *version)
    }

    pub fn installed(&self) -> Option<usize> {
        self.listed.iter().position(Listed::is_installed)
    }

    pub fn installed_row(&self) -> Option<&Row> {
        self.listed.iter().find(|listed| listed.is_installed()).map(|listed| &listed.row)
    }
}

impl<'a> Policy<'a> {
    pub fn new(indexes: Vec<Index<'a>>, preferences: &'a Preferences, native: &'a str) -> Self {
        let base = |index: &Index<'_>| match (index.but_automatic_upgrades, index.not_automatic) {
            (true, _) => 100,
            (false, true) => 1,
            (false, false) => 500,
        };
        let status = Facts { is_status_file: true, ..Facts::default() };
        let mut priorities: Vec<_> =
            indexes.iter().map(|index| pinned(&index.facts, base(index), preferences)).collect();
        let status_priority = pinned(&status, 100, preferences);
        priorities.shrink_to_fit();
        Self { indexes, priorities, status_priority, preferences, native }
    }

    fn of_seen(&self, seen: Seen) -> i32 {
        match seen {
            Seen::Index(at) => self.priorities.get(at).copied().unwrap_or_default(),
            Seen::Status => self.status_priority,
        }
    }

    fn facts_of(&self, seen: Seen) -> Option<Facts<'a>> {
        match seen {
            Seen::Index(at) => self.indexes.get(at).map(|index| index.facts),
            Seen::Status => Some(Facts { is_status_file: true, ..Facts::default() }),
        }
    }

    /// The priority of a version: its specific pin, or the best of where it was seen.
    pub fn priority(&self, name: &str, architecture: &str, listed: &Listed) -> i32 {
        let is_never = listed.seen.iter().all(|&seen| self.of_seen(seen) == NEVER);
        if !is_never && let Some(pin) = self.specific_pin(name, architecture, listed) {
            return pin;
        }
        listed.seen.iter().map(|&seen| self.of_seen(seen)).max().unwrap_or_default()
    }

    /// The first specific pin that claims this version.
    fn specific_pin(&self, name: &str, architecture: &str, listed: &Listed) -> Option<i32> {
        let claims = |matches: &Match| {
            matches.matches_version(listed.row.version.as_str())
                || listed
                    .seen
                    .iter()
                    .filter_map(|&seen| self.facts_of(seen))
                    .any(|facts| matches.matches_index(&facts))
        };
        let selects = |selector: &Selector| {
            let wanted = if selector.is_source { listed.row.source.name.as_str() } else { name };
            let is_named = match &selector.name {
                Name::Exact(exact) => exact == wanted,
                Name::Pattern(pattern) => pattern.matches(wanted),
            };
            is_named && architecture_matches(selector.architecture.as_deref(), architecture, self.native)
        };
        let pins = self.preferences.specific.iter();
        pins.filter(|pin| pin.selectors.iter().any(selects))
            .find(|pin| claims(&pin.matches))
            .map(|pin| pin.priority)
    }

    /// The place of the candidate among the versions.
    pub fn candidate(&self, name: &str, architecture: &str, versions: &Versions) -> Option<usize> {
        let installed = versions.installed().and_then(|at| versions.listed.get(at));
        let mut best = (-1, None);
        for (at, listed) in versions.listed.iter().enumerate() {
            let priority = self.priority(name, architecture, listed);
            if priority == 0 || priority <= best.0 {
                continue;
            }
            let is_downgrade = installed.is_some_and(|installed| {
                deb::compare(listed.row.version.as_str(), installed.row.version.as_str()).is_lt()
            });
            if is_downgrade && priority < 1000 {
                continue;
            }
            best = (priority, Some(at));
        }
        best.1
    }
}

/// The priority of an index after the general pins: the first that matches it, but `never` before all others.
fn pinned(facts: &Facts<'_>, base: i32, preferences: &Preferences) -> i32 {
    let mut matching =
        preferences.general.iter().filter(|pin| pin.matches.matches_index(facts)).map(|pin| pin.priority);
    let first = matching.next();
    if first == Some(NEVER) || matching.any(|priority| priority == NEVER) {
        NEVER
    } else {
        first.unwrap_or(base)
    }
}

/// Whether a package of this architecture is meant. Without a word of its own a pin means the native one.
fn architecture_matches(wanted: Option<&str>, architecture: &str, native: &str) -> bool {
    // A Debian architecture is "os-cpu", and "linux" where no system is named (dpkg-architecture(1)).
    let parts = |name: &str| {
        let (system, cpu) = name.split_once('-').unwrap_or(("linux", name));
        (system.to_owned(), cpu.to_owned())
    };
    match wanted {
        None => architecture == native,
        Some("any") => true,
        Some(exact) if exact == architecture => true,
        Some(wildcard) if wildcard.starts_with("any-") || wildcard.ends_with("-any") => {
            let ((wanted_system, wanted_cpu), (system, cpu)) = (parts(wildcard), parts(architecture));
            (wanted_system == "any" || wanted_system == system) && (wanted_cpu == "any" || wanted_cpu == cpu)
        }
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::packages::scan;
    use crate::problem_list::ProblemList;

    fn row(version: &str, more: &str) -> Row {
        let text = format!("Package: a\nVersion: {version}\nArchitecture: amd64\n{more}\n");
        let mut rows = Vec::new();
        scan(text.as_bytes(), "list", |listed| {
            rows.extend(listed.row()?);
            Ok(())
        });
        rows.remove(0).1
    }

    fn preferences(text: &str) -> Preferences {
        let mut preferences = Preferences::default();
        preferences.apply(text.as_bytes(), "preferences", &mut ProblemList::new("the preferences"));
        preferences
    }

    const INDEXES: [Index<'static>; 2] = [index("one", false), index("two", true)];

    const fn index(suite: &'static str, is_experimental: bool) -> Index<'static> {
        let facts = Facts {
            is_status_file: false,
            site: "example.org",
            component: "main",
            architecture: "amd64",
            suite: Some(suite),
            origin: None,
            label: None,
            codename: None,
            version: None,
        };
        Index { facts, not_automatic: is_experimental, but_automatic_upgrades: false }
    }

    /// Version 1 installed, 2 in the first index, 3 in the second, which is not automatic.
    #[track_caller]
    fn check(pins: &str, expected: Option<&str>) {
        let mut versions = Versions::default();
        versions.add(row("2", "Size: 1\n"), Seen::Index(0), Sameness::Relations);
        versions.add(row("0.5", "Size: 1\n"), Seen::Index(0), Sameness::Relations);
        versions.add(row("3", "Size: 1\n"), Seen::Index(1), Sameness::Relations);
        versions.add(row("1", ""), Seen::Status, Sameness::Relations);
        let preferences = preferences(pins);
        let policy = Policy::new(INDEXES.to_vec(), &preferences, "amd64");
        let candidate = policy.candidate("a", "amd64", &versions);
        assert_eq!(candidate.map(|at| versions.listed[at].row.version.as_str()), expected, "{pins}");
    }

    #[test]
    fn the_highest_priority_wins_and_then_the_highest_version() {
        check("", Some("2"));
        check("Package: *\nPin: release a=two\nPin-Priority: 500\n", Some("3"));
        check("Package: a\nPin: release a=one\nPin-Priority: -1\n", Some("1"));
        check("Package: *\nPin: release *\nPin-Priority: -1\n", None);
        check("Package: a\nPin: version 0.5\nPin-Priority: 999\n", Some("2"));
        check("Package: a\nPin: version 0.5\nPin-Priority: 1000\n", Some("0.5"));
        check("Package: g*\nPin: version 0.5\nPin-Priority: 1000\n", Some("2"));
        check("Package: a:any\nPin: version 1\nPin-Priority: 501\n", Some("1"));
        check("Package: a:i386\nPin: version 1\nPin-Priority: 501\n", Some("2"));
        check("Package: src:a\nPin: version 3\nPin-Priority: 700\n", Some("3"));
    }

    #[test]
    fn equal_texts_are_two_versions_where_their_contents_differ() {
        let mut versions = Versions::default();
        versions.add(row("1", "Depends: x\n"), Seen::Index(0), Sameness::Relations);
        versions.add(row("1", "Depends: y\n"), Seen::Index(1), Sameness::Relations);
        versions.add(row("1", "Depends: y\n"), Seen::Status, Sameness::Relations);
        assert_eq!(versions.listed.len(), 2);
        assert_eq!(versions.installed(), Some(1));
        assert_eq!(versions.listed[1].seen, [Seen::Index(1), Seen::Status]);
    }

    #[test]
    fn architectures_of_pins_are_those_of_dpkg() {
        for (wanted, architecture, expected) in [
            (None, "amd64", true),
            (None, "i386", false),
            (Some("any"), "i386", true),
            (Some("i386"), "i386", true),
            (Some("linux-any"), "amd64", true),
            (Some("any-amd64"), "kfreebsd-amd64", true),
            (Some("any-i386"), "amd64", false),
        ] {
            assert_eq!(
                architecture_matches(wanted, architecture, "amd64"),
                expected,
                "{wanted:?} {architecture}"
            );
        }
    }
}
