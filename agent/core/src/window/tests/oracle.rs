//! Schedules against an oracle that walks through every minute. It shares nothing with the reader: a schedule is made as
//! data, written as text for the one and looked at field by field by the other.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Weekday};
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Item {
    All,
    One(i64),
    Range(i64, i64),
    From(i64, i64),
    Every(i64),
    RangeEvery(i64, i64, i64),
}

#[derive(Debug, Clone)]
enum Day {
    OfMonth(Vec<Item>),
    OfWeek(Vec<Item>),
    Last(i64),
    LastWorkday,
    Workday(i64),
    LastOf(i64),
    Nth(i64, i64),
}

#[derive(Debug, Clone)]
struct Cron {
    second: Option<i64>,
    minutes: Vec<Item>,
    hours: Vec<Item>,
    day: Day,
    months: Vec<Item>,
    years: Vec<Item>,
}

fn write(items: &[Item]) -> String {
    let item = |item: &Item| match item {
        Item::All => "*".to_owned(),
        Item::One(at) => at.to_string(),
        Item::Range(from, to) => format!("{from}-{to}"),
        Item::From(from, step) => format!("{from}/{step}"),
        Item::Every(step) => format!("*/{step}"),
        Item::RangeEvery(from, to, step) => format!("{from}-{to}/{step}"),
    };
    items.iter().map(item).collect::<Vec<_>>().join(",")
}

impl Cron {
    fn text(&self) -> String {
        let (day, weekday) = match &self.day {
            Day::OfMonth(items) => (write(items), "?".into()),
            Day::OfWeek(items) => ("?".into(), write(items)),
            Day::Last(0) => ("L".into(), "?".into()),
            Day::Last(before) => (format!("L-{before}"), "?".into()),
            Day::LastWorkday => ("LW".into(), "?".into()),
            Day::Workday(day) => (format!("{day}W"), "?".into()),
            Day::LastOf(weekday) => ("?".into(), format!("{weekday}L")),
            Day::Nth(weekday, nth) => ("?".into(), format!("{weekday}#{nth}")),
        };
        let second = self.second.map(|second| format!("{second} ")).unwrap_or_default();
        let [minutes, hours, months, years] =
            [&self.minutes, &self.hours, &self.months, &self.years].map(|items| write(items));
        format!("cron({second}{minutes} {hours} {day} {months} {weekday} {years})")
    }

    fn has_day(&self, date: Date) -> bool {
        let (month, year) = (i64::from(date.month()), i64::from(date.year()));
        if !has(&self.months, month, 1, 12) || !has(&self.years, year, 1970, 2199) {
            return false;
        }
        let (day, length) = (i64::from(date.day()), i64::from(date.days_in_month()));
        let weekday = |date: Date| i64::from(date.weekday().to_sunday_one_offset());
        let is_workday = |date: Date| !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday);
        let in_month = |day: i64| Date::new(date.year(), date.month(), i8::try_from(day).unwrap()).unwrap();
        match &self.day {
            Day::OfMonth(items) => has(items, day, 1, 31),
            Day::OfWeek(items) => has(items, weekday(date), 1, 7),
            Day::Last(before) => length - day == *before,
            Day::LastWorkday => {
                is_workday(date) && (day + 1..=length).all(|later| !is_workday(in_month(later)))
            }
            Day::Workday(wanted) => {
                let nearest = (1..=length)
                    .filter(|day| is_workday(in_month(*day)))
                    .min_by_key(|day| (day - wanted).abs());
                *wanted <= length && nearest == Some(day)
            }
            Day::LastOf(wanted) => weekday(date) == *wanted && length < day + 7,
            Day::Nth(wanted, nth) => weekday(date) == *wanted && (day + 6) / 7 == *nth,
        }
    }

    /// The times of a day, by looking at each minute.
    fn times(&self, date: Date) -> Vec<DateTime> {
        let second = i8::try_from(self.second.unwrap_or(0)).unwrap();
        let all = (0..24).flat_map(|hour| (0..60).map(move |minute| (hour, minute)));
        let has = |(hour, minute): &(i8, i8)| {
            has(&self.hours, i64::from(*hour), 0, 23) && has(&self.minutes, i64::from(*minute), 0, 59)
        };
        all.filter(has).map(|(hour, minute)| date.at(hour, minute, second, 0)).collect()
    }
}

fn has(items: &[Item], number: i64, least: i64, most: i64) -> bool {
    let count = most - least + 1;
    // How far it is from one number to another, going up, and on from the bottom after the top.
    let up = |from: i64, to: i64| (to - from + count) % count;
    items.iter().any(|item| match *item {
        Item::All => true,
        Item::One(at) => number == at,
        Item::Range(from, to) => up(from, number) <= up(from, to),
        Item::From(from, step) => from <= number && (number - from) % step == 0,
        Item::Every(step) => (number - least) % step == 0,
        Item::RangeEvery(from, to, step) => up(from, number) <= up(from, to) && up(from, number) % step == 0,
    })
}

/// The first instant at which the clocks of a zone show a time or a later one.
fn first_instant(zone: &TimeZone, civil: DateTime) -> Timestamp {
    let near = civil.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let day = SignedDuration::from_hours(26);
    let past_the_minute = SignedDuration::from_secs(civil.second().into());
    // Clocks are changed on a minute, so nothing lies between it and the second that is looked for.
    let moments = (0..=52 * 60).map(|minute| near - day + SignedDuration::from_mins(minute));
    let moments = moments.flat_map(|at| [at - past_the_minute, at]);
    moments.into_iter().find(|at| civil <= zone.to_datetime(*at)).unwrap()
}

/// Starts within so many days, by looking at each.
fn starts_within(cron: &Cron, zone: &TimeZone, after: Timestamp, days: i64, most: usize) -> Vec<Timestamp> {
    let mut starts = Vec::new();
    let first = zone.to_datetime(after).date().yesterday().unwrap();
    for date in first.series(jiff::Span::new().days(1)).take(usize::try_from(days).unwrap()) {
        if !cron.has_day(date) {
            continue;
        }
        for time in cron.times(date) {
            let start = first_instant(zone, time);
            if after < start && !starts.contains(&start) {
                starts.push(start);
            }
            if most <= starts.len() {
                return starts;
            }
        }
    }
    starts
}

fn item(least: i64, most: i64, may_wrap: bool) -> impl Strategy<Value = Item> {
    let number = least..=most;
    let range = (number.clone(), number.clone()).prop_map(move |(a, b)| match may_wrap {
        true => (a, b),
        false => (a.min(b), a.max(b)),
    });
    let step = 1..=(most - least).min(most);
    prop_oneof![
        2 => Just(Item::All),
        6 => number.clone().prop_map(Item::One),
        2 => range.clone().prop_map(|(from, to)| Item::Range(from, to)),
        1 => (number, step.clone()).prop_map(|(from, step)| Item::From(from, step)),
        1 => step.clone().prop_map(Item::Every),
        1 => (range, step).prop_map(|((from, to), step)| Item::RangeEvery(from, to, step)),
    ]
}

fn items(least: i64, most: i64, may_wrap: bool) -> impl Strategy<Value = Vec<Item>> {
    proptest::collection::vec(item(least, most, may_wrap), 1..4)
}

fn day() -> impl Strategy<Value = Day> {
    let weekday = || {
        let number = 1..=7_i64;
        prop_oneof![
            number.clone().prop_map(Item::One),
            (number.clone(), number).prop_map(|(from, to)| Item::Range(from, to)),
        ]
    };
    prop_oneof![
        items(1, 31, true).prop_map(Day::OfMonth),
        proptest::collection::vec(weekday(), 1..4).prop_map(Day::OfWeek),
        (0..=30_i64).prop_map(Day::Last),
        Just(Day::LastWorkday),
        (1..=31_i64).prop_map(Day::Workday),
        (1..=7_i64).prop_map(Day::LastOf),
        (1..=7_i64, 1..=5_i64).prop_map(|(weekday, nth)| Day::Nth(weekday, nth)),
    ]
}

fn cron() -> impl Strategy<Value = Cron> {
    let second = proptest::option::of(0..=59_i64);
    // Few minutes, or most schedules would be too frequent.
    let minutes = prop_oneof![
        4 => (0..=59_i64).prop_map(|minute| vec![Item::One(minute)]),
        2 => (0..=59_i64, 5..=59_i64).prop_map(|(from, step)| vec![Item::From(from, step)]),
        1 => items(0, 59, true),
    ];
    let years = prop_oneof![3 => Just(vec![Item::All]), 1 => items(2024, 2030, false)];
    (second, minutes, items(0, 23, true), day(), items(1, 12, true), years).prop_map(
        |(second, minutes, hours, day, months, years)| Cron { second, minutes, hours, day, months, years },
    )
}

/// Zones with an hour's, half an hour's and a whole day's change, and one at midnight.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Santiago"];

/// Whether some two times of a day, or of two days, are less than five minutes apart.
fn is_too_frequent(cron: &Cron) -> bool {
    let day = Date::constant(2026, 1, 1);
    let mut times = cron.times(day);
    let next_day = times.first().map(|first| first.checked_add(jiff::Span::new().days(1)).unwrap());
    times.extend(next_day);
    times.windows(2).any(|pair| pair[1].duration_since(pair[0]) < SignedDuration::from_mins(5))
}

/// A day on which one of the zones skips, repeats or leaves out something, or any other.
fn instants() -> impl Strategy<Value = i64> {
    let changes = [
        "2026-03-28T12:00Z",
        "2026-10-24T12:00Z",
        "2026-03-07T20:00Z",
        "2025-10-31T20:00Z",
        "2011-12-29T00:00Z",
        "2026-09-05T20:00Z",
        "2026-04-04T02:00Z",
    ]
    .map(|text| at(text).as_second());
    let range = at("2024-01-01T00:00Z").as_second()..at("2030-01-01T00:00Z").as_second();
    prop_oneof![
        (proptest::sample::select(changes.to_vec()), 0..86_400_i64).prop_map(|(at, more)| at + more),
        range
    ]
}

/// How far the oracle looks.
const DAYS: i64 = 800;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_start_is_the_one_that_a_walk_finds(
        cron in cron(),
        zone in proptest::sample::select(ZONES.to_vec()),
        after in instants(),
    ) {
        let after = Timestamp::from_second(after).unwrap();
        let expression = cron.text();
        let text = ScheduleText { timezone: Some(zone.into()), ..written(&expression) };
        let (schedule, _) = match Schedule::parse(&text, zone_of) {
            Ok(read) => read,
            Err(error) => {
                prop_assert!(error.detail.contains("every 5 minutes"), "{expression}: {error}");
                prop_assert!(is_too_frequent(&cron), "{expression}: {error}");
                return Ok(());
            }
        };
        let zone = zone_of(zone).unwrap();
        let walked = starts_within(&cron, &zone, after, DAYS, 4);
        let mut from = after;
        for expected in &walked {
            let next = schedule.next_after(from);
            prop_assert_eq!(next, Some(*expected), "{} after {}", &expression, from);
            from = *expected;
        }
        if walked.len() < 4 {
            let beyond = after + SignedDuration::from_hours(24 * (DAYS - 4));
            let next = schedule.next_after(from);
            prop_assert!(next.is_none_or(|next| beyond < next), "{} has {:?}", &expression, next);
        }
    }
}
