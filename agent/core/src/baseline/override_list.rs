//! An `InstallOverrideList`: the packages, and where it says so the versions, that one run installs in place of what the
//! baseline approves. It reads no YAML.

use thiserror::Error;

use super::pattern::{ShellGlob, is_named};
use super::subject::{Facts, Subject, Traits};
use crate::package::{PackageId, Version};

/// The longest id or title, in characters.
pub const MAX_TEXT: usize = 256;

/// Why a text can't be an id or a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidEntry {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_TEXT} characters")]
    TooLong,
    #[error("it has the character {0:?}")]
    Character(char),
}

/// One entry: a glob over the renderings of a version, and maybe a second one that has to match too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverrideEntry {
    id: Glob,
    title: Option<Glob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Glob {
    text: String,
    glob: ShellGlob,
}

/// The whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallOverride {
    pub entries: Vec<OverrideEntry>,
}

/// What a list says of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing<'a> {
    Listed(&'a OverrideEntry),
    /// The package is listed, and another version of it: what needs this one can't be installed.
    OtherVersion(&'a OverrideEntry),
    NotListed,
}

impl OverrideEntry {
    pub fn parse(id: &str, title: Option<&str>) -> Result<Self, InvalidEntry> {
        Ok(Self { id: Glob::parse(id)?, title: title.map(Glob::parse).transpose()? })
    }

    pub fn id(&self) -> &str {
        &self.id.text
    }

    pub fn title(&self) -> Option<&str> {
        self.title.as_ref().map(|title| title.text.as_str())
    }

    /// Whether id and title both name the version.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.id.matches(subject) && self.title.as_ref().is_none_or(|title| title.matches(subject))
    }
}

impl InstallOverride {
    /// What the list says of a version. Of several entries one that lists it counts.
    pub fn listing(&self, subject: &Subject<'_>) -> Listing<'_> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.matches(subject)) {
            return Listing::Listed(entry);
        }
        let same_id = self.entries.iter().find(|entry| entry.id.matches(subject));
        same_id.map_or(Listing::NotListed, Listing::OtherVersion)
    }

    /// The same for a deb package, of which nothing but its name, architecture and version counts.
    pub fn listing_of_deb(&self, package: &PackageId, version: &Version) -> Listing<'_> {
        let traits = Traits::Deb { priority: None, section: None, is_security: false, first_seen: None };
        self.listing(&Subject { package, version, facts: Facts { product: "", traits } })
    }

    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        matches!(self.listing(subject), Listing::Listed(_))
    }
}

impl Glob {
    fn parse(text: &str) -> Result<Self, InvalidEntry> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(InvalidEntry::Empty);
        }
        if MAX_TEXT < trimmed.chars().count() {
            return Err(InvalidEntry::TooLong);
        }
        if let Some(odd) = trimmed.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(InvalidEntry::Character(odd));
        }
        Ok(Self { text: trimmed.to_owned(), glob: ShellGlob::new(trimmed) })
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        is_named(&self.glob, subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::subject::{Facts, RpmManager, Traits};
    use crate::package::{Architecture, PackageId, PackageName, Version};

    const DEB: Traits<'_> =
        Traits::Deb { priority: None, section: None, is_security: false, first_seen: None };
    const RPM: Traits<'_> = Traits::Rpm { manager: RpmManager::Yum, advisories: &[], built_at: None };

    /// What one entry says of `name.arch` at a version: `listed`, `other version` or `not listed`.
    #[track_caller]
    fn check(
        entry: (&str, Option<&str>),
        traits: Traits<'_>,
        package: (&str, &str),
        version: &str,
        expected: &str,
    ) {
        let list = InstallOverride { entries: vec![OverrideEntry::parse(entry.0, entry.1).unwrap()] };
        let (name, arch) = package;
        let package = PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse(arch).unwrap(),
        };
        let version = Version::parse(version).unwrap();
        let facts = Facts { product: "x", traits };
        let subject = Subject { package: &package, version: &version, facts };
        let found = match list.listing(&subject) {
            Listing::Listed(_) => "listed",
            Listing::OtherVersion(_) => "other version",
            Listing::NotListed => "not listed",
        };
        assert_eq!(found, expected, "{entry:?} {name}.{arch} {}", version.as_str());
        assert_eq!(list.matches(&subject), expected == "listed");
    }

    #[test]
    fn an_id_alone_lists_every_version() {
        check(("kernel.x86_64", None), RPM, ("kernel", "x86_64"), "4.14-1", "listed");
        check(("kernel.x86_64", None), RPM, ("kernel-devel", "x86_64"), "4.14-1", "not listed");
        check(("DHCP*", None), RPM, ("dhcp-common", "x86_64"), "12:4.2.5-1", "listed");
        check(("curl", None), DEB, ("curl", "amd64"), "7.88.1-10", "listed");
    }

    #[test]
    fn a_title_has_to_match_too() {
        let title = Some("32:9.8.2-0.62.rc1.57.amzn1");
        let bind = ("bind-libs", "x86_64");
        check(("bind*.x86_64", title), RPM, bind, "32:9.8.2-0.62.rc1.57.amzn1", "listed");
        check(("bind*.x86_64", title), RPM, bind, "32:9.8.2-0.68.rc1.57.amzn1", "other version");
        check(("bind*.x86_64", title), RPM, ("curl", "x86_64"), "32:9.8.2-0.62.rc1.57.amzn1", "not listed");
        let full = Some("bind-libs.x86_64:32:9.8.2-*");
        check(("bind*.x86_64", full), RPM, bind, "32:9.8.2-0.68.rc1.57.amzn1", "listed");
        check(("curl", Some("curl.amd64:7.88*")), DEB, ("curl", "amd64"), "7.88.1-10", "listed");
        check(("curl", Some("curl.amd64:8*")), DEB, ("curl", "amd64"), "7.88.1-10", "other version");
    }

    #[test]
    fn an_entry_is_a_short_word() {
        assert_eq!(OverrideEntry::parse(" ", None), Err(InvalidEntry::Empty));
        assert_eq!(OverrideEntry::parse("a", Some("")), Err(InvalidEntry::Empty));
        assert_eq!(OverrideEntry::parse("a b", None), Err(InvalidEntry::Character(' ')));
        assert_eq!(OverrideEntry::parse(&"a".repeat(MAX_TEXT + 1), None), Err(InvalidEntry::TooLong));
        let entry = OverrideEntry::parse(" a ", Some("b")).unwrap();
        assert_eq!((entry.id(), entry.title()), ("a", Some("b")));
    }
}
