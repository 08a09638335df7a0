//! Disks that are full, read-only or broken, and clocks that nobody keeps: a clear word, nothing lost, and the next run
//! goes once the fault is gone. Each story is named after what it guards.
//!
//! Rows are those of docs/accidents.md.

use std::process::Stdio;

use anyhow::{Context, Result};
use patchd_protocol::control::clock::ClockState;
use patchd_protocol::control::{RunOutcome, RunPhase, RunSummary};
use patchd_tests::agent_host::{AgentHost, always_open};
use patchd_tests::outcome::{is_root_or_skipped, kernel_keeps_time, skipped};
use patchd_tests::repository::ToyPackage;
use patchd_tests::story::{self, Told};
use patchd_tests::supervised::{Supervised, Target};
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// A package that is fetched as so many bytes: nothing shortens them.
fn large(version: &str, bytes: usize) -> ToyPackage {
    let mut number = 1_u32;
    let mut letter = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(33 + u8::try_from(number >> 24).unwrap_or_default() % 94)
    };
    let text: String = (0..bytes).map(|_| letter()).collect();
    ToyPackage::new("lab-large", version)
        .file("/usr/share/lab-large/data", &text)
        .field(&format!("Installed-Size: {}", bytes / 1024 + 1))
}

fn small(version: &str) -> ToyPackage {
    ToyPackage::new("lab-small", version)
}

/// A host with a large and a small package.
fn host() -> Result<AgentHost> {
    story::host(&[large("1.0", 1024), small("1.0")], "")
}

fn detail(told: &Told) -> String {
    let run = told.report.run.as_ref();
    let setbacks = run.into_iter().flat_map(|run| run.failed.iter().chain(&run.waiting));
    let words = setbacks.map(|setback| setback.why.clone()).chain(told.summary.detail.clone());
    words.collect::<Vec<_>>().join("\n")
}

/// Others began, and broke the package database when the disk was full (row 24).
fn check_too_small(path: &str) -> Result<()> {
    let host = host()?;
    host.root.mount_small(path, 2 * MIB)?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[large("1.1", 3 << 20), small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert!(detail(&told).contains(path), "{path}: {}\n{:#?}", detail(&told), told.report.run);
    assert!(told.setback("lab-large")?.is_some(), "{:#?}", told.report.run);
    assert_eq!(host.root.dpkg("lab-large")?, "1.0|install ok installed");
    assert_eq!(host.root.run(["dpkg", "--audit"])?.stdout, "");

    drop(at_work);
    host.root.unmount(path)?;
    let mut at_work = Supervised::start(&host.root)?;
    at_work.start_patchd()?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    assert_eq!(host.root.dpkg("lab-large")?, "1.1|install ok installed");
    Ok(())
}

#[test]
fn archives_that_do_not_fit_are_not_fetched_and_their_file_system_is_named() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    check_too_small("/var/cache/apt/archives")
}

/// A full `/boot` left kernels without an initramfs, and dpkg half configured for good (row 21).
#[test]
fn a_kernel_that_does_not_fit_into_boot_waits_alone() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let kernel = |version: &str| {
        ToyPackage::new("linux-image-6.1.0-1-lab", version).file("/boot/vmlinuz-6.1.0-1-lab", version)
    };
    let host = story::host(&[kernel("1.0"), small("1.0")], "")?;
    host.root.mount_small("/boot", 2 * MIB)?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[kernel("1.1"), small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-small 1.0 1.1"], "{:#?}", told.report.run);
    let waits = told.setback("linux-image-6.1.0-1-lab")?.context("the kernel is not named")?;
    assert!(waits.why.contains("/boot"), "{waits:#?}");
    assert_eq!(host.root.dpkg("linux-image-6.1.0-1-lab")?, "1.0|install ok installed");
    Ok(())
}

/// Waits until a run can't go on, for want of room for what it writes down, or is over.
fn until_stuck(at_work: &mut Supervised<'_>, id: &str) -> Result<()> {
    at_work.until("the run to fill the disk", 120, |host| {
        let Ok(runs) = host.runs() else { return Ok(None) };
        let is_last = |run: &RunSummary| matches!(run.phase, RunPhase::Reporting | RunPhase::Concluded);
        let is_over = runs.iter().any(|run| run.id == id && is_last(run));
        let is_ill = host.get("/v1/health")?.status == 503;
        Ok((is_over || is_ill).then_some(()))
    })
}

/// The disk fills while dpkg is at work: it is said once there is room for the report, what was half done is mended, and
/// the next run goes (row 24).
#[test]
fn a_root_that_fills_up_during_the_run_is_told_of_and_mended() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let old = [ToyPackage::new("lab-filler", "1.0"), large("1.0", 1024), small("1.0")];
    let host = story::host(&old, "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let fill = "head -c 1G /dev/zero >/srv/filled 2>/dev/null || true";
    host.publish_fixes(&[
        ToyPackage::new("lab-filler", "1.1").script("preinst", fill),
        large("1.1", 3 << 20),
        small("1.1"),
    ])?;
    host.root.leave_free(400 * MIB)?;
    let id = story::ask(&mut at_work, &serde_json::json!({ "operation": "apply" }))?;
    until_stuck(&mut at_work, &id)?;
    std::fs::remove_file(host.root.at("/srv/filled"))?;
    let told = story::wait_for(&mut at_work, &id)?;
    assert_ne!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    // With room again and a fix that does not fill it, everything gets where it should; nothing was lost.
    host.publish_fixes(&[ToyPackage::new("lab-filler", "1.2"), large("1.1", 3 << 20), small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    for (name, version) in [("lab-filler", "1.2"), ("lab-large", "1.1"), ("lab-small", "1.1")] {
        assert_eq!(host.root.dpkg(name)?, format!("{version}|install ok installed"));
    }
    assert_eq!(host.root.run(["dpkg", "--audit"])?.stdout, "");
    Ok(())
}

/// A file system can be full of files with room left in it (row 24). It is seen before, and named; and where scripts use
/// them up while dpkg is at work, it is told, and what was half done is mended once there are inodes again.
#[test]
fn a_root_that_runs_out_of_inodes_is_named_told_of_and_mended() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&[ToyPackage::new("lab-files", "1.0"), small("1.0")], "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let files =
        |at: &str| format!("at=0; while [ $at -lt {at} ] && : >/srv/files/$at; do at=$((at + 1)); done");
    let greedy = format!("mkdir -p /srv/files; ({}) 2>/dev/null || true", files("100000"));
    host.publish_fixes(&[ToyPackage::new("lab-files", "1.1").script("preinst", &greedy), small("1.1")])?;

    host.root.leave_inodes(300)?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:#?}", told.report.run);
    let detail = detail(&told);
    assert!(detail.contains("/ has ") && detail.contains(" inodes free of "), "{detail}");
    assert_eq!(told.transactions()?, 0, "{:#?}", told.report.run);

    host.root.leave_inodes(3000)?;
    let id = story::ask(&mut at_work, &serde_json::json!({ "operation": "apply" }))?;
    until_stuck(&mut at_work, &id)?;
    std::fs::remove_dir_all(host.root.at("/srv/files"))?;
    let told = story::wait_for(&mut at_work, &id)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Failed), "{:#?}", told.report.run);
    let failed = told.setback("lab-files")?.context("what failed is not named")?;
    // In dpkg's own words, wherever in its work it came to that.
    assert!(format!("{failed:?}").contains("No space left on device"), "{failed:#?}");
    let waits = told.setback("lab-small")?.context("what waits is not named")?;
    assert!(waits.why.contains(" inodes free of "), "{waits:#?}");
    host.publish_fixes(&[ToyPackage::new("lab-files", "1.2"), small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    for (name, version) in [("lab-files", "1.2"), ("lab-small", "1.1")] {
        assert_eq!(host.root.dpkg(name)?, format!("{version}|install ok installed"));
    }
    assert_eq!(host.root.run(["dpkg", "--audit"])?.stdout, "");
    Ok(())
}

/// Where patchd keeps its journal there is no room: nothing is changed, since nobody could tell of it.
#[test]
fn without_room_for_its_own_state_nothing_is_applied() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    for (path, owner) in [("/var/lib/patchd", "patchd"), ("/var/lib/patchd-executor", "root")] {
        let host = host()?;
        host.root.mount_small(path, 64 * MIB)?;
        let mut at_work = Supervised::start(&host.root)?;
        story::settle(&mut at_work)?;
        host.publish_fixes(&[large("1.1", 3 << 20), small("1.1")])?;
        let fill = format!("head -c 80M /dev/zero >{path}/filled 2>/dev/null; chown {owner} {path}/filled");
        at_work.run(&["sh", "-c", &fill])?;
        let answer = at_work.post("/v1/runs", &serde_json::json!({ "operation": "apply" }));
        if let Some(id) =
            answer.ok().and_then(|answer| Some(answer.body.pointer("/run/id")?.as_str()?.to_owned()))
        {
            // Refused, or held where the journal can't be written; either way nothing begins.
            let _ = at_work.until("the run's end", 20, |host| {
                let runs = host.runs().unwrap_or_default();
                Ok(runs.into_iter().find(|run| run.id == id && run.concluded_at.is_some()))
            });
        }
        assert_eq!(host.root.dpkg("lab-small")?, "1.0|install ok installed", "{path}\n{}", at_work.logs());

        std::fs::remove_file(at_work.path_inside(&format!("{path}/filled")))?;
        at_work.until("the run that waited to end", 120, |host| {
            let Ok(status) = host.status() else { return Ok(None) };
            Ok(status.running.is_none().then_some(()))
        })?;
        if host.root.dpkg("lab-small")? != "1.1|install ok installed" {
            let told = story::apply(&mut at_work)?;
            assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{path}: {:#?}", told.report.run);
        }
        assert_eq!(host.root.dpkg("lab-large")?, "1.1|install ok installed", "{path}");
    }
    Ok(())
}

#[test]
fn a_read_only_file_system_is_named_before_anything_is_tried() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host()?;
    host.root.mount_read_only("/usr")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_ne!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    assert!(detail(&told).contains("/usr"), "{}", detail(&told));
    assert_eq!(told.transactions()?, 0, "{:#?}", told.report.run);
    assert_eq!(host.root.dpkg("lab-small")?, "1.0|install ok installed");

    drop(at_work);
    host.root.unmount("/usr")?;
    let mut at_work = Supervised::start(&host.root)?;
    at_work.start_patchd()?;
    assert_eq!(story::apply(&mut at_work)?.done()?, ["lab-small 1.0 1.1"]);
    Ok(())
}

/// A `/boot` that only reads stops what writes there, a kernel as well as anything else, and nothing more (row 21).
#[test]
fn what_writes_to_a_read_only_boot_waits_and_the_rest_goes() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let kernel = |version: &str| {
        ToyPackage::new("linux-image-6.1.0-1-lab", version).file("/boot/vmlinuz-6.1.0-1-lab", version)
    };
    let tester =
        |version: &str| ToyPackage::new("lab-memory-test", version).file("/boot/memory-test", version);
    let host = story::host(&[kernel("1.0"), tester("1.0"), small("1.0")], "")?;
    host.root.mount_read_only("/boot")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[kernel("1.1"), tester("1.1"), small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-small 1.0 1.1"], "{:#?}", told.report.run);
    assert_eq!(told.transactions()?, 1, "{:#?}", told.report.run);
    for name in ["linux-image-6.1.0-1-lab", "lab-memory-test"] {
        let waits = told.setback(name)?.with_context(|| format!("{name} is not named"))?;
        assert_eq!(waits.why, "/boot is mounted read-only");
        assert_eq!(host.root.dpkg(name)?, "1.0|install ok installed");
    }
    assert_eq!(host.root.run(["dpkg", "--audit"])?.stdout, "");

    drop(at_work);
    host.root.unmount("/boot")?;
    let mut at_work = Supervised::start(&host.root)?;
    at_work.start_patchd()?;
    let done = ["lab-memory-test 1.0 1.1", "linux-image-6.1.0-1-lab 1.0 1.1"];
    assert_eq!(story::apply(&mut at_work)?.done()?, done);
    Ok(())
}

/// The disk takes no write of the journal any more. What can't be written down is not done, and patchd says that it
/// is ill.
#[test]
fn without_its_journal_patchd_applies_nothing_and_says_that_it_is_ill() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    if !std::path::Path::new("/usr/bin/strace").exists() {
        skipped("strace, which makes writes fail, is not installed");
        return Ok(());
    }
    let host = host()?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    at_work.stop_patchd()?;
    host.publish_fixes(&[small("1.1")])?;
    let broken = "inject=fsync,fdatasync:error=EIO:when=20+";
    at_work.wrap_patchd(&[
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        broken,
    ]);
    at_work.start_patchd()?;
    for _ in 0..10 {
        // Each request needs the journal; sooner or later it can't be written.
        let _ = at_work.post("/v1/runs", &serde_json::json!({ "operation": "scan" }));
        at_work.tend()?;
    }
    let health = at_work.until("patchd to say that it is ill", 60, |host| {
        let _ = host.post("/v1/runs", &serde_json::json!({ "operation": "scan" }));
        let answer = host.get("/v1/health")?;
        Ok((answer.status == 503).then_some(answer.body))
    })?;
    let checks = health.get("checks").and_then(Value::as_array).cloned().unwrap_or_default();
    let journal = checks.iter().find(|check| check.get("name") == Some(&Value::from("journal")));
    assert_eq!(journal.and_then(|check| check.get("ok")), Some(&Value::from(false)), "{health:#}");
    let _ = at_work.post("/v1/runs", &serde_json::json!({ "operation": "apply" }));
    assert_eq!(host.root.dpkg("lab-small")?, "1.0|install ok installed");

    at_work.wrap_patchd(&[]);
    at_work.kill(Target::Patchd);
    at_work.start_patchd()?;
    at_work.until("what was under way to end", 120, |host| {
        let Ok(status) = host.status() else { return Ok(None) };
        Ok(status.running.is_none().then_some(()))
    })?;
    // The one that was asked for meanwhile is carried on if the journal still took it, and else this one does it: once.
    let last = story::apply(&mut at_work)?;
    assert_eq!(last.summary.verdict, Some(RunOutcome::Succeeded), "{:?}", last.summary);
    assert_eq!(host.root.dpkg("lab-small")?, "1.1|install ok installed");
    at_work.until("one report that the change was made", 20, |host| {
        let runs: Vec<_> = host.reports()?.into_iter().filter_map(|report| report.run).collect();
        let transactions = runs.iter().flat_map(|run| &run.transactions);
        let changes = transactions.flat_map(|transaction| &transaction.changes);
        Ok((changes.filter(|change| change.done && change.name == "lab-small").count() == 1).then_some(()))
    })?;
    Ok(())
}

/// dpkg was cut by somebody before patchd came: others only printed what to type (row 17).
#[test]
fn a_package_database_that_somebody_cut_is_mended_first() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let old = [ToyPackage::new("lab-cut", "1.0"), small("1.0")];
    let host = story::host(&old, "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let cut = ToyPackage::new("lab-cut", "1.1")
        .script("postinst", "[ -e /srv/whole ] || { echo here >/srv/reached; exec sleep 60; }");
    host.publish_fixes(&[cut, small("1.1")])?;
    let space = at_work.space();
    let mut apt = space.command(["apt-get", "install", "-y", "lab-cut"]);
    let mut apt = apt.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    at_work.until("the script", 60, |host| Ok(host.root().at("/srv/reached").exists().then_some(())))?;
    // The script's own sleep is the newest; that of the namespace's first process is older.
    for name in ["apt-get", "dpkg", "sleep"] {
        assert!(space.kill_newest(name), "{name}");
    }
    apt.wait()?;
    host.root.write("/srv/whole", "")?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    assert_eq!(host.root.dpkg("lab-cut")?, "1.1|install ok installed");
    assert_eq!(host.root.dpkg("lab-small")?, "1.1|install ok installed");
    let repairs = patchd_tests::sweep::verdict::transactions(
        std::slice::from_ref(&told.report),
        patchd_protocol::report::native::TransactionKindWire::Repair,
    );
    assert_eq!(repairs, 1, "{:#?}", told.report.run);
    Ok(())
}

/// A clock that nobody keeps opens no window.
#[test]
fn a_clock_that_is_not_synchronised_opens_no_window() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host()?;
    host.root.write("/etc/patchd/patchd.toml", always_open().replace("= false", "= true"))?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    if kernel_keeps_time()? {
        skipped("this machine's clock is synchronised");
        return Ok(());
    }
    host.publish_fixes(&[small("1.1")])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    assert!(detail(&told).contains("clock"), "{}", detail(&told));
    // The status says so beforehand, and what policy makes of it.
    let status = at_work.status()?;
    assert_eq!((status.clock.state, status.clock.required), (ClockState::Unsynchronised, true));
    assert!(status.gates.iter().any(|gate| gate.code == "clock_untrusted"), "{:?}", status.gates);
    let shown = at_work.run(&["patchctl", "status"])?.stdout;
    assert!(shown.contains("not synchronised: nothing is changed unattended"), "{shown}");
    host.root.write("/etc/patchd/patchd.toml", always_open())?;
    at_work.stop_patchd()?;
    at_work.start_patchd()?;
    let status = at_work.status()?;
    assert!(!status.clock.required && status.gates.is_empty(), "{status:?}");
    assert_eq!(host.root.dpkg("lab-small")?, "1.0|install ok installed");
    Ok(())
}
