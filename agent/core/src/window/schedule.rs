//! When something starts: `cron(…)`, `rate(…)`, `at(…)` or our weekly shorthand, in a zone and between two dates. How
//! long it lasts is not its business.
//!
//! What Systems Manager leaves open is decided here. A `rate()` is counted from its start date or, if that is later or
//! missing, from when it was made; without either it is refused, since two hosts could not agree on it. A `cron()` with an
//! offset begins with the first of its own days that lies after it was made. The end date shuts what would start on it
//! or after it.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::calendar::Calendar;
use super::civil::resolve;
use super::error::{Field, InvalidWindow};
use super::{at, cron, rate, weekly};

/// The longest schedule, in bytes, as in Systems Manager.
const MAX_LENGTH: usize = 256;

/// The most days that a `cron()` can be moved by.
const MAX_OFFSET: i64 = 6;

/// A schedule as it is written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleText {
    pub expression: String,
    /// The IANA name of the zone that the expression is read in. Default: UTC.
    pub timezone: Option<String>,
    /// By how many days later than the `cron()` says it starts.
    pub offset: Option<i64>,
    /// Nothing starts before this, or from `end` on.
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
}

/// A schedule, read.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    rule: Rule,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Calendar {
        calendar: Calendar,
        zone: TimeZone,
        /// The days from one of the calendar's times to the start that comes of it.
        offset: i64,
        /// The calendar's times count from here on.
        since: Option<Timestamp>,
    },
    Every {
        base: Timestamp,
        interval: SignedDuration,
    },
    Once(Timestamp),
}

impl Schedule {
    /// Reads a schedule, and how long it says that a window lasts: the shorthand does, the others don't.
    ///
    /// `zone_of` resolves an IANA name, so that the tz database stays outside.
    pub fn parse(
        text: &ScheduleText,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<(Self, Option<SignedDuration>), InvalidWindow> {
        let wrong = |detail| InvalidWindow::new(Field::Schedule, detail);
        let expression = text.expression.trim();
        if expression.is_empty() || MAX_LENGTH < expression.len() {
            return Err(wrong(format!("it has 1 to {MAX_LENGTH} characters")));
        }
        let inside = |name: &str| expression.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let bounds = Bounds::of(text)?;
        let timezone = text.timezone.as_deref();
        let zone = || zone(timezone.unwrap_or("UTC"), &zone_of);
        if let Some(inside) = inside("cron") {
            let calendar = cron::parse(inside).map_err(wrong)?;
            let (offset, since) = (offset(text.offset)?, bounds.since);
            return Ok((bounds.around(Rule::Calendar { calendar, zone: zone()?, offset, since }), None));
        }
        if text.offset.is_some() {
            let detail = "only a schedule of the form cron(…) has one".into();
            return Err(InvalidWindow::new(Field::Offset, detail));
        }
        if let Some(inside) = inside("rate") {
            let interval = rate::parse(inside).map_err(wrong)?;
            // The zone has no say in a rate, but a wrong one is a mistake all the same.
            zone()?;
            let base = bounds.since.ok_or_else(|| {
                let detail = "a rate() is counted from it; write it like 2027-01-01T00:00:00Z".into();
                InvalidWindow::new(Field::Start, detail)
            })?;
            return Ok((bounds.around(Rule::Every { base, interval }), None));
        }
        if let Some(inside) = inside("at") {
            let civil = at::parse(inside).map_err(wrong)?;
            let at = resolve(&zone()?, civil).ok_or_else(|| wrong(format!("at: {civil} is no instant")))?;
            return Ok((bounds.around(Rule::Once(at)), None));
        }
        let weekly = weekly::parse(expression).map_err(wrong)?;
        let zone = match (weekly.zone, timezone) {
            (Some(_), Some(_)) => {
                let detail = "the schedule names one itself; write it once".into();
                return Err(InvalidWindow::new(Field::Timezone, detail));
            }
            (Some(name), None) => zone_of(name).ok_or_else(|| wrong(unknown_zone(name)))?,
            (None, _) => zone()?,
        };
        let rule = Rule::Calendar { calendar: weekly.calendar, zone, offset: 0, since: bounds.since };
        Ok((bounds.around(rule), Some(weekly.duration)))
    }

    /// The first start after an instant, if there is another.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = match self.start {
            // It may start at its start date.
            Some(start) => after.max(just_before(start)?),
            None => after,
        };
        let next = match &self.rule {
            Rule::Once(at) => (after < *at).then_some(*at),
            Rule::Every { base, interval } => next_of_rate(*base, *interval, after),
            Rule::Calendar { calendar, zone, offset, since } => {
                let days = Span::new().try_days(*offset).ok()?;
                let moved = zone.to_datetime(after).checked_sub(days).ok()?;
                let earliest = since.and_then(just_before).map(|since| zone.to_datetime(since));
                let from = earliest.map_or(moved, |earliest| earliest.max(moved));
                // Within a repeated time, what comes later may lie before `after`: at most a day of it is passed over.
                let mut times =
                    std::iter::successors(calendar.next_after(from), |time| calendar.next_after(*time));
                times.find_map(|time| {
                    let counts = since.is_none_or(|since| resolve(zone, time).is_some_and(|at| since <= at));
                    let start = resolve(zone, time.checked_add(days).ok()?)?;
                    (counts && after < start).then_some(start)
                })
            }
        };
        next.filter(|next| self.end.is_none_or(|end| *next < end))
    }

    /// The first start at an instant or after it.
    pub(super) fn next_from(&self, from: Timestamp) -> Option<Timestamp> {
        self.next_after(just_before(from)?)
    }

    /// Makes a rate so slow that each start comes after a window of this duration has ended. Those in between would
    /// have been passed over.
    pub(super) fn slowed_to(mut self, duration: SignedDuration) -> Self {
        if let Rule::Every { interval, .. } = &mut self.rule {
            let (shortest, length) = (interval.as_secs().max(1), duration.as_secs());
            let times = length.div_euclid(shortest) + i64::from(length.rem_euclid(shortest) != 0);
            *interval = SignedDuration::from_secs(shortest.saturating_mul(times.max(1)));
        }
        self
    }
}

/// The dates between which a schedule holds.
struct Bounds {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    /// The later of its start and of when it was made.
    since: Option<Timestamp>,
}

impl Bounds {
    fn of(text: &ScheduleText) -> Result<Self, InvalidWindow> {
        let ScheduleText { start, end, created, .. } = *text;
        if let (Some(start), Some(end)) = (start, end)
            && end <= start
        {
            let detail = format!("{end} is not after the start, {start}");
            return Err(InvalidWindow::new(Field::End, detail));
        }
        Ok(Self { start, end, since: start.max(created) })
    }

    fn around(self, rule: Rule) -> Schedule {
        Schedule { rule, start: self.start, end: self.end }
    }
}

fn offset(days: Option<i64>) -> Result<i64, InvalidWindow> {
    match days {
        None => Ok(0),
        Some(days) if (1..=MAX_OFFSET).contains(&days) => Ok(days),
        Some(days) => {
            let detail = format!("{days} days are not allowed; use 1 to {MAX_OFFSET}");
            Err(InvalidWindow::new(Field::Offset, detail))
        }
    }
}

fn zone(name: &str, zone_of: impl Fn(&str) -> Option<TimeZone>) -> Result<TimeZone, InvalidWindow> {
    zone_of(name).ok_or_else(|| InvalidWindow::new(Field::Timezone, unknown_zone(name)))
}

fn unknown_zone(name: &str) -> String {
    format!("the time zone {name:?} is not in the tz database")
}

fn next_of_rate(base: Timestamp, interval: SignedDuration, after: Timestamp) -> Option<Timestamp> {
    if after < base {
        return Some(base);
    }
    let passed = after.as_nanosecond().checked_sub(base.as_nanosecond())?;
    let count = passed.checked_div(interval.as_nanos())?.checked_add(1)?;
    let since_base = interval.as_nanos().checked_mul(count)?;
    Timestamp::from_nanosecond(base.as_nanosecond().checked_add(since_base)?).ok()
}

fn just_before(instant: Timestamp) -> Option<Timestamp> {
    instant.checked_sub(SignedDuration::from_nanos(1)).ok()
}
