//! What the gates of a run look at: the executor's observation, what the settings say of now, and the clock's verdict.
//!
//! Whether that opens them is the core's to say, and root's own policy is asked again by the executor.

use jiff::{SignedDuration, Timestamp};
use patchd_core::gate::{Clock, Grant, Observed};
use patchd_core::plan::need::{Filesystem, Use};
use patchd_core::window::{self, Occurrence, Verdict};
use patchd_protocol::config::Settings;
use patchd_protocol::control::{OccurrenceWire, WindowStatus, WindowVerdict};
use patchd_protocol::executor::{ClockWire, FilesystemWire, GrantWire, ObservedWire};

/// What the daemon itself knows of the moment.
#[derive(Debug, Clone)]
pub struct Moment<'a> {
    pub now: Timestamp,
    pub settings: &'a Settings,
    pub is_paused: bool,
    /// Why the clock is not to be believed, if it is not.
    pub distrust: Option<String>,
    /// Why cloud-init must be waited for, if it must.
    pub cloud_init: Option<String>,
}

impl Moment<'_> {
    /// Everything that the gates look at.
    pub fn with(self, seen: ObservedWire) -> Observed {
        let span = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        let Self { now, settings, is_paused, distrust, cloud_init } = self;
        let grant = |GrantWire { reason, until }: GrantWire| Grant { until, reason };
        Observed {
            now,
            window: window::verdict(&settings.windows, now),
            closing: window::closing(&settings.windows, now).map(Box::new),
            is_paused,
            freeze: settings.frozen(now),
            lifted: settings.lifted(now),
            clock: clock(distrust, seen.clock, settings.clock.require_synchronised),
            filesystems: seen.filesystems.into_iter().map(filesystem).collect(),
            available_memory: seen.available_memory_bytes,
            lock_holder: seen.lock_holder,
            cloud_init,
            grant: seen.grant.map(grant),
            reserve: span(settings.apply.reboot_reserve),
            longest_transaction: span(settings.apply.longest_transaction),
        }
    }
}

/// A clock that was set is believed by no setting.
pub fn clock(distrust: Option<String>, seen: ClockWire, is_required: bool) -> Clock {
    match (distrust, seen) {
        (Some(detail), _) => Clock::Jumped { detail },
        (None, ClockWire::Synchronised) => Clock::Synchronised,
        (None, _) if !is_required => Clock::NotRequired,
        (None, ClockWire::Unsynchronised) => Clock::Unsynchronised,
        (None, ClockWire::Unknown { detail }) => Clock::Unknown { detail },
    }
}

/// A use that this version does not know asks for nothing that it could reckon with.
fn filesystem(wire: FilesystemWire) -> Filesystem {
    Filesystem {
        uses: wire.uses.iter().filter_map(|code| Use::parse(code)).collect(),
        mount: wire.mount,
        free_bytes: wire.free_bytes,
        free_inodes: wire.free_inodes,
        is_read_only: wire.is_read_only,
    }
}

/// What the windows say, for those who ask over the control socket.
pub fn window_status(verdict: &Verdict) -> WindowStatus {
    let (verdict, next) = match verdict {
        Verdict::NoneConfigured => (WindowVerdict::None, None),
        Verdict::Open(open) => (WindowVerdict::Open, Some(open)),
        Verdict::Shut { next } => (WindowVerdict::Shut, next.as_ref()),
    };
    let occurrence = |occurrence: &Occurrence| {
        let Occurrence { start, cutoff, end, name } = occurrence;
        OccurrenceWire { name: name.clone(), start: *start, cutoff: *cutoff, end: *end }
    };
    WindowStatus { verdict, occurrence: next.map(occurrence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clock_gets_its_verdict() {
        let unknown = || ClockWire::Unknown { detail: "no adjtimex".into() };
        assert_eq!(clock(None, ClockWire::Synchronised, true), Clock::Synchronised);
        assert_eq!(clock(None, ClockWire::Unsynchronised, true), Clock::Unsynchronised);
        assert_eq!(clock(None, unknown(), true), Clock::Unknown { detail: "no adjtimex".into() });
        for seen in [ClockWire::Unsynchronised, unknown()] {
            assert_eq!(clock(None, seen, false), Clock::NotRequired);
        }
        for seen in [ClockWire::Synchronised, ClockWire::Unsynchronised, unknown()] {
            let jumped = clock(Some("it was set".into()), seen, false);
            assert_eq!(jumped, Clock::Jumped { detail: "it was set".into() });
        }
    }
}
