//! What scans keep of the lists: it is used where it holds, and never where it does not. That it gives the same answers
//! for every other root of these tests is asserted by `Lab::offers` itself.

use std::path::{Path, PathBuf};

use patchd_core::offer::Offers;

use crate::apt_lab::{Lab, Repo};

fn lab() -> Lab {
    let security = Repo::new("stable-security", "a 3\nz 1\ny 1").says("Label: Debian-Security");
    Lab::new().installed("a 1\nb 1").repo(&Repo::new("stable", "a 2\nb 2\nc 1")).repo(&security)
}

/// The candidate of an installed package.
#[track_caller]
fn candidate(offers: &Offers, name: &str) -> String {
    let (_, known) = offers.packages.iter().find(|(id, _)| id.name.as_str() == name).unwrap();
    known.offers[known.candidate.unwrap()].version.to_string()
}

#[expect(clippy::disallowed_methods, reason = "tests write what they like, and need it on no disk")]
fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn list(lab: &Lab, part: &str) -> PathBuf {
    let lists = files(&lab.root.path("var/lib/apt/lists"));
    lists.into_iter().find(|path| path.to_string_lossy().contains(part)).unwrap()
}

#[test]
fn an_extract_is_read_instead_of_its_list() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    lab.offers_with(Some(kept.path()));
    for path in files(kept.path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        write(&path, text.replace("\nVersion: 2", "\nVersion: 7"));
    }
    let offers = lab.offers_with(Some(kept.path()));
    assert_eq!((candidate(&offers, "a"), candidate(&offers, "b")), ("7".into(), "7".into()));
    assert_eq!(offers.not_installed, lab.offers_with(None).not_installed);
}

#[test]
fn a_list_that_came_in_the_place_of_another_is_read_whatever_it_looks_like() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    lab.offers_with(Some(kept.path()));
    let path = list(&lab, "dists_stable_main_binary-amd64_Packages");
    let before = std::fs::metadata(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap().replace("Version: 2", "Version: 5");
    // As apt does it: another file by the name, with the date that the server gave it.
    let other = path.with_extension("new");
    write(&other, text);
    std::fs::File::options()
        .write(true)
        .open(&other)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), before.len());
    assert_eq!(candidate(&lab.offers_with(Some(kept.path())), "a"), "5");
    // And in place, which apt never does.
    let text = std::fs::read_to_string(&path).unwrap().replace("Version: 5", "Version: 6");
    write(&path, text);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    assert_eq!(candidate(&lab.offers_with(Some(kept.path())), "a"), "6");
}

#[test]
fn a_package_that_is_newly_installed_is_looked_for_in_the_lists() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    lab.offers_with(Some(kept.path()));
    let lab = lab.installed("a 1\nb 1\nc 0");
    let offers = lab.offers_with(Some(kept.path()));
    assert_eq!(candidate(&offers, "c"), "1");
    assert_eq!(offers, lab.offers_with(None));
}

#[test]
fn an_extract_that_was_cut_or_lengthened_is_none() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    let expected = lab.offers_with(Some(kept.path()));
    for path in files(kept.path()) {
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            write(&path, &whole[..length]);
            assert_eq!(lab.offers_with(Some(kept.path())), expected, "{} cut at {length}", path.display());
        }
        write(&path, [whole.as_slice(), b"Package: a\nVersion: 9\n\n"].concat());
        assert_eq!(lab.offers_with(Some(kept.path())), expected);
    }
}

#[test]
fn a_list_with_a_mistake_is_told_of_every_time() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    let path = list(&lab, "dists_stable_main_binary-amd64_Packages");
    let text = std::fs::read_to_string(&path).unwrap() + "Version: 1\n\n";
    write(&path, text);
    let first = lab.offers_with(Some(kept.path()));
    assert!(!first.problems.is_empty());
    assert_eq!(lab.offers_with(Some(kept.path())), first);
}

#[test]
fn what_no_list_asks_for_is_removed() {
    let (lab, kept) = (lab(), tempfile::tempdir().unwrap());
    write(kept.path().join("of-a-list-that-is-gone"), "x");
    lab.offers_with(Some(kept.path()));
    assert_eq!(files(kept.path()).len(), 2);
}

#[test]
fn without_a_place_for_them_the_lists_are_read() {
    let lab = lab();
    let nowhere = Path::new("/proc/no-such-place");
    assert_eq!(lab.offers_with(Some(nowhere)), lab.offers_with(None));
}
