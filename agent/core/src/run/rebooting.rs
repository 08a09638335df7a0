//! The end of an apply: the reboot that the host asks for, if every gate is open for it. Only `run::step` calls this.
//!
//! It is asked for once in a run, whatever is lost or cut, and only the id of another boot says that it took place.
//! What the host is like after it is not looked at here.

use jiff::Timestamp;

use super::applying::last_words;
use super::event::{BootSeen, Effect, RebootAsk, RebootView, RefreshOutcome, Stage, TransactionEnd};
use super::step::Moved;
use super::{ApplyResult, MAX_RESTARTS, Phase, RunState, record};
use crate::gate::{self, Shut};
use crate::report::{Reboot, RebootOutcome, TransactionKind};

/// How often it is looked whether somebody else is done with packages. Each look takes half a minute while they are not.
pub const MAX_REBOOT_LOOKS: u16 = 60;

/// An apply that has nothing more to do to packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    pub refresh: Option<RefreshOutcome>,
    pub result: ApplyResult,
    /// Whether the host is as it was when it was last looked at, so that the report needs no other look.
    is_assessed: bool,
    have_hooks_passed: bool,
    looks: u16,
    /// Why the host asks, and the packages that do.
    wish: Option<(String, Vec<String>)>,
}

/// A reboot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub at: Timestamp,
    /// The boot that was under way.
    pub boot_id: String,
    /// Whether the executor was asked before: it is not asked again.
    pub is_told: bool,
}

impl Closing {
    /// Of a run that changed nothing since it looked at the host.
    pub(super) fn of_assessed(refresh: Option<RefreshOutcome>, result: ApplyResult) -> Box<Self> {
        let has_changed = result.record.tells_of_changes();
        Box::new(Self {
            refresh,
            result,
            is_assessed: !has_changed,
            have_hooks_passed: false,
            looks: 0,
            wish: None,
        })
    }

    /// Of a run that changed something, or tried.
    pub(super) fn of_changes(refresh: Option<RefreshOutcome>, result: ApplyResult) -> Box<Self> {
        Box::new(Self { is_assessed: false, ..*Self::of_assessed(refresh, result) })
    }

    /// What the last look said was in memory.
    pub(super) fn after_crash(self: Box<Self>) -> Box<Self> {
        Box::new(Self { is_assessed: false, ..*self })
    }

    /// When the run's first transaction was started.
    fn begun_at(&self) -> Option<Timestamp> {
        let transactions = self.result.record.transactions.iter();
        let applies = transactions.filter(|transaction| transaction.kind == TransactionKind::Apply);
        applies.map(|transaction| transaction.started_at).min()
    }

    fn set_outcome(&mut self, outcome: RebootOutcome) {
        let (because, packages) = self.wish.clone().unwrap_or_default();
        self.result.record.reboot = Some(Box::new(Reboot { because, packages, outcome }));
    }
}

impl RunState {
    pub(super) fn effect_of_reboot(&self) -> Option<Effect> {
        let transaction = format!("{}.reboot", self.order.id);
        Some(match &self.phase {
            Phase::Weighing(_) => Effect::WeighReboot,
            Phase::PreparingReboot(_) => {
                let transaction = format!("{}.pre-reboot", self.order.id);
                Effect::RunHooks { transaction, stage: Stage::PreReboot }
            }
            Phase::Rebooting { asked, .. } if asked.is_told => {
                Effect::AwaitReboot { transaction, boot_id: asked.boot_id.clone() }
            }
            Phase::Rebooting { asked, .. } => Effect::Reboot { transaction, boot_id: asked.boot_id.clone() },
            _ => return None,
        })
    }

    /// Everything else is done: does the host ask for a reboot?
    pub(super) fn weigh(self, closing: Box<Closing>) -> Moved {
        if MAX_RESTARTS < self.restarts {
            return self.leave_reboot(closing);
        }
        self.enter(Phase::Weighing(closing))
    }

    /// A run that was cut again and again has nobody's host rebooted.
    pub(super) fn leave_reboot(self, mut closing: Box<Closing>) -> Moved {
        let note = "patchd was cut again and again, and did not look whether the host asks for a reboot";
        closing.result.record.notes.push(note.into());
        self.end_closing(closing)
    }

    pub(super) fn lose_weighing(self, mut closing: Box<Closing>, detail: &str) -> Moved {
        let note = format!("whether the host asks for a reboot could not be looked at: {detail}");
        closing.result.record.notes.push(note);
        self.end_closing(closing)
    }

    pub(super) fn take_reboot_view(self, mut closing: Box<Closing>, view: RebootView) -> Moved {
        let ask = match view {
            RebootView::Asked(ask) => *ask,
            // The report says what is unknown.
            RebootView::NotAsked | RebootView::Unknown { .. } => return self.end_closing(closing),
        };
        let RebootAsk { because, packages, boot_id, observed, database, never } = ask;
        closing.wish = Some((because, packages));
        let mut shut: Vec<Shut> = never.map(|detail| Shut::NeverRebooted { detail }).into_iter().collect();
        shut.extend(self.stop.clone().map(|by| Shut::Stopped { by }));
        shut.extend(gate::shut_for_reboot(&observed, &database, closing.begun_at()));
        if boot_id.is_none() {
            let detail = "which boot is under way can't be told, and so not whether a reboot took place";
            shut.push(Shut::Forbidden { detail: detail.into() });
        }
        let locked = gate::shut_by_lock(&observed);
        let is_waited_for = locked.is_some() && shut.is_empty() && closing.looks < MAX_REBOOT_LOOKS;
        if is_waited_for {
            closing.looks += 1;
            // Packages change meanwhile.
            closing.is_assessed = false;
            return self.enter(Phase::Weighing(closing));
        }
        shut.extend(locked);
        let Some(boot_id) = boot_id.filter(|_| shut.is_empty()) else {
            closing.set_outcome(RebootOutcome::Waits { gates: shut });
            return self.end_closing(closing);
        };
        if !closing.have_hooks_passed {
            return self.enter(Phase::PreparingReboot(closing));
        }
        let asked = Asked { at: observed.now, boot_id, is_told: false };
        self.enter(Phase::Rebooting { closing, asked })
    }

    pub(super) fn take_pre_reboot(self, mut closing: Box<Closing>, end: &TransactionEnd) -> Moved {
        let id = format!("{}.pre-reboot", self.order.id);
        let hooks = record::of_hooks(&id, end);
        closing.is_assessed &= hooks.is_none();
        closing.result.record.transactions.extend(hooks);
        if end.exit_code != Some(0) {
            return self.wait_with_reboot(closing, Shut::RebootHookFailed { detail: last_words(end) });
        }
        closing.have_hooks_passed = true;
        // Hooks take time: the gates are looked at as they are now.
        self.enter(Phase::Weighing(closing))
    }

    /// The host is left as it is, and the report says why.
    pub(super) fn wait_with_reboot(self, mut closing: Box<Closing>, shut: Shut) -> Moved {
        closing.set_outcome(RebootOutcome::Waits { gates: vec![shut] });
        self.end_closing(closing)
    }

    /// From here on the boot's id is waited for, and nothing is asked for any more.
    pub(super) fn await_reboot(self, closing: Box<Closing>, asked: Asked) -> Moved {
        self.enter(Phase::Rebooting { closing, asked: Asked { is_told: true, ..asked } })
    }

    /// No answer to the question for a reboot may be one that is under way; none to the question which boot it is, is the end.
    pub(super) fn lose_reboot(self, mut closing: Box<Closing>, asked: Asked, detail: &str) -> Moved {
        if !asked.is_told {
            return self.await_reboot(closing, asked);
        }
        let detail = format!("whether the host was rebooted can't be told: {detail}");
        closing.set_outcome(RebootOutcome::Missed { asked_at: asked.at, detail });
        self.look_again(closing)
    }

    pub(super) fn take_boot(self, mut closing: Box<Closing>, asked: Asked, seen: BootSeen) -> Moved {
        let BootSeen { at, boot_id, detail } = seen;
        closing.set_outcome(match boot_id {
            Some(boot_after) if boot_after != asked.boot_id => RebootOutcome::Done {
                asked_at: asked.at,
                seen_at: at,
                boot_before: asked.boot_id,
                boot_after,
            },
            _ => RebootOutcome::Missed { asked_at: asked.at, detail },
        });
        self.look_again(closing)
    }

    fn look_again(self, closing: Box<Closing>) -> Moved {
        let Closing { refresh, result, .. } = *closing;
        self.assess_again(refresh, result)
    }

    /// No reboot comes of it: what is left is the report.
    pub(super) fn end_closing(self, closing: Box<Closing>) -> Moved {
        if !closing.is_assessed {
            return self.look_again(closing);
        }
        let Closing { refresh, result, .. } = *closing;
        self.enter(Phase::Reporting { refresh, result: Some(Box::new(result)) })
    }
}
