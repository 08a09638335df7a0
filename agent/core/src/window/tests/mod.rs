//! Windows as their callers see them: texts in, instants out.

use super::*;

mod examples;
mod oracle;
mod properties;
mod zones;

fn zone_of(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn written(expression: &str) -> ScheduleText {
    ScheduleText { expression: expression.into(), ..ScheduleText::default() }
}

/// A window whose schedule says all but its cutoff.
fn text(schedule: &str, cutoff: SignedDuration) -> WindowText {
    WindowText { name: "test".into(), schedule: written(schedule), duration: None, cutoff: Some(cutoff) }
}

fn window(schedule: &str) -> Window {
    Window::parse(text(schedule, SignedDuration::ZERO), zone_of).expect(schedule)
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
    check_next("Mon..Fri 22:30 +90m", "2026-11-28T00:00:00Z", "2026-11-30T22:30:00Z", "2026-12-01T00:00:00Z");
    check_next("Sat,Sun 00:00 +1h", "2026-11-28T01:00:00Z", "2026-11-29T00:00:00Z", "2026-11-29T01:00:00Z");
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
    let window = Window::parse(text("daily 10:00 +3h", SignedDuration::from_hours(1)), zone_of).unwrap();
    let at = |now: &str| verdict(std::slice::from_ref(&window), now.parse().unwrap());
    assert!(matches!(at("2026-11-23T11:59:59Z"), Verdict::Open(_)));
    let Verdict::Shut { next: Some(next) } = at("2026-11-23T12:00:00Z") else {
        panic!("open past its cutoff")
    };
    assert_eq!(next.start.to_string(), "2026-11-24T10:00:00Z");
}

#[track_caller]
fn check_error(schedule: &str, expected: &str) {
    let error = Window::parse(text(schedule, SignedDuration::ZERO), zone_of).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn mistakes_name_the_field() {
    check_error(
        "Sun 02:00",
        "schedule: \"Sun 02:00\" does not read like `Sun 02:00 +3h Europe/Berlin`, `cron(…)`, `rate(…)` or `at(…)`",
    );
    check_error("Sun 24:00 +1h", "schedule: \"24:00\" is no time of day; use HH:MM, 00:00 to 23:59");
    check_error("Sun 02:00 +1h Mars/Base", "schedule: the time zone \"Mars/Base\" is not in the tz database");
    check_error("Sun 02:00 +25h", "schedule: the window lasts 25h; it must last from 1 minute to 24 hours");
    check_error(
        "Sunday 02:00 +1h",
        "schedule: \"Sunday\" is no day; use Mon Tue Wed Thu Fri Sat Sun, `Mon..Fri`, `Sat,Sun` or `daily`",
    );
}
