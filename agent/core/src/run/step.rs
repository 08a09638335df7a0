//! The moves of a run, one function for each kind of event. Only `run::step` calls them.

use super::event::{Effect, Event, Findings, Recall, RefreshOutcome, Simulation};
use super::{
    ApplyResult, Ending, IllegalTransition, MAX_LOST_RECALLS, MAX_RECALLS, MAX_RESTARTS, Phase, Purpose,
    RefreshPolicy, Round, RunState, Underway, record,
};
use crate::gate::{self, Shut, Situation};
use crate::plan::Plan;
use crate::report::{Assessment, Operation, RunRecord, RunVerdict};

type Moved = (RunState, Vec<Effect>);

/// How many lines of a difference a sentence takes.
const MAX_LINES: usize = 5;

impl RunState {
    /// Enters a phase and asks for what is done there, unless the run is to stop and has changed nothing yet.
    fn enter(mut self, next: Phase) -> Moved {
        let may_stop = next.is_before_change() || matches!(next, Phase::Applying(_));
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
            Phase::Refreshing { transaction } => Effect::Refresh { transaction: transaction.clone() },
            Phase::Assessing { refresh, .. } => Effect::Assess { refresh: refresh.clone() },
            Phase::Planning { plan, .. } => Effect::Simulate { plan: plan.clone() },
            Phase::Gating { .. } => Effect::LookAtGates,
            Phase::Applying(underway) => {
                Effect::Apply { transaction: underway.transaction.clone(), plan: underway.plan.clone() }
            }
            Phase::Recalling { underway, asked: 0, lost: 0 } => {
                Effect::Recall { transaction: underway.transaction.clone() }
            }
            Phase::Recalling { underway, .. } => {
                Effect::RecallLater { transaction: underway.transaction.clone() }
            }
            Phase::ReadingBack { underway, .. } => Effect::ReadBack { plan: underway.plan.clone() },
            Phase::Reporting { result, .. } => {
                Effect::Report { record: result.as_ref().map(|result| result.record.clone()) }
            }
        })
    }

    /// Takes the phase out, for a move that needs what is in it.
    fn split(mut self) -> (Self, Phase) {
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
            (Phase::Planning { refresh, assessment, plan, round }, Event::Simulated(simulation)) => {
                match settle(&plan, round, simulation) {
                    Err(detail) => run.refuse(refresh, detail, Vec::new()),
                    Ok(settled) if settled == plan => run.enter(Phase::Gating { refresh, assessment, plan }),
                    Ok(plan) => {
                        run.enter(Phase::Planning { refresh, assessment, plan, round: Round::Settled })
                    }
                }
            }
            (Phase::Gating { refresh, assessment, plan }, Event::GatesSeen { now, window, is_paused }) => {
                let situation = Situation { window: &window, is_paused, assessment: &assessment };
                match gate::check(&situation) {
                    Err(shut) => run.wait_for(refresh, shut),
                    Ok(open) => {
                        let transaction = format!("{}.apply", run.order.id);
                        let window = open.name;
                        run.enter(Phase::Applying(Underway {
                            refresh,
                            transaction,
                            started_at: now,
                            window,
                            plan,
                        }))
                    }
                }
            }
            (Phase::Applying(underway), Event::Applied(end)) => {
                run.enter(Phase::ReadingBack { underway, ending: Ending::Known(end) })
            }
            (Phase::Recalling { underway, asked, .. }, Event::Recalled(recall)) => {
                run.take_recall(underway, asked, recall)
            }
            (Phase::ReadingBack { underway, ending }, Event::ReadBack(installed)) => {
                let record = record::of_read_back(&underway, ending, &installed);
                run.assess_again(underway.refresh, record)
            }
            (Phase::Reporting { result, .. }, Event::Reported) => run.finish(result),
            (phase, event) => return Err(IllegalTransition { phase: phase.code(), event: event.code() }),
        })
    }

    fn start(self) -> Moved {
        match self.order.refresh {
            RefreshPolicy::UseListsAsTheyAre => self.assess(None),
            RefreshPolicy::Refresh => {
                let transaction = format!("{}.refresh", self.order.id);
                self.enter(Phase::Refreshing { transaction })
            }
        }
    }

    fn assess(self, refresh: Option<RefreshOutcome>) -> Moved {
        let purpose = match self.order.operation {
            Operation::Scan => Purpose::Scan,
            Operation::Apply => Purpose::Before,
        };
        self.enter(Phase::Assessing { refresh, purpose })
    }

    /// The lists are what they were, so the outcome of the refresh holds for this look too.
    fn assess_again(self, refresh: Option<RefreshOutcome>, record: RunRecord) -> Moved {
        let result = ApplyResult { record, gates: Vec::new() };
        self.enter(Phase::Assessing { refresh, purpose: Purpose::Final(result) })
    }

    fn take_findings(self, refresh: Option<RefreshOutcome>, purpose: Purpose, findings: Findings) -> Moved {
        let Findings { assessment, plan } = findings;
        match (purpose, plan) {
            (Purpose::Scan, _) => self.enter(Phase::Reporting { refresh, result: None }),
            (Purpose::Final(result), _) => self.enter(Phase::Reporting { refresh, result: Some(result) }),
            (Purpose::Before, Some(plan)) => {
                self.enter(Phase::Planning { refresh, assessment, plan, round: Round::Proposed })
            }
            (Purpose::Before, None) => match assessment {
                Assessment::Complete => self.report(refresh, RunVerdict::Succeeded, Vec::new()),
                Assessment::Incomplete { because } => {
                    let first = because.first().map(ToString::to_string).unwrap_or_default();
                    let detail =
                        format!("nothing is known to be missing, but the assessment is incomplete: {first}");
                    self.refuse(refresh, detail, Vec::new())
                }
            },
        }
    }

    fn take_recall(self, underway: Underway, asked: u16, recall: Recall) -> Moved {
        let because = match recall {
            Recall::Running if asked < MAX_RECALLS => {
                return self.enter(Phase::Recalling { underway, asked: asked + 1, lost: 0 });
            }
            Recall::Ended(end) => {
                return self.enter(Phase::ReadingBack { underway, ending: Ending::Known(end) });
            }
            Recall::Running => "the executor still worked on it when patchd stopped asking".into(),
            Recall::Unknown => "patchd was cut before the executor took the transaction".into(),
            Recall::Cut { detail } => detail,
        };
        self.enter(Phase::ReadingBack { underway, ending: Ending::Unknown { because } })
    }

    fn wait_for(self, refresh: Option<RefreshOutcome>, shut: Vec<Shut>) -> Moved {
        let detail = shut.iter().map(Shut::sentence).collect::<Vec<_>>().join("; ");
        self.refuse(refresh, detail, shut)
    }

    /// Reports that nothing was changed.
    fn refuse(self, refresh: Option<RefreshOutcome>, detail: String, gates: Vec<Shut>) -> Moved {
        self.report(refresh, RunVerdict::Refused { detail }, gates)
    }

    /// Reports an apply that started no transaction.
    fn report(self, refresh: Option<RefreshOutcome>, verdict: RunVerdict, gates: Vec<Shut>) -> Moved {
        let record = RunRecord { verdict, window: None, transactions: Vec::new() };
        self.enter(Phase::Reporting { refresh, result: Some(ApplyResult { record, gates }) })
    }

    fn finish(mut self, result: Option<ApplyResult>) -> Moved {
        let (verdict, gates) = match result {
            None => (RunVerdict::Succeeded, Vec::new()),
            Some(ApplyResult { record, gates }) => (record.verdict, gates),
        };
        self.phase = Phase::Concluded { verdict, gates, is_reported: true };
        (self, Vec::new())
    }

    /// What every phase makes of an effect that gave no answer.
    pub(super) fn lose(self, detail: String) -> Result<Moved, IllegalTransition> {
        let (run, phase) = self.split();
        Ok(match phase {
            Phase::Refreshing { .. } => run.assess(Some(RefreshOutcome::Failed { failures: vec![detail] })),
            Phase::Assessing { purpose: Purpose::Final(result), .. }
            | Phase::Reporting { result: Some(result), .. } => run.conclude(result.record.verdict),
            Phase::Assessing { .. } => run
                .conclude(RunVerdict::Failed { detail: format!("the host could not be assessed: {detail}") }),
            Phase::Planning { refresh, .. } => {
                run.refuse(refresh, format!("no dry run could be made: {detail}"), Vec::new())
            }
            Phase::Gating { refresh, .. } => {
                run.refuse(refresh, format!("the gates could not be looked at: {detail}"), Vec::new())
            }
            Phase::Applying(underway) => run.enter(Phase::Recalling { underway, asked: 0, lost: 0 }),
            Phase::Recalling { underway, asked, lost } if lost < MAX_LOST_RECALLS => {
                run.enter(Phase::Recalling { underway, asked, lost: lost + 1 })
            }
            Phase::Recalling { underway, .. } => {
                let because = format!("the executor could not be asked how it ended: {detail}");
                run.enter(Phase::ReadingBack { underway, ending: Ending::Unknown { because } })
            }
            Phase::ReadingBack { underway, ending } => {
                let record = record::of_unknown(&underway, ending, &detail);
                run.assess_again(underway.refresh, record)
            }
            Phase::Reporting { result: None, .. } => {
                run.conclude(RunVerdict::Failed { detail: format!("no report could be written: {detail}") })
            }
            phase @ (Phase::Queued | Phase::Concluded { .. }) => {
                return Err(IllegalTransition { phase: phase.code(), event: "lost" });
            }
        })
    }

    /// What every phase makes of the executor's no.
    pub(super) fn take_refusal(self, detail: String) -> Result<Moved, IllegalTransition> {
        match &self.phase {
            Phase::Planning { .. } | Phase::Applying(_) => {
                let (run, phase) = self.split();
                let (Phase::Planning { refresh, .. } | Phase::Applying(Underway { refresh, .. })) = phase
                else {
                    return Err(IllegalTransition { phase: phase.code(), event: "refused" });
                };
                Ok(run.refuse(refresh, detail, Vec::new()))
            }
            Phase::Refreshing { .. } | Phase::Recalling { .. } | Phase::ReadingBack { .. } => {
                self.lose(detail)
            }
            phase => Err(IllegalTransition { phase: phase.code(), event: "refused" }),
        }
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

    /// Carries on after a crash. What the last assessment said was in memory, so the host is looked at again.
    pub(super) fn restart(mut self) -> Moved {
        match self.phase {
            // Asking the executor cuts nothing short, and the end of a transaction is worth every patience.
            Phase::Applying(_) | Phase::Recalling { .. } | Phase::ReadingBack { .. } => self.restarts = 0,
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
            Phase::Queued => run.enter(Phase::Queued),
            Phase::Refreshing { .. } => run.enter(phase),
            Phase::Assessing { .. } | Phase::Recalling { .. } | Phase::ReadingBack { .. } => run.enter(phase),
            Phase::Planning { refresh, .. } | Phase::Gating { refresh, .. } => run.assess(refresh),
            Phase::Applying(underway) => run.enter(Phase::Recalling { underway, asked: 0, lost: 0 }),
            Phase::Reporting { refresh, result: None } => run.assess(refresh),
            Phase::Reporting { refresh, result: Some(result) } => {
                run.enter(Phase::Assessing { refresh, purpose: Purpose::Final(result) })
            }
        }
    }

    fn give_up(self, phase: &str) -> Moved {
        let detail = format!("patchd was cut {} times during this run, at last while {phase}", self.restarts);
        self.conclude(RunVerdict::Failed { detail })
    }
}

/// The plan that a dry run leads to, or why there is none.
///
/// In the first round the package manager may add what the plan depends on, and nothing else: it removes nothing and
/// leaves nothing out. In the second it must come to the very same set.
fn settle(plan: &Plan, round: Round, simulation: Simulation) -> Result<Plan, String> {
    let Simulation { changes, removals, refusal } = simulation;
    if let Some(refusal) = refusal {
        return Err(format!("the package manager would not do it: {refusal}"));
    }
    let difference = plan.difference(&changes, &removals);
    if difference.is_empty() {
        return Ok(plan.clone());
    }
    let adds_only = removals.is_empty() && plan.changes().iter().all(|planned| changes.contains(planned));
    if round == Round::Proposed && adds_only {
        return Plan::try_new(changes).map_err(|why| format!("the dry run makes no sense: {why}"));
    }
    let lines = difference.iter().take(MAX_LINES).map(String::as_str).collect::<Vec<_>>().join("; ");
    Err(format!("the dry run does not come to the plan: {lines}"))
}
