//! The life of the rpm by rpm itself, on a booted host with systemd.
//!
//! The host is Debian with rpm's database in it. What that does not prove: dnf and yum, SELinux, and the macros and presets
//! of distributions; its dependencies are rpm's business and left out.

use anyhow::{Context, Result};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::package_host::{
    ENABLED, hold_lock, owners, package, processes, ready, release, runs, runs_what_is_installed, said, scan,
    tried, units,
};
use patchd_tests::packages::Family::Rpm;

fn both(enabled: &str, active: &str) -> [(String, String); 2] {
    ENABLED.map(|_| (enabled.to_owned(), active.to_owned()))
}

#[test]
fn an_rpm_is_installed_upgraded_and_erased() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host_with_rpm()?;
    let (old, new) = (package(&root, Rpm, "0.0.9")?, package(&root, Rpm, "1.0")?);
    let booted = Booted::boot(&root)?;
    said(&booted, &format!("rpm -i --nodeps {old}"))?;
    ready(&booted)?;
    assert_eq!(units(&booted)?, both("enabled", "active"));
    let ours = ["/var/lib/patchd", "/var/lib/patchd-executor", "/etc/patchd/patchd.toml"];
    assert_eq!(owners(&booted, &ours)?, ["patchd:patchd 750", "root:root 700", "root:root 644"]);

    said(&booted, "echo '# edited' >>/etc/patchd/patchd.toml")?;
    scan(&booted)?;
    let (history, before) = (runs(&booted)?, processes(&booted)?);
    assert!(!history.is_empty() && before.contains_key("patchd-executor.service"), "{before:?}");
    said(&booted, &format!("rpm -U --nodeps {new}"))?;
    ready(&booted)?;
    assert!(runs_what_is_installed(&booted)?);
    let after = processes(&booted)?;
    let changed: Vec<_> =
        before.iter().filter(|(unit, process)| after.get(*unit) != Some(*process)).collect();
    assert_eq!(changed.iter().map(|(unit, _)| unit.as_str()).collect::<Vec<_>>(), ["patchd.service"]);
    said(&booted, "grep -q edited /etc/patchd/patchd.toml")?;
    let now = runs(&booted)?;
    assert!(history.iter().all(|run| now.contains(run)), "{history:?} {now:?}");
    // Back, and the same again.
    said(&booted, &format!("rpm -U --nodeps --oldpackage {old}; rpm -U --nodeps --replacepkgs {old}"))?;
    ready(&booted)?;
    assert!(runs_what_is_installed(&booted)?);
    assert_eq!(units(&booted)?, both("enabled", "active"));

    // Never while the root helper is at work; and what was not erased works on.
    let work = hold_lock(&booted)?;
    let refused = tried(&booted, "rpm -e patchd")?;
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("its root helper is at work (apply t-1)"), "{}", refused.stderr);
    ready(&booted)?;
    release(&booted, work)?;

    said(&booted, "rpm -e patchd")?;
    assert!(!processes(&booted)?.keys().any(|unit| unit.starts_with("patchd")));
    assert_eq!(said(&booted, "find /etc/systemd/system -name 'patchd*'")?, "");
    said(
        &booted,
        "test -e /var/lib/patchd/journal.sqlite && grep -q edited /etc/patchd/patchd.toml.rpmsave",
    )?;
    Ok(())
}

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
    assert_eq!(units(&booted)?, both("disabled", "inactive"));
    Ok(())
}
