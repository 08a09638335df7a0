//! When this host first saw each version offered: what delays are counted from where archives have no date of release.
//!
//! A version is forgotten once the host has it or a newer one, and never because a list was away for a while.

use std::cmp::Ordering;

use jiff::Timestamp;
use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::inventory::Inventory;
use patchd_core::offer::Offers;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use rusqlite::params;

use super::{Journal, JournalError};

/// How many versions are remembered at most: the oldest are forgotten.
const MAX_VERSIONS: u32 = 100_000;

impl Journal {
    pub fn first_seen(&self) -> Result<FirstSeen, JournalError> {
        let mut seen = FirstSeen::default();
        let mut statement =
            self.connection.prepare_cached("SELECT package, architecture, version, at FROM first_seen")?;
        let text = |row: &rusqlite::Row<'_>, at| row.get::<_, String>(at);
        let rows = statement
            .query_map([], |row| Ok((text(row, 0)?, text(row, 1)?, text(row, 2)?, text(row, 3)?)))?;
        for row in rows {
            let (name, architecture, version, at) = row?;
            let words = (PackageName::parse(&name), Architecture::parse(&architecture));
            // What could not be a name was not written by us, and names nothing.
            if let ((Ok(name), Ok(architecture)), Ok(version), Ok(at)) =
                (words, Version::parse(&version), at.parse())
            {
                seen.note(&PackageId { name, architecture }, &version, at);
            }
        }
        Ok(seen)
    }

    /// Takes down the versions that `offers` has and `known` has not, and forgets those that the host has reached.
    pub fn note_first_seen(
        &mut self,
        inventory: &Inventory,
        offers: &Offers,
        known: &FirstSeen,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let is_ahead = |package: &PackageId, version: &Version| {
            inventory.find(package).is_some_and(|installed| {
                inventory.scheme.compare(&installed.version, version) == Ordering::Less
            })
        };
        let commit = self.connection.transaction()?;
        {
            let mut insert = commit.prepare_cached(
                "INSERT OR IGNORE INTO first_seen (package, architecture, version, at) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (id, of_package) in &offers.packages {
                let new = of_package
                    .offers
                    .iter()
                    .map(|offer| &offer.version)
                    .filter(|version| known.get(id, version).is_none() && is_ahead(id, version));
                for version in new {
                    let (name, architecture) = (id.name.as_str(), id.architecture.as_str());
                    insert.execute(params![name, architecture, version.as_str(), now.to_string()])?;
                }
            }
            let mut forget = commit.prepare_cached(
                "DELETE FROM first_seen WHERE package = ?1 AND architecture = ?2 AND version = ?3",
            )?;
            // A database that could not be read has reached nothing.
            let gone = |(package, version, _): &(&PackageId, &Version, Timestamp)| {
                !inventory.packages.is_empty() && !is_ahead(package, version)
            };
            for (id, version, _) in known.iter().filter(gone) {
                forget.execute(params![id.name.as_str(), id.architecture.as_str(), version.as_str()])?;
            }
        }
        commit.execute(
            "DELETE FROM first_seen WHERE (package, architecture, version) IN \
             (SELECT package, architecture, version FROM first_seen ORDER BY at DESC LIMIT -1 OFFSET ?1)",
            params![MAX_VERSIONS],
        )?;
        Ok(commit.commit()?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use patchd_core::inventory::{DpkgState, InstalledPackage, Mark};
    use patchd_core::offer::{Method, Offer, PackageOffers, Phase};
    use patchd_core::package::SourcePackage;
    use patchd_core::version::VersionScheme;

    use super::*;

    fn id() -> PackageId {
        let (name, architecture) = (PackageName::parse("openssl"), Architecture::parse("amd64"));
        PackageId { name: name.unwrap(), architecture: architecture.unwrap() }
    }

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    fn source(text: &str) -> SourcePackage {
        SourcePackage { name: id().name, version: version(text) }
    }

    fn inventory(installed: &str) -> Inventory {
        let package = InstalledPackage {
            id: id(),
            version: version(installed),
            source: source(installed),
            state: DpkgState::INSTALLED,
            mark: Mark::Manual,
            installed_at: None,
            priority: None,
            section: None,
            essential: false,
            multi_arch_same: false,
        };
        Inventory {
            scheme: VersionScheme::Deb,
            native: id().architecture,
            packages: vec![package],
            residual: vec![],
            problems: vec![],
        }
    }

    fn offers(versions: &[&str]) -> Offers {
        let offer = |text: &&str| Offer {
            version: version(text),
            source: source(text),
            priority: None,
            section: None,
            repositories: vec![],
            pin: 500,
            phase: Phase::Open,
            download_bytes: 0,
            installed_kib: 0,
        };
        let of_package = PackageOffers {
            offers: versions.iter().map(offer).collect(),
            candidate: Some(0),
            is_upgradable: true,
            kept_back: None,
            installed_kib: 0,
        };
        Offers {
            repositories: vec![],
            packages: BTreeMap::from([(id(), of_package)]),
            new_packages: vec![],
            ties: vec![],
            not_installed: BTreeMap::new(),
            refreshed_at: None,
            method: Method::Native,
            problems: vec![],
        }
    }

    fn seen(journal: &Journal) -> Vec<(String, String)> {
        let seen = journal.first_seen().unwrap();
        seen.iter().map(|(_, version, at)| (version.to_string(), at.to_string())).collect()
    }

    fn look(journal: &mut Journal, installed: &str, offered: &[&str], now: &str) {
        let known = journal.first_seen().unwrap();
        let (inventory, offers) = (inventory(installed), offers(offered));
        journal.note_first_seen(&inventory, &offers, &known, now.parse().unwrap()).unwrap();
    }

    #[test]
    fn the_first_sight_of_a_version_stands_until_the_host_has_it() {
        let mut journal = Journal::in_memory().unwrap();
        let entry = |version: &str, day: &str| (version.to_owned(), format!("2026-11-{day}T00:00:00Z"));
        look(&mut journal, "1.0", &["1.1", "1.0", "0.9"], "2026-11-01T00:00:00Z");
        assert_eq!(seen(&journal), [entry("1.1", "01")]);
        look(&mut journal, "1.0", &["1.2", "1.1"], "2026-11-08T00:00:00Z");
        assert_eq!(seen(&journal), [entry("1.1", "01"), entry("1.2", "08")]);
        // A mirror that is behind for a day makes no version younger.
        look(&mut journal, "1.0", &["1.1"], "2026-11-09T00:00:00Z");
        look(&mut journal, "1.0", &["1.2"], "2026-11-10T00:00:00Z");
        assert_eq!(seen(&journal), [entry("1.1", "01"), entry("1.2", "08")]);
        look(&mut journal, "1.1", &["1.2", "1.1"], "2026-11-11T00:00:00Z");
        assert_eq!(seen(&journal), [entry("1.2", "08")]);
    }

    #[test]
    fn a_database_that_could_not_be_read_makes_nothing_forgotten() {
        let mut journal = Journal::in_memory().unwrap();
        look(&mut journal, "1.0", &["1.1"], "2026-11-01T00:00:00Z");
        let (known, empty) =
            (journal.first_seen().unwrap(), Inventory { packages: vec![], ..inventory("1.0") });
        let now = "2026-11-02T00:00:00Z".parse().unwrap();
        journal.note_first_seen(&empty, &offers(&[]), &known, now).unwrap();
        assert_eq!(seen(&journal).len(), 1);
    }
}
