//! The units as systemd runs them: a booted root, the packages' files in their places, and the sandbox in force.

use anyhow::{Context, Result};
use patchd_tests::agent_host::{always_open, install_units};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::{is_root_or_skipped, kernel_keeps_time, left_out};
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::{command, place, wait};

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

/// In tenths of systemd's exposure level.
const EXPOSURE_LIMITS: [(&str, u32); 2] = [("patchd.service", 14), ("patchd-executor.service", 88)];

/// The units of others that change packages: in a package of each host, and in packages that a mirror has.
const PEER_OF_APT: &str = "apt-daily-upgrade.service";
const PEERS: [&str; 2] = ["unattended-upgrades", "packagekit"];

#[test]
fn the_units_are_sound_and_shut_in_more_than_those_of_others() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    install_units(&root)?;
    let units = ["patchd.service", "patchd-executor.service", "patchd-executor.socket"];
    let said = command::finish(&mut root.command(["systemd-analyze", "verify"].iter().chain(&units)))?;
    assert_eq!((said.code(), said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let mut most_of_ours = 0;
    for (unit, limit) in EXPOSURE_LIMITS {
        let found = exposure(&root, unit)?;
        assert!(found <= limit, "{unit}: {found}");
        most_of_ours = most_of_ours.max(found);
    }
    let file = format!("/usr/lib/systemd/system/{PEER_OF_APT}");
    let mut peers = vec![exposure(&root, &file)?];
    for package in PEERS {
        let scratch = place::scratch("peer")?;
        let mut download = command::command("apt-get");
        download.args(["-q", "download", package]).current_dir(scratch.path());
        if command::finish(&mut download)?.code() != Some(0) {
            left_out(&format!("the unit of {package}: no mirror has the package"));
            continue;
        }
        let unpack = format!("dpkg-deb -x {package}_*.deb .; cat lib/systemd/system/{package}.service");
        let unit = command::finish(command::command("sh").args(["-c", &unpack]).current_dir(scratch.path()))?;
        let path = format!("/srv/{package}.service");
        root.write(&path, unit.success()?.stdout)?;
        peers.push(exposure(&root, &path)?);
    }
    assert!(peers.iter().all(|peer| most_of_ours + 5 < *peer), "{most_of_ours} {peers:?}");
    Ok(())
}

/// What systemd makes of a unit, in tenths.
fn exposure(root: &AptRoot, unit: &str) -> Result<u32> {
    let said = root.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit])?.stdout;
    let level = said.rsplit_once("Overall exposure level for ").context("no level")?.1;
    let number = level.split_whitespace().nth(1).context("no number in it")?;
    Ok(number.replace('.', "").parse()?)
}

#[test]
fn systemd_starts_the_daemon_which_has_the_root_helper_apply() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-plain", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-plain"])?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-plain", "1.1")])?;
    install_units(&root)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;

    let booted = Booted::boot(&root)?;
    let show = |unit: &str, property: &str| booted.property(unit, property);
    let told = || booted.journal();
    wait::until("patchd to be ready", 20, || {
        Ok((show("patchd.service", "ActiveState")? == "active").then_some(()))
    })
    .with_context(told)?;
    // The machine booted long ago, so the first minutes of a boot, which patchd leaves to others, are over.
    wait::until("the fix", 90, || {
        let state = booted.run(["dpkg-query", "-W", "-f=${Version}|${Status}", "lab-plain"])?.stdout;
        Ok((state == "1.1|install ok installed").then_some(()))
    })
    .with_context(told)?;
    assert_eq!(show("patchd-executor.service", "NRestarts")?, "0");
    wait::until("the report", 20, || {
        let found = booted.run(["find", "/var/lib/patchd/reports/v1/reports", "-name", "*-apply-*.json.gz"]);
        Ok(found.ok().filter(|found| !found.stdout.is_empty()))
    })
    .with_context(told)?;
    // Structured: a run can be followed by its id.
    let fields = booted.run(["journalctl", "--no-pager", "-o", "verbose", "-u", "patchd.service"])?.stdout;
    for field in ["RUN_ID=", "PHASE="] {
        assert!(fields.contains(field), "no {field} in:\n{fields}");
    }
    let process = show("patchd.service", "MainPID")?;
    let status = booted.run(["cat", &format!("/proc/{process}/status")])?.stdout;
    for line in ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "no {line} in:\n{status}");
    }
    // The daemon may not ask the kernel of its clock; the executor's answer is the kernel's own, by other means.
    root.write("/etc/patchd/patchd.toml", always_open().replace("= false", "= true"))?;
    booted.run(["systemctl", "kill", "--kill-whom=main", "--signal=HUP", "patchd.service"])?;
    let clock = wait::until("the kernel's word on its clock", 20, || {
        let status = booted.run(["patchctl", "status", "--json"])?.json()?;
        let clock = status.get("clock").cloned().unwrap_or_default();
        Ok((clock.get("required") == Some(&true.into()) && clock.get("asked_at").is_some()).then_some(clock))
    })
    .with_context(told)?;
    let state = if kernel_keeps_time()? { "synchronised" } else { "unsynchronised" };
    assert_eq!(clock.get("state"), Some(&state.into()), "{clock:#}");
    // It fails if patchd needs longer, since systemd waits for its end.
    booted.run(["timeout", "2", "systemctl", "stop", "patchd.service"])?;
    assert_eq!(show("patchd.service", "Result")?, "success");
    Ok(())
}
