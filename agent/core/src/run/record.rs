//! What a run came to, from what was read back of the packages and from nothing else.

use jiff::Timestamp;

use super::draft::{LeftOut, few};
use super::event::{Installed, Objection, TransactionEnd};
use super::progress::{Outcome, Progress};
use super::{Ending, Underway};
use crate::gate::Shut;
use crate::reason::Cause;
use crate::report::{Change, RunRecord, RunVerdict, Setback, Transaction, TransactionKind};

/// The record of a transaction whose packages were read back. Of one that is not in `installed` nothing is known.
pub(super) fn of_work(underway: &Underway, ending: &Ending, installed: &[Installed]) -> Transaction {
    let find = |package| installed.iter().find(|found| &found.package == package);
    let plan = &underway.work.plan;
    let changed = plan.changes().iter().map(|planned| {
        let found = find(&planned.package);
        let after = found.and_then(|found| found.version.clone());
        Change {
            package: planned.package.clone(),
            before: planned.from.clone(),
            planned: Some(planned.to.clone()),
            is_done: found.is_some_and(|found| found.is_sound) && after.as_ref() == Some(&planned.to),
            after,
        }
    });
    let removed = plan.removals().iter().map(|package| {
        let after = find(package).and_then(|found| found.version.clone());
        Change {
            package: package.clone(),
            before: None,
            planned: None,
            is_done: find(package).is_some_and(|found| found.version.is_none()),
            after,
        }
    });
    let changes = changed.chain(removed).collect();
    let unknown;
    let end = match ending {
        Ending::Known(end) | Ending::Cut(end) => end,
        Ending::Unknown { because } => {
            unknown = TransactionEnd { output_tail: vec![because.clone()], ..TransactionEnd::default() };
            &unknown
        }
    };
    Transaction {
        id: underway.work.transaction.clone(),
        kind: TransactionKind::Apply,
        started_at: end.started_at.unwrap_or(underway.started_at),
        took: end.took,
        exit_code: end.exit_code,
        changes,
        output_tail: end.output_tail.clone(),
    }
}

/// The record of a repair, or of hooks: they have no plan of packages.
pub(super) fn of_side_transaction(id: &str, kind: TransactionKind, end: &TransactionEnd) -> Transaction {
    Transaction {
        id: id.into(),
        kind,
        started_at: end.started_at.unwrap_or(Timestamp::UNIX_EPOCH),
        took: end.took,
        exit_code: end.exit_code,
        changes: Vec::new(),
        output_tail: end.output_tail.clone(),
    }
}

/// The record of hooks, if there were any: a stage without hooks says nothing.
pub(super) fn of_hooks(id: &str, end: &TransactionEnd) -> Option<Transaction> {
    let is_empty = end.exit_code == Some(0) && end.output_tail.is_empty();
    (!is_empty).then(|| of_side_transaction(id, TransactionKind::Hooks, end))
}

/// The record of a whole apply.
pub(super) fn of_progress(progress: &Progress, gates: &[Shut], mended: Option<Transaction>) -> RunRecord {
    let packages = |at: usize| {
        let step = progress.steps.get(at);
        step.map(|step| step.packages().chain(&step.removals).cloned().collect()).unwrap_or_default()
    };
    let mut failed: Vec<Setback> = Vec::new();
    for (at, outcome) in progress.outcomes.iter().enumerate() {
        let (why, output, objection) = match outcome {
            Outcome::Waiting | Outcome::Done => continue,
            Outcome::Failed { why, output, objection } => (why.clone(), output.clone(), *objection),
            Outcome::Blocked { by } => {
                let why = format!("it needs {}, which failed", progress.name_of(*by));
                (why, Vec::new(), Objection::Other)
            }
        };
        let cause = match objection {
            Objection::Conffiles => Cause::Conffile { detail: why.clone() },
            Objection::Other => Cause::Failed { run: None, detail: why.clone() },
        };
        failed.push(Setback { packages: packages(at), why, output, reason: cause.into() });
    }
    failed.extend(progress.left_out.iter().map(LeftOut::to_setback));
    let why = match gates {
        [] => "the run ended before its turn came".to_owned(),
        gates => gates.iter().map(Shut::sentence).collect::<Vec<_>>().join("; "),
    };
    let waiting: Vec<Setback> = progress
        .waiting()
        .map(|step| Setback {
            packages: step.packages().chain(&step.removals).cloned().collect(),
            why: why.clone(),
            output: Vec::new(),
            reason: gates.first().map_or(Cause::Ready, |shut| Cause::Shut(shut.clone())).into(),
        })
        .collect();
    let verdict = verdict(progress, &failed, &waiting);
    RunRecord {
        verdict,
        window: progress.permission.clone(),
        transactions: mended.into_iter().chain(progress.transactions.iter().cloned()).collect(),
        failed,
        waiting,
        notes: progress.notes.clone(),
        left_files: progress.left_files.clone(),
        reboot: None,
    }
}

fn verdict(progress: &Progress, failed: &[Setback], waiting: &[Setback]) -> RunVerdict {
    let is_done = |outcome: &Outcome| *outcome == Outcome::Done;
    let done = progress.outcomes.iter().filter(|outcome| is_done(outcome)).count();
    if failed.is_empty() && waiting.is_empty() {
        return RunVerdict::Succeeded;
    }
    let name = |setback: &Setback| {
        let names: Vec<_> = setback.packages.iter().take(3).map(|package| package.name.as_str()).collect();
        format!("{}: {}", names.join(", "), setback.why)
    };
    let mut lines: Vec<String> = failed.iter().map(name).collect();
    if let Some(first) = waiting.first() {
        let count: usize = waiting.iter().map(|setback| setback.packages.len()).sum();
        lines.push(format!("{count} packages were not tried: {}", first.why));
    }
    let detail = few(&lines);
    match (done, failed.is_empty()) {
        (0, true) => RunVerdict::Refused { detail },
        (0, false) => RunVerdict::Failed { detail },
        _ => RunVerdict::Partial { detail },
    }
}
