//! The archives that were kept of transactions that were not finished, by what their names say.
//!
//! apt checked them before they were kept, and only root can write where they lie. What is in them is dpkg's to read.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::version::VersionScheme;

/// The most files that are looked at: more than the plans of all kept transactions can have.
const MAX_FILES: usize = 100_000;

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) id: PackageId,
    pub(super) version: Version,
    pub(super) path: PathBuf,
}

/// Every archive in `directories` that `owner` alone can have written.
pub(super) fn archives(directories: &[PathBuf], owner: u32) -> Vec<Archive> {
    let entries =
        directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    entries.take(MAX_FILES).filter_map(|entry| archive(entry.path(), owner)).collect()
}

fn archive(path: PathBuf, owner: u32) -> Option<Archive> {
    let metadata = path.symlink_metadata().ok()?;
    let is_safe = metadata.is_file() && metadata.uid() == owner && metadata.mode() & 0o022 == 0;
    let (id, version) = parse(path.file_name()?.to_str()?)?;
    is_safe.then_some(Archive { id, version, path })
}

/// The archive to put a damaged package right with: the newest, and never one that is older than what is there.
pub(super) fn find<'a>(
    archives: &'a [Archive],
    id: &PackageId,
    present: Option<&Version>,
    native: &Architecture,
) -> Option<&'a Archive> {
    let compare = |a: &Version, b: &Version| VersionScheme::Deb.compare(a, b);
    archives
        .iter()
        .filter(|archive| {
            archive.id.name == id.name && is_same(&archive.id.architecture, &id.architecture, native)
        })
        .filter(|archive| present.is_none_or(|present| compare(&archive.version, present).is_ge()))
        .max_by(|a, b| compare(&a.version, &b.version))
}

/// An upgrade may turn a package of the host's architecture into one for all, or back.
fn is_same(a: &Architecture, b: &Architecture, native: &Architecture) -> bool {
    let is_at_home = |one: &Architecture| one == native || one.as_str() == "all";
    a == b || (is_at_home(a) && is_at_home(b))
}

/// Reads apt's name of an archive: `NAME_VERSION_ARCHITECTURE.deb`.
fn parse(name: &str) -> Option<(PackageId, Version)> {
    let mut parts = name.strip_suffix(".deb")?.split('_').map(unquoted);
    let (name, version, architecture) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let name = PackageName::parse(&name).ok()?;
    let architecture = Architecture::parse(&architecture).ok()?;
    Some((PackageId { name, architecture }, Version::parse(&version).ok()?))
}

/// Takes back apt's quoting: `%3a` is a colon.
fn unquoted(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        plain.push(char::from(u8::from_str_radix(digits, 16).ok()?));
        plain.push_str(rest);
    }
    Some(plain)
}

/// The directories of `paths`, for a note.
pub(super) fn names(paths: &[&Path]) -> String {
    let names = paths.iter().filter_map(|path| path.file_name()?.to_str());
    names.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use patchd_host::durable::{atomic_write, create_directories};

    use super::*;

    fn id(name: &str, architecture: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse(architecture).unwrap(),
        }
    }

    #[test]
    fn names_are_read_as_apt_writes_them() {
        let (package, version) = parse("lab_1%3a1.1~rc1+b2_amd64.deb").unwrap();
        assert_eq!((package, version.as_str()), (id("lab", "amd64"), "1:1.1~rc1+b2"));
        for name in [
            "lab_1.deb",
            "lab_1_amd64_x.deb",
            "lab_1_amd64.deb.partial",
            "lab_%zz_amd64.deb",
            "-o_1_all.deb",
            "lab_1%3_all.deb",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_newest_that_is_no_step_back_and_that_nobody_else_wrote_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let kept = |name: &str| directory.path().join(name);
        let owner = nix::unistd::Uid::effective().as_raw();
        for (part, name) in [("a", "lab_1.1_amd64.deb"), ("b", "lab_1.2_all.deb"), ("b", "lab_9_i386.deb")] {
            create_directories(&kept(part), 0o700).unwrap();
            atomic_write(&kept(part).join(name), b"", 0o644).unwrap();
        }
        atomic_write(&kept("a").join("lab_5_amd64.deb"), b"", 0o666).unwrap();
        symlink(kept("a").join("lab_1.1_amd64.deb"), kept("a").join("lab_6_amd64.deb")).unwrap();
        let all = archives(&[kept("a"), kept("b"), kept("none")], owner);
        let native = Architecture::parse("amd64").unwrap();
        let version = |text: &str| Version::parse(text).unwrap();
        let found = |present: Option<&str>| {
            let present = present.map(version);
            let archive = find(&all, &id("lab", "amd64"), present.as_ref(), &native);
            archive.map(|archive| archive.version.as_str().to_owned())
        };
        assert_eq!(found(None).as_deref(), Some("1.2"));
        assert_eq!(found(Some("1.2")).as_deref(), Some("1.2"));
        assert_eq!(found(Some("1.3")), None);
        assert_eq!(find(&all, &id("other", "amd64"), None, &native), None);
        assert_eq!(archives(&[kept("a")], owner + 1), vec![]);
    }
}
