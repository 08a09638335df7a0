//! What a transaction came to, from what was read back of the packages and from nothing else.

use jiff::SignedDuration;

use super::event::{Installed, TransactionEnd};
use super::{Ending, Underway};
use crate::report::{Change, RunRecord, RunVerdict, Transaction};

/// How many packages a sentence names.
const MAX_NAMED: usize = 5;

/// The record of a transaction whose packages were read back. Of one that is not in `installed` nothing is known.
pub(super) fn of_read_back(underway: &Underway, ending: Ending, installed: &[Installed]) -> RunRecord {
    let changes: Vec<Change> = underway
        .plan
        .changes()
        .iter()
        .map(|planned| {
            let found = installed.iter().find(|found| found.package == planned.package);
            let after = found.and_then(|found| found.version.clone());
            Change {
                package: planned.package.clone(),
                before: planned.from.clone(),
                planned: Some(planned.to.clone()),
                is_done: found.is_some_and(|found| found.is_sound) && after.as_ref() == Some(&planned.to),
                after,
            }
        })
        .collect();
    let verdict = verdict(&changes, &ending);
    of(underway, ending, changes, verdict)
}

/// The record of a transaction of which nothing could be read back.
pub(super) fn of_unknown(underway: &Underway, ending: Ending, detail: &str) -> RunRecord {
    let detail = format!("what is installed now could not be read back: {detail}");
    of(underway, ending, Vec::new(), RunVerdict::Failed { detail })
}

fn of(underway: &Underway, ending: Ending, changes: Vec<Change>, verdict: RunVerdict) -> RunRecord {
    let end = match ending {
        Ending::Known(end) => end,
        Ending::Unknown { because } => {
            TransactionEnd { took: SignedDuration::ZERO, exit_code: None, output_tail: vec![because] }
        }
    };
    RunRecord {
        verdict,
        window: Some(underway.window.clone()),
        transactions: vec![Transaction {
            id: underway.transaction.clone(),
            started_at: underway.started_at,
            took: end.took,
            exit_code: end.exit_code,
            changes,
            output_tail: end.output_tail,
        }],
    }
}

fn verdict(changes: &[Change], ending: &Ending) -> RunVerdict {
    let missed: Vec<String> =
        changes.iter().filter(|change| !change.is_done).map(|change| change.package.to_string()).collect();
    if missed.is_empty() {
        return RunVerdict::Succeeded;
    }
    let why = match ending {
        Ending::Known(TransactionEnd { exit_code: Some(code), .. }) => {
            format!("the package manager ended with {code}")
        }
        Ending::Known(_) => "the package manager was killed".into(),
        Ending::Unknown { because } => because.clone(),
    };
    let named = missed.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match missed.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let detail = format!(
        "{} of {} packages did not reach their planned version ({named}{more}): {why}",
        missed.len(),
        changes.len()
    );
    if missed.len() == changes.len() { RunVerdict::Failed { detail } } else { RunVerdict::Partial { detail } }
}
