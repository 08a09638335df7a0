//! What the daemon says of itself and of its runs, as lines.

use patchd_protocol::control::{
    AgentState, RunDocument, RunOutcome, RunPhase, RunSummary, RunTrigger, RunsDocument, StatusDocument,
    WindowStatus, WindowVerdict,
};
use patchd_protocol::report::native::{ChangeWire, ComplianceWire, OperationWire, SummaryWire};

use super::report::usual_architecture;
use super::{View, fact, package_text, stamp, updates_text};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

/// What the daemon does, and what it knows.
pub(crate) fn status(document: &StatusDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
    let state = match document.state {
        AgentState::Idle => "idle",
        AgentState::Running => "at work",
        AgentState::Stopping => "stopping",
    };
    let paused = if document.paused { ", paused: it changes nothing until it is resumed" } else { "" };
    add("Agent", &format!("patchd {} (pid {}), {state}{paused}", document.version, document.process_id));
    add("Started", &view.when(document.started_at));
    add("Host", &document.host);
    add("Store", &document.store);
    if 0 < document.spooled_reports {
        let number = usize::try_from(document.spooled_reports).unwrap_or(usize::MAX);
        add("Spool", &format!("{} not yet in the store", counted(number, "report", "reports")));
    }
    if let Some(run) = &document.running {
        add("Now", &run_text(run));
    }
    if let Some(run) = &document.last_run {
        add("Last run", &format!("{}: {}", run_text(run), outcome_text(run)));
    }
    match &document.last_report {
        Some(report) => {
            add("Verdict", &summary_text(&report.summary));
            add("Report", &format!("{} of {}", report.id, view.when(report.finished_at)));
        }
        None => add("Verdict", "no report was written yet"),
    }
    if let Some(time) = document.next_scan_at {
        add("Next scan", &view.when(time));
    }
    add("Window", &window_text(&document.window, view));
    lines.extend(gate_lines(document.gates.iter().map(|gate| gate.detail.as_str()), view));
    lines
}

/// The latest runs.
pub(crate) fn runs(document: &RunsDocument, view: &View) -> Vec<Line> {
    if document.runs.is_empty() {
        return vec![Line::plain("there were no runs yet: `patchctl scan` starts one")];
    }
    let mut table = Table::new(&[
        Column { title: "RUN", rank: 0 },
        Column { title: "REQUESTED", rank: 0 },
        Column { title: "WHAT", rank: 0 },
        Column { title: "BY", rank: 3 },
        Column { title: "OUTCOME", rank: 0 },
        Column { title: "HOST", rank: 1 },
        Column { title: "REPORT", rank: 2 },
    ]);
    for run in &document.runs {
        table.push([
            &run.id,
            &stamp(run.requested_at),
            operation_word(run.operation),
            &trigger_text(&run.trigger),
            outcome_word(run),
            run.compliance.map_or("", compliance_words),
            run.report.as_deref().unwrap_or_default(),
        ]);
    }
    table.lines(view.width)
}

/// One run with its history.
pub(crate) fn run(document: &RunDocument, view: &View) -> Vec<Line> {
    let run = &document.run;
    let mut lines = Vec::new();
    let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
    add("Run", &format!("{}: {} {}", run.id, operation_word(run.operation), trigger_text(&run.trigger)));
    add("Requested", &view.when(run.requested_at));
    if let Some(time) = run.concluded_at {
        add("Concluded", &view.when(time));
    }
    add("Outcome", &outcome_text(run));
    if let Some(compliance) = run.compliance {
        add("Host", compliance_words(compliance));
    }
    if let Some(report) = &run.report {
        add("Report", &format!("{report}: `patchctl report {report}` shows it"));
    }
    lines.extend(gate_lines(document.gates.iter().map(|gate| gate.detail.as_str()), view));
    for transaction in &document.transactions {
        lines.push(Line::empty());
        lines.push(Line::styled(Style::Heading, format!("Transaction {}", transaction.id)));
        let own = usual_architecture(transaction.changes.iter().map(|change| change.architecture.as_str()));
        if transaction.changes.is_empty() {
            lines.push(Line::plain("  nothing was read back yet"));
        } else {
            lines.extend(change_table(&transaction.changes, own).lines(view.width));
        }
    }
    if !document.journal.is_empty() {
        lines.extend([Line::empty(), Line::styled(Style::Heading, "Journal")]);
        for entry in &document.journal {
            let outcome = match (&entry.outcome, entry.done_at) {
                (Some(outcome), _) => outcome.as_str(),
                (None, Some(_)) => "done",
                (None, None) => "under way, or cut by a crash",
            };
            let lead = format!("  {}  {:<10} ", entry.intended_at.strftime("%H:%M:%S"), entry.effect);
            lines.extend(wrapped(&lead, outcome, view.width));
        }
    }
    lines
}

pub(crate) fn change_table(changes: &[ChangeWire], own_architecture: &str) -> Table {
    let mut table = Table::new(&[
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "BEFORE", rank: 0 },
        Column { title: "PLANNED", rank: 1 },
        Column { title: "AFTER", rank: 0 },
        Column { title: "DONE", rank: 0 },
    ]);
    for change in changes {
        table.push([
            &package_text(&change.name, &change.architecture, own_architecture),
            change.before.as_deref().unwrap_or("-"),
            change.planned.as_deref().unwrap_or("-"),
            change.after.as_deref().unwrap_or("-"),
            if change.done { "yes" } else { "no" },
        ]);
    }
    table
}

fn gate_lines<'a>(details: impl Iterator<Item = &'a str>, view: &View) -> Vec<Line> {
    let mut lines: Vec<_> = details.flat_map(|detail| wrapped("  - ", detail, view.width)).collect();
    if !lines.is_empty() {
        lines.splice(0..0, [Line::empty(), Line::styled(Style::Heading, "Nothing is installed, because")]);
    }
    lines
}

/// What a run does, and how far it has come.
fn run_text(run: &RunSummary) -> String {
    format!("{} {}, {}", operation_word(run.operation), run.id, phase_words(run.phase))
}

fn outcome_text(run: &RunSummary) -> String {
    let word = outcome_word(run);
    run.detail.as_ref().map_or_else(|| word.to_owned(), |detail| format!("{word}: {detail}"))
}

fn outcome_word(run: &RunSummary) -> &'static str {
    match run.verdict {
        Some(RunOutcome::Succeeded) => "succeeded",
        Some(RunOutcome::Partial) => "succeeded in part",
        Some(RunOutcome::Refused) => "changed nothing",
        Some(RunOutcome::Failed) => "failed",
        None => phase_words(run.phase),
    }
}

fn operation_word(operation: OperationWire) -> &'static str {
    match operation {
        OperationWire::Scan => "scan",
        OperationWire::Apply => "apply",
    }
}

fn trigger_text(trigger: &RunTrigger) -> String {
    match trigger {
        RunTrigger::Schedule => "by schedule".into(),
        RunTrigger::Request { uid } => format!("by uid {uid}"),
        RunTrigger::Once => "by patchd once".into(),
    }
}

fn phase_words(phase: RunPhase) -> &'static str {
    match phase {
        RunPhase::Queued => "waiting its turn",
        RunPhase::Refreshing => "fetching package lists",
        RunPhase::Assessing => "looking at the host",
        RunPhase::Planning => "planning",
        RunPhase::Gating => "checking whether it may start",
        RunPhase::Applying => "installing",
        RunPhase::Recalling => "asking what came of its transaction",
        RunPhase::ReadingBack => "reading back",
        RunPhase::Reporting => "writing the report",
        RunPhase::Concluded => "concluded",
    }
}

fn compliance_words(compliance: ComplianceWire) -> &'static str {
    match compliance {
        ComplianceWire::Compliant => "compliant",
        ComplianceWire::NonCompliant => "not compliant",
        ComplianceWire::Unknown => "cannot tell",
    }
}

/// The verdict of a report that is not at hand itself.
fn summary_text(summary: &SummaryWire) -> String {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let missing = match number(summary.counts.missing_count) {
        0 => String::new(),
        missing => format!(", {} missing", counted(missing, "approved update", "approved updates")),
    };
    let updates = updates_text(number(summary.updates), number(summary.security_updates));
    format!("{}{missing}; {updates} offered", compliance_words(summary.compliance))
}

fn window_text(window: &WindowStatus, view: &View) -> String {
    match (window.verdict, &window.occurrence) {
        (WindowVerdict::None, _) => "none is configured, so patchd changes nothing".into(),
        (WindowVerdict::Open, Some(open)) => {
            format!("{} is open until {}, last start at {}", open.name, stamp(open.end), stamp(open.cutoff))
        }
        (WindowVerdict::Open, None) => "open".into(),
        (WindowVerdict::Shut, Some(next)) => format!("{} opens {}", next.name, view.when(next.start)),
        (WindowVerdict::Shut, None) => "shut, and none will come".into(),
    }
}
