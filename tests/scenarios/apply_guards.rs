//! More stories of applying: what patchd must leave alone, and when it must not begin.
//!
//! Rows are those of docs/accidents.md.

use anyhow::{Context, Result};
use patchd_protocol::control::RunOutcome;
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
