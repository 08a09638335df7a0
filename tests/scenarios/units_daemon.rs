//! The daemon in its unit: what it can still do there, what it can't, and who can take the place of its socket.

use anyhow::{Context, Result};
use patchd_tests::agent_host::install_units;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::wait;

/// A root with the units, one package and a fix for it; nothing may be changed.
fn root() -> Result<AptRoot> {
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-plain", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-plain"])?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-plain", "1.1")])?;
    install_units(&root)?;
    Ok(root)
}

/// The daemon's process.
fn process(booted: &Booted<'_>) -> Result<String> {
    wait::until("patchd to be ready", 30, || {
        let state = booted.property("patchd.service", "ActiveState")?;
        Ok((state == "active").then_some(()))
    })
    .with_context(|| booted.journal())?;
    booted.property("patchd.service", "MainPID")
}

/// Runs a shell's line as somebody; whether it succeeded.
fn can(booted: &Booted<'_>, user: &str, line: &str) -> Result<bool> {
    let user = format!("--reuid={user}");
    let words = ["setpriv", &user, "--regid=patchd", "--clear-groups", "sh", "-c", line];
    Ok(patchd_tests::command::finish(&mut booted.command(words))?.code() == Some(0))
}

#[test]
fn nobody_takes_the_place_of_a_socket() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root()?;
    root.run(["useradd", "--system", "--gid", "patchd", "lab-reader"])?;
    let booted = Booted::boot(&root)?;
    process(&booted)?;
    let answers = || Ok::<_, anyhow::Error>(booted.run(["patchctl", "status"]).is_ok());
    assert!(answers()?, "{}", booted.journal());
    let identity = || booted.run(["stat", "-c", "%i %U %a %F", "/run/patchd/executor.sock"]);
    let before = identity()?.stdout;
    // A broken agent, and somebody who may only read.
    let tries = [
        "rm -f /run/patchd/executor.sock",
        "mv -f /run/patchd/executor.sock /run/patchd/control/aside",
        "ln -sf /tmp/theirs /run/patchd/executor.sock",
        "rm -f /run/patchd/patchd.sock",
        "ln -sfn /tmp/theirs /run/patchd/patchd.sock",
        "mv -T /run/patchd/control /run/patchd/aside",
        "mkdir /run/patchd/more",
        "touch /run/patchd/lab",
        "chmod 777 /run/patchd",
    ];
    for user in ["patchd", "lab-reader"] {
        for line in tries {
            assert!(!can(&booted, user, line)?, "{user}: {line}");
        }
    }
    for line in ["touch /run/patchd/control/lab", "rm -f /run/patchd/control/patchd.sock"] {
        assert!(!can(&booted, "lab-reader", line)?, "{line}");
    }
    assert_eq!(identity()?.stdout, before);
    assert!(can(&booted, "lab-reader", "patchctl status")?, "who may read reads");

    // While the agent is stopped its place is nobody's.
    booted.run(["systemctl", "stop", "patchd.service"])?;
    for user in ["patchd", "lab-reader"] {
        for line in ["mkdir /run/patchd/control", "touch /run/patchd/control/patchd.sock"] {
            assert!(!can(&booted, user, line)?, "{user}: {line}");
        }
    }
    assert!(!answers()?);
    booted.run(["systemctl", "start", "patchd.service"])?;
    process(&booted)?;
    assert!(answers()?);

    // A patchd that root starts by hand beside it gives nothing away.
    let by_hand = patchd_tests::command::finish(&mut booted.command(["timeout", "20", "/usr/bin/patchd"]))?;
    assert!(![Some(0), Some(124)].contains(&by_hand.code()), "{by_hand:?}");
    assert_eq!(booted.run(["stat", "-c", "%U %a", "/run/patchd"])?.stdout, "root 755\n");
    assert!(answers()?);
    Ok(())
}
