//! The daemon's clock: the one place where it asks what time it is, and where it judges whether to believe the answer.
//!
//! A clock that was set while patchd looked, or that shows less than the journal knows, is not believed: nothing that
//! nobody asked for happens then. Whether somebody keeps it right is the kernel's to say, and for the gates to weigh. The
//! kernel's word comes from the executor (`clock_keeper`): a service that may not set the clock can't ask.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use nix::time::{ClockId, clock_gettime};
use patchd_protocol::executor::ClockWire;
use tokio::sync::{Notify, watch};

/// How far two clocks may drift apart between two looks, and how far back the clock may be.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// How long a clock that was set must have gone steadily before it is believed again.
const QUIET: Duration = Duration::from_secs(10 * 60);

/// How old the kernel's word may be to make a clock believed that was ahead before.
const FRESH: Duration = Duration::from_secs(2 * 60);

/// How old it may be to be shown, and how old that there is none.
const SHOWABLE: Duration = Duration::from_secs(5 * 60);
const SHOWABLE_UNKNOWN: Duration = Duration::from_secs(30);

/// Where the time comes from. Tests have one that they move.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;

    /// How long the machine has been up, sleep included. Nobody can set it.
    fn since_boot(&self) -> Duration;
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
}

/// What the kernel said of its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub clock: ClockWire,
    /// How long ago.
    pub age: Duration,
}

impl Word {
    /// Whether it still tells how things are, for people.
    pub fn is_showable(&self) -> bool {
        let limit = if matches!(self.clock, ClockWire::Unknown { .. }) { SHOWABLE_UNKNOWN } else { SHOWABLE };
        self.age < limit
    }
}

/// A clock under watch.
#[derive(Debug)]
pub struct ClockWatch<C> {
    clock: C,
    state: Mutex<State>,
    /// The kernel's last word, and when it came, by the time since boot.
    word: watch::Sender<Option<(ClockWire, Duration)>>,
    wanted: Notify,
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
        Self { clock, state: Mutex::new(state), word: watch::Sender::new(None), wanted: Notify::new() }
    }

    /// Takes the kernel's word down.
    pub fn take_word(&self, clock: ClockWire) {
        self.word.send_replace(Some((clock, self.clock.since_boot())));
    }

    /// The kernel's last word; none if it was never asked, or the clock was set since.
    pub fn word(&self) -> Option<Word> {
        let (clock, at) = self.word.borrow().clone()?;
        Some(Word { clock, age: self.clock.since_boot().saturating_sub(at) })
    }

    /// Waits until somebody wants the kernel to be asked again.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Has the kernel asked again, and waits for its word, not longer than this.
    pub async fn ask_again(&self, limit: Duration) {
        let mut word = self.word.subscribe();
        self.wanted.notify_one();
        // Who asks shows what there is, be it old.
        let _ = tokio::time::timeout(limit, word.changed()).await;
    }

    /// Whether the kernel said just now that somebody keeps its clock right. If that is not known, it is asked.
    fn is_kept(&self) -> bool {
        match self.word() {
            Some(word) if word.age < FRESH => word.clock == ClockWire::Synchronised,
            _ => {
                self.wanted.notify_one();
                false
            }
        }
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
            // What the kernel said of the clock before counts no more.
            self.word.send_replace(None);
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
            if !(is_steady && self.is_kept()) {
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
        let now = self.clock.now();
        state.last = (now, self.clock.since_boot());
        // To one that was never in doubt it makes no difference.
        state.is_accepted |= state.set_by.is_some() || state.newest.is_some_and(|newest| now < newest);
        state.newest = Some(now);
        state.set_by = None;
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
    struct Hands(Arc<Mutex<(Timestamp, Duration)>>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        fn since_boot(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }

    impl Hands {
        fn at(text: &str) -> Self {
            Self(Arc::new(Mutex::new((text.parse().unwrap(), Duration::from_secs(500)))))
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
            hands.pass(11);
            watch.take_word(ClockWire::Synchronised);
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
        watch.take_word(ClockWire::Synchronised);
        assert!(watch.distrust().is_some(), "it may have been set just before");
        hands.pass(60);
        assert!(watch.distrust().is_some(), "that word is old");
        for no in [ClockWire::Unsynchronised, ClockWire::Unknown { detail: "nobody answers".into() }] {
            watch.take_word(no);
            assert!(watch.distrust().is_some());
        }
        assert!(!watch.take_accepted());
        watch.take_word(ClockWire::Synchronised);
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
        accepted.accept();
        assert!(!accepted.take_accepted(), "nothing was wrong with it");
        hands.pass(29);
        assert_eq!(caught_up.distrust(), None);
        assert!(!caught_up.take_accepted());
    }

    #[test]
    fn the_kernels_word_does_not_outlive_the_clock_that_it_was_about() {
        let hands = Hands::at(NOW);
        let watch = watch(&hands, None);
        assert_eq!(watch.word(), None);
        watch.take_word(ClockWire::Synchronised);
        hands.pass(4);
        assert_eq!(watch.distrust(), None);
        let word = watch.word().unwrap();
        assert_eq!(word, Word { clock: ClockWire::Synchronised, age: Duration::from_secs(240) });
        assert!(word.is_showable() && !Word { age: SHOWABLE, ..word }.is_showable());
        hands.set(3600);
        assert!(watch.distrust().is_some());
        assert_eq!(watch.word(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_kernel_is_asked_when_its_word_is_needed_and_nobody_waits_for_ever() {
        let hands = Hands::at(NOW);
        let watch = watch(&hands, Some("2036-01-01T00:00:00Z"));
        hands.pass(11);
        assert!(watch.distrust().is_some());
        watch.wanted().await;
        watch.ask_again(Duration::from_secs(1)).await;
        watch.wanted().await;
        assert_eq!(watch.word(), None);
        let told = async { watch.take_word(ClockWire::Synchronised) };
        tokio::join!(watch.ask_again(Duration::MAX), told);
        assert_eq!(watch.distrust(), None);
    }

    #[test]
    fn the_machine_has_both_clocks() {
        let watch = ClockWatch::new(SystemClock, None);
        assert_eq!(watch.distrust(), None);
        assert!(Duration::ZERO < SystemClock.since_boot());
    }
}
