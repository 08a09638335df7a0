//! What goes wrong while the deb is installed or removed: scripts that are killed, configurations with mistakes, and a
//! root helper at work.

use anyhow::{Context, Result};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::package_host::{hold_lock, package, processes, ready, release, said, scan, tried};
use patchd_tests::packages::Family::Deb;

/// Puts a program in the place of another which kills whoever starts it, for once.
const DEADLY: &str = r#"mv "$1" "$1.real"
printf '#!/bin/sh\nmv "%s.real" "%s"\nkill -KILL $PPID\n' "$1" "$1" >"$1"
chmod 755 "$1""#;

#[test]
fn scripts_that_are_killed_are_made_up_for() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    // Before the user, the directories, what is enabled, and what is started.
    for program in
        ["systemd-sysusers", "install", "systemd-tmpfiles", "deb-systemd-helper", "deb-systemd-invoke"]
    {
        said(&booted, &format!("set -- /usr/bin/{program}\n{DEADLY}"))?;
        let cut = tried(&booted, &format!("dpkg --install {deb}"))?;
        assert!(!cut.status.success(), "{program}: {cut:?}");
        let state = said(&booted, "dpkg-query -W -f='${Status}' patchd")?;
        assert_eq!(state, "install ok half-configured", "{program}");
        said(&booted, "dpkg --configure -a").with_context(|| program)?;
        ready(&booted).with_context(|| program)?;
        assert_eq!(said(&booted, "dpkg --audit")?, "", "{program}");
        // And so is a removal that is cut before anything is stopped, and after.
        if program.starts_with("deb-systemd-invoke") {
            said(&booted, &format!("set -- /usr/bin/{program}\n{DEADLY}"))?;
            assert!(!tried(&booted, "dpkg --remove patchd")?.status.success());
            ready(&booted).context("what was not removed is at work")?;
        }
        said(&booted, "dpkg --purge patchd")?;
        said(&booted, "userdel patchd; test ! -e /var/lib/patchd")?;
    }
    Ok(())
}

#[test]
fn a_configuration_with_mistakes_does_not_leave_a_package_half_installed() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    root.write("/etc/patchd/patchd.d/wrong.toml", "[agnet]\n")?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    assert_eq!(said(&booted, "dpkg-query -W -f='${Status}' patchd")?, "install ok installed");
    said(&booted, "rm /etc/patchd/patchd.d/wrong.toml")?;
    // It is tried again for as long as it takes.
    ready(&booted)?;
    Ok(())
}

#[test]
fn it_is_not_removed_while_the_root_helper_is_at_work() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    ready(&booted)?;
    scan(&booted)?;

    // By its own hand, as a hook of the operator's would do it: in the executor's unit.
    let process = processes(&booted)?.remove("patchd.service");
    let own =
        "echo $$ >/sys/fs/cgroup/system.slice/patchd-executor.service/cgroup.procs; dpkg --remove patchd";
    let refused = tried(&booted, own)?;
    assert!(!refused.status.success() && refused.stderr.contains("by its own hand"), "{refused:?}");
    assert_eq!(processes(&booted)?.remove("patchd.service"), process, "nothing was stopped for it");

    let work = hold_lock(&booted)?;
    let refused = tried(&booted, "dpkg --remove patchd")?;
    assert!(!refused.status.success(), "{refused:?}");
    assert!(refused.stderr.contains("its root helper is at work (apply t-1)"), "{}", refused.stderr);
    ready(&booted).context("what was not removed is at work")?;
    assert_eq!(said(&booted, "dpkg-query -W -f='${db:Status-Status}' patchd")?, "installed");
    release(&booted, work)?;
    said(&booted, "dpkg --remove patchd")?;
    Ok(())
}
