//! What an apply came to, as its report has read it back: what was changed, what failed with its own last words, what
//! waits, and what was left to look after.

use std::collections::BTreeMap;

use patchd_protocol::control::{GateWire, RunDocument};
use patchd_protocol::report::native::{
    ChangeWire, RebootWire, ReportDocument, RunWire, SetbackWire, TransactionKindWire, TransactionWire,
};

use patchd_protocol::words::RebootOutcomeWire;

use super::report::usual_architecture;
use super::run::{change_table, gate_lines, gate_text, outcome_line};
use super::{View, package_text};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

/// The end of an apply that was watched.
pub(crate) fn lines(document: &RunDocument, report: Option<&ReportDocument>, view: &View) -> Vec<Line> {
    let run = &document.run;
    let mut lines = vec![outcome_line(run)];
    if let Some(run) = report.and_then(|report| report.run.as_ref()) {
        lines.extend(changed(run, view));
        lines.extend(beside(run, view));
    }
    let waiting = report.and_then(|report| report.run.as_ref()).map_or(&[][..], |run| &run.waiting);
    let is_told = |gate: &GateWire| waiting.iter().any(|setback| setback.why.contains(gate_text(gate)));
    let gates: Vec<_> = document.gates.iter().filter(|gate| !is_told(gate)).cloned().collect();
    lines.extend(gate_lines(&gates, "What stands in the way", view));
    lines.push(Line::empty());
    if let Some(report) = report {
        lines.push(super::verdict::line(report));
        lines.push(Line::plain(format!("`patchctl report {}` shows the whole report", report.id)));
    } else {
        lines.push(Line::plain(format!("`patchctl show {}` shows its history", run.id)));
    }
    lines
}

/// What is at another version than before, and what is not although it should be.
fn changed(run: &RunWire, view: &View) -> Vec<Line> {
    let changes = merged(run);
    let own = usual_architecture(changes.iter().map(|change| change.architecture.as_str()));
    if changes.is_empty() {
        return vec![Line::empty(), Line::plain("Nothing was changed")];
    }
    let mut table = Table::new(&[
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "FROM", rank: 0 },
        Column { title: "TO", rank: 0 },
        Column { title: "", rank: 0 },
    ]);
    for change in &changes {
        table.push([
            &package_text(&change.name, &change.architecture, own),
            change.before.as_deref().unwrap_or("(new)"),
            change.after.as_deref().unwrap_or("REMOVED"),
            if change.done { "" } else { "not as planned" },
        ]);
    }
    let heading = format!("Changed ({})", changes.len());
    let mut lines = vec![Line::empty(), Line::styled(Style::Heading, heading)];
    lines.extend(table.lines(view.width));
    lines
}

/// The changes of all transactions together: a package that two of them touched went from the first's to the last's.
fn merged(run: &RunWire) -> Vec<ChangeWire> {
    let mut merged = BTreeMap::<(&str, &str), ChangeWire>::new();
    let is_apply = |transaction: &&TransactionWire| transaction.kind == TransactionKindWire::Apply;
    for change in run.transactions.iter().filter(is_apply).flat_map(|transaction| &transaction.changes) {
        merged
            .entry((&change.name, &change.architecture))
            .and_modify(|known| {
                known.planned.clone_from(&change.planned);
                known.after.clone_from(&change.after);
                known.done |= change.done;
            })
            .or_insert_with(|| change.clone());
    }
    merged.into_values().filter(|change| change.done || change.before != change.after).collect()
}

/// Everything of a run beside its changes: setbacks, notes, files, repairs.
pub(crate) fn beside(run: &RunWire, view: &View) -> Vec<Line> {
    let mut lines = setbacks("Failed", Style::Bad, &run.failed, view);
    lines.extend(setbacks("Not tried, and waits", Style::Doubtful, &run.waiting, view));
    lines.extend(run.transactions.iter().filter(|it| is_notable(it)).flat_map(|it| besides(it, view)));
    lines.extend(run.reboot.iter().flat_map(|reboot| reboot_lines(reboot, view)));
    let mut list = |heading: &str, items: &[String]| {
        if !items.is_empty() {
            lines.extend([Line::empty(), Line::styled(Style::Heading, heading)]);
            lines.extend(items.iter().flat_map(|item| wrapped("  - ", item, view.width)));
        }
    };
    list("Configuration files left beside those in use: compare them, then remove them", &run.left_files);
    list("Notes", &run.notes);
    lines
}

/// The reboot that the host asked for at the end.
fn reboot_lines(reboot: &RebootWire, view: &View) -> Vec<Line> {
    let detail = reboot.detail.as_deref().unwrap_or("nobody knows why");
    let (style, heading, text) = match &reboot.outcome {
        RebootOutcomeWire::Done => {
            let when = reboot.seen_at.map(|at| view.when(at)).unwrap_or_default();
            (Style::Heading, "Rebooted", format!("{}; the run went on at {when}", reboot.because))
        }
        RebootOutcomeWire::Missed => {
            (Style::Bad, "Not rebooted, although it was asked for", format!("{}: {detail}", reboot.because))
        }
        RebootOutcomeWire::Waits | RebootOutcomeWire::Other(_) => {
            (Style::Doubtful, "The reboot waits", format!("{}: {detail}", reboot.because))
        }
    };
    let mut lines = vec![Line::empty(), Line::styled(style, heading)];
    lines.extend(wrapped("  - ", &text, view.width));
    lines
}

fn setbacks(heading: &str, style: Style, setbacks: &[SetbackWire], view: &View) -> Vec<Line> {
    if setbacks.is_empty() {
        return Vec::new();
    }
    let packages: usize = setbacks.iter().map(|setback| setback.packages.len()).sum();
    let heading = format!("{heading} ({})", counted(packages, "package", "packages"));
    let mut lines = vec![Line::empty(), Line::styled(style, heading)];
    for setback in grouped(setbacks) {
        let text = format!("{}: {}", setback.packages.join(", "), setback.why);
        lines.extend(wrapped("  - ", &text, view.width));
        // Its own words stay as they are, line by line.
        lines.extend(setback.output.iter().map(|line| Line::plain(format!("      | {line}"))));
    }
    lines
}

/// One setback for each reason; what has words of its own stays alone.
fn grouped(setbacks: &[SetbackWire]) -> Vec<SetbackWire> {
    let mut grouped: Vec<SetbackWire> = Vec::new();
    for setback in setbacks {
        let is_alike = |known: &&mut SetbackWire| {
            known.why == setback.why && known.output.is_empty() && setback.output.is_empty()
        };
        match grouped.iter_mut().find(is_alike) {
            Some(known) => known.packages.extend(setback.packages.iter().cloned()),
            None => grouped.push(setback.clone()),
        }
    }
    grouped
}

/// A repair is worth a word always, hooks only if they failed.
fn is_notable(transaction: &TransactionWire) -> bool {
    match transaction.kind {
        TransactionKindWire::Apply => false,
        TransactionKindWire::Repair => true,
        TransactionKindWire::Hooks => transaction.exit_code != Some(0),
    }
}

fn besides(transaction: &TransactionWire, view: &View) -> Vec<Line> {
    let (what, style) = match (transaction.kind, transaction.exit_code) {
        (TransactionKindWire::Repair, Some(0)) => ("The package database was repaired", Style::Heading),
        (TransactionKindWire::Repair, _) => {
            ("The package database could not be repaired in full", Style::Bad)
        }
        _ => ("A hook failed", Style::Bad),
    };
    let mut lines = vec![Line::empty(), Line::styled(style, format!("{what} ({})", transaction.id))];
    if !transaction.changes.is_empty() {
        let own = usual_architecture(transaction.changes.iter().map(|change| change.architecture.as_str()));
        lines.extend(change_table(&transaction.changes, own).lines(view.width));
    }
    if transaction.exit_code != Some(0) {
        let tail = transaction.output_tail.iter().rev().take(10).rev();
        lines.extend(tail.map(|line| Line::plain(format!("      | {line}"))));
    }
    lines
}

#[cfg(test)]
mod tests;
