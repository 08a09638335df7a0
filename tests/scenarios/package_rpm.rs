//! The rpm by rpm itself: built into an image, erased, and installed where a preset forbids it to start.
//!
//! The host is Debian with rpm's database in it. What that does not prove: dnf and yum, SELinux, and the macros and presets
//! of distributions; its dependencies are rpm's business and left out. Nor does it play an upgrade.

use anyhow::{Context, Result};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::package_host::{package, ready, said, units};
use patchd_tests::packages::Family::Rpm;

#[test]
fn presets_decide_whether_an_rpm_is_started_and_a_chroot_starts_nothing() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host_with_rpm()?;
    let rpm = package(&root, Rpm, "1.0")?;
    root.run(["rpm", "-i", "--nodeps", &rpm])?;
    let booted = Booted::boot(&root)?;
    ready(&booted).context("an image that it was built into")?;
    said(&booted, "rpm -e patchd")?;
    root.write("/etc/systemd/system-preset/10-ours.preset", "disable patchd*\n")?;
    said(&booted, &format!("rpm -i --nodeps {rpm}"))?;
    assert_eq!(units(&booted)?, [(); 2].map(|()| ("disabled".to_owned(), "inactive".to_owned())));
    Ok(())
}
