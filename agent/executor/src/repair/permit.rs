//! Whether the package database may be repaired now, and on whose word.
//!
//! A repair changes packages, and needs what every change needs: a window, or a grant. One thing more allows it: that a
//! transaction of the executor's own left the damage (docs/decisions/0009). Only the executor's own records tell that.

use patchd_protocol::executor::{TransactionKind, TransactionRecord, TransactionState};

use crate::record::Records;
use crate::refusal::Stop;
use crate::verbs::Executor;

/// Whose word a repair rests on now.
pub(crate) fn permission(executor: &Executor) -> Result<String, Stop> {
    by_policy(executor).or_else(|stop| match unfinished(&executor.records) {
        Some(id) => Ok(format!("the transaction {id} of patchd's own was not finished")),
        None => Err(stop),
    })
}

/// The name of the open window, or the reason of a grant in force, whatever plan it is for.
pub(crate) fn by_policy(executor: &Executor) -> Result<String, Stop> {
    let now = (executor.now)();
    let rules = executor.policy.read()?;
    let Some(grant) = executor.grants.any(now)? else {
        return Ok(rules.window(now, &(executor.clock)())?.name);
    };
    rules.check_freeze(now)?;
    Ok(format!("granted by root: {}", grant.reason))
}

/// A transaction of the executor's own that was cut or left damage, and that no repair has ended after.
pub(crate) fn unfinished(records: &Records) -> Option<String> {
    let all = records.all();
    let last = all.iter().rposition(is_ended_repair);
    let since = all.get(last.map_or(0, |at| at + 1)..).unwrap_or_default();
    since.iter().find(|record| is_unfinished(record)).map(|record| record.id.clone())
}

fn is_ended_repair(record: &TransactionRecord) -> bool {
    record.kind == TransactionKind::Repair && record.state == TransactionState::Ended
}

fn is_unfinished(record: &TransactionRecord) -> bool {
    match (record.kind, record.state) {
        (TransactionKind::Hooks | TransactionKind::Reboot, _) => false,
        // What has no outcome when somebody else holds the executor's lock was cut.
        (_, TransactionState::Running | TransactionState::Interrupted) => true,
        (_, TransactionState::Ended) => !record.database.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use patchd_host::root::Root;

    use super::*;
    use crate::record;

    #[track_caller]
    fn check(story: &[(&str, TransactionKind, Option<&str>)], expected: Option<&str>) {
        let directory = tempfile::tempdir().unwrap();
        let owner = nix::unistd::Uid::effective().as_raw();
        let records = Records::open(directory.path(), owner, Root::at(directory.path())).unwrap();
        let start: jiff::Timestamp = "2026-11-29T02:00:00Z".parse().unwrap();
        for (at, (id, kind, outcome)) in story.iter().enumerate() {
            let now = start + jiff::SignedDuration::from_secs(i64::try_from(at).unwrap());
            let intent = record::intent(id, "run", *kind, now);
            records.begin(&intent).unwrap();
            if let Some(left) = outcome {
                let database = left.split_whitespace().map(str::to_owned).collect();
                records
                    .end(&TransactionRecord { state: TransactionState::Ended, database, ..intent })
                    .unwrap();
            }
        }
        assert_eq!(unfinished(&records).as_deref(), expected, "{story:?}");
    }

    #[test]
    fn only_a_transaction_that_was_not_finished_allows_a_repair_and_only_one() {
        use TransactionKind::{Apply, Hooks, Repair};
        check(&[], None);
        check(&[("z", Apply, Some(""))], None);
        check(&[("z", Apply, None)], Some("z"));
        check(&[("z", Apply, Some("app"))], Some("z"));
        check(&[("z", Apply, None), ("b", Repair, Some(""))], None);
        // What a repair could not mend is for a window.
        check(&[("z", Apply, None), ("b", Repair, Some("app"))], None);
        check(&[("z", Apply, None), ("b", Repair, None)], Some("z"));
        check(&[("z", Repair, None)], Some("z"));
        check(&[("z", Repair, Some("")), ("a", Apply, None)], Some("a"));
        check(&[("z", Hooks, None)], None);
        check(&[("z", TransactionKind::Reboot, None)], None);
    }
}
