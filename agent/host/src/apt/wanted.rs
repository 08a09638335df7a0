//! The installed packages by name, for looking up the names of a list one after the other.

use std::cmp::Ordering;
use std::ops::Range;

use patchd_core::inventory::InstalledPackage;

/// Finds names among those of the installed packages. Archives sort their lists: a name is nearly always at, or just
/// before, the place of the one that was asked for before it, and that is proven by comparing it with its neighbours
/// there. It holds for any list, sorted or not.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// Each name with the places of its packages in the inventory.
    names: Vec<(&'a str, Range<usize>)>,
    /// The first name that is not before the last one asked for.
    at: usize,
}

impl<'a> Wanted<'a> {
    /// `packages` are sorted by name.
    pub(super) fn new(packages: &'a [InstalledPackage]) -> Self {
        let mut names: Vec<(&str, Range<usize>)> = Vec::with_capacity(packages.len());
        for (at, package) in packages.iter().enumerate() {
            let name = package.id.name.as_str();
            match names.last_mut() {
                Some((last, places)) if *last == name => places.end = at + 1,
                _ => names.push((name, at..at + 1)),
            }
        }
        Self { names, at: 0 }
    }

    /// The places of the packages of this name; none if there are none.
    pub(super) fn find(&mut self, name: &str) -> Option<Range<usize>> {
        let mut order = self.compare(self.at, name);
        if order == Ordering::Less {
            self.at += 1;
            order = self.compare(self.at, name);
        }
        let is_here = match order {
            Ordering::Less => false,
            Ordering::Equal => true,
            Ordering::Greater => {
                self.at.checked_sub(1).is_none_or(|before| self.compare(before, name) == Ordering::Less)
            }
        };
        if !is_here {
            self.at = self.names.partition_point(|(known, _)| *known < name);
        }
        let (known, places) = self.names.get(self.at)?;
        (*known == name).then(|| places.clone())
    }

    /// How the name at a place stands to this one. Behind the last, all are greater.
    fn compare(&self, at: usize, name: &str) -> Ordering {
        self.names.get(at).map_or(Ordering::Greater, |(known, _)| (*known).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use patchd_core::inventory::{DpkgState, Mark};
    use patchd_core::package::{Architecture, PackageId, PackageName, SourcePackage, Version};

    use super::*;

    fn package(name: &str) -> InstalledPackage {
        let (name, version) = (PackageName::parse(name).unwrap(), Version::parse("1").unwrap());
        InstalledPackage {
            id: PackageId { name: name.clone(), architecture: Architecture::parse("all").unwrap() },
            version: version.clone(),
            source: SourcePackage { name, version },
            state: DpkgState::INSTALLED,
            mark: Mark::Manual,
            installed_at: None,
            priority: None,
            section: None,
            essential: false,
            multi_arch_same: false,
        }
    }

    #[test]
    fn every_name_is_found_in_any_order() {
        let packages = ["b", "d", "d", "f"].map(package);
        let expected = |name: &str| match name {
            "b" => Some(0..1),
            "d" => Some(1..3),
            "f" => Some(3..4),
            _ => None,
        };
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut wanted = Wanted::new(&packages);
        for first in names {
            for second in names {
                for third in names {
                    for name in [first, second, third] {
                        assert_eq!(wanted.find(name), expected(name), "{first} {second} {third}");
                    }
                }
            }
        }
        assert_eq!(Wanted::new(&[]).find("a"), None);
    }
}
