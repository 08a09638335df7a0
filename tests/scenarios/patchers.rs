//! Another patcher on the host: found by what it would do, kept from it because root asked, and given back. With Debian's
//! own unattended-upgrades and the systemd that runs it.

use anyhow::{Context, Result, bail};
use patchd_tests::agent_host::install_units;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::command::{self, Finished};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::wait;

const UPGRADE: &str = "apt-daily-upgrade.service";

/// Starts the service as its timer would, and says whether systemd let it. The unit forgets that once it has ended; the
/// journal does not.
fn may_start(booted: &Booted<'_>) -> Result<bool> {
    let count = |words: &str| -> Result<usize> {
        booted.run(["journalctl", "--sync"])?;
        Ok(booted.journal().lines().filter(|line| line.contains(UPGRADE) && line.contains(words)).count())
    };
    let (started, skipped) = ("Starting ", "unmet condition check (ConditionPathExists=!/usr/bin/patchd)");
    let before = (count(started)?, count(skipped)?);
    booted.run(["timeout", "60", "systemctl", "start", UPGRADE])?;
    let after = (count(started)?, count(skipped)?);
    match (after.0 - before.0, after.1 - before.1) {
        (1, 0) => Ok(true),
        (0, 1) => Ok(false),
        other => bail!("it was started and skipped {other:?} times:\n{}", booted.journal()),
    }
}

fn patchers(booted: &Booted<'_>, words: &[&str]) -> Result<Finished> {
    command::finish(&mut booted.command(["patchctl", "patchers"].into_iter().chain(words.iter().copied())))
}

#[test]
fn unattended_upgrades_is_kept_from_installing_as_long_as_root_wants_and_patchd_is_there() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_unattended_upgrades()?;
    install_units(&root)?;
    // The other scenarios keep apt's own services from running; here one is to.
    std::fs::remove_file(root.at("/etc/systemd/system").join(UPGRADE))?;
    root.write("/etc/apt/apt.conf.d/20auto-upgrades", "APT::Periodic::Unattended-Upgrade \"1\";\n")?;
    root.write("/etc/patchd/patchd.toml", "[clock]\nrequire_synchronised = false\n")?;
    let booted = Booted::boot(&root)?;
    let told = || booted.journal();
    wait::until("the executor's socket", 20, || {
        Ok(booted.run(["test", "-S", "/run/patchd/executor.sock"]).ok())
    })
    .with_context(told)?;

    assert!(may_start(&booted)?, "{}", booted.journal());
    let listed = patchers(&booted, &["list"])?;
    assert!(listed.stdout.contains("unattended-upgrades: may patch this host"), "{listed:?}");
    let stranger =
        ["runuser", "-u", "nobody", "--", "patchctl", "patchers", "disable", "unattended-upgrades"];
    assert_eq!(command::finish(&mut booted.command(stranger))?.code(), Some(6));
    // The daemon's own user may speak with the executor, but has no say in this.
    let agent = ["runuser", "-u", "patchd", "--", "patchctl", "patchers", "disable", "unattended-upgrades"];
    assert_eq!(command::finish(&mut booted.command(agent))?.code(), Some(6));
    assert!(may_start(&booted)?);

    let disabled = patchers(&booted, &["disable", "unattended-upgrades"])?.success()?;
    assert!(disabled.stdout.contains("kept from installing"), "{disabled:?}");
    assert!(!may_start(&booted)?, "{}", booted.journal());
    let doctor = command::finish(&mut booted.command(["patchctl", "doctor", "--json"]))?.json()?;
    let checks = doctor["checks"].as_array().context("checks")?.clone();
    let check = checks.iter().find(|check| check["name"] == "patchers").context("the check of patchers")?;
    assert_eq!(check["verdict"], "ok", "{check:#}");

    patchers(&booted, &["restore", "unattended-upgrades"])?.success()?;
    assert!(may_start(&booted)?, "{}", booted.journal());

    // A package that goes takes its program with it, and that alone gives the host back.
    patchers(&booted, &["disable", "unattended-upgrades"])?.success()?;
    assert!(!may_start(&booted)?);
    std::fs::rename(root.at("/usr/bin/patchd"), root.at("/usr/bin/patchd.gone"))?;
    assert!(may_start(&booted)?, "{}", booted.journal());
    Ok(())
}

#[test]
fn a_patcher_that_is_decided_elsewhere_is_told_where() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    install_units(&root)?;
    let said = command::finish(&mut root.command(["patchctl", "patchers", "disable", "amazon-ssm-agent"]))?;
    assert_eq!(said.code(), Some(6));
    assert!(said.stderr.contains("aws ssm list-associations"), "{said:?}");
    let unknown = command::finish(&mut root.command(["patchctl", "patchers", "disable", "sshd.service"]))?;
    assert_eq!(unknown.code(), Some(2), "names come from our list only: {unknown:?}");
    Ok(())
}
