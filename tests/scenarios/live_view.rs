//! What an operator does with patchctl on a host at work: plan, apply exactly that, stop watching, come back, lose the
//! daemon on the way, and go around a shut window as root. What was done is asked of dpkg.

use std::process::Stdio;

use anyhow::{Context, Result};
use patchd_protocol::control::RunPhase;
use patchd_tests::agent_host::{AgentHost, SHUT, always_open};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::ToyPackage;
use patchd_tests::supervised::{Supervised, Target};
use patchd_tests::sweep::world::CONFIG;

/// A host with three packages at 1.0.
fn host(windows: &str) -> Result<Option<AgentHost>> {
    if !is_root_or_skipped() {
        return Ok(None);
    }
    let names = ["lab-a", "lab-b", "lab-c"];
    let host = AgentHost::build(&names.map(|name| ToyPackage::new(name, "1.0")))?;
    host.root.write("/etc/patchd/patchd.toml", windows)?;
    Ok(Some(host))
}

/// patchd at work on it, whose scheduler has found nothing to do, and then the fixes of the three: the second takes its
/// time and tries to command the terminal.
fn at_work(host: &AgentHost) -> Result<Supervised<'_>> {
    let mut at_work = Supervised::start(&host.root)?;
    at_work.start_patchd()?;
    at_work.until("the scheduler's first run", 120, |at_work| {
        let runs = at_work.runs()?;
        let is_over = !runs.is_empty() && runs.iter().all(|run| run.phase == RunPhase::Concluded);
        Ok(is_over.then_some(()))
    })?;
    let slow = ToyPackage::new("lab-b", "1.1").script("postinst", "printf '\\033]0;owned\\007\\n'; sleep 6");
    host.publish_fixes(&[ToyPackage::new("lab-a", "1.1"), slow, ToyPackage::new("lab-c", "1.1")])?;
    Ok(at_work)
}

fn versions(host: &AgentHost) -> Result<Vec<String>> {
    ["lab-a", "lab-b", "lab-c"].iter().map(|name| host.root.dpkg(name)).collect()
}

#[test]
fn a_plan_is_shown_kept_and_applied_as_it_was() -> Result<()> {
    let Some(host) = host(always_open())? else { return Ok(()) };
    let mut at_work = at_work(&host)?;
    let before = versions(&host)?;
    let page = at_work.run(&["patchctl", "plan"])?.success()?.stdout;
    for name in ["lab-a", "lab-b", "lab-c"] {
        assert!(
            page.lines().any(|line| line.contains(name) && line.contains("1.0") && line.contains("1.1")),
            "{page}"
        );
    }
    assert_eq!(versions(&host)?, before, "a plan changes nothing");
    at_work.run(&["sh", "-c", "patchctl plan --json > /plan.json"])?.success()?;
    let wrong = "sed 's/\"1[.]1\"/\"1.2\"/' /plan.json > /wrong.json; patchctl apply --plan /wrong.json";
    let wrong = at_work.run(&["sh", "-c", wrong])?.expect_code(2)?;
    assert!(wrong.stderr.starts_with("patchctl: /wrong.json: digest: "), "{}", wrong.stderr);
    let applied = at_work.run(&["patchctl", "apply", "--plan", "/plan.json"])?.success()?;
    assert!(applied.stdout.starts_with("SUCCEEDED"), "{}", applied.stdout);
    assert!(!applied.stderr.contains(|c: char| c.is_control() && c != '\n'), "{:?}", applied.stderr);
    assert!(versions(&host)?.iter().all(|version| version.starts_with("1.1|")), "{:?}", versions(&host)?);
    // It is done: the same plan holds no more.
    let again = at_work.run(&["patchctl", "apply", "--plan", "/plan.json"])?.expect_code(9)?;
    assert!(again.stdout.starts_with("NOTHING WAS CHANGED"), "{}", again.stdout);
    Ok(())
}

#[test]
fn who_watches_sees_the_end_although_the_daemon_died_on_the_way() -> Result<()> {
    let Some(host) = host(always_open())? else { return Ok(()) };
    let mut at_work = at_work(&host)?;
    let log = host.root.at("/watched.log");
    let file = std::fs::File::create(&log)?;
    let mut command = at_work.space().command(["patchctl", "apply"]);
    let mut child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
    let text = || std::fs::read_to_string(&log).unwrap_or_default();
    // Its own progress, not its name in the plan.
    let is_at_it = || text().lines().any(|line| line.contains(" %  ") && line.ends_with("lab-b"));
    at_work.until("the slow package", 120, |_| Ok(is_at_it().then_some(())))?;
    assert!(at_work.kill(Target::Patchd));
    let status = at_work.until("patchctl to end", 120, |_| Ok(child.try_wait()?))?;
    let text = text();
    assert_eq!(status.code(), Some(0), "{text}\n{}", at_work.logs());
    assert!(text.contains("SUCCEEDED"), "{text}");
    assert!(text.contains("patchd was started again and carries on"), "{text}");
    assert!(versions(&host)?.iter().all(|version| version.starts_with("1.1|")), "{text}");
    Ok(())
}

#[test]
fn a_shut_window_keeps_all_but_root_out_and_the_report_says_whose_word_it_was() -> Result<()> {
    let Some(host) = host(&format!("{CONFIG}{SHUT}"))? else { return Ok(()) };
    let mut at_work = at_work(&host)?;
    let before = versions(&host)?;
    let shut = at_work.run(&["patchctl", "apply"])?.expect_code(9)?;
    assert!(shut.stdout.contains("the next window opens at"), "{}", shut.stdout);
    let now = ["apply", "--now", "--reason", "CVE-2026-1", "--yes"];
    let user = ["setpriv", "--reuid=patchd", "--regid=patchd", "--init-groups", "--", "patchctl"];
    at_work.run(&[&user[..], &now].concat())?.expect_code(6)?;
    assert_eq!(versions(&host)?, before);
    let granted = at_work.run(&[&["patchctl"][..], &now].concat())?.success()?;
    assert!(versions(&host)?.iter().all(|version| version.starts_with("1.1|")), "{}", granted.stdout);
    let reports = at_work.reports()?;
    let run = reports.iter().rev().find_map(|report| report.run.as_ref()).context("no report of a run")?;
    assert_eq!(run.window.as_deref(), Some("granted by root: CVE-2026-1"), "{run:?}");
    Ok(())
}
