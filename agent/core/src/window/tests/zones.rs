//! Every change of clocks of every zone, over 40 years: what was skipped starts once, and what comes twice starts once.

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::*;

const FIRST: &str = "1990-01-01T00:00Z";
const LAST: &str = "2030-01-01T00:00Z";

/// The one start of a schedule that names the second.
fn start_at(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    let expression = civil.strftime("cron(%S %M %H %d %m ? %Y)").to_string();
    let text = ScheduleText { timezone: Some("here".into()), ..written(&expression) };
    let (schedule, _) = Schedule::parse(&text, |_| Some(zone.clone())).unwrap();
    let start = schedule.next_after(at("1960-01-01T00:00Z"))?;
    assert_eq!(schedule.next_after(start), None, "{expression} starts twice");
    Some(start)
}

/// The first second, the middle and the last second before `end`.
fn samples(begin: DateTime, end: DateTime) -> [DateTime; 3] {
    let length = end.duration_since(begin);
    [begin, begin + length / 2, end - SignedDuration::from_secs(1)]
}

#[test]
fn a_start_in_any_gap_moves_to_its_end_and_one_in_any_repeated_time_is_the_first() {
    let (mut changes, mut zones) = (0, 0);
    for name in jiff::tz::db().available() {
        let zone = zone_of(name.as_str()).unwrap();
        zones += 1;
        for change in zone.following(at(FIRST)).take_while(|change| change.timestamp() < at(LAST)) {
            let instant = change.timestamp();
            let before = zone.to_offset(instant - SignedDuration::from_secs(1));
            let (shown_before, shown_after) =
                (before.to_datetime(instant), change.offset().to_datetime(instant));
            if shown_before == shown_after {
                continue;
            }
            changes += 1;
            for civil in samples(shown_before, shown_after).into_iter().filter(|_| shown_before < shown_after)
            {
                assert_eq!(start_at(&zone, civil), Some(instant), "{name} skips {civil}");
            }
            for civil in samples(shown_after, shown_before).into_iter().filter(|_| shown_after < shown_before)
            {
                let first = before.to_timestamp(civil).unwrap();
                assert_eq!(start_at(&zone, civil), Some(first), "{name} repeats {civil}");
            }
        }
    }
    assert!(400 < zones && 10_000 < changes, "{changes} changes in {zones} zones");
}

#[test]
fn a_window_keeps_its_length_over_every_change() {
    let hours = SignedDuration::from_hours;
    for name in jiff::tz::db().available() {
        let zone = zone_of(name.as_str()).unwrap();
        let text = WindowText {
            name: "test".into(),
            schedule: ScheduleText { timezone: Some(name.to_string()), ..written("cron(30 1 ? * * *)") },
            duration: Some(hours(3)),
            cutoff: Some(hours(1)),
        };
        let window = Window::parse(text, zone_of).unwrap();
        // One change of each year is enough here.
        let mut after = at(FIRST);
        while let Some(change) = zone.following(after).next().filter(|change| change.timestamp() < at(LAST)) {
            let around = change.timestamp() - hours(48);
            let mut last: Option<Occurrence> = None;
            for occurrence in window.opens_after(around).take(4) {
                assert_eq!(occurrence.end.duration_since(occurrence.start), hours(3), "{name}");
                assert_eq!(occurrence.end.duration_since(occurrence.cutoff), hours(1), "{name}");
                let gap = last.map(|last| occurrence.start.duration_since(last.start));
                // Days of 23 to 25 hours, but where a zone crosses the date line.
                assert!(gap.is_none_or(|gap| (hours(3)..=hours(49)).contains(&gap)), "{name}: {gap:?}");
                last = Some(occurrence);
            }
            after = change.timestamp() + hours(24 * 300);
        }
    }
}

/// What bounds the steps of a look for the next start: no repeated time is longer than a day.
#[test]
fn no_repeated_time_is_longer_than_a_day() {
    for name in jiff::tz::db().available() {
        let zone = zone_of(name.as_str()).unwrap();
        for change in zone
            .following(at("1969-12-30T00:00Z"))
            .take_while(|change| change.timestamp() < at("2199-12-31T00:00Z"))
        {
            let before = zone.to_offset(change.timestamp() - SignedDuration::from_secs(1));
            let repeated = before.seconds() - change.offset().seconds();
            assert!(repeated <= 86_400, "{name} repeats {repeated} s at {}", change.timestamp());
        }
    }
}
