//! Freezes: times in which nothing is changed, whatever window is open, and the emergencies that lift them.
//!
//! A freeze is dated, comes each year between two days, or comes by a schedule. Only root's own policy has freezes and
//! emergencies: the daemon's gates and the executor both ask here, each with the policy as it reads it itself.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::civil::resolve;
use super::duration;
use super::error::{Field, InvalidWindow};
use super::schedule::{Schedule, ScheduleText};
use crate::gate::Freeze;

/// The longest freeze that comes by a schedule.
pub const MAX_DURATION: SignedDuration = SignedDuration::from_hours(31 * 24);

/// A time in which nothing is changed.
#[derive(Debug, Clone, PartialEq)]
pub struct FreezePeriod {
    pub name: String,
    pub reason: String,
    pub times: FreezeTimes,
}

/// When a freeze is in force.
#[derive(Debug, Clone, PartialEq)]
pub enum FreezeTimes {
    /// Once: from an instant on, and free again at another.
    Dated { from: Timestamp, until: Timestamp },
    /// Each year or by a schedule.
    Recurring(Box<Recurrence>),
}

/// What recurs. It is made by reading a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    text: ScheduleText,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Scheduled {
        schedule: Schedule,
        duration: SignedDuration,
    },
    /// From the first day to the last one, both included, as month and day.
    Yearly {
        first: (i8, i8),
        last: (i8, i8),
        zone: TimeZone,
        from: Timestamp,
        until: Timestamp,
    },
}

/// Root's word that some freezes don't hold for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// The names of the freezes that it lifts.
    pub freezes: Vec<String>,
    pub by: String,
    pub reason: String,
    /// From here on they hold again.
    pub until: Timestamp,
}

/// What freezes and emergencies say of one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What forbids a change: of several freezes, the one that lasts longest.
    pub freeze: Option<Freeze>,
    /// Whose word lifts which freeze that would be in force, in a sentence.
    pub lifted: Option<String>,
}

/// What holds at `now`.
pub fn standing(freezes: &[FreezePeriod], emergencies: &[Emergency], now: Timestamp) -> Standing {
    let mut standing = Standing::default();
    let mut lifted = Vec::new();
    for period in freezes {
        let Some(until) = period.times.in_force_until(now) else { continue };
        let lifts =
            |emergency: &&Emergency| now < emergency.until && emergency.freezes.contains(&period.name);
        match emergencies.iter().find(lifts) {
            Some(Emergency { by, reason, until, .. }) => {
                lifted
                    .push(format!("the freeze {:?} is lifted until {until} by {by}: {reason}", period.name));
            }
            None if standing.freeze.as_ref().is_none_or(|other| other.until < until) => {
                let reason = format!("{} ({:?})", period.reason, period.name);
                standing.freeze = Some(Freeze { until, reason });
            }
            None => {}
        }
    }
    if !lifted.is_empty() {
        standing.lifted = Some(lifted.join("; "));
    }
    standing
}

impl FreezeTimes {
    /// Reads what recurs: `12-20..01-04`, with both days, or a schedule and how long each freeze lasts.
    pub fn recurring(
        text: ScheduleText,
        length: Option<SignedDuration>,
        zone_of: impl Fn(&str) -> Option<TimeZone>,
    ) -> Result<Self, InvalidWindow> {
        let rule = match yearly(&text, &zone_of)? {
            Some(_) if length.is_some() => {
                let detail = "a freeze between two days lasts as long as they say".into();
                return Err(InvalidWindow::new(Field::Duration, detail));
            }
            Some(rule) => rule,
            None => scheduled(&text, length, &zone_of)?,
        };
        Ok(Self::Recurring(Box::new(Recurrence { text, rule })))
    }

    /// Until when the freeze holds that is in force at `now`, if one is.
    fn in_force_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Dated { from, until } => (*from <= now && now < *until).then_some(*until),
            Self::Recurring(recurrence) => recurrence.in_force_until(now),
        }
    }
}

impl Recurrence {
    /// As it is written down.
    pub fn text(&self) -> &ScheduleText {
        &self.text
    }

    fn in_force_until(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Scheduled { schedule, duration } => {
                let last = last_start(schedule, now.checked_sub(*duration).ok()?, now)?;
                // What begins before it is over makes it longer. Where that goes on, enough of it is told.
                let mut until = last.checked_add(*duration).ok()?;
                for _ in 0..LONGEST_CHAIN {
                    let Some(later) = last_start(schedule, until.checked_sub(*duration).ok()?, until) else {
                        break;
                    };
                    until = later.checked_add(*duration).ok()?;
                }
                Some(until)
            }
            Rule::Yearly { first, last, zone, from, until } => {
                let today = zone.to_datetime(now).date();
                if now < *from || *until <= now || !is_between(*first, *last, today) {
                    return None;
                }
                let free = free_day(*first, *last, today)?;
                resolve(zone, free.at(0, 0, 0, 0)).map(|free| free.min(*until))
            }
        }
    }
}

/// As many freezes that follow each other without a pause are told as one.
const LONGEST_CHAIN: usize = 50;

/// The last start after `after` and no later than `now`, found by halving the time between them.
fn last_start(schedule: &Schedule, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let mut found = schedule.next_after(after).filter(|start| *start <= now)?;
    let mut beyond = now;
    loop {
        let half = beyond.duration_since(found) / 2;
        // Starts are whole minutes apart.
        if half < SignedDuration::from_secs(1) {
            return Some(found);
        }
        let middle = found.checked_add(half).ok()?;
        match schedule.next_after(middle).filter(|start| *start <= beyond) {
            Some(later) => found = later,
            // There may still be one between what was found and the middle.
            None => beyond = middle,
        }
    }
}

fn scheduled(
    text: &ScheduleText,
    length: Option<SignedDuration>,
    zone_of: impl Fn(&str) -> Option<TimeZone>,
) -> Result<Rule, InvalidWindow> {
    let (schedule, of_schedule) = Schedule::parse(text, zone_of)?;
    let wrong = |detail: &str| Err(InvalidWindow::new(Field::Duration, detail.into()));
    let duration = match (of_schedule, length) {
        (Some(_), Some(_)) => return wrong("the schedule says it itself; write it once"),
        (Some(duration), None) | (None, Some(duration)) => duration,
        (None, None) => return wrong("the schedule says none; write how long the freeze lasts, such as 2d"),
    };
    if !(duration::SHORTEST..=MAX_DURATION).contains(&duration) {
        let detail = format!("a freeze of {duration:?} is not allowed; use 1 minute to 31 days");
        return Err(InvalidWindow::new(Field::Duration, detail));
    }
    Ok(Rule::Scheduled { schedule, duration })
}

/// Reads `12-20..01-04` with an optional zone; `None` if it is another kind of schedule.
fn yearly(
    text: &ScheduleText,
    zone_of: impl Fn(&str) -> Option<TimeZone>,
) -> Result<Option<Rule>, InvalidWindow> {
    let words: Vec<&str> = text.expression.split_whitespace().collect();
    let (days, zone) = match *words.as_slice() {
        [days] => (days, None),
        [days, zone] => (days, Some(zone)),
        _ => return Ok(None),
    };
    let starts_with_digit = days.starts_with(|c: char| c.is_ascii_digit());
    let Some((first, last)) = days.split_once("..").filter(|_| starts_with_digit) else { return Ok(None) };
    let wrong = |field, detail: String| InvalidWindow::new(field, detail);
    let day = |text: &str| {
        month_and_day(text).ok_or_else(|| {
            wrong(
                Field::Schedule,
                format!("{text:?} is no day of a year; write month and day, such as 12-20"),
            )
        })
    };
    let (first, last) = (day(first)?, day(last)?);
    let zone = match (zone, text.timezone.as_deref()) {
        (Some(_), Some(_)) => {
            return Err(wrong(Field::Timezone, "the schedule names one itself; write it once".into()));
        }
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "UTC",
    };
    if text.offset.is_some() {
        return Err(wrong(Field::Offset, "only a schedule of the form cron(…) has one".into()));
    }
    let zone = zone_of(zone)
        .ok_or_else(|| wrong(Field::Timezone, format!("the time zone {zone:?} is not in the tz database")))?;
    let from = text.start.unwrap_or(Timestamp::MIN);
    let until = text.end.unwrap_or(Timestamp::MAX);
    Ok(Some(Rule::Yearly { first, last, zone, from, until }))
}

fn month_and_day(text: &str) -> Option<(i8, i8)> {
    let (month, day) = text.split_once('-')?;
    let number = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { digits.parse::<i8>().ok() } else { None }
    };
    let (month, day) = (number(month)?, number(day)?);
    // A leap year has every day that a year can have.
    Date::new(2000, month, day).ok().map(|_| (month, day))
}

fn is_between(first: (i8, i8), last: (i8, i8), date: Date) -> bool {
    let day = (date.month(), date.day());
    if first <= last { first <= day && day <= last } else { first <= day || day <= last }
}

/// The first day after `today` that is free. A freeze of every day of the year has none.
fn free_day(first: (i8, i8), last: (i8, i8), today: Date) -> Option<Date> {
    let mut day = today;
    for _ in 0..366 {
        day = day.tomorrow().ok()?;
        if !is_between(first, last, day) {
            return Some(day);
        }
    }
    Some(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn recurring(expression: &str, hours: Option<i64>, zone: Option<&str>) -> FreezeTimes {
        let text = ScheduleText {
            expression: expression.into(),
            timezone: zone.map(str::to_owned),
            start: Some(at("2020-01-01T00:00:00Z")),
            ..ScheduleText::default()
        };
        let zone_of = |name: &str| TimeZone::get(name).ok();
        FreezeTimes::recurring(text, hours.map(SignedDuration::from_hours), zone_of).expect(expression)
    }

    #[track_caller]
    fn check(times: &FreezeTimes, now: &str, expected: Option<&str>) {
        let until = times.in_force_until(at(now)).map(|until| until.to_string());
        assert_eq!(until.as_deref(), expected, "{now}");
    }

    #[test]
    fn a_freeze_between_two_days_has_both_of_them_where_the_host_is() {
        let holidays = recurring("12-20..01-04 Europe/Berlin", None, None);
        check(&holidays, "2026-12-19T22:59:59Z", None);
        check(&holidays, "2026-12-19T23:00:00Z", Some("2027-01-04T23:00:00Z"));
        check(&holidays, "2027-01-04T22:59:59Z", Some("2027-01-04T23:00:00Z"));
        check(&holidays, "2027-01-04T23:00:00Z", None);
        let leap_day = recurring("02-25..02-29", None, Some("UTC"));
        check(&leap_day, "2027-02-28T12:00:00Z", Some("2027-03-01T00:00:00Z"));
        check(&leap_day, "2028-02-29T12:00:00Z", Some("2028-03-01T00:00:00Z"));
        // Midnight is missing where Santiago's clocks go forward: the day begins at one.
        let spring = recurring("09-01..09-05 America/Santiago", None, None);
        check(&spring, "2026-09-05T12:00:00Z", Some("2026-09-06T04:00:00Z"));
        check(&recurring("01-01..12-31", None, None), "2026-07-01T00:00:00Z", Some("2027-07-02T00:00:00Z"));
    }

    #[test]
    fn freezes_that_touch_are_one_and_none_hides_a_longer_one() {
        // Two days from each Friday and Saturday on.
        let weekends = recurring("cron(0 18 ? * FRI,SAT *)", Some(48), None);
        check(&weekends, "2026-11-27T17:59:59Z", None);
        check(&weekends, "2026-11-27T18:00:00Z", Some("2026-11-30T18:00:00Z"));
        check(&weekends, "2026-11-30T17:59:59Z", Some("2026-11-30T18:00:00Z"));
        check(&weekends, "2026-11-30T18:00:00Z", None);
        // It never ends; enough of it is told.
        let always = recurring("cron(0/5 * ? * * *)", Some(31 * 24), None);
        assert!(
            always
                .in_force_until(at("2026-11-27T00:03:00Z"))
                .is_some_and(|until| at("2027-06-01T00:00:00Z") < until)
        );
        check(
            &recurring("rate(30 days)", Some(1), None),
            "2020-01-31T00:59:59Z",
            Some("2020-01-31T01:00:00Z"),
        );
    }
}
