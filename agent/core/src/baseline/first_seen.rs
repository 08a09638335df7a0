//! When a host first saw each version offered: what stands in for a date of release where archives have none.
//! Where it is kept is not its matter.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::package::{PackageId, Version};

/// The first sight of each version of each package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstSeen(BTreeMap<PackageId, BTreeMap<Version, Timestamp>>);

impl FirstSeen {
    pub fn get(&self, package: &PackageId, version: &Version) -> Option<Timestamp> {
        self.0.get(package)?.get(version).copied()
    }

    /// Keeps the earlier of two sights of one version.
    pub fn note(&mut self, package: &PackageId, version: &Version, at: Timestamp) {
        let sights = self.0.entry(package.clone()).or_default();
        let sight = sights.entry(version.clone()).or_insert(at);
        *sight = at.min(*sight);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&PackageId, &Version, Timestamp)> {
        self.0
            .iter()
            .flat_map(|(package, sights)| sights.iter().map(move |(version, &at)| (package, version, at)))
    }
}
