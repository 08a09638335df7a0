//! Whose a file is, by the file lists of the package database. It reads all of them once, and only for the files that it
//! is asked about: no index is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use patchd_core::inventory::Inventory;
use patchd_core::package::PackageId;

use super::diversions::Diversions;
use super::info::INFO;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// As many entries as `info` has on hosts with every package of Debian.
const MAX_ENTRIES: usize = 2_000_000;
/// The longest list of Debian 12 has 5 MB.
const MAX_LIST: u64 = 64 << 20;
/// The directories that stand below `/usr` on a merged host, and of which packages may still say that they don't.
const MERGED: [&[u8]; 7] = [b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libo32", b"libx32"];

/// The installed packages that have files of these paths. A path that belongs to none is left out.
///
/// A library whose file has another name since it was replaced (`libexpat.so.1.8.10`) belongs to the package that has its
/// SONAME (`libexpat.so.1`).
pub fn owners(
    root: &Root,
    inventory: &Inventory,
    paths: &BTreeSet<PathBuf>,
) -> BTreeMap<PathBuf, BTreeSet<PackageId>> {
    let diversions = Diversions::read(root, &mut ProblemList::new("diversions"));
    // By their bytes: paths are compared part by part, which takes ten times as long.
    let mut wanted = HashMap::<Vec<u8>, Vec<Wanted<'_>>>::new();
    for path in paths {
        for (distance, name) in [path.clone()].into_iter().chain(shorter_names(path)).enumerate() {
            for place in spellings(&name) {
                for listed in diversions.sources_of(&place).chain([place.as_path()]) {
                    let one = Wanted { path, distance, place: place.clone() };
                    wanted.entry(listed.as_os_str().as_bytes().to_vec()).or_default().push(one);
                }
            }
        }
    }
    let mut nearest = BTreeMap::<&Path, (usize, BTreeSet<PackageId>)>::new();
    let names = read::list(root, INFO, MAX_ENTRIES).unwrap_or_default();
    for name in names.iter().filter(|_| !wanted.is_empty()) {
        let Some(stem) = name.to_str().and_then(|name| name.strip_suffix(".list")) else { continue };
        let Ok(list) = read::read(root, Path::new(INFO).join(name), MAX_LIST) else { continue };
        let package = stem.split_once(':').map_or(stem, |(package, _)| package);
        for line in list.split(|&byte| byte == b'\n') {
            let Some(wanted) = wanted.get(line) else { continue };
            let listed = Path::new(OsStr::from_bytes(line));
            // Where a diversion moved it, the file is not the one that is wanted.
            for one in wanted.iter().filter(|one| diversions.place(listed, package) == one.place) {
                let found = nearest.entry(one.path).or_insert((usize::MAX, BTreeSet::new()));
                if one.distance < found.0 {
                    *found = (one.distance, BTreeSet::new());
                }
                if one.distance == found.0 {
                    found.1.extend(instances(inventory, stem));
                }
            }
        }
    }
    let found = nearest.into_iter().map(|(path, (_, packages))| (path.to_owned(), packages));
    found.filter(|(_, packages)| !packages.is_empty()).collect()
}

/// A name that is looked for in the lists.
struct Wanted<'a> {
    /// The path that was asked about.
    path: &'a Path,
    /// How many parts of a version this name lacks.
    distance: usize,
    /// Where the file of this name has to lie.
    place: PathBuf,
}

/// `libexpat.so.1.8` and `libexpat.so.1` of `libexpat.so.1.8.10`. What ends in `.so` is for compilers, and another package's.
fn shorter_names(path: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut name = path.as_os_str().as_bytes();
    while let Some(dot) = name.iter().rposition(|&byte| byte == b'.') {
        let (stem, number) = name.split_at(dot);
        let is_number = 1 < number.len() && number.iter().skip(1).all(u8::is_ascii_digit);
        let is_library = stem.windows(4).any(|part| part == b".so.");
        if !is_number || !is_library {
            break;
        }
        names.push(PathBuf::from(OsStr::from_bytes(stem)));
        name = stem;
    }
    names
}

/// A path as it is, and as it is called on the other kind of host, where `/lib` and `/usr/lib` are one or two.
fn spellings(path: &Path) -> Vec<PathBuf> {
    let bytes = path.as_os_str().as_bytes();
    let is_merged = |rest: &[u8]| {
        let first = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
        MERGED.contains(&first)
    };
    let other = match bytes.strip_prefix(b"/usr/") {
        Some(rest) if is_merged(rest) => Some([b"/".as_slice(), rest].concat()),
        Some(_) => None,
        None => bytes
            .strip_prefix(b"/")
            .filter(|rest| is_merged(rest))
            .map(|rest| [b"/usr/".as_slice(), rest].concat()),
    };
    let other = other.map(|bytes| PathBuf::from(OsStr::from_bytes(&bytes)));
    [path.to_owned()].into_iter().chain(other).collect()
}

/// The installed packages that a list belongs to: `NAME`, or `NAME:ARCHITECTURE`.
fn instances<'a>(inventory: &'a Inventory, stem: &'a str) -> impl Iterator<Item = PackageId> + 'a {
    let (name, architecture) =
        stem.split_once(':').map_or((stem, None), |(name, architecture)| (name, Some(architecture)));
    let from = inventory.packages.partition_point(|package| package.id.name.as_str() < name);
    let behind = inventory.packages.get(from..).unwrap_or_default();
    behind
        .iter()
        .take_while(move |package| package.id.name.as_str() == name)
        .filter(move |package| architecture.is_none_or(|word| package.id.architecture.as_str() == word))
        .map(|package| package.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn put(root: &Root, name: &str, content: &str) {
        std::fs::create_dir_all(root.path(name).parent().unwrap()).unwrap();
        std::fs::write(root.path(name), content).unwrap();
    }

    fn host() -> (tempfile::TempDir, Root, Inventory) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let stanza = |name: &str, architecture: &str| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: 1\n\n"
            )
        };
        let packages = [
            ("bash", "amd64"),
            ("dash", "amd64"),
            ("libexpat1", "amd64"),
            ("libz", "amd64"),
            ("libz", "i386"),
        ];
        let status: String = packages.iter().map(|(name, architecture)| stanza(name, architecture)).collect();
        put(&root, "var/lib/dpkg/status", &status);
        put(&root, "var/lib/dpkg/diversions", "/bin/sh\n/bin/sh.distrib\ndash\n");
        for (list, content) in [
            ("bash", "/.\n/bin\n/bin/sh\n/bin/bash\n"),
            ("dash", "/.\n/bin/sh\n"),
            ("libexpat1:amd64", "/usr/lib/libexpat.so.1\n/usr/lib/libexpat.so.1.8.11\n"),
            ("libexpat-dev:amd64", "/usr/lib/libexpat.so\n"),
            ("libz:amd64", "/lib/libz.so.1\n"),
            ("libz:i386", "/lib32/libz.so.1\n"),
            ("removed", "/usr/bin/removed\n"),
        ] {
            put(&root, &format!("var/lib/dpkg/info/{list}.list"), content);
        }
        let inventory = super::super::read_inventory(&root);
        (directory, root, inventory)
    }

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        let (_directory, root, inventory) = host();
        let found = owners(&root, &inventory, &BTreeSet::from([PathBuf::from(path)]));
        let found: Vec<_> = found.values().flatten().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_file_belongs_to_the_package_that_lists_it() {
        check("/bin/bash", &["bash:amd64"]);
        check("/usr/lib/libexpat.so.1.8.11", &["libexpat1:amd64"]);
        check("/usr/bin/nobodys", &[]);
        check("/usr/bin/removed", &[]);
    }

    #[test]
    fn a_merged_host_and_its_packages_may_spell_a_path_differently() {
        check("/usr/bin/bash", &["bash:amd64"]);
        check("/usr/lib/libz.so.1", &["libz:amd64"]);
        check("/usr/lib32/libz.so.1", &["libz:i386"]);
        check("/lib/libexpat.so.1", &["libexpat1:amd64"]);
    }

    #[test]
    fn a_library_that_got_another_name_belongs_to_its_soname() {
        check("/usr/lib/libexpat.so.1.8.10", &["libexpat1:amd64"]);
        // The name without a number is the compiler's, and says nothing of what runs.
        check("/usr/lib/libexpat.so.2.0", &[]);
        assert_eq!(shorter_names(Path::new("/lib/ld-2.31.so")), Vec::<PathBuf>::new());
        assert_eq!(shorter_names(Path::new("/usr/bin/python3.11")), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_diverted_file_belongs_to_the_package_whose_file_lies_there() {
        check("/bin/sh", &["dash:amd64"]);
        check("/usr/bin/sh", &["dash:amd64"]);
        check("/bin/sh.distrib", &["bash:amd64"]);
        check("/usr/bin/sh.distrib", &["bash:amd64"]);
    }
}
