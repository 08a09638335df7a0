//! The packages against the table that they are made from, and against themselves. What is inside of the programs does
//! not matter here: any will do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, umask};
use tempfile::TempDir;
use xshell::{Shell, cmd};

use super::contents::{self, Source};
use super::*;

/// Both packages of some sources.
struct Packages {
    _directory: TempDir,
    deb: PathBuf,
    rpm: PathBuf,
}

fn shell() -> Shell {
    Shell::new().expect("the working directory exists")
}

fn workspace() -> PathBuf {
    Workspace::find().expect("the workspace is where it was built").root
}

fn packages_of(root: &Path) -> Packages {
    let (shell, directory) = (shell(), tempfile::tempdir().unwrap());
    let programs = directory.path().join("programs");
    shell.create_dir(&programs).unwrap();
    for program in PROGRAMS {
        let (true_program, place) = ("/bin/true", programs.join(program));
        shell.copy_file(true_program, place).unwrap();
    }
    let recipe = Recipe {
        root: root.into(),
        programs,
        version: "1.2.3~rc1".into(),
        architecture: Architecture::Amd64,
        compression: 1,
        epoch: 1_700_000_000,
        bill_of_materials: "{}\n".into(),
    };
    let out = directory.path().join("out");
    let made = assemble(&shell, &recipe, &[Family::Deb, Family::Rpm], &out).unwrap();
    let names: Vec<_> = made.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let expected = [
        "patchd_1.2.3~rc1-1_amd64.deb",
        "patchd-1.2.3~rc1-1.x86_64.rpm",
        "patchd-1.2.3~rc1.cdx.json",
        "SHA256SUMS",
    ];
    assert_eq!(names, expected);
    let there = shell.push_dir(&out);
    assert_eq!(
        cmd!(shell, "sha256sum --check --strict SHA256SUMS").quiet().read().unwrap().lines().count(),
        3
    );
    drop(there);
    Packages { deb: made[0].clone(), rpm: made[1].clone(), _directory: directory }
}

/// Lines of `mode owner group path`, as both archives tell them.
fn expected(family: Family) -> BTreeSet<String> {
    let entries = contents::of(family).into_iter();
    entries
        .map(|entry| {
            let kind = if entry.source == Source::Directory { "04" } else { "10" };
            format!("{kind}{:04o} root root {}", entry.source.mode(), entry.path)
        })
        .collect()
}

#[test]
fn the_rpm_has_what_the_table_says() {
    let packages = packages_of(&workspace());
    let rpm = &packages.rpm;
    let format = "[%{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]";
    let shell = shell();
    let listed = cmd!(shell, "rpm -qp --queryformat {format} {rpm}").quiet().read().unwrap();
    let octal = |line: &str| {
        let (mode, rest) = line.split_once(' ').unwrap();
        format!("{:06o} {rest}", u32::from_str_radix(mode, 8).unwrap())
    };
    let found: BTreeSet<_> = listed.lines().map(octal).collect();
    assert_eq!(found, expected(Family::Rpm));
    let format = "[%{FILEFLAGS:fflags} %{FILENAMES}\n]";
    let flags = cmd!(shell, "rpm -qp --queryformat {format} {rpm}").quiet().read().unwrap();
    let configs: Vec<_> =
        flags.lines().filter(|line| line.split(' ').next().unwrap().contains('c')).collect();
    assert_eq!(configs, ["cn /etc/patchd/patchd.toml"], "%config(noreplace)");
}

#[test]
fn the_deb_has_what_the_table_says() {
    let packages = packages_of(&workspace());
    let deb = &packages.deb;
    let shell = shell();
    let listed = cmd!(shell, "dpkg-deb --contents {deb}").quiet().read().unwrap();
    let mut found = BTreeSet::new();
    for line in listed.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let (mode, owner, path) = (words[0], words[1], words[5].trim_start_matches('.'));
        let mode = match mode {
            "drwxr-xr-x" => "040755",
            "-rwxr-xr-x" => "100755",
            "-rw-r--r--" => "100644",
            other => panic!("{other} of {path}"),
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        found.insert(format!("{mode} {} {path}", owner.replace('/', " ")));
    }
    let expected = expected(Family::Deb);
    let missing: Vec<_> = expected.difference(&found).collect();
    assert_eq!(missing, Vec::<&String>::new());
    // An archive of dpkg also lists the directories on the way, which belong to everybody.
    for more in found.difference(&expected) {
        let path =
            more.strip_prefix("040755 root root ").unwrap_or_else(|| panic!("{more} is not in the table"));
        assert!(
            expected.iter().any(|line| line.contains(&format!(" {path}/"))),
            "{more} is not in the table"
        );
    }
    let configs = cmd!(shell, "dpkg-deb --info {deb} conffiles").quiet().read().unwrap();
    assert_eq!(configs, "/etc/patchd/patchd.toml");
}

#[test]
fn both_packages_carry_the_same_bytes() {
    let packages = packages_of(&workspace());
    let (shell, unpacked, rpm, deb) = (shell(), tempfile::tempdir().unwrap(), &packages.rpm, &packages.deb);
    let place = unpacked.path();
    cmd!(shell, "dpkg-deb --extract {deb} {place}").quiet().run().unwrap();
    let format = "[%{FILEDIGESTS} %{FILENAMES}\n]";
    let listed = cmd!(shell, "rpm -qp --queryformat {format} {rpm}").quiet().read().unwrap();
    let by_path: BTreeMap<_, _> =
        listed.lines().filter_map(|line| line.split_once(' ')).map(|(sum, path)| (path, sum)).collect();
    let mut compared = 0;
    for entry in contents::of(Family::Deb).iter().filter(|entry| entry.source != Source::Directory) {
        let file = place.join(entry.path.trim_start_matches('/'));
        let sum = cmd!(shell, "sha256sum {file}").quiet().read().unwrap();
        if let Some(other) = by_path.get(entry.path) {
            assert_eq!(sum.split(' ').next(), Some(*other), "{}", entry.path);
            compared += 1;
        }
    }
    let both = contents::of(Family::Rpm).iter().filter(|entry| entry.source != Source::Directory).count() - 3;
    assert_eq!(
        compared, both,
        "all but the licence, the preset and zsh's completions are at the same places"
    );
    // What dpkg verifies files by.
    let sums = cmd!(shell, "dpkg-deb --info {deb} md5sums").quiet().read().unwrap();
    let there = shell.push_dir(place);
    cmd!(shell, "md5sum --check --strict --quiet").stdin(&sums).quiet().run().unwrap();
    drop(there);
    assert_eq!(
        sums.lines().count(),
        contents::of(Family::Deb)
            .iter()
            .filter(|entry| !matches!(entry.source, Source::Directory | Source::Config(_)))
            .count()
    );
}

#[test]
fn the_same_sources_give_the_same_bytes() {
    let first = packages_of(&workspace());
    // Another checkout: elsewhere, later, by somebody who shows his files to nobody.
    let (shell, elsewhere) = (shell(), tempfile::tempdir().unwrap());
    let (root, place) = (workspace(), elsewhere.path());
    for name in ["CHANGELOG.md", "LICENSE", "docs", "packaging", "systemd"] {
        let from = root.join(name);
        cmd!(shell, "cp -r {from} {place}").quiet().run().unwrap();
    }
    cmd!(shell, "chmod -R go= {place}").quiet().run().unwrap();
    // No other test minds: what is made has its modes from the table, whatever the mask is.
    let before = umask(Mode::from_bits_truncate(0o077));
    let second = packages_of(place);
    umask(before);
    for (one, other) in [(&first.deb, &second.deb), (&first.rpm, &second.rpm)] {
        assert!(std::fs::read(one).unwrap() == std::fs::read(other).unwrap(), "{} differs", one.display());
    }
}

#[test]
fn old_rpms_can_read_ours() {
    let packages = packages_of(&workspace());
    let (shell, rpm) = (shell(), &packages.rpm);
    let format = "%{PAYLOADCOMPRESSOR} %{PAYLOADFORMAT} %{FILEDIGESTALGO} %{BUILDHOST} %{BUILDTIME}";
    let read = cmd!(shell, "rpm -qp --queryformat {format} {rpm}").quiet().read().unwrap();
    assert_eq!(read, "xz cpio 8 localhost 1700000000");
    // Features that rpm 4.11 knows.
    let known = [
        "rpmlib(CompressedFileNames)",
        "rpmlib(FileDigests)",
        "rpmlib(PayloadFilesHavePrefix)",
        "rpmlib(PayloadIsXz)",
        "rpmlib(TildeInVersions)",
    ];
    let needs = cmd!(shell, "rpm -qp --requires {rpm}").quiet().read().unwrap();
    let unknown: Vec<_> = needs
        .lines()
        .filter(|line| line.starts_with("rpmlib("))
        .filter(|line| !known.contains(&line.split(' ').next().unwrap()))
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
    let rich: Vec<_> = needs.lines().filter(|line| line.starts_with('(')).collect();
    assert_eq!(rich, Vec::<&str>::new(), "conditions are newer than rpm 4.11");
}

#[test]
fn everything_that_is_meant_for_hosts_is_packed() {
    let root = workspace();
    let entries = contents::of(Family::Deb).into_iter().chain(contents::of(Family::Rpm));
    let sources: BTreeSet<_> = entries
        .filter_map(|entry| match entry.source {
            Source::File(path) | Source::Gzip(path) | Source::Config(path) => Some(root.join(path)),
            Source::Directory | Source::Program(_) | Source::Made(_) => None,
        })
        .collect();
    let mut forgotten = Vec::new();
    for folder in ["systemd", "systemd/sysusers.d", "systemd/tmpfiles.d", "docs/man", "docs/completions"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !sources.contains(&path) {
                forgotten.push(path);
            }
        }
    }
    assert_eq!(forgotten, Vec::<PathBuf>::new());
}

#[test]
fn every_program_in_the_path_has_a_manual_page() {
    let paths: Vec<_> = contents::of(Family::Deb).iter().map(|entry| entry.path).collect();
    let programs: Vec<_> = paths.iter().filter_map(|path| path.strip_prefix("/usr/bin/")).collect();
    assert_eq!(programs, ["patchctl", "patchd"]);
    for name in programs {
        let page = format!("/{name}.");
        let pages = paths.iter().filter(|path| path.starts_with("/usr/share/man/") && path.contains(&page));
        assert_eq!(pages.count(), 1, "{name}");
    }
}

#[test]
fn programs_of_another_machine_are_refused() {
    let error = check_machine(Path::new("/bin/true"), Architecture::Arm64).unwrap_err();
    assert!(error.to_string().ends_with("/bin/true is not for arm64"), "{error}");
    let error = check_machine(Path::new("/etc/os-release"), Architecture::Amd64).unwrap_err();
    assert!(error.to_string().contains("is not an ELF program"), "{error}");
}

#[test]
fn versions_are_those_that_both_families_take() {
    for good in ["1.2.3", "0.1.0~rc1", "1.0+git5"] {
        assert_eq!(parse_version(good.into()).unwrap(), good);
    }
    for bad in ["", "v1", "1.0-1", "1.0^5", "1.0/../2", "1:1.0", "1.0 2"] {
        assert!(parse_version(bad.into()).is_err(), "{bad:?}");
    }
}
