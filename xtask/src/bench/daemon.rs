//! The daemon between two scans: what it holds of memory, and how often it wakes. It runs on a configuration and a state
//! directory of its own, scans this machine, and changes nothing: lists are taken as they are.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Bench;
use super::table::{megabytes, reach};

const CONFIG: &str = "[scan]\ninterval = \"31d\"\nrefresh = false\nmax_list_age = \"365d\"\n";

/// How long it is watched doing nothing.
const IDLE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(100);

/// A running daemon; it is told to stop when dropped.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    #[expect(clippy::disallowed_methods, reason = "the place of this measurement that starts the daemon")]
    fn start(bench: &Bench, home: &Path) -> Result<Self> {
        let (config, state, run) = (home.join("config"), home.join("state"), home.join("run"));
        for directory in [&config.join("etc/patchd"), &state, &run] {
            std::fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        }
        let file = config.join("etc/patchd/patchd.toml");
        let text = format!("{CONFIG}[store]\nurl = \"file://{}\"\n", state.join("reports").display());
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        let log = std::fs::File::create(home.join("log")).context("making a file for the log")?;
        let socket = run.join("patchd.sock");
        let mut command = Command::new(bench.binary("patchd"));
        command.arg("--config-root").arg(&config).arg("--state").arg(&state);
        command.arg("--control-socket").arg(&socket).arg("--executor-socket").arg(run.join("none"));
        command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
        command.stdout(log.try_clone().context("copying a file")?).stderr(log);
        let child = command.spawn().context("starting patchd")?;
        Ok(Self { child, socket })
    }

    /// Asks it through patchctl. Gives none if there is no answer.
    #[expect(clippy::disallowed_methods, reason = "the place of this measurement that asks the daemon")]
    fn ask(&self, bench: &Bench, subcommand: &str) -> Result<Option<String>> {
        let mut command = Command::new(bench.binary("patchctl"));
        command.arg("--socket").arg(&self.socket).args(["--json", subcommand]).stdin(Stdio::null());
        let output = command.output().context("starting patchctl")?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn wait_until_it_answers(&mut self, bench: &Bench) -> Result<()> {
        for _ in 0..200 {
            if let Some(status) = self.child.try_wait().context("looking after patchd")? {
                bail!("patchd ended with {status}");
            }
            if self.ask(bench, "status")?.is_some() {
                return Ok(());
            }
            thread::sleep(PAUSE);
        }
        bail!("patchd did not answer within 20 seconds")
    }

    fn usage(&self) -> Result<Usage> {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let read = |name: &str| {
            let path = process.join(name);
            std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let (status, stat) = (read("status")?, read("stat")?);
        let number = |field: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        // After the name in parentheses, which may hold anything: fields 14 and 15 are the ticks in user and kernel.
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let ticks = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        Ok(Usage {
            resident: number("VmRSS") * 1024,
            anonymous: number("RssAnon") * 1024,
            peak: number("VmHWM") * 1024,
            threads: number("Threads"),
            wakes: number("voluntary_ctxt_switches"),
            ticks,
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let _ = self.child.wait();
    }
}

#[derive(Debug, Clone, Copy)]
struct Usage {
    resident: u64,
    anonymous: u64,
    peak: u64,
    threads: u64,
    wakes: u64,
    ticks: u64,
}

pub(super) fn idle(bench: &Bench) -> Result<()> {
    let home = bench.scratch.path().join("daemon");
    let mut daemon = Daemon::start(bench, &home)?;
    let measured = watch(&mut daemon, bench);
    let log = std::fs::read_to_string(home.join("log")).unwrap_or_default();
    measured.with_context(|| format!("the daemon's log:\n{log}"))
}

fn watch(daemon: &mut Daemon, bench: &Bench) -> Result<()> {
    daemon.wait_until_it_answers(bench)?;
    let fresh = daemon.usage()?;
    let mut after_scans = Vec::new();
    for _ in 0..bench.arguments.rounds {
        daemon.ask(bench, "scan")?.context("the daemon did not scan")?;
        after_scans.push(daemon.usage()?.resident);
    }
    after_scans.sort_unstable();
    let before = daemon.usage()?;
    thread::sleep(IDLE);
    let after = daemon.usage()?;

    println!("\nidle daemon: {} scans, then {} seconds of nothing", after_scans.len(), IDLE.as_secs());
    let row = |title: &str, bytes: u64| println!("  {title:<46}{:>10.2} MB", megabytes(bytes));
    row("resident when it answers first", fresh.resident);
    row("resident after a scan, median", after_scans.get(after_scans.len() / 2).copied().unwrap_or(0));
    row("resident after a scan, most", after_scans.last().copied().unwrap_or(0));
    row("resident after the idle time", after.resident);
    row("of that not backed by files", after.anonymous);
    row("peak of its life", after.peak);
    println!("  {:<46}{:>10}", "threads", after.threads);
    println!("  {:<46}{:>10}", "wakes of its main thread in the idle time", after.wakes - before.wakes);
    println!("  {:<46}{:>10}", "processor ticks (10 ms) in the idle time", after.ticks - before.ticks);
    reach("resident when idle", megabytes(after.resident), 12.0, " MB");
    println!("  the SSM agent's core alone was measured at 25 MB resident, on another day");
    Ok(())
}
