//! The seam between what is decided and what is done: one effect in, one event out.
//!
//! What the real machine does is in `machine`; who asks for it, in which order, is `agent`.

use std::time::Duration;

use patchd_core::run::Order;
use patchd_core::run::event::{Effect, Event};

/// What performs effects.
pub trait Host: Send + Sync + 'static {
    /// Performs one effect of a run. It never fails: what went wrong is an event too.
    ///
    /// Dropping the future leaves the effect to itself: nothing that changes packages may end with it.
    fn perform(&self, order: &Order, effect: Effect) -> impl Future<Output = Event> + Send;
}

/// How long the executor is left alone before it is asked again about a transaction that goes on.
pub const RECALL_PAUSE: Duration = Duration::from_secs(30);

/// How long the executor stays with the question what became of a transaction, and tells its progress.
pub const RECALL_WAIT: Duration = Duration::from_secs(120);

/// How long an effect may take before it counts as lost. Each is far beyond what a slow host needs.
///
/// A lost refresh or dry run is none; a lost apply is asked about and may still go on.
pub fn deadline(effect: &Effect) -> Duration {
    let minutes = match effect {
        Effect::Refresh { .. } => 30,
        Effect::Assess { .. } | Effect::Simulate { .. } => 10,
        Effect::Apply(_) | Effect::Repair { .. } | Effect::RepairLater { .. } => 6 * 60,
        Effect::RunHooks { .. } => 60,
        Effect::WeighReboot | Effect::Reboot { .. } => 15,
        // A little more than a host may take to go down.
        Effect::AwaitReboot { .. } => 25,
        // The executor stays with the question for `RECALL_WAIT`.
        Effect::Recall { .. } | Effect::RecallLater { .. } => 5,
        // It is tried again for as long, until the disk takes it.
        Effect::Report { record: Some(record) } if record.tells_of_changes() => 6 * 60,
        Effect::LookAtGates { .. } | Effect::ReadBack { .. } | Effect::Report { .. } => 3,
    };
    Duration::from_secs(minutes * 60)
}

/// Performs an effect within its deadline, after the pause that it asks for.
pub async fn perform_in_time<H: Host>(host: &H, order: &Order, effect: Effect) -> Event {
    if matches!(effect, Effect::RecallLater { .. } | Effect::RepairLater { .. }) {
        tokio::time::sleep(RECALL_PAUSE).await;
    }
    let limit = deadline(&effect);
    let code = effect.code();
    match tokio::time::timeout(limit, host.perform(order, effect)).await {
        Ok(event) => event,
        Err(_) => {
            Event::Lost { detail: format!("{code} gave no answer within {} minutes", limit.as_secs() / 60) }
        }
    }
}
