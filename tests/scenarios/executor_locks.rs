//! Who else works on packages, and that the root helper waits for all of them, names them, and gives up in time.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use patchd_protocol::executor::{PlanWire, ProgressWire, RefusalCode, Reply, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{Client, apply, change, done, hold_lock, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

/// A root with `lab-doc` at 1.0 and its update on sale, whose installation says that it is reached and waits.
fn root_with_gate() -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    let repository = LocalRepository::create(&root)?;
    let doc = |version: &str| ToyPackage::new("lab-doc", version).architecture_independent();
    repository.publish(Suite::Release, &[doc("1.0"), ToyPackage::new("lab-app", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-doc", "lab-app"])?;
    let slow = doc("1.1").script("postinst", "echo reached >/reached; cat /gate >/dev/null");
    repository.publish(Suite::Security, &[slow, ToyPackage::new("lab-app", "1.1")])?;
    root.run(["apt-get", "update"])?;
    for pipe in ["/reached", "/gate"] {
        mkfifo(&root.at(pipe), Mode::S_IRWXU)?;
    }
    Ok((root, repository))
}

fn app() -> Result<PlanWire> {
    plan([change("lab-app", Some("1.0"), "1.1")])
}

fn waits_for(client: &mut Client, part: &str) -> Result<()> {
    let is_waiting = |progress: &ProgressWire| matches!(progress, ProgressWire::Waiting { .. });
    match client.until("somebody to wait for", is_waiting)? {
        ProgressWire::Waiting { holder, .. } if holder.contains(part) => Ok(()),
        other => bail!("{part} is not named: {other:?}"),
    }
}

/// docs/accidents.md, row 1: another one's lock is waited for and named; also the two that apt itself does not wait for.
#[test]
fn every_lock_is_waited_for_and_its_holder_named() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_gate()?;
    let mut client = Client::start(&root)?;
    let own = format!("pid {} (", std::process::id());
    let held = hold_lock(&root, "/var/lib/apt/lists/lock")?;
    client.send(Verb::Refresh { transaction: "r.refresh".into() })?;
    waits_for(&mut client, &own)?;
    drop(held);
    assert!(matches!(client.receive()?, Reply::Refreshed(refresh) if refresh.failures.is_empty()));

    let locks = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock"];
    let [frontend, database, archives] = locks.map(|path| hold_lock(&root, path));
    client.send(apply("r.apply", &app()?)?)?;
    for held in [frontend?, database?, archives?] {
        waits_for(&mut client, &own)?;
        drop(held);
    }
    let record = done(client.receive()?)?;
    client.end()?;
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    let note = record.notes.first().context("the wait is not noted")?;
    assert!(note.starts_with("waited ") && note.contains(&own), "{note}");
    Ok(())
}

#[test]
fn a_wait_ends_when_the_window_would_be_too_short() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_gate()?;
    let _held = hold_lock(&root, "/var/lib/dpkg/lock-frontend")?;
    let mut client = Client::start(&root)?;
    let Verb::Apply { transaction, plan, digest, grant, .. } = apply("r.apply", &app()?)? else {
        bail!("no request to apply")
    };
    let endless = Verb::Apply { transaction, plan, digest, grant, estimate_seconds: 7 * 86_400 };
    let reply = client.ask(endless)?;
    client.end()?;
    let own = format!("pid {} (", std::process::id());
    assert!(
        matches!(&reply, Reply::Refused(refusal)
            if refusal.code == RefusalCode::Locked && refusal.message.contains(&own)),
        "{reply:?}"
    );
    assert_eq!(root.dpkg("lab-app")?, "1.0|install ok installed");
    Ok(())
}

/// docs/accidents.md, row 17, and a free lock is no quiet host: dpkg was killed, its script goes on alone and holds no lock.
#[test]
fn a_script_that_lost_its_dpkg_is_waited_for_and_then_a_repair_is_due() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_gate()?;
    let mut apt = root.direct_command(["apt-get", "install", "-y", "lab-doc"]);
    let mut apt =
        apt.stdout(File::create(root.at("/apt.log"))?).stderr(File::create(root.at("/apt.err"))?).spawn()?;
    assert_eq!(root.read("/reached")?, "reached\n");
    let pid = Pid::from_raw(i32::try_from(apt.id())?);
    let dpkg = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let dpkg: i32 = dpkg.split_whitespace().next().context("apt has no dpkg")?.parse()?;
    kill(Pid::from_raw(dpkg), Signal::SIGKILL)?;
    apt.wait()?;

    let mut client = Client::start(&root)?;
    client.send(apply("r.apply", &app()?)?)?;
    waits_for(&mut client, "lab-doc.postinst")?;
    drop(File::options().write(true).open(root.at("/gate"))?);
    let reply = client.receive()?;
    client.end()?;
    assert!(
        matches!(&reply, Reply::Refused(refusal) if refusal.code == RefusalCode::Interrupted),
        "{reply:?}"
    );
    assert_eq!(root.dpkg("lab-app")?, "1.0|install ok installed");
    Ok(())
}

/// apt is killed, and what it started goes on: the outcome is told when nobody works any more, and not before.
#[test]
fn a_killed_apt_is_told_when_its_orphans_are_done() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_gate()?;
    let mut client = Client::start(&root)?;
    client.send(apply("r.apply", &plan([change("lab-doc", Some("1.0"), "1.1")])?)?)?;
    assert_eq!(root.read("/reached")?, "reached\n");
    let executor = client.child.id();
    // Threads of the executor start children: each has a list of its own.
    let mut apt = None;
    for task in std::fs::read_dir(format!("/proc/{executor}/task"))? {
        let children = std::fs::read_to_string(task?.path().join("children"))?;
        apt = apt.or(children.split_whitespace().next().map(str::to_owned));
    }
    kill(Pid::from_raw(apt.context("the executor has no apt")?.parse()?), Signal::SIGKILL)?;
    waits_for(&mut client, "pid ")?;
    drop(File::options().write(true).open(root.at("/gate"))?);
    let record = done(client.receive()?)?;
    client.end()?;
    assert_eq!(record.exit_code, None);
    assert!(
        record.notes.iter().any(|note| note == "the package manager was ended by a signal"),
        "{record:?}"
    );
    let version = record.changes.first().and_then(|change| change.after.as_deref());
    assert_eq!(version, Some("1.1"), "{record:?}");
    Ok(())
}

/// docs/accidents.md, rows 14 and 16: the executor dies, apt goes on, and its successor follows it, tells its end and gives back
/// the marks that naming packages took away (row 23).
#[test]
fn a_successor_follows_what_goes_on_and_puts_marks_right() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_gate()?;
    root.run(["apt-mark", "auto", "lab-doc"])?;
    let doc = plan([change("lab-doc", Some("1.0"), "1.1")])?;
    let mut client = Client::start(&root)?;
    client.send(apply("r.apply", &doc)?)?;
    assert_eq!(root.read("/reached")?, "reached\n");
    client.kill()?;

    let mut successor = Client::start(&root)?;
    successor.send(Verb::Recall { transaction: "r.apply".into(), wait_seconds: 600 })?;
    let is_here =
        |progress: &ProgressWire| matches!(progress, ProgressWire::Package { name, .. } if name == "lab-doc");
    successor.until("where it is", is_here)?;
    drop(File::options().write(true).open(root.at("/gate"))?);
    let Reply::Recalled(Some(record)) = successor.receive()? else { bail!("not recalled") };
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    assert_eq!(record.notes, ["the executor died while this was under way"]);
    let is_installed = |progress: &ProgressWire| matches!(progress, ProgressWire::Package { action, .. } if action == "Installed");
    assert!(successor.progress.iter().any(is_installed), "{:?}", successor.progress);
    successor.end()?;
    assert_eq!(root.run(["apt-mark", "showauto", "lab-doc"])?.stdout, "lab-doc\n");
    Ok(())
}
