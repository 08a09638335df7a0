//! The daemon's clock: the one place where it asks what time it is.

use jiff::Timestamp;

/// Where the time comes from. Tests have one that they move.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge at which the daemon learns the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
