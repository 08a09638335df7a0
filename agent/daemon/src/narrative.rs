//! The moves of a run in words: one sentence each, for people who follow it or read its journal.
//!
//! It decides nothing, and no program goes by these words: for those there are phases, codes and documents.

use patchd_core::gate::{Observed, Shut, shut_by_lock};
use patchd_core::report::{Assessment, Reboot, RebootOutcome};
use patchd_core::run::event::{
    Event, Findings, Installed, RebootView, Recall, RefreshOutcome, Refusal, Simulation, TransactionEnd,
};
use patchd_core::run::{Outcome, Phase, Progress, Purpose, RunState, Underway};
use patchd_protocol::control::events::PackageCounts;
use patchd_protocol::control::{GateWire, RunPhase};

/// The longest sentence, in characters.
const MAX_SENTENCE: usize = 500;

/// How many packages of a transaction are named.
const MAX_NAMED: usize = 4;

/// A phase as the API names it.
pub fn phase(phase: &Phase) -> RunPhase {
    match phase {
        Phase::Queued => RunPhase::Queued,
        Phase::Refreshing { .. } => RunPhase::Refreshing,
        Phase::Assessing { .. } => RunPhase::Assessing,
        Phase::Planning(_) => RunPhase::Planning,
        Phase::MendingGates { .. } | Phase::Gating(_) => RunPhase::Gating,
        Phase::Preparing(_) => RunPhase::Preparing,
        Phase::Applying(_) => RunPhase::Applying,
        Phase::Recalling { .. } => RunPhase::Recalling,
        Phase::Mending { .. } | Phase::Repairing { .. } => RunPhase::Repairing,
        Phase::ReadingBack { .. } => RunPhase::ReadingBack,
        Phase::Finishing { .. } => RunPhase::Finishing,
        Phase::Weighing(_) | Phase::PreparingReboot(_) | Phase::Rebooting { .. } => RunPhase::Rebooting,
        Phase::Reporting { .. } => RunPhase::Reporting,
        Phase::Concluded { .. } => RunPhase::Concluded,
    }
}

/// The gates that kept a run from going on, as far as its phase still has them.
pub fn gates(phase: &Phase) -> &[Shut] {
    match phase {
        Phase::Finishing { gates, .. } | Phase::Concluded { gates, .. } => gates,
        Phase::Reporting { result: Some(result), .. }
        | Phase::Assessing { purpose: Purpose::Final(result), .. } => &result.gates,
        _ => &[],
    }
}

/// A shut gate as the API tells it.
pub fn gate(shut: &Shut) -> GateWire {
    GateWire { code: shut.code().into(), detail: shut.sentence() }
}

/// How far the packages of a plan under way are.
pub fn counts(phase: &Phase) -> Option<PackageCounts> {
    let progress = phase.progress()?;
    let mut counts = PackageCounts { done: 0, failed: 0, all: 0 };
    for (step, outcome) in progress.steps.iter().zip(&progress.outcomes) {
        let packages = u64::try_from(step.changes.len() + step.removals.len()).unwrap_or(u64::MAX);
        counts.all += packages;
        match outcome {
            Outcome::Waiting => {}
            Outcome::Done => counts.done += packages,
            Outcome::Failed { .. } | Outcome::Blocked { .. } => counts.failed += packages,
        }
    }
    Some(counts)
}

/// What happened to a run, that is now in the state `after`.
pub fn sentence(event: &Event, after: &RunState) -> String {
    let phase = &after.phase;
    let sentence = match event {
        Event::Started => "the run begins".into(),
        Event::Refreshed(RefreshOutcome::Fetched) => "the package lists were fetched".into(),
        Event::Refreshed(RefreshOutcome::Failed { failures }) => {
            with_first(&format!("{} could not be fetched", of(failures.len(), "source")), failures)
        }
        Event::Assessed(findings) => assessed(findings, phase),
        Event::Simulated(simulation) => simulated(simulation, phase),
        Event::GatesSeen(observed) => gates_seen(observed, phase),
        Event::HooksRun(end) => match end.exit_code {
            Some(0) => "the hooks ended well".into(),
            _ => with_first("a hook failed", end.output_tail.last()),
        },
        Event::Applied(end) => ended("the package manager", end),
        Event::Recalled(Recall::Ended(end)) => ended("in the meantime the package manager", end),
        Event::Recalled(Recall::Running) => "the transaction goes on".into(),
        Event::Recalled(Recall::Unknown) => "the executor never took the transaction".into(),
        Event::Recalled(Recall::Cut(_)) => "the transaction was cut, and nothing works on it any more".into(),
        Event::Repaired(end) if end.database.is_empty() => "the package database is whole".into(),
        Event::Repaired(end) => with_first("the repair could not mend everything", &end.database),
        Event::ReadBack(installed) => read_back(installed, phase),
        Event::RebootWeighed(view) => weighed(view, phase),
        Event::RebootAsked => "systemd was asked to reboot the host, which is about to go down".into(),
        Event::BootSeen(seen) => match rebooted(phase) {
            Some(Reboot { outcome: RebootOutcome::Done { .. }, .. }) => "the host was rebooted".into(),
            _ => format!("the host was not rebooted: {}", seen.detail),
        },
        Event::Reported => "the report is written".into(),
        Event::Refused(refusal) => refused(refusal, phase),
        Event::Lost { detail } => format!("there was no answer: {detail}"),
        Event::StopRequested { by } => format!("{by} asks the run to stop; it does between two steps"),
        Event::Restarted => "patchd was started again and carries on".into(),
    };
    bounded(&sentence)
}

fn bounded(sentence: &str) -> String {
    let line = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_SENTENCE) {
        Some((end, _)) => line.get(..end).unwrap_or_default().to_owned(),
        None => line,
    }
}

fn of(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Adds the first of some lines, if there is one.
fn with_first<T: ToString>(what: &str, lines: impl IntoIterator<Item = T>) -> String {
    match lines.into_iter().next() {
        Some(first) => format!("{what}: {}", first.to_string()),
        None => what.into(),
    }
}

fn assessed(Findings { assessment, proposal }: &Findings, phase: &Phase) -> String {
    let found = match (proposal, phase) {
        (Some(proposal), _) => format!("{} due", of(proposal.plan.changes().len(), "package")),
        (None, Phase::Reporting { result: None, .. }) => "done".into(),
        (None, _) => "nothing is left to do".into(),
    };
    match assessment {
        Assessment::Complete => format!("the host was assessed: {found}"),
        Assessment::Incomplete { because } => {
            with_first(&format!("the host was assessed: {found}, and not all of it could be told"), because)
        }
    }
}

fn simulated(simulation: &Simulation, phase: &Phase) -> String {
    match (&simulation.refusal, phase) {
        (_, Phase::Gating(progress)) => {
            let left = progress.left_out.iter().map(|left| left.packages.len()).sum::<usize>();
            let steps = of(progress.steps.len(), "step");
            let settled = format!("the plan is settled: {} in {steps}", packages_of(progress));
            if left == 0 { settled } else { format!("{settled}; {} left out", of(left, "package")) }
        }
        (Some(refusal), _) => format!("the package manager would not do all of it: {refusal}"),
        (None, Phase::Planning(_)) => {
            format!(
                "the package manager makes it {}; it is asked again",
                of(simulation.changes.len(), "change")
            )
        }
        (None, _) => "the plan came to nothing".into(),
    }
}

fn packages_of(progress: &Progress) -> String {
    of(progress.plan.changes().len() + progress.plan.removals().len(), "package")
}

fn gates_seen(observed: &Observed, phase: &Phase) -> String {
    match phase {
        Phase::Gating(_) => {
            let lock = shut_by_lock(observed);
            lock.map_or_else(|| "looking again".into(), |lock| format!("waiting: {}", lock.sentence()))
        }
        Phase::Preparing(_) => "every gate is open".into(),
        Phase::Mending { .. } => "every gate is open: the package database is made whole first".into(),
        Phase::Applying(underway) => begun(underway),
        other => {
            let sentences: Vec<String> = gates(other).iter().map(Shut::sentence).collect();
            if sentences.is_empty() {
                "every gate is open".into()
            } else {
                format!("nothing more is changed now: {}", sentences.join("; "))
            }
        }
    }
}

/// What the record of a run says of the reboot, once it is over.
fn rebooted(phase: &Phase) -> Option<&Reboot> {
    match phase {
        Phase::Reporting { result: Some(result), .. }
        | Phase::Assessing { purpose: Purpose::Final(result), .. } => result.record.reboot.as_deref(),
        _ => None,
    }
}

fn weighed(view: &RebootView, phase: &Phase) -> String {
    let ask = match view {
        RebootView::NotAsked => return "the host asks for no reboot".into(),
        RebootView::Unknown { because } => {
            return format!("whether the host asks for a reboot can't be told: {because}");
        }
        RebootView::Asked(ask) => ask,
    };
    let then = match (phase, rebooted(phase).and_then(Reboot::waits)) {
        (_, Some(waits)) => format!("it waits: {waits}"),
        (Phase::Weighing(_), None) => {
            let lock = shut_by_lock(&ask.observed);
            lock.map_or_else(|| "looking again".into(), |lock| format!("waiting: {}", lock.sentence()))
        }
        _ => "every gate is open for it".into(),
    };
    format!("the host asks for a reboot ({}); {then}", ask.because)
}

fn begun(Underway { progress, work, .. }: &Underway) -> String {
    let names: Vec<&str> = work
        .plan
        .changes()
        .iter()
        .map(|change| &change.package)
        .chain(work.plan.removals())
        .map(|package| package.name.as_str())
        .collect();
    let named = names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = match names.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let seconds = work.estimate.as_secs();
    format!("transaction {} begins, {named}{more}: about {seconds} s", progress.started)
}

fn ended(who: &str, end: &TransactionEnd) -> String {
    let seconds = end.took.as_secs();
    match end.exit_code {
        Some(0) if end.database.is_empty() => format!("{who} is done, after {seconds} s"),
        Some(0) => with_first(&format!("{who} is done, and something is left to repair"), &end.database),
        Some(code) => {
            let last = end.failures.first().map(|failure| format!("{}: {}", failure.name, failure.message));
            let last = last.or_else(|| end.output_tail.last().cloned());
            with_first(&format!("{who} ended with {code} after {seconds} s"), last)
        }
        None => format!("{who} was cut after {seconds} s"),
    }
}

fn read_back(installed: &[Installed], phase: &Phase) -> String {
    let read = of(installed.len(), "package");
    match counts(phase) {
        Some(PackageCounts { done, failed: 0, all }) => format!("{read} read back: {done} of {all} are done"),
        Some(PackageCounts { done, failed, all }) => {
            format!("{read} read back: {done} of {all} are done, {failed} failed")
        }
        None => format!("{read} read back"),
    }
}

fn refused(refusal: &Refusal, phase: &Phase) -> String {
    match (refusal, phase) {
        (Refusal::Packages { detail, .. }, Phase::Gating(_)) => {
            format!("nothing was changed: {detail}; the others still go")
        }
        (refusal, _) => format!("nothing was changed: {}", refusal.detail()),
    }
}
