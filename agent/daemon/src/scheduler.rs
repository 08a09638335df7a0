//! When the agent begins a run by itself: data in, instants out. It starts nothing and reads no clock.
//!
//! A scan has its slot in every interval, spread over hosts by a hash of the host's id. One that was missed is made up
//! for soon, though not in the first minutes after a boot, where others need the locks. An apply begins inside an open
//! window and nowhere else, at a place of its own in the window's first part, so that the hosts of a fleet don't all
//! come at once; and what was missed of a window is not made up for.

use jiff::{SignedDuration, Timestamp};
use patchd_core::window::{Occurrence, Verdict, splay};
use patchd_protocol::control::RunOutcome;
use sha2::{Digest, Sha256};

use crate::journal::{Attempts, LastAttempt};

/// How long after a boot nothing is begun that takes the package manager's locks.
pub const BOOT_GRACE: SignedDuration = SignedDuration::from_mins(2);

/// How many runs one occurrence of a window gets if each was refused before it changed anything.
const MAX_ATTEMPTS: u32 = 3;

/// How long to wait before the next of them.
const RETRY_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// What the scheduler goes by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time between two scans, and this host's place in it.
    pub interval: SignedDuration,
    pub host: &'a str,
    /// When the agent was started, and when the machine was, if that is known.
    pub started_at: Timestamp,
    pub booted_at: Option<Timestamp>,
    /// When the last run of any kind concluded.
    pub last_end: Option<Timestamp>,
    /// How far the hosts of a fleet are spread over a window.
    pub splay: SignedDuration,
    /// What an apply will take, a reboot included, as far as that is known before it is planned.
    pub needed: Option<SignedDuration>,
    /// Whether the host asked for a reboot when it was last looked at, and policy lets it have one.
    pub asks_for_reboot: bool,
}

impl Facts<'_> {
    /// When the agent may first begin anything.
    fn earliest(&self) -> Timestamp {
        let settled = self.booted_at.and_then(|booted| booted.checked_add(BOOT_GRACE).ok());
        settled.map_or(self.started_at, |settled| settled.max(self.started_at))
    }

    /// When the next scan is due: now or in the past if it is overdue.
    pub fn next_scan(&self, now: Timestamp) -> Timestamp {
        // An end that lies ahead was told by another clock.
        let Some(last) = self.last_end.map(|last| last.min(now)) else { return self.earliest() };
        // A slot that is too near to the last run would look at the same host again.
        let after = last.checked_add(self.interval / 4).unwrap_or(last);
        self.slot_after(after).max(self.earliest())
    }

    /// The first slot of this host after an instant.
    fn slot_after(&self, after: Timestamp) -> Timestamp {
        let interval = self.interval.as_secs().max(1);
        let place = place(self.host, interval);
        let passed = (after.as_second() - place).div_euclid(interval);
        Timestamp::from_second((passed + 1) * interval + place).unwrap_or(Timestamp::MAX)
    }
}

/// A host's place in an interval of so many seconds: spread over hosts, and always the same for one.
fn place(host: &str, interval: i64) -> i64 {
    let place = u64::try_from(interval).ok().and_then(|interval| number(host).checked_rem(interval));
    place.and_then(|place| i64::try_from(place).ok()).unwrap_or_default()
}

/// A number of the host's own: any host's id gives any number alike.
fn number(host: &str) -> u64 {
    let hash = Sha256::digest(host);
    hash.iter().take(7).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// When a host may begin in an occurrence: never before it opens.
pub fn begin_in(occurrence: &Occurrence, facts: &Facts<'_>) -> Timestamp {
    splay::begin(occurrence, number(facts.host), facts.splay, facts.needed)
}

/// The name of one occurrence of a window: what the journal counts attempts by.
pub fn occurrence_name(occurrence: &Occurrence) -> String {
    format!("{}@{}", occurrence.name, occurrence.start)
}

/// Whether an apply is due, or when to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    Due,
    At(Timestamp),
    /// Not before something else changes.
    No,
}

/// Whether to begin an apply. `missing` is how many approved patches the last report misses.
pub fn next_apply(
    facts: &Facts<'_>,
    window: &Verdict,
    attempts: &Attempts,
    missing: u64,
    now: Timestamp,
) -> Apply {
    let occurrence = match window {
        Verdict::NoneConfigured | Verdict::Shut { next: None } => return Apply::No,
        Verdict::Shut { next: Some(next) } => return Apply::At(begin_in(next, facts)),
        Verdict::Open(occurrence) => occurrence,
    };
    let earliest = facts.earliest().max(begin_in(occurrence, facts));
    if now < earliest {
        return Apply::At(earliest);
    }
    let is_known = facts.last_end.is_some_and(|last| occurrence.start <= last);
    match attempts {
        Attempts { count: 0, .. } if is_known && missing == 0 && !facts.asks_for_reboot => Apply::No,
        Attempts { count: 0, .. } => Apply::Due,
        // What somebody stopped stays stopped until the next window.
        Attempts { last: Some(LastAttempt { was_stopped: true, .. }), .. } => Apply::No,
        Attempts { count, last: Some(LastAttempt { concluded_at, verdict: RunOutcome::Refused, .. }) }
            if *count < MAX_ATTEMPTS =>
        {
            match concluded_at.checked_add(RETRY_PAUSE) {
                Ok(again) if now < again => Apply::At(again),
                _ => Apply::Due,
            }
        }
        Attempts { .. } => Apply::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const LATER: &str = "2027-01-01T00:00:00Z";

    fn facts(last_end: Option<&str>) -> Facts<'_> {
        Facts {
            interval: SignedDuration::from_hours(1),
            host: "i-0123456789abcdef0",
            started_at: at("2026-11-23T10:00:00Z"),
            booted_at: Some(at("2026-11-23T09:00:00Z")),
            last_end: last_end.map(at),
            splay: SignedDuration::from_mins(15),
            needed: None,
            asks_for_reboot: false,
        }
    }

    #[test]
    fn the_first_scan_is_at_once_on_a_host_that_has_settled() {
        assert_eq!(facts(None).next_scan(at(LATER)), at("2026-11-23T10:00:00Z"));
        let booting = Facts { booted_at: Some(at("2026-11-23T09:59:30Z")), ..facts(None) };
        assert_eq!(booting.next_scan(at(LATER)), at("2026-11-23T10:01:30Z"));
    }

    #[test]
    fn scans_keep_their_slot_whenever_the_agent_starts() {
        let next = facts(Some("2026-11-23T10:20:00Z")).next_scan(at(LATER));
        let later = Facts { started_at: at("2026-11-23T10:03:00Z"), ..facts(Some("2026-11-23T10:20:00Z")) };
        assert_eq!(later.next_scan(at(LATER)), next);
        let following = next.checked_add(SignedDuration::from_secs(9)).unwrap().to_string();
        let after = facts(Some(&following)).next_scan(at(LATER));
        assert_eq!(after.duration_since(next), SignedDuration::from_hours(1));
    }

    #[test]
    fn a_missed_scan_is_due_when_the_agent_is_back() {
        assert_eq!(facts(Some("2026-11-20T10:20:00Z")).next_scan(at(LATER)), at("2026-11-23T10:00:00Z"));
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_stop_the_scans() {
        let now = at("2026-11-23T11:00:00Z");
        let next = facts(Some("2036-11-23T10:20:00Z")).next_scan(now);
        assert!(next.duration_since(now) <= SignedDuration::from_mins(75), "{next}");
    }

    #[test]
    fn hosts_are_spread_over_the_interval() {
        let mut quarters = [0; 4];
        for number in 0..1_000 {
            quarters[usize::try_from(place(&format!("i-{number:017x}"), 3_600) / 900).unwrap()] += 1;
        }
        assert!(quarters.iter().all(|&count| (180..320).contains(&count)), "{quarters:?}");
        assert!(place("i-0", 1) == 0);
    }

    fn occurrence() -> Occurrence {
        Occurrence {
            start: at("2026-11-23T10:00:00Z"),
            cutoff: at("2026-11-23T12:00:00Z"),
            end: at("2026-11-23T13:00:00Z"),
            name: "night".into(),
        }
    }

    #[track_caller]
    fn check_apply(attempts: &Attempts, missing: u64, now: &str, expected: Apply) {
        let facts = facts(Some("2026-11-23T10:05:00Z"));
        let window = Verdict::Open(occurrence());
        assert_eq!(next_apply(&facts, &window, attempts, missing, at(now)), expected);
    }

    fn tried(count: u32, verdict: RunOutcome) -> Attempts {
        let concluded_at = at("2026-11-23T10:30:00Z");
        let last = LastAttempt { concluded_at, verdict, was_stopped: false };
        Attempts { count, last: Some(last) }
    }

    #[test]
    fn an_open_window_gets_one_apply_if_there_is_something_to_do() {
        check_apply(&Attempts::default(), 3, "2026-11-23T10:31:00Z", Apply::Due);
        check_apply(&Attempts::default(), 0, "2026-11-23T10:31:00Z", Apply::No);
        for verdict in [RunOutcome::Succeeded, RunOutcome::Partial, RunOutcome::Failed] {
            check_apply(&tried(1, verdict), 3, "2026-11-23T11:31:00Z", Apply::No);
        }
        check_apply(&Attempts { count: 1, last: None }, 3, "2026-11-23T11:31:00Z", Apply::No);
    }

    #[test]
    fn a_host_that_asks_for_a_reboot_gets_a_run_although_nothing_is_missing() {
        let asking = Facts { asks_for_reboot: true, ..facts(Some("2026-11-23T10:05:00Z")) };
        let open = Verdict::Open(occurrence());
        let next = |attempts: &Attempts| next_apply(&asking, &open, attempts, 0, at("2026-11-23T10:31:00Z"));
        assert_eq!(next(&Attempts::default()), Apply::Due);
        assert_eq!(next(&tried(1, RunOutcome::Succeeded)), Apply::No, "once in each window");
    }

    #[test]
    fn what_was_not_looked_at_since_the_window_opened_is_looked_at() {
        let old = facts(Some("2026-11-23T09:59:00Z"));
        let due = next_apply(
            &old,
            &Verdict::Open(occurrence()),
            &Attempts::default(),
            0,
            at("2026-11-23T10:15:00Z"),
        );
        assert_eq!(due, Apply::Due);
    }

    #[test]
    fn a_refused_one_is_tried_again_and_not_for_ever() {
        let refused = |count| tried(count, RunOutcome::Refused);
        check_apply(&refused(1), 3, "2026-11-23T10:31:00Z", Apply::At(at("2026-11-23T10:40:00Z")));
        check_apply(&refused(2), 3, "2026-11-23T10:40:00Z", Apply::Due);
        check_apply(&refused(3), 3, "2026-11-23T11:40:00Z", Apply::No);
        let mut stopped = refused(1);
        stopped.last.as_mut().unwrap().was_stopped = true;
        check_apply(&stopped, 3, "2026-11-23T10:40:00Z", Apply::No);
    }

    #[test]
    fn nothing_is_applied_outside_a_window_or_right_after_a_boot() {
        let facts = facts(None);
        let shut = Verdict::Shut { next: Some(occurrence()) };
        let none = Attempts::default();
        let now = at("2026-11-23T09:00:00Z");
        let begin = begin_in(&occurrence(), &facts);
        assert_eq!(next_apply(&facts, &shut, &none, 9, now), Apply::At(begin));
        assert_eq!(next_apply(&facts, &Verdict::Shut { next: None }, &none, 9, now), Apply::No);
        assert_eq!(next_apply(&facts, &Verdict::NoneConfigured, &none, 9, now), Apply::No);
        let booting = Facts { booted_at: Some(at("2026-11-23T10:30:00Z")), ..facts };
        let open = Verdict::Open(occurrence());
        let settled = at("2026-11-23T10:32:00Z");
        assert_eq!(next_apply(&booting, &open, &none, 9, at("2026-11-23T10:31:00Z")), Apply::At(settled));
        assert_eq!(next_apply(&booting, &open, &none, 9, settled), Apply::Due);
    }

    #[test]
    fn a_window_is_begun_at_a_place_of_ones_own_and_never_before_it_opens() {
        // SUSE/rebootmgr#10: a whole estate in the same second, and that one second too early.
        let mut places = std::collections::BTreeSet::new();
        for number in 0..200 {
            let host = format!("i-{number:017x}");
            let facts = Facts { host: &host, ..facts(None) };
            let begin = begin_in(&occurrence(), &facts);
            assert_eq!(begin, begin_in(&occurrence(), &facts), "it is always the same");
            let after = begin.duration_since(occurrence().start);
            assert!((SignedDuration::ZERO..facts.splay).contains(&after), "{after}");
            places.insert(begin);
        }
        assert!(150 < places.len(), "{} places", places.len());
        let short = Occurrence { cutoff: at("2026-11-23T10:00:07Z"), ..occurrence() };
        assert_eq!(begin_in(&short, &facts(None)), short.start);
        // Work that takes all of the window begins as it opens.
        let busy = Facts { needed: Some(SignedDuration::from_hours(2)), ..facts(None) };
        assert_eq!(begin_in(&occurrence(), &busy), occurrence().start);
    }
}
