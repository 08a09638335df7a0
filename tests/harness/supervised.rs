//! A host without systemd on which this harness does what systemd does for patchd: it holds the executor's socket, starts
//! the executor when a connection waits and none lives, and starts patchd again when it is gone.
//!
//! It starts nothing by itself: `tend` is called again and again by whoever waits for something. What a power cut means
//! here is said in `space`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::chown;
use patchd_protocol::control::{CONTROL_SOCKET, RunDocument, RunSummary, RunsDocument, StatusDocument};
use patchd_protocol::executor::{PROGRAM, SOCKET};
use patchd_protocol::report::gzip;
use patchd_protocol::report::native::ReportDocument;
use serde_json::Value;

use crate::apt_root::AptRoot;
use crate::clock::LabClock;
use crate::command::Finished;
use crate::control_client::{self, Answer};
use crate::space::Space;

/// How long one look at the executor's socket takes while nobody asks for the executor.
const LOOK: u16 = 20;

/// How often patchd may end before the harness takes it for broken.
const MOST_STARTS: u32 = 40;

/// Reports of toy hosts are far smaller.
const MAX_REPORT: u64 = 64 << 20;

/// The directories after a start of the machine; both sockets in one, where one that is not systemd makes them.
const LAY_OUT: &str =
    "rm -rf /run/* && install -d -m 1777 /run/lock && install -d -m 1775 -o root -g patchd /run/patchd
install -d -m 0750 -o patchd -g patchd /var/lib/patchd
install -d -m 0700 /var/lib/patchd-executor /var/lib/patchd-executor/transactions";

/// What is killed, always by SIGKILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Patchd,
    Executor,
    /// The newest dpkg; apt-get finds out.
    Dpkg,
    /// The newest apt-get; its dpkg goes on alone.
    Apt,
    Everything,
}

impl Target {
    pub const ALL: [Self; 5] = [Self::Patchd, Self::Executor, Self::Dpkg, Self::Apt, Self::Everything];

    pub fn name(self) -> &'static str {
        match self {
            Self::Patchd => "patchd",
            Self::Executor => "executor",
            Self::Dpkg => "dpkg",
            Self::Apt => "apt-get",
            Self::Everything => "everything",
        }
    }

    /// Kills it now. Whether it lived.
    pub fn kill(self, space: &Space) -> bool {
        match self {
            Self::Patchd => space.kill_newest("patchd"),
            Self::Executor => space.kill_newest("patchd-executor"),
            Self::Dpkg => space.kill_newest("dpkg"),
            Self::Apt => space.kill_newest("apt-get"),
            Self::Everything => space.cut_power(),
        }
    }
}

/// A host whose processes are looked after.
#[derive(Debug)]
pub struct Supervised<'root> {
    root: &'root AptRoot,
    /// Shared with those that kill.
    space: Arc<Space>,
    listener: UnixListener,
    executor: Option<Child>,
    patchd: Option<Child>,
    /// A program of the machine that starts patchd, with its words: a tracer.
    wrapper: Vec<String>,
    /// Words before the line of each program of patchd: an environment of its own.
    environment: Vec<String>,
    wants_patchd: bool,
    starts: u32,
}

impl<'root> Supervised<'root> {
    /// Switches the host on. Nothing of patchd runs yet.
    pub fn start(root: &'root AptRoot) -> Result<Self> {
        root.run(["sh", "-ec", LAY_OUT])?;
        let space = Arc::new(Space::start(root)?);
        let listener = listen(root)?;
        Ok(Self {
            root,
            space,
            listener,
            executor: None,
            patchd: None,
            wrapper: Vec::new(),
            environment: Vec::new(),
            wants_patchd: false,
            starts: 0,
        })
    }

    pub fn root(&self) -> &'root AptRoot {
        self.root
    }

    pub fn space(&self) -> Arc<Space> {
        Arc::clone(&self.space)
    }

    /// From the next start on patchd is started by this program of the machine.
    pub fn wrap_patchd(&mut self, words: &[&str]) {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// From the next start on the programs of patchd go by the root's own clock (`clock`).
    pub fn set_clock(&mut self) {
        let words = LabClock::environment();
        self.environment = std::iter::once("env".to_owned()).chain(words).collect();
    }

    /// Starts patchd, and from now on again whenever it is gone, until it answers.
    pub fn start_patchd(&mut self) -> Result<()> {
        self.wants_patchd = true;
        self.until("patchd to answer", 60, |host| Ok(host.status().ok()))?;
        Ok(())
    }

    /// From now on patchd is started whenever it is gone.
    pub fn want_patchd(&mut self) {
        self.wants_patchd = true;
    }

    /// Tells patchd to stop, and waits for its end.
    pub fn stop_patchd(&mut self) -> Result<ExitStatus> {
        self.wants_patchd = false;
        for process in self.space.processes("patchd") {
            let _ = nix::sys::signal::kill(process.id, nix::sys::signal::Signal::SIGTERM);
        }
        let mut child = self.patchd.take().context("patchd was not started")?;
        crate::wait::until("patchd to stop", 30, || Ok(child.try_wait()?))
    }

    /// Kills something now. Whether it lived.
    pub fn kill(&self, target: Target) -> bool {
        target.kill(&self.space)
    }

    /// Switches the machine on again after its power was cut: locks and processes are gone, `/run` is empty.
    fn boot(&mut self) -> Result<()> {
        for child in [self.executor.take(), self.patchd.take()].iter_mut().flatten() {
            let _ = child.wait();
        }
        self.root.run(["sh", "-ec", LAY_OUT])?;
        self.space = Arc::new(Space::start(self.root)?);
        self.listener = listen(self.root)?;
        Ok(())
    }

    /// Does what systemd would do by now, and waits for a moment if there is nothing.
    pub fn tend(&mut self) -> Result<()> {
        if self.space.is_over()? {
            self.boot()?;
        }
        if is_gone(&mut self.patchd)? && self.wants_patchd {
            self.starts += 1;
            if MOST_STARTS < self.starts {
                bail!("patchd ended {MOST_STARTS} times:\n{}", self.logs());
            }
            let line =
                ["setpriv", "--reuid=patchd", "--regid=patchd", "--init-groups", "--", "/usr/bin/patchd"];
            let mut command = self.logged(&self.wrapper, &line, "/patchd.log")?;
            command.env("AWS_EC2_METADATA_DISABLED", "true");
            self.patchd = Some(command.spawn().context("starting patchd")?);
        }
        if is_gone(&mut self.executor)? && self.is_asked_for() {
            let mut command = self.logged(&[], &[PROGRAM], "/executor.log")?;
            command.stdin(Stdio::from(OwnedFd::from(self.listener.try_clone()?)));
            self.executor = Some(command.spawn().context("starting the executor")?);
        } else if self.executor.is_some() {
            std::thread::sleep(Duration::from_millis(LOOK.into()));
        }
        Ok(())
    }

    /// Whether a connection waits to be accepted.
    fn is_asked_for(&self) -> bool {
        let mut looked = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut looked, PollTimeout::from(LOOK)), Ok(1..))
    }

    fn logged(&self, wrapper: &[String], line: &[&str], log: &str) -> Result<Command> {
        let log = self.root.at(log);
        let log = File::options().create(true).append(true).open(&log).context("opening a log")?;
        let line = self.environment.iter().map(String::as_str).chain(line.iter().copied());
        let mut command = self.space.command_under(wrapper, line);
        command.stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    /// Tends the host until there is something to see, for about so many seconds at most.
    pub fn until<T>(
        &mut self,
        what: &str,
        seconds: u64,
        mut look: impl FnMut(&mut Self) -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = monotonic() + Duration::from_secs(seconds);
        loop {
            if let Some(seen) = look(self)? {
                return Ok(seen);
            }
            if deadline < monotonic() {
                bail!("waited {seconds} seconds in vain for {what}\n{}", self.logs());
            }
            self.tend()?;
        }
    }

    /// Runs a command on the host to its end while the host is tended.
    pub fn run(&mut self, line: &[&str]) -> Result<Finished> {
        let [out, err] = [tempfile::tempfile()?, tempfile::tempfile()?];
        let mut command = self.space.command(line);
        let mut child = command.stdout(out.try_clone()?).stderr(err.try_clone()?).spawn()?;
        let status = self.until(&format!("{line:?} to end"), 240, |_| Ok(child.try_wait()?));
        let status = status.inspect_err(|_| drop(child.kill()))?;
        let read = |mut file: File| -> Result<String> {
            std::io::Seek::rewind(&mut file)?;
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        Ok(Finished { line: line.join(" "), status, stdout: read(out)?, stderr: read(err)? })
    }

    /// A path as the host's own processes see it, mounts and all.
    pub fn path_inside(&self, path: &str) -> PathBuf {
        self.space.path_inside(path)
    }

    fn socket(&self) -> PathBuf {
        self.root.at(CONTROL_SOCKET)
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        control_client::get(&self.socket(), path)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        control_client::post(&self.socket(), path, body)
    }

    pub fn status(&self) -> Result<StatusDocument> {
        Ok(serde_json::from_value(self.get("/v1/status")?.body)?)
    }

    /// The runs that the daemon knows, the newest first.
    pub fn runs(&self) -> Result<Vec<RunSummary>> {
        Ok(serde_json::from_value::<RunsDocument>(self.get("/v1/runs")?.body)?.runs)
    }

    pub fn run_document(&self, id: &str) -> Result<RunDocument> {
        Ok(serde_json::from_value(self.get(&format!("/v1/runs/{id}"))?.body)?)
    }

    /// Every report in the host's own store, the oldest first.
    pub fn reports(&self) -> Result<Vec<ReportDocument>> {
        let mut files = Vec::new();
        collect(&self.root.at("/var/lib/patchd/reports/v1/reports"), &mut files);
        files.sort();
        let read = |path: &PathBuf| -> Result<ReportDocument> {
            gzip::decode(&std::fs::read(path)?, MAX_REPORT)
                .with_context(|| format!("reading {}", path.display()))
        };
        files.iter().map(read).collect()
    }

    /// What the programs of the host said, for messages of tests.
    pub fn logs(&self) -> String {
        let logs = ["/patchd.log", "/executor.log"].map(|path| {
            let text = self.root.read(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(60).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {path}\n{}\n", lines.join("\n"))
        });
        logs.concat()
    }
}

impl Drop for Supervised<'_> {
    fn drop(&mut self) {
        self.space.cut_power();
        for child in [self.executor.take(), self.patchd.take()].iter_mut().flatten() {
            let _ = child.wait();
        }
    }
}

/// Whether there is no such child, or not any more.
fn is_gone(child: &mut Option<Child>) -> Result<bool> {
    let is_gone = match child {
        None => true,
        Some(child) => child.try_wait().context("looking after a process")?.is_some(),
    };
    if is_gone {
        *child = None;
    }
    Ok(is_gone)
}

/// Listens where systemd would, for root and the group `patchd`.
fn listen(root: &AptRoot) -> Result<UnixListener> {
    let path = root.at(SOCKET);
    let directory = path.parent().context("a socket lies in a directory")?;
    let directory = File::open(directory).with_context(|| format!("opening {}", directory.display()))?;
    // A socket's path is at most 107 bytes long, and roots lie deep.
    let short = format!("/proc/self/fd/{}/executor.sock", directory.as_raw_fd());
    let listener = UnixListener::bind(short).with_context(|| format!("listening on {}", path.display()))?;
    let group = root.run(["id", "-g", "patchd"])?.stdout.trim().parse()?;
    chown(&path, Some(0.into()), Some(nix::unistd::Gid::from_raw(group)))
        .context("giving a socket to a group")?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o660))
        .context("setting the mode of a socket")?;
    Ok(listener)
}

fn collect(directory: &std::path::Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.to_string_lossy().ends_with(".json.gz") {
            files.push(path);
        }
    }
}

/// The time since the machine started.
pub fn monotonic() -> Duration {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map(Duration::from).unwrap_or_default()
}
