//! The archives of a transaction, kept until its packages are sound: a package that was cut half way can be mended only
//! with its archive, and mirrors and clean-up jobs throw them away. Who mends is not here.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use patchd_core::package::PackageId;
use patchd_core::plan::{Plan, PlannedChange};
use patchd_host::apt::conf::Conf;
use patchd_host::dpkg::audit::Finding;
use patchd_host::durable::create_directories;
use patchd_host::problem_list::ProblemList;
use patchd_host::root::Root;

use crate::log;

/// Where apt has the archives that it fetched.
pub(crate) fn cache(root: &Root) -> PathBuf {
    let conf = Conf::read(root, &mut ProblemList::new("apt's settings"));
    root.path(conf.path("Dir::Cache::archives"))
}

/// How many bytes of the plan's archives are in apt's cache. Of `file:` sources none ever are.
pub(crate) fn cached_bytes(cache: &Path, plan: &Plan, native: &str) -> u64 {
    let size = |change| find(cache, change, native).map_or(0, |(_, size)| size);
    plan.changes().iter().map(size).sum()
}

/// Keeps what apt has in its cache of the plan's archives in `directory`, without a second copy if it can be. When it
/// returns, they are on disk.
pub(crate) fn keep(cache: &Path, plan: &Plan, native: &str, directory: &Path) -> io::Result<()> {
    let found: Vec<_> = plan
        .changes()
        .iter()
        .filter_map(|change| find(cache, change, native))
        .map(|(path, _)| path)
        .collect();
    if found.is_empty() {
        return Ok(());
    }
    create_directories(directory, 0o700).map_err(io::Error::other)?;
    for path in found {
        let Some(name) = path.file_name() else { continue };
        let kept = directory.join(name);
        match std::fs::hard_link(&path, &kept) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            // Another file system, or one without links.
            Err(_) => copy(&path, &kept)?,
        }
        File::open(&kept)?.sync_all()?;
    }
    File::open(directory)?.sync_all()
}

/// A copy is either whole or has another name.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let partial = to.with_extension("partial");
    std::fs::copy(from, &partial)?;
    std::fs::rename(&partial, to)
}

/// Forgets the archives of a transaction. What can't be removed is tried again after the next one.
pub(crate) fn forget(directory: &Path) {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::warning(format_args!("{} can't be removed: {error}", directory.display()));
        }
        _ => {}
    }
}

/// Forgets the archives of packages that are sound. As long as that can't be told, all are kept.
pub(crate) fn keep_needed(directories: &[PathBuf], findings: &[Finding]) {
    let mut needed = BTreeSet::new();
    for finding in findings {
        match finding {
            Finding::Package { id, .. } => needed.insert(id.name.as_str()),
            Finding::Journal | Finding::Unreadable(_) => return,
        };
    }
    for directory in directories {
        if needed.is_empty() {
            forget(directory);
            continue;
        }
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let package = name.to_str().and_then(|name| name.split('_').next());
            if !package.is_some_and(|package| needed.contains(package))
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                log::warning(format_args!("{} can't be removed: {error}", entry.path().display()));
            }
        }
        // One that still has archives stays.
        let _ = std::fs::remove_dir(directory);
    }
}

/// The archive of a change with its size. Links are none: apt makes regular files.
pub(crate) fn find(cache: &Path, change: &PlannedChange, native: &str) -> Option<(PathBuf, u64)> {
    let PackageId { architecture, .. } = &change.package;
    // An upgrade may turn a package of the host's architecture into one for all, or back.
    [architecture.as_str(), "all", native].iter().find_map(|architecture| {
        let path = cache.join(file_name(change, architecture));
        let metadata = path.symlink_metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((path, metadata.len()))
    })
}

/// apt's name for an archive: `NAME_VERSION_ARCHITECTURE.deb`, with what would be ambiguous in hexadecimal.
fn file_name(change: &PlannedChange, architecture: &str) -> String {
    let quoted = |text: &str, also: &str| -> String {
        let is_plain =
            |c: char| c.is_ascii_graphic() && c != '%' && c != '_' && c != ':' && !also.contains(c);
        text.chars()
            .map(|c| if is_plain(c) { c.to_string() } else { format!("%{:02x}", u32::from(c)) })
            .collect()
    };
    let (name, version) = (quoted(change.package.name.as_str(), ""), quoted(change.to.as_str(), ""));
    format!("{name}_{version}_{}.deb", quoted(architecture, "."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use patchd_core::inventory::Want;
    use patchd_core::package::{Architecture, PackageName, Version};
    use patchd_host::dpkg::audit::Damage;
    use patchd_host::durable::atomic_write;

    use super::*;

    fn plan() -> Plan {
        let change = |(name, to): (&str, &str)| PlannedChange {
            package: PackageId {
                name: PackageName::parse(name).unwrap(),
                architecture: Architecture::parse("amd64").unwrap(),
            },
            from: None,
            to: Version::parse(to).unwrap(),
        };
        Plan::try_new(
            [("app", "1:1.1~rc1+b2"), ("doc", "2"), ("local", "3"), ("link", "4")].map(change).to_vec(),
        )
        .unwrap()
    }

    #[test]
    fn what_is_in_the_cache_is_linked_and_the_rest_is_no_trouble() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, kept) = (directory.path().join("cache"), directory.path().join("archives/t-1"));
        create_directories(&cache, 0o755).unwrap();
        for (name, content) in [("app_1%3a1.1~rc1+b2_amd64.deb", "app"), ("doc_2_all.deb", "docs")] {
            atomic_write(&cache.join(name), content.as_bytes(), 0o644).unwrap();
        }
        symlink("/etc/shadow", cache.join("link_4_amd64.deb")).unwrap();
        assert_eq!(cached_bytes(&cache, &plan(), "amd64"), 7);
        keep(&cache, &plan(), "amd64", &kept).unwrap();
        keep(&cache, &plan(), "amd64", &kept).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["app_1%3a1.1~rc1+b2_amd64.deb", "doc_2_all.deb"]);
        let inode = |path: PathBuf| std::fs::metadata(path).unwrap().ino();
        assert_eq!(inode(kept.join("doc_2_all.deb")), inode(cache.join("doc_2_all.deb")));
        forget(&kept);
        forget(&kept);
        assert!(!kept.exists() && cache.join("doc_2_all.deb").exists());
    }

    #[test]
    fn only_what_a_repair_could_need_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("t-1"), directory.path().join("t-2"));
        for (place, name) in [(&one, "app_1_amd64.deb"), (&one, "doc_2_all.deb"), (&two, "doc_3_all.deb")] {
            create_directories(place, 0o700).unwrap();
            atomic_write(&place.join(name), b"", 0o600).unwrap();
        }
        let both = [one.clone(), two.clone()];
        keep_needed(&both, &[Finding::Journal]);
        assert!(one.join("doc_2_all.deb").exists() && two.exists());
        let broken = Finding::Package {
            id: plan().changes().first().unwrap().package.clone(),
            version: None,
            damage: Damage::HalfConfigured,
            want: Want::Install,
        };
        keep_needed(&both, &[broken]);
        assert!(one.join("app_1_amd64.deb").exists());
        assert!(!one.join("doc_2_all.deb").exists() && !two.exists());
        keep_needed(&both, &[]);
        assert!(!one.exists());
    }

    #[test]
    fn where_nothing_was_cached_nothing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("archives/t-1");
        keep(directory.path(), &plan(), "amd64", &kept).unwrap();
        assert!(!kept.exists());
    }
}
