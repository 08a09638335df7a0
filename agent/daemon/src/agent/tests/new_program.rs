//! A program that is replaced while the agent works: it ends for the new one when nothing is under way, and never before.

use super::*;
use crate::own_program::tests::Running;

fn stage_of_program(running: &Running, is_started_again: bool, behaviour: Behaviour) -> Stage {
    let program = running.own(is_started_again);
    let behaviour = [("assess", behaviour)];
    stage_with(journal(), settings(None), (vec![], vec![]), &behaviour, None, program)
}

#[tokio::test(start_paused = true)]
async fn a_new_program_is_ended_for_once_the_run_is_over() {
    let running = Running::start();
    let stage = stage_of_program(&running, true, Behaviour::Slow);
    stage.host.reached(2).await;
    running.replace();
    let status = stage.handle.status().await.unwrap();
    assert_eq!(status.state, AgentState::Running);
    assert!(status.new_program.unwrap().restarts_itself);
    stage.concluded(1).await;
    let concluded = Instant::now();
    assert_eq!(stage.task.await.unwrap().unwrap(), Ended::NewProgram);
    // Whoever followed the run has heard its end.
    let after = concluded.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(12)).contains(&after), "{after:?}");
    assert_eq!(stage.host.told(), SCAN, "the run was carried out, and no other begun");
    // Who comes next knows what this one ended for, and has it.
    assert!(running.own(true).stays().is_some_and(|why| why.contains("lay there")));
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_finds_it_within_a_minute() {
    let running = Running::start();
    let stage = stage_of_program(&running, true, Behaviour::Slow);
    stage.concluded(1).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(!stage.task.is_finished(), "nothing was replaced");
    running.replace();
    let replaced = Instant::now();
    assert_eq!(stage.task.await.unwrap().unwrap(), Ended::NewProgram);
    assert!(replaced.elapsed() < Duration::from_secs(75), "{:?}", replaced.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_starts_it_again_it_goes_on_and_says_so() {
    let running = Running::start();
    let stage = stage_of_program(&running, false, Behaviour::Slow);
    stage.concluded(1).await;
    running.replace();
    stage.concluded(3).await;
    let told = stage.handle.status().await.unwrap().new_program.unwrap();
    assert!(!told.restarts_itself);
    assert!(told.detail.contains("nothing here starts it again"), "{}", told.detail);
    stage.end().await;
}
