//! What a run is told when it looks at its gates: the executor's observation with what the daemon knows of the moment. Whether
//! they are open is the core's to say.

use std::time::Duration;

use patchd_core::gate::Observed;
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

    /// Looks, and where somebody else is at work on packages stays with it for a while: that one may be done soon.
    async fn observe_patiently(&self, order: &Order, plan: Option<&Plan>) -> Result<ObservedWire, String> {
        let mut seen = self.observe(order, plan).await?;
        for look in 0..LOCK_LOOKS {
            let Some(holder) = seen.lock_holder.clone() else { break };
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

    /// What only wants to see is not kept waiting.
    pub(super) async fn look_at_gates(&self, order: &Order, plan: Option<&Plan>) -> Event {
        let seen = match (plan, &order.wish) {
            (None, _) | (_, Wish::DryRun) => self.observe(order, plan).await,
            (Some(_), _) => self.observe_patiently(order, plan).await,
        };
        match self.at_this_moment(seen).await {
            Ok((observed, _)) => Event::GatesSeen(observed),
            Err(detail) => Event::Lost { detail },
        }
    }

    /// What the gates before a reboot look at, and what is wrong with the package database.
    pub(super) async fn look_before_reboot(&self, order: &Order) -> Result<(Observed, Vec<String>), String> {
        self.at_this_moment(self.observe_patiently(order, None).await).await
    }

    async fn at_this_moment(
        &self,
        seen: Result<ObservedWire, String>,
    ) -> Result<(Observed, Vec<String>), String> {
        let seen = seen?;
        let is_paused = self.parts.journal.with(|journal| journal.is_paused()).await;
        let is_paused = is_paused.map_err(|error| chain(&error))?;
        let settings = self.parts.settings.borrow().clone();
        self.parts.clock.take_word(seen.clock.clone());
        let distrust = self.parts.clock.distrust();
        let cloud_init = self.parts.cloud_init.changes_wait();
        let moment =
            Moment { now: self.parts.clock.now(), settings: &settings, is_paused, distrust, cloud_init };
        let database = seen.database.clone();
        Ok((moment.with(seen), database))
    }
}
