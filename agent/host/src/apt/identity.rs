//! What tells two versions of the same text apart, by apt's own rule: a rebuild in another repository is another version.

use patchd_core::inventory::InstalledPackage;
use patchd_core::version::deb;

/// `Multi-Arch`, as far as apt tells versions apart by it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MultiArch {
    #[default]
    No,
    Same,
    Foreign,
    Allowed,
}

/// What tells two versions of the same text apart (apt's own rule).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Over the size on disk and the relations that bind.
    hash: u32,
    /// 0 where it isn't said.
    size: u64,
    sha256: Option<Box<[u8]>>,
    multi_arch: MultiArch,
    is_all: bool,
}

/// How this host's apt tells two versions of the same text apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sameness {
    /// By what binds them.
    Relations,
    /// Also by the checksums of their files: apt 2.7.3 and later, and jammy's in its updates.
    RelationsAndChecksum,
}

impl Sameness {
    pub fn of_apt(version: Option<&str>) -> Self {
        let is_from = |version: &str, from: &str| deb::compare(version, from).is_ge();
        let compares = |version: &str| {
            is_from(version, "2.7.3") || (is_from(version, "2.4.13") && !is_from(version, "2.5~"))
        };
        if version.is_some_and(compares) { Self::RelationsAndChecksum } else { Self::Relations }
    }
}

impl Identity {
    /// `binding` are the size on disk and the relations that bind, in the order in which apt hashes them.
    pub fn new(
        binding: &[Option<&[u8]>],
        size: u64,
        sha256: Option<Box<[u8]>>,
        multi_arch: MultiArch,
        is_all: bool,
    ) -> Self {
        Self { hash: hash(binding), size, sha256, multi_arch, is_all }
    }

    /// That of an installed version without a stanza, as far as the inventory knows it.
    pub fn of_installed(package: &InstalledPackage) -> Self {
        let multi_arch = if package.multi_arch_same { MultiArch::Same } else { MultiArch::No };
        Self::new(&[], 0, None, multi_arch, package.id.architecture.as_str() == "all")
    }

    pub fn multi_arch(&self) -> MultiArch {
        self.multi_arch
    }

    /// Whether it is for all architectures.
    pub fn is_all(&self) -> bool {
        self.is_all
    }

    pub fn is_same(&self, other: &Self, sameness: Sameness) -> bool {
        let may_be_equal = |a: u64, b: u64| a == 0 || b == 0 || a == b;
        let mut checksums = self.sha256.iter().zip(&other.sha256);
        self.hash == other.hash
            && self.multi_arch == other.multi_arch
            && self.is_all == other.is_all
            && may_be_equal(self.size, other.size)
            && (sameness == Sameness::Relations || checksums.all(|(a, b)| a == b))
    }
}

/// apt's hash of what binds a version: dpkg rewrites blanks, `=` and zero epochs in these fields, so they don't count.
fn hash(fields: &[Option<&[u8]>]) -> u32 {
    let mut hash: u32 = 5381;
    for value in fields.iter().flatten() {
        let mut bytes = value.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            if byte == b'0' && bytes.peek() == Some(&b':') {
                bytes.next();
            } else if !byte.is_ascii_whitespace() && byte != b'=' {
                hash = hash.wrapping_mul(33).wrapping_add(u32::from(byte.to_ascii_lowercase()));
            }
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::packages::{Row, scan};

    fn row(fields: &str) -> Row {
        let text = format!("Package: a\nVersion: 1\nArchitecture: amd64\n{fields}\n");
        let mut rows = Vec::new();
        scan(text.as_bytes(), "list", |listed| {
            rows.extend(listed.row()?.map(|(_, row)| row));
            Ok(())
        });
        rows.remove(0)
    }

    #[track_caller]
    fn check_same(a: &str, b: &str, expected: bool) {
        let is_same = row(a).identity.is_same(&row(b).identity, Sameness::RelationsAndChecksum);
        assert_eq!(is_same, expected, "{a} / {b}");
    }

    #[test]
    fn what_dpkg_rewrites_does_not_make_another_version() {
        check_same("Depends: a (>= 1), b", "Depends: a(>=0:1),b", true);
        check_same("Depends: a (< 1)", "Depends: a (<= 1)", true);
        check_same("Depends: a", "Depends: b", false);
        check_same("Recommends: a", "Recommends: b", true);
        check_same("Size: 1\nSHA256: aa", "", true);
        check_same("Size: 1\nSHA256: aa", "Size: 1\nSHA256: bb", false);
        check_same("Size: 1", "Size: 2", false);
        check_same("Installed-Size: 1", "Installed-Size: 2", false);
        check_same("Multi-Arch: same", "", false);
    }

    #[test]
    fn checksums_count_for_those_who_look_at_them() {
        for (version, expected) in [
            (None, Sameness::Relations),
            (Some("2.0.9"), Sameness::Relations),
            (Some("2.4.13"), Sameness::RelationsAndChecksum),
            (Some("2.6.2"), Sameness::Relations),
            (Some("2.7.14build2"), Sameness::RelationsAndChecksum),
        ] {
            assert_eq!(Sameness::of_apt(version), expected, "{version:?}");
        }
    }
}
