//! Reboots, in a booted root whose systemd goes down and comes up again: in the window, once, and told; and every way in
//! which a host is left up.
//!
//! The root says nowhere that it is a container, or patchd would not reboot it. Its kernel is the machine's; a reboot for
//! one is in the virtual machine's tests.

use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use patchd_tests::agent_host::{always_open, install_units};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::{Booted, conceal_container};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::{command, wait};
use serde_json::Value;

/// As packages ask for a reboot.
const ASK: &str = "[ \"$1\" = configure ] || exit 0
echo '*** System restart required ***' >/run/reboot-required
echo lab-core >>/run/reboot-required.pkgs";

/// A unit that asks again at every boot, before patchd looks.
const ASK_AGAIN: &str = "[Unit]\nBefore=patchd.service\n[Service]\nType=oneshot\n\
    ExecStart=/bin/sh -ec 'touch /run/reboot-required; echo lab-core >/run/reboot-required.pkgs'\n\
    [Install]\nWantedBy=multi-user.target\n";

/// A host with an update that asks for a reboot.
fn host(config: &str) -> Result<AptRoot> {
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-core", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-core"])?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-core", "1.1").script("postinst", ASK)])?;
    install_units(&root)?;
    conceal_container(&root)?;
    root.write("/etc/patchd/patchd.toml", config)?;
    Ok(root)
}

/// The reports of applies that the store has, the earliest first.
fn reports(booted: &Booted<'_>) -> Result<Vec<Value>> {
    let find = "find /var/lib/patchd/reports/v1/reports -name '*-apply-*.json.gz' 2>/dev/null | sort";
    let found = booted.run(["sh", "-c", &format!("{find} || true")])?.stdout;
    found.lines().map(|path| booted.run(["gzip", "-dc", path])?.json()).collect()
}

fn last_report(booted: &Booted<'_>, count: usize) -> Result<Value> {
    let last = wait::until("a report of an apply", 120, || Ok(reports(booted)?.into_iter().nth(count - 1)));
    last.with_context(|| booted.journal())
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn version(booted: &Booted<'_>) -> Result<String> {
    Ok(booted.run(["dpkg-query", "-W", "-f=${Version}|${Status}", "lab-core"])?.stdout)
}

/// What the executor remembers of the reboots that it asked for.
fn remembered(booted: &Booted<'_>) -> Result<Vec<Value>> {
    let said = command::finish(&mut booted.command(["cat", "/var/lib/patchd-executor/reboots.json"]))?;
    if said.code() != Some(0) {
        return Ok(Vec::new());
    }
    Ok(said.json()?.as_array().cloned().unwrap_or_default())
}

/// Has the agent read its configuration again.
fn reload(booted: &Booted<'_>) -> Result<()> {
    let count = || booted.journal().matches("the configuration was read again").count();
    let before = count();
    booted.run(["systemctl", "kill", "--kill-who=main", "--signal=HUP", "patchd.service"])?;
    wait::until("the new configuration", 20, || Ok((before < count()).then_some(())))
}

/// Runs an apply to its end, and gives its report.
fn apply(booted: &Booted<'_>, arguments: &[&str]) -> Result<Value> {
    let before = reports(booted)?.len();
    command::finish(&mut booted.command(["patchctl", "apply"].iter().chain(arguments).copied()))?;
    last_report(booted, before + 1)
}

/// Checks that the host is up, that nobody was asked to change that, and what is told of it.
#[track_caller]
fn check_waits(booted: &mut Booted<'_>, report: &Value, reason: &str, part: &str) -> Result<()> {
    assert_eq!(text(report, "/run/reboot/outcome"), "waits", "{report:#}\n{}", booted.journal());
    let reasons = report.pointer("/run/reboot/reasons").and_then(Value::as_array).context("no reasons")?;
    assert!(reasons.iter().any(|one| one == reason), "{reasons:?}");
    let detail = text(report, "/run/reboot/detail");
    assert!(detail.contains(part), "{detail}");
    assert!(!booted.has_gone_down()?);
    Ok(())
}

#[test]
fn a_host_that_asks_is_rebooted_in_its_window_and_the_next_boot_tells_of_it() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = host(always_open())?;
    let mut booted = Booted::boot(&root)?;
    let first = booted.boot_id()?;
    booted.boot_again(180)?;
    let second = booted.boot_id()?;
    assert_ne!(first, second);
    let report = last_report(&booted, 1)?;
    assert_eq!(text(&report, "/run/verdict"), "succeeded", "{report:#}");
    assert_eq!(version(&booted)?, "1.1|install ok installed");
    assert_eq!(text(&report, "/run/reboot/outcome"), "done", "{report:#}");
    assert_eq!(text(&report, "/run/reboot/boot_before"), first);
    assert_eq!(text(&report, "/run/reboot/boot_after"), second);
    assert_eq!(report.pointer("/run/reboot/packages"), Some(&serde_json::json!(["lab-core=1.1"])));
    assert_eq!(text(&report, "/host/boot_id"), second);
    let pending = report.pointer("/summary/counts/installed_pending_reboot_count").and_then(Value::as_u64);
    assert_eq!(pending, Some(0), "it clears itself");
    let remembered = remembered(&booted)?;
    assert_eq!(remembered.len(), 1, "{remembered:?}");
    let shown = booted.run(["patchctl", "report"])?.stdout;
    assert!(shown.contains("Rebooted"), "{shown}");
    let again = apply(&booted, &[])?;
    assert_eq!(again.pointer("/run/reboot"), None, "{again:#}");
    Ok(())
}

#[test]
fn a_host_that_asks_for_the_same_at_every_boot_is_rebooted_once() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = host(always_open())?;
    root.write("/usr/lib/systemd/system/lab-again.service", ASK_AGAIN)?;
    root.run(["systemctl", "enable", "lab-again.service"])?;
    let mut booted = Booted::boot(&root)?;
    booted.boot_again(180)?;
    let report = last_report(&booted, 1)?;
    assert_eq!(text(&report, "/run/reboot/outcome"), "done", "{report:#}");
    assert_eq!(text(&report, "/host/needs_reboot/answer"), "yes", "it still asks");
    for _ in 0..2 {
        let report = apply(&booted, &[])?;
        check_waits(&mut booted, &report, "forbidden", "was rebooted at")?;
        assert!(text(&report, "/run/reboot/detail").contains("lab-core=1.1 and still asks"), "{report:#}");
        let item = report.pointer("/items").and_then(Value::as_array).context("no items")?;
        let item = item.iter().find(|item| item["name"] == "lab-core").context("no lab-core")?;
        assert!(text(item, "/detail").contains("the reboot waits: the executor refuses"), "{item:#}");
    }
    assert_eq!(remembered(&booted)?.len(), 1);
    // A scan after it tells the same.
    booted.run(["patchctl", "scan"])?;
    let explained = booted.run(["patchctl", "explain", "lab-core"])?.stdout;
    assert!(explained.contains("the reboot waits"), "{explained}");
    let status = booted.run(["patchctl", "status"])?.stdout;
    assert!(status.contains("the host asks for one"), "{status}");
    Ok(())
}

#[test]
fn policy_and_a_held_inhibitor_and_a_hook_keep_a_host_up_and_are_told() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let never = format!("{}[reboot]\npolicy = \"never\"\n", always_open());
    let root = host(&never)?;
    let mut booted = Booted::boot(&root)?;
    let report = last_report(&booted, 1)?;
    check_waits(&mut booted, &report, "never_rebooted", "reboot.policy is never")?;
    assert_eq!(version(&booted)?, "1.1|install ok installed");

    root.write("/etc/patchd/patchd.toml", always_open())?;
    reload(&booted)?;
    let hold =
        ["systemd-inhibit", "--what=shutdown", "--who=backup", "--why=the nightly copy", "sleep", "1000"];
    booted.run(["systemd-run", "--unit=lab-hold"].into_iter().chain(hold))?;
    wait::until("the inhibitor", 10, || {
        let held = booted.run(["systemd-inhibit", "--list", "--no-pager"])?.stdout;
        Ok(held.contains("backup").then_some(()))
    })?;
    let report = apply(&booted, &[])?;
    check_waits(&mut booted, &report, "forbidden", "\"backup\" asks that the host stay up")?;
    booted.run(["systemctl", "stop", "lab-hold.service"])?;

    root.write("/etc/patchd/hooks/pre-reboot.d/10-no", "#!/bin/sh\necho a backup runs\nexit 1\n")?;
    root.run(["chmod", "755", "/etc/patchd/hooks/pre-reboot.d/10-no"])?;
    let report = apply(&booted, &[])?;
    check_waits(&mut booted, &report, "hook_failed", "a pre-reboot hook said no")?;
    assert!(remembered(&booted)?.is_empty());

    // What the host asks for from earlier is enough for a run that has nothing to install.
    root.run(["rm", "/etc/patchd/hooks/pre-reboot.d/10-no"])?;
    booted.run(["patchctl", "apply", "--detach"])?;
    booted.boot_again(120)?;
    wait::until("the report of the reboot", 60, || {
        let is_done = |report: &Value| text(report, "/run/reboot/outcome") == "done";
        Ok(reports(&booted)?.iter().any(is_done).then_some(()))
    })
    .with_context(|| booted.journal())?;
    assert_eq!(remembered(&booted)?.len(), 1);
    Ok(())
}

/// In place of systemctl: tells each order to reboot in `/srv/orders`, and holds it until `/srv/hold` is gone.
const HOLDING: &str = "#!/bin/sh
if [ \"$1\" = reboot ]; then
    echo \"$*\" >>/srv/orders
    while [ -e /srv/hold ]; do sleep 0.05; done
fi
exec /usr/bin/systemctl.real \"$@\"
";

/// A host whose run has just given the order, which is held.
fn holding() -> Result<AptRoot> {
    let root = host(always_open())?;
    root.run(["mv", "/usr/bin/systemctl", "/usr/bin/systemctl.real"])?;
    root.write("/usr/bin/systemctl", HOLDING)?;
    root.run(["chmod", "755", "/usr/bin/systemctl"])?;
    root.write("/srv/hold", "")?;
    Ok(root)
}

fn kill(booted: &Booted<'_>, unit: &str) -> Result<()> {
    let process = booted.property(unit, "MainPID")?;
    booted.run(["sh", "-c", &format!("kill -9 {process}")])?;
    Ok(())
}

/// Whatever is killed while the order is under way: one order, one boot, one report that tells of it.
fn check_killed(units: &[&str]) -> Result<()> {
    let root = holding()?;
    let mut booted = Booted::boot(&root)?;
    wait::until("the order to reboot", 120, || Ok(root.at("/srv/orders").exists().then_some(())))
        .with_context(|| booted.journal())?;
    let first = booted.boot_id()?;
    for unit in units {
        kill(&booted, unit)?;
    }
    wait::until("patchd to be back", 60, || {
        Ok((booted.property("patchd.service", "ActiveState")? == "active").then_some(()))
    })?;
    root.run(["rm", "/srv/hold"])?;
    booted.boot_again(120)?;
    let report = last_report(&booted, 1)?;
    assert_eq!(text(&report, "/run/reboot/outcome"), "done", "{units:?}: {report:#}\n{}", booted.journal());
    assert_eq!(text(&report, "/run/reboot/boot_before"), first);
    let orders = root.read("/srv/orders")?;
    assert_eq!(orders.lines().count(), 1, "{orders}");
    assert!(orders.contains("--message=patchd reboots this host: lab-core asked for it"), "{orders}");
    assert_eq!(remembered(&booted)?.len(), 1);
    assert_eq!(reports(&booted)?.len(), 1);
    Ok(())
}

#[test]
fn an_agent_killed_while_the_host_goes_down_finds_its_run_after_the_boot() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    check_killed(&["patchd.service"])
}

#[test]
fn a_root_helper_killed_while_the_host_goes_down_asks_for_no_second_reboot() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    check_killed(&["patchd-executor.service", "patchd.service"])
}

/// A window that is open now and ends this long from now, in whole minutes.
fn window_of(minutes: u64) -> Result<String> {
    let now = UNIX_EPOCH.elapsed()?.as_secs() / 60;
    let (start, length) = (now - 1, minutes + 1);
    let (hour, minute) = (start / 60 % 24, start % 60);
    Ok(format!(
        "[clock]\nrequire_synchronised = false\n[apply]\nsplay = \"0s\"\nreboot_reserve = \"{}m\"\n\
         [[window]]\nname = \"short\"\nschedule = \"daily {hour:02}:{minute:02} +{length}m\"\n",
        minutes + 2
    ))
}

#[test]
fn a_window_that_leaves_no_time_and_a_grant_outside_of_one_reboot_nothing() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = host("[clock]\nrequire_synchronised = false\n")?;
    let mut booted = Booted::boot(&root)?;
    wait::until("patchd to be ready", 30, || {
        Ok((booted.property("patchd.service", "ActiveState")? == "active").then_some(()))
    })?;
    let report = apply(&booted, &["--now", "--reason", "CVE-2026-1", "--yes"])?;
    assert_eq!(version(&booted)?, "1.1|install ok installed", "{report:#}");
    check_waits(&mut booted, &report, "no_window", "no window is configured")?;

    root.write("/etc/patchd/patchd.toml", window_of(20)?)?;
    reload(&booted)?;
    let report = apply(&booted, &[])?;
    check_waits(&mut booted, &report, "wont_fit", "a reboot wants 1320 s")?;
    assert!(remembered(&booted)?.is_empty());
    Ok(())
}
