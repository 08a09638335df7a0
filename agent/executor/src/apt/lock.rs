//! Whether a package manager is at work, asked of the kernel itself: no `/proc` is needed, as it may be absent in a chroot.
//!
//! It takes no lock and holds none: closing a lock file would release a lock of this very process.

use std::fmt;
use std::fs::File;
use std::io;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use patchd_host::apt::conf::Conf;
use patchd_host::problem_list::ProblemList;
use patchd_host::read;
use patchd_host::root::Root;

use crate::text;

/// apt holds the first over its whole run; dpkg the second while it writes, also if apt is gone.
const DATABASE: [&str; 2] = ["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"];

const MAX_COMMAND: u64 = 4096;

/// What a lock guards. apt waits by itself only for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    Database,
    Archives,
    Lists,
}

impl Guarded {
    /// The lock files, in the order in which apt takes them.
    fn files(self, root: &Root) -> Vec<String> {
        let in_directory = |key| {
            let conf = Conf::read(root, &mut ProblemList::new("apt's settings"));
            vec![format!("{}/lock", conf.path(key).trim_end_matches('/'))]
        };
        match self {
            Self::Database => DATABASE.map(str::to_owned).to_vec(),
            Self::Archives => in_directory("Dir::Cache::archives"),
            Self::Lists => in_directory("Dir::State::lists"),
        }
    }
}

/// A process that holds a lock: `pid 812 (unattended-upgr)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: i32,
    /// Unknown where `/proc` doesn't show the process.
    command: Option<String>,
}

impl Holder {
    fn of(pid: i32) -> Self {
        let read = |name: &str| read::read(&Root::host(), format!("proc/{pid}/{name}"), MAX_COMMAND).ok();
        let words = |bytes: Vec<u8>| {
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            Some(text::cut(text.trim())).filter(|text| !text.is_empty())
        };
        Self { pid, command: read("comm").and_then(words).or_else(|| read("cmdline").and_then(words)) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            // The kernel tells no number of a process in a container beside us, nor of some kinds of locks.
            _ if self.pid <= 0 => f.write_str("a process that can't be seen from here"),
            Some(command) => write!(f, "pid {} ({command})", self.pid),
            None => write!(f, "pid {}", self.pid),
        }
    }
}

/// The process that holds a lock of what is guarded.
pub(crate) fn holder(root: &Root, guarded: Guarded) -> io::Result<Option<Holder>> {
    for name in guarded.files(root) {
        let file = match root.resolve(name).and_then(File::open) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let kind = |kind| libc::c_short::try_from(kind).map_err(io::Error::other);
        let mut lock = libc::flock {
            l_type: kind(libc::F_WRLCK)?,
            l_whence: kind(libc::SEEK_SET)?,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
        if lock.l_type != kind(libc::F_UNLCK)? {
            return Ok(Some(Holder::of(lock.l_pid)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use patchd_host::durable::{atomic_write, create_directories};

    use super::*;

    #[test]
    fn a_free_lock_has_no_holder_and_neither_has_an_absent_one() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        for guarded in [Guarded::Database, Guarded::Archives, Guarded::Lists] {
            assert_eq!(holder(&root, guarded).unwrap(), None);
            for name in guarded.files(&root) {
                let path = root.path(name);
                create_directories(path.parent().unwrap(), 0o755).unwrap();
                atomic_write(&path, b"", 0o600).unwrap();
            }
            assert_eq!(holder(&root, guarded).unwrap(), None);
        }
    }

    #[test]
    fn the_files_are_where_apt_was_told_to_have_them() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(Guarded::Archives.files(&root), ["/var/cache/apt/archives/lock"]);
        assert_eq!(Guarded::Lists.files(&root), ["/var/lib/apt/lists/lock"]);
        let path = root.path("etc/apt/apt.conf");
        create_directories(path.parent().unwrap(), 0o755).unwrap();
        atomic_write(&path, b"Dir::Cache::archives \"/srv/debs\";\n", 0o644).unwrap();
        assert_eq!(Guarded::Archives.files(&root), ["/srv/debs/lock"]);
    }

    #[test]
    fn a_holder_is_named() {
        let own = Holder::of(i32::try_from(std::process::id()).unwrap());
        assert!(own.to_string().starts_with(&format!("pid {} (", std::process::id())), "{own}");
        assert_eq!(Holder { pid: 7, command: None }.to_string(), "pid 7");
        assert_eq!(Holder { pid: -1, command: None }.to_string(), "a process that can't be seen from here");
    }
}
