//! Processes of a root that live and die together: a process id namespace whose first process reaps and does nothing else.
//!
//! Killing the first process is this harness's power cut. What it can't cut is the page cache: the root lies in memory, so
//! every write that was made is still there afterwards, synced or not. Torn and lost writes are not tested here.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::apt_root::AptRoot;
use crate::command::{self, Finished};
use crate::wait;

/// Run as the first process. The shell reaps whatever is orphaned while it waits.
const REAP: &str = "while :; do sleep 3600; done";

/// A process in the namespace, by the machine's own count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub id: Pid,
    /// As the kernel has it: 15 characters.
    pub name: String,
    /// In ticks since the machine started.
    started: u64,
}

/// The namespace. Everything in it is killed when this is dropped.
#[derive(Debug)]
pub struct Space {
    outer: Mutex<Child>,
    init: Pid,
    namespace: PathBuf,
}

impl Space {
    /// Makes one for the programs of `root`.
    pub fn start(root: &AptRoot) -> Result<Self> {
        let mut command = root.command(["bash", "-c", REAP]);
        let mut outer = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let children = format!("/proc/{0}/task/{0}/children", outer.id());
        let found = wait::until("the first process of a namespace", 10, || {
            let first = std::fs::read_to_string(&children).unwrap_or_default();
            let Some(init) = first.split_whitespace().next() else { return Ok(None) };
            // unshare gives the new root a /proc of its own before it becomes the shell.
            let name = std::fs::read_to_string(format!("/proc/{init}/comm")).unwrap_or_default();
            Ok((name == "bash\n").then(|| init.parse::<i32>()).transpose()?)
        });
        let init = match found {
            Ok(init) => Pid::from_raw(init),
            Err(error) => {
                let _ = outer.kill();
                let _ = outer.wait();
                return Err(error);
            }
        };
        let namespace =
            std::fs::read_link(format!("/proc/{init}/ns/pid")).context("looking at a namespace")?;
        Ok(Self { outer: Mutex::new(outer), init, namespace })
    }

    /// A command in it, as root, that keeps no process id of its own: look for it by name.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.command_under(&[], arguments)
    }

    /// The same, started by a program of the machine such as a tracer.
    pub fn command_under<A: AsRef<OsStr>>(
        &self,
        wrapper: &[String],
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        let mut words = wrapper.iter().map(String::as_str).chain(["nsenter"]);
        let mut command = command::command(words.next().unwrap_or("nsenter"));
        command.args(words);
        command.arg(format!("--target={}", self.init)).args(["--pid", "--mount", "--root", "--wd", "--"]);
        command.args(arguments).env("HOME", "/root");
        command
    }

    /// Runs a command in it to its end; an error unless it succeeds.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
        command::finish(&mut self.command(arguments))?.success()
    }

    /// Lays one file of the root over another, for the processes inside; without the first, takes it away again. The
    /// machine's own programs do it: the root may have none.
    pub fn lay_over(&self, root: &AptRoot, file: Option<&str>, place: &str) -> Result<()> {
        let mut command = command::command("nsenter");
        command.arg(format!("--target={}", self.init)).args(["--mount", "--"]);
        match file {
            Some(file) => command.args(["mount", "--bind"]).arg(root.at(file)),
            None => command.arg("umount"),
        };
        command::finish(command.arg(root.at(place)))?.success()?;
        Ok(())
    }

    /// A path inside, as its own processes see it.
    pub fn path_inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init)).join(path.trim_start_matches('/'))
    }

    /// The living processes of this name, the newest first.
    pub fn processes(&self, name: &str) -> Vec<Process> {
        let mut found: Vec<_> = self.all().into_iter().filter(|process| process.name == name).collect();
        found.sort_by_key(|process| std::cmp::Reverse((process.started, process.id)));
        found
    }

    fn all(&self) -> Vec<Process> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        ids.filter_map(|id| self.process(id)).collect()
    }

    /// None for a process of another namespace, and for one that is dead.
    fn process(&self, id: i32) -> Option<Process> {
        // The first process is older than the others, and numbers wrap after millions.
        let namespace = std::fs::read_link(format!("/proc/{id}/ns/pid")).ok()?;
        if namespace != self.namespace {
            return None;
        }
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        let mut words = after.split(' ');
        if matches!(words.next()?, "Z" | "X") {
            return None;
        }
        // The field 22 of the line, whose third is the one above.
        let started = words.nth(18)?.parse().ok()?;
        Some(Process { id: Pid::from_raw(id), name: name.into(), started })
    }

    /// Kills the newest process of this name. Whether there was one.
    pub fn kill_newest(&self, name: &str) -> bool {
        let newest = self.processes(name).into_iter().next();
        newest.is_some_and(|process| kill(process.id, Signal::SIGKILL).is_ok())
    }

    /// Kills everything in it at once. Nothing cleans up after itself.
    pub fn cut_power(&self) -> bool {
        kill(self.init, Signal::SIGKILL).is_ok()
    }

    /// Whether its power was cut, and all of it has ended.
    pub fn is_over(&self) -> Result<bool> {
        let mut outer = self.outer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(outer.try_wait().context("looking after a namespace")?.is_some())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.cut_power();
        let _ = self.outer.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
    }
}
