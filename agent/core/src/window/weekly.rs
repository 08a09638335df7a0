//! Our own shorthand for what most windows are: `Sun 02:00 +3h Europe/Berlin`.

use jiff::SignedDuration;
use jiff::civil::Time;

use super::calendar::{ALL_MONTHS, Calendar, YEARS};
use super::days::Days;
use super::duration;

/// A shorthand, read. It says how long the window lasts, and perhaps its zone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weekly<'a> {
    pub(super) calendar: Calendar,
    pub(super) duration: SignedDuration,
    pub(super) zone: Option<&'a str>,
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Reads `DAYS HH:MM +DURATION [ZONE]`.
pub(super) fn parse(text: &str) -> Result<Weekly<'_>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let shape = || {
        format!("{text:?} does not read like `Sun 02:00 +3h Europe/Berlin`, `cron(…)`, `rate(…)` or `at(…)`")
    };
    let (days, time, length, zone) = match *words.as_slice() {
        [days, time, length] => (days, time, length, None),
        [days, time, length, zone] => (days, time, length, Some(zone)),
        _ => return Err(shape()),
    };
    let duration = duration::parse(length.strip_prefix('+').ok_or_else(shape)?)?;
    let (years, months) = (YEARS.collect(), ALL_MONTHS);
    let calendar = Calendar { years, months, days: parse_days(days)?, times: vec![parse_time(time)?] };
    Ok(Weekly { calendar, duration, zone })
}

fn parse_days(text: &str) -> Result<Days, String> {
    if text == "*" || text.eq_ignore_ascii_case("daily") {
        return Ok(Days::OfWeek(0b111_1111));
    }
    let mut days = 0;
    for part in text.split(',') {
        let (first, last) = match part.split_once("..") {
            None => (parse_day(part)?, parse_day(part)?),
            Some((first, last)) => (parse_day(first)?, parse_day(last)?),
        };
        let length = (7 + last - first) % 7;
        days = (first..=first + length).fold(days, |days, day| days | 1 << (day % 7));
    }
    Ok(Days::OfWeek(days))
}

fn parse_day(text: &str) -> Result<u8, String> {
    let found = (0_u8..).zip(WEEKDAYS).find(|(_, name)| name.eq_ignore_ascii_case(text));
    found.map(|(day, _)| day).ok_or_else(|| {
        format!("{text:?} is no day; use Mon Tue Wed Thu Fri Sat Sun, `Mon..Fri`, `Sat,Sun` or `daily`")
    })
}

fn parse_time(text: &str) -> Result<Time, String> {
    let wrong = || format!("{text:?} is no time of day; use HH:MM, 00:00 to 23:59");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| match digits.len() {
        1..=2 if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse::<i8>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    Time::new(number(hour)?, number(minute)?, 0, 0).map_err(|_| wrong())
}
