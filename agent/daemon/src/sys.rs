//! The one place with unsafe code: giving memory back after work, which only the C library and the kernel can do.
#![expect(unsafe_code, reason = "malloc_trim, mallopt and madvise have no safe wrappers")]

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::mman::{MmapAdvise, madvise};
use patchd_host::read;
use patchd_host::root::Root;

/// The longest list of mappings that is read. Ours takes some 40,000 bytes.
const MAX_MAPS: u64 = 4 << 20;

/// The mappings of program and libraries that were there when the program began: start and length.
static PROGRAM: OnceLock<Vec<(usize, usize)>> = OnceLock::new();

/// How many threads of the runtime are at work or wait for some.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Prepares for `give_memory_back`. It has to be called first in `main`, before there is another thread: what the
/// loader has mapped by then stays where it is and as it is for the whole life of the process.
pub fn begin() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt only sets a number, and no other thread is there to allocate meanwhile. One heap for all threads:
    // each of its own would keep what its last user left in pieces, and ours hardly ever run side by side.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
    PROGRAM.get_or_init(mappings_of_files);
}

/// Counts a thread of the runtime that begins.
pub fn thread_begins() {
    THREADS.fetch_add(1, Ordering::Relaxed);
}

/// Counts a thread of the runtime that ends, because there was nothing to do for a while. The last one gives back what
/// the work before needed.
pub fn thread_ends() {
    if THREADS.fetch_sub(1, Ordering::Relaxed) == 1 {
        give_memory_back();
    }
}

/// Gives back what work needed and an idle daemon does not: freed heap, which glibc would keep, and the pages of
/// program and libraries, which stay in the page cache and come back from there as they are used again.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time from any thread; it takes its own locks and touches free memory only.
    unsafe {
        nix::libc::malloc_trim(0);
    }
    for &(start, length) in PROGRAM.get().map(Vec::as_slice).unwrap_or_default() {
        let Some(address) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(start)) else {
            continue;
        };
        // SAFETY: the range is a private, read-only mapping of a file of which no page was ever written to, as the
        // kernel said when the program began. Dropping its pages therefore changes no byte that a later access sees.
        // The loader never unmaps, moves or changes what it mapped at the start, so the range is still that mapping.
        if let Err(errno) = unsafe { madvise(address, length, MmapAdvise::MADV_DONTNEED) } {
            tracing::debug!(%errno, "pages of the program stay in memory");
        }
    }
}

/// The mappings that hold nothing but what is in a file.
fn mappings_of_files() -> Vec<(usize, usize)> {
    let Ok(maps) = read::read(&Root::host(), "proc/self/smaps", MAX_MAPS) else { return Vec::new() };
    unwritten(&String::from_utf8_lossy(&maps))
}

/// Those in the text of /proc/self/smaps. A mapping whose kind of pages is not told is left out.
fn unwritten(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        match line.strip_prefix("Anonymous:") {
            // Pages of its own are pages that were written to, such as what the loader filled in and then locked.
            Some(size) => found.extend(current.take().filter(|_| size.trim() == "0 kB")),
            None if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'a'..='f')) => {
                current = read_only_file(line);
            }
            None => {}
        }
    }
    found
}

/// The range of the head of a mapping, if it maps a file privately and can't be written to.
fn read_only_file(head: &str) -> Option<(usize, usize)> {
    let mut words = head.split_ascii_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    if !matches!(permissions, "r-xp" | "r--p") || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &str, anonymous: &str, expected: &[(usize, usize)]) {
        let text = format!("{head}\nSize: 8 kB\nRss: 8 kB\nAnonymous: {anonymous}\nLocked: 0 kB\n");
        assert_eq!(unwritten(&text), expected, "{head}");
        let twice = format!("{text}{text}");
        assert_eq!(unwritten(&twice).len(), 2 * expected.len());
    }

    #[test]
    fn only_unwritten_pages_of_files_are_given_back() {
        let code = "55d0c0000000-55d0c0002000 r-xp 00001000 fe:00 1234                       /usr/bin/patchd";
        let range = (0x55d0_c000_0000, 0x2000);
        check(code, "   0 kB", &[range]);
        check(&code.replace("r-xp", "r--p"), "0 kB", &[range]);
        check(&code.replace("r-xp", "r--p"), "4 kB", &[]);
        for permissions in ["rw-p", "r--s", "r-xs", "rwxp"] {
            check(&code.replace("r-xp", permissions), "0 kB", &[]);
        }
        check("7ffd-7fff r-xp 00000000 00:00 0                          [vdso]", "0 kB", &[]);
        check("7ffd-7fff r--p 00000000 00:00 0", "0 kB", &[]);
        assert_eq!(unwritten(code), [], "what is not told is not given back");
    }

    #[test]
    fn the_program_runs_on_after_it() {
        begin();
        assert!(!PROGRAM.get().unwrap().is_empty());
        thread_begins();
        thread_ends();
        assert!(!mappings_of_files().is_empty());
    }
}
