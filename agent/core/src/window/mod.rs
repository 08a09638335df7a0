//! Windows: when a host may be changed. Each occurrence is a pair of instants; wall clocks end here.
//!
//! Only the weekly shorthand is known so far (`Sun 02:00 +3h Europe/Berlin`). Freezes and cron are not here.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};
use thiserror::Error;

/// The longest window, as in Systems Manager.
pub const MAX_DURATION: SignedDuration = SignedDuration::from_hours(24);

/// Why a schedule is not a window. Each message names the field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidWindow {
    #[error("schedule {0:?} does not read like `Sun 02:00 +3h Europe/Berlin`")]
    Shape(String),
    #[error("schedule: {0:?} is no day; use Mon Tue Wed Thu Fri Sat Sun, `Mon..Fri`, `Sat,Sun` or `daily`")]
    Day(String),
    #[error("schedule: {0:?} is no time of day; use HH:MM, 00:00 to 23:59")]
    Time(String),
    #[error("{field}: {text:?} is no duration; use hours and minutes such as `3h`, `90m` or `1h30m`")]
    Duration { field: &'static str, text: String },
    #[error("schedule: the window lasts {0:?}; it must last from 1 minute to 24 hours")]
    Length(SignedDuration),
    #[error("cutoff: {cutoff:?} before the end leaves nothing of a window of {duration:?}")]
    Cutoff { cutoff: SignedDuration, duration: SignedDuration },
    #[error("schedule: the time zone {0:?} is not in the tz database")]
    Zone(String),
}

/// One window as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    pub name: String,
    days: Vec<Weekday>,
    start: Time,
    zone: TimeZone,
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
    /// Reads `DAYS HH:MM +DURATION [ZONE]`. `cutoff` is how long before the end the last step may start.
    ///
    /// `zone_of` resolves an IANA name, so that the tz database stays outside.
    pub fn parse(
        name: &str,
        schedule: &str,
        cutoff: SignedDuration,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<Self, InvalidWindow> {
        let words: Vec<&str> = schedule.split_whitespace().collect();
        let (days, time, length, zone) = match words.as_slice() {
            [days, time, length] => (days, time, length, "UTC"),
            [days, time, length, zone] => (days, time, length, *zone),
            _ => return Err(InvalidWindow::Shape(schedule.into())),
        };
        let Some(length) = length.strip_prefix('+') else {
            return Err(InvalidWindow::Shape(schedule.into()));
        };
        let duration = parse_duration("schedule", length)?;
        if !(SignedDuration::from_mins(1)..=MAX_DURATION).contains(&duration) {
            return Err(InvalidWindow::Length(duration));
        }
        if duration <= cutoff || cutoff < SignedDuration::ZERO {
            return Err(InvalidWindow::Cutoff { cutoff, duration });
        }
        Ok(Self {
            name: name.into(),
            days: parse_days(days)?,
            start: parse_time(time)?,
            zone: zone_of(zone).ok_or_else(|| InvalidWindow::Zone(zone.into()))?,
            duration,
            cutoff,
        })
    }

    fn occurrence_on(&self, date: Date) -> Option<Occurrence> {
        if !self.days.contains(&date.weekday()) {
            return None;
        }
        let start = resolve(&self.zone, date, self.start)?;
        let end = start.checked_add(self.duration).ok()?;
        let cutoff = end.checked_sub(self.cutoff).ok()?;
        Some(Occurrence { start, cutoff, end, name: self.name.clone() })
    }

    /// Every occurrence that ends after `now` and starts within eight days of it, in order.
    fn occurrences_around(&self, now: Timestamp) -> impl Iterator<Item = Occurrence> {
        let today = now.to_zoned(self.zone.clone()).date();
        (-2..=8)
            .filter_map(move |days| today.checked_add(Span::new().days(days)).ok())
            .filter_map(|date| self.occurrence_on(date))
            .filter(move |occurrence| now < occurrence.end)
    }
}

/// What `windows` say of `now`. Of several open ones, the one whose cutoff is last.
pub fn verdict(windows: &[Window], now: Timestamp) -> Verdict {
    if windows.is_empty() {
        return Verdict::NoneConfigured;
    }
    let all = || windows.iter().flat_map(|window| window.occurrences_around(now));
    let open = all()
        .filter(|occurrence| occurrence.start <= now && now < occurrence.cutoff)
        .max_by_key(|occurrence| occurrence.cutoff);
    match open {
        Some(occurrence) => Verdict::Open(occurrence),
        None => Verdict::Shut { next: all().filter(|occurrence| now < occurrence.start).min() },
    }
}

/// The instant of a wall clock time. In a gap it is the end of the gap; of a repeated hour it is the first.
fn resolve(zone: &TimeZone, date: Date, time: Time) -> Option<Timestamp> {
    let civil = date.to_datetime(time);
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the offset after the gap, the time lies before the transition: that is the gap's end.
            let before_gap = after.to_timestamp(civil).ok()?;
            zone.following(before_gap).next().map(|transition| transition.timestamp())
        }
    }
}

fn parse_days(text: &str) -> Result<Vec<Weekday>, InvalidWindow> {
    if text == "*" || text.eq_ignore_ascii_case("daily") {
        return Ok(Weekday::Monday.cycle_forward().take(7).collect());
    }
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once("..") {
            None => days.push(parse_day(part)?),
            Some((first, last)) => {
                let (first, last) = (parse_day(first)?, parse_day(last)?);
                let length = usize::try_from(first.until(last)).unwrap_or(0) + 1;
                days.extend(first.cycle_forward().take(length));
            }
        }
    }
    Ok(days)
}

fn parse_day(text: &str) -> Result<Weekday, InvalidWindow> {
    let names = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    names
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, day)| day)
        .ok_or_else(|| InvalidWindow::Day(text.into()))
}

fn parse_time(text: &str) -> Result<Time, InvalidWindow> {
    let wrong = || InvalidWindow::Time(text.into());
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| match digits.len() {
        1..=2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i8>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| wrong())
}

/// Reads `3h`, `90m` or `1h30m`; `field` is what an error names.
pub fn parse_duration(field: &'static str, text: &str) -> Result<SignedDuration, InvalidWindow> {
    let wrong = || InvalidWindow::Duration { field, text: text.into() };
    let number = |digits: &str| match digits.len() {
        1..=5 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i64>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    let (hours, rest) = match text.split_once('h') {
        Some((hours, rest)) => (number(hours)?, rest),
        None => (0, text),
    };
    let minutes = match rest.strip_suffix('m') {
        Some(minutes) => number(minutes)?,
        None if rest.is_empty() && text.ends_with('h') => 0,
        None => return Err(wrong()),
    };
    Ok(SignedDuration::from_mins(hours * 60 + minutes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(schedule: &str) -> Window {
        let zone = |name: &str| TimeZone::get(name).ok();
        Window::parse("test", schedule, SignedDuration::ZERO, zone).expect(schedule)
    }

    #[track_caller]
    fn check_next(schedule: &str, now: &str, start: &str, end: &str) {
        let now: Timestamp = now.parse().unwrap();
        let Verdict::Shut { next: Some(next) } = verdict(&[window(schedule)], now) else {
            panic!("{schedule} is not shut with a next opening at {now}");
        };
        assert_eq!((next.start.to_string(), next.end.to_string()), (start.to_string(), end.to_string()));
    }

    #[test]
    fn a_weekly_window_opens_at_its_wall_clock_time() {
        check_next(
            "Sun 02:00 +3h Europe/Berlin",
            "2026-11-23T10:00:00Z",
            "2026-11-29T01:00:00Z",
            "2026-11-29T04:00:00Z",
        );
        check_next(
            "Mon..Fri 22:30 +90m",
            "2026-11-28T00:00:00Z",
            "2026-11-30T22:30:00Z",
            "2026-12-01T00:00:00Z",
        );
        check_next(
            "Sat,Sun 00:00 +1h",
            "2026-11-28T01:00:00Z",
            "2026-11-29T00:00:00Z",
            "2026-11-29T01:00:00Z",
        );
    }

    #[test]
    fn a_start_in_a_gap_moves_to_its_end_and_a_repeated_hour_opens_once() {
        check_next(
            "Sun 02:30 +1h America/New_York",
            "2027-03-13T12:00:00Z",
            "2027-03-14T07:00:00Z",
            "2027-03-14T08:00:00Z",
        );
        check_next(
            "Sun 01:30 +3h Europe/London",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T03:30:00Z",
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_its_start_day() {
        let night = [window("Fri 22:00 +4h")];
        let open = |now: &str| matches!(verdict(&night, now.parse().unwrap()), Verdict::Open(_));
        assert!(open("2026-11-27T22:00:00Z"));
        assert!(open("2026-11-28T01:59:59Z"));
        assert!(!open("2026-11-28T02:00:00Z"));
        assert!(!open("2026-11-27T01:00:00Z"));
        assert!(!open("2026-11-28T22:00:00Z"));
    }

    #[test]
    fn nothing_starts_after_the_cutoff() {
        let zone = |_: &str| Some(TimeZone::UTC);
        let window = Window::parse("w", "daily 10:00 +3h", SignedDuration::from_hours(1), zone).unwrap();
        let at = |now: &str| verdict(std::slice::from_ref(&window), now.parse().unwrap());
        assert!(matches!(at("2026-11-23T11:59:59Z"), Verdict::Open(_)));
        let Verdict::Shut { next: Some(next) } = at("2026-11-23T12:00:00Z") else {
            panic!("open past its cutoff")
        };
        assert_eq!(next.start.to_string(), "2026-11-24T10:00:00Z");
    }

    #[track_caller]
    fn check_error(schedule: &str, expected: &str) {
        let zone = |name: &str| (name == "UTC").then_some(TimeZone::UTC);
        let error = Window::parse("w", schedule, SignedDuration::ZERO, zone).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn mistakes_name_the_field() {
        check_error("Sun 02:00", "schedule \"Sun 02:00\" does not read like `Sun 02:00 +3h Europe/Berlin`");
        check_error("Sun 24:00 +1h", "schedule: \"24:00\" is no time of day; use HH:MM, 00:00 to 23:59");
        check_error(
            "Sun 02:00 +1h Mars/Base",
            "schedule: the time zone \"Mars/Base\" is not in the tz database",
        );
        check_error(
            "Sun 02:00 +25h",
            "schedule: the window lasts 25h; it must last from 1 minute to 24 hours",
        );
        check_error(
            "Sunday 02:00 +1h",
            "schedule: \"Sunday\" is no day; use Mon Tue Wed Thu Fri Sat Sun, `Mon..Fri`, `Sat,Sun` or `daily`",
        );
    }
}
