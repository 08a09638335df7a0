//! What the journal tells those who ask: runs, their moves, plans, and how long things took.

use patchd_core::plan::need::Pace;
use patchd_protocol::control::{RunOutcome, RunPhase};
use patchd_protocol::executor::{DownloadWire, PackageTimingWire};
use patchd_protocol::report::native::OperationWire;

use super::*;

#[test]
fn readers_see_the_run_with_its_history() {
    let mut journal = Journal::in_memory().unwrap();
    write(&mut journal, &new_run("run-1"), story(), || {});
    let run = journal.run("run-1").unwrap().unwrap();
    assert_eq!(run.run.operation, OperationWire::Apply);
    assert_eq!(run.run.phase, RunPhase::Concluded);
    assert_eq!(run.run.verdict, Some(RunOutcome::Succeeded));
    let told: Vec<_> =
        run.journal.iter().map(|entry| (entry.effect.as_str(), entry.outcome.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("refresh", "the package lists were fetched"),
            (
                "assess",
                "the host was assessed: 2 packages due, and not all of it could be told: /lists:3: is old"
            ),
            ("simulate", "the plan is settled: 2 packages in 2 steps"),
            ("look_at_gates", "every gate is open"),
            ("run_hooks", "the hooks ended well"),
            ("look_at_gates", "transaction 1 begins, libssl3, openssl: about 23 s"),
            ("apply", "patchd was started again and carries on"),
            ("recall", "the transaction goes on"),
            ("recall", "there was no answer: connection refused"),
            ("recall_later", "the transaction was cut, and nothing works on it any more"),
            ("repair", "the package database is whole"),
            ("read_back", "2 packages read back: 2 of 2 are done"),
            ("run_hooks", "the hooks ended well"),
            (
                "weigh_reboot",
                "the host asks for a reboot (libc6 asked for it); it waits: reboot.policy is never: patchd reboots nothing \
                 here; stopped by uid 0; a transaction was cut and the package database needs repair: openssl is half \
                 configured"
            ),
            ("assess", "patchd was started again and carries on"),
            ("assess", "the host was assessed: nothing is left to do"),
            ("report", "the report is written"),
        ]
    );
    let [transaction] = run.transactions.as_slice() else { panic!("{:?}", run.transactions) };
    assert_eq!(transaction.id, "run-1.apply.1");
    assert_eq!(transaction.changes[0].after.as_deref(), Some("1:1.1"));
    assert_eq!(journal.run("run-2").unwrap(), None);
    let attempts = journal.attempts("night@2027").unwrap();
    assert_eq!((attempts.count, attempts.last.unwrap().verdict), (1, RunOutcome::Succeeded));
    assert_eq!(journal.attempts("other").unwrap().count, 0);
}

#[test]
fn moves_are_told_from_any_place_on_and_none_twice() {
    let mut journal = Journal::in_memory().unwrap();
    write(&mut journal, &new_run("other"), vec![Event::Started], || {});
    write(&mut journal, &new_run("run-1"), story(), || {});
    assert_eq!(journal.moves("none", 0, 9).unwrap(), None);
    let all = journal.moves("run-1", 0, 99).unwrap().unwrap();
    assert_eq!(all.moves.len(), story().len());
    assert_eq!(all.concluded.as_ref().unwrap().verdict, Some(RunOutcome::Succeeded));
    assert_eq!(all.moves[7].text, "uid 0 asks the run to stop; it does between two steps");
    let mut counted = all.moves.iter().filter_map(|moved| moved.packages.map(|packages| packages.done));
    assert_eq!(counted.next_back(), Some(2));
    let mut told = Vec::new();
    let mut after = 0;
    loop {
        let some = journal.moves("run-1", after, 4).unwrap().unwrap();
        assert!(some.moves.len() <= 4);
        after = some.moves.last().map_or(after, |moved| moved.sequence);
        told.extend(some.moves);
        if some.concluded.is_some() {
            break;
        }
    }
    assert_eq!(told, all.moves);
    let running = journal.moves("other", 0, 99).unwrap().unwrap();
    assert_eq!((running.moves.len(), running.concluded), (1, None));
}

fn timing(name: &str, milliseconds: u64) -> PackageTimingWire {
    PackageTimingWire { name: name.into(), milliseconds }
}

#[test]
fn the_longest_of_the_last_five_changes_of_a_package_is_its_pace() {
    let mut journal = Journal::in_memory().unwrap();
    assert_eq!(journal.pace().unwrap(), Pace::default());
    let name = PackageName::parse("openssl").unwrap();
    let fast = DownloadWire { bytes: 50 << 20, milliseconds: 1_000 };
    for (number, milliseconds) in [90_000, 1_000, 7_000, 2_000, 3_000, 4_000].into_iter().enumerate() {
        let timings = [timing("openssl", milliseconds), timing("-no name", 1)];
        // Told a second time, as after a crash.
        for _ in 0..2 {
            journal.learn(&format!("run-{number}.apply.1"), &timings, Some(fast)).unwrap();
        }
    }
    let slow = DownloadWire { bytes: 1 << 20, milliseconds: 2_000 };
    journal.learn("run-9.apply.1", &[timing("openssl", 1)], Some(slow)).unwrap();
    let tiny = DownloadWire { bytes: 900, milliseconds: 5_000 };
    journal.learn("run-10.apply.1", &[], Some(tiny)).unwrap();
    let pace = journal.pace().unwrap();
    assert_eq!(pace.packages.len(), 1);
    assert_eq!(pace.packages[&name], SignedDuration::from_secs(7), "the 90 seconds are six changes ago");
    assert_eq!(pace.download_bytes_per_second, Some(512 << 10));
}

#[test]
fn a_dry_run_is_no_last_scan() {
    let mut journal = Journal::in_memory().unwrap();
    let mut dry = new_run("dry");
    dry.order.wish = Wish::DryRun;
    dry.occurrence = None;
    journal.begin(&dry, at(0)).unwrap();
    journal.abandon("dry", "a test", at(5)).unwrap();
    assert_eq!(journal.last_end().unwrap(), None);
    assert!(journal.run_summary("dry").unwrap().unwrap().dry_run);
    journal.begin(&new_run("wet"), at(6)).unwrap();
    journal.abandon("wet", "a test", at(7)).unwrap();
    assert_eq!(journal.last_end().unwrap(), Some(at(7)));
}

#[test]
fn the_newest_instant_counts_until_the_clock_is_accepted() {
    let mut journal = Journal::in_memory().unwrap();
    assert_eq!(journal.newest_instant().unwrap(), None);
    write(&mut journal, &new_run("run-1"), story(), || {});
    let newest = at(i64::try_from(story().len()).unwrap());
    assert_eq!(journal.newest_instant().unwrap(), Some(newest));
    journal.accept_clock().unwrap();
    assert_eq!(journal.newest_instant().unwrap(), None);
    write(&mut journal, &new_run("run-2"), vec![Event::Started], || {});
    assert_eq!(journal.newest_instant().unwrap(), Some(at(1)));
}
