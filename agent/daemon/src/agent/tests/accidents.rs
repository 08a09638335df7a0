//! What happened to others, each with its name, and what the agent does instead.

use patchd_protocol::control::clock::ClockState;
use patchd_protocol::control::plan::PlanDocument;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_plan_that_failed_is_tried_once_in_each_window() {
    // bottlerocket-os/bottlerocket-update-operator#123: the same failing update again and again.
    let behaviour = [("apply", Behaviour::Lose), ("recall", Behaviour::Missing)];
    let stage = stage(journal(), settings(Some("daily 09:00 +12h")), false, &behaviour);
    let applies = || stage.host.told().iter().filter(|&&code| code == "apply").count();
    tokio::time::sleep(Duration::from_secs(20 * 3_600)).await;
    assert_eq!(applies(), 1);
    // Tomorrow's window tries it once again.
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(applies(), 2);
    let runs = stage.journal.with(|journal| journal.runs(99)).await.unwrap();
    let failed: Vec<_> = runs.iter().filter(|run| run.verdict == Some(RunOutcome::Failed)).collect();
    let (ids, journal) = (failed.iter().map(|run| run.id.clone()).collect::<Vec<_>>(), stage.journal.clone());
    let mut digests = Vec::new();
    for id in ids {
        let plan = journal.with(move |journal| journal.plan(&id)).await.unwrap().unwrap();
        digests.push(serde_json::from_str::<PlanDocument>(&plan).unwrap().digest);
    }
    assert!(2 == digests.len() && digests[0] == digests[1], "what failed stays known: {digests:?}");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_while_a_run_is_under_way_is_answered_with_that_run() {
    // PatchMon/PatchMon#1096: a second run that fails on the first one's lock.
    let stage = stage(journal(), settings(None), false, &[("assess", Behaviour::Hang)]);
    stage.host.reached(2).await;
    let first = stage.handle.start_run(Operation::Apply, Wish::WhatIsDue, by_hand()).await.unwrap();
    let second = stage.handle.start_run(Operation::Scan, Wish::WhatIsDue, by_hand()).await.unwrap();
    assert!(!first.started);
    assert_eq!(first.run.operation, OperationWire::Scan);
    assert_eq!(first.run.phase, RunPhase::Assessing);
    assert_eq!(first.run.id, second.run.id);
    let status = stage.handle.status().await.unwrap();
    assert_eq!((status.state, status.running), (AgentState::Running, Some(first.run)));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_is_quick_in_every_phase() {
    // GoogleCloudPlatform/osconfig#298: a stop that takes 90 seconds and ends in a kill.
    for code in
        ["refresh", "assess", "simulate", "look_at_gates", "run_hooks", "apply", "read_back", "report"]
    {
        let stage = stage(journal(), settings(Some("daily 09:00 +12h")), false, &[(code, Behaviour::Hang)]);
        let count = 1 + APPLY.iter().position(|&known| known == code).unwrap();
        stage.host.reached(count).await;
        let before = Instant::now();
        stage.end().await;
        assert!(before.elapsed() < Duration::from_secs(2), "{code}: {:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_on_a_clock_that_was_set() {
    // microsoft/WSL#4114: a clock that is days off.
    let stage = stage(journal(), settings(Some("daily 14:00 +2h")), false, &[]);
    stage.concluded(1).await;
    let before = stage.host.told().len();
    tokio::time::sleep(Duration::from_secs(90)).await;
    // Now it shows a time within the window.
    stage.host.clock.set_by.store(4 * 3_600 + 600, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(9 * 60)).await;
    let status = stage.handle.status().await.unwrap();
    let untrusted = status.gates.iter().find(|gate| gate.code == "clock_untrusted").unwrap();
    assert!(untrusted.detail.contains("set forward by 15000 s"), "{untrusted:?}");
    assert_eq!(status.clock.state, ClockState::Distrusted);
    assert_eq!(stage.host.told().len(), before);
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    assert!(before < stage.host.told().len(), "it has gone steadily for ten minutes");
    assert_eq!(stage.handle.status().await.unwrap().gates.len(), 0);
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_on_a_clock_behind_the_journal_until_somebody_says_so() {
    let missing = vec![change("openssl")];
    let stage = stage_of(
        journal(),
        settings(Some("daily 09:00 +12h")),
        (missing.clone(), missing),
        &[],
        Some("2026-12-01T00:00:00Z"),
    );
    *stage.kernel.lock().unwrap() = ClockWire::Unsynchronised;
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert_eq!(stage.host.told(), [""; 0]);
    let status = stage.handle.status().await.unwrap();
    assert!(status.gates.iter().any(|gate| gate.code == "clock_untrusted"), "{:?}", status.gates);
    assert!(!stage.handle.health().await.unwrap().healthy);
    stage.handle.resume("uid 0".into()).await.unwrap();
    stage.concluded(1).await;
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_behind_the_journal_is_believed_when_it_is_steady_and_the_kernel_says_that_it_is_kept() {
    let missing = vec![change("openssl")];
    let settings = settings(Some("daily 09:00 +12h"));
    let newest = Some("2026-12-01T00:00:00Z");
    let stage = stage_of(journal(), settings, (missing.clone(), missing), &[], newest);
    *stage.kernel.lock().unwrap() = ClockWire::Unknown { detail: "nobody answers".into() };
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(stage.host.told(), [""; 0]);
    *stage.kernel.lock().unwrap() = ClockWire::Synchronised;
    stage.concluded(1).await;
    assert!(stage.host.told().contains(&"apply"));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_missed_window_is_not_made_up_for() {
    // systemd/systemd#5659: a missed job that fires at the next boot.
    let stage = stage(journal(), settings(Some("daily 08:00 +1h")), false, &[]);
    stage.concluded(3).await;
    assert!(!stage.host.told().contains(&"simulate"), "{:?}", stage.host.told());
    stage.end().await;
}
