//! The worked schedules that the reference gives, each with its first three starts, and what must be refused.

use super::*;

/// How an example is asked: `offset`, when it was made, when it begins.
#[derive(Default)]
struct More {
    offset: Option<i64>,
    created: Option<&'static str>,
    start: Option<&'static str>,
}

#[track_caller]
fn check_with(more: &More, expression: &str, zone: &str, from: &str, expected: [Option<&str>; 3]) {
    let text = ScheduleText {
        timezone: Some(zone.into()),
        offset: more.offset,
        created: more.created.map(at),
        start: more.start.map(at),
        ..written(expression)
    };
    let (schedule, _) = Schedule::parse(&text, zone_of).expect(expression);
    let starts = std::iter::successors(schedule.next_after(at(from)), |start| schedule.next_after(*start));
    let mut starts: Vec<_> = starts.take(3).map(|start| Some(start.to_string())).collect();
    starts.resize(3, None);
    let expected: Vec<_> = expected.iter().map(|start| start.map(|start| at(start).to_string())).collect();
    assert_eq!(starts, expected, "{expression} in {zone}");
}

#[track_caller]
fn check(expression: &str, zone: &str, from: &str, expected: [&str; 3]) {
    check_with(&More::default(), expression, zone, from, expected.map(Some));
}

#[test]
fn the_documented_schedules_start_when_the_documents_say() {
    check(
        "cron(30 09 ? * * *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-01T09:30Z", "2026-12-02T09:30Z", "2026-12-03T09:30Z"],
    );
    check(
        "cron(24 30 09 ? * * *)",
        "UTC",
        "2026-12-01T09:30:24Z",
        ["2026-12-02T09:30:24Z", "2026-12-03T09:30:24Z", "2026-12-04T09:30:24Z"],
    );
    check(
        "cron(15 10 ? * * *)",
        "UTC",
        "2026-12-31T10:15Z",
        ["2027-01-01T10:15Z", "2027-01-02T10:15Z", "2027-01-03T10:15Z"],
    );
    check(
        "cron(15 10 ? * MON-FRI *)",
        "UTC",
        "2026-12-03T12:00Z",
        ["2026-12-04T10:15Z", "2026-12-07T10:15Z", "2026-12-08T10:15Z"],
    );
    check(
        "cron(0 2 ? * THU#3 *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-17T02:00Z", "2027-01-21T02:00Z", "2027-02-18T02:00Z"],
    );
    check(
        "cron(0 2 L * ? *)",
        "UTC",
        "2027-01-31T02:00Z",
        ["2027-02-28T02:00Z", "2027-03-31T02:00Z", "2027-04-30T02:00Z"],
    );
    check(
        "cron(15 10 ? * 6L *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-25T10:15Z", "2027-01-29T10:15Z", "2027-02-26T10:15Z"],
    );
    check(
        "cron(0 0 ? * 3L *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-29T00:00Z", "2027-01-26T00:00Z", "2027-02-23T00:00Z"],
    );
    check(
        "cron(30 23 ? * TUE#3 *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-15T23:30Z", "2027-01-19T23:30Z", "2027-02-16T23:30Z"],
    );
}

#[test]
fn an_offset_counts_from_the_days_of_the_cron() {
    let by = |offset| More { offset: Some(offset), ..More::default() };
    let third_tuesday = "cron(30 23 ? * TUE#3 *)";
    check_with(
        &by(2),
        third_tuesday,
        "UTC",
        "2026-12-01T00:00Z",
        [Some("2026-12-17T23:30Z"), Some("2027-01-21T23:30Z"), Some("2027-02-18T23:30Z")],
    );
    // Made between the day and the start that comes of it: that month is over.
    let january_on = [Some("2027-01-21T23:30Z"), Some("2027-02-18T23:30Z"), Some("2027-03-18T23:30Z")];
    let made = More { created: Some("2026-12-16T00:00Z"), ..by(2) };
    check_with(&made, third_tuesday, "UTC", "2026-12-16T00:00Z", january_on);
    check_with(&made, third_tuesday, "UTC", "2026-01-01T00:00Z", january_on);
    let started = More { start: Some("2026-12-16T00:00Z"), ..by(2) };
    check_with(&started, third_tuesday, "UTC", "2026-12-16T00:00Z", january_on);
    check_with(
        &by(3),
        "cron(0 0 ? * THU#2 *)",
        "UTC",
        "2026-12-01T00:00Z",
        [Some("2026-12-13T00:00Z"), Some("2027-01-17T00:00Z"), Some("2027-02-14T00:00Z")],
    );
}

#[test]
fn the_schedules_of_other_zones_and_forms_start_when_they_should() {
    check(
        "cron(0 16 ? * TUE *)",
        "America/Los_Angeles",
        "2021-01-01T08:00Z",
        ["2021-01-06T00:00Z", "2021-01-13T00:00Z", "2021-01-20T00:00Z"],
    );
    check(
        "cron(0 09 ? * WED *)",
        "America/Los_Angeles",
        "2021-01-01T08:00Z",
        ["2021-01-06T17:00Z", "2021-01-13T17:00Z", "2021-01-20T17:00Z"],
    );
    check(
        "cron(0/30 * * * ? *)",
        "UTC",
        "2026-11-23T10:10Z",
        ["2026-11-23T10:30Z", "2026-11-23T11:00Z", "2026-11-23T11:30Z"],
    );
    check(
        "cron(0 0/8 * * ? *)",
        "UTC",
        "2026-11-23T10:10Z",
        ["2026-11-23T16:00Z", "2026-11-24T00:00Z", "2026-11-24T08:00Z"],
    );
    let tokyo = More { start: Some("2019-01-01T00:03:15+09:00"), ..More::default() };
    check_with(
        &tokyo,
        "rate(7 days)",
        "Asia/Tokyo",
        "2018-12-01T00:00Z",
        [Some("2018-12-31T15:03:15Z"), Some("2019-01-07T15:03:15Z"), Some("2019-01-14T15:03:15Z")],
    );
    check_with(
        &More::default(),
        "at(2020-07-07T15:55:00)",
        "UTC",
        "2020-07-01T00:00Z",
        [Some("2020-07-07T15:55Z"), None, None],
    );
    check(
        "cron(0 4 ? * 1 *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-11-29T04:00Z", "2026-12-06T04:00Z", "2026-12-13T04:00Z"],
    );
    check(
        "cron(0 3 15W * ? *)",
        "UTC",
        "2026-11-01T00:00Z",
        ["2026-11-16T03:00Z", "2026-12-15T03:00Z", "2027-01-15T03:00Z"],
    );
    check(
        "cron(0 3 1W * ? *)",
        "UTC",
        "2027-04-30T00:00Z",
        ["2027-05-03T03:00Z", "2027-06-01T03:00Z", "2027-07-01T03:00Z"],
    );
    check(
        "cron(0 3 LW * ? *)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-31T03:00Z", "2027-01-29T03:00Z", "2027-02-26T03:00Z"],
    );
    check(
        "cron(0 1 1 JAN,APR,JUL,OCT ? *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2027-01-01T01:00Z", "2027-04-01T01:00Z", "2027-07-01T01:00Z"],
    );
}

#[test]
fn clock_changes_leap_days_and_ends_are_kept() {
    check(
        "cron(0 22 ? * FRI,SAT *)",
        "Europe/Berlin",
        "2027-03-26T00:00Z",
        ["2027-03-26T21:00Z", "2027-03-27T21:00Z", "2027-04-02T20:00Z"],
    );
    check(
        "cron(0 6 29 2 ? *)",
        "UTC",
        "2026-01-01T00:00Z",
        ["2028-02-29T06:00Z", "2032-02-29T06:00Z", "2036-02-29T06:00Z"],
    );
    check(
        "cron(0 5 ? * MON#5 *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-11-30T05:00Z", "2027-03-29T05:00Z", "2027-05-31T05:00Z"],
    );
    check(
        "cron(0 5 1/10 * ? *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-12-01T05:00Z", "2026-12-11T05:00Z", "2026-12-21T05:00Z"],
    );
    check(
        "cron(0 12 31 * ? *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-12-31T12:00Z", "2027-01-31T12:00Z", "2027-03-31T12:00Z"],
    );
    check(
        "cron(0 1 ? * 2#1 *)",
        "Asia/Tokyo",
        "2026-11-23T00:00Z",
        ["2026-12-06T16:00Z", "2027-01-03T16:00Z", "2027-01-31T16:00Z"],
    );
    check_with(
        &More::default(),
        "cron(0 0 1 1 ? 2027-2028)",
        "UTC",
        "2026-11-23T00:00Z",
        [Some("2027-01-01T00:00Z"), Some("2028-01-01T00:00Z"), None],
    );
    check(
        "cron(0 2 ? * SAT-SUN *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-11-28T02:00Z", "2026-11-29T02:00Z", "2026-12-05T02:00Z"],
    );
}

#[test]
fn the_oldest_form_has_seconds_and_no_year() {
    check(
        "cron(0 15 10 ? * MON-FRI)",
        "UTC",
        "2026-12-03T12:00Z",
        ["2026-12-04T10:15Z", "2026-12-07T10:15Z", "2026-12-08T10:15Z"],
    );
    check(
        "cron(0 0 2 L * ?)",
        "UTC",
        "2027-01-31T02:00Z",
        ["2027-02-28T02:00Z", "2027-03-31T02:00Z", "2027-04-30T02:00Z"],
    );
    check(
        "cron(0 15 10 ? * 6L)",
        "UTC",
        "2026-12-01T00:00Z",
        ["2026-12-25T10:15Z", "2027-01-29T10:15Z", "2027-02-26T10:15Z"],
    );
}

#[test]
fn what_the_documents_leave_open_is_decided() {
    // The third day before the last, and Saturday as the bare L.
    check(
        "cron(0 2 L-3 * ? *)",
        "UTC",
        "2027-01-29T00:00Z",
        ["2027-02-25T02:00Z", "2027-03-28T02:00Z", "2027-04-27T02:00Z"],
    );
    check(
        "cron(0 2 ? * L *)",
        "UTC",
        "2026-11-23T00:00Z",
        ["2026-11-28T02:00Z", "2026-12-05T02:00Z", "2026-12-12T02:00Z"],
    );
    // No 31st, no day near it.
    check(
        "cron(0 2 31W * ? *)",
        "UTC",
        "2027-01-31T00:00Z",
        ["2027-03-31T02:00Z", "2027-05-31T02:00Z", "2027-07-30T02:00Z"],
    );
    check(
        "cron(0 22-2/2 ? NOV-JAN mon *)",
        "UTC",
        "2026-11-30T00:30Z",
        ["2026-11-30T02:00Z", "2026-11-30T22:00Z", "2026-12-07T00:00Z"],
    );
    // Made later than it begins, a rate is counted from when it was made.
    let late =
        More { start: Some("2026-01-01T00:00Z"), created: Some("2026-12-01T10:07Z"), ..More::default() };
    check_with(
        &late,
        "rate(5 hours)",
        "UTC",
        "2026-12-01T10:07Z",
        [Some("2026-12-01T15:07Z"), Some("2026-12-01T20:07Z"), Some("2026-12-02T01:07Z")],
    );
}

#[track_caller]
fn check_refused(expression: &str, expected: &str) {
    let error = Schedule::parse(&written(expression), zone_of).expect_err(expression);
    assert_eq!(error.to_string(), format!("schedule: {expected}"), "{expression}");
}

#[test]
fn what_is_no_schedule_is_refused_and_the_field_named() {
    let one_day = "day-of-week: it must be `?` where day-of-month says the days, or the other way round";
    check_refused("cron(0 2 1 * MON *)", one_day);
    check_refused("cron(0 2 * * * *)", one_day);
    check_refused(
        "cron(0 2 ? * ? *)",
        "day-of-month: it is `?`, and so is day-of-week; only one of them may be",
    );
    check_refused("rate(1 hours)", "rate: 1 hours is written `rate(1 hour)`");
    check_refused("rate(5 hour)", "rate: 5 hour is written `rate(5 hours)`");
    check_refused("rate(0 days)", "rate: \"0\" is no number from 1 on; write it like `rate(7 days)`");
    check_refused("rate(4 minutes)", "rate: a window starts every 5 minutes at most");
    check_refused("rate(2 weeks)", "rate: \"weeks\" is no unit; use minutes, hours or days");
    check_refused("rate(99999 days)", "rate: it is longer than 3650 days");
    check_refused("cron(60 2 ? * MON *)", "minutes: \"60\" is not allowed; use 0 to 59");
    check_refused("cron(0 24 ? * MON *)", "hours: \"24\" is not allowed; use 0 to 23");
    check_refused("cron(0 2 0 * ? *)", "day-of-month: \"0\" is not allowed; use 1 to 31");
    check_refused("cron(0 2 32W * ? *)", "day-of-month: \"32\" is not allowed; use 1 to 31");
    check_refused("cron(0 2 L-31 * ? *)", "day-of-month: \"L-31\" is no day; write L-1 to L-30");
    check_refused("cron(0 2 ? 13 MON *)", "month: \"13\" is not allowed; use 1 to 12 or JAN to DEC");
    check_refused("cron(0 2 ? * 8 *)", "day-of-week: \"8\" is not allowed; use 1 to 7 or SUN to SAT");
    check_refused("cron(0 2 ? * MON 2200)", "year: \"2200\" is not allowed; use 1970 to 2199");
    check_refused("cron(0 2 ? * MON 2028-2027)", "year: \"2028-2027\" ends before it begins");
    check_refused("cron(60 0 2 ? * MON *)", "seconds: \"60\" is not allowed; use 0 to 59");
    check_refused("cron(0 0/24 ? * MON *)", "hours: \"24\" is no step; use 1 to 23");
    check_refused("cron(0 2 ? * 2/2 *)", "day-of-week: it takes no step; write a list or a range");
    check_refused(
        "cron(0 2 ? * 3#1,6#3 *)",
        "day-of-week: \"3#1,6#3\" is no day; `#` is followed by 1 to 5 and stands alone: THU#3",
    );
    check_refused(
        "cron(0/4 2 ? * MON *)",
        "minutes: two starts are 240 s apart, and a window starts every 5 minutes at most",
    );
    check_refused(
        "cron(58,2 0,23 ? * * *)",
        "minutes: two starts are 240 s apart, and a window starts every 5 minutes at most",
    );
    // As the oldest form it has neither day nor reason; as the newer one its month is none.
    check_refused(
        "cron(0 15 10 ? * *)",
        "month: \"?\" is not allowed; use 1 to 12 or JAN to DEC; only a day can be `?`",
    );
    check_refused(
        "cron(0 2 * *)",
        "cron() has 4 fields; write minutes, hours, day-of-month, month, day-of-week and year, with seconds in \
         front of them or without",
    );
    check_refused(
        "at(2020-07-07 15:55:00)",
        "at: \"2020-07-07 15:55:00\" is no time; write it like `at(2027-07-07T15:55:00)`",
    );
    check_refused(&"x".repeat(257), "it has 1 to 256 characters");
}

/// Two files of documented schedules; what they mean is in words, so here they need only be read.
#[test]
fn the_schedules_of_the_documents_are_all_read() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/aws");
    for (file, count) in [("cron-ssm.tsv", 11), ("cron-eventbridge.tsv", 4)] {
        let Ok(content) = std::fs::read_to_string(format!("{directory}/{file}")) else {
            println!("left out: there is no {file}");
            continue;
        };
        let rows = content.lines().skip(1).filter_map(|line| line.split('\t').next());
        let mut read = 0;
        for expression in rows {
            let text = ScheduleText { start: Some(at("2026-11-23T00:00Z")), ..written(expression) };
            let (schedule, _) = Schedule::parse(&text, zone_of).expect(expression);
            assert!(schedule.next_after(at("2026-11-23T00:00Z")).is_some(), "{expression}");
            read += 1;
        }
        assert_eq!(read, count, "{file}");
    }
}
