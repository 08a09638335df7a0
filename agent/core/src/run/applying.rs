//! The moves of a run from its first open gate to its last hook: one transaction after the other, each gated, read back
//! and, where it did not end well, followed by a repair. Only `run::step` calls them.

use super::event::{Effect, Event, Installed, Recall, Refusal, Stage, TransactionEnd, Work};
use super::progress::{Hooks, Progress};
use super::step::Moved;
use super::{
    ApplyResult, Closing, Ending, IllegalTransition, MAX_RECALLS, Phase, RunState, Underway, Wish, record,
};
use crate::gate::{self, Observed, Permission, Shut};
use crate::report::{RunVerdict, TransactionKind};

impl RunState {
    pub(super) fn effect_of_change(&self) -> Option<Effect> {
        let id = &self.order.id;
        Some(match &self.phase {
            Phase::Preparing(_) => {
                Effect::RunHooks { transaction: format!("{id}.pre-patch"), stage: Stage::PrePatch }
            }
            Phase::Finishing { .. } => {
                Effect::RunHooks { transaction: format!("{id}.post-patch"), stage: Stage::PostPatch }
            }
            Phase::Applying(underway) => Effect::Apply(underway.work.clone()),
            Phase::Recalling { underway, lost: 0, .. } => {
                Effect::Recall { transaction: underway.work.transaction.clone() }
            }
            Phase::Recalling { underway, .. } => {
                Effect::RecallLater { transaction: underway.work.transaction.clone() }
            }
            Phase::Repairing { underway, lost, .. } => {
                let transaction = format!("{}.repair", underway.work.transaction);
                if *lost == 0 { Effect::Repair { transaction } } else { Effect::RepairLater { transaction } }
            }
            Phase::ReadingBack { underway, .. } => {
                let plan = &underway.work.plan;
                let changes = plan.changes().iter().map(|change| &change.package);
                Effect::ReadBack { packages: changes.chain(plan.removals()).cloned().collect() }
            }
            _ => return None,
        })
    }

    pub(super) fn take_answer_to_change(
        self,
        phase: Phase,
        event: Event,
    ) -> Result<Moved, IllegalTransition> {
        Ok(match (phase, event) {
            (Phase::Preparing(progress), Event::HooksRun(end)) => self.take_pre_patch(*progress, &end),
            (Phase::Applying(underway), Event::Applied(end)) => self.take_end(underway, end),
            (Phase::Recalling { underway, asked, .. }, Event::Recalled(recall)) => {
                self.take_recall(underway, asked, recall)
            }
            (Phase::Repairing { mut underway, ending, .. }, Event::Repaired(end)) => {
                let id = format!("{}.repair", underway.work.transaction);
                let repair = record::of_side_transaction(&id, TransactionKind::Repair, &end);
                underway.progress.transactions.push(repair);
                let notes = end.database.iter().map(|wrong| format!("the repair left: {wrong}"));
                underway.progress.notes.extend(notes);
                self.enter(Phase::ReadingBack { underway, ending })
            }
            (Phase::ReadingBack { underway, ending }, Event::ReadBack(installed)) => {
                self.take_read_back(*underway, ending, &installed)
            }
            (Phase::Finishing { mut progress, gates }, Event::HooksRun(end)) => {
                let id = format!("{}.post-patch", self.order.id);
                progress.transactions.extend(record::of_hooks(&id, &end));
                if end.exit_code != Some(0) {
                    progress.notes.push(format!("a post-patch hook failed: {}", last_words(&end)));
                }
                self.close(&progress, gates)
            }
            (phase, event) => return Err(IllegalTransition { phase: phase.code(), event: event.code() }),
        })
    }

    /// Before every transaction: starts the next one, or winds up.
    pub(super) fn take_gates(mut self, mut progress: Box<Progress>, observed: &Observed) -> Moved {
        let checked = gate::check(observed, &progress.assessment);
        if self.order.wish == Wish::DryRun {
            let gates = match checked {
                Err(shut) => shut,
                Ok(permit) => {
                    let lock = gate::shut_by_lock(observed).into_iter();
                    lock.chain(progress.choose(&permit, observed).err().unwrap_or_default()).collect()
                }
            };
            self.phase = Phase::Concluded { verdict: RunVerdict::Succeeded, gates, is_reported: false };
            return (self, Vec::new());
        }
        if let Some(by) = self.stop.clone() {
            return self.wind_up(*progress, vec![Shut::Stopped { by }]);
        }
        let permit = match checked {
            Ok(permit) => permit,
            Err(shut) => return self.wind_up(*progress, shut),
        };
        // Before the hooks: what they put aside would be missed for as long as somebody else is at work.
        if let Some(locked) = gate::shut_by_lock(observed) {
            return match progress.wait_for_lock(locked, &permit, observed) {
                Ok(()) => self.enter(Phase::Gating(progress)),
                Err(shut) => self.wind_up(*progress, shut),
            };
        }
        if progress.hooks != Hooks::Passed {
            progress.hooks = Hooks::Begun;
            return self.enter(Phase::Preparing(progress));
        }
        let batch = match progress.choose(&permit, observed) {
            Ok(batch) => batch,
            Err(shut) => return self.wind_up(*progress, shut),
        };
        let Some(plan) = progress.plan_of(&batch) else { return self.wind_up(*progress, Vec::new()) };
        progress.started += 1;
        progress.permission = Some(permit.word);
        let granted = matches!(permit.by, Permission::Grant(_)).then(|| progress.plan.clone());
        let transaction = format!("{}.apply.{}", self.order.id, progress.started);
        let work = Work { transaction, plan, estimate: batch.time, granted };
        let started_at = observed.now;
        self.enter(Phase::Applying(Box::new(Underway { progress: *progress, batch, work, started_at })))
    }

    fn take_pre_patch(self, mut progress: Progress, end: &TransactionEnd) -> Moved {
        let id = format!("{}.pre-patch", self.order.id);
        progress.transactions.extend(record::of_hooks(&id, end));
        if end.exit_code != Some(0) {
            let shut = Shut::HookFailed { detail: last_words(end) };
            return self.wind_up(progress, vec![shut]);
        }
        progress.hooks = Hooks::Passed;
        // Hooks take time: the gates are looked at as they are now.
        self.enter(Phase::Gating(Box::new(progress)))
    }

    /// One that did not end well may have left packages half way; that is mended before anything else.
    fn take_end(self, underway: Box<Underway>, end: TransactionEnd) -> Moved {
        let is_well = end.exit_code == Some(0) && end.database.is_empty();
        let ending = Ending::Known(end);
        if is_well {
            self.enter(Phase::ReadingBack { underway, ending })
        } else {
            self.enter(Phase::Repairing { underway, ending, lost: 0 })
        }
    }

    fn take_recall(self, underway: Box<Underway>, asked: u16, recall: Recall) -> Moved {
        let because = match recall {
            Recall::Running if asked < MAX_RECALLS => {
                return self.enter(Phase::Recalling { underway, asked: asked + 1, lost: 0 });
            }
            Recall::Ended(end) => return self.take_end(underway, end),
            Recall::Cut(end) => {
                return self.enter(Phase::Repairing { underway, ending: Ending::Cut(end), lost: 0 });
            }
            Recall::Running => "the executor still worked on it when patchd stopped asking",
            Recall::Unknown => "patchd was cut before the executor took the transaction",
        };
        self.enter(Phase::ReadingBack { underway, ending: Ending::Unknown { because: because.into() } })
    }

    pub(super) fn take_refused_work(self, underway: Underway, refusal: &Refusal) -> Moved {
        let Underway { mut progress, batch, .. } = underway;
        match refusal {
            Refusal::Packages { detail, blamed, objection } => {
                progress.take_refusal(&batch, detail, blamed, *objection);
                self.go_on(progress)
            }
            Refusal::Everything { detail } => {
                progress.again(batch.steps);
                self.wind_up(progress, vec![Shut::Forbidden { detail: detail.clone() }])
            }
        }
    }

    fn take_read_back(self, underway: Underway, ending: Ending, installed: &[Installed]) -> Moved {
        let transaction = record::of_work(&underway, &ending, installed);
        let Underway { mut progress, batch, .. } = underway;
        progress.transactions.push(transaction);
        match &ending {
            Ending::Known(end) | Ending::Cut(end) => {
                progress.notes.extend(end.notes.iter().cloned());
                progress.left_files.extend(end.left_files.iter().cloned());
                progress.take_read_back(&batch, end, installed);
            }
            Ending::Unknown { because } => {
                let end = TransactionEnd { output_tail: vec![because.clone()], ..TransactionEnd::default() };
                progress.take_read_back(&batch, &end, installed);
            }
        }
        self.go_on(progress)
    }

    /// Nothing could be read back: what became of the steps is not known, and unknown is not done.
    pub(super) fn take_unknown(self, underway: Box<Underway>, ending: Ending, detail: &str) -> Moved {
        let transaction = record::of_work(&underway, &ending, &[]);
        let Underway { mut progress, batch, .. } = *underway;
        progress.transactions.push(transaction);
        for at in batch.steps {
            progress.fail(at, format!("its packages could not be read back: {detail}"), Vec::new());
        }
        self.wind_up(progress, Vec::new())
    }

    fn go_on(self, progress: Progress) -> Moved {
        if progress.is_over() {
            self.wind_up(progress, Vec::new())
        } else {
            self.enter(Phase::Gating(Box::new(progress)))
        }
    }

    /// Nothing more is tried: hooks, if something was, and then the last look at the host.
    pub(super) fn wind_up(self, progress: Progress, gates: Vec<Shut>) -> Moved {
        if progress.hooks == Hooks::NotBegun {
            return self.wait_for(progress.refresh, gates);
        }
        self.enter(Phase::Finishing { progress: Box::new(progress), gates })
    }

    /// Makes the record of all that was done. What is left is a reboot, and a look at the host for the report.
    pub(super) fn close(self, progress: &Progress, gates: Vec<Shut>) -> Moved {
        let record = record::of_progress(progress, &gates, self.mended.clone());
        self.weigh(Closing::of_changes(progress.refresh.clone(), ApplyResult { record, gates }))
    }
}

pub(super) fn last_words(end: &TransactionEnd) -> String {
    end.output_tail.last().cloned().unwrap_or_else(|| match end.exit_code {
        Some(code) => format!("it ended with {code} and said nothing"),
        None => "it was cut".into(),
    })
}
