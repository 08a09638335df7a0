//! What an upgrade left beside a configuration file: the version that was not taken, for the administrator to look at.

use std::path::{Path, PathBuf};

use patchd_core::package::PackageId;

use super::conffiles::Conffiles;
use crate::root::Root;

/// What dpkg and ucf write beside a file, by what they did not take or put away.
const SUFFIXES: [&str; 4] = [".dpkg-dist", ".dpkg-old", ".dpkg-new", ".ucf-dist"];

/// One such file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    pub package: PackageId,
    pub path: PathBuf,
}

/// The leftovers beside the conffiles of these packages. Sorted.
pub fn leftovers<'a>(
    root: &Root,
    conffiles: &Conffiles,
    packages: impl IntoIterator<Item = &'a PackageId>,
) -> Vec<Leftover> {
    let mut found = Vec::new();
    for package in packages {
        for conffile in conffiles.of(package) {
            let place = conffiles.place(package, &conffile.path);
            let beside = SUFFIXES.iter().map(|suffix| beside(place, suffix));
            let there = beside.filter(|path| root.resolve(path).and_then(std::fs::symlink_metadata).is_ok());
            found.extend(there.map(|path| Leftover { package: package.clone(), path }));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
