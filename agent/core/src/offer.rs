//! What the host's package sources offer for the packages that it has. It judges nothing: that is `compliance`.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::package::{PackageId, PackageName, SourcePackage, Version};
use crate::plan::steps::Tie;
use crate::problem::Problem;

/// Whether the package manager trusts what a repository says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trust {
    /// Its signature was checked when the lists were fetched.
    Signed,
    /// The administrator wrote `trusted=yes`.
    MarkedTrusted,
    /// Neither: the package manager refuses to install from it unattended.
    Untrusted,
}

/// One index of one repository, and what its Release file says of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// The address without user and password, as in the host's sources.
    pub uri: String,
    /// The host part of the address; empty for a local path.
    pub site: String,
    /// The distribution path as in the sources: `bookworm-security`, or `./` of a flat repository.
    pub distribution: String,
    pub component: String,
    pub origin: Option<String>,
    pub label: Option<String>,
    pub suite: Option<String>,
    pub codename: Option<String>,
    pub version: Option<String>,
    pub date: Option<Timestamp>,
    pub valid_until: Option<Timestamp>,
    pub trust: Trust,
    /// Whether a version from here counts as a security update: trusted, and "security" in its suite, or
    /// `security.debian.org` in its site (what Patch Manager does for apt).
    pub is_security: bool,
}

impl Repository {
    /// What `apt-get -s` prints as the release of a version: `Label:Version/Suite`.
    pub fn title(&self) -> String {
        let mut title = String::new();
        if let Some(label) = &self.label {
            title.push_str(label);
            title.push(':');
        }
        if let Some(version) = &self.version {
            title.push_str(version);
        }
        if let Some(suite) = &self.suite {
            if self.version.is_some() {
                title.push('/');
            }
            title.push_str(suite);
        }
        if title.is_empty() { self.uri.clone() } else { title }
    }
}

/// Which repository: its place in `Offers::repositories`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryId(pub u16);

/// Whether a version is being held from this host by its publisher's phasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not phased, or this host's turn has come.
    Open,
    /// `percentage` of hosts have it; this host's turn has not come.
    Waiting { percentage: u8 },
}

/// One version of one installed package that a source offers: at least as new as the installed one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub version: Version,
    pub source: SourcePackage,
    /// The package manager's own priority word (`required` … `extra`), lower-cased.
    pub priority: Option<Box<str>>,
    pub section: Option<Box<str>>,
    /// The indexes that have it, in the order of the sources.
    pub repositories: Vec<RepositoryId>,
    /// The priority that preferences give to this version (apt_preferences(5)).
    pub pin: i32,
    pub phase: Phase,
    /// Bytes to fetch, and kibibytes on disk when installed.
    pub download_bytes: u64,
    pub installed_kib: u64,
}

/// Why the package manager itself would not bring a package to its candidate today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptBack {
    /// The administrator put it on hold.
    Held,
    /// Its publisher gives it to a part of the hosts first.
    Phased { percentage: u8 },
    /// It needs something that can't be had; `on` names it where it is known.
    Dependency { on: Option<Need> },
    /// It could only be installed by removing these.
    RemovalRequired { packages: Vec<PackageName> },
}

/// What a package needs in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// As the package manager writes it: `libc6 (>= 2.36) | libc6.1`.
    pub text: String,
    /// The names that it mentions.
    pub packages: Vec<PackageName>,
}

/// All versions of one installed package that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageOffers {
    /// Newest first. The installed version is among them if a source still has it.
    pub offers: Vec<Offer>,
    /// The package manager's candidate, if it has one: a place in `offers`.
    pub candidate: Option<usize>,
    /// Whether the candidate is another version than the installed one: what `apt list --upgradable` lists.
    pub is_upgradable: bool,
    /// Why an upgradable package would still be left where it is.
    pub kept_back: Option<KeptBack>,
    /// Kibibytes that the installed version takes on disk: 0 where that is not known.
    pub installed_kib: u64,
}

impl PackageOffers {
    pub fn candidate(&self) -> Option<&Offer> {
        self.offers.get(self.candidate?)
    }
}

/// How the answer was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// By our own readers.
    Native,
    /// By asking the package manager, because of this.
    AskedPackageManager { because: String },
}

/// A package that an upgrade would bring in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewPackage {
    pub id: PackageId,
    pub version: Version,
    /// Bytes to fetch, and kibibytes on disk when installed: 0 where that is not known.
    pub download_bytes: u64,
    pub installed_kib: u64,
}

/// Packages of the repositories that are not installed, by what a baseline looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotInstalledClass {
    pub is_security: bool,
    pub priority: Option<Box<str>>,
    pub section: Option<Box<str>>,
    /// Which list of the baseline names them, where one does.
    pub listed: Option<Listed>,
}

/// The lists of a baseline. What both name is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listed {
    Approved,
    Rejected,
}

/// Everything that the sources of one host offer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers {
    pub repositories: Vec<Repository>,
    /// Installed packages only. One without an entry has no source that knows it.
    pub packages: BTreeMap<PackageId, PackageOffers>,
    /// What upgrading everything that is not kept back would bring in.
    pub new_packages: Vec<NewPackage>,
    /// Which of these upgrades and new packages can't go without which others. Sorted, each once.
    pub ties: Vec<Tie>,
    /// How many distinct packages of each class the sources have and the host has not.
    pub not_installed: BTreeMap<NotInstalledClass, u64>,
    /// When the lists were last fetched with success, as far as the files tell.
    pub refreshed_at: Option<Timestamp>,
    pub method: Method,
    pub problems: Vec<Problem>,
}

impl Offers {
    pub fn repository(&self, id: RepositoryId) -> Option<&Repository> {
        self.repositories.get(usize::from(id.0))
    }

    /// Whether any trusted security source has this version.
    pub fn is_security(&self, offer: &Offer) -> bool {
        offer
            .repositories
            .iter()
            .filter_map(|&id| self.repository(id))
            .any(|repository| repository.is_security)
    }
}
