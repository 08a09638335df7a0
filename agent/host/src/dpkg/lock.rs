//! Whether a package manager is at work, from the kernel's list of locks.
//!
//! The lock files are never opened: closing one would release a lock of our own process, and they belong to root.

use std::os::unix::fs::MetadataExt;

use crate::read;
use crate::root::Root;

/// apt holds the first over its whole run, dpkg the second while it writes.
const LOCKS: [&str; 2] = ["var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock"];
const MAX_LIST: u64 = 4 << 20;

/// The process that holds a lock of dpkg's database, or none. A process of another container isn't seen.
pub fn holder(root: &Root) -> Option<u32> {
    let list = read::read(&Root::host(), "proc/locks", MAX_LIST).ok()?;
    let list = String::from_utf8_lossy(&list);
    LOCKS.iter().find_map(|name| {
        let metadata = root.resolve(name).and_then(std::fs::metadata).ok()?;
        find(&list, metadata.ino())
    })
}

/// The holder of a write lock on the file of this number. The device is not compared, since overlays and btrfs name
/// another one there; a file elsewhere that has the same number can only make us more careful.
fn find(list: &str, inode: u64) -> Option<u32> {
    list.lines().find_map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, file, ..] = words.as_slice() else {
            return None;
        };
        let is_it = file.rsplit(':').next().and_then(|text| text.parse().ok()) == Some(inode);
        is_it.then(|| pid.parse().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
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
        assert_eq!(find(list, 78), Some(14));
        assert_eq!(find(list, 79), Some(0));
    }
}
