//! How far the steps of a settled plan are: which are done, which failed and why, and which come next, in as few
//! transactions as the time that is left and the room on the disks allow. It starts nothing.

use std::collections::VecDeque;

use jiff::SignedDuration;

use super::draft::{Draft, LeftOut};
use super::event::{Installed, Objection, PackageFailure, RefreshOutcome, TransactionEnd};
use crate::gate::{Observed, Permit, Shut};
use crate::package::PackageId;
use crate::plan::need::{Footprint, TRANSACTION_TIME, rooms};
use crate::plan::steps::{Step, cut};
use crate::plan::{Plan, PlannedChange};
use crate::report::{Assessment, Transaction};

/// How many transactions a run may start. Halving a set of a thousand to find one bad package takes about twenty.
pub const MAX_TRANSACTIONS: usize = 60;

/// How many of them in a row may change nothing at all: then it is not about single packages.
const MAX_FRUITLESS: usize = 12;

/// How often a run looks whether somebody else is done with packages. Each look takes half a minute while they are not.
pub const MAX_LOCK_LOOKS: u16 = 2_880;

/// How many of a step's packages a sentence names.
const MAX_NAMED: usize = 3;

/// A plan under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub refresh: Option<RefreshOutcome>,
    pub assessment: Assessment,
    pub plan: Plan,
    pub steps: Vec<Step>,
    pub footprints: Vec<Footprint>,
    pub left_out: Vec<LeftOut>,
    /// By step.
    pub outcomes: Vec<Outcome>,
    /// Sets of steps, each to be tried as one transaction if it fits. In each, what is needed stands before what needs it.
    queue: VecDeque<Vec<usize>>,
    pub transactions: Vec<Transaction>,
    /// How many were asked for: each has its own id, also those that were refused.
    pub started: usize,
    fruitless: usize,
    /// How often it was looked whether somebody else is done.
    lock_looks: u16,
    pub hooks: Hooks,
    /// Whose word the last transaction rested on.
    pub permission: Option<String>,
    pub notes: Vec<String>,
    pub left_files: Vec<String>,
}

/// How far the pre-patch hooks are. Once they are begun, the post-patch hooks run whatever comes of the run: they undo
/// what the others did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hooks {
    NotBegun,
    Begun,
    Passed,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Waiting,
    Done,
    Failed {
        why: String,
        /// The last words of the package that failed.
        output: Vec<String>,
        objection: Objection,
    },
    /// A step that it needs failed.
    Blocked {
        by: usize,
    },
}

impl Progress {
    pub(super) fn new(draft: Draft, plan: Plan) -> Self {
        let steps = cut(&plan, &draft.proposal.ties);
        let all: Vec<usize> = (0..steps.len()).collect();
        Self {
            refresh: draft.refresh,
            assessment: draft.assessment,
            plan,
            outcomes: vec![Outcome::Waiting; steps.len()],
            steps,
            footprints: draft.proposal.footprints,
            left_out: draft.left_out,
            queue: VecDeque::from([all]),
            transactions: Vec::new(),
            started: 0,
            fruitless: 0,
            lock_looks: 0,
            hooks: Hooks::NotBegun,
            permission: None,
            notes: Vec::new(),
            left_files: Vec::new(),
        }
    }

    fn is_waiting(&self, step: usize) -> bool {
        self.outcomes.get(step) == Some(&Outcome::Waiting)
    }

    fn is_done(&self, step: usize) -> bool {
        self.outcomes.get(step) == Some(&Outcome::Done)
    }

    /// Whether nothing is left to be tried.
    pub fn is_over(&self) -> bool {
        !self.outcomes.contains(&Outcome::Waiting)
    }

    /// The steps that were not tried to their end.
    pub fn waiting(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .zip(&self.outcomes)
            .filter(|(_, outcome)| **outcome == Outcome::Waiting)
            .map(|(step, _)| step)
    }

    pub fn footprint(&self, package: &PackageId) -> Option<&Footprint> {
        self.footprints.iter().find(|footprint| &footprint.package == package)
    }

    /// How long a step will take.
    pub fn time_of(&self, step: &Step) -> SignedDuration {
        step.packages()
            .filter_map(|package| self.footprint(package))
            .fold(SignedDuration::ZERO, |sum, footprint| sum.saturating_add(footprint.time))
    }

    /// The steps of the next transaction, or why none of those that wait may start.
    ///
    /// Steps that don't fit are passed over for smaller ones, and kept: they may fit another time.
    pub(super) fn choose(&mut self, permit: &Permit, observed: &Observed) -> Result<Batch, Vec<Shut>> {
        let mut shut = Vec::new();
        for place in 0..self.queue.len() {
            let Some(set) = self.queue.get(place).cloned() else { break };
            let chosen = self.choose_of(&set, permit, observed, &mut shut);
            if chosen.steps.is_empty() {
                continue;
            }
            let rest: Vec<usize> = set
                .into_iter()
                .filter(|step| self.is_waiting(*step) && !chosen.steps.contains(step))
                .collect();
            self.queue.remove(place);
            if !rest.is_empty() {
                self.queue.insert(place, rest);
            }
            return Ok(chosen);
        }
        Err(shut)
    }

    fn choose_of(&self, set: &[usize], permit: &Permit, observed: &Observed, shut: &mut Vec<Shut>) -> Batch {
        let mut batch = Batch { steps: Vec::new(), time: TRANSACTION_TIME };
        let mut chosen: Vec<&Footprint> = Vec::new();
        for &at in set {
            let Some(step) = self.steps.get(at).filter(|_| self.is_waiting(at)) else { continue };
            if !step.after.iter().all(|&need| self.is_done(need) || batch.steps.contains(&need)) {
                continue;
            }
            let time = batch.time.saturating_add(self.time_of(step));
            if permit.time < time {
                note(shut, Shut::WontFit { needed: time, left: permit.time });
                continue;
            }
            let known = chosen.len();
            chosen.extend(step.packages().filter_map(|package| self.footprint(package)));
            let shortage = rooms(&chosen, &observed.filesystems).into_iter().find_map(|room| room.shortage);
            if let Some(detail) = shortage {
                chosen.truncate(known);
                note(shut, Shut::NoRoom { detail });
                continue;
            }
            batch.time = time;
            batch.steps.push(at);
        }
        batch
    }

    /// Whether to look again, as long as somebody else is at work: as long as a step would fit into the time that is left
    /// then. Else every reason why not.
    pub(super) fn wait_for_lock(
        &mut self,
        locked: Shut,
        permit: &Permit,
        observed: &Observed,
    ) -> Result<(), Vec<Shut>> {
        // What is chosen now is not begun.
        if let Err(mut shut) = self.clone().choose(permit, observed) {
            shut.insert(0, locked);
            return Err(shut);
        }
        self.lock_looks = self.lock_looks.saturating_add(1);
        if self.lock_looks <= MAX_LOCK_LOOKS { Ok(()) } else { Err(vec![locked]) }
    }

    /// The plan of one transaction.
    pub(super) fn plan_of(&self, batch: &Batch) -> Option<Plan> {
        let steps = || batch.steps.iter().filter_map(|&at| self.steps.get(at));
        let changes: Vec<PlannedChange> = steps().flat_map(|step| step.changes.clone()).collect();
        let removals = steps().flat_map(|step| step.removals.clone()).collect();
        Plan::with_removals(changes, removals).ok()
    }

    /// The executor would not do it, for the packages' sake, and changed nothing.
    pub(super) fn take_refusal(
        &mut self,
        batch: &Batch,
        detail: &str,
        blamed: &[PackageId],
        objection: Objection,
    ) {
        let is_blamed = |at: &usize| {
            self.steps.get(*at).is_some_and(|step| blamed.iter().any(|package| step.has(package)))
        };
        let (to_blame, others): (Vec<usize>, Vec<usize>) = batch.steps.iter().partition(|at| is_blamed(at));
        if !to_blame.is_empty() {
            for at in to_blame {
                self.block(at, Outcome::Failed { why: detail.to_owned(), output: Vec::new(), objection });
            }
            self.again(others);
        } else if let [only] = batch.steps.as_slice() {
            self.block(*only, Outcome::Failed { why: detail.to_owned(), output: Vec::new(), objection });
        } else {
            self.halve(&batch.steps);
        }
        self.count(false, detail);
    }

    /// What was read back after a transaction. Nothing else says what became of its steps.
    pub(super) fn take_read_back(&mut self, batch: &Batch, end: &TransactionEnd, installed: &[Installed]) {
        let mut untouched = Vec::new();
        let mut has_culprit = false;
        let mut has_moved = false;
        for &at in &batch.steps {
            let Some(step) = self.steps.get(at) else { continue };
            match state_of(step, installed) {
                StepState::Done => {
                    has_moved = true;
                    self.set(at, Outcome::Done);
                }
                StepState::Untouched => untouched.push(at),
                StepState::HalfWay => {
                    has_culprit = true;
                    has_moved = true;
                    let (why, output) = self.blame(step, end, "it was left half way");
                    self.fail(at, why, output);
                }
            }
        }
        let named: Vec<usize> = untouched
            .iter()
            .copied()
            .filter(|at| self.steps.get(*at).is_some_and(|step| failure_of(step, end).is_some()))
            .collect();
        for &at in &named {
            has_culprit = true;
            let Some(step) = self.steps.get(at) else { continue };
            let (why, output) = self.blame(step, end, "it stayed at its version");
            self.fail(at, why, output);
        }
        untouched.retain(|at| !named.contains(at) && self.is_waiting(*at));
        if has_culprit {
            // Who is to blame is known, so the others were only not reached.
            self.again(untouched);
        } else if let ([only], 1) = (untouched.as_slice(), batch.steps.len()) {
            let at = *only;
            if let Some(step) = self.steps.get(at) {
                let (why, output) = self.blame(step, end, "it stayed at its version");
                self.fail(at, why, output);
            }
        } else {
            self.halve(&untouched);
        }
        self.count(has_moved, "the package manager changed nothing");
    }

    /// Why a step failed, in its package's own words where there are some.
    fn blame(&self, step: &Step, end: &TransactionEnd, otherwise: &str) -> (String, Vec<String>) {
        if let Some(failure) = failure_of(step, end) {
            let output = if failure.output.is_empty() { &end.output_tail } else { &failure.output };
            return (format!("{}: {}", failure.name, failure.message), output.clone());
        }
        let how = match end.exit_code {
            Some(code) => format!("{otherwise}, and the package manager ended with {code}"),
            None => format!("{otherwise}, and the package manager was cut"),
        };
        (how, end.output_tail.clone())
    }

    fn set(&mut self, at: usize, outcome: Outcome) {
        if let Some(own) = self.outcomes.get_mut(at) {
            *own = outcome;
        }
    }

    /// Marks a step as failed, and every step that waits for it as blocked.
    pub(super) fn fail(&mut self, at: usize, why: String, output: Vec<String>) {
        self.block(at, Outcome::Failed { why, output, objection: Objection::Other });
    }

    fn block(&mut self, at: usize, outcome: Outcome) {
        self.set(at, outcome);
        // Steps stand after those that they need, so one pass reaches all.
        for later in at..self.steps.len() {
            let Some(step) = self.steps.get(later) else { break };
            let stopped = |need: &usize| {
                matches!(self.outcomes.get(*need), Some(Outcome::Failed { .. } | Outcome::Blocked { .. }))
            };
            if let Some(&by) = step.after.iter().find(|need| stopped(need))
                && self.is_waiting(later)
            {
                self.set(later, Outcome::Blocked { by });
            }
        }
    }

    /// Puts steps back, to be tried next.
    pub(super) fn again(&mut self, steps: Vec<usize>) {
        if !steps.is_empty() {
            self.queue.push_front(steps);
        }
    }

    fn halve(&mut self, steps: &[usize]) {
        let (first, second) = steps.split_at(steps.len() / 2);
        self.again(second.to_vec());
        self.again(first.to_vec());
    }

    /// Gives up what waits when transaction after transaction comes to nothing.
    fn count(&mut self, has_moved: bool, why: &str) {
        self.fruitless = if has_moved { 0 } else { self.fruitless + 1 };
        let is_too_much = MAX_TRANSACTIONS <= self.started || MAX_FRUITLESS <= self.fruitless;
        if is_too_much {
            for at in 0..self.steps.len() {
                if self.is_waiting(at) {
                    self.set(
                        at,
                        Outcome::Failed {
                            why: format!("given up after {} transactions: {why}", self.started),
                            output: Vec::new(),
                            objection: Objection::Other,
                        },
                    );
                }
            }
        }
    }

    /// The packages of a step for a sentence.
    pub fn name_of(&self, at: usize) -> String {
        let Some(step) = self.steps.get(at) else { return String::new() };
        let names: Vec<String> = step
            .packages()
            .chain(&step.removals)
            .take(MAX_NAMED)
            .map(|package| package.name.to_string())
            .collect();
        match step.changes.len() + step.removals.len() {
            all if all <= MAX_NAMED => names.join(", "),
            all => format!("{} and {} more", names.join(", "), all - MAX_NAMED),
        }
    }
}

/// The steps of one transaction, and how long they may take together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub steps: Vec<usize>,
    pub time: SignedDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepState {
    Done,
    /// Every package is as it was before, and sound.
    Untouched,
    HalfWay,
}

fn state_of(step: &Step, installed: &[Installed]) -> StepState {
    let find = |package: &PackageId| installed.iter().find(|found| &found.package == package);
    let are = |is: &dyn Fn(&PlannedChange, Option<&Installed>) -> bool| {
        step.changes.iter().all(|change| is(change, find(&change.package)))
    };
    let has_gone = |package: &PackageId| find(package).is_some_and(|found| found.version.is_none());
    let is_done = are(&|change, found| {
        found.is_some_and(|found| found.is_sound && found.version.as_ref() == Some(&change.to))
    });
    if is_done && step.removals.iter().all(has_gone) {
        return StepState::Done;
    }
    let is_untouched = are(&|change, found| match (&change.from, found) {
        (None, None) => true,
        (from, Some(found)) => {
            found.version.as_ref() == from.as_ref() && (found.is_sound || found.version.is_none())
        }
        (Some(_), None) => false,
    });
    if is_untouched && !step.removals.iter().any(has_gone) {
        StepState::Untouched
    } else {
        StepState::HalfWay
    }
}

/// What the package manager says of a package of this step.
fn failure_of<'a>(step: &Step, end: &'a TransactionEnd) -> Option<&'a PackageFailure> {
    let own = |name: &str| {
        let name = name.split(':').next().unwrap_or_default();
        step.packages().chain(&step.removals).any(|package| package.name.as_str() == name)
    };
    end.failures.iter().find(|failure| own(&failure.name))
}

/// Keeps one reason of each kind.
fn note(shut: &mut Vec<Shut>, new: Shut) {
    if !shut.iter().any(|known| known.code() == new.code()) {
        shut.push(new);
    }
}
