//! The one place of this crate with unsafe code: asking the kernel for its clock's state, and for a file in memory where
//! glibc is too old to do it. For neither there is a safe wrapper.
#![expect(
    unsafe_code,
    reason = "adjtimex has no safe wrapper that gives the status, nor has a bare system call"
)]

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

/// What adjtimex(2) says, having been asked to change nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KernelClock {
    /// `TIME_OK` … `TIME_ERROR`
    pub(crate) state: libc::c_int,
    /// The `STA_…` bits.
    pub(crate) status: libc::c_int,
}

pub(crate) fn read_clock() -> Result<KernelClock, Errno> {
    // SAFETY: timex holds numbers only, for which all bits zero are values.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a timex of our own that outlives the call. Its modes are 0: the kernel only writes it.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    Ok(KernelClock { state: Errno::result(state)?, status: timex.status })
}

/// A file that lies nowhere. By the number of the system call, since glibc has a function for it only since 2.27, and a
/// program that names one that isn't there is not started at all.
pub(crate) fn memory_file(name: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: the name ends in a zero and outlives the call, which only reads it.
    let made = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
    let made = RawFd::try_from(Errno::result(made)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}
