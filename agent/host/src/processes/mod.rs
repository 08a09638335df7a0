//! Which processes of a host still run code that was replaced on disk: a fix that is installed and not in use.
//!
//! It looks at what is mapped now, so that whatever was started again is no longer found. It only reads `/proc`, starts,
//! stops and asks no process, and believes nothing that a process says of itself beyond a name to show.
//!
//! A replaced file is known by the kernel's own ` (deleted)`. Inode numbers are not compared with those on disk: dpkg never
//! writes into a file that is in use, and overlayfs and btrfs give one file two numbers. Not found, as by anybody who looks
//! at maps: scripts and other files that are read and not mapped for execution, programs that have their libraries built
//! in, and files that are gone from disk with their package.

mod maps;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::Uid;
use patchd_core::inventory::Inventory;
use patchd_core::pending::{OldCode, OldProcess, Remedy};

use crate::dpkg::owners::owners;
use crate::problem_list::quoted;
use crate::read;
use crate::root::Root;

/// The kernel's own limit of processes.
const MAX_PROCESSES: usize = 1 << 22;
/// As much of one process' mappings as is read: twice what the kernel lets it have by default.
const MAX_MAPS: u64 = 16 << 20;
/// As much of all together: a busy host has a tenth of it.
const MAX_ALL_MAPS: u64 = 256 << 20;
/// Files that are looked up in one go.
const MAX_FILES: usize = 10_000;
/// How long one process may keep the kernel from answering: its memory can be locked by a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many looks may be under way, those included whose thread was left behind.
const MAX_THREADS: u32 = 8;
/// Outcomes that may wait to be taken.
const QUEUE: usize = 64;
/// Names and cgroups are short.
const MAX_TOLD: u64 = 64 << 10;
const MAX_NAME: usize = 64;
const MAX_UNIT: usize = 255;
/// How many processes, and how many files of one, are told. The rest is counted.
const MAX_PROCESSES_TOLD: usize = 200;
const MAX_FILES_TOLD: usize = 20;

/// The units that can't be started again on a running system.
const UNTIL_REBOOT: [&str; 3] = ["dbus.service", "dbus-broker.service", "init.scope"];

/// What was seen of the processes.
#[derive(Debug, Default)]
pub struct Seen {
    processes: Vec<Process>,
    /// Why there may be more.
    unseen: Vec<String>,
}

/// A process with files that are no longer on disk.
#[derive(Debug)]
struct Process {
    pid: u32,
    command: String,
    unit: Option<String>,
    files: BTreeSet<PathBuf>,
}

/// What came of one process.
enum Outcome {
    /// It runs what is on disk, is the kernel's own, lives in another root, or is gone.
    Passed {
        bytes: u64,
    },
    Old {
        process: Process,
        bytes: u64,
    },
    /// It may not be looked at.
    Hidden,
    TooLarge,
}

/// Looks through the processes that live in `root`. The caller's own is left out: it is about to end.
pub fn look(root: &Root) -> Seen {
    let directory = Path::new("/proc");
    let listed = read::list(&Root::at(directory), "", MAX_PROCESSES);
    let names = match listed {
        Ok(names) => names,
        Err(error) => return Seen::nothing(format!("{error}: {}", error.reason)),
    };
    let own = std::process::id();
    let pids: Vec<u32> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    // The first process is always there. Where it is not shown, others are not either.
    let is_hidden = !pids.contains(&1);
    if pids.is_empty() {
        return Seen::nothing("/proc shows no process".into());
    }
    let places = match Places::of(root) {
        Ok(places) => places,
        Err(error) => return Seen::nothing(format!("{}: {error}", root.directory().display())),
    };
    let pids: Vec<_> = pids.into_iter().filter(|&pid| pid != own).collect();
    let mut seen = collect(directory.to_owned(), places, pids);
    if is_hidden {
        seen.unseen.push("/proc hides the processes of others".into());
    }
    seen
}

/// Asks one process after the other in a thread of its own, which is left behind if the kernel gives no answer.
fn collect(directory: PathBuf, places: Places, pids: Vec<u32>) -> Seen {
    let Some(place) = Place::take(&TAKEN) else {
        return Seen::nothing("earlier looks still wait for the kernel's answer".into());
    };
    let (sender, receiver) = sync_channel(QUEUE);
    let asked = pids.clone();
    let asking = move || {
        ask_all(&directory, &places, &asked, &sender);
        drop(place);
    };
    match std::thread::Builder::new().name("processes".into()).spawn(asking) {
        Ok(_) => gather(&receiver, &pids),
        Err(error) => Seen::nothing(format!("no thread could be started: {error}")),
    }
}

/// One of the threads that may be left behind.
struct Place(&'static AtomicU32);

static TAKEN: AtomicU32 = AtomicU32::new(0);

impl Place {
    fn take(taken: &'static AtomicU32) -> Option<Self> {
        let one_more = |number: u32| (number < MAX_THREADS).then_some(number + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self(taken))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn ask_all(directory: &Path, places: &Places, pids: &[u32], sender: &SyncSender<Outcome>) {
    for &pid in pids {
        let outcome = match places.ask(directory, pid) {
            Ok(outcome) => outcome,
            Err(Errno::EACCES | Errno::EPERM) => Outcome::Hidden,
            // It ended meanwhile.
            Err(_) => Outcome::Passed { bytes: 0 },
        };
        if sender.send(outcome).is_err() {
            return;
        }
    }
}

fn gather(receiver: &Receiver<Outcome>, pids: &[u32]) -> Seen {
    let mut seen = Seen::default();
    let (mut hidden, mut all_bytes) = (0_u64, 0_u64);
    for pid in pids {
        let Ok(outcome) = receiver.recv_timeout(PATIENCE) else {
            seen.unseen
                .push(format!("the kernel gave no answer about process {pid}, and was asked no further"));
            break;
        };
        match outcome {
            Outcome::Passed { bytes } => all_bytes = all_bytes.saturating_add(bytes),
            Outcome::Old { process, bytes } => {
                all_bytes = all_bytes.saturating_add(bytes);
                seen.processes.push(process);
            }
            Outcome::Hidden => hidden += 1,
            Outcome::TooLarge => {
                all_bytes = all_bytes.saturating_add(MAX_MAPS);
                seen.unseen.push(format!("process {pid} has too many mappings to be read"));
            }
        }
        if MAX_ALL_MAPS < all_bytes {
            seen.unseen.push(format!(
                "the processes behind {pid} were not read: all together have too many mappings"
            ));
            break;
        }
    }
    if 0 < hidden {
        let which = if hidden == 1 { "1 process".into() } else { format!("{hidden} processes") };
        let lacks = match Uid::effective().is_root() {
            true => "the right to trace",
            false => "root's rights",
        };
        seen.unseen.push(format!("{which} can't be looked at without {lacks}"));
    }
    seen
}

/// The root that processes must live in.
struct Places {
    identity: (u64, u64),
    /// What stands before every path, seen from outside of the root.
    prefix: Option<Vec<u8>>,
}

impl Places {
    fn of(root: &Root) -> io::Result<Self> {
        let metadata = std::fs::metadata(root.directory())?;
        let prefix = match root.is_host() {
            true => None,
            false => Some(std::fs::canonicalize(root.directory())?.as_os_str().as_bytes().to_vec()),
        };
        Ok(Self { identity: (metadata.dev(), metadata.ino()), prefix })
    }

    fn ask(&self, directory: &Path, pid: u32) -> Result<Outcome, Errno> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // From here on it is this very process: its number may be another's by now, its directory never is.
        let process = open(&directory.join(pid.to_string()), flags, Mode::empty())?;
        let maps = open_below(&process, "maps")?;
        let found = maps::find_old(BufReader::with_capacity(64 << 10, maps), MAX_MAPS)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::ESRCH as i32)))?;
        let Some(found) = found else { return Ok(Outcome::TooLarge) };
        let files: BTreeSet<_> = found.files.iter().map(|file| self.path(file)).collect();
        if files.is_empty() || !self.is_home_of(&process)? {
            return Ok(Outcome::Passed { bytes: found.bytes });
        }
        let command = shown(told(&process, "comm")?.trim_ascii_end());
        let unit = unit_of(&told(&process, "cgroup")?);
        Ok(Outcome::Old { process: Process { pid, command, unit, files }, bytes: found.bytes })
    }

    /// Containers and other roots have files of their own by the same names.
    fn is_home_of(&self, process: &OwnedFd) -> Result<bool, Errno> {
        let root = fstatat(process, "root/", AtFlags::empty())?;
        Ok(self.identity == (root.st_dev, root.st_ino))
    }

    /// A mapped path as it is named inside the root.
    fn path(&self, mapped: &[u8]) -> PathBuf {
        let inside = self.prefix.as_deref().and_then(|prefix| mapped.strip_prefix(prefix));
        let inside = inside.filter(|inside| inside.starts_with(b"/")).unwrap_or(mapped);
        PathBuf::from(OsStr::from_bytes(inside))
    }
}

impl Seen {
    fn nothing(because: String) -> Self {
        Self { processes: Vec::new(), unseen: vec![because] }
    }

    /// The processes whose files belonged to packages of `inventory`, with these.
    pub fn of_packages(self, root: &Root, inventory: &Inventory) -> OldCode {
        let Self { processes, mut unseen } = self;
        let all: BTreeSet<_> = processes.iter().flat_map(|process| &process.files).cloned().collect();
        let paths: BTreeSet<_> = all.iter().take(MAX_FILES).cloned().collect();
        if paths.len() < all.len() {
            unseen.push(format!("{} replaced files were not looked up", all.len() - paths.len()));
        }
        let owners = if paths.is_empty() { BTreeMap::new() } else { owners(root, inventory, &paths) };
        let old = processes.into_iter().filter_map(|process| {
            let owned = || process.files.iter().filter_map(|file| Some((file, owners.get(file)?)));
            let packages: BTreeSet<_> = owned().flat_map(|(_, packages)| packages).cloned().collect();
            let files = owned().take(MAX_FILES_TOLD).map(|(file, _)| plain(file)).collect();
            (!packages.is_empty()).then(|| OldProcess {
                remedy: remedy(process.pid, process.unit.as_deref()),
                pid: process.pid,
                command: process.command,
                unit: process.unit,
                packages: packages.into_iter().collect(),
                files,
            })
        });
        let (processes, more) = few(old.collect());
        if 0 < more {
            unseen.push(format!("{more} more processes run old code and are not listed"));
        }
        OldCode { processes, unseen: (!unseen.is_empty()).then(|| unseen.join("; ")) }
    }
}

fn remedy(pid: u32, unit: Option<&str>) -> Remedy {
    let is_last = pid == 1 || unit.is_some_and(|unit| UNTIL_REBOOT.contains(&unit));
    if is_last { Remedy::Reboot } else { Remedy::Restart }
}

/// As many processes as are told, and how many are not: of each unit one, before any has two.
fn few(mut processes: Vec<OldProcess>) -> (Vec<OldProcess>, usize) {
    let more = processes.len().saturating_sub(MAX_PROCESSES_TOLD);
    if 0 < more {
        let mut counts = BTreeMap::<(Option<String>, String), usize>::new();
        processes.sort_by_cached_key(|process| {
            let count = counts.entry((process.unit.clone(), process.command.clone())).or_default();
            *count += 1;
            *count
        });
        processes.truncate(MAX_PROCESSES_TOLD);
        processes.sort_by_key(|process| process.pid);
    }
    (processes, more)
}

fn open_below(process: &OwnedFd, name: &str) -> Result<File, Errno> {
    Ok(File::from(openat(process, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?))
}

fn told(process: &OwnedFd, name: &str) -> Result<Vec<u8>, Errno> {
    let mut content = Vec::new();
    match open_below(process, name)?.take(MAX_TOLD).read_to_end(&mut content) {
        Ok(_) => Ok(content),
        Err(_) => Err(Errno::ESRCH),
    }
}

/// The unit of systemd in the contents of `cgroup`: of its own hierarchy, or of the only one. It is the outermost: what a
/// unit makes of its own part is its business.
fn unit_of(cgroup: &[u8]) -> Option<String> {
    let text = str::from_utf8(cgroup).ok()?;
    let paths = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then_some(path)
    });
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    let is_plain = |unit: &&str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
        unit.len() <= MAX_UNIT && unit.chars().all(is_allowed)
    };
    let units = paths.filter_map(|path| path.split('/').find(is_unit));
    units.filter(is_plain).map(str::to_owned).next()
}

/// A name of somebody else's making, on one line and not too long.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().take(MAX_NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn plain(file: &Path) -> String {
    let is_plain = |text: &&str| !text.chars().any(char::is_control);
    file.to_str().filter(is_plain).map_or_else(|| quoted(file.as_os_str().as_bytes()), str::to_owned)
}

#[cfg(test)]
mod tests;
