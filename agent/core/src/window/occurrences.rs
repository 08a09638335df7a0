//! The times that a window opens, in order and never two at once.
//!
//! A start that comes while the window is open is passed over, as Systems Manager does (SKIPPED_OVERLAPPING). What is
//! open then depends on the start before, and that on the one before it, so where somebody begins to look must not
//! matter: each week, from Monday 00:00 UTC, is reckoned from the first start of the week before it. Wherever a schedule
//! leaves the window shut for once in a week, that is what Systems Manager would have reckoned from the very first
//! start. Where it never does (every 6 hours for 8 hours), one opening more may be passed over when a week turns.

use jiff::Timestamp;

use super::{Occurrence, Window};

const SECONDS_IN_WEEK: i64 = 7 * 86_400;

/// The first Monday lies this much before 1970.
const MONDAY: i64 = -3 * 86_400;

/// See the module's description.
#[derive(Debug, Clone)]
pub struct Occurrences<'a> {
    window: &'a Window,
    /// The week that is being reckoned, by its number.
    week: i64,
    /// The next start is looked for from here on.
    from: Option<Timestamp>,
    open_until: Timestamp,
}

impl<'a> Occurrences<'a> {
    /// Those that may be open at `instant`, perhaps some that have ended by then, and all that follow.
    pub(super) fn around(window: &'a Window, instant: Timestamp) -> Self {
        let mut occurrences = Self { window, week: 0, from: None, open_until: Timestamp::MIN };
        occurrences.enter(week_of(instant) - 1);
        occurrences
    }

    fn enter(&mut self, week: i64) {
        self.week = week;
        self.from = self.first_in(week);
    }

    /// The first start of a week, as it is reckoned from the week before.
    fn first_in(&self, week: i64) -> Option<Timestamp> {
        let begin = first_instant(week)?;
        let mut from = first_instant(week - 1)?;
        loop {
            let start = self.window.schedule.next_from(from)?;
            if begin <= start {
                return Some(start);
            }
            from = start.checked_add(self.window.duration).ok()?;
        }
    }
}

impl Iterator for Occurrences<'_> {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        loop {
            let start = self.window.schedule.next_from(self.from?)?;
            let week_end = first_instant(self.week + 1)?;
            if week_end <= start {
                // A start of another week is reckoned anew. Weeks without any are passed over at once.
                let next = self.window.schedule.next_from(week_end)?;
                self.enter(week_of(next));
                continue;
            }
            let occurrence = self.window.occurrence_from(start)?;
            self.from = Some(occurrence.end);
            if self.open_until <= start {
                self.open_until = occurrence.end;
                return Some(occurrence);
            }
        }
    }
}

fn week_of(instant: Timestamp) -> i64 {
    (instant.as_second() - MONDAY).div_euclid(SECONDS_IN_WEEK)
}

/// `None` if it lies beyond all time.
fn first_instant(week: i64) -> Option<Timestamp> {
    Timestamp::from_second(week.checked_mul(SECONDS_IN_WEEK)?.checked_add(MONDAY)?).ok()
}
