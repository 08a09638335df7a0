//! Who holds a lock of apt or dpkg. That all are free does not mean that nobody is at work: see `quiet`.
//!
//! No lock is taken here, and nobody who holds one may ask: closing a lock file gives up the locks of one's own process.

use std::fmt;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::read;
use crate::root::Root;

const MAX_LIST: u64 = 4 << 20;

/// The four locks of apt and dpkg. All are of the POSIX kind, which flock(2) knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    /// apt holds it over its whole run, and so does a dpkg that somebody started by hand.
    Frontend,
    /// dpkg holds it while it works.
    Database,
    /// Whoever downloads packages.
    Archives,
    /// Whoever fetches package lists.
    Lists,
}

impl Lock {
    pub const ALL: [Self; 4] = [Self::Frontend, Self::Database, Self::Archives, Self::Lists];

    fn path(self) -> &'static str {
        match self {
            Self::Frontend => "var/lib/dpkg/lock-frontend",
            Self::Database => "var/lib/dpkg/lock",
            Self::Archives => "var/cache/apt/archives/lock",
            Self::Lists => "var/lib/apt/lists/lock",
        }
    }

    /// Whether installed packages may change while it is held.
    pub fn guards_packages(self) -> bool {
        match self {
            Self::Frontend | Self::Database | Self::Archives => true,
            Self::Lists => false,
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.path())
    }
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub lock: Lock,
    /// `None` for a process that isn't seen from here, such as one of another container.
    pub pid: Option<u32>,
}

/// Every lock that is held.
pub fn holders(root: &Root) -> Vec<Holder> {
    // Read once, and only where the kernel can't be asked about a file that this user may not open.
    let mut list: Option<Vec<u8>> = None;
    let mut holders = Vec::new();
    for lock in Lock::ALL {
        let pid = match ask(root, lock) {
            Asked::Free => continue,
            Asked::Held(pid) => pid,
            Asked::Unknown => {
                let list = list.get_or_insert_with(|| {
                    read::read(&Root::host(), "proc/locks", MAX_LIST).unwrap_or_default()
                });
                let inode =
                    root.resolve(lock.path()).and_then(std::fs::metadata).map(|metadata| metadata.ino());
                match inode.ok().and_then(|inode| find(&String::from_utf8_lossy(list), inode)) {
                    None => continue,
                    Some(pid) => pid,
                }
            }
        };
        holders.push(Holder { lock, pid });
    }
    holders
}

/// Whether somebody holds a lock of dpkg's database itself.
pub fn is_database_held(root: &Root) -> bool {
    holders(root).iter().any(|holder| matches!(holder.lock, Lock::Frontend | Lock::Database))
}

enum Asked {
    Free,
    Held(Option<u32>),
    Unknown,
}

/// Asks the kernel about one file: right in every namespace and on every file system, where the file can be opened.
fn ask(root: &Root, lock: Lock) -> Asked {
    let file = match read::open(root, lock.path()) {
        Ok(file) => file,
        Err(error) if error.is_absent() => return Asked::Free,
        Err(_) => return Asked::Unknown,
    };
    let kind = |kind| libc::c_short::try_from(kind);
    let (Ok(write), Ok(none), Ok(start)) = (kind(libc::F_WRLCK), kind(libc::F_UNLCK), kind(libc::SEEK_SET))
    else {
        return Asked::Unknown;
    };
    let mut told = libc::flock { l_type: write, l_whence: start, l_start: 0, l_len: 0, l_pid: 0 };
    match fcntl(file.file(), FcntlArg::F_GETLK(&mut told)) {
        Ok(_) if told.l_type == none => Asked::Free,
        Ok(_) => Asked::Held(u32::try_from(told.l_pid).ok().filter(|&pid| pid != 0)),
        Err(Errno::EINTR | _) => Asked::Unknown,
    }
}

/// The holder of a write lock on the file of this number. The device is not compared, since overlays and btrfs name
/// another one there; a file elsewhere that has the same number can only make us more careful.
fn find(list: &str, inode: u64) -> Option<Option<u32>> {
    list.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, file, ..] = words.as_slice() else {
            return None;
        };
        let is_it = file.rsplit(':').next().and_then(|text| text.parse().ok()) == Some(inode);
        is_it.then(|| pid.parse().ok().filter(|&pid| pid != 0))
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_holder_of_a_write_lock_is_found_and_who_waits_is_not() {
        let list = "1: FLOCK  ADVISORY  WRITE 10 fe:00:77 0 EOF\n\
                    2: POSIX  ADVISORY  READ 11 fe:00:77 0 EOF\n\
                    2: -> POSIX  ADVISORY  WRITE 12 fe:00:77 0 EOF\n\
                    3: POSIX  ADVISORY  WRITE 13 fe:00:770 0 EOF\n\
                    4: POSIX  ADVISORY  WRITE 14 fe:00:78 0 EOF\n\
                    5: OFDLCK ADVISORY  WRITE -1 fe:00:79 0 EOF\n";
        assert_eq!(find(list, 77), None);
        assert_eq!(find(list, 78), Some(Some(14)));
        assert_eq!(find(list, 79), Some(None));
    }

    /// A lock of the open file itself: unlike the kind that dpkg takes, this very process sees it.
    fn hold(root: &Root, lock: Lock) -> File {
        let path = root.path(lock.path());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::create(path).unwrap();
        let lock = libc::flock {
            l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap(),
            l_whence: 0,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_OFD_SETLK(&lock)).unwrap();
        file
    }

    #[test]
    fn each_lock_is_asked_for_and_a_free_or_absent_one_has_no_holder() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(holders(&root), vec![]);
        let lists = hold(&root, Lock::Lists);
        assert_eq!(holders(&root), [Holder { lock: Lock::Lists, pid: None }]);
        assert!(!is_database_held(&root));
        let _database = hold(&root, Lock::Database);
        drop(lists);
        assert_eq!(holders(&root), [Holder { lock: Lock::Database, pid: None }]);
        assert!(is_database_held(&root));
    }
}
