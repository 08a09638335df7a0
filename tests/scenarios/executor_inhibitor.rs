//! The shutdown inhibitor with a real logind: held while packages are changed, also by an apt whose executor died, and
//! gone with the last of them.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use patchd_protocol::executor::{Reply, TransactionState, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::executor_client::{Client, apply, change, done, install_executor, plan};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::wait;

fn is_inhibited(booted: &Booted<'_>) -> Result<bool> {
    let list = booted.run(["systemd-inhibit", "--list", "--no-pager", "--no-legend"])?.stdout;
    let is_ours =
        |line: &str| line.starts_with("patchd ") && line.contains("shutdown:sleep") && line.contains("block");
    Ok(list.lines().any(is_ours))
}

/// docs/accidents.md, rows 47 and 48.
#[test]
fn a_shutdown_is_inhibited_as_long_as_apt_works_and_no_longer() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    install_executor(&root)?;
    let repository = LocalRepository::create(&root)?;
    let names = ["lab-one", "lab-two"];
    repository.publish(Suite::Release, &names.map(|name| ToyPackage::new(name, "1.0")))?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(names))?;
    let slow = |name| {
        ToyPackage::new(name, "1.1").script("postinst", "echo reached >/reached; cat /gate >/dev/null")
    };
    repository.publish(Suite::Security, &names.map(slow))?;
    root.run(["apt-get", "update"])?;
    for pipe in ["/reached", "/gate"] {
        mkfifo(&root.at(pipe), Mode::S_IRWXU)?;
    }
    let open_gate = || File::options().write(true).open(root.at("/gate")).map(drop);

    let booted = Booted::boot(&root)?;
    let mut client = Client::start_in(&booted)?;
    assert!(!is_inhibited(&booted)?);
    client.send(apply("r.1", &plan([change("lab-one", Some("1.0"), "1.1")])?)?)?;
    assert_eq!(root.read("/reached")?, "reached\n");
    assert!(is_inhibited(&booted)?, "{}", booted.journal());
    open_gate()?;
    let record = done(client.receive()?)?;
    assert_eq!((record.notes, record.changes.iter().all(|change| change.done)), (vec![], true));
    assert!(!is_inhibited(&booted)?);

    client.send(apply("r.2", &plan([change("lab-two", Some("1.0"), "1.1")])?)?)?;
    assert_eq!(root.read("/reached")?, "reached\n");
    let entered = client.child.id();
    let children = std::fs::read_to_string(format!("/proc/{entered}/task/{entered}/children"))?;
    let executor = children.split_whitespace().next().context("there is no executor")?.parse()?;
    kill(Pid::from_raw(executor), Signal::SIGKILL)?;
    client.child.wait()?;
    assert!(is_inhibited(&booted)?);
    open_gate()?;
    wait::until("the inhibitor to go", 20, || Ok((!is_inhibited(&booted)?).then_some(())))?;
    let mut successor = Client::start_in(&booted)?;
    let recalled = successor.ask(Verb::Recall { transaction: "r.2".into(), wait_seconds: 60 })?;
    let Reply::Recalled(Some(record)) = recalled else { bail!("not recalled: {recalled:?}") };
    assert_eq!(record.state, TransactionState::Interrupted);
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    successor.end()
}
