//! Stories of applying, through patchd, the executor and the real apt: each is an accident that others had, and is
//! named after what keeps it from happening here.
//!
//! Rows are those of docs/accidents.md.

use anyhow::{Context, Result};
use patchd_protocol::control::RunOutcome;
use patchd_tests::agent_host::always_open;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{Suite, ToyPackage};
use patchd_tests::story;
use patchd_tests::supervised::{Supervised, Target};
use serde_json::json;

fn numbered(version: &str, numbers: std::ops::Range<u8>) -> Vec<ToyPackage> {
    numbers.map(|number| ToyPackage::new(&format!("lab-{number}"), version)).collect()
}

/// One unresolvable package, and one whose script fails, among ten: others stopped all updates for the one (row 25),
/// or called the package manager once for each (row 57).
#[test]
fn two_bad_packages_of_ten_are_named_and_eight_are_done_in_few_transactions() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..10), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let mut fixes = numbered("1.1", 0..8);
    fixes.push(ToyPackage::new("lab-8", "1.1").field("Depends: lab-nowhere"));
    fixes.push(ToyPackage::new("lab-9", "1.1").script("postinst", "echo the words of nine\nexit 3"));
    host.publish_fixes(&fixes)?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Partial), "{:#?}", told.report.run);
    let expected: Vec<String> = (0..8).map(|number| format!("lab-{number} 1.0 1.1")).collect();
    assert_eq!(told.done()?, expected);
    assert!(told.transactions()? <= 3, "{:#?}", told.report.run);
    let nine = told.setback("lab-9")?.context("the failing package is not named")?;
    assert!(nine.output.iter().any(|line| line.contains("the words of nine")), "{nine:#?}");
    let eight = told.reason("lab-8").context("the unresolvable package is not named")?;
    assert!(eight.starts_with("dependency: ") && eight.contains("lab-nowhere"), "{eight}");
    assert_eq!(host.root.dpkg("lab-8")?, "1.0|install ok installed");
    assert_eq!(host.root.dpkg("lab-9")?, "1.1|install ok half-configured");
    Ok(())
}

/// A configuration file was edited and is shipped anew: others held the package silently, with all that depends on it
/// (row 12).
#[test]
fn an_edited_configuration_file_stays_and_the_fix_lands_all_the_same() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let old = [
        ToyPackage::new("lab-conffile", "1.0").conffile("/etc/lab-conffile.conf", "value = 1\n"),
        ToyPackage::new("lab-needs", "1.0"),
    ];
    let host = story::host(&old, "")?;
    host.root.write("/etc/lab-conffile.conf", "value = mine\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[
        ToyPackage::new("lab-conffile", "1.1").conffile("/etc/lab-conffile.conf", "value = 2\n"),
        ToyPackage::new("lab-needs", "1.1").field("Depends: lab-conffile (>= 1.1)"),
    ])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-conffile 1.0 1.1", "lab-needs 1.0 1.1"], "{:#?}", told.report.run);
    assert_eq!(host.root.read("/etc/lab-conffile.conf")?, "value = mine\n");
    assert_eq!(host.root.read("/etc/lab-conffile.conf.dpkg-dist")?, "value = 2\n");
    assert_eq!(told.run()?.left_files, ["/etc/lab-conffile.conf.dpkg-dist"]);
    Ok(())
}

/// Policy holds what would ask. Others held packages that would never have asked (row 13), and did not say what
/// waited (row 12).
#[test]
fn a_package_is_held_for_its_configuration_file_only_where_dpkg_would_ask() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let conffile = |name: &str, version: &str, text: &str| {
        ToyPackage::new(name, version).conffile(&format!("/etc/{name}.conf"), text)
    };
    let names = ["lab-asks", "lab-edited", "lab-same", "lab-shipped", "lab-replaced"];
    let old: Vec<_> = names.iter().map(|name| conffile(name, "1.0", "1\n")).collect();
    let policy = "[apply]\nconffiles = \"hold\"\n[[conffile]]\npackages = \"lab-rep*\"\nrule = \"replace\"\n";
    let host = story::host(&old, policy)?;
    for name in ["lab-asks", "lab-edited", "lab-replaced"] {
        host.root.write(&format!("/etc/{name}.conf"), "mine\n")?;
    }
    // The operator wrote already what the fix ships.
    host.root.write("/etc/lab-same.conf", "2\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[
        conffile("lab-asks", "1.1", "2\n"),
        conffile("lab-edited", "1.1", "1\n"),
        conffile("lab-same", "1.1", "2\n"),
        conffile("lab-shipped", "1.1", "2\n"),
        conffile("lab-replaced", "1.1", "2\n"),
    ])?;
    let told = story::apply(&mut at_work)?;
    let expected =
        ["lab-edited", "lab-replaced", "lab-same", "lab-shipped"].map(|name| format!("{name} 1.0 1.1"));
    assert_eq!(told.done()?, expected, "{:#?}", told.report.run);
    let held = told.setback("lab-asks")?.context("the held package is not named")?;
    assert!(held.why.contains("/etc/lab-asks.conf"), "{held:#?}");
    assert_eq!(host.root.dpkg("lab-asks")?, "1.0|install ok installed");
    let files = names.map(|name| host.root.read(&format!("/etc/{name}.conf")));
    assert_eq!(files.into_iter().collect::<Result<Vec<_>>>()?, ["mine\n", "mine\n", "2\n", "2\n", "2\n"]);
    assert_eq!(told.run()?.left_files, ["/etc/lab-replaced.conf.dpkg-old"]);
    Ok(())
}

/// What came as a dependency goes as one: others marked all that they upgraded as wanted, and nothing was ever removed
/// again (row 23).
#[test]
fn marks_of_what_came_as_a_dependency_stay_as_they_were() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let old = [
        ToyPackage::new("lab-app", "1.0").field("Depends: lab-library"),
        ToyPackage::new("lab-library", "1.0"),
        ToyPackage::new("lab-wanted", "1.0"),
    ];
    let host = story::host(&old, "")?;
    host.root.run(["apt-mark", "auto", "lab-library"])?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[
        ToyPackage::new("lab-app", "1.1").field("Depends: lab-library (>= 1.1), lab-new"),
        ToyPackage::new("lab-library", "1.1"),
        ToyPackage::new("lab-new", "1.1"),
        ToyPackage::new("lab-wanted", "1.1"),
    ])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:#?}", told.report.run);
    let all = ["lab-app", "lab-library", "lab-new", "lab-wanted"];
    let automatic = host.root.run(["apt-mark", "showauto"].iter().chain(&all))?.stdout;
    assert_eq!(automatic, "lab-library\nlab-new\n");
    Ok(())
}

/// The index names an archive that the mirror does not have (row 35).
#[test]
fn an_archive_that_is_missing_on_the_mirror_holds_back_itself_alone() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..4), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&numbered("1.1", 0..4))?;
    let pool = host.root.at("/srv/repo/pool/lab-security");
    let archives = std::fs::read_dir(&pool)?.collect::<std::io::Result<Vec<_>>>()?;
    let missing = archives.iter().find(|archive| archive.file_name().to_string_lossy().starts_with("lab-2_"));
    std::fs::remove_file(missing.context("there is no archive of lab-2")?.path())?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Partial), "{:#?}", told.report.run);
    assert_eq!(told.done()?, ["lab-0 1.0 1.1", "lab-1 1.0 1.1", "lab-3 1.0 1.1"]);
    assert!(told.setback("lab-2")?.is_some(), "{:#?}", told.report.run);
    assert_eq!(host.root.dpkg("lab-2")?, "1.0|install ok installed");
    Ok(())
}

/// A phased update that has not reached this host: others forced it, or called the host non-compliant for ever (row
/// 28).
#[test]
fn a_phased_update_that_has_not_reached_this_host_is_told_of_and_left() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..2), "")?;
    host.root.write("/etc/apt/apt.conf.d/phased", "APT::Get::Never-Include-Phased-Updates \"true\";\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    // apt phases nothing that comes from a security archive.
    let phased = ToyPackage::new("lab-0", "1.1").field("Phased-Update-Percentage: 50");
    host.repository.publish(Suite::Release, &[phased])?;
    host.publish_fixes(&[ToyPackage::new("lab-1", "1.1")])?;
    let simulated = host.root.run(["apt-get", "-s", "upgrade"])?.stdout;
    assert!(!simulated.contains("Inst lab-0"), "{simulated}");
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-1 1.0 1.1"], "{:#?}", told.report.run);
    let reason = told.reason("lab-0").context("the phased update is not named")?;
    assert!(reason.starts_with("phased: "), "{reason}");
    assert_eq!(host.root.dpkg("lab-0")?, "1.0|install ok installed");
    Ok(())
}

/// A stop is honoured between two steps, never within one.
#[test]
fn a_run_that_is_told_to_stop_ends_what_it_does_and_names_the_rest() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    // Each takes 40 seconds to unpack, as far as anybody knows: two don't fit into a transaction of a minute.
    let host = story::host(&numbered("1.0", 0..3), "[apply]\nlongest_transaction = \"1m\"\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let begin = "echo begun >/srv/begun\nsleep 1";
    let large = |package: ToyPackage| package.field("Installed-Size: 200000").script("postinst", begin);
    host.publish_fixes(&numbered("1.1", 0..3).into_iter().map(large).collect::<Vec<_>>())?;
    let id = story::ask(&mut at_work, &json!({ "operation": "apply" }))?;
    at_work.until("the first step", 60, |host| Ok(host.root().at("/srv/begun").exists().then_some(())))?;
    let answer = at_work.post(&format!("/v1/runs/{id}/stop"), &json!({}))?;
    assert!(matches!(answer.status, 200 | 202), "{answer:?}");
    let told = story::wait_for(&mut at_work, &id).with_context(|| at_work.logs())?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Partial), "{:#?}", told.report.run);
    assert_eq!(told.done()?.len(), 1, "{:#?}", told.report.run);
    assert_eq!(told.transactions()?, 1);
    let waiting: usize = told.run()?.waiting.iter().map(|setback| setback.packages.len()).sum();
    assert_eq!(waiting, 2, "{:#?}", told.report.run);
    // What was left is done by the next run.
    let told = story::apply(&mut at_work)?;
    assert_eq!((told.summary.verdict, told.transactions()?), (Some(RunOutcome::Succeeded), 2));
    Ok(())
}

/// Two requests at once: others failed the second on the lock of the first (row 4).
#[test]
fn a_second_request_is_answered_with_the_run_that_is_under_way() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..1), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&[ToyPackage::new("lab-0", "1.1").script("postinst", "sleep 2")])?;
    let id = story::ask(&mut at_work, &json!({ "operation": "apply" }))?;
    let second = at_work.post("/v1/runs", &json!({ "operation": "apply" }))?;
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.body.get("started"), Some(&json!(false)), "{second:?}");
    assert_eq!(second.body.pointer("/run/id"), Some(&json!(id)), "{second:?}");
    assert_eq!(story::wait_for(&mut at_work, &id)?.done()?, ["lab-0 1.0 1.1"]);
    assert_eq!(host.root.read("/var/log/dpkg.log")?.matches(" upgrade lab-0:").count(), 1);
    Ok(())
}

#[test]
fn a_paused_or_frozen_host_says_so_and_changes_nothing() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..1), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&numbered("1.1", 0..1))?;
    assert_eq!(at_work.post("/v1/pause", &json!({}))?.status, 200);
    // A pause outlives the daemon.
    at_work.kill(Target::Patchd);
    at_work.start_patchd()?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    assert!(told.summary.detail.as_deref().unwrap_or_default().contains("pause"), "{:?}", told.summary);
    assert_eq!(at_work.post("/v1/resume", &json!({}))?.status, 200);

    let freeze = "[[freeze]]\nname = \"holidays\"\nfrom = 2020-01-01T00:00:00Z\nuntil = 2100-01-01T00:00:00Z\n\
                  reason = \"nobody is at work\"\n";
    host.root.write("/etc/patchd/patchd.toml", format!("{freeze}{}", always_open()))?;
    at_work.kill(Target::Patchd);
    at_work.start_patchd()?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    assert!(
        told.summary.detail.as_deref().unwrap_or_default().contains("nobody is at work"),
        "{:?}",
        told.summary
    );
    assert_eq!(host.root.dpkg("lab-0")?, "1.0|install ok installed");

    host.root.write("/etc/patchd/patchd.toml", always_open())?;
    at_work.kill(Target::Patchd);
    at_work.start_patchd()?;
    assert_eq!(story::apply(&mut at_work)?.done()?, ["lab-0 1.0 1.1"]);
    Ok(())
}

/// The plan that was shown is the plan that runs, or none.
#[test]
fn a_plan_file_is_applied_exactly_or_refused() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..2), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&numbered("1.1", 0..1))?;
    let plan = "patchctl --json plan >/plan.json";
    let planned = at_work.run(&["sh", "-c", plan])?.success()?;
    let document: serde_json::Value = serde_json::from_str(&host.root.read("/plan.json")?)?;
    assert_eq!(document.pointer("/steps/0/changes/0/to"), Some(&json!("1.1")), "{planned:?}\n{document:#}");

    // The repository goes on: the plan that was agreed to is not what would happen now.
    host.publish_fixes(&numbered("1.2", 0..1))?;
    let refused = at_work.run(&["patchctl", "apply", "--plan", "/plan.json"])?;
    assert_ne!(refused.code(), Some(0), "{refused:?}");
    assert_eq!(host.root.dpkg("lab-0")?, "1.0|install ok installed");

    // Another fix came meanwhile: the plan is applied, and nothing else.
    host.publish_fixes(&[numbered("1.1", 0..1), numbered("1.1", 1..2)].concat())?;
    at_work.run(&["patchctl", "apply", "--plan", "/plan.json"])?.success()?;
    assert_eq!(host.root.dpkg("lab-0")?, "1.1|install ok installed");
    assert_eq!(host.root.dpkg("lab-1")?, "1.0|install ok installed");
    Ok(())
}

/// Outside of every window root's word counts, for the plan that root was shown.
#[test]
fn root_may_have_a_plan_applied_outside_of_every_window_and_the_report_says_so() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..1), "")?;
    host.root.write("/etc/patchd/patchd.toml", "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.publish_fixes(&numbered("1.1", 0..1))?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    let now = ["patchctl", "apply", "--now", "--yes", "--reason", "an exploit is about"];
    at_work.run(&now)?.success()?;
    assert_eq!(host.root.dpkg("lab-0")?, "1.1|install ok installed");
    // It reaches the store after the run has ended, and may stand in the same second as the one before it.
    at_work.until("the report with root's reason", 20, |host| {
        let windows = host.reports()?.into_iter().filter_map(|report| report.run?.window);
        Ok(windows.into_iter().any(|window| window.contains("an exploit is about")).then_some(()))
    })?;
    Ok(())
}

/// A script that takes ten seconds while everybody around it dies: it is waited for, and nothing is done twice.
#[test]
fn a_script_that_takes_long_outlives_patchd_and_the_executor() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&numbered("1.0", 0..2), "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let slow = ToyPackage::new("lab-0", "1.1").script("postinst", "echo reached >/reached\nsleep 10");
    host.repository.publish(Suite::Security, &[slow, ToyPackage::new("lab-1", "1.1")])?;
    let id = story::ask(&mut at_work, &json!({ "operation": "apply" }))?;
    at_work.until("the slow script", 60, |host| Ok(host.root().at("/reached").exists().then_some(())))?;
    assert!(at_work.kill(Target::Patchd));
    assert!(at_work.kill(Target::Executor));
    let told = story::wait_for(&mut at_work, &id)?;
    assert_eq!(told.done()?, ["lab-0 1.0 1.1", "lab-1 1.0 1.1"], "{:#?}", told.report.run);
    assert_eq!(told.summary.verdict, Some(RunOutcome::Succeeded), "{:?}", told.summary);
    let log = host.root.read("/var/log/dpkg.log")?;
    assert_eq!([" upgrade lab-0:", " upgrade lab-1:"].map(|line| log.matches(line).count()), [1, 1]);
    Ok(())
}

/// What a run tried in vain is the reason that later scans tell, until something about it changes.
#[test]
fn a_failure_is_the_reason_until_another_version_is_asked_for() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&[ToyPackage::new("lab-bad", "1.0"), ToyPackage::new("lab-good", "1.0")], "")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    let good = ToyPackage::new("lab-good", "1.1");
    let bad = ToyPackage::new("lab-bad", "1.1").script("preinst", "echo will not\nexit 3");
    host.repository.publish(Suite::Security, &[good.clone(), bad])?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-good 1.0 1.1"]);
    let run = told.summary.id;

    // A restart does not make it forgotten, and a scan is not the run's own report.
    at_work.stop_patchd()?;
    at_work.start_patchd()?;
    let id = story::ask(&mut at_work, &json!({ "operation": "scan" }))?;
    let told = story::wait_for(&mut at_work, &id)?;
    let reason = told.reason("lab-bad").context("lab-bad waits for nothing")?;
    assert!(reason.starts_with(&format!("failed: run {run} could not install it")), "{reason}");

    host.repository.publish(Suite::Security, &[good, ToyPackage::new("lab-bad", "1.2")])?;
    let id = story::ask(&mut at_work, &json!({ "operation": "scan" }))?;
    let told = story::wait_for(&mut at_work, &id)?;
    let reason = told.reason("lab-bad").context("lab-bad waits for nothing")?;
    assert!(reason.starts_with("ready: "), "{reason}");
    Ok(())
}
