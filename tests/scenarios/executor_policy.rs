//! On whose word the root helper changes packages: windows, freezes, the clock and grants, with the real apt.

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use patchd_core::plan::Plan;
use patchd_protocol::executor::{PlanWire, RefusalCode, Reply, Verb, digest};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{ALWAYS, Client, apply, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

/// Open for a second of a day.
const NEVER_NOW: &str = "[clock]\nrequire_synchronised = false\n\
                         [[window]]\nname = \"short\"\nschedule = \"daily 00:00 +2m\"\ncutoff = \"119s\"\n";

/// A freeze that lasts as long as anybody looks.
const FROZEN: &str = "[[freeze]]\nname = \"trade\"\nfrom = 2020-01-01T00:00:00Z\nuntil = 2120-01-01T00:00:00Z\n\
                      reason = \"trade fair\"\n";

/// A root that shows processes, with `lab-a` and `lab-b` at 1.0 and 1.1 on sale.
fn root_with_two() -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    mount(Some("proc"), &root.at("/proc"), Some("proc"), MsFlags::empty(), None::<&str>)
        .context("mounting /proc in a root")?;
    let repository = LocalRepository::create(&root)?;
    let both = |version: &str| ["lab-a", "lab-b"].map(|name| ToyPackage::new(name, version));
    repository.publish(Suite::Release, &both("1.0"))?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-a", "lab-b"])?;
    repository.publish(Suite::Security, &both("1.1"))?;
    root.run(["apt-get", "update"])?;
    Ok((root, repository))
}

fn digest_of(plan: &PlanWire) -> Result<String> {
    Ok(digest(&Plan::try_from(plan)?))
}

/// An order that says that it rests on the grant for another plan.
fn apply_by_grant(id: &str, part: &PlanWire, granted: &str) -> Result<Verb> {
    match apply(id, part)? {
        Verb::Apply { transaction, plan, digest, estimate_seconds, grant: _ } => {
            let grant = Some(granted.to_owned());
            Ok(Verb::Apply { transaction, plan, digest, estimate_seconds, grant })
        }
        other => bail!("{other:?}"),
    }
}

#[track_caller]
fn check_refused(reply: &Reply, expected: RefusalCode, part: &str) {
    assert!(
        matches!(reply, Reply::Refused(refusal) if refusal.code == expected && refusal.message.contains(part)),
        "{reply:?}"
    );
}

/// Whatever is open: a freeze shuts it, and so does a clock that nobody keeps (docs/accidents.md, row 31).
#[test]
fn a_freeze_and_a_clock_that_nobody_keeps_shut_an_open_window() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_two()?;
    let one = plan([change("lab-a", Some("1.0"), "1.1")])?;
    let mut client = Client::start(&root)?;
    root.write("/etc/patchd/patchd.toml", format!("{ALWAYS}{FROZEN}"))?;
    check_refused(&client.apply("r.1", &one)?, RefusalCode::Frozen, "trade fair");
    let Reply::Observed(observed) = client.ask(Verb::Observe { digest: None })? else {
        bail!("not observed")
    };
    assert!(observed.filesystems.iter().any(|one| one.uses.contains(&"archives".to_owned())), "{observed:?}");
    assert_eq!((observed.lock_holder, observed.database), (None, vec![]));
    if observed.clock != patchd_protocol::executor::ClockWire::Synchronised {
        root.write("/etc/patchd/patchd.toml", ALWAYS.replace("require_synchronised = false", ""))?;
        check_refused(&client.apply("r.1", &one)?, RefusalCode::Clock, "clock.require_synchronised");
    }
    client.end()?;
    assert_eq!(root.dpkg("lab-a")?, "1.0|install ok installed");
    Ok(())
}

#[test]
fn a_grant_of_roots_carries_its_plan_and_parts_of_it_outside_of_every_window() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with_two()?;
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    let (one, other) = (change("lab-a", Some("1.0"), "1.1")?, change("lab-b", Some("1.0"), "1.1")?);
    let granted = plan([Ok(one.clone())])?;
    let digest = digest_of(&granted)?;
    let mut client = Client::start(&root)?;
    check_refused(
        &client.ask(apply_by_grant("r.1", &granted, &digest)?)?,
        RefusalCode::NoGrant,
        "no grant in force",
    );
    let grant =
        Verb::Grant { plan: granted.clone(), digest: digest.clone(), reason: "a hole".into(), seconds: 600 };
    let Reply::Granted { .. } = client.ask(grant)? else { bail!("not granted") };
    let both = plan([Ok(one), Ok(other)])?;
    check_refused(&client.ask(apply_by_grant("r.1", &both, &digest)?)?, RefusalCode::NoGrant, "another plan");
    check_refused(&client.apply("r.1", &granted)?, RefusalCode::OutsideWindow, "no window is open");
    root.write("/etc/patchd/patchd.toml", format!("{NEVER_NOW}{FROZEN}"))?;
    check_refused(&client.ask(apply_by_grant("r.1", &granted, &digest)?)?, RefusalCode::Frozen, "trade fair");
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    let record = done(client.ask(apply_by_grant("r.1", &granted, &digest)?)?)?;
    assert_eq!(record.permission, "granted by root: a hole");
    client.end()?;
    assert_eq!(root.dpkg("lab-a")?, "1.1|install ok installed");
    assert_eq!(root.dpkg("lab-b")?, "1.0|install ok installed");
    Ok(())
}
