//! Whether the kernel's clock is kept right by somebody. What time it is, is for each program's own clock to say.

use nix::libc;

use crate::sys;

/// The kernel's own word. Who keeps the clock (chrony, systemd-timesyncd, ntpd) sets it, and the kernel takes it back
/// when nobody did for so long that the error could be 16 seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Synchronisation {
    Synchronised,
    Unsynchronised,
    /// Nobody can tell: services that may not set the clock are often kept from asking, too.
    Unknown {
        detail: String,
    },
}

/// Asks the running kernel. It changes nothing and needs no privilege.
pub fn synchronisation() -> Synchronisation {
    match sys::read_clock() {
        Ok(clock) => judge(clock.state, clock.status),
        Err(errno) => Synchronisation::Unknown { detail: format!("adjtimex: {}", errno.desc()) },
    }
}

fn judge(state: libc::c_int, status: libc::c_int) -> Synchronisation {
    if state == libc::TIME_ERROR || status & libc::STA_UNSYNC != 0 {
        Synchronisation::Unsynchronised
    } else {
        Synchronisation::Synchronised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_state_and_its_bit_both_count() {
        for (state, status, expected) in [
            (libc::TIME_OK, 0x2001, Synchronisation::Synchronised),
            (libc::TIME_INS, 0x11, Synchronisation::Synchronised),
            (libc::TIME_ERROR, 0x1, Synchronisation::Unsynchronised),
            (libc::TIME_OK, 0x40, Synchronisation::Unsynchronised),
        ] {
            assert_eq!(judge(state, status), expected, "{state} {status:#x}");
        }
    }

    #[test]
    fn this_kernel_can_be_asked() {
        // Where a filter keeps tests from asking, it must say so.
        if let Synchronisation::Unknown { detail } = synchronisation() {
            assert!(detail.starts_with("adjtimex: "), "{detail}");
        }
    }
}
