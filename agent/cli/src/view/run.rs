//! What the daemon says of itself and of its runs, as lines.

use patchd_protocol::control::clock::{ClockState, ClockStatus};
use patchd_protocol::control::{
    AgentState, GateWire, RunDocument, RunOutcome, RunPhase, RunSummary, RunTrigger, RunsDocument,
    StatusDocument, WindowStatus, WindowVerdict,
};
use patchd_protocol::report::native::{
    ChangeWire, ComplianceWire, OperationWire, ReportDocument, SummaryWire,
};

use patchd_protocol::words::AnswerWire;

use super::outcome::beside;
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
    if let Some(new) = &document.new_program {
        add("Upgraded", &new.detail);
    }
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
        add("Last run", &format!("{} {}: {}", operation_word(run), run.id, outcome_text(run)));
    }
    match &document.last_report {
        Some(report) => {
            add("Verdict", &summary_text(&report.summary));
            if report.needs_reboot == Some(AnswerWire::Yes) {
                add("Reboot", "the host asks for one: `patchctl report` tells why, and what it waits for");
            }
            add("Report", &format!("{} of {}", report.id, view.when(report.finished_at)));
        }
        None => add("Verdict", "no report was written yet"),
    }
    if let Some(time) = document.next_scan_at {
        add("Next scan", &view.when(time));
    }
    add("Window", &window_text(&document.window, view));
    add("Clock", &clock_text(&document.clock));
    lines.extend(gate_lines(&document.gates, "Nothing is installed, because", view));
    lines
}

/// Whether windows are told by the clock, and what it matters.
fn clock_text(clock: &ClockStatus) -> String {
    const IGNORED: &str = "policy does without (clock.require_synchronised = false)";
    const HELD: &str = "nothing is changed unattended";
    let detail = clock.detail.as_deref().unwrap_or("no reason is known");
    match (clock.state, clock.required) {
        (ClockState::Synchronised, _) => "synchronised".into(),
        (ClockState::Unsynchronised, true) => format!("not synchronised: {HELD}"),
        (ClockState::Unsynchronised, false) => format!("not synchronised, and {IGNORED}"),
        (ClockState::Unknown, true) => format!("unknown: {HELD} ({detail})"),
        (ClockState::Unknown, false) => format!("unknown, and {IGNORED}"),
        (ClockState::Distrusted, _) => format!("not believed: {HELD} ({detail})"),
    }
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
            operation_word(run),
            &trigger_text(&run.trigger),
            outcome_word(run),
            run.compliance.map_or("", compliance_words),
            run.report.as_deref().unwrap_or_default(),
        ]);
    }
    table.lines(view.width)
}

/// One run with its history.
pub(crate) fn run(document: &RunDocument, report: Option<&ReportDocument>, view: &View) -> Vec<Line> {
    let run = &document.run;
    let mut lines = Vec::new();
    let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
    add("Run", &format!("{}: {} {}", run.id, operation_word(run), trigger_text(&run.trigger)));
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
    lines.extend(gate_lines(&document.gates, "Nothing is installed, because", view));
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
    lines.extend(report.and_then(|report| report.run.as_ref()).iter().flat_map(|run| beside(run, view)));
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

/// The shut gates under a heading; nothing if none is.
pub(crate) fn gate_lines(gates: &[GateWire], heading: &str, view: &View) -> Vec<Line> {
    if gates.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::empty(), Line::styled(Style::Heading, heading)];
    lines.extend(gates.iter().flat_map(|gate| wrapped("  - ", gate_text(gate), view.width)));
    lines
}

/// A gate in a sentence; its code, where somebody left the sentence away.
pub(crate) fn gate_text(gate: &GateWire) -> &str {
    if gate.detail.is_empty() { &gate.code } else { &gate.detail }
}

/// What a stop came to.
pub(crate) fn stopping(document: &RunDocument, view: &View) -> Vec<Line> {
    let run = &document.run;
    let text = match (run.verdict, run.phase) {
        (Some(_), _) => format!("run {} is over: it {}", run.id, outcome_text(run)),
        (None, RunPhase::Applying | RunPhase::Recalling | RunPhase::Repairing | RunPhase::ReadingBack) => {
            format!(
                "run {} will stop after the step that is under way: a step is never cut. `patchctl apply --follow {}` \
             shows it",
                run.id, run.id
            )
        }
        (None, phase) => {
            format!("run {} will stop before it changes anything more (it is {})", run.id, phase_words(phase))
        }
    };
    wrapped("", &text, view.width)
}

pub(crate) fn paused(document: &StatusDocument, view: &View) -> Vec<Line> {
    let mut text =
        "paused: nothing is changed on this host until `patchctl resume`; it is still scanned".to_owned();
    if let Some(run) = document.running.as_ref().filter(|run| run.operation == OperationWire::Apply) {
        let id = &run.id;
        text.push_str(&format!(
            ". Run {id} is under way and stops before its next step; `patchctl apply --follow {id}` shows it"
        ));
    }
    wrapped("", &text, view.width)
}

pub(crate) fn resumed(document: &StatusDocument, view: &View) -> Vec<Line> {
    let mut lines = wrapped("", "resumed: patchd patches this host in its windows again", view.width);
    lines.extend(gate_lines(&document.gates, "What still keeps it from changing anything now", view));
    lines
}

/// How a run ended, in one line that nobody overlooks.
pub(crate) fn outcome_line(run: &RunSummary) -> Line {
    let (style, word) = match run.verdict {
        Some(RunOutcome::Succeeded) => (Style::Good, "SUCCEEDED"),
        Some(RunOutcome::Partial) => (Style::Doubtful, "SUCCEEDED IN PART"),
        Some(RunOutcome::Refused) => (Style::Doubtful, "NOTHING WAS CHANGED"),
        Some(RunOutcome::Failed) => (Style::Bad, "FAILED"),
        None => (Style::Doubtful, "NOT OVER YET"),
    };
    let detail = run.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    Line::styled(style, word).then(Style::Plain, format!("{detail} ({} {})", operation_word(run), run.id))
}

/// What a run does, and how far it has come.
fn run_text(run: &RunSummary) -> String {
    format!("{} {}, {}", operation_word(run), run.id, phase_words(run.phase))
}

pub(crate) fn outcome_text(run: &RunSummary) -> String {
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

pub(crate) fn operation_word(run: &RunSummary) -> &'static str {
    match run.operation {
        OperationWire::Scan => "scan",
        OperationWire::Apply if run.dry_run => "plan",
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

pub(crate) fn phase_words(phase: RunPhase) -> &'static str {
    match phase {
        RunPhase::Queued => "waiting its turn",
        RunPhase::Refreshing => "fetching package lists",
        RunPhase::Assessing => "looking at the host",
        RunPhase::Planning => "planning",
        RunPhase::Gating => "checking whether it may start",
        RunPhase::Preparing => "running the pre-patch hooks",
        RunPhase::Applying => "installing",
        RunPhase::Recalling => "asking what came of its transaction",
        RunPhase::Repairing => "repairing the package database",
        RunPhase::ReadingBack => "reading back",
        RunPhase::Finishing => "running the post-patch hooks",
        RunPhase::Rebooting => "seeing to the reboot",
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
    let pending = match number(summary.counts.installed_pending_reboot_count) {
        0 => String::new(),
        pending => format!(
            ", {}",
            counted(pending, "update installed but not in use", "updates installed but not in use")
        ),
    };
    let updates = updates_text(number(summary.updates), number(summary.security_updates));
    format!("{}{missing}{pending}; {updates} offered", compliance_words(summary.compliance))
}

pub(crate) fn window_text(window: &WindowStatus, view: &View) -> String {
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

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use patchd_protocol::control::new_program::NewProgram;
    use patchd_protocol::control::{OccurrenceWire, ReportSummary, RunsSchema, StatusSchema};
    use patchd_protocol::report::native::AssessmentWire;

    use super::*;
    use crate::view::sample;
    use crate::view::tests::{shown, view};

    fn run_of(id: &str, verdict: Option<RunOutcome>) -> RunSummary {
        RunSummary {
            id: id.into(),
            operation: OperationWire::Scan,
            dry_run: false,
            trigger: RunTrigger::Schedule,
            phase: if verdict.is_some() { RunPhase::Concluded } else { RunPhase::Assessing },
            requested_at: "2026-11-23T09:00:00Z".parse().unwrap(),
            concluded_at: None,
            verdict,
            detail: None,
            report: verdict.map(|_| "r-1".into()),
            compliance: verdict.map(|_| ComplianceWire::NonCompliant),
        }
    }

    fn clock_of(state: ClockState, required: bool) -> ClockStatus {
        let detail = matches!(state, ClockState::Unknown | ClockState::Distrusted).then(|| "because".into());
        ClockStatus { state, required, detail, asked_at: None }
    }

    fn status_of(window: WindowStatus) -> StatusDocument {
        StatusDocument {
            schema: StatusSchema::V1,
            state: AgentState::Running,
            version: "0.1.0".into(),
            process_id: 4711,
            started_at: "2026-11-20T09:30:00Z".parse().unwrap(),
            uptime_seconds: 259_200,
            host: "i-0123456789abcdef0".into(),
            store: "s3://bucket/prefix".into(),
            spooled_reports: 2,
            running: Some(run_of("run-2", None)),
            last_run: Some(run_of("run-1", Some(RunOutcome::Succeeded))),
            last_report: Some(ReportSummary {
                id: "r-1".into(),
                operation: OperationWire::Scan,
                finished_at: "2026-11-23T09:00:00Z".parse().unwrap(),
                assessment: AssessmentWire::Complete,
                summary: sample::report().summary,
                needs_reboot: None,
                key: None,
            }),
            next_scan_at: None,
            window,
            clock: clock_of(ClockState::Synchronised, true),
            gates: vec![GateWire { code: "no_window".into(), detail: "no window is configured".into() }],
            paused: false,
            new_program: Some(NewProgram { restarts_itself: true, detail: "it waits".into() }),
        }
    }

    #[test]
    fn the_status_is_a_head_and_the_gates() {
        let none = WindowStatus { verdict: WindowVerdict::None, occurrence: None };
        assert_snapshot!(shown(&status(&status_of(none), &view(Some(80)))), @r"
        Agent      patchd 0.1.0 (pid 4711), at work
        Upgraded   it waits
        Started    2026-11-20 09:30 UTC (3 days ago)
        Host       i-0123456789abcdef0
        Store      s3://bucket/prefix
        Spool      2 reports not yet in the store
        Now        scan run-2, looking at the host
        Last run   scan run-1: succeeded
        Verdict    compliant; no updates offered
        Report     r-1 of 2026-11-23 09:00 UTC (30 minutes ago)
        Window     none is configured, so patchd changes nothing
        Clock      synchronised

        Nothing is installed, because
          - no window is configured
        ");
    }

    #[test]
    fn a_window_is_told_by_when_it_opens_or_ends() {
        let occurrence = OccurrenceWire {
            name: "sunday".into(),
            start: "2026-11-29T02:00:00Z".parse().unwrap(),
            cutoff: "2026-11-29T03:00:00Z".parse().unwrap(),
            end: "2026-11-29T04:00:00Z".parse().unwrap(),
        };
        let text = |verdict| {
            window_text(&WindowStatus { verdict, occurrence: Some(occurrence.clone()) }, &view(None))
        };
        assert_eq!(text(WindowVerdict::Shut), "sunday opens 2026-11-29 02:00 UTC (in 5 days)");
        let open = "sunday is open until 2026-11-29 04:00 UTC, last start at 2026-11-29 03:00 UTC";
        assert_eq!(text(WindowVerdict::Open), open);
    }

    #[test]
    fn a_clock_is_told_with_what_comes_of_it() {
        for (state, required, expected) in [
            (ClockState::Synchronised, false, "synchronised"),
            (ClockState::Unsynchronised, true, "not synchronised: nothing is changed unattended"),
            (
                ClockState::Unsynchronised,
                false,
                "not synchronised, and policy does without (clock.require_synchronised = false)",
            ),
            (ClockState::Unknown, true, "unknown: nothing is changed unattended (because)"),
            (
                ClockState::Unknown,
                false,
                "unknown, and policy does without (clock.require_synchronised = false)",
            ),
            (ClockState::Distrusted, false, "not believed: nothing is changed unattended (because)"),
        ] {
            assert_eq!(clock_text(&clock_of(state, required)), expected);
        }
    }

    #[test]
    fn runs_are_a_table_or_a_hint() {
        let document = |runs| RunsDocument { schema: RunsSchema::V1, runs };
        let some = document(vec![run_of("run-2", None), run_of("run-1", Some(RunOutcome::Refused))]);
        assert_snapshot!(shown(&runs(&some, &view(Some(100)))), @r"
        RUN    REQUESTED             WHAT  BY           OUTCOME              HOST           REPORT
        run-2  2026-11-23 09:00 UTC  scan  by schedule  looking at the host
        run-1  2026-11-23 09:00 UTC  scan  by schedule  changed nothing      not compliant  r-1
        ");
        assert_eq!(runs(&document(vec![]), &view(None)).len(), 1);
    }
}
