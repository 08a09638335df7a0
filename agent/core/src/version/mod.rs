//! The order of versions, as dpkg and rpm define it. Parsing of file names and headers is not here.

pub mod deb;
pub mod rpm;

use std::cmp::Ordering;

use crate::package::Version;

/// Which package manager's rules a version follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionScheme {
    Deb,
    Rpm,
}

impl VersionScheme {
    /// Orders two versions that the package manager accepted.
    pub fn compare(self, a: &Version, b: &Version) -> Ordering {
        match self {
            Self::Deb => deb::compare(a.as_str(), b.as_str()),
            Self::Rpm => rpm::compare(a.as_str(), b.as_str()),
        }
    }
}
