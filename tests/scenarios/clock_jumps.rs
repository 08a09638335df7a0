//! A clock that is set under the running programs: patchd and the executor, with a clock that the tests move. What nobody
//! asked for is not begun, those who ask are told why, and it goes on when the clock can be believed again.
//!
//! Rows are those of docs/accidents.md.

use anyhow::{Context, Result};
use patchd_protocol::control::clock::ClockState;
use patchd_protocol::control::{RunOutcome, RunSummary, RunTrigger, StatusDocument, WindowVerdict};
use patchd_protocol::report::native::OperationWire;
use patchd_tests::agent_host::AgentHost;
use patchd_tests::clock::LabClock;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::ToyPackage;
use patchd_tests::story;
use patchd_tests::supervised::Supervised;

/// Two hours of every night, on a clock that somebody keeps right.
const NIGHT: &str = "[[window]]\nname = \"night\"\nschedule = \"daily 03:00 +2h\"\n";

/// How often the agent is made to look at its clock before the test says that it began nothing.
const LOOKS: usize = 25;

fn host() -> Result<AgentHost> {
    let host = AgentHost::build(&[ToyPackage::new("lab-0", "1.0")])?;
    host.root.write("/etc/patchd/patchd.toml", NIGHT)?;
    Ok(host)
}

/// Starts patchd on a host with one fix due, on a clock that is believed.
fn settle(host: &AgentHost, at_work: &mut Supervised<'_>) -> Result<()> {
    at_work.set_clock();
    story::settle(at_work)?;
    host.publish_fixes(&[ToyPackage::new("lab-0", "1.1")])?;
    at_work.until("a clock that is believed", 60, |host| {
        Ok((host.status()?.clock.state == ClockState::Synchronised).then_some(()))
    })
}

/// The open window is no reason to begin anything, since the clock says so; who asks is told.
#[track_caller]
fn check_nothing_is_done(at_work: &mut Supervised<'_>, because: &str) -> Result<()> {
    let status = at_work.until("the clock not to be believed", 60, |host| {
        let status = host.status()?;
        Ok((status.clock.state == ClockState::Distrusted).then_some(status))
    })?;
    assert_eq!(status.window.verdict, WindowVerdict::Open, "{status:?}");
    assert!(untrusted(&status)?.contains(because), "{status:?}");
    let shown = at_work.run(&["patchctl", "status"])?.stdout;
    assert!(shown.contains("Clock      not believed: nothing is changed unattended"), "{shown}");

    let before = at_work.runs()?.len();
    for _ in 0..LOOKS {
        assert_eq!(at_work.status()?.running, None);
        at_work.tend()?;
    }
    assert_eq!(at_work.runs()?.len(), before, "something was begun");

    let told = story::apply(at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    let document = at_work.run_document(&told.summary.id)?;
    let gate = document.gates.iter().find(|gate| gate.code == "clock_untrusted");
    assert!(gate.context("the clock's gate is open")?.detail.contains(because), "{:?}", document.gates);
    let said = format!("{:?}", told.run()?);
    assert!(said.contains("the clock can't be trusted") && said.contains(because), "{said}");
    assert_eq!(told.transactions()?, 0, "{said}");
    assert_eq!(at_work.root().dpkg("lab-0")?, "1.0|install ok installed");
    Ok(())
}

fn untrusted(status: &StatusDocument) -> Result<&str> {
    let gate = status.gates.iter().find(|gate| gate.code == "clock_untrusted");
    Ok(&gate.context("the clock's gate is open")?.detail)
}

/// The scheduler goes on by itself.
fn check_it_goes_on(at_work: &mut Supervised<'_>) -> Result<()> {
    at_work.until("the scheduler's apply", 120, |host| {
        // Whoever asks the agent has it look at its clock; by itself it does so once a minute.
        host.status()?;
        let runs = host.runs()?;
        let is_it = |run: &RunSummary| {
            (run.operation, &run.trigger) == (OperationWire::Apply, &RunTrigger::Schedule)
                && run.verdict == Some(RunOutcome::Succeeded)
        };
        Ok(runs.iter().any(is_it).then_some(()))
    })?;
    assert_eq!(at_work.root().dpkg("lab-0")?, "1.1|install ok installed");
    Ok(())
}

/// Somebody sets the clock forward, into the night's window (row 31).
#[test]
fn a_clock_that_jumps_into_a_window_changes_nothing_until_it_is_steady() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host()?;
    let mut clock = LabClock::at(&host.root, 0, 50)?;
    let mut at_work = Supervised::start(&host.root)?;
    settle(&host, &mut at_work)?;
    clock.set(160)?;
    check_nothing_is_done(&mut at_work, "it was set forward by ")?;
    clock.pass(11)?;
    check_it_goes_on(&mut at_work)
}

/// In the middle of a window the clock is set back, into the one of the night before: what it showed is written down, and
/// that it is right now somebody must say (row 31).
#[test]
fn a_clock_that_jumps_back_within_a_window_waits_for_the_kernels_word() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = host()?;
    let mut clock = LabClock::at(&host.root, 2, 50)?;
    let mut at_work = Supervised::start(&host.root)?;
    settle(&host, &mut at_work)?;
    clock.keep(false)?;
    clock.pass_and_set(60, -24 * 60 - 30)?;
    check_nothing_is_done(&mut at_work, "it was set back by ")?;
    clock.pass(11)?;
    check_nothing_is_done(&mut at_work, "and patchd has written down")?;
    clock.keep(true)?;
    // The kernel's last word is old by now, and it is asked again.
    clock.pass(3)?;
    check_it_goes_on(&mut at_work)
}
