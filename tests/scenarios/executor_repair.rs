//! What the root helper makes of a package database that was left half way: with the real dpkg and apt of a disposable
//! root, cut in the middle of a maintainer script or damaged as a power cut leaves it.

use std::fs::File;

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patchd_protocol::executor::{
    ObservedWire, ProgressWire, RefusalCode, Reply, TransactionKind, TransactionRecord, TransactionState,
    Verb,
};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{ALWAYS, Client, apply, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::wait::until;

/// Open for a second of a day.
const NEVER_NOW: &str = "[clock]\nrequire_synchronised = false\n\
                         [[window]]\nname = \"short\"\nschedule = \"daily 00:00 +2m\"\ncutoff = \"119s\"\n";

fn repair(id: &str) -> Verb {
    Verb::Repair { transaction: id.into() }
}

fn observe(client: &mut Client) -> Result<ObservedWire> {
    match client.ask(Verb::Observe { digest: None })? {
        Reply::Observed(observed) => Ok(observed),
        other => bail!("not observed: {other:?}"),
    }
}

#[track_caller]
fn check_refused(reply: &Reply, expected: RefusalCode) {
    assert!(matches!(reply, Reply::Refused(refusal) if refusal.code == expected), "{reply:?}");
}

/// Says which processes are at work, and waits for the test to open a gate.
const GATED: &str = "if [ -p /gate ]; then echo $PPID $$ >/reached; cat /gate >/dev/null; fi";

/// A root that shows processes, with packages at 1.0.
fn root_with(names: &[&str]) -> Result<(AptRoot, LocalRepository)> {
    let root = root_with_executor()?;
    mount(Some("proc"), &root.at("/proc"), Some("proc"), MsFlags::empty(), None::<&str>)
        .context("mounting /proc in a root")?;
    let repository = LocalRepository::create(&root)?;
    let packages: Vec<_> = names.iter().map(|name| ToyPackage::new(name, "1.0")).collect();
    repository.publish(Suite::Release, &packages)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].iter().chain(names))?;
    Ok((root, repository))
}

/// Has the executor upgrade `lab-cut`, and when its script is at work kills the executor, apt and dpkg. The script is
/// still at work, and its number is returned.
fn cut(root: &AptRoot, repository: &LocalRepository, script: &'static str) -> Result<Pid> {
    for pipe in ["/reached", "/gate"] {
        nix::unistd::mkfifo(&root.at(pipe), nix::sys::stat::Mode::S_IRWXU)?;
    }
    repository.publish(Suite::Security, &[ToyPackage::new("lab-cut", "1.1").script(script, GATED)])?;
    root.run(["apt-get", "update"])?;
    let mut client = Client::start(root)?;
    client.send(apply("r.cut", &plan([change("lab-cut", Some("1.0"), "1.1")])?)?)?;
    let reached = root.read("/reached")?;
    let pids: Vec<i32> = reached.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [dpkg, script] = pids.as_slice() else { bail!("{reached:?}") };
    let apt = parent(*dpkg)?;
    client.kill()?;
    for process in [apt, *dpkg] {
        end(Pid::from_raw(process))?;
    }
    Ok(Pid::from_raw(*script))
}

/// Kills a process, and waits until it holds nothing any more.
fn end(process: Pid) -> Result<()> {
    kill(process, Signal::SIGKILL)?;
    let status = format!("/proc/{process}/status");
    until(&format!("the end of process {process}"), 30, || {
        let status = std::fs::read_to_string(&status).unwrap_or_default();
        Ok((status.is_empty() || status.contains("State:\tZ")).then_some(()))
    })
}

fn parent(pid: i32) -> Result<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("no parent")?;
    Ok(line.trim().parse()?)
}

/// What `dpkg --audit` says, which is nothing of a whole database.
fn audit(root: &AptRoot) -> Result<String> {
    Ok(root.run(["dpkg", "--audit"])?.stdout)
}

#[track_caller]
fn check_whole(root: &AptRoot, record: &TransactionRecord) {
    assert_eq!((record.kind, record.state), (TransactionKind::Repair, TransactionState::Ended));
    assert_eq!(record.database, Vec::<String>::new(), "{:?} {:?}", record.notes, record.output_tail);
    assert_eq!(record.failures, vec![]);
    assert_eq!(audit(root).ok().as_deref(), Some(""));
}

/// docs/accidents.md, rows 17 and 46: what was cut is repaired first, from kept archives, also when no window is open, and once.
#[test]
fn a_package_that_was_cut_in_its_preinst_comes_back_from_its_kept_archive() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with(&["lab-cut"])?;
    let script = cut(&root, &repository, "preinst")?;
    end(script)?;
    std::fs::remove_file(root.at("/gate"))?;
    // No mirror has it any more, and the next window is far.
    std::fs::remove_dir_all(root.at("/srv/repo/pool"))?;
    root.run(["apt-get", "clean"])?;
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    assert!(audit(&root)?.contains("lab-cut"));

    let mut client = Client::start(&root)?;
    let observed = observe(&mut client)?;
    assert!(
        matches!(observed.database.as_slice(), [journal, package]
            if journal.contains("journal") && package.starts_with("lab-cut:")),
        "{observed:?}"
    );
    let record = done(client.ask(repair("r.repair"))?)?;
    check_whole(&root, &record);
    assert_eq!(record.permission, "the transaction r.cut of patchd's own was not finished");
    assert!(
        record.notes.iter().any(|note| note.contains("kept archives: lab-cut_1.1_")),
        "{:?}",
        record.notes
    );
    assert_eq!(root.dpkg("lab-cut")?, "1.1|install ok installed");
    assert_eq!(observe(&mut client)?.database, Vec::<String>::new());
    // The same id is answered from the record, and another one has no right any more.
    assert_eq!(done(client.ask(repair("r.repair"))?)?, record);
    check_refused(&client.ask(repair("r.again"))?, RefusalCode::OutsideWindow);
    client.end()?;
    assert_eq!(std::fs::read_dir(root.at("/var/lib/patchd-executor/archives"))?.count(), 0);
    Ok(())
}

/// docs/accidents.md, row 17: a script that lost its dpkg holds no lock, and a repair beside it would do harm.
#[test]
fn a_script_that_lives_on_without_a_lock_is_waited_for_by_name() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with(&["lab-cut"])?;
    let script = cut(&root, &repository, "postinst")?;
    let mut client = Client::start(&root)?;
    let holder = observe(&mut client)?.lock_holder.context("nobody is at work")?;
    assert!(holder.starts_with(&format!("pid {script} ")) && holder.contains("lab-cut.postinst"), "{holder}");
    client.send(repair("r.repair"))?;
    client.until("the wait for the script", |progress| {
        matches!(progress, ProgressWire::Waiting { holder, .. } if holder.contains("lab-cut.postinst"))
    })?;
    drop(File::options().write(true).open(root.at("/gate"))?);
    std::fs::remove_file(root.at("/gate"))?;
    let record = done(client.receive()?)?;
    check_whole(&root, &record);
    assert!(record.notes.iter().any(|note| note.starts_with("waited")), "{:?}", record.notes);
    assert_eq!(root.dpkg("lab-cut")?, "1.1|install ok installed");
    client.end()
}

/// docs/accidents.md, row 64: a script that fails again is told with its own words, and not tried for ever.
#[test]
fn a_package_that_fails_again_is_named_with_its_own_words_and_the_others_are_mended() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with(&["lab-bad", "lab-good"])?;
    let bad = "echo once >>/count; echo the disk is on fire; exit 3";
    repository.publish(Suite::Security, &[ToyPackage::new("lab-bad", "1.1").script("postinst", bad)])?;
    root.run(["apt-get", "update"])?;
    let mut client = Client::start(&root)?;
    let applied = done(client.apply("r.apply", &plan([change("lab-bad", Some("1.0"), "1.1")])?)?)?;
    assert!(!applied.database.is_empty(), "{applied:?}");
    damage(&root, "lab-good", "install ok installed", "install ok unpacked")?;

    let record = done(client.ask(repair("r.repair"))?)?;
    assert_eq!((record.state, record.exit_code), (TransactionState::Ended, Some(1)));
    assert!(
        matches!(record.database.as_slice(), [line] if line.starts_with("lab-bad:") && line.contains("configuration")),
        "{:?}",
        record.database
    );
    let [failure] = record.failures.as_slice() else { bail!("{:?}", record.failures) };
    assert_eq!(
        (failure.name.as_str(), failure.output.as_slice()),
        ("lab-bad", &["the disk is on fire".to_owned()][..])
    );
    assert_eq!(root.dpkg("lab-good")?, "1.0|install ok installed");
    assert_eq!(root.read("/count")?.lines().count(), 2, "once for the upgrade and once for the repair");
    client.end()
}

/// Changes a package's state in the database, as a cut leaves it.
fn damage(root: &AptRoot, package: &str, from: &str, to: &str) -> Result<()> {
    let status = root.read("/var/lib/dpkg/status")?;
    let start = status.find(&format!("Package: {package}\n")).context("no such package")?;
    let (before, after) = status.split_at(start);
    let after = after.replacen(&format!("Status: {from}\n"), &format!("Status: {to}\n"), 1);
    root.write("/var/lib/dpkg/status", format!("{before}{after}"))
}

/// docs/accidents.md, row 17, and traps of apt itself: `apt-get -f install` and `dpkg --configure -a` leave such packages as they
/// are, and say that all went well.
#[test]
fn without_kept_archives_the_index_serves_and_only_in_a_window() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with(&["lab-half", "lab-mess", "lab-lost"])?;
    root.run(["apt-mark", "auto", "lab-half"])?;
    for (package, state) in [("lab-half", "ok"), ("lab-mess", "reinstreq")] {
        damage(&root, package, "install ok installed", &format!("install {state} half-installed"))?;
    }
    let mut client = Client::start(&root)?;
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    check_refused(&client.ask(repair("r.shut"))?, RefusalCode::OutsideWindow);
    root.write("/etc/patchd/patchd.toml", ALWAYS)?;
    let record = done(client.ask(repair("r.repair"))?)?;
    check_whole(&root, &record);
    for package in ["lab-half", "lab-mess"] {
        assert_eq!(root.dpkg(package)?, "1.0|install ok installed");
    }
    assert_eq!(
        root.run(["apt-mark", "showauto", "lab-half", "lab-mess"])?.stdout,
        "lab-half\n",
        "marks are kept"
    );
    // What nobody has an archive of is told, and left as it is.
    damage(&root, "lab-lost", "install ok installed", "install reinstreq half-installed")?;
    std::fs::remove_dir_all(root.at("/srv/repo/pool"))?;
    root.run(["apt-get", "clean"])?;
    let record = done(client.ask(repair("r.lost"))?)?;
    assert!(matches!(record.database.as_slice(), [line] if line.starts_with("lab-lost:")), "{record:?}");
    assert_ne!(record.exit_code, Some(0));
    client.end()
}

#[test]
fn a_whole_database_needs_nothing_and_a_left_journal_is_taken_over() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, _repository) = root_with(&["lab-app"])?;
    let mut client = Client::start(&root)?;
    let record = done(client.ask(repair("r.nothing"))?)?;
    check_whole(&root, &record);
    assert_eq!(record.notes, ["nothing was wrong with the package database"]);
    let entry =
        root.run(["dpkg-query", "-s", "lab-app"])?.stdout.replace("ok installed", "ok half-configured");
    root.write("/var/lib/dpkg/updates/0000", entry)?;
    let record = done(client.ask(repair("r.journal"))?)?;
    check_whole(&root, &record);
    assert_eq!(std::fs::read_dir(root.at("/var/lib/dpkg/updates"))?.count(), 0);
    assert_eq!(root.dpkg("lab-app")?, "1.0|install ok installed");
    client.end()
}

/// docs/accidents.md, row 24: no room for the package database in the middle of an upgrade is told, holds nobody up, and is mended
/// as soon as there is room again.
#[test]
fn a_database_that_ran_out_of_room_is_mended_when_there_is_room_again() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let (root, repository) = root_with(&["lab-cut"])?;
    // The room is gone as soon as the package's own script runs, and dpkg can't write down what comes of it.
    let full = "[ -e /filled ] || dd if=/dev/zero of=/var/lib/dpkg/updates/fill bs=4096 2>/dev/null || touch /filled";
    let updates = root.at("/var/lib/dpkg/updates");
    mount(Some("tmpfs"), &updates, Some("tmpfs"), MsFlags::empty(), Some("size=64k,mode=755"))
        .context("mounting a small file system")?;
    repository.publish(Suite::Security, &[ToyPackage::new("lab-cut", "1.1").script("preinst", full)])?;
    root.run(["apt-get", "update"])?;
    let mut client = Client::start(&root)?;
    let record = done(client.apply("r.apply", &plan([change("lab-cut", Some("1.0"), "1.1")])?)?)?;
    assert!(record.exit_code != Some(0) && !record.database.is_empty(), "{record:?}");
    assert!(record.output_tail.iter().any(|line| line.contains("No space left")), "{:?}", record.output_tail);
    let observed = observe(&mut client)?;
    assert_eq!(observed.lock_holder, None);

    // It may get by with what dpkg frees on the way, or not: it tells what is.
    let record = done(client.ask(repair("r.full"))?)?;
    assert_eq!(record.database.is_empty(), audit(&root)?.is_empty(), "{record:?}");
    std::fs::remove_file(updates.join("fill"))?;
    let record = done(client.ask(repair("r.repair"))?)?;
    check_whole(&root, &record);
    assert!(root.dpkg("lab-cut")?.ends_with("|install ok installed"));
    client.end()
}
