//! The moves of a run before its first transaction and after its last, one function for each kind of event. Those in
//! between are in `applying`. Only `run::step` calls them.

use super::draft::{Draft, Drafted};
use super::event::{Effect, Event, Findings, RefreshOutcome, Refusal};
use super::{
    ApplyResult, Asked, Closing, Ending, Hooks, IllegalTransition, LeftOut, MAX_LOST_RECALLS, MAX_RESTARTS,
    Phase, Progress, Purpose, RefreshPolicy, RunState, Wish, record,
};
use crate::gate::{self, Observed, Shut};
use crate::report::{Assessment, Operation, RunRecord, RunVerdict, Setback, TransactionKind};

pub(super) type Moved = (RunState, Vec<Effect>);

impl RunState {
    /// Enters a phase and asks for what is done there, unless the run is to stop and has changed nothing yet.
    pub(super) fn enter(mut self, next: Phase) -> Moved {
        let may_stop = next.is_before_change() && !matches!(next, Phase::Mending { .. });
        if let Some(by) = self.stop.clone().filter(|_| may_stop) {
            return self.conclude(RunVerdict::Refused { detail: format!("stopped by {by}") });
        }
        self.phase = next;
        let effects = self.effect().into_iter().collect();
        (self, effects)
    }

    /// Ends the run without a report.
    fn conclude(mut self, verdict: RunVerdict) -> Moved {
        self.phase = Phase::Concluded { verdict, gates: Vec::new(), is_reported: false };
        (self, Vec::new())
    }

    /// What is under way in this phase.
    fn effect(&self) -> Option<Effect> {
        Some(match &self.phase {
            Phase::Queued | Phase::Concluded { .. } => return None,
            Phase::Refreshing { transaction, .. } => Effect::Refresh { transaction: transaction.clone() },
            Phase::Assessing { refresh, .. } => Effect::Assess { refresh: refresh.clone() },
            Phase::MendingGates { .. } => Effect::LookAtGates { plan: None },
            Phase::Mending { transaction, lost: 0, .. } => {
                Effect::Repair { transaction: transaction.clone() }
            }
            Phase::Mending { transaction, .. } => Effect::RepairLater { transaction: transaction.clone() },
            Phase::Planning(draft) => Effect::Simulate { plan: draft.asking().clone() },
            Phase::Gating(progress) => Effect::LookAtGates { plan: Some(progress.plan.clone()) },
            Phase::Preparing(_)
            | Phase::Applying(_)
            | Phase::Recalling { .. }
            | Phase::Repairing { .. }
            | Phase::ReadingBack { .. }
            | Phase::Finishing { .. } => return self.effect_of_change(),
            Phase::Weighing(_) | Phase::PreparingReboot(_) | Phase::Rebooting { .. } => {
                return self.effect_of_reboot();
            }
            Phase::Reporting { result, .. } => {
                Effect::Report { record: result.as_ref().map(|result| result.record.clone()) }
            }
        })
    }

    /// Takes the phase out, for a move that needs what is in it.
    pub(super) fn split(mut self) -> (Self, Phase) {
        let phase = std::mem::replace(&mut self.phase, Phase::Queued);
        (self, phase)
    }

    /// What every phase makes of the answer that it waits for.
    pub(super) fn take_answer(self, event: Event) -> Result<Moved, IllegalTransition> {
        let (run, phase) = self.split();
        Ok(match (phase, event) {
            (Phase::Queued, Event::Started) => run.start(),
            (Phase::Refreshing { .. }, Event::Refreshed(outcome)) => run.assess(Some(outcome)),
            (Phase::Assessing { refresh, purpose }, Event::Assessed(findings)) => {
                run.take_findings(refresh, purpose, findings)
            }
            (Phase::MendingGates { refresh, assessment }, Event::GatesSeen(observed)) => {
                run.take_mending_gates(refresh, assessment, &observed)
            }
            (Phase::Mending { refresh, transaction, .. }, Event::Repaired(end)) => {
                let mut run = run;
                run.mended = Some(record::of_side_transaction(&transaction, TransactionKind::Repair, &end));
                run.assess(refresh)
            }
            (Phase::Planning(draft), Event::Simulated(simulation)) => match draft.take(simulation) {
                Drafted::AskAgain(draft) => run.enter(Phase::Planning(draft)),
                Drafted::Settled { draft, plan } => {
                    run.enter(Phase::Gating(Box::new(Progress::new(*draft, plan))))
                }
                Drafted::Refused { refresh, detail, left_out } => {
                    let failed = left_out.iter().map(LeftOut::to_setback).collect();
                    run.report(refresh, RunVerdict::Refused { detail }, Vec::new(), failed)
                }
            },
            (Phase::Gating(progress), Event::GatesSeen(observed)) => run.take_gates(progress, &observed),
            (Phase::Weighing(closing), Event::RebootWeighed(view)) => run.take_reboot_view(closing, view),
            // An older patchd looked at no reboot, and went on at once.
            (Phase::Weighing(closing), event @ (Event::Assessed(_) | Event::Reported)) => {
                return run.end_closing(closing).0.take_answer(event);
            }
            (Phase::PreparingReboot(closing), Event::HooksRun(end)) => run.take_pre_reboot(closing, &end),
            (Phase::Rebooting { closing, asked }, Event::RebootAsked) => run.await_reboot(closing, asked),
            (Phase::Rebooting { closing, asked }, Event::BootSeen(seen)) => {
                run.take_boot(closing, asked, seen)
            }
            (Phase::Reporting { result, .. }, Event::Reported) => run.finish(result),
            (phase, event) => return run.take_answer_to_change(phase, event),
        })
    }

    fn start(self) -> Moved {
        match self.order.refresh {
            RefreshPolicy::UseListsAsTheyAre => self.assess(None),
            RefreshPolicy::Refresh => {
                let transaction = format!("{}.refresh", self.order.id);
                self.enter(Phase::Refreshing { transaction, is_repeated: false })
            }
        }
    }

    pub(super) fn assess(self, refresh: Option<RefreshOutcome>) -> Moved {
        let purpose = match self.order.operation {
            Operation::Scan => Purpose::Scan,
            Operation::Apply => Purpose::Before,
        };
        self.enter(Phase::Assessing { refresh, purpose })
    }

    /// The lists are what they were, so the outcome of the refresh holds for this look too.
    pub(super) fn assess_again(self, refresh: Option<RefreshOutcome>, result: ApplyResult) -> Moved {
        self.enter(Phase::Assessing { refresh, purpose: Purpose::Final(Box::new(result)) })
    }

    fn take_findings(self, refresh: Option<RefreshOutcome>, purpose: Purpose, findings: Findings) -> Moved {
        let Findings { assessment, proposal } = findings;
        match purpose {
            Purpose::Scan => return self.enter(Phase::Reporting { refresh, result: None }),
            Purpose::Final(result) => {
                return self.enter(Phase::Reporting { refresh, result: Some(result) });
            }
            Purpose::Before => {}
        }
        if gate::is_interrupted(&assessment) && self.mended.is_none() && self.order.wish != Wish::DryRun {
            return self.enter(Phase::MendingGates { refresh, assessment });
        }
        let shown = match &self.order.wish {
            Wish::ThisPlan(plan) => Some(plan.clone()),
            Wish::WhatIsDue | Wish::DryRun => None,
        };
        match (proposal, shown) {
            (Some(proposal), shown) => match Draft::new(refresh.clone(), assessment, proposal, shown) {
                Ok(draft) => self.enter(Phase::Planning(Box::new(draft))),
                Err(detail) => self.refuse(refresh, detail, Vec::new()),
            },
            (None, Some(_)) => {
                let detail = "the plan is not what would be done now: nothing is to be done".to_owned();
                self.refuse(refresh, detail, Vec::new())
            }
            (None, None) => match assessment {
                Assessment::Complete => self.report(refresh, RunVerdict::Succeeded, Vec::new(), Vec::new()),
                Assessment::Incomplete { because } => {
                    let first = because.first().map(ToString::to_string).unwrap_or_default();
                    let detail = format!("what is to be done can't be told: {first}");
                    self.refuse(refresh, detail, Vec::new())
                }
            },
        }
    }

    /// A cut database is repaired where a change would be allowed; that it is cut shuts no gate here.
    fn take_mending_gates(
        self,
        refresh: Option<RefreshOutcome>,
        assessment: Assessment,
        observed: &Observed,
    ) -> Moved {
        match gate::check(observed, &Assessment::Complete) {
            Ok(_) => {
                let transaction = format!("{}.mend", self.order.id);
                self.enter(Phase::Mending { refresh, transaction, lost: 0 })
            }
            Err(mut shut) => {
                shut.extend(gate::check(observed, &assessment).err().into_iter().flatten());
                shut.sort_by_key(Shut::code);
                shut.dedup();
                self.wait_for(refresh, shut)
            }
        }
    }

    pub(super) fn wait_for(self, refresh: Option<RefreshOutcome>, shut: Vec<Shut>) -> Moved {
        let detail = shut.iter().map(Shut::sentence).collect::<Vec<_>>().join("; ");
        self.refuse(refresh, detail, shut)
    }

    /// Reports that nothing was changed.
    pub(super) fn refuse(self, refresh: Option<RefreshOutcome>, detail: String, gates: Vec<Shut>) -> Moved {
        self.report(refresh, RunVerdict::Refused { detail }, gates, Vec::new())
    }

    /// Reports an apply that started no transaction. A dry run leaves no report: nobody asked for one.
    fn report(
        mut self,
        refresh: Option<RefreshOutcome>,
        verdict: RunVerdict,
        gates: Vec<Shut>,
        failed: Vec<Setback>,
    ) -> Moved {
        if self.order.wish == Wish::DryRun {
            self.phase = Phase::Concluded { verdict, gates, is_reported: false };
            return (self, Vec::new());
        }
        let transactions = self.mended.iter().cloned().collect();
        let record = RunRecord { transactions, failed, ..RunRecord::of(verdict) };
        let result = ApplyResult { record, gates };
        if result.gates.is_empty() {
            // What the host asks for from earlier does not hang on what this run found to do.
            return self.weigh(Closing::of_assessed(refresh, result));
        }
        self.enter(Phase::Reporting { refresh, result: Some(Box::new(result)) })
    }

    fn finish(mut self, result: Option<Box<ApplyResult>>) -> Moved {
        let (verdict, gates) = match result {
            None => (RunVerdict::Succeeded, Vec::new()),
            Some(result) => (result.record.verdict, result.gates),
        };
        self.phase = Phase::Concluded { verdict, gates, is_reported: true };
        (self, Vec::new())
    }

    /// What every phase makes of an effect that gave no answer.
    pub(super) fn lose(self, detail: String) -> Result<Moved, IllegalTransition> {
        let (run, phase) = self.split();
        Ok(match phase {
            Phase::Refreshing { is_repeated: false, .. } => {
                let transaction = format!("{}.refresh.2", run.order.id);
                run.enter(Phase::Refreshing { transaction, is_repeated: true })
            }
            Phase::Refreshing { .. } => run.assess(Some(RefreshOutcome::Failed { failures: vec![detail] })),
            Phase::Assessing { purpose: Purpose::Final(result), .. }
            | Phase::Reporting { result: Some(result), .. } => run.conclude(result.record.verdict),
            Phase::Assessing { .. } => run
                .conclude(RunVerdict::Failed { detail: format!("the host could not be assessed: {detail}") }),
            Phase::Planning(draft) => {
                run.refuse(draft.refresh, format!("no dry run could be made: {detail}"), Vec::new())
            }
            Phase::MendingGates { refresh, .. } => {
                run.refuse(refresh, format!("the gates could not be looked at: {detail}"), Vec::new())
            }
            Phase::Mending { refresh, transaction, lost } if lost < MAX_LOST_RECALLS => {
                run.enter(Phase::Mending { refresh, transaction, lost: lost + 1 })
            }
            Phase::Mending { refresh, .. } => run.refuse(
                refresh,
                format!("the package database could not be repaired: {detail}"),
                Vec::new(),
            ),
            Phase::Gating(progress) => {
                let shut = Shut::Forbidden { detail: format!("the gates could not be looked at: {detail}") };
                run.wind_up(*progress, vec![shut])
            }
            Phase::Preparing(progress) => {
                let shut = Shut::HookFailed { detail };
                run.wind_up(*progress, vec![shut])
            }
            Phase::Applying(underway) => run.enter(Phase::Recalling { underway, asked: 0, lost: 0 }),
            Phase::Recalling { underway, asked, lost } if lost < MAX_LOST_RECALLS => {
                run.enter(Phase::Recalling { underway, asked, lost: lost + 1 })
            }
            Phase::Recalling { underway, .. } => {
                let because = format!("the executor could not be asked how it ended: {detail}");
                run.enter(Phase::ReadingBack { underway, ending: Ending::Unknown { because } })
            }
            Phase::Repairing { underway, ending, lost } if lost < MAX_LOST_RECALLS => {
                run.enter(Phase::Repairing { underway, ending, lost: lost + 1 })
            }
            Phase::Repairing { mut underway, ending, .. } => {
                underway.progress.notes.push(format!("the repair gave no answer: {detail}"));
                run.enter(Phase::ReadingBack { underway, ending })
            }
            Phase::ReadingBack { underway, ending } => run.take_unknown(underway, ending, &detail),
            Phase::Finishing { mut progress, gates } => {
                progress.notes.push(format!("the post-patch hooks gave no answer: {detail}"));
                run.close(&progress, gates)
            }
            Phase::Weighing(closing) => run.lose_weighing(closing, &detail),
            Phase::PreparingReboot(closing) => {
                run.wait_with_reboot(closing, Shut::RebootHookFailed { detail })
            }
            Phase::Rebooting { closing, asked } => run.lose_reboot(closing, asked, &detail),
            Phase::Reporting { result: None, .. } => {
                run.conclude(RunVerdict::Failed { detail: format!("no report could be written: {detail}") })
            }
            phase @ (Phase::Queued | Phase::Concluded { .. }) => {
                return Err(IllegalTransition { phase: phase.code(), event: "lost" });
            }
        })
    }

    /// What every phase makes of the executor's no.
    pub(super) fn take_refusal(self, refusal: Refusal) -> Result<Moved, IllegalTransition> {
        let (run, phase) = self.split();
        let detail = refusal.detail().to_owned();
        Ok(match phase {
            Phase::Refreshing { .. } => run.assess(Some(RefreshOutcome::Failed { failures: vec![detail] })),
            Phase::Planning(draft) => run.refuse(draft.refresh, detail, Vec::new()),
            Phase::Mending { refresh, .. } => run.refuse(refresh, detail, Vec::new()),
            Phase::Applying(underway) => run.take_refused_work(*underway, &refusal),
            Phase::Rebooting { closing, asked: Asked { is_told: false, .. } } => {
                run.wait_with_reboot(closing, Shut::Forbidden { detail })
            }
            phase @ (Phase::MendingGates { .. }
            | Phase::Gating(_)
            | Phase::Preparing(_)
            | Phase::Weighing(_)
            | Phase::PreparingReboot(_)
            | Phase::Rebooting { .. }
            | Phase::Recalling { .. }
            | Phase::ReadingBack { .. }
            | Phase::Finishing { .. }) => return RunState { phase, ..run }.lose(detail),
            Phase::Repairing { mut underway, ending, .. } => {
                underway.progress.notes.push(format!("the repair was refused: {detail}"));
                run.enter(Phase::ReadingBack { underway, ending })
            }
            phase => return Err(IllegalTransition { phase: phase.code(), event: "refused" }),
        })
    }

    /// Remembers a stop request; a run that has not begun ends at once.
    pub(super) fn note_stop(mut self, by: String) -> Moved {
        if self.phase == Phase::Queued {
            return self.conclude(RunVerdict::Refused { detail: format!("stopped by {by}") });
        }
        if self.is_stoppable() {
            self.stop.get_or_insert(by);
        }
        (self, Vec::new())
    }

    /// Carries on after a crash. What the last assessment said was in memory, so the host is looked at again unless a
    /// transaction was asked for.
    pub(super) fn restart(mut self) -> Moved {
        match self.phase {
            // Asking the executor cuts nothing short, and the end of a transaction is worth every patience.
            Phase::Applying(_)
            | Phase::Recalling { .. }
            | Phase::Repairing { .. }
            | Phase::ReadingBack { .. }
            | Phase::Rebooting { .. } => self.restarts = 0,
            _ => self.restarts = self.restarts.saturating_add(1),
        }
        let is_given_up = MAX_RESTARTS < self.restarts;
        let (run, phase) = self.split();
        match phase {
            Phase::Concluded { .. } => (RunState { phase, ..run }, Vec::new()),
            Phase::Assessing { purpose: Purpose::Final(result), .. }
            | Phase::Reporting { result: Some(result), .. }
                if is_given_up =>
            {
                run.conclude(result.record.verdict)
            }
            Phase::Reporting { .. } if is_given_up => run.give_up("reporting"),
            phase if is_given_up && phase.is_before_change() => run.give_up(phase.code()),
            Phase::Gating(mut progress) | Phase::Preparing(mut progress) if is_given_up => {
                progress.notes.push("patchd was cut again and again, and tried nothing more".into());
                run.close(&progress, Vec::new())
            }
            Phase::Finishing { progress, gates } if is_given_up => run.close(&progress, gates),
            Phase::Weighing(closing) | Phase::PreparingReboot(closing) if is_given_up => {
                run.leave_reboot(closing)
            }
            Phase::Weighing(closing) => run.weigh(closing.after_crash()),
            Phase::Rebooting { closing, asked } => run.await_reboot(closing, asked),
            // Cut between being taken down and being started.
            Phase::Queued => run.start(),
            Phase::Planning(draft) => run.assess(draft.refresh),
            Phase::MendingGates { refresh, .. } => run.assess(refresh),
            Phase::Gating(progress) if progress.hooks == Hooks::NotBegun => run.assess(progress.refresh),
            Phase::Applying(underway) => run.enter(Phase::Recalling { underway, asked: 0, lost: 0 }),
            Phase::Reporting { refresh, result: None } => run.assess(refresh),
            Phase::Reporting { refresh, result: Some(result) } => run.assess_again(refresh, *result),
            phase => run.enter(phase),
        }
    }

    fn give_up(self, phase: &str) -> Moved {
        let detail = format!("patchd was cut {} times during this run, at last while {phase}", self.restarts);
        self.conclude(RunVerdict::Failed { detail })
    }
}
