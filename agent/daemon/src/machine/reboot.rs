//! A run's reboot: the look at whether the host asks for one, and, once it was asked for, at which boot is under way.
//!
//! Whether the gates are open is the core's to say; the executor looks at everything again, and is asked once.

use std::time::Duration;

use patchd_core::report::Tristate;
use patchd_core::run::Order;
use patchd_core::run::event::{BootSeen, Event, RebootAsk, RebootView};
use patchd_host::dpkg::read_inventory;
use patchd_host::problem_list::ProblemList;
use patchd_host::{container, machine, reboot};
use patchd_protocol::config::RebootPolicy;
use patchd_protocol::executor::{Reply, TransactionRecord};

use super::{BUSY_PAUSE, Life, Machine, recall};
use crate::chain::chain;
use crate::clock::Clock;

/// How long a host may take to go down, and how long to wait for it where systemctl failed: it may go down all the same.
const GOING_DOWN: Duration = Duration::from_secs(15 * 60);
const FAILED: Duration = Duration::from_secs(2 * 60);

/// How many packages a run remembers that ask for a reboot.
const MAX_PACKAGES: usize = 100;

/// What a look at the host gave.
struct Wish {
    need: Tristate,
    packages: Vec<String>,
    boot_id: Option<String>,
}

impl<C: Clock> Machine<C> {
    async fn wish(&self, order: &Order) -> Result<Wish, String> {
        let old_code = self.old_code(&order.id).await;
        let root = self.parts.root.clone();
        let look = tokio::task::spawn_blocking(move || {
            let inventory = read_inventory(&root);
            let machine = machine::read_machine(&root, &mut ProblemList::new("host"));
            let seen = reboot::look(&root, &inventory, &machine, container::find(&root).as_deref());
            let reasons = reboot::reasons(&inventory, &seen, &machine, &old_code);
            let packages = reasons.into_iter().take(MAX_PACKAGES).collect();
            Wish { need: seen.need_with(&old_code), packages, boot_id: machine.boot_id }
        });
        look.await.map_err(|error| format!("a bug of patchd cut the look at the host: {error}"))
    }

    /// Why this patchd reboots nothing, if it does not.
    fn never(&self) -> Option<String> {
        let policy = self.parts.settings.borrow().reboot.policy;
        match (policy, self.parts.life) {
            (RebootPolicy::Never, _) => Some("reboot.policy is never: patchd reboots nothing here".into()),
            (RebootPolicy::IfNeeded, Life::SingleRun) => {
                Some("a single run reboots nothing: nobody would carry it on after the boot".into())
            }
            (RebootPolicy::IfNeeded, Life::Service) => None,
        }
    }

    pub(super) async fn weigh_reboot(&self, order: &Order) -> Event {
        let lost = |detail: String| Event::Lost { detail };
        let Wish { need, packages, boot_id } = match self.wish(order).await {
            Ok(wish) => wish,
            Err(detail) => return lost(detail),
        };
        let because = match need {
            Tristate::Yes(because) => because,
            Tristate::No => return Event::RebootWeighed(RebootView::NotAsked),
            Tristate::Unknown(because) => return Event::RebootWeighed(RebootView::Unknown { because }),
        };
        match self.look_before_reboot(order).await {
            Ok((observed, database)) => {
                let never = self.never();
                let ask = RebootAsk { because, packages, boot_id, observed, database, never };
                Event::RebootWeighed(RebootView::Asked(Box::new(ask)))
            }
            Err(detail) => lost(detail),
        }
    }

    /// Tells another boot at once. As long as it is the same one, the end of this process by the shutdown is waited for;
    /// if that does not come, the host did not go down.
    pub(super) async fn await_reboot(&self, order: &Order, transaction: String, before: &str) -> Event {
        let seen =
            |boot_id, detail| Event::BootSeen(BootSeen { at: self.parts.clock.now(), boot_id, detail });
        let present = machine::boot_id().filter(|_| self.parts.root.is_host());
        if present.as_deref() != Some(before) {
            let detail = "which boot is under way can't be told".into();
            return seen(present, detail);
        }
        let (limit, detail) = self.of_order(order, transaction).await;
        tokio::time::sleep(limit).await;
        seen(present, detail)
    }

    /// How long the host may take to go down, and what is to be said if it does not.
    async fn of_order(&self, order: &Order, transaction: String) -> (Duration, String) {
        let mut told = self.look(&order.id, recall(transaction.clone())).await;
        if matches!(told, Ok(Reply::Recalled(None))) {
            // It may have been about to take it.
            tokio::time::sleep(BUSY_PAUSE).await;
            told = self.look(&order.id, recall(transaction)).await;
        }
        let minutes = GOING_DOWN.as_secs() / 60;
        match told {
            Ok(Reply::Recalled(None)) => {
                (Duration::ZERO, "patchd was cut before the executor took the order to reboot".into())
            }
            Ok(Reply::Recalled(Some(TransactionRecord { exit_code: Some(code), output_tail, .. })))
                if code != 0 =>
            {
                let last = output_tail.last().cloned().unwrap_or_default();
                (FAILED, format!("systemctl reboot ended with {code}: {last}"))
            }
            Ok(Reply::Recalled(Some(_))) => (
                GOING_DOWN,
                format!("systemd was asked, and the host did not go down within {minutes} minutes"),
            ),
            Ok(_) => (GOING_DOWN, "the executor answered something else".into()),
            Err(error) => (GOING_DOWN, format!("the executor could not be asked: {}", chain(&error))),
        }
    }
}
