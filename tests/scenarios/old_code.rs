//! Patched on disk, and the old code still in memory: real processes, a real upgrade by dpkg, and needrestart as the
//! oracle. Others list such services on a terminal that nobody sees (row 11 of docs/accidents.md).

use std::process::Child;

use anyhow::{Context, Result, bail};
use patchd_protocol::executor::{Reply, Verb};
use patchd_protocol::old_code::OldCodeWire;
use patchd_protocol::report::native::{AssessmentWire, ComplianceWire, ReportDocument};
use patchd_protocol::words::{PatchStateWire, ReasonWire, RemedyWire};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::binaries::Binaries;
use patchd_tests::booted::Booted;
use patchd_tests::command;
use patchd_tests::executor_client::{Client, change, done, install_executor, plan};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage, architecture};
use patchd_tests::wait;

const LIBRARY: &str = "/usr/lib/lab/liblab.so.1";
const WORKER: &str = "/usr/bin/lab-worker";
const UNIT: &str =
    "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/lab/liblab.so.1\nExecStart=/usr/bin/lab-worker infinity\n";
const BYSTANDER: &str = "[Service]\nExecStart=/usr/bin/lab-worker infinity\nPrivateTmp=yes\n";

/// A library, and a program that runs for ever: copies of the root's own.
fn packages(root: &AptRoot, library_version: &str) -> Result<[ToyPackage; 2]> {
    let found = root.run(["sh", "-c", "readlink -f /usr/lib/*/libz.so.1"])?.stdout;
    let library =
        ToyPackage::new("lab-library", library_version).copy_of(LIBRARY, &root.at(found.trim()), 0o644);
    let worker = ToyPackage::new("lab-worker", "1.0").copy_of(WORKER, &root.at("/bin/sleep"), 0o755);
    Ok([library, worker])
}

/// A root with both at 1.0, and the library's 1.1 on sale.
fn prepare(root: &AptRoot) -> Result<LocalRepository> {
    install_executor(root)?;
    let repository = LocalRepository::create(root)?;
    repository.publish(Suite::Release, &packages(root, "1.0")?)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-library", "lab-worker"])?;
    let [library, _] = packages(root, "1.1")?;
    repository.publish(Suite::Security, &[library])?;
    root.run(["apt-get", "update"])?;
    Ok(repository)
}

fn processes(client: &mut Client) -> Result<OldCodeWire> {
    match client.ask(Verb::Processes {})? {
        Reply::Processes(code) => Ok(code),
        other => bail!("no processes: {other:?}"),
    }
}

fn upgrade(client: &mut Client) -> Result<()> {
    let record = done(client.apply("r.1", &plan([change("lab-library", Some("1.0"), "1.1")])?)?)?;
    assert!(record.changes.iter().all(|change| change.done), "{record:?}");
    Ok(())
}

/// What needrestart would restart.
fn needrestart(booted: &Booted<'_>) -> Result<Vec<String>> {
    let said = booted.run(["needrestart", "-b", "-l", "-r", "l"])?.stdout;
    let mut units: Vec<_> = said
        .lines()
        .filter_map(|line| Some(line.strip_prefix("NEEDRESTART-SVC:")?.trim().to_owned()))
        .collect();
    units.sort();
    Ok(units)
}

/// Our own words, by root's eyes.
fn units(code: &OldCodeWire) -> Vec<String> {
    let mut units: Vec<_> = code.processes.iter().filter_map(|process| process.unit.clone()).collect();
    units.sort();
    units.dedup();
    units
}

/// A scan without the daemon, by root or by nobody.
fn scan(booted: &Booted<'_>, user: &str) -> Result<ReportDocument> {
    let arguments =
        ["runuser", "-u", user, "--", "patchctl", "scan", "--once", "--json", "--store", "file:///tmp/store"];
    let said = command::finish(&mut booted.command(arguments))?;
    serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
}

fn state(report: &ReportDocument) -> Result<(PatchStateWire, Option<ReasonWire>)> {
    let item = report.items.iter().find(|item| item.name == "lab-library").context("no item")?;
    Ok((item.state, item.reason.clone()))
}

/// docs/accidents.md, row 11.
#[test]
fn a_service_that_runs_replaced_code_is_not_compliant_until_it_is_restarted() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_needrestart()?;
    root.install_binaries(&Binaries::find()?)?;
    let _repository = prepare(&root)?;
    root.write("/etc/systemd/system/lab-worker.service", UNIT)?;
    root.write("/etc/systemd/system/lab-bystander.service", BYSTANDER)?;
    let booted = Booted::boot(&root)?;
    booted.run(["systemctl", "start", "lab-worker.service", "lab-bystander.service"])?;
    let mut client = Client::start_in(&booted)?;
    assert_eq!(processes(&mut client)?, OldCodeWire { processes: vec![], unseen: None });
    assert!(needrestart(&booted)?.is_empty());

    upgrade(&mut client)?;
    let code = processes(&mut client)?;
    assert_eq!(units(&code), ["lab-worker.service"], "{code:?}");
    assert_eq!(units(&code), needrestart(&booted)?);
    assert_eq!(code.unseen, None);
    let [process] = code.processes.as_slice() else { bail!("{code:?}") };
    assert_eq!((process.command.as_str(), process.remedy), ("lab-worker", RemedyWire::Restart));
    assert_eq!(process.packages, [format!("lab-library:{}", architecture()?)]);
    assert_eq!(process.files, [LIBRARY]);

    let report = scan(&booted, "root")?;
    assert_eq!(state(&report)?, (PatchStateWire::InstalledPendingReboot, Some(ReasonWire::Restart)));
    assert_eq!(report.summary.compliance, ComplianceWire::NonCompliant);
    assert_eq!(report.summary.counts.installed_pending_reboot_count, 1);
    assert_eq!(report.host.old_code, Some(code));
    // Who may not see the processes says so. It proves nothing, and is no verdict.
    let report = scan(&booted, "nobody")?;
    assert_eq!(state(&report)?, (PatchStateWire::Installed, None));
    let unseen = report.host.old_code.and_then(|code| code.unseen).context("all was seen")?;
    assert!(unseen.contains("without root's rights"), "{unseen}");
    assert_eq!(report.assessment, AssessmentWire::Complete, "{:?}", report.assessment_reasons);

    booted.run(["systemctl", "restart", "lab-worker.service"])?;
    assert_eq!(processes(&mut client)?, OldCodeWire { processes: vec![], unseen: None });
    assert!(needrestart(&booted)?.is_empty());
    let report = scan(&booted, "root")?;
    assert_eq!(state(&report)?, (PatchStateWire::Installed, None));
    assert_eq!(report.summary.counts.installed_pending_reboot_count, 0);
    client.end()
}

/// A worker in a root that runs the library, until it is dropped.
struct Worker(Child);

impl Worker {
    fn start(root: &AptRoot) -> Result<Self> {
        let preload = format!("LD_PRELOAD={LIBRARY}");
        let worker = Self(root.direct_command(["env", &preload, WORKER, "infinity"]).spawn()?);
        let maps = format!("/proc/{}/maps", worker.0.id());
        wait::until("the worker to run", 10, || {
            Ok(std::fs::read_to_string(&maps)?.contains(WORKER).then_some(()))
        })?;
        Ok(worker)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn processes_of_another_root_run_files_of_their_own() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh()?;
    let _repository = prepare(&root)?;
    let sealed = root.seal()?;
    let (ours, others) = (sealed.fresh()?, sealed.fresh()?);
    let workers = [Worker::start(&ours)?, Worker::start(&others)?];
    for (root, worker) in [&ours, &others].into_iter().zip(&workers) {
        root.mount_processes()?;
        let mut client = Client::start(root)?;
        assert_eq!(processes(&mut client)?.processes, []);
        upgrade(&mut client)?;
        let pids: Vec<_> = processes(&mut client)?.processes.iter().map(|process| process.pid).collect();
        assert_eq!(pids, [worker.0.id()]);
        client.end()?;
    }
    Ok(())
}
