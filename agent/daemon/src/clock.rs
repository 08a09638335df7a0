//! The daemon's clock: the one place where it asks what time it is, and where it judges whether to believe the answer.
//!
//! A clock that was set while patchd looked, or that shows less than the journal knows, is not believed: nothing that
//! nobody asked for happens then. Whether somebody keeps it right is the kernel's to say, and for the gates to weigh.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};
use patchd_host::clock::{Synchronisation, synchronisation};

/// How far two clocks may drift apart between two looks, and how far back the clock may be.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// How long a clock that was set must have gone steadily before it is believed again.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// Where the time comes from. Tests have one that they move.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// How long the machine has been up, sleep included. Nobody can set it.
    fn since_boot(&self) -> Duration;

    /// Whether somebody keeps the clock right.
    fn synchronisation(&self) -> Synchronisation;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the edge at which the daemon learns the time")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn since_boot(&self) -> Duration {
        clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
    }

    fn synchronisation(&self) -> Synchronisation {
        synchronisation()
    }
}

/// A clock under watch.
#[derive(Debug)]
pub struct ClockWatch<C> {
    clock: C,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Both clocks at the last look.
    last: (Timestamp, Duration),
    /// Since when the clock has gone steadily, and by how much it was set then, if it was.
    steady_since: Duration,
    set_by: Option<SignedDuration>,
    /// The newest instant that was believed: the journal's, or one of a later look.
    newest: Option<Timestamp>,
    is_accepted: bool,
}

impl<C: Clock> ClockWatch<C> {
    /// `newest` is the newest instant that the journal knows of.
    pub fn new(clock: C, newest: Option<Timestamp>) -> Self {
        let (now, up) = (clock.now(), clock.since_boot());
        let state = State { last: (now, up), steady_since: up, set_by: None, newest, is_accepted: false };
        Self { clock, state: Mutex::new(state) }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the clock: nothing, or why it is not to be believed.
    pub fn distrust(&self) -> Option<String> {
        let (now, up) = (self.clock.now(), self.clock.since_boot());
        let mut state = self.state();
        let (last, last_up) = state.last;
        let passed = SignedDuration::try_from(up.saturating_sub(last_up)).unwrap_or(SignedDuration::MAX);
        let set_by = now.duration_since(last).saturating_sub(passed);
        state.last = (now, up);
        if TOLERANCE < set_by.abs() {
            tracing::warn!(
                seconds = set_by.as_secs(),
                "the clock was set; nothing is begun until it is steady"
            );
            state.set_by = Some(set_by);
            state.steady_since = up;
        }
        let is_steady = QUIET <= up.saturating_sub(state.steady_since);
        if let Some(by) = state.set_by {
            if !is_steady {
                let (seconds, way) = (by.abs().as_secs(), if by.is_negative() { "back" } else { "forward" });
                return Some(format!(
                    "it was set {way} by {seconds} s; patchd waits until it has gone steadily for 10 minutes"
                ));
            }
            state.set_by = None;
        }
        let newest = state.newest.unwrap_or(now);
        if TOLERANCE < newest.duration_since(now) {
            if !(is_steady && self.clock.synchronisation() == Synchronisation::Synchronised) {
                return Some(format!(
                    "it shows {now:.0}, and patchd has written down {newest:.0} before; if it is right now, \
                     `patchctl resume` says so"
                ));
            }
            tracing::warn!(%newest, "the clock was ahead before; it is steady and kept right now, and believed");
            state.is_accepted = true;
            state.newest = Some(now);
        } else {
            state.newest = Some(newest.max(now));
        }
        None
    }

    /// Somebody says that the clock is right.
    pub fn accept(&self) {
        let mut state = self.state();
        state.last = (self.clock.now(), self.clock.since_boot());
        state.newest = Some(state.last.0);
        state.set_by = None;
        state.is_accepted = true;
    }

    /// Whether the clock was accepted since this was asked last: then what the journal had before counts no more.
    pub fn take_accepted(&self) -> bool {
        std::mem::take(&mut self.state().is_accepted)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A clock whose two hands a test moves.
    #[derive(Clone)]
    struct Hands(Arc<Mutex<(Timestamp, Duration, Synchronisation)>>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        fn since_boot(&self) -> Duration {
            self.0.lock().unwrap().1
        }

        fn synchronisation(&self) -> Synchronisation {
            self.0.lock().unwrap().2.clone()
        }
    }

    impl Hands {
        fn at(text: &str) -> Self {
            let unsynchronised = Synchronisation::Unsynchronised;
            Self(Arc::new(Mutex::new((text.parse().unwrap(), Duration::from_secs(500), unsynchronised))))
        }

        /// Time goes by.
        fn pass(&self, minutes: i64) {
            self.set(minutes * 60);
            self.0.lock().unwrap().1 += Duration::from_secs(u64::try_from(minutes).unwrap() * 60);
        }

        /// Somebody sets the clock.
        fn set(&self, seconds: i64) {
            let mut hands = self.0.lock().unwrap();
            hands.0 = hands.0.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        }

        fn keep_right(&self) {
            self.0.lock().unwrap().2 = Synchronisation::Synchronised;
        }
    }

    fn watch(hands: &Hands, newest: Option<&str>) -> ClockWatch<Hands> {
        ClockWatch::new(hands.clone(), newest.map(|text| text.parse().unwrap()))
    }

    const NOW: &str = "2026-11-23T10:00:00Z";

    #[test]
    fn a_clock_that_was_set_is_believed_after_ten_quiet_minutes() {
        for seconds in [-61, 61, 86_400, -86_400] {
            let hands = Hands::at(NOW);
            let watch = watch(&hands, None);
            hands.pass(1);
            assert_eq!(watch.distrust(), None);
            hands.set(seconds);
            let told = watch.distrust().unwrap();
            assert!(told.contains(&format!("by {} s", seconds.abs())), "{told}");
            hands.pass(9);
            assert!(watch.distrust().is_some());
            hands.set(seconds);
            hands.pass(9);
            assert!(watch.distrust().is_some(), "the second time counts");
            hands.keep_right();
            hands.pass(11);
            assert_eq!(watch.distrust(), None, "{seconds}");
        }
    }

    #[test]
    fn a_clock_that_is_trimmed_and_a_machine_that_sleeps_are_believed() {
        let hands = Hands::at(NOW);
        let watch = watch(&hands, None);
        for _ in 0..100 {
            hands.pass(600);
            hands.set(-18);
            assert_eq!(watch.distrust(), None);
        }
    }

    #[test]
    fn a_clock_behind_the_journal_waits_for_somebody_who_keeps_it_right() {
        let hands = Hands::at(NOW);
        let watch = watch(&hands, Some("2036-01-01T00:00:00Z"));
        let told = watch.distrust().unwrap();
        assert!(told.contains("2026-11-23T10:00:00Z") && told.contains("2036-01-01"), "{told}");
        hands.pass(60);
        assert!(watch.distrust().is_some());
        assert!(!watch.take_accepted());
        hands.keep_right();
        assert_eq!(watch.distrust(), None);
        assert!(watch.take_accepted() && !watch.take_accepted());
        hands.pass(1);
        assert_eq!(watch.distrust(), None);
    }

    #[test]
    fn it_is_believed_when_it_has_caught_up_or_somebody_says_so() {
        let hands = Hands::at(NOW);
        let caught_up = watch(&hands, Some("2026-11-23T10:30:00Z"));
        let accepted = watch(&hands, Some("2026-11-23T10:30:00Z"));
        assert!(caught_up.distrust().is_some() && accepted.distrust().is_some());
        accepted.accept();
        assert_eq!(accepted.distrust(), None);
        assert!(accepted.take_accepted());
        hands.pass(29);
        assert_eq!(caught_up.distrust(), None);
        assert!(!caught_up.take_accepted());
    }

    #[test]
    fn the_machine_has_both_clocks() {
        let watch = ClockWatch::new(SystemClock, None);
        assert_eq!(watch.distrust(), None);
        assert!(Duration::ZERO < SystemClock.since_boot());
    }
}
