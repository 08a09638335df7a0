//! The plan that was shown is the plan that runs: removals and downgrades only where root's policy names them, and
//! nothing that apt would do by itself, also if the world changes under a plan's hands.

use anyhow::{Result, bail};
use patchd_protocol::executor::{PackageWire, PlanWire, ProgressWire, RefusalCode, Reply, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{
    ALWAYS, Client, apply, change, done, hold_lock, plan, root_with_executor,
};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage, architecture};

/// A root with `lab-app` at 1.0, `lab-old`, which its 1.1 conflicts with, and `lab-down` at a version that is on sale no
/// more.
fn root_with_conflict() -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    let repository = LocalRepository::create(&root)?;
    let packages = [("lab-app", "1.0"), ("lab-old", "1.0"), ("lab-down", "2.0")];
    repository.publish(Suite::Release, &packages.map(|(name, version)| ToyPackage::new(name, version)))?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(packages.map(|(name, _)| name)))?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-down", "1.0")])?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-app", "1.1").field("Conflicts: lab-old")])?;
    root.run(["apt-get", "update"])?;
    Ok((root, repository))
}

fn blames(reply: &Reply, expected: RefusalCode, names: &[&str]) -> bool {
    let Reply::Refused(refusal) = reply else { return false };
    let blamed: Vec<_> = refusal.blamed.iter().map(|package| package.name.as_str()).collect();
    refusal.code == expected && blamed == names
}

#[test]
fn what_goes_away_or_down_is_shown_and_done_only_where_policy_names_it() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_conflict()?;
    let mut client = Client::start(&root)?;
    let asked = plan([change("lab-app", Some("1.0"), "1.1"), change("lab-down", Some("2.0"), "1.0")])?;
    let Reply::Simulated(simulated) = client.ask(Verb::Simulate { plan: asked.clone() })? else {
        bail!("not simulated")
    };
    let old = PackageWire { name: "lab-old".into(), architecture: architecture()? };
    assert_eq!((simulated.refusal, &simulated.removals), (None, &vec![old.clone()]));
    assert_eq!(simulated.changes, asked.changes);

    let whole = PlanWire { removals: vec![old], ..asked };
    let reply = client.apply("r.1", &whole)?;
    assert!(blames(&reply, RefusalCode::NotAllowed, &["lab-down", "lab-old"]), "{reply:?}");
    let silent = plan([change("lab-app", Some("1.0"), "1.1")])?;
    let reply = client.apply("r.2", &silent)?;
    assert!(blames(&reply, RefusalCode::PlanDiffers, &[]), "{reply:?}");
    assert_eq!(root.dpkg("lab-old")?, "1.0|install ok installed");

    let named = "[apply]\nallow_removal = [\"lab-o*\"]\nallow_downgrade = [\"lab-down\"]\n";
    root.write("/etc/patchd/patchd.toml", format!("{named}{ALWAYS}"))?;
    let reply = client.apply("r.3", &silent)?;
    assert!(blames(&reply, RefusalCode::PlanDiffers, &[]), "{reply:?}");
    let record = done(client.apply("r.4", &whole)?)?;
    client.end()?;
    let told: Vec<_> = record
        .changes
        .iter()
        .map(|change| (change.name.as_str(), change.planned.as_deref(), change.after.as_deref(), change.done))
        .collect();
    let expected = [
        ("lab-app", Some("1.1"), Some("1.1"), true),
        ("lab-down", Some("1.0"), Some("1.0"), true),
        ("lab-old", None, None, true),
    ];
    assert_eq!(told, expected, "{:?}", record.output_tail);
    assert_eq!(root.dpkg("lab-old")?, "|unknown ok not-installed");
    Ok(())
}

/// docs/accidents.md, rows 25 and 27: between the dry run and the real one the sources change, and the very same version now
/// brings another package along.
#[test]
fn what_apt_would_do_at_the_last_moment_is_held_against_the_plan() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with_conflict()?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-app", "1.1")])?;
    root.run(["apt-get", "update"])?;
    let app = plan([change("lab-app", Some("1.0"), "1.1")])?;
    let mut client = Client::start(&root)?;
    let held = hold_lock(&root, "/var/cache/apt/archives/lock")?;
    client.send(apply("r.1", &app)?)?;
    let is_waiting = |progress: &ProgressWire| matches!(progress, ProgressWire::Waiting { .. });
    client.until("a wait after the dry run", is_waiting)?;
    let stranger = ToyPackage::new("lab-app", "1.1").field("Depends: lab-stranger");
    repository.publish(Suite::Security, &[stranger, ToyPackage::new("lab-stranger", "1.0")])?;
    root.run(["apt-get", "update"])?;
    drop(held);

    let record = done(client.receive()?)?;
    assert_eq!(record.exit_code, Some(100), "{record:?}");
    assert!(record.changes.iter().all(|change| !change.done), "{record:?}");
    let is_told = |line: &String| line.contains("not the plan") && line.contains("lab-stranger");
    assert!(record.output_tail.iter().any(is_told), "{:?}", record.output_tail);
    assert_eq!(
        (root.dpkg("lab-app")?.as_str(), root.dpkg("lab-stranger")?.as_str()),
        ("1.0|install ok installed", "")
    );
    assert_eq!(record.database, Vec::<String>::new());
    client.end()
}

/// A client that hangs up while somebody else is waited for wants nothing any more.
#[test]
fn an_order_that_waits_is_dropped_with_its_client() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_conflict()?;
    let held = hold_lock(&root, "/var/lib/dpkg/lock-frontend")?;
    let mut client = Client::start(&root)?;
    client.send(apply("r.1", &plan([change("lab-down", Some("2.0"), "2.1")])?)?)?;
    let is_waiting = |progress: &ProgressWire| matches!(progress, ProgressWire::Waiting { .. });
    client.until("a wait", is_waiting)?;
    client.end()?;
    drop(held);
    let mut client = Client::start(&root)?;
    assert_eq!(
        client.ask(Verb::Recall { transaction: "r.1".into(), wait_seconds: 0 })?,
        Reply::Recalled(None)
    );
    client.end()
}
