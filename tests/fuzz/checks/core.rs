//! What has to hold for any bytes: called by the fuzz targets, and by the ordinary tests with the corpus.

use patchd_core::window::{Schedule, ScheduleText, Window, WindowText};

/// A schedule's starts are in order and its windows apart; what is none is told in one line that names a field.
pub(crate) fn schedule(content: &[u8]) {
    let Ok(text) = std::str::from_utf8(content) else { return };
    let instant = |text: &str| text.parse().expect("it is an instant");
    let zone_of = |name: &str| jiff::tz::TimeZone::get(name).ok();
    let (expression, timezone) = text.split_once('\n').unwrap_or((text, ""));
    let schedule = ScheduleText {
        expression: expression.into(),
        timezone: Some(timezone.to_owned()).filter(|zone| !zone.is_empty()),
        offset: None,
        start: Some(instant("2020-02-29T23:59:59.5Z")),
        end: None,
        created: None,
    };
    let of_schedule = match Schedule::parse(&schedule, zone_of) {
        Ok((schedule, of_schedule)) => {
            let mut from = instant("2019-12-31T00:00:00Z");
            for _ in 0..50 {
                let Some(next) = schedule.next_after(from) else { break };
                assert!(from < next, "{expression:?} goes from {from} to {next}");
                from = next;
            }
            of_schedule
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.starts_with(error.field.as_str()) && !shown.contains('\n'), "{shown}");
            assert!(shown.len() <= 6 * content.len() + 500, "{shown}");
            return;
        }
    };
    let hours = jiff::SignedDuration::from_hours;
    let duration = if of_schedule.is_some() { None } else { Some(hours(7)) };
    let window = WindowText { name: "any".into(), schedule, duration, cutoff: None };
    let Ok(window) = Window::parse(window, zone_of) else { return };
    let mut open_until = instant("2026-10-20T00:00:00Z");
    for opens in window.opens_after(open_until).take(20) {
        assert!(open_until <= opens.start && opens.start < opens.end, "{expression:?} overlaps at {opens:?}");
        open_until = opens.end;
    }
}
