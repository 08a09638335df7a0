//! `window-cost`: what `cargo xtask bench --only windows` runs. How long the next start of a schedule takes to find: the
//! worst of many instants over a century, for expressions that have rare starts, many starts or none.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers, which prints")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use patchd_core::window::{Schedule, ScheduleText, Window, WindowText};
use patchd_tests::supervised::monotonic;

/// Rare, none at all, crowded, and those of the documentation.
const SCHEDULES: [&str; 10] = [
    "cron(0 6 29 2 ? *)",
    "cron(0 0 30 2 ? *)",
    "cron(0 2 31W 2,4,6,9,11 ? *)",
    "cron(0 5 ? 2 MON#5 *)",
    "cron(0 0 1 1 ? 2199)",
    "cron(59 59 23 ? * SAT#5 *)",
    "cron(0/5 * ? * * *)",
    "cron(0 2 ? * THU#3 *)",
    "cron(0 22 ? * FRI,SAT *)",
    "Sun 02:00 +3h America/New_York",
];

/// The instants from which each is asked: so many, evenly over a hundred years from 2000 on.
const INSTANTS: i64 = 1_000;
const FIRST: i64 = 946_684_800;
const CENTURY: i64 = 100 * 365 * 86_400;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("window-cost: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    println!("\nwindows: the next start after each of {INSTANTS} instants of a century");
    println!("  {:<36}{:>12}{:>12}{:>22}", "schedule", "mean", "worst", "next opening, worst");
    let mut worst = 0.0_f64;
    for expression in SCHEDULES {
        let zone = |name: &str| TimeZone::get(name).ok();
        let is_shorthand = expression.contains('+');
        let timezone = (!is_shorthand).then(|| "Europe/Berlin".to_owned());
        let text = ScheduleText { expression: expression.into(), timezone, ..ScheduleText::default() };
        let (schedule, _) = Schedule::parse(&text, zone).with_context(|| expression.to_owned())?;
        let duration = (!is_shorthand).then(|| SignedDuration::from_hours(1));
        let text = WindowText { name: "bench".into(), schedule: text, duration, cutoff: None };
        let window = Window::parse(text, zone).with_context(|| expression.to_owned())?;
        let starts = times(|after| schedule.next_after(after).is_some())?;
        let openings = times(|after| window.opens_after(after).next().is_some())?;
        worst = worst.max(starts.1);
        println!("  {expression:<36}{:>9.1} us{:>9.1} us{:>19.1} us", starts.0, starts.1, openings.1);
    }
    println!("  the worst of all next starts: {worst:.1} us (reach: at most 1000)");
    Ok(())
}

/// The mean and the worst of all calls, in microseconds.
fn times(call: impl Fn(Timestamp) -> bool) -> Result<(f64, f64)> {
    let (mut sum, mut worst) = (0.0_f64, 0.0_f64);
    for number in 0..INSTANTS {
        let after = Timestamp::from_second(FIRST + CENTURY / INSTANTS * number)?;
        // The best of three: what else the machine does is not the schedule's.
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            let began = monotonic();
            std::hint::black_box(call(std::hint::black_box(after)));
            best = best.min(monotonic().saturating_sub(began).as_secs_f64() * 1e6);
        }
        sum += best;
        worst = worst.max(best);
    }
    Ok((sum / 1_000.0, worst))
}
