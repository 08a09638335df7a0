//! From what the baseline asks for to what the package manager agrees to: sets of packages are tried in its dry run, and
//! one that it refuses is cut in two until the packages are found that can't go. It starts nothing.

use std::collections::VecDeque;

use super::event::{Proposal, RefreshOutcome, Simulation};
use crate::baseline::RejectedAction;
use crate::package::PackageId;
use crate::plan::steps::{Step, cut};
use crate::plan::{Plan, PlannedChange};
use crate::reason::{Cause, Link, Reason};
use crate::report::{Assessment, Setback};

/// How many dry runs one plan may take. What is not settled then is left out, and said.
pub(super) const MAX_DRY_RUNS: u16 = 40;

/// How often one set may grow by what it depends on.
const MAX_ROUNDS: u8 = 3;

/// How many lines of a difference a sentence takes.
const MAX_LINES: usize = 5;

/// A plan in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub refresh: Option<RefreshOutcome>,
    pub assessment: Assessment,
    pub proposal: Proposal,
    /// What somebody was shown, and wants to be carried out as it is.
    pub shown: Option<Plan>,
    /// What a dry run agreed to so far.
    accepted: Option<Plan>,
    /// What the dry run is asked now.
    asking: Plan,
    /// The part of it that may yet be left out.
    adding: Vec<PlannedChange>,
    rounds: u8,
    dry_runs: u16,
    queue: VecDeque<Vec<PlannedChange>>,
    pub left_out: Vec<LeftOut>,
}

/// Packages that can't go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub packages: Vec<PackageId>,
    pub why: String,
    /// What the baseline blocks of what would have come along.
    pub blocked: Option<Link>,
}

impl LeftOut {
    fn because(packages: Vec<PackageId>, why: String) -> Self {
        Self { packages, why, blocked: None }
    }

    /// The same for a report.
    pub(super) fn to_setback(&self) -> Setback {
        let reason = match &self.blocked {
            Some(link) => {
                let on = Some(link.package.to_string());
                Reason::new(Cause::Dependency { on }, vec![link.clone()])
            }
            None => Reason::from(Cause::Failed { run: None, detail: self.why.clone() }),
        };
        Setback { packages: self.packages.clone(), why: self.why.clone(), output: Vec::new(), reason }
    }
}

/// Why a dry run leads to no plan.
struct No {
    why: String,
    blocked: Option<Link>,
}

impl From<String> for No {
    fn from(why: String) -> Self {
        Self { why, blocked: None }
    }
}

/// What a dry run makes of a draft.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drafted {
    AskAgain(Box<Draft>),
    Settled { draft: Box<Draft>, plan: Plan },
    Refused { refresh: Option<RefreshOutcome>, detail: String, left_out: Vec<LeftOut> },
}

impl Draft {
    /// The first dry run is asked for everything at once. What was shown is asked for by what the baseline approves of
    /// it: the rest must come as a dependency, or not at all.
    pub(super) fn new(
        refresh: Option<RefreshOutcome>,
        assessment: Assessment,
        proposal: Proposal,
        shown: Option<Plan>,
    ) -> Result<Self, String> {
        let asking = match &shown {
            None => proposal.plan.clone(),
            Some(shown) => approved_of(shown, &proposal.plan)?,
        };
        let adding = asking.changes().to_vec();
        Ok(Self {
            refresh,
            assessment,
            proposal,
            shown,
            accepted: None,
            asking,
            adding,
            rounds: 0,
            dry_runs: 0,
            queue: VecDeque::new(),
            left_out: Vec::new(),
        })
    }

    pub(super) fn asking(&self) -> &Plan {
        &self.asking
    }

    /// What comes of the dry run that was asked for.
    pub(super) fn take(mut self, simulation: Simulation) -> Drafted {
        self.dry_runs += 1;
        let verdict = judge(&self.asking, simulation, &self.proposal);
        if let Some(shown) = self.shown.clone() {
            return self.take_shown(shown, verdict);
        }
        match verdict {
            Ok(plan) if names(&plan) == names(&self.asking) => {
                self.accepted = Some(plan);
                self.next()
            }
            Ok(plan) if self.rounds < MAX_ROUNDS && self.dry_runs < MAX_DRY_RUNS => {
                self.asking = plan;
                self.rounds += 1;
                Drafted::AskAgain(Box::new(self))
            }
            Ok(_) => self.leave_out("what it depends on does not settle".to_owned().into()),
            Err(no) => self.leave_out(no),
        }
    }

    fn take_shown(self, shown: Plan, verdict: Result<Plan, No>) -> Drafted {
        let detail = match verdict {
            Ok(plan) if plan == shown => return Drafted::Settled { draft: Box::new(self), plan },
            Ok(plan) => few(&shown.difference(plan.changes(), plan.removals())),
            Err(no) => no.why,
        };
        let detail = format!("the plan is not what would be done now: {detail}");
        Drafted::Refused { refresh: self.refresh, detail, left_out: Vec::new() }
    }

    /// Goes on with halves of what was refused, or without it.
    fn leave_out(mut self, no: No) -> Drafted {
        let adding = std::mem::take(&mut self.adding);
        let steps = match Plan::try_new(adding) {
            Ok(plan) => cut(&plan, &self.proposal.ties),
            Err(_) => Vec::new(),
        };
        let (first, second) = steps.split_at(steps.len() / 2);
        let changes =
            |steps: &[Step]| -> Vec<_> { steps.iter().flat_map(|step| step.changes.clone()).collect() };
        if first.is_empty() || MAX_DRY_RUNS <= self.dry_runs {
            let packages = steps.iter().flat_map(Step::packages).cloned().collect();
            self.left_out.push(LeftOut { packages, why: no.why, blocked: no.blocked });
        } else {
            self.queue.push_front(changes(second));
            self.queue.push_front(changes(first));
        }
        self.next()
    }

    fn next(mut self) -> Drafted {
        while let Some(adding) = self.queue.pop_front() {
            let known = self.accepted.as_ref().map(Plan::changes).unwrap_or_default();
            let adding: Vec<_> = adding.into_iter().filter(|change| !known.contains(change)).collect();
            if MAX_DRY_RUNS <= self.dry_runs {
                let packages = adding.into_iter().map(|change| change.package).collect();
                let why = format!("no dry run agreed to it within {MAX_DRY_RUNS}");
                self.left_out.push(LeftOut::because(packages, why));
                continue;
            }
            let removals = self.accepted.as_ref().map(|plan| plan.removals().to_vec()).unwrap_or_default();
            let all: Vec<_> = known.iter().chain(&adding).cloned().collect();
            match Plan::with_removals(all, removals) {
                Ok(_) if adding.is_empty() => {}
                Ok(plan) => {
                    self.asking = plan;
                    self.adding = adding;
                    self.rounds = 0;
                    return Drafted::AskAgain(Box::new(self));
                }
                Err(why) => {
                    let packages = adding.into_iter().map(|change| change.package).collect();
                    self.left_out.push(LeftOut::because(packages, why.to_string()));
                }
            }
        }
        match self.accepted.take() {
            Some(plan) => Drafted::Settled { draft: Box::new(self), plan },
            None => {
                let whys: Vec<String> = self.left_out.iter().map(|left| left.why.clone()).collect();
                Drafted::Refused { refresh: self.refresh, detail: few(&whys), left_out: self.left_out }
            }
        }
    }
}

/// What is asked for by name in the package manager's call: the rest comes as a dependency.
fn names(plan: &Plan) -> Vec<&PlannedChange> {
    plan.changes().iter().filter(|change| change.from.is_some()).collect()
}

/// The part of a shown plan that the baseline approves now.
fn approved_of(shown: &Plan, approved: &Plan) -> Result<Plan, String> {
    let find = |package: &PackageId| approved.changes().iter().find(|change| &change.package == package);
    let mut asked = Vec::new();
    for change in shown.changes() {
        match find(&change.package) {
            Some(now) if now == change => asked.push(change.clone()),
            None => {}
            Some(now) => {
                return Err(format!(
                    "the plan is not what would be done now: {} would go to {}, and the plan says {}",
                    change.package, now.to, change.to
                ));
            }
        }
    }
    Plan::try_new(asked).map_err(|_| "the baseline approves of nothing that is in the plan".into())
}

/// The plan that a dry run leads to, or why it leads to none.
///
/// The package manager may add what the plan depends on, and nothing else: it leaves nothing out, and removes and
/// takes back only what policy names. What the baseline blocks comes with nothing.
fn judge(plan: &Plan, simulation: Simulation, proposal: &Proposal) -> Result<Plan, No> {
    let Simulation { changes, removals, forbidden, refusal } = simulation;
    if let Some(refusal) = refusal {
        return Err(format!("the package manager would not do it: {refusal}").into());
    }
    let find = |change: &PlannedChange| {
        // A list of the run's own may name what the baseline blocks. A plan that was shown before may not.
        if proposal.plan.changes().contains(change) {
            return None;
        }
        let entry = proposal.blocked.iter().find(|entry| entry.matches_deb(&change.package, &change.to))?;
        let cause = Cause::Rejected { entry: entry.to_string(), action: RejectedAction::Block };
        let why = format!("it takes {} {}: {}", change.package, change.to, cause.sentence());
        Some((why, Link { package: change.package.clone(), cause }))
    };
    if let Some((why, link)) = changes.iter().find_map(find) {
        return Err(No { why, blocked: Some(link) });
    }
    if !forbidden.is_empty() {
        return Err(format!("policy does not allow what it takes: {}", few(&forbidden)).into());
    }
    if !plan.changes().iter().all(|planned| changes.contains(planned)) {
        let difference = few(&plan.difference(&changes, &removals));
        return Err(format!("the dry run does not come to the plan: {difference}").into());
    }
    Plan::with_removals(changes, removals).map_err(|why| format!("the dry run makes no sense: {why}").into())
}

pub(super) fn few(lines: &[String]) -> String {
    let mut told = lines.iter().take(MAX_LINES).map(String::as_str).collect::<Vec<_>>().join("; ");
    if MAX_LINES < lines.len() {
        told.push_str(&format!("; and {} more", lines.len() - MAX_LINES));
    }
    told
}
