//! The units as systemd runs them: a booted root, the packages' files in their places, and the sandbox in force.

use anyhow::Result;
use patchd_tests::agent_host::install_units;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::command;
use patchd_tests::outcome::is_root_or_skipped;

#[test]
fn a_root_boots_and_nothing_in_it_fails() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    let booted = Booted::boot(&root)?;
    let failed = booted.run(["systemctl", "--failed", "--plain", "--no-legend"])?.stdout;
    assert_eq!(failed, "", "{}", booted.journal());
    Ok(())
}

/// Of 100, where 96 is what package managers' own units have.
const EXPOSURE_LIMIT: &str = "--threshold=25";

#[test]
fn the_units_are_sound_and_the_daemon_is_shut_in() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    install_units(&root)?;
    let units = ["patchd.service", "patchd-executor.service", "patchd-executor.socket"];
    let said = command::finish(&mut root.command(["systemd-analyze", "verify"].iter().chain(&units)))?;
    assert_eq!((said.code(), said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let exposure =
        ["systemd-analyze", "security", "--offline=true", "--no-pager", EXPOSURE_LIMIT, "patchd.service"];
    root.run(exposure)?;
    Ok(())
}
