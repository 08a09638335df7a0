//! Documents as lines for a person: pure functions, so that every table can be tested without a host.

pub(crate) mod baseline;
pub(crate) mod baseline_diff;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod listing;
pub(crate) mod next_steps;
pub(crate) mod old_code;
pub(crate) mod outcome;
pub(crate) mod patchers;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod run;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod verdict;
pub(crate) mod windows;

use jiff::Timestamp;
use patchd_protocol::report::native::{OsWire, ProblemWire};
use patchd_protocol::words::ReasonWire;

use crate::text::{Line, Style, counted, wrapped};

/// Rows of one table, or problems of one kind, and reasons that are shown unless all are asked for.
const ROWS: usize = 40;
const PROBLEMS: usize = 10;
const REASONS: usize = 8;

/// How a document is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The columns that a line may take.
    pub(crate) width: Option<usize>,
    pub(crate) now: Timestamp,
    /// Show every row.
    pub(crate) is_full: bool,
    /// The directory of another root, so that no advice for it is followed on this host.
    pub(crate) root: Option<String>,
}

impl View {
    /// A point in time and how long ago it was.
    pub(crate) fn when(&self, time: Timestamp) -> String {
        let seconds = self.now.duration_since(time).as_secs();
        let distance = span(seconds.unsigned_abs());
        let distance = if seconds < 0 { format!("in {distance}") } else { format!("{distance} ago") };
        format!("{} ({distance})", stamp(time))
    }

    /// The first rows of a list, and a line that counts the rest.
    fn limited<T>(&self, items: Vec<T>, limit: usize, what: &str) -> (Vec<T>, Option<Line>) {
        if self.is_full || items.len() <= limit {
            return (items, None);
        }
        let rest = items.len() - limit;
        let line = Line::plain(format!("… and {rest} more {what}: --all shows them"));
        (items.into_iter().take(limit).collect(), Some(line))
    }

    /// Why updates wait: how many for which reason.
    fn reasons(&self, sentences: Vec<(usize, String)>) -> Vec<Line> {
        let (shown, rest) = self.limited(sentences, REASONS, "reasons");
        let reason =
            |(count, sentence): (usize, String)| wrapped(&format!("{count:>5}: "), &sentence, self.width);
        shown.into_iter().flat_map(reason).chain(rest).collect()
    }

    /// Problems under a heading, each with its place.
    pub(crate) fn problems(&self, heading: &str, style: Style, problems: Vec<&ProblemWire>) -> Vec<Line> {
        if problems.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![Line::empty(), Line::styled(style, format!("{heading} ({})", problems.len()))];
        let (shown, rest) = self.limited(problems, PROBLEMS, "problems");
        for problem in shown {
            lines.extend(wrapped("  - ", &problem_text(problem), self.width));
        }
        lines.extend(rest);
        lines
    }
}

/// `place:line: message`, as compilers and editors know it.
pub(crate) fn problem_text(problem: &ProblemWire) -> String {
    match problem.line {
        Some(line) => format!("{}:{line}: {}", problem.place, problem.message),
        None => format!("{}: {}", problem.place, problem.message),
    }
}

/// A point in time, to the minute.
pub(crate) fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A length of time in words: as many as matter.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => counted_time(seconds, "second"),
        span @ 120..7_200 => counted_time(span / 60, "minute"),
        span @ 7_200..172_800 => counted_time(span / 3_600, "hour"),
        span => counted_time(span / 86_400, "day"),
    }
}

/// A size in words, to a tenth.
pub(crate) fn size(bytes: u64) -> String {
    let mut unit = 1_u64;
    for name in ["bytes", "KiB", "MiB", "GiB", "TiB"] {
        if bytes / unit < 1024 {
            return if unit == 1 { format!("{bytes} {name}") } else { tenths(bytes, unit, name) };
        }
        unit <<= 10;
    }
    tenths(bytes, unit, "PiB")
}

fn tenths(bytes: u64, unit: u64, name: &str) -> String {
    let tenth = bytes % unit / (unit / 10 + 1);
    format!("{}.{tenth} {name}", bytes / unit)
}

fn counted_time(number: u64, unit: &str) -> String {
    if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") }
}

/// What a system calls itself.
pub(crate) fn os_text(os: &OsWire) -> String {
    if !os.name.is_empty() {
        os.name.clone()
    } else if os.id.is_empty() {
        "an unknown system".into()
    } else {
        format!("{} {}", os.id, os.version_id).trim_end().into()
    }
}

/// One line of the head: what it is about, and what there is to say.
pub(crate) fn fact(view: &View, name: &str, text: &str) -> Vec<Line> {
    wrapped(&format!("{name:<10} "), text, view.width)
}

/// A package as a person writes it: the architecture only where it is not the host's own.
pub(crate) fn package_text(name: &str, architecture: &str, own: &str) -> String {
    if architecture == own || architecture == "all" { name.into() } else { format!("{name}:{architecture}") }
}

/// A reason's stable name in the few words that a column has room for.
pub(crate) fn reason_words(reason: &ReasonWire) -> String {
    match reason {
        ReasonWire::Held => "on hold".into(),
        ReasonWire::RemovalRequired => "needs a removal".into(),
        reason => reason.as_str().replace('_', " "),
    }
}

/// The sentences for the reasons that occur, each with how often.
pub(crate) fn reason_sentences<'a>(
    reasons: impl Iterator<Item = (&'a ReasonWire, &'a str)>,
) -> Vec<(usize, String)> {
    let mut counts = std::collections::BTreeMap::<(&ReasonWire, &str), usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut sentences: Vec<_> =
        counts.into_iter().map(|((_, sentence), count)| (count, sentence.to_owned())).collect();
    sentences.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    sentences
}

/// How many updates, of which how many security updates.
pub(crate) fn updates_text(updates: usize, security: usize) -> String {
    match (updates, security) {
        (0, _) => "no updates".into(),
        (updates, 0) => counted(updates, "update", "updates"),
        (updates, security) if updates == security => {
            counted(security, "security update", "security updates")
        }
        (updates, security) => {
            format!("{}, {security} of them security", counted(updates, "update", "updates"))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn view(width: Option<usize>) -> View {
        View { width, now: "2026-11-23T09:30:00Z".parse().unwrap(), is_full: false, root: None }
    }

    /// The lines as they are printed without colours.
    pub(crate) fn shown(lines: &[Line]) -> String {
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[track_caller]
    fn check_when(time: &str, expected: &str) {
        assert_eq!(view(None).when(time.parse().unwrap()), expected);
    }

    #[test]
    fn times_are_told_with_their_distance() {
        check_when("2026-11-23T09:29:59Z", "2026-11-23 09:29 UTC (1 second ago)");
        check_when("2026-11-23T07:30:00Z", "2026-11-23 07:30 UTC (2 hours ago)");
        check_when("2026-11-23T07:30:01Z", "2026-11-23 07:30 UTC (119 minutes ago)");
        check_when("2026-11-20T09:30:00Z", "2026-11-20 09:30 UTC (3 days ago)");
        check_when("2026-11-23T09:40:00Z", "2026-11-23 09:40 UTC (in 10 minutes)");
    }

    #[test]
    fn updates_are_counted_in_words() {
        assert_eq!(updates_text(0, 0), "no updates");
        assert_eq!(updates_text(1, 0), "1 update");
        assert_eq!(updates_text(1, 1), "1 security update");
        assert_eq!(updates_text(49, 35), "49 updates, 35 of them security");
    }
}
