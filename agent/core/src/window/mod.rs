//! Windows: when a host may be changed. Each occurrence is a pair of instants; wall clocks end here.
//!
//! What is open says nothing of what forbids a change: `freeze` does.

mod at;
mod calendar;
mod civil;
mod cron;
mod days;
mod duration;
mod error;
pub mod freeze;
mod occurrences;
mod rate;
mod schedule;
pub mod splay;
mod weekly;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use self::error::{Field, InvalidWindow};
pub use self::occurrences::Occurrences;
pub use self::schedule::{Schedule, ScheduleText};

/// The longest window, as in Systems Manager.
pub const MAX_DURATION: SignedDuration = SignedDuration::from_hours(24);

/// A window as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowText {
    pub name: String,
    pub schedule: ScheduleText,
    /// How long it lasts, unless the schedule says so.
    pub duration: Option<SignedDuration>,
    /// How long before its end the last step may start. Default: not at all before.
    pub cutoff: Option<SignedDuration>,
}

/// One window as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    text: WindowText,
    schedule: Schedule,
    duration: SignedDuration,
    cutoff: SignedDuration,
}

/// One time that a window opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    pub start: Timestamp,
    /// From here on no new step starts.
    pub cutoff: Timestamp,
    pub end: Timestamp,
    pub name: String,
}

/// What the windows say of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    NoneConfigured,
    /// A step may start: it is before the cutoff.
    Open(Occurrence),
    /// Closed, or past its cutoff; the next opening if there is one.
    Shut {
        next: Option<Occurrence>,
    },
}

impl Window {
    /// Reads a window. `zone_of` resolves an IANA name, so that the tz database stays outside.
    pub fn parse(
        text: WindowText,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<Self, InvalidWindow> {
        let (schedule, of_schedule) = Schedule::parse(&text.schedule, zone_of)?;
        let wrong = |field, detail| Err(InvalidWindow::new(field, detail));
        // Systems Manager counts whole hours, from 1; its schedules are held to that hour here, and to 24.
        let (field, shortest, duration) = match (of_schedule, text.duration) {
            (Some(_), Some(_)) => {
                return wrong(Field::Duration, "the schedule says it itself; write it once".into());
            }
            (Some(duration), None) => (Field::Schedule, "1 minute", duration),
            (None, Some(duration)) => (Field::Duration, "1 hour", duration),
            (None, None) => {
                let detail = "the schedule says none; write how long the window lasts, such as 3h";
                return wrong(Field::Duration, detail.into());
            }
        };
        let least =
            if of_schedule.is_some() { SignedDuration::from_mins(1) } else { SignedDuration::from_hours(1) };
        if !(least..=MAX_DURATION).contains(&duration) {
            let detail = format!("the window lasts {duration:?}; it must last from {shortest} to 24 hours");
            return wrong(field, detail);
        }
        let cutoff = text.cutoff.unwrap_or(SignedDuration::ZERO);
        if duration <= cutoff || cutoff < SignedDuration::ZERO {
            let detail = format!("{cutoff:?} before the end leaves nothing of a window of {duration:?}");
            return wrong(Field::Cutoff, detail);
        }
        Ok(Self { text, schedule: schedule.slowed_to(duration), duration, cutoff })
    }

    pub fn name(&self) -> &str {
        &self.text.name
    }

    /// As it is written down.
    pub fn text(&self) -> &WindowText {
        &self.text
    }

    /// How long it lasts, and how long before its end the last step may start.
    pub fn duration(&self) -> (SignedDuration, SignedDuration) {
        (self.duration, self.cutoff)
    }

    /// The times that it opens after an instant, in order.
    pub fn opens_after(&self, after: Timestamp) -> impl Iterator<Item = Occurrence> {
        Occurrences::around(self, after).skip_while(move |occurrence| occurrence.start <= after)
    }

    /// The times that end after an instant, in order: the first may be open.
    pub fn ends_after(&self, after: Timestamp) -> impl Iterator<Item = Occurrence> {
        Occurrences::around(self, after).skip_while(move |occurrence| occurrence.end <= after)
    }

    fn occurrence_from(&self, start: Timestamp) -> Option<Occurrence> {
        let end = start.checked_add(self.duration).ok()?;
        let cutoff = end.checked_sub(self.cutoff).ok()?;
        Some(Occurrence { start, cutoff, end, name: self.text.name.clone() })
    }
}

/// What `windows` say of `now`. Of several open ones, the one whose cutoff is last.
pub fn verdict(windows: &[Window], now: Timestamp) -> Verdict {
    if windows.is_empty() {
        return Verdict::NoneConfigured;
    }
    let at_or_before = |occurrence: &Occurrence| occurrence.start <= now;
    let open = windows
        .iter()
        .flat_map(|window| window.ends_after(now).take_while(at_or_before))
        .filter(|occurrence| now < occurrence.cutoff)
        .max_by_key(|occurrence| occurrence.cutoff);
    match open {
        Some(occurrence) => Verdict::Open(occurrence),
        None => {
            Verdict::Shut { next: windows.iter().filter_map(|window| window.opens_after(now).next()).min() }
        }
    }
}

/// The occurrence that is past its cutoff at `now` and has not ended; of several, the one that ends last.
pub fn closing(windows: &[Window], now: Timestamp) -> Option<Occurrence> {
    let has_begun = |occurrence: &Occurrence| occurrence.start <= now;
    windows
        .iter()
        .flat_map(|window| window.ends_after(now).take_while(has_begun))
        .filter(|occurrence| occurrence.cutoff <= now)
        .max_by_key(|occurrence| occurrence.end)
}

#[cfg(test)]
mod tests;
