//! What the root helper tells while apt works, and what its record keeps of it: progress, each failed package's own
//! words, times, what was fetched, and the archives that a repair would need.

use std::os::unix::fs::{MetadataExt, symlink};

use anyhow::{Context, Result};
use patchd_protocol::executor::{ProgressWire, Reply, TransactionRecord, TransactionState, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{Client, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage, architecture};

/// A root in which these packages are installed at 1.0, and their updates to 1.1 on sale and known.
fn root_with(updates: &[ToyPackage]) -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    let repository = LocalRepository::create(&root)?;
    let names: Vec<&str> = updates.iter().map(ToyPackage::name).collect();
    let old: Vec<_> = names.iter().map(|name| ToyPackage::new(name, "1.0")).collect();
    repository.publish(Suite::Release, &old)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].iter().chain(&names))?;
    repository.publish(Suite::Security, updates)?;
    root.run(["apt-get", "update"])?;
    Ok((root, repository))
}

/// Upgrades these from 1.0 to 1.1.
fn upgrade<const N: usize>(client: &mut Client, id: &str, names: [&str; N]) -> Result<TransactionRecord> {
    done(client.apply(id, &plan(names.map(|name| change(name, Some("1.0"), "1.1")))?)?)
}

/// The name of the archive of an update.
fn archive(name: &str) -> Result<String> {
    Ok(format!("{name}_1.1_{}.deb", architecture()?))
}

/// The names of the archives that are kept of a transaction.
fn kept(root: &AptRoot, id: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root.at(&format!("/var/lib/patchd-executor/archives/{id}")));
    let mut names: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into())
        .collect();
    names.sort();
    names
}

/// docs/accidents.md, rows 27 and 64: what failed is told by the package manager's own signals, with the script's own words.
#[test]
fn progress_times_and_the_words_of_each_failure_are_told() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with(&[
        ToyPackage::new("lab-app", "1.1"),
        ToyPackage::new("lab-broken", "1.1")
            .script("postinst", "echo reading the key\necho no such key >&2\nexit 7"),
    ])?;
    let mut client = Client::start(&root)?;
    let refreshed = client.ask(Verb::Refresh { transaction: "r.refresh".into() })?;
    assert!(matches!(refreshed, Reply::Refreshed(_)), "{refreshed:?}");
    client.progress.clear();
    let record = upgrade(&mut client, "r.apply", ["lab-app", "lab-broken"])?;
    let progress = client.progress.clone();
    client.end()?;

    assert_eq!((record.state, record.exit_code), (TransactionState::Ended, Some(100)));
    let failure = record.failures.first().context("no failure is told")?;
    assert_eq!((record.failures.len(), failure.name.as_str()), (1, "lab-broken"));
    assert!(failure.message.contains("post-installation script subprocess returned error exit status 7"));
    assert_eq!(failure.output, ["reading the key", "no such key"]);
    assert_eq!(
        record.database,
        [format!("lab-broken:{}: its configuration was cut or failed", architecture()?)]
    );
    let timed: Vec<_> = record.timings.iter().map(|timing| timing.name.as_str()).collect();
    assert_eq!(timed, ["lab-app", "lab-broken"]);
    assert!(record.timings.iter().any(|timing| 0 < timing.milliseconds), "{:?}", record.timings);
    let fetched = record.download.context("nothing was fetched")?;
    let mut bytes = 0;
    for name in ["lab-app", "lab-broken"] {
        bytes += root.at(&format!("/var/cache/apt/archives/{}", archive(name)?)).metadata()?.len();
    }
    assert_eq!(fetched.bytes, bytes);

    let is_package = |wanted: &str, doing: &str| {
        progress.iter().any(|progress| {
            matches!(progress, ProgressWire::Package { name, action, permille }
                if name == wanted && action == doing && *permille <= 1000)
        })
    };
    assert!(is_package("lab-app", "Unpacking") && is_package("lab-broken", "Configuring"), "{progress:?}");
    let full = |progress: &ProgressWire| matches!(progress, ProgressWire::Download { permille: 1000, .. });
    assert!(progress.iter().any(full), "{progress:?}");
    Ok(())
}

#[test]
fn archives_are_kept_until_every_package_is_sound() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with(&[
        ToyPackage::new("lab-app", "1.1"),
        ToyPackage::new("lab-broken", "1.1").script("postinst", "test -e /mended"),
        ToyPackage::new("lab-fine", "1.1"),
    ])?;
    let mut client = Client::start(&root)?;
    // Only what a repair could need is kept.
    upgrade(&mut client, "r.1", ["lab-broken", "lab-fine"])?;
    assert_eq!(kept(&root, "r.1"), [archive("lab-broken")?]);
    root.write("/mended", "")?;
    let record = upgrade(&mut client, "r.2", ["lab-app"])?;
    client.end()?;
    assert_eq!((record.database, record.failures), (vec![], vec![]));
    assert_eq!((kept(&root, "r.1"), kept(&root, "r.2")), (vec![], vec![]));
    Ok(())
}

/// docs/accidents.md, row 24: a package that prints without end fills no disk.
#[test]
fn output_without_end_and_a_status_line_with_garbage_do_no_harm() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    // The status file belongs to root, and so does the script: it is not kept from writing there, it is only not believed.
    let garbage = "printf 'pmerror:lab-other:\\377\\n\\n:::\\npmstatus:x:nan:y\\npmerror:lab-forged:50.0:forged' \
                   >>/var/lib/patchd-executor/transactions/r.apply.status";
    let endless = "head -c 100000000 /dev/zero | tr '\\0' x; yes endless | head -c 100000000; echo the end";
    let (root, _repository) =
        root_with(
            &[ToyPackage::new("lab-loud", "1.1").script("postinst", &format!("{garbage}\n{endless}"))],
        )?;
    let mut client = Client::start(&root)?;
    let record = upgrade(&mut client, "r.apply", ["lab-loud"])?;
    client.end()?;
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    assert_eq!(record.output_tail.last().map(String::as_str), Some("the end"));
    assert!(record.output_tail.iter().all(|line| line.len() <= 500));
    let log = root.at("/var/lib/patchd-executor/transactions/r.apply.log").metadata()?;
    assert!(200_000_000 < log.len() && log.blocks() * 512 < 10_000_000, "{} blocks", log.blocks());
    Ok(())
}

#[test]
fn a_log_that_is_a_link_is_refused_and_not_followed() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with(&[ToyPackage::new("lab-app", "1.1")])?;
    root.write("/etc/precious", "precious\n")?;
    let mut client = Client::start(&root)?;
    assert!(matches!(client.ask(Verb::ReadBack { packages: vec![] })?, Reply::ReadBack { .. }));
    for (id, part) in [("r.1", "log"), ("r.2", "status")] {
        symlink("/etc/precious", root.at(&format!("/var/lib/patchd-executor/transactions/{id}.{part}")))?;
        let reply = client.apply(id, &plan([change("lab-app", Some("1.0"), "1.1")])?)?;
        assert!(matches!(reply, Reply::Failed { .. }), "{reply:?}");
    }
    client.end()?;
    assert_eq!(root.read("/etc/precious")?, "precious\n");
    assert_eq!(root.dpkg("lab-app")?, "1.0|install ok installed");
    Ok(())
}
