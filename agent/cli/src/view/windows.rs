//! Windows as lines for a person: what is open or shut, what opens next, and what is configured.

use jiff::{SignedDuration, Timestamp};
use patchd_protocol::control::WindowVerdict;
use patchd_protocol::control::windows::{ConfiguredWire, MomentWire, WindowsDocument};

use super::View;
use crate::table::{Column, Table};
use crate::text::{Line, Style, wrapped};

/// All of it.
pub(crate) fn windows(document: &WindowsDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(moment) = &document.at {
        lines.extend(moment_lines(moment, view));
    }
    if let Some(configured) = &document.configured {
        lines.extend(configured_lines(configured, view));
    }
    if document.windows.is_empty() {
        lines.extend(wrapped("", "No window opens any more.", view.width));
        return lines;
    }
    let mut table = Table::new(&[
        Column { title: "OPENS", rank: 0 },
        Column { title: "CUTOFF", rank: 1 },
        Column { title: "SHUTS", rank: 0 },
        Column { title: "WINDOW", rank: 2 },
    ]);
    for opening in &document.windows {
        // A schedule that nobody has said a length of has times alone.
        let later = |time: Timestamp| if time == opening.start { String::new() } else { clock(time) };
        let name = opening.name.as_deref().unwrap_or_default();
        table.push([&clock(opening.start), &later(opening.cutoff), &later(opening.end), name]);
    }
    lines.extend(table.lines(view.width));
    lines
}

fn moment_lines(moment: &MomentWire, view: &View) -> Vec<Line> {
    let (style, word) = match (moment.open, moment.windows) {
        (true, _) => (Style::Good, "open"),
        (false, WindowVerdict::None) => (Style::Doubtful, "shut"),
        (false, _) => (Style::Bad, "shut"),
    };
    let mut lines = vec![Line::styled(style, format!("{word} at {}", clock(moment.at)))];
    lines.extend(wrapped("  ", &moment.because, view.width));
    lines
}

fn configured_lines(configured: &ConfiguredWire, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    for window in &configured.windows {
        let mut text = window.schedule.clone();
        if let Some(zone) = &window.timezone {
            text.push_str(&format!(" in {zone}"));
        }
        text.push_str(&format!(", lasts {:?}", SignedDuration::from_secs(window.duration_seconds)));
        if 0 < window.cutoff_seconds {
            let cutoff = SignedDuration::from_secs(window.cutoff_seconds);
            text.push_str(&format!(", nothing new in its last {cutoff:?}"));
        }
        if let Some(days) = window.offset_days {
            text.push_str(&format!(", {days} days after the schedule"));
        }
        text.push_str(&bounds(window.start, window.end));
        lines.extend(wrapped(&format!("window {}: ", window.name), &text, view.width));
    }
    for freeze in &configured.freezes {
        let mut text = freeze.reason.clone();
        if let Some(schedule) = &freeze.schedule {
            text.push_str(&format!(", {schedule}"));
        }
        if let Some(zone) = &freeze.timezone {
            text.push_str(&format!(" in {zone}"));
        }
        text.push_str(&bounds(freeze.from, freeze.until));
        lines.extend(wrapped(&format!("freeze {}: ", freeze.name), &text, view.width));
    }
    for emergency in &configured.emergencies {
        let (by, until) = (&emergency.by, clock(emergency.until));
        let text =
            format!("{} lifted until {until} by {by}: {}", emergency.freezes.join(", "), emergency.reason);
        lines.extend(wrapped("emergency: ", &text, view.width));
    }
    if !lines.is_empty() {
        lines.push(Line::empty());
    }
    lines
}

fn bounds(from: Option<Timestamp>, until: Option<Timestamp>) -> String {
    let bound = |word: &str, time: Option<Timestamp>| {
        time.map(|time| format!(", {word} {}", clock(time))).unwrap_or_default()
    };
    format!("{}{}", bound("from", from), bound("until", until))
}

/// A time to the second, where a schedule has seconds.
fn clock(time: Timestamp) -> String {
    if time.as_second() % 60 == 0 {
        super::stamp(time)
    } else {
        time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}
