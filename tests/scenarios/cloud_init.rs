//! The first boot of an instance with Debian's own cloud-init, whose user data is still at work when patchd starts.

use anyhow::{Context, Result};
use patchd_tests::agent_host::{always_open, install_units};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::wait;

/// No cloud is asked, and nothing of the machine is changed: only the user's script runs, until it finds its mark.
const CONFIGURATION: &str = r#"datasource_list: [None]
datasource:
  None:
    userdata_raw: |
      #!/bin/sh
      touch /run/user-data-began
      while [ ! -e /run/user-data-may-end ]; do sleep 0.2; done
cloud_init_modules: []
cloud_config_modules: []
cloud_final_modules: [scripts-user]
network: {config: disabled}
"#;

#[test]
fn while_user_data_is_at_work_patchd_looks_and_takes_no_lock() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_cloud_init()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-plain", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-plain"])?;
    // The lists of the root don't have it yet.
    repository.publish(Suite::Security, &[ToyPackage::new("lab-plain", "1.1")])?;
    install_units(&root)?;
    root.write("/etc/cloud/ds-identify.cfg", "policy: enabled\n")?;
    root.write("/etc/cloud/cloud.cfg.d/99-lab.cfg", CONFIGURATION)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;
    let booted = Booted::boot_without_waiting(&root)?;
    let told = || booted.journal();
    wait::until("the user data to run", 60, || Ok(booted.run(["test", "-e", "/run/user-data-began"]).ok()))
        .with_context(told)?;
    wait::until("the first report", 60, || {
        let found = booted.run(["find", "/var/lib/patchd/reports/v1/reports", "-name", "*-scan-*.json.gz"]);
        Ok(found.ok().filter(|found| !found.stdout.is_empty()))
    })
    .with_context(told)?;
    let status = booted.run(["patchctl", "status", "--json"])?.json()?;
    let gates = status["gates"].as_array().context("gates")?.clone();
    let gate =
        gates.iter().find(|gate| gate["code"] == "cloud_init").with_context(|| format!("{status:#}"))?;
    assert!(gate["detail"].as_str().is_some_and(|detail| detail.contains("modules-final")), "{gate:#}");
    assert!(!booted.journal().contains("asks for refresh"), "{}", booted.journal());
    let version =
        || -> Result<String> { Ok(booted.run(["dpkg-query", "-W", "-f=${Version}", "lab-plain"])?.stdout) };
    assert_eq!(version()?, "1.0");
    let doctor =
        patchd_tests::command::finish(&mut booted.command(["patchctl", "doctor", "--json"]))?.json()?;
    let checks = doctor["checks"].as_array().context("checks")?.clone();
    let check =
        checks.iter().find(|check| check["name"] == "cloud_init").context("the check of cloud-init")?;
    assert_eq!(check["verdict"], "warning", "{check:#}");

    booted.run(["touch", "/run/user-data-may-end"])?;
    wait::until("the fix", 90, || Ok((version()? == "1.1").then_some(()))).with_context(told)?;
    Ok(())
}
