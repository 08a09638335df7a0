//! The one place of this crate with unsafe code: asking the kernel for its clock's state, for which there is no safe
//! wrapper.
#![expect(unsafe_code, reason = "adjtimex has no safe wrapper that gives the status")]

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
