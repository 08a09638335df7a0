//! The executor's own clocks: the one place where it asks what time it is.
//!
//! Windows are judged by this clock and never by what a client says of the time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "the executor's one look at the wall clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A point from which on something has taken too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    #[expect(clippy::disallowed_methods, reason = "the executor's one look at the monotonic clock")]
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now().checked_add(duration))
    }

    #[expect(clippy::disallowed_methods, reason = "the executor's one look at the monotonic clock")]
    pub(crate) fn has_passed(self) -> bool {
        self.0.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// A point of the past.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(Instant);

impl Moment {
    #[expect(clippy::disallowed_methods, reason = "the executor's one look at the monotonic clock")]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
