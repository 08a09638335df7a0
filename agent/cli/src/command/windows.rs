//! `patchctl windows`: when this host may be changed by its configuration, or when a schedule would allow it. It reads
//! the configuration itself and asks no daemon, so that it can be asked of any time and of what is not yet configured.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use patchd_core::window::{Field, Schedule, ScheduleText, Window, WindowText};
use patchd_host::config_files;
use patchd_protocol::config::parse_duration;
use patchd_protocol::control::windows::{MomentWire, OpeningWire, WindowsDocument, WindowsSchema};

use crate::arguments::WindowsArguments;
use crate::command::{now, own_view};
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::view;

pub(crate) fn run(arguments: &WindowsArguments, output: &mut Output) -> Result<Exit, Failure> {
    let at = instant("at", arguments.at.as_deref())?;
    let from = instant("from", arguments.from.as_deref())?.or(at).unwrap_or_else(now);
    let document = match &arguments.schedule {
        Some(expression) => of_schedule(arguments, expression, from, at)?,
        None => of_configuration(arguments, from)?,
    };
    if output.is_json {
        output.document(&document)?;
    } else {
        let view = own_view(output);
        output.lines(&view::windows::windows(&document, &view))?;
    }
    Ok(Exit::Done)
}

fn of_configuration(arguments: &WindowsArguments, from: Timestamp) -> Result<WindowsDocument, Failure> {
    let root = once::existing_root(&arguments.config_root)?;
    let settings = config_files::load(&root).map_err(|mistakes| once::mistaken(&mistakes))?;
    Ok(WindowsDocument::of_settings(&settings, from, arguments.count.into()))
}

fn of_schedule(
    arguments: &WindowsArguments,
    expression: &str,
    from: Timestamp,
    at: Option<Timestamp>,
) -> Result<WindowsDocument, Failure> {
    let count = usize::from(arguments.count);
    let start = instant(Field::Start.as_str(), arguments.start.as_deref())?;
    let needs_beginning = arguments.offset.is_some() || expression.trim_start().starts_with("rate");
    let schedule = ScheduleText {
        expression: expression.into(),
        timezone: arguments.timezone.clone(),
        offset: arguments.offset.as_deref().map(days).transpose()?,
        start,
        end: instant(Field::End.as_str(), arguments.end.as_deref())?,
        // As Systems Manager would have it of a window that is made then. Whether one is open needs the real thing.
        created: (needs_beginning && at.is_none()).then_some(start.unwrap_or(from)),
    };
    let duration = length(Field::Duration, arguments.duration.as_deref())?;
    let cutoff = length(Field::Cutoff, arguments.cutoff.as_deref())?;
    let zone_of = |name: &str| TimeZone::get(name).ok();
    let (times, of_schedule) =
        Schedule::parse(&schedule, zone_of).map_err(|error| wrong(&error.to_string()))?;
    let document = |windows, at| WindowsDocument { schema: WindowsSchema::V1, at, windows, configured: None };
    if duration.is_none() && of_schedule.is_none() {
        let needs_end = match (at, cutoff) {
            (Some(_), _) => Some("--at asks whether it is open"),
            (None, Some(_)) => Some("a cutoff counts from the end"),
            (None, None) => None,
        };
        if let Some(why) = needs_end {
            return Err(wrong(&format!("{}: {why}; say how long it lasts, such as 3h", Field::Duration)));
        }
        let starts = std::iter::successors(times.next_after(from), |start| times.next_after(*start));
        let moment = |start| OpeningWire { name: None, start, cutoff: start, end: start };
        return Ok(document(starts.take(count).map(moment).collect(), None));
    }
    let window = WindowText { name: String::new(), schedule, duration, cutoff };
    let window = Window::parse(window, zone_of).map_err(|error| wrong(&error.to_string()))?;
    let windows = window.opens_after(from).take(count).map(OpeningWire::unnamed).collect();
    let windows_alone = |at| MomentWire::of_windows(std::slice::from_ref(&window), at, OpeningWire::unnamed);
    Ok(document(windows, at.map(windows_alone)))
}

/// Wrong input, in one line that names the field.
fn wrong(sentence: &str) -> Failure {
    Failure::because(Exit::BadInput, sentence)
}

fn instant(field: &str, text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let parse = |text: &str| {
        text.parse().map_err(|_| {
            wrong(&format!("{field}: {text:?} is no time with an offset; write it like 2026-11-23T06:00:00Z"))
        })
    };
    text.map(parse).transpose()
}

fn length(field: Field, text: Option<&str>) -> Result<Option<SignedDuration>, Failure> {
    let parse = |text: &str| {
        let length = parse_duration(text).map_err(|error| wrong(&format!("{field}: {error}")))?;
        Ok(SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX))
    };
    text.map(parse).transpose()
}

fn days(text: &str) -> Result<i64, Failure> {
    text.parse().map_err(|_| wrong(&format!("{}: {text:?} is no number of days", Field::Offset)))
}
