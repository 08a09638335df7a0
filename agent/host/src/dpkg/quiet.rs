//! Whether anybody is at work on the installed packages, and who: a free lock alone does not tell.
//!
//! When apt or dpkg is killed, the maintainer script that it ran goes on by itself, and holds no lock at all. So the
//! processes are looked through for scripts of the package database, run by root on this very root.
//!
//! Nothing that another process says of itself is trusted beyond a name to show: what it is called, and what it was
//! started with, only ever make us wait. Its files, links and environment are never used.

use std::fmt;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::lock::{self, Lock};
use crate::read;
use crate::root::Root;

/// More processes than any host has (the kernel's own limit is 4,194,304).
const MAX_PROCESSES: usize = 1 << 22;
/// How much of what a process says of itself is read.
const MAX_TOLD: u64 = 4 * 1024;
/// A script is among the first words: behind its interpreter, that one's options, or debconf's frontend.
const MAX_WORDS: usize = 8;
/// The longest name that is shown.
const MAX_NAME: usize = 64;

/// One who is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtWork {
    /// `None` for a process that isn't seen from here.
    pub pid: Option<u32>,
    /// What the process calls itself, made fit for one line.
    pub command: String,
    pub doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doing {
    Holds(Lock),
    /// A maintainer script, by its file name.
    Runs(String),
}

impl fmt::Display for AtWork {
    /// `pid 812 (unattended-upgr)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, &self.doing) {
            (Some(pid), Doing::Holds(_)) => write!(f, "pid {pid} ({})", self.command),
            (Some(pid), Doing::Runs(script)) => {
                write!(f, "pid {pid} ({}, the script {script})", self.command)
            }
            (None, Doing::Holds(lock)) => write!(f, "a process that is not seen from here, by {lock}"),
            (None, Doing::Runs(script)) => write!(f, "the script {script}"),
        }
    }
}

/// Who is at work, as far as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    /// Lock holders first, in the order in which apt takes the locks; then scripts. Each process once.
    pub at_work: Vec<AtWork>,
    /// Why scripts without a lock could not be looked for, if so.
    pub problem: Option<String>,
}

impl Watch {
    /// The first of those who may change installed packages.
    pub fn on_packages(&self) -> Option<&AtWork> {
        self.at_work.iter().find(|one| match &one.doing {
            Doing::Holds(lock) => lock.guards_packages(),
            Doing::Runs(_) => true,
        })
    }
}

/// Looks at the locks and through the processes.
pub fn watch(root: &Root) -> Watch {
    let mut watch = Watch::default();
    for holder in lock::holders(root) {
        if watch.at_work.iter().any(|one| one.pid.is_some() && one.pid == holder.pid) {
            continue;
        }
        let command = holder.pid.map(name).unwrap_or_default();
        watch.at_work.push(AtWork { pid: holder.pid, command, doing: Doing::Holds(holder.lock) });
    }
    match scripts(root) {
        Ok(scripts) => watch.at_work.extend(scripts),
        Err(problem) => watch.problem = Some(problem),
    }
    watch
}

fn scripts(root: &Root) -> Result<Vec<AtWork>, String> {
    let names = read::list(&Root::host(), "proc", MAX_PROCESSES)
        .map_err(|error| format!("the processes can't be listed: {error}: {}", error.reason))?;
    let mut pids = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok()).peekable();
    if pids.peek().is_none() {
        return Err("the processes can't be listed: /proc is not mounted".into());
    }
    let places = Places::of(root);
    let script = |pid| {
        let script = places.find(&words(pid)?)?;
        let is_ours = uid_now(pid)? == 0 && places.is_here(pid, script.is_from_outside);
        is_ours.then(|| AtWork { pid: Some(pid), command: name(pid), doing: Doing::Runs(script.name) })
    };
    Ok(pids.filter_map(script).collect())
}

/// Where scripts lie.
struct Places {
    root: Option<(u64, u64)>,
    host: Option<(u64, u64)>,
    /// The directories as a process inside the root names them, and as dpkg names them that runs them from outside.
    inside: [Vec<u8>; 2],
    outside: Option<[Vec<u8>; 2]>,
}

struct Script {
    name: String,
    is_from_outside: bool,
}

const DIRECTORIES: [&str; 2] = ["/var/lib/dpkg/info/", "/var/lib/dpkg/tmp.ci/"];

/// The first word that dpkg and debconf give each script (Debian policy, 6.5). Who only looks at a script gives none.
const ACTIONS: [&str; 14] = [
    "install",
    "upgrade",
    "configure",
    "reconfigure",
    "triggered",
    "remove",
    "purge",
    "deconfigure",
    "disappear",
    "failed-upgrade",
    "abort-install",
    "abort-upgrade",
    "abort-remove",
    "abort-deconfigure",
];

const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

impl Places {
    fn of(root: &Root) -> Self {
        let identity =
            |path: &Path| std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        let outside = |directory: &str| root.path(directory).as_os_str().as_bytes().to_vec();
        let with_slash = |mut path: Vec<u8>| {
            if path.last() != Some(&b'/') {
                path.push(b'/');
            }
            path
        };
        Self {
            root: identity(root.directory()),
            host: identity(Path::new("/")),
            inside: DIRECTORIES.map(|directory| directory.as_bytes().to_vec()),
            outside: (!root.is_host()).then(|| DIRECTORIES.map(outside).map(with_slash)),
        }
    }

    /// The script that a command line runs.
    fn find(&self, words: &[Vec<u8>]) -> Option<Script> {
        let mut pairs = words.iter().zip(words.iter().skip(1)).take(MAX_WORDS);
        pairs.find_map(|(word, action)| {
            let is_action = ACTIONS.iter().any(|known| known.as_bytes() == action);
            let below = |directories: &[Vec<u8>; 2]| {
                directories.iter().find_map(|directory| word.strip_prefix(directory.as_slice()))
            };
            let (file, is_from_outside) = match (below(&self.inside), &self.outside) {
                (Some(file), _) => (file, false),
                (None, Some(outside)) => (below(outside)?, true),
                (None, None) => return None,
            };
            let name = file.rsplit(|byte| *byte == b'.' || *byte == b'/').next()?;
            let is_script = SCRIPTS.iter().any(|known| known.as_bytes() == name);
            (is_action && is_script).then(|| Script { name: shown(file), is_from_outside })
        })
    }

    /// Whether a process lives in this root. One that can't be looked at may.
    fn is_here(&self, pid: u32, is_from_outside: bool) -> bool {
        let wanted = if is_from_outside { self.host } else { self.root };
        match std::fs::metadata(format!("/proc/{pid}/root/")) {
            Ok(metadata) => wanted.is_none_or(|wanted| wanted == (metadata.dev(), metadata.ino())),
            Err(error) => error.kind() != std::io::ErrorKind::NotFound,
        }
    }
}

/// What a process was started with; none for one that is gone, or for the kernel's own.
fn words(pid: u32) -> Option<Vec<Vec<u8>>> {
    let line = told(pid, "cmdline")?;
    let words: Vec<_> = line.split(|byte| *byte == 0).take(MAX_WORDS + 1).map(<[u8]>::to_vec).collect();
    (!line.is_empty()).then_some(words)
}

/// Who a process is now: root only if it is that in every respect. One that an ordinary user started with root's rights
/// is still that user, and the owner of its directory in /proc would not tell. None for one that is gone.
pub fn uid_now(pid: u32) -> Option<u32> {
    let status = told(pid, "status")?;
    let status = String::from_utf8_lossy(&status);
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let numbers: Vec<u32> = line.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.iter().copied().find(|&uid| uid != 0).or_else(|| numbers.first().copied())
}

fn name(pid: u32) -> String {
    let name = told(pid, "comm").unwrap_or_default();
    shown(name.trim_ascii_end())
}

/// A name of somebody else's making, on one line and not too long.
fn shown(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    name.chars().take(MAX_NAME).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn told(pid: u32, what: &str) -> Option<Vec<u8>> {
    let file = read::open(&Root::host(), format!("proc/{pid}/{what}")).ok()?;
    let mut content = Vec::new();
    file.take(MAX_TOLD).read_to_end(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(root: &Root, line: &[&str], expected: Option<&str>) {
        let words: Vec<_> = line.iter().map(|word| word.as_bytes().to_vec()).collect();
        let found = Places::of(root).find(&words);
        assert_eq!(found.map(|script| script.name).as_deref(), expected, "{line:?}");
    }

    #[test]
    fn a_script_at_work_is_known_by_its_path_and_its_action() {
        let root = Root::host();
        let info = "/var/lib/dpkg/info/libc6:amd64.postinst";
        check(&root, &["/bin/sh", info, "configure", "2.36"], Some("libc6:amd64.postinst"));
        check(&root, &["/bin/sh", "-e", info, "triggered"], Some("libc6:amd64.postinst"));
        check(&root, &[info, "abort-upgrade"], Some("libc6:amd64.postinst"));
        let frontend = "/usr/share/debconf/frontend";
        let config = "/var/lib/dpkg/info/a.config";
        check(&root, &["/usr/bin/perl", "-w", frontend, config, "configure"], Some("a.config"));
        check(&root, &["/bin/sh", "/var/lib/dpkg/tmp.ci/preinst", "install"], Some("preinst"));
    }

    #[test]
    fn who_only_looks_at_a_script_is_not_at_work() {
        let root = Root::host();
        for line in [
            &["less", "/var/lib/dpkg/info/a.postinst"] as &[_],
            &["vi", "/var/lib/dpkg/info/a.postinst", "/var/lib/dpkg/info/b.postinst"],
            &["cat", "/var/lib/dpkg/info/a.list", "configure"],
            &["/bin/sh", "/home/x/var/lib/dpkg/info/a.postinst", "configure"],
            &["/bin/sh", "/tmp/a.postinst", "configure"],
            &["a"],
            &[],
        ] {
            check(&root, line, None);
        }
        let late = ["x"; MAX_WORDS].into_iter().chain(["/var/lib/dpkg/info/a.postinst", "configure"]);
        check(&root, &late.collect::<Vec<_>>(), None);
    }

    #[test]
    fn a_root_elsewhere_has_scripts_of_two_names() {
        let root = Root::at("/srv/root");
        check(&root, &["sh", "/srv/root/var/lib/dpkg/info/a.postinst", "configure"], Some("a.postinst"));
        check(&root, &["sh", "/var/lib/dpkg/info/a.postinst", "configure"], Some("a.postinst"));
    }

    #[test]
    fn names_of_others_are_shown_on_one_line() {
        assert_eq!(shown(b"a\nb\x1b[31m"), "a?b?[31m");
        assert_eq!(shown(&[b'x'; 200]).len(), MAX_NAME);
    }

    #[test]
    fn this_process_is_looked_at_like_any_other() {
        let pid = std::process::id();
        assert_eq!(uid_now(pid), Some(nix::unistd::Uid::effective().as_raw()));
        assert_eq!(uid_now(u32::MAX), None);
        assert!(Places::of(&Root::host()).is_here(pid, false));
        assert!(!Places::of(&Root::at("/proc")).is_here(pid, false));
        assert!(!name(pid).is_empty());
        assert!(words(pid).is_some_and(|words| !words.is_empty()));
        assert_eq!(words(u32::MAX), None);
    }
}
