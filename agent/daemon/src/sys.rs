//! The one place with unsafe code: giving memory back after a scan, which only the C library and the kernel can do.
#![expect(unsafe_code, reason = "malloc_trim and madvise have no safe wrappers")]

use std::ffi::c_void;
use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, madvise};
use patchd_host::read;
use patchd_host::root::Root;

/// The longest list of mappings that is read. Ours has some thirty lines.
const MAX_MAPS: u64 = 256 * 1024;

/// Gives back what a scan needed and an idle daemon does not: freed heap, which glibc would keep, and the pages of our
/// own code, which stay in the page cache and come back from there one by one as they are called again.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time from any thread; it takes its own locks and touches free memory only.
    unsafe {
        nix::libc::malloc_trim(0);
    }
    for (start, length) in own_code() {
        let Some(address) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(start)) else {
            continue;
        };
        // SAFETY: the range is one executable, read-only, private mapping of our own program file, as the kernel just
        // said. Nothing ever wrote to it, so dropping its pages changes no byte that a later access sees, and our
        // program is never unmapped.
        if let Err(errno) = unsafe { madvise(address, length, MmapAdvise::MADV_DONTNEED) } {
            tracing::debug!(%errno, "the pages of our own code stay in memory");
        }
    }
}

/// The executable mappings of our own program: start and length.
fn own_code() -> Vec<(usize, usize)> {
    let Ok(program) = std::env::current_exe() else { return Vec::new() };
    let Ok(maps) = read::read(&Root::host(), "proc/self/maps", MAX_MAPS) else { return Vec::new() };
    let maps = String::from_utf8_lossy(&maps);
    maps.lines().filter_map(|line| code_of(line, program.to_str()?)).collect()
}

/// The range of a line of /proc/self/maps if it maps the code of `program`.
fn code_of(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    let path = words.nth(3)?;
    if permissions != "r-xp" || path != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_code_is_given_back() {
        let line = "55d0c0000000-55d0c0002000 r-xp 00001000 fe:00 1234                       /usr/bin/patchd";
        assert_eq!(code_of(line, "/usr/bin/patchd"), Some((0x55d0_c000_0000, 0x2000)));
        assert_eq!(code_of(line, "/usr/bin/other"), None);
        for permissions in ["r--p", "rw-p", "r-xs", "rwxp"] {
            assert_eq!(code_of(&line.replace("r-xp", permissions), "/usr/bin/patchd"), None, "{permissions}");
        }
        assert_eq!(code_of("7ffd-7ffe r-xp 00000000 00:00 0", "/usr/bin/patchd"), None);
    }

    #[test]
    fn the_program_runs_on_after_it() {
        assert!(!own_code().is_empty());
        give_memory_back();
        assert!(!own_code().is_empty());
    }
}
