//! Whether a package manager is at work, asked of the kernel itself: no `/proc` is needed, as it may be absent in a chroot.
//!
//! It takes no lock and holds none: closing a lock file would release a lock of this very process.

use std::fs::File;
use std::io;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use patchd_host::root::Root;

/// apt holds the first over its whole run; dpkg the second while it writes, also if apt is gone.
const LOCKS: [&str; 2] = ["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"];

/// The process that holds a lock of dpkg's database.
pub(crate) fn holder(root: &Root) -> io::Result<Option<i32>> {
    for name in LOCKS {
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
            return Ok(Some(lock.l_pid));
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
        assert_eq!(holder(&root).unwrap(), None);
        create_directories(&root.path("var/lib/dpkg"), 0o755).unwrap();
        for name in LOCKS {
            atomic_write(&root.path(name), b"", 0o600).unwrap();
        }
        assert_eq!(holder(&root).unwrap(), None);
    }
}
