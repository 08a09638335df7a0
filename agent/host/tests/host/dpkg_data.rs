//! Real and derived status files against dpkg-query, row by row, and against what is known of them.

use std::path::Path;

use patchd_core::inventory::Inventory;
use patchd_core::problem::ProblemKind;
use patchd_host::dpkg::{parse_status, read_inventory};

use crate::support::{
    ROW_FORMAT, content, data, dpkg_query, is_incomplete, oracle_rows, root_with_status, rows,
};

/// Files that dpkg accepts: packages with files on disk, and packages of which configuration is left.
const ACCEPTED: [(&str, usize, usize); 16] = [
    ("apt-ubuntu-bug-614993.status.gz", 242, 3),
    ("apt-xorg-break-providers.status", 2, 0),
    ("derived-crlf.status", 1, 0),
    ("dpkgsuite-db-buildinfo.status", 3, 0),
    ("dpkgsuite-db-dupe-multi.status", 1, 0),
    ("dpkgsuite-db-field-blank-lines.status", 2, 0),
    ("fanal-dpkg.status.gz", 90, 1),
    ("osconfig-debian.status", 2, 0),
    ("postgresql.status", 3, 0),
    ("scalibr-statusfield.status", 5, 1),
    ("scalibr-valid.status", 7, 0),
    ("stackrox.status", 8, 1),
    ("syft-deinstall.status", 1, 1),
    ("syft-libpam-runtime.status", 1, 0),
    ("syft-single.status", 1, 0),
    ("texlive.status.gz", 357, 0),
];

/// Files that dpkg refuses, with what is sound in them all the same, and the kind of the problem that says why.
const REFUSED: [(&str, usize, ProblemKind); 5] = [
    ("apt-bug-590438-broken-provides-thanks-to-remove-order.status", 5, ProblemKind::Malformed),
    ("dpkgsuite-db-bogus-dupe-same-single.status", 1, ProblemKind::Duplicate),
    ("dpkgsuite-db-bogus-single.status", 1, ProblemKind::Duplicate),
    ("scalibr-noversion.status", 2, ProblemKind::Malformed),
    ("syft-multiple.status", 2, ProblemKind::Malformed),
];

fn read(name: &str) -> Option<(Vec<u8>, Inventory)> {
    let path = data(&format!("dpkg/{name}"))?;
    let content = content(&path);
    let inventory = parse_status(&*content, Path::new(name));
    Some((content, inventory))
}

#[test]
fn files_that_dpkg_accepts_give_its_rows() {
    for (name, installed, residual) in ACCEPTED {
        let Some((content, inventory)) = read(name) else {
            continue;
        };
        assert_eq!((inventory.packages.len(), inventory.residual.len()), (installed, residual), "{name}");
        let (_directory, root) = root_with_status(content);
        let from_root = read_inventory(&root);
        assert_eq!(from_root.packages, inventory.packages, "{name}");
        if let Some(answer) = dpkg_query(&root, ROW_FORMAT) {
            assert_eq!(answer.code, Some(0), "{name}: {}", answer.errors);
            assert_eq!(rows(&inventory), oracle_rows(&answer.output), "{name}");
        }
        // They have a stanza without a Status, which dpkg lets pass; one holds a half-installed package too.
        let loses_a_fact =
            ["scalibr-statusfield.status", "stackrox.status", "syft-libpam-runtime.status"].contains(&name);
        assert_eq!(is_incomplete(&inventory.problems), loses_a_fact, "{name}: {:#?}", inventory.problems);
    }
}

#[test]
fn files_that_dpkg_refuses_give_what_is_sound_and_say_why() {
    for (name, installed, kind) in REFUSED {
        let Some((content, inventory)) = read(name) else {
            continue;
        };
        assert_eq!(inventory.packages.len(), installed, "{name}: {:#?}", inventory.problems);
        assert!(is_incomplete(&inventory.problems), "{name}");
        assert!(
            inventory.problems.iter().any(|problem| problem.kind == kind && problem.line.is_some()),
            "{name}"
        );
        let (_directory, root) = root_with_status(content);
        if let Some(answer) = dpkg_query(&root, ROW_FORMAT) {
            assert_eq!(answer.code, Some(2), "{name}");
        }
    }
}

#[test]
fn an_image_without_dpkg_has_the_packages_of_its_directory() {
    let Some(source) = data("dpkg/distroless-status.d") else {
        return;
    };
    let (_directory, root) = root_with_status("");
    std::fs::remove_dir_all(root.path("var/lib/dpkg")).unwrap();
    std::fs::create_dir_all(root.path("var/lib/dpkg/status.d")).unwrap();
    for name in ["libsqlite3-0", "libsqlite3-0.md5sums"] {
        std::fs::copy(source.join(name), root.path("var/lib/dpkg/status.d").join(name)).unwrap();
    }
    let inventory = read_inventory(&root);
    assert_eq!(inventory.problems, []);
    assert_eq!(inventory.native.as_str(), "arm64");
    let package = &inventory.packages[0];
    assert_eq!(
        (package.id.to_string().as_str(), package.version.as_str()),
        ("libsqlite3-0:arm64", "3.34.1-3")
    );
    assert_eq!((package.source.name.as_str(), inventory.packages.len()), ("sqlite3", 1));
}
