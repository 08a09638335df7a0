//! What people ask for: a look at what would be done, exactly a plan, and a stop.

use patchd_protocol::control::plan::{PlanDocument, PlanRequest};

use super::*;

async fn plan_of(stage: &Stage, id: &str) -> Option<PlanDocument> {
    let id = id.to_owned();
    let plan = stage.journal.with(move |journal| journal.plan(&id)).await.unwrap();
    plan.map(|plan| serde_json::from_str(&plan).unwrap())
}

/// A stage after its first scan, on which two packages lack their patch.
async fn two_packages(behaviour: &[(&'static str, Behaviour)], schedule: Option<&str>) -> Stage {
    let all = vec![change("libssl3"), change("openssl")];
    let stage = stage_of(journal(), settings(schedule), (all.clone(), all), behaviour, None);
    stage.concluded(1).await;
    stage
}

async fn ask(stage: &Stage, wish: Wish) -> String {
    let answer = stage.handle.start_run(Operation::Apply, wish, by_hand()).await.unwrap();
    assert!(answer.started);
    answer.run.id
}

async fn run_of(stage: &Stage, id: &str) -> patchd_protocol::control::RunDocument {
    let id = id.to_owned();
    stage.journal.with(move |journal| journal.run(&id)).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_makes_a_plan_and_changes_and_reports_nothing() {
    let stage = two_packages(&[], None).await;
    let before = stage.handle.status().await.unwrap();
    let id = ask(&stage, Wish::DryRun).await;
    stage.concluded(2).await;
    assert_eq!(stage.host.told()[3..], ["refresh", "assess", "simulate", "look_at_gates"]);
    let run = run_of(&stage, &id).await;
    assert!(run.run.dry_run);
    assert_eq!((run.run.verdict, run.run.report), (Some(RunOutcome::Succeeded), None));
    assert_eq!(run.gates[0].code, "no_window");
    let plan = plan_of(&stage, &id).await.unwrap();
    assert_eq!((plan.steps.len(), plan.download_bytes), (2, 2 << 20));
    assert_eq!((plan.run.as_str(), plan.host.as_str()), (id.as_str(), "i-0123456789abcdef0"));
    assert_eq!(plan.estimated_seconds, 2 * 20 * 60 + 15);
    assert_eq!(plan.gates, run.gates);
    let newest = stage.journal.with(|journal| journal.last_plan()).await.unwrap();
    assert!(newest.unwrap().contains(&plan.digest));
    let after = stage.handle.status().await.unwrap();
    assert_eq!(after.next_scan_at, before.next_scan_at, "a dry run is no scan");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_plan_that_was_shown_is_the_plan_that_runs_or_none_does() {
    let stage = two_packages(&[], Some("daily 09:00 +12h")).await;
    // The window's own run has done everything; it is undone here, to ask for a plan of it by hand.
    *stage.host.missing.lock().unwrap() = stage.host.all.clone();
    let dry = ask(&stage, Wish::DryRun).await;
    stage.concluded(2).await;
    let shown = PlanRequest::from(&plan_of(&stage, &dry).await.unwrap());
    let plan = Plan::try_from(&shown).unwrap();
    let count = stage.host.told().len();
    let id = ask(&stage, Wish::ThisPlan(plan.clone())).await;
    stage.concluded(3).await;
    assert_eq!(
        stage.host.told()[count..count + 2],
        ["assess", "simulate"],
        "no other lists are fetched for it"
    );
    assert_eq!(run_of(&stage, &id).await.run.verdict, Some(RunOutcome::Succeeded));
    // A second time nothing of it is due.
    let again = ask(&stage, Wish::ThisPlan(plan)).await;
    stage.concluded(4).await;
    let run = run_of(&stage, &again).await.run;
    assert_eq!(run.verdict, Some(RunOutcome::Refused));
    assert!(run.detail.unwrap().contains("not what would be done now"));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_honoured_before_anything_was_changed() {
    let stage = two_packages(&[("simulate", Behaviour::Hang)], None).await;
    let id = ask(&stage, Wish::WhatIsDue).await;
    stage.host.reached(6).await;
    let other = stage.handle.stop_run("other".into(), "uid 0".into()).await;
    assert!(matches!(other, Err(Refusal::NotUnderWay)));
    stage.handle.stop_run(id.clone(), "uid 0".into()).await.unwrap();
    stage.concluded(2).await;
    assert_eq!(run_of(&stage, &id).await.run.verdict, Some(RunOutcome::Refused));
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_honoured_between_two_steps() {
    // The first transaction's answer is lost, so that it is under way when the stop comes.
    let all = vec![change("libssl3"), change("openssl")];
    let schedule = settings(Some("daily 09:00 +12h"));
    let stage = stage_of(journal(), schedule, (all.clone(), all), &[("read_back", Behaviour::Slow)], None);
    stage.host.reached(8).await;
    assert_eq!(stage.host.told()[..8], APPLY[..8]);
    let id = stage.handle.status().await.unwrap().running.unwrap().id;
    stage.handle.stop_run(id.clone(), "uid 0".into()).await.unwrap();
    stage.concluded(1).await;
    let told = stage.host.told();
    assert_eq!(told.iter().filter(|&&code| code == "apply").count(), 1, "{told:?}");
    assert_eq!(told[8..], ["look_at_gates", "run_hooks", "weigh_reboot", "assess", "report"]);
    let run = run_of(&stage, &id).await;
    assert_eq!(run.run.verdict, Some(RunOutcome::Partial), "{:?}", run.run.detail);
    assert_eq!(run.gates[0].code, "stopped");
    stage.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_stays_stopped_until_the_next_window() {
    let all = vec![change("openssl")];
    let schedule = settings(Some("daily 09:00 +12h"));
    let stage = stage_of(journal(), schedule, (all.clone(), all), &[("simulate", Behaviour::Slow)], None);
    stage.host.reached(3).await;
    let id = stage.handle.status().await.unwrap().running.unwrap().id;
    stage.handle.stop_run(id.clone(), "uid 0".into()).await.unwrap();
    stage.concluded(1).await;
    assert_eq!(run_of(&stage, &id).await.run.verdict, Some(RunOutcome::Refused));
    tokio::time::sleep(Duration::from_secs(8 * 3_600)).await;
    assert!(!stage.host.told().contains(&"apply"), "{:?}", stage.host.told());
    tokio::time::sleep(Duration::from_secs(20 * 3_600)).await;
    assert!(stage.host.told().contains(&"apply"));
    stage.end().await;
}
