//! Old code in memory as lines: what runs it, whose it was, and what it takes.

use std::collections::{BTreeMap, BTreeSet};

use patchd_protocol::old_code::{OldCodeWire, OldProcessWire};
use patchd_protocol::words::RemedyWire;

use super::{ROWS, View, package_text};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted};

/// What there is to say of it in the head of a page; nothing where all was looked at and nothing was found.
pub(crate) fn fact(code: &OldCodeWire) -> Option<String> {
    let number = services(code).len();
    let found = counted(number, "service or process runs old code", "services or processes run old code");
    match (number, &code.unseen) {
        (0, None) => None,
        (0, Some(because)) => Some(format!("cannot tell whether old code runs: {because}")),
        (_, None) => Some(found),
        (_, Some(because)) => Some(format!("{found}, and there may be more: {because}")),
    }
}

/// The services and processes under a heading.
pub(crate) fn lines(code: &OldCodeWire, own: &str, view: &View) -> Vec<Line> {
    let services = services(code);
    if services.is_empty() {
        return Vec::new();
    }
    let heading = format!("Old code in memory ({})", services.len());
    let mut lines = vec![Line::empty(), Line::styled(Style::Heading, heading)];
    let mut table = Table::new(&[
        Column { title: "RUNS IT", rank: 0 },
        Column { title: "PROCESSES", rank: 3 },
        Column { title: "TAKES", rank: 1 },
        Column { title: "PACKAGES", rank: 2 },
    ]);
    let (shown, rest) = view.limited(services.into_iter().collect(), ROWS, "of them");
    for (name, processes) in shown {
        let takes: BTreeSet<_> = processes.iter().map(|process| process.remedy.as_str()).collect();
        let packages: BTreeSet<_> = processes.iter().flat_map(|process| &process.packages).collect();
        let packages = packages.into_iter().map(|package| {
            let (name, architecture) = package.split_once(':').unwrap_or((package, own));
            package_text(name, architecture, own)
        });
        table.push([
            &name,
            &processes.len().to_string(),
            takes.first().copied().unwrap_or_default(),
            &packages.collect::<Vec<_>>().join(", "),
        ]);
    }
    lines.extend(table.lines(view.width));
    lines.extend(rest);
    lines
}

/// The services that `systemctl restart` may be told. What belongs to a person's session is not among them.
pub(crate) fn restartable(code: &OldCodeWire) -> BTreeSet<&str> {
    let units = code.processes.iter().filter(|process| process.remedy == RemedyWire::Restart);
    let units = units.filter_map(|process| process.unit.as_deref());
    units.filter(|unit| unit.ends_with(".service") && !unit.starts_with("user@")).collect()
}

/// The processes by what a person knows them by.
fn services(code: &OldCodeWire) -> BTreeMap<String, Vec<&OldProcessWire>> {
    let mut services = BTreeMap::<String, Vec<&OldProcessWire>>::new();
    for process in &code.processes {
        let name = match &process.unit {
            Some(unit) if process.pid != 1 => unit.clone(),
            _ => format!("{} (pid {})", process.command, process.pid),
        };
        services.entry(name).or_default().push(process);
    }
    services
}
