//! Damaged databases: always a problem with its place, never a crash, never a package that vanished in silence.

use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use patchd_core::inventory::Inventory;
use patchd_core::problem::{ProblemKind, Weight};
use patchd_host::dpkg::{parse_status, read_inventory};
use patchd_host::root::Root;

use crate::support::{Numbers, is_incomplete, put, root_with_status};

const STATUS: &str = "Package: alpha
Status: install ok installed
Priority: optional
Architecture: amd64
Source: beta (1.10-2)
Version: 1.10-2+b1
Conffiles:
 /etc/alpha 0123456789abcdef0123456789abcdef
Description: first
 of many
 .
 lines

Package: gamma
Status: hold ok installed
Architecture: all
Version: 2:3.4~rc1

Package: omega
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 9-1

";

fn parse(content: impl AsRef<[u8]>) -> Inventory {
    parse_status(content.as_ref(), Path::new("status"))
}

fn listed(inventory: &Inventory) -> Vec<String> {
    inventory.packages.iter().map(|package| format!("{} {}", package.id, package.version)).collect()
}

#[test]
fn a_file_cut_anywhere_lists_only_what_it_said_and_says_that_it_was_cut() {
    let whole = listed(&parse(STATUS));
    let stanza_ends = [STATUS.find("\nPackage: gamma").unwrap(), STATUS.find("\nPackage: omega").unwrap()];
    for end in 0..STATUS.len() - 1 {
        let inventory = parse(&STATUS[..end]);
        for package in listed(&inventory) {
            assert!(whole.contains(&package), "cut at {end}: {package} is made up");
        }
        // Between two lines of which the second is optional, or between two packages, a cut leaves a sound file.
        let is_at_line_end = STATUS[..end].ends_with('\n');
        let has_all_begun = STATUS[..end].matches("Package: ").count() == inventory.packages.len();
        assert!(
            is_incomplete(&inventory.problems) || (is_at_line_end && has_all_begun),
            "cut at {end}: {:?}",
            inventory.problems
        );
        if stanza_ends.contains(&end) {
            assert!(has_all_begun);
        }
    }
}

#[test]
fn one_wrong_byte_loses_no_package_in_silence() {
    let count = parse(STATUS).packages.len();
    let mut numbers = Numbers::new(7);
    for _ in 0..30_000 {
        let mut bytes = STATUS.as_bytes().to_vec();
        let at = numbers.below(bytes.len());
        bytes[at] = u8::try_from(numbers.below(256)).unwrap();
        let inventory = parse(&bytes);
        assert!(
            inventory.packages.len() == count || !inventory.problems.is_empty(),
            "byte {at}: {}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn line_ends_of_another_system_part_stanzas_too() {
    let inventory = parse(STATUS.replace('\n', "\r\n"));
    assert_eq!(listed(&inventory), listed(&parse(STATUS)));
    assert_eq!(inventory.problems, []);
    assert_eq!(inventory.packages[0].source.version.as_str(), "1.10-2");
}

#[track_caller]
fn check_damage(from: &str, to: &[u8], packages: usize, weight: Weight, line: u64) {
    let at = STATUS.find(from).unwrap();
    let bytes = [&STATUS.as_bytes()[..at], to, &STATUS.as_bytes()[at + from.len()..]].concat();
    let inventory = parse(bytes);
    assert_eq!(inventory.packages.len(), packages, "{:#?}", inventory.problems);
    let problem = inventory.problems.first().unwrap();
    assert_eq!((problem.weight, problem.line), (weight, Some(line)), "{problem}");
    assert_eq!(problem.place, "status");
}

#[test]
fn each_damage_is_named_with_its_line_and_weight() {
    check_damage("Version: 2:3.4~rc1", b"Version: \xff\xfe", 2, Weight::Incomplete, 17);
    check_damage("Version: 2:3.4~rc1", b"Version: 1 2", 2, Weight::Incomplete, 17);
    check_damage("Version: 2:3.4~rc1", b"Version: x:1", 3, Weight::Incomplete, 17);
    check_damage("Version: 2:3.4~rc1", b"Version: 1_2", 3, Weight::Notice, 17);
    check_damage("Version: 2:3.4~rc1\n", b"", 2, Weight::Incomplete, 14);
    check_damage("Version: 2:3.4~rc1", b"Version: 1\nVersion: 2", 3, Weight::Incomplete, 18);
    check_damage("Package: gamma", b"Package: gam ma", 2, Weight::Incomplete, 14);
    check_damage("Package: gamma", b"Package: -gamma", 2, Weight::Incomplete, 14);
    check_damage("Package: gamma", b"Package:", 2, Weight::Incomplete, 14);
    check_damage("Package: gamma\n", b"", 2, Weight::Incomplete, 14);
    check_damage("hold ok installed", b"hold ok instilled", 2, Weight::Incomplete, 15);
    check_damage("hold ok installed", b"hold ok", 2, Weight::Incomplete, 15);
    check_damage("Status: hold ok installed\n", b"", 2, Weight::Incomplete, 14);
    check_damage("Architecture: all\n", b"", 3, Weight::Notice, 14);
    check_damage("Architecture: all", b"Architecture: \0", 3, Weight::Notice, 16);
    check_damage("Multi-Arch: same", b"Multi-Arch: maybe", 3, Weight::Incomplete, 22);
    check_damage("Source: beta (1.10-2)", b"Source: beta (1.10-2", 3, Weight::Incomplete, 5);
    check_damage("Priority: optional", b"nonsense", 3, Weight::Incomplete, 3);
    check_damage("Package: omega", b"Package: gamma", 3, Weight::Incomplete, 19);
}

#[test]
fn a_gigantic_stanza_costs_itself_and_bounded_memory() {
    let giant =
        format!("Package: giant\nStatus: install ok installed\nVersion: 1\nX: {}\n\n", "y".repeat(20 << 20));
    let inventory = parse(giant.clone() + STATUS);
    assert_eq!(inventory.packages.len(), 4);
    let problem = inventory.problems.iter().find(|problem| problem.kind == ProblemKind::TooLarge).unwrap();
    assert_eq!((problem.weight, problem.line), (Weight::Incomplete, Some(1)));
    let inventory = parse(vec![0; 30 << 20]);
    assert!(inventory.packages.is_empty() && is_incomplete(&inventory.problems));
    let inventory = parse("x\n".repeat(500_000));
    assert!(inventory.problems.len() < 300 && is_incomplete(&inventory.problems));
    let inventory = parse("x\n\n".repeat(500_000) + STATUS);
    assert!(inventory.packages.len() == 3 && inventory.problems.len() < 300);
}

/// Gives some of a file and then fails, as a broken disk does.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::Error::other("the disk is broken")) } else { self.0.read(buffer) }
    }
}

#[test]
fn a_disk_that_fails_half_way_leaves_what_was_read() {
    let inventory = parse_status(Failing(&STATUS.as_bytes()[..STATUS.len() - 9]), Path::new("status"));
    assert_eq!(inventory.packages.len(), 2);
    let problem = inventory.problems.first().unwrap();
    assert_eq!((problem.kind, problem.weight), (ProblemKind::Unreadable, Weight::Incomplete));
    assert!(problem.message.contains("the disk is broken"));
}

#[track_caller]
fn check_unreadable(root: &Root, kind: ProblemKind, word: &str) {
    let inventory = read_inventory(root);
    assert_eq!(inventory.packages, []);
    let found =
        inventory.problems.iter().find(|problem| problem.kind == kind && problem.message.contains(word));
    let problem = found.unwrap_or_else(|| panic!("{:#?}", inventory.problems));
    assert_eq!(problem.weight, Weight::Incomplete);
    assert!(problem.place.contains("var/lib/dpkg"), "{}", problem.place);
}

#[test]
fn a_database_that_is_none_is_a_problem_and_never_no_packages() {
    let (directory, root) = root_with_status("");
    let status = root.path("var/lib/dpkg/status");
    check_unreadable(&root, ProblemKind::Truncated, "no installed package");
    std::fs::remove_file(&status).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "no such file");
    symlink("status", &status).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "symbolic link");
    std::fs::remove_file(&status).unwrap();
    symlink("/etc/passwd", &status).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "no such file");
    std::fs::remove_file(&status).unwrap();
    nix::unistd::mkfifo(&status, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "a pipe");
    std::fs::remove_file(&status).unwrap();
    std::fs::create_dir(&status).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "a directory");
    std::fs::remove_dir_all(directory.path()).unwrap();
    check_unreadable(&root, ProblemKind::Unreadable, "no such file");
}

#[test]
fn an_unreadable_part_beside_a_sound_status_is_told() {
    let (_directory, root) = root_with_status(STATUS);
    std::fs::create_dir_all(root.path("var/lib/dpkg/updates/0000")).unwrap();
    put(&root, "var/lib/dpkg/arch", vec![b'x'; 1 << 20]);
    nix::unistd::mkfifo(&root.path("var/lib/apt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    put(&root, "var/lib/dpkg/status.d/extra", "Package: extra\nArchitecture: amd64\nVersion: 1");
    let inventory = read_inventory(&root);
    assert_eq!(inventory.packages.len(), 3);
    let has = |kind, place: &str| {
        inventory.problems.iter().any(|problem| problem.kind == kind && problem.place.ends_with(place))
    };
    assert!(has(ProblemKind::Unreadable, "updates/0000"), "{:#?}", inventory.problems);
    assert!(has(ProblemKind::TooLarge, "dpkg/arch"));
    assert!(has(ProblemKind::Truncated, "status.d/extra"));
}
