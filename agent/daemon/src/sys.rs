//! The one place with unsafe code: what only the C library can do.
#![expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]

/// Gives memory that was freed back to the system. After a scan most of the heap is free, and glibc keeps it otherwise.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim may be called at any time from any thread; it takes its own locks and touches free memory only.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
