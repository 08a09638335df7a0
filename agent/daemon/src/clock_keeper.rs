//! Asks the executor what the kernel says of its clock, when somebody wants to know. It judges nothing.
//!
//! The daemon's own service may not touch the clock, and to ask is the same call as to set it. A root helper is started
//! for each question, so none is asked without need.

use std::sync::Arc;
use std::time::Duration;

use patchd_core::run::RunId;
use patchd_protocol::executor::{ClockWire, Reply, Verb};
use tokio_util::sync::CancellationToken;

use crate::chain::chain;
use crate::clock::{Clock, ClockWatch};
use crate::executor_client::ExecutorClient;

/// How long the executor may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How long it is left alone after a question, however often somebody wants to know.
const PAUSE: Duration = Duration::from_secs(2);

/// What the executor's logs call these questions, which belong to no run.
const NAME: &str = "clock";

/// Asks whenever it is wanted, until `stop`.
pub async fn keep<C: Clock>(clock: Arc<ClockWatch<C>>, executor: ExecutorClient, stop: CancellationToken) {
    let asking = async {
        loop {
            clock.wanted().await;
            let told = tokio::time::timeout(LIMIT, ask(&executor)).await;
            let unknown = |_| unknown(&format!("it gave no answer within {} seconds", LIMIT.as_secs()));
            clock.take_word(told.unwrap_or_else(unknown));
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = asking => {}
    }
}

/// The kernel's word. No answer is no word: unknown.
async fn ask(executor: &ExecutorClient) -> ClockWire {
    let run = RunId::parse(NAME).expect("letters make an id");
    match executor.ask(&run, Verb::Observe { digest: None }, |_| {}).await {
        Ok(Reply::Observed(seen)) => seen.clock,
        Ok(Reply::Refused(refusal)) => unknown(&refusal.message),
        Ok(Reply::Failed { message }) => unknown(&message),
        Ok(_) => unknown("it answered something else"),
        Err(error) => unknown(&chain(&error)),
    }
}

fn unknown(why: &str) -> ClockWire {
    ClockWire::Unknown { detail: format!("the executor could not be asked: {why}") }
}
