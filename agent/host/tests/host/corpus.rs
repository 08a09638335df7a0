//! The corpus of each fuzz target, through the very function that the target calls.

use std::path::Path;

#[path = "../../../../tests/fuzz/checks/host.rs"]
mod checks;

fn for_each_input(target: &str, check: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(2 < count, "{} has {count} inputs", directory.display());
}

#[test]
fn dpkg_status() {
    for_each_input("dpkg_status", checks::dpkg_status);
}

#[test]
fn deb822() {
    for_each_input("deb822", checks::deb822);
}

#[test]
fn os_release() {
    for_each_input("os_release", checks::os_release);
}

#[test]
fn apt_conf() {
    for_each_input("apt_conf", checks::apt_conf);
}

#[test]
fn apt_sources() {
    for_each_input("apt_sources", checks::apt_sources);
}

#[test]
fn apt_preferences() {
    for_each_input("apt_preferences", checks::apt_preferences);
}

#[test]
fn apt_release() {
    for_each_input("apt_release", checks::apt_release);
}

#[test]
fn apt_packages() {
    for_each_input("apt_packages", checks::apt_packages);
}
