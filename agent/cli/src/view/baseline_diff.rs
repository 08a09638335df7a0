//! What two baselines would each make of a host, as a table.

use crate::command::baseline::diff::{DiffDocument, OpinionWire, SideWire};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

use super::{View, stamp};

/// Both baselines with their counts, the packages that they don't judge the same, and what was met on the way.
pub(crate) fn lines(document: &DiffDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(wrapped("A  ", &side(&document.a), view.width));
    lines.extend(wrapped("B  ", &side(&document.b), view.width));
    for note in &document.notes {
        lines.extend(wrapped("note: ", note, view.width));
    }
    let mut table = Table::new(&[
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "INSTALLED", rank: 1 },
        Column { title: "A", rank: 0 },
        Column { title: "B", rank: 0 },
        Column { title: "WHY A", rank: 2 },
        Column { title: "WHY B", rank: 2 },
    ]);
    let (shown, rest) = view.limited(document.packages.iter().collect(), super::ROWS, "packages");
    for package in &shown {
        table.push([
            &format!("{}:{}", package.name, package.architecture),
            &package.installed,
            &opinion(&package.a),
            &opinion(&package.b),
            package.a.reason.unwrap_or_default(),
            package.b.reason.unwrap_or_default(),
        ]);
    }
    if !shown.is_empty() {
        lines.push(Line::empty());
        lines.extend(table.lines(view.width));
    }
    lines.extend(rest);
    let differ = counted(document.packages.len(), "package is", "packages are");
    let sentence =
        format!("{differ} not judged the same as of {}; {} are", stamp(document.now), document.same);
    lines.extend([Line::empty(), Line::styled(Style::Plain, sentence)]);
    lines.extend(view.problems("Problems", Style::Doubtful, document.problems.iter().collect()));
    lines
}

fn side(side: &SideWire) -> String {
    let name = if side.id == side.name { side.name.clone() } else { format!("{} ({})", side.name, side.id) };
    let rejected = match side.installed_rejected_count {
        0 => String::new(),
        number => format!(", {number} rejected"),
    };
    format!(
        "{name}: {} missing, {} installed, {} other{rejected}",
        side.missing_count, side.installed_count, side.installed_other_count
    )
}

/// `1.2 HIGH` where a version is asked for, else the state.
fn opinion(opinion: &OpinionWire) -> String {
    let level = if opinion.level == "UNSPECIFIED" { String::new() } else { format!(" {}", opinion.level) };
    match &opinion.approved {
        Some(version) => format!("{version}{level}"),
        None => format!("{}{level}", opinion.state),
    }
}
