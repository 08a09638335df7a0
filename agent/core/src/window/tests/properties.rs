//! What holds for every window: its times are in order and apart, the same from wherever one looks, and found in a
//! bounded number of steps.

use jiff::SignedDuration;
use jiff::civil::Date;
use proptest::prelude::*;

use super::super::calendar::Calendar;
use super::super::cron;
use super::*;

const ZONES: [&str; 5] = ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/Santiago"];

/// Schedules from seldom to so often that their windows would overlap.
fn expression() -> impl Strategy<Value = String> {
    let minutes = proptest::sample::select(vec![5, 6, 10, 15, 20, 30, 40]);
    let dense = (1..=23_i64, 0..=23_i64, minutes);
    let days = proptest::sample::select(vec![
        "? * *",
        "? * MON-FRI",
        "? * SUN#2",
        "L * ?",
        "1-20 * ?",
        "15W 3,10 ?",
    ]);
    prop_oneof![
        (dense, days).prop_map(|((step, hour, minutes), days)| {
            format!("cron(0/{minutes} {hour}/{step} {days} *)")
        }),
        (0..=59_i64, 0..=23_i64).prop_map(|(minute, hour)| format!("cron({minute} {hour} ? * * *)")),
        proptest::collection::btree_set(0..=23_i64, 1..6).prop_map(|hours| {
            let hours: Vec<_> = hours.iter().map(ToString::to_string).collect();
            format!("cron(0 {} ? * * *)", hours.join(","))
        }),
        (1..=40_i64).prop_map(|hours| format!("rate({} hours)", hours + 1)),
    ]
}

fn any_window() -> impl Strategy<Value = Window> {
    let zone = proptest::sample::select(ZONES.to_vec());
    (expression(), zone, 1..=24_i64, 0..=23_i64).prop_map(|(expression, zone, duration, cutoff)| {
        let hours = |count| Some(SignedDuration::from_hours(count));
        let schedule = ScheduleText {
            timezone: Some(zone.into()),
            start: Some(at("2000-01-01T00:07Z")),
            ..written(&expression)
        };
        let (duration, cutoff) = (hours(duration), hours(cutoff % duration));
        Window::parse(WindowText { name: "any".into(), schedule, duration, cutoff }, zone_of).unwrap()
    })
}

fn instants() -> impl Strategy<Value = Timestamp> {
    let seconds = at("2009-01-01T00:00Z").as_second()..at("2029-01-01T00:00Z").as_second();
    seconds.prop_map(|second| Timestamp::from_second(second).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_window_overlaps_itself_and_all_who_look_see_the_same(
        window in any_window(),
        from in instants(),
        later in 0..2_000_000_i64,
        asked in 0..2_000_000_i64,
    ) {
        let (later, asked) = (SignedDuration::from_secs(later), SignedDuration::from_secs(asked));
        let all: Vec<_> = window.opens_after(from).take(60).collect();
        let (duration, cutoff) = window.duration();
        for occurrence in &all {
            prop_assert!(from < occurrence.start);
            prop_assert_eq!(occurrence.end.duration_since(occurrence.start), duration);
            prop_assert_eq!(occurrence.end.duration_since(occurrence.cutoff), cutoff);
        }
        for pair in all.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start, "{:?}", pair);
        }
        let Some(last) = all.last() else { return Ok(()) };
        let from_later: Vec<_> =
            window.opens_after(from + later).take_while(|occurrence| occurrence.start <= last.start).collect();
        let expected: Vec<_> = all.iter().filter(|each| from + later < each.start).cloned().collect();
        prop_assert_eq!(from_later, expected);

        let now = from + asked;
        if all.first().is_some_and(|first| first.end <= now) && now < last.start {
            let open = all.iter().find(|each| each.start <= now && now < each.cutoff);
            let expected = match open {
                Some(open) => Verdict::Open(open.clone()),
                None => Verdict::Shut { next: all.iter().find(|each| now < each.start).cloned() },
            };
            prop_assert_eq!(verdict(std::slice::from_ref(&window), now), expected);
        }
    }
}

#[track_caller]
fn check_opens(schedule: &str, hours: i64, from: &str, expected: [&str; 4]) {
    let text = WindowText {
        name: "test".into(),
        schedule: ScheduleText { start: Some(at("2026-01-01T00:00Z")), ..written(schedule) },
        duration: Some(SignedDuration::from_hours(hours)),
        cutoff: None,
    };
    let window = Window::parse(text, zone_of).unwrap();
    let opens: Vec<_> = window.opens_after(at(from)).take(4).map(|opens| opens.start.to_string()).collect();
    assert_eq!(opens, expected.map(|start| at(start).to_string()));
}

#[test]
fn a_start_while_the_window_is_open_is_passed_over() {
    // Systems Manager: 22:00 is open until 04:00, so 03:00 is skipped.
    check_opens(
        "cron(0 3,22 ? * * *)",
        6,
        "2026-11-24T12:00Z",
        ["2026-11-24T22:00Z", "2026-11-25T22:00Z", "2026-11-26T22:00Z", "2026-11-27T22:00Z"],
    );
    // It is never shut but by that; the week turns on Monday the 30th without a trace.
    check_opens(
        "cron(0 0/6 ? * * *)",
        8,
        "2026-11-29T11:00Z",
        ["2026-11-29T12:00Z", "2026-11-30T00:00Z", "2026-11-30T12:00Z", "2026-12-01T00:00Z"],
    );
    check_opens(
        "rate(5 hours)",
        8,
        "2026-01-01T00:00Z",
        ["2026-01-01T10:00Z", "2026-01-01T20:00Z", "2026-01-02T06:00Z", "2026-01-02T16:00Z"],
    );
}

/// What bounds the time that any expression takes: the months that are looked at, and the times of a day.
#[test]
fn no_calendar_looks_at_more_months_than_there_are() {
    for never in ["0 2 31 2 ? *", "0 2 30 2 ? *", "0 2 31 2,4,6,9,11 ? *", "0 2 L-30 2 ? *", "0 2 31W 2 ? *"]
    {
        let calendar: Calendar = cron::parse(never).unwrap();
        assert_eq!(calendar.next_after(Date::constant(1960, 1, 1).at(0, 0, 0, 0)), None, "{never}");
        let months = calendar.months_from(Date::constant(1960, 1, 1)).count();
        assert!(months <= 230 * 12, "{never}: {months}");
    }
    let busiest = cron::parse("0/5 * ? * * *").unwrap();
    assert_eq!((busiest.times.len(), busiest.months_from(Date::constant(1960, 1, 1)).count()), (288, 2_760));
    // A fifth Sunday in February comes every 28 years, and after 40 over 2100.
    let seldom = cron::parse("0 2 ? 2 SUN#5 *").unwrap();
    let next = seldom.next_after(Date::constant(2088, 3, 1).at(0, 0, 0, 0)).unwrap();
    assert_eq!(next.date(), Date::constant(2128, 2, 29));
}
