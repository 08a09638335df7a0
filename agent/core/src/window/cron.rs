//! The `cron(…)` of Systems Manager and EventBridge, read into sets. When it fires is the `calendar`'s to say.
//!
//! `Minutes Hours Day-of-month Month Day-of-week Year`, with seconds in front if there are seven fields. The oldest form
//! has six with seconds and no year; it is told by a last field that no year can be. Beyond what Systems Manager
//! documents, ranges may wrap (`SAT-SUN`) and `L-3` is the third day before a month's last, as in Quartz.

use std::collections::BTreeSet;

use jiff::civil::Time;

use super::calendar::{Calendar, YEARS};
use super::days::{Days, bit};

/// The shortest time between two starts, in seconds.
pub(super) const SHORTEST_INTERVAL: i64 = 5 * 60;

/// One of the fields that hold numbers.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    least: i16,
    most: i16,
    /// Names for its numbers, from `least` on.
    names: &'static [&'static str],
    /// The longest step; none if it takes no steps.
    longest_step: Option<i16>,
    may_wrap: bool,
}

const SECONDS: Field = Field { longest_step: Some(59), ..numbers("seconds", 0, 59) };
const MINUTES: Field = Field { longest_step: Some(59), ..numbers("minutes", 0, 59) };
const HOURS: Field = Field { longest_step: Some(23), ..numbers("hours", 0, 23) };
const DAY_OF_MONTH: Field = Field { longest_step: Some(31), ..numbers("day-of-month", 1, 31) };
const MONTH: Field = Field { longest_step: Some(12), names: &MONTHS, ..numbers("month", 1, 12) };
const DAY_OF_WEEK: Field = Field { names: &WEEKDAYS, ..numbers("day-of-week", 1, 7) };
const YEAR: Field =
    Field { longest_step: Some(229), may_wrap: false, ..numbers("year", *YEARS.start(), *YEARS.end()) };

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn numbers(name: &'static str, least: i16, most: i16) -> Field {
    Field { name, least, most, names: &[], longest_step: None, may_wrap: true }
}

/// Reads what stands between the parentheses. An error names the field.
pub(super) fn parse(text: &str) -> Result<Calendar, String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let is_no_year = |last: &str| last.contains(|c: char| c.is_alphabetic() || "?#".contains(c));
    let (seconds, rest, year) = match *fields.as_slice() {
        [minutes, hours, day, month, weekday, year] if !is_no_year(year) => {
            ("0", [minutes, hours, day, month, weekday], year)
        }
        [seconds, minutes, hours, day, month, weekday] => {
            (seconds, [minutes, hours, day, month, weekday], "*")
        }
        [seconds, minutes, hours, day, month, weekday, year] => {
            (seconds, [minutes, hours, day, month, weekday], year)
        }
        _ => {
            let count = fields.len();
            return Err(format!(
                "cron() has {count} fields; write minutes, hours, day-of-month, month, day-of-week and year, with \
                 seconds in front of them or without"
            ));
        }
    };
    let [minutes, hours, day, month, weekday] = rest;
    let times = times(&SECONDS.read(seconds)?, &MINUTES.read(minutes)?, &HOURS.read(hours)?);
    let months = MONTH.read(month)?.into_iter().fold(0, |months, month| months | 1 << month);
    let days = days(day, weekday)?;
    let years = YEAR.read(year)?.into_iter().collect();
    check_interval(&times, days)?;
    Ok(Calendar { years, months, days, times })
}

fn times(seconds: &BTreeSet<i16>, minutes: &BTreeSet<i16>, hours: &BTreeSet<i16>) -> Vec<Time> {
    let mut times = Vec::new();
    let small = |number: &i16| i8::try_from(*number).unwrap_or_default();
    for hour in hours {
        for minute in minutes {
            let of_minute =
                seconds.iter().map(|second| Time::new(small(hour), small(minute), small(second), 0));
            times.extend(of_minute.filter_map(Result::ok));
        }
    }
    times
}

/// Refuses what starts more often than every five minutes.
fn check_interval(times: &[Time], days: Days) -> Result<(), String> {
    let seconds_between = |earlier: &Time, later: &Time| later.duration_since(*earlier).as_secs();
    let within = times.windows(2).filter_map(|pair| match pair {
        [earlier, later] => Some(seconds_between(earlier, later)),
        _ => None,
    });
    let over_midnight = match times {
        [first, .., last] if days.may_be_consecutive() => Some(86_400 - seconds_between(first, last)),
        _ => None,
    };
    match within.chain(over_midnight).min() {
        Some(shortest) if shortest < SHORTEST_INTERVAL => Err(format!(
            "minutes: two starts are {shortest} s apart, and a window starts every 5 minutes at most"
        )),
        _ => Ok(()),
    }
}

/// One of both fields is `?`, and the other says which days.
fn days(day: &str, weekday: &str) -> Result<Days, String> {
    match (day, weekday) {
        ("?", "?") => Err("day-of-month: it is `?`, and so is day-of-week; only one of them may be".into()),
        ("?", weekday) => days_of_week(weekday),
        (day, "?") => days_of_month(day),
        _ => {
            Err("day-of-week: it must be `?` where day-of-month says the days, or the other way round".into())
        }
    }
}

fn days_of_month(text: &str) -> Result<Days, String> {
    let field = DAY_OF_MONTH;
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "L" => return Ok(Days::BeforeLast(0)),
        "LW" => return Ok(Days::LastWorkday),
        _ => {}
    }
    if let Some(days) = upper.strip_prefix("L-") {
        let wrong = || format!("{}: {text:?} is no day; write L-1 to L-30", field.name);
        let days = number(days).filter(|days| (1..=30).contains(days)).ok_or_else(wrong)?;
        return Ok(Days::BeforeLast(small(days)));
    }
    if let Some(day) = upper.strip_suffix('W') {
        return Ok(Days::NearestWorkday(small(field.one(day)?)));
    }
    let days = field.read(text)?;
    Ok(Days::OfMonth(days.into_iter().fold(0, |days, day| days | bit(small(day)))))
}

fn days_of_week(text: &str) -> Result<Days, String> {
    let field = DAY_OF_WEEK;
    let weekday = |text: &str| field.one(text).map(|day| small(day) - 1);
    let upper = text.to_ascii_uppercase();
    if upper == "L" {
        return Ok(Days::OfWeek(1 << 6));
    }
    if let Some(day) = upper.strip_suffix('L') {
        return Ok(Days::LastOfWeekday(weekday(day)?));
    }
    if let Some((day, nth)) = upper.split_once('#') {
        let wrong = || {
            format!("{}: {text:?} is no day; `#` is followed by 1 to 5 and stands alone: THU#3", field.name)
        };
        let nth = number(nth).filter(|nth| (1..=5).contains(nth)).ok_or_else(wrong)?;
        return Ok(Days::NthOfWeekday { weekday: weekday(day)?, nth: small(nth) });
    }
    let days = field.read(text)?;
    Ok(Days::OfWeek(days.into_iter().fold(0, |days, day| days | 1 << (day - 1))))
}

impl Field {
    /// The numbers of a list of ranges and steps.
    fn read(self, text: &str) -> Result<BTreeSet<i16>, String> {
        let mut numbers = BTreeSet::new();
        for item in text.split(',') {
            let (range, step) = match item.split_once('/') {
                None => (item, None),
                Some((range, step)) => (range, Some(self.step(step)?)),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.least, self.most),
                Some((first, last)) => (self.one(first)?, self.one(last)?),
                None if step.is_some() => (self.one(range)?, self.most),
                None => (self.one(range)?, self.one(range)?),
            };
            if last < first && !self.may_wrap {
                return Err(format!("{}: {range:?} ends before it begins", self.name));
            }
            let count = self.most - self.least + 1;
            let length = (last - first).rem_euclid(count);
            let steps = (0..=length).step_by(usize::try_from(step.unwrap_or(1)).unwrap_or(1));
            numbers.extend(steps.map(|step| self.least + (first - self.least + step) % count));
        }
        Ok(numbers)
    }

    fn step(self, text: &str) -> Result<i16, String> {
        let Self { name, longest_step, .. } = self;
        let longest =
            longest_step.ok_or_else(|| format!("{name}: it takes no step; write a list or a range"))?;
        let step = number(text).filter(|step| (1..=longest).contains(step));
        step.ok_or_else(|| format!("{name}: {text:?} is no step; use 1 to {longest}"))
    }

    /// One number, or a name that stands for it.
    fn one(self, text: &str) -> Result<i16, String> {
        let Self { name, least, most, names, .. } = self;
        let named = (least..).zip(names).find(|(_, known)| known.eq_ignore_ascii_case(text));
        if let Some((number, _)) = named {
            return Ok(number);
        }
        let also = match names {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let wrong = || {
            let hint = if text == "?" { "; only a day can be `?`" } else { "" };
            format!("{name}: {text:?} is not allowed; use {least} to {most}{also}{hint}")
        };
        number(text).filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
    }
}

fn number(text: &str) -> Option<i16> {
    let is_short = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_short { text.parse().ok() } else { None }
}

/// A number of days, which is small.
fn small(number: i16) -> i8 {
    i8::try_from(number).unwrap_or_default()
}
