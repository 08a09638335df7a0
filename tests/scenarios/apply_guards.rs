//! More stories of applying: what patchd must leave alone, and when it must not begin.
//!
//! Rows are those of docs/accidents.md.

use std::process::{Child, Stdio};

use anyhow::{Context, Result};
use patchd_protocol::control::{RunOutcome, RunPhase};
use patchd_tests::agent_host::AgentHost;
use patchd_tests::clock::LabClock;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{Suite, ToyPackage};
use patchd_tests::story;
use patchd_tests::supervised::Supervised;

/// An upgrade makes a package unneeded, as a new kernel does with an old one, and the host is set to clean up: others
/// took the running kernel's modules away with it (row 22).
#[test]
fn what_an_upgrade_makes_unneeded_stays_although_the_host_would_clean_up() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let old = [
        ToyPackage::new("linux-image-6.1.0-1-lab", "6.1.1"),
        ToyPackage::new("linux-image-lab", "6.1.1").field("Depends: linux-image-6.1.0-1-lab"),
    ];
    let host = story::host(&old, "")?;
    host.root.run(["apt-mark", "auto", "linux-image-6.1.0-1-lab"])?;
    let clean_up = "APT::Get::AutomaticRemove \"true\";\nAPT::NeverAutoRemove {};\n";
    host.root.write("/etc/apt/apt.conf.d/clean-up", clean_up)?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[
        ToyPackage::new("linux-image-6.1.0-2-lab", "6.1.2"),
        ToyPackage::new("linux-image-lab", "6.1.2").field("Depends: linux-image-6.1.0-2-lab"),
    ])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["linux-image-6.1.0-2-lab - 6.1.2", "linux-image-lab 6.1.1 6.1.2"]);
    assert_eq!(host.root.dpkg("linux-image-6.1.0-1-lab")?, "6.1.1|install ok installed");
    Ok(())
}

/// A host without memory: others began, and the kernel killed what it liked (row 54). The figure is laid over the kernel's.
#[test]
fn nothing_is_begun_where_memory_is_short() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&[ToyPackage::new("lab-0", "1.0")], "")?;
    host.root.write("/meminfo", "MemTotal: 475000 kB\nMemFree: 9000 kB\nMemAvailable: 20480 kB\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    at_work.space().lay_over(&host.root, Some("/meminfo"), "/proc/meminfo")?;
    host.repository.publish(Suite::Security, &[ToyPackage::new("lab-0", "1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    let document = at_work.run_document(&told.summary.id)?;
    let gate = document.gates.first().context("no gate is shut")?;
    assert_eq!((gate.code.as_str(), document.gates.len()), ("memory", 1), "{:?}", document.gates);
    assert!(gate.detail.contains("20 MiB"), "{}", gate.detail);
    assert_eq!(host.root.dpkg("lab-0")?, "1.0|install ok installed");

    at_work.space().lay_over(&host.root, None, "/proc/meminfo")?;
    assert_eq!(story::apply(&mut at_work)?.done()?, ["lab-0 1.0 1.1"]);
    Ok(())
}

/// A host with one fix due, and a hook that says that it ran.
fn host_with_hook(config: &str) -> Result<AgentHost> {
    let host = story::host(&[ToyPackage::new("lab-0", "1.0"), ToyPackage::new("lab-other", "1.0")], "")?;
    host.root.write("/etc/patchd/patchd.toml", config)?;
    let hook = "/etc/patchd/hooks/pre-patch.d/10-put-aside";
    host.root.write(hook, "#!/bin/sh\necho aside >/srv/put-aside\n")?;
    host.root.run(["chmod", "755", hook])?;
    Ok(host)
}

/// A real apt-get of somebody else's that holds its lock until the test lets it go, and an apply that is asked for then.
fn ask_beside_apt(at_work: &mut Supervised<'_>) -> Result<(Child, String)> {
    let hold = "DPkg::Pre-Invoke::=touch /srv/held; until [ -e /srv/go ]; do sleep 0.1; done";
    let space = at_work.space();
    let mut apt = space.command(["apt-get", "-o", hold, "install", "-y", "--reinstall", "lab-other"]);
    let apt = apt.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    at_work.until("apt's lock", 60, |host| Ok(host.root().at("/srv/held").exists().then_some(())))?;
    let id = story::ask(at_work, &serde_json::json!({ "operation": "apply" }))?;
    at_work.until("the run to wait", 60, |host| {
        let said = host.root().read("/patchd.log")?;
        Ok((said.contains("waiting for pid ") && said.contains(" (apt-get)")).then_some(()))
    })?;
    let waiting = at_work.run_document(&id)?;
    assert_eq!((waiting.run.phase, waiting.transactions.len()), (RunPhase::Gating, 0), "{waiting:#?}");
    Ok((apt, id))
}

/// Others gave up on a lock after seconds, or told their hooks to put a host aside and then waited (row 1).
#[test]
fn somebody_elses_package_manager_is_waited_for_before_the_hooks() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host_with_hook(patchd_tests::agent_host::always_open())?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.repository.publish(Suite::Security, &[ToyPackage::new("lab-0", "1.1")])?;
    let (mut apt, id) = ask_beside_apt(&mut at_work)?;
    assert!(!host.root.at("/srv/put-aside").exists(), "the hooks ran before there was anything to do");
    host.root.write("/srv/go", "")?;
    assert!(apt.wait()?.success());
    let told = story::wait_for(&mut at_work, &id)?;
    assert_eq!(told.done()?, ["lab-0 1.0 1.1"], "{:#?}", told.report.run);
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded));
    assert!(host.root.at("/srv/put-aside").exists());
    Ok(())
}

/// The wait ends where a step would no longer fit before the cutoff, with the holder named (row 1).
#[test]
fn a_lock_that_is_held_until_the_cutoff_is_named_and_nothing_is_begun() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host_with_hook("[[window]]\nname = \"night\"\nschedule = \"daily 03:00 +2h\"\n")?;
    let mut clock = LabClock::at(&host.root, 3, 20)?;
    let mut at_work = Supervised::start(&host.root)?;
    at_work.set_clock();
    story::settle(&mut at_work)?;
    host.repository.publish(Suite::Security, &[ToyPackage::new("lab-0", "1.1")])?;
    let (mut apt, id) = ask_beside_apt(&mut at_work)?;
    clock.pass(99)?;
    let told = story::wait_for(&mut at_work, &id)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    let gates = at_work.run_document(&id)?.gates;
    let codes: Vec<&str> = gates.iter().map(|gate| gate.code.as_str()).collect();
    assert_eq!(codes, ["locked", "wont_fit"], "{gates:?}");
    let held = gates.first().context("no gate is shut")?;
    assert!(held.detail.contains("pid ") && held.detail.contains(" (apt-get)"), "{held:?}");
    assert!(!host.root.at("/srv/put-aside").exists());
    assert_eq!(host.root.dpkg("lab-0")?, "1.0|install ok installed");
    host.root.write("/srv/go", "")?;
    assert!(apt.wait()?.success());
    Ok(())
}
