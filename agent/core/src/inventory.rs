//! What is installed on a host. It says nothing of what could be installed: that is `offer`.

use jiff::Timestamp;

use crate::package::{PackageId, SourcePackage, Version};
use crate::problem::Problem;
use crate::version::VersionScheme;

/// dpkg's selection: what the administrator wants of a package (dpkg(1), "Package selection states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Want {
    Unknown,
    Install,
    Hold,
    Deinstall,
    Purge,
}

/// dpkg's error flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    Ok,
    ReinstallRequired,
}

/// dpkg's package states (dpkg(1), "Package states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    NotInstalled,
    ConfigFiles,
    HalfInstalled,
    Unpacked,
    HalfConfigured,
    TriggersAwaited,
    TriggersPending,
    Installed,
}

/// The three words of dpkg's `Status` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DpkgState {
    pub want: Want,
    pub flag: Flag,
    pub status: Status,
}

impl DpkgState {
    /// A package that is installed, wanted and sound.
    pub const INSTALLED: Self = Self { want: Want::Install, flag: Flag::Ok, status: Status::Installed };

    /// Whether files of the package are on disk: apt's own rule for having a current version.
    pub fn has_files(self) -> bool {
        !matches!(self.status, Status::NotInstalled | Status::ConfigFiles)
    }

    /// Whether a transaction on this package was cut, or asks for repair.
    pub fn is_broken(self) -> bool {
        self.flag == Flag::ReinstallRequired
            || matches!(self.status, Status::HalfInstalled | Status::Unpacked | Status::HalfConfigured)
    }
}

/// Who asked for a package: a person, or another package's dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mark {
    Manual,
    Automatic,
}

/// One package whose files are on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    pub id: PackageId,
    pub version: Version,
    pub source: SourcePackage,
    pub state: DpkgState,
    pub mark: Mark,
    /// When its files were last unpacked: the age of `info/NAME.list`. A reinstallation resets it.
    pub installed_at: Option<Timestamp>,
    /// The `Priority` and `Section` that the installed version was built with.
    pub priority: Option<Box<str>>,
    pub section: Option<Box<str>>,
    /// Whether dpkg refuses to remove it unless forced: `Essential: yes` or `Protected: yes`.
    pub essential: bool,
    pub multi_arch_same: bool,
}

impl InstalledPackage {
    pub fn is_held(&self) -> bool {
        self.state.want == Want::Hold
    }
}

/// A package that is gone but for its configuration files. It is no software that runs, and has no holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResidualPackage {
    pub id: PackageId,
    pub version: Option<Version>,
    pub state: DpkgState,
}

/// Everything that the package database of one host says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    pub scheme: VersionScheme,
    /// The architecture that the host's package manager calls its own.
    pub native: crate::package::Architecture,
    /// Sorted by name, then architecture.
    pub packages: Vec<InstalledPackage>,
    pub residual: Vec<ResidualPackage>,
    pub problems: Vec<Problem>,
}

impl Inventory {
    /// The installed package of this name and architecture.
    pub fn find(&self, id: &PackageId) -> Option<&InstalledPackage> {
        let at = self.packages.binary_search_by(|package| package.id.cmp(id)).ok()?;
        self.packages.get(at)
    }
}
