//! The root helper alone, with the real apt of a disposable root: what it applies, what it refuses, and that it tells
//! what dpkg tells.

use std::fs::File;

use anyhow::{Result, bail};
use patchd_protocol::executor::{MAX_ID, PlanWire, RefusalCode, Reply, TransactionState, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{ALWAYS, Client, apply, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

/// Open for a second of a day.
const NEVER_NOW: &str = "[clock]\nrequire_synchronised = false\n\
                         [[window]]\nname = \"short\"\nschedule = \"daily 00:00 +2m\"\ncutoff = \"119s\"\n";

#[track_caller]
fn check_refused(reply: &Reply, expected: RefusalCode, part: &str) {
    assert!(
        matches!(reply, Reply::Refused(refusal) if refusal.code == expected && refusal.message.contains(part)),
        "{reply:?}"
    );
}

/// The names of the packages that a refusal blames.
fn blamed(reply: &Reply) -> Vec<&str> {
    match reply {
        Reply::Refused(refusal) => refusal.blamed.iter().map(|package| package.name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// A root with `app` (which needs `library`, so that is automatic), `doc`, `conffile` and `broken` at 1.0, and their
/// updates on sale.
fn root_with_updates() -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    let repository = LocalRepository::create(&root)?;
    let settings = |text: &str| ("/etc/lab-conffile.conf", format!("{text}\n"));
    let conffile = |version: &str| {
        let (path, content) = settings(version);
        ToyPackage::new("lab-conffile", version).conffile(path, &content)
    };
    repository.publish(
        Suite::Release,
        &[
            ToyPackage::new("lab-app", "1.0").field("Depends: lab-library"),
            ToyPackage::new("lab-library", "1.0"),
            ToyPackage::new("lab-doc", "1.0").architecture_independent(),
            conffile("1.0"),
            ToyPackage::new("lab-broken", "1.0"),
        ],
    )?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-app", "lab-doc", "lab-conffile", "lab-broken"])?;
    root.write("/etc/lab-conffile.conf", "edited\n")?;
    repository.publish(
        Suite::Security,
        &[
            ToyPackage::new("lab-app", "1:1.1~rc1").field("Depends: lab-library (>= 1.1), lab-new"),
            ToyPackage::new("lab-library", "1.1"),
            ToyPackage::new("lab-new", "1.1"),
            ToyPackage::new("lab-doc", "1.1").architecture_independent(),
            conffile("1.1"),
            ToyPackage::new("lab-broken", "1.1").script("postinst", "exit 1"),
        ],
    )?;
    Ok((root, repository))
}

#[test]
fn the_real_apt_carries_a_plan_out_and_the_same_id_is_answered_from_the_record() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_updates()?;
    let mut client = Client::start(&root)?;
    let Reply::Refreshed(refresh) = client.ask(Verb::Refresh { transaction: "r.refresh".into() })? else {
        bail!("not refreshed")
    };
    assert_eq!((refresh.exit_code, refresh.failures), (Some(0), vec![]), "{:?}", refresh.output_tail);

    let asked = plan([
        change("lab-app", Some("1.0"), "1:1.1~rc1"),
        change("lab-doc", Some("1.0"), "1.1"),
        change("lab-conffile", Some("1.0"), "1.1"),
    ])?;
    check_refused(
        &client.apply("r.0", &asked)?,
        RefusalCode::PlanDiffers,
        "simulated but not planned: lab-library",
    );
    let Reply::Simulated(simulated) = client.ask(Verb::Simulate { plan: asked })? else {
        bail!("not simulated")
    };
    assert_eq!((simulated.removals, simulated.refusal), (vec![], None));
    let expected = plan([
        change("lab-app", Some("1.0"), "1:1.1~rc1"),
        change("lab-conffile", Some("1.0"), "1.1"),
        change("lab-doc", Some("1.0"), "1.1"),
        change("lab-library", Some("1.0"), "1.1"),
        change("lab-new", None, "1.1"),
    ])?;
    let settled = PlanWire { changes: simulated.changes, removals: vec![] };
    assert_eq!(settled, expected);

    let record = done(client.apply("r.apply", &settled)?)?;
    assert_eq!(
        (record.state, record.exit_code),
        (TransactionState::Ended, Some(0)),
        "{:?}",
        record.output_tail
    );
    assert!(record.changes.iter().all(|change| change.done), "{:?}", record.changes);
    for change in &settled.changes {
        assert_eq!(root.dpkg(&change.name)?, format!("{}|install ok installed", change.to));
    }
    assert_eq!(root.read("/etc/lab-conffile.conf")?, "edited\n");
    let automatic =
        root.run(["apt-mark", "showauto", "lab-app", "lab-library", "lab-new", "lab-doc"])?.stdout;
    assert_eq!(automatic.lines().collect::<Vec<_>>(), ["lab-library", "lab-new"]);

    // Another executor, as after a restart: the record answers, and apt's own history has one entry for it.
    client.end()?;
    let mut client = Client::start(&root)?;
    assert_eq!(done(client.apply("r.apply", &settled)?)?, record);
    assert_eq!(client.recall("r.apply", 60)?, record);
    client.end()?;
    let history = root.read("/var/log/apt/history.log")?;
    assert_eq!(history.matches("lab-app=1:1.1~rc1").count(), 1, "{history}");
    Ok(())
}

#[test]
fn a_package_that_fails_is_told_from_those_that_are_done() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_updates()?;
    root.run(["apt-get", "update"])?;
    let mut client = Client::start(&root)?;
    let plan = plan([change("lab-broken", Some("1.0"), "1.1"), change("lab-doc", Some("1.0"), "1.1")])?;
    let record = done(client.apply("r.apply", &plan)?)?;
    client.end()?;
    assert_eq!(record.exit_code, Some(100));
    let told: Vec<_> = record
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.after.as_deref(), change.done))
        .collect();
    assert_eq!(told, [("lab-broken", Some("1.1"), false), ("lab-doc", Some("1.1"), true)]);
    assert_eq!(root.dpkg("lab-broken")?, "1.1|install ok half-configured");
    Ok(())
}

#[test]
fn what_policy_forbids_leaves_the_host_as_it_was() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with_updates()?;
    root.run(["apt-get", "update"])?;
    let doc = plan([change("lab-doc", Some("1.0"), "1.1")])?;
    let mut client = Client::start(&root)?;

    root.write("/etc/patchd/patchd.toml", "")?;
    check_refused(&client.apply("r.1", &doc)?, RefusalCode::NoWindow, "no window");
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    check_refused(&client.apply("r.1", &doc)?, RefusalCode::OutsideWindow, "the next is \"short\"");
    root.write("/etc/patchd/patchd.toml", ALWAYS)?;
    root.run(["chown", "patchd", "/etc/patchd"])?;
    check_refused(&client.apply("r.1", &doc)?, RefusalCode::Policy, "chown 0 /etc/patchd");
    root.run(["chown", "root", "/etc/patchd"])?;

    root.run(["apt-mark", "hold", "lab-doc"])?;
    let held = client.apply("r.1", &doc)?;
    check_refused(&held, RefusalCode::PlanDiffers, "lab-doc:all is held");
    assert_eq!(blamed(&held), ["lab-doc"]);
    root.run(["apt-mark", "unhold", "lab-doc"])?;

    let conflict =
        ToyPackage::new("lab-doc", "1.2").architecture_independent().field("Conflicts: lab-broken");
    repository.publish(Suite::Security, &[conflict])?;
    root.run(["apt-get", "update"])?;
    let removing = plan([change("lab-doc", Some("1.0"), "1.2")])?;
    check_refused(&client.apply("r.1", &removing)?, RefusalCode::PlanDiffers, "remove is disabled");

    let long = "a".repeat(MAX_ID + 1);
    check_refused(&client.apply(&long, &doc)?, RefusalCode::Malformed, "is no id");
    client.end()?;
    assert_eq!(root.dpkg("lab-doc")?, "1.0|install ok installed");
    assert_eq!(root.dpkg("lab-broken")?, "1.0|install ok installed");
    Ok(())
}

/// docs/accidents.md, row 34: a mirror that is half way through its own update has another file than its index says.
#[test]
fn an_archive_that_is_not_what_the_index_says_is_named_before_anything_changes() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_updates()?;
    root.run(["apt-get", "update"])?;
    let pool = root.at("/srv/repo/pool/lab-security/lab-doc_1.1_all.deb");
    let length = pool.metadata()?.len();
    root.write("/srv/repo/pool/lab-security/lab-doc_1.1_all.deb", "x".repeat(usize::try_from(length)?))?;
    let mut client = Client::start(&root)?;
    let both = plan([change("lab-doc", Some("1.0"), "1.1"), change("lab-conffile", Some("1.0"), "1.1")])?;
    let reply = client.apply("r.apply", &both)?;
    check_refused(&reply, RefusalCode::Download, "Hash Sum mismatch");
    assert_eq!(blamed(&reply), ["lab-doc"]);
    assert_eq!(root.dpkg("lab-conffile")?, "1.0|install ok installed");

    // Without it, the rest goes.
    let rest = plan([change("lab-conffile", Some("1.0"), "1.1")])?;
    assert!(done(client.apply("r.rest", &rest)?)?.changes.iter().all(|change| change.done));
    client.end()
}

/// docs/accidents.md, row 35.
#[test]
fn archives_that_are_gone_are_noticed_before_anything_changes() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_updates()?;
    root.run(["apt-get", "update"])?;
    std::fs::remove_dir_all(root.at("/srv/repo/pool/lab-security"))?;
    let mut client = Client::start(&root)?;
    let both = plan([change("lab-doc", Some("1.0"), "1.1"), change("lab-broken", Some("1.0"), "1.1")])?;
    let reply = client.apply("r.apply", &both)?;
    check_refused(&reply, RefusalCode::Download, "nothing was changed");
    assert_eq!(blamed(&reply), ["lab-broken", "lab-doc"]);
    let failed = client.ask(Verb::Refresh { transaction: "r.refresh".into() })?;
    assert!(matches!(&failed, Reply::Refreshed(refresh) if refresh.failures.is_empty()), "{failed:?}");
    std::fs::remove_dir_all(root.at("/srv/repo/dists/lab-security"))?;
    let failed = client.ask(Verb::Refresh { transaction: "r.refresh".into() })?;
    assert!(
        matches!(&failed, Reply::Refreshed(refresh) if refresh.failures.iter().any(|line| line.contains("lab-security"))),
        "{failed:?}"
    );
    client.end()?;
    assert_eq!(root.dpkg("lab-doc")?, "1.0|install ok installed");
    Ok(())
}

#[test]
fn an_executor_that_is_killed_leaves_apt_to_finish_and_its_successor_tells() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with_updates()?;
    // The installation waits until the test has killed the executor: a pipe that the test opens for writing later.
    let slow = ToyPackage::new("lab-doc", "1.1")
        .architecture_independent()
        .script("postinst", "echo reached >/reached; cat /gate >/dev/null");
    repository.publish(Suite::Security, &[slow])?;
    root.run(["apt-get", "update"])?;
    for pipe in ["/reached", "/gate"] {
        nix::unistd::mkfifo(&root.at(pipe), nix::sys::stat::Mode::S_IRWXU)?;
    }
    let doc = plan([change("lab-doc", Some("1.0"), "1.1")])?;
    let mut client = Client::start(&root)?;
    client.send(apply("r.apply", &doc)?)?;
    assert_eq!(root.read("/reached")?, "reached\n");
    client.kill()?;

    // apt is still at work: the successor doesn't start a second one, and doesn't call the first one dead.
    let mut successor = Client::start(&root)?;
    assert_eq!(successor.recall("r.apply", 0)?.state, TransactionState::Running);
    check_refused(&successor.apply("r.apply", &doc)?, RefusalCode::Busy, "is running");

    successor.send(Verb::Recall { transaction: "r.apply".into(), wait_seconds: 60 })?;
    drop(File::options().write(true).open(root.at("/gate"))?);
    let Reply::Recalled(Some(record)) = successor.receive()? else { bail!("not recalled") };
    assert_eq!((record.state, record.ended_at), (TransactionState::Interrupted, None));
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    assert_eq!(done(successor.apply("r.apply", &doc)?)?, record);
    successor.end()?;
    assert_eq!(root.dpkg("lab-doc")?, "1.1|install ok installed");
    Ok(())
}
