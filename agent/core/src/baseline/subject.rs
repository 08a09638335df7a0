//! What a baseline may look at in one version of one package.

use jiff::Timestamp;

use crate::advisory::Advisory;
use crate::package::{PackageId, Version};

/// One version of one package, as a baseline sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    pub package: &'a PackageId,
    pub version: &'a Version,
    pub facts: Facts<'a>,
}

/// What rules look at: lists alone look at names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The host's product: `Debian12`.
    pub product: &'a str,
    pub traits: Traits<'a>,
}

/// The facts that each kind of package has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traits<'a> {
    Deb {
        priority: Option<&'a str>,
        section: Option<&'a str>,
        /// Whether a trusted security archive has this version.
        is_security: bool,
        /// When this host first saw it offered, where that is kept.
        first_seen: Option<Timestamp>,
    },
    Rpm {
        manager: RpmManager,
        /// Those that list this very version.
        advisories: &'a [Advisory],
        built_at: Option<Timestamp>,
    },
}

/// The package managers differ in what they call security, and in what they take for the date of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RpmManager {
    Yum,
    Dnf,
    Zypper,
}

impl<'a> Traits<'a> {
    /// The advisories that list the version: none for deb packages.
    pub(super) fn advisories(&self) -> &'a [Advisory] {
        match self {
            Self::Deb { .. } => &[],
            Self::Rpm { advisories, .. } => advisories,
        }
    }

    /// Whether a version is a security update, told by one of its advisories where it has any.
    pub(super) fn is_security(&self, advisory: Option<&Advisory>) -> bool {
        match self {
            Self::Deb { is_security, .. } => *is_security,
            Self::Rpm { manager: RpmManager::Dnf, .. } => {
                advisory.is_some_and(|it| it.classification.is_some() && it.severity.is_some())
            }
            // Any notice will do, whatever its type.
            Self::Rpm { manager: RpmManager::Yum | RpmManager::Zypper, .. } => advisory.is_some(),
        }
    }

    /// When a version came out, for delays. What has no date came out long ago.
    pub(super) fn released_at(&self, advisory: Option<&Advisory>) -> Timestamp {
        let said = |advisory: &Advisory| advisory.updated.or(advisory.issued);
        let released = match self {
            Self::Deb { first_seen, .. } => *first_seen,
            Self::Rpm { manager: RpmManager::Yum, built_at, .. } => advisory.and_then(said).max(*built_at),
            Self::Rpm { manager: RpmManager::Dnf, .. } => advisory.and_then(said),
            Self::Rpm { manager: RpmManager::Zypper, .. } => advisory.and_then(|it| it.issued),
        };
        released.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
