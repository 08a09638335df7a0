//! What a run is told when it looks at its gates: the executor's observation with what the daemon knows of the moment. Whether
//! they are open is the core's to say.

use std::time::Duration;

use patchd_core::plan::Plan;
use patchd_core::run::event::Event;
use patchd_core::run::{Order, Wish};
use patchd_protocol::executor::{ObservedWire, ProgressWire, Reply, Verb, digest};

use super::Machine;
use crate::chain::chain;
use crate::clock::Clock;
use crate::gates::Moment;

/// How often and after which pause it is looked whether somebody else is done, before the run hears that they are not.
const LOCK_LOOKS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_secs(3);

impl<C: Clock> Machine<C> {
    async fn observe(&self, order: &Order, plan: Option<&Plan>) -> Result<ObservedWire, String> {
        match self.look(&order.id, Verb::Observe { digest: plan.map(digest) }).await {
            Ok(Reply::Observed(seen)) => Ok(seen),
            Ok(Reply::Refused(refusal)) => Err(format!("the executor refuses: {}", refusal.message)),
            Ok(Reply::Failed { message }) => Err(message),
            Ok(_) => Err("the executor answered something else".into()),
            Err(error) => Err(chain(&error)),
        }
    }

    /// Looks, and where somebody else is at work on packages stays with it for a while: that one may be done soon. What
    /// only wants to see is not kept waiting.
    async fn observe_patiently(&self, order: &Order, plan: Option<&Plan>) -> Result<ObservedWire, String> {
        let mut seen = self.observe(order, plan).await?;
        let is_patient = plan.is_some() && order.wish != Wish::DryRun;
        for look in 0..LOCK_LOOKS {
            let Some(holder) = seen.lock_holder.clone().filter(|_| is_patient) else { break };
            if look == 0 {
                tracing::info!(run_id = %order.id, "waiting for {holder}, who is at work on packages");
                let text = format!("waiting for {holder}, who is at work on packages");
                self.parts.live.progress(&order.id, &ProgressWire::Note { text });
            }
            tokio::time::sleep(LOCK_PAUSE).await;
            seen = self.observe(order, plan).await?;
        }
        Ok(seen)
    }

    pub(super) async fn look_at_gates(&self, order: &Order, plan: Option<&Plan>) -> Event {
        let lost = |detail: String| Event::Lost { detail };
        let seen = match self.observe_patiently(order, plan).await {
            Ok(seen) => seen,
            Err(detail) => return lost(detail),
        };
        let is_paused = match self.parts.journal.with(|journal| journal.is_paused()).await {
            Ok(is_paused) => is_paused,
            Err(error) => return lost(chain(&error)),
        };
        let settings = self.parts.settings.borrow().clone();
        self.parts.clock.take_word(seen.clock.clone());
        let distrust = self.parts.clock.distrust();
        let cloud_init = self.parts.cloud_init.changes_wait();
        let moment =
            Moment { now: self.parts.clock.now(), settings: &settings, is_paused, distrust, cloud_init };
        Event::GatesSeen(moment.with(seen))
    }
}
