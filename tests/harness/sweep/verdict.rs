//! Whether a host that was cut is where it would have got, or honestly short of it. Data in, findings out.
//!
//! *Twice*: a package of which reports say that it was done twice, or that dpkg upgraded twice though nobody cut dpkg.
//! *Lost*: a run without an end or a report, and a transaction of the executor's that no report tells of.
//! *Lies*: a report that says other than dpkg, and a package short of its target that the newest report does not name.

use std::collections::{BTreeMap, BTreeSet};

use patchd_protocol::control::{RunPhase, RunSummary};
use patchd_protocol::executor::TransactionRecord;
use patchd_protocol::report::native::{ChangeWire, ComplianceWire, ReportDocument, TransactionKindWire};
use patchd_protocol::words::{PatchStateWire, VerdictWire};

/// What there is to see of a host when its run is over.
#[derive(Debug, Clone)]
pub struct Seen {
    pub runs: Vec<RunSummary>,
    /// The oldest first.
    pub reports: Vec<ReportDocument>,
    /// What the executor keeps.
    pub records: Vec<TransactionRecord>,
    /// Of the toy packages: `VERSION|want flag status`.
    pub states: BTreeMap<String, String>,
    pub dpkg_log: String,
    /// Entries of dpkg's own journal that nobody folded in.
    pub left_journal: usize,
    /// What was still at work when the run was over.
    pub at_work: Vec<String>,
}

/// What is wrong, each in a sentence, and what is merely not done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub twice: Vec<String>,
    pub lost: Vec<String>,
    pub lies: Vec<String>,
    /// Packages that the reference run brought further.
    pub short: Vec<String>,
}

impl Findings {
    pub fn is_clean(&self) -> bool {
        self.twice.is_empty() && self.lost.is_empty() && self.lies.is_empty()
    }
}

/// Judges a host beside the ideal and beside what the reference run came to.
pub fn judge(
    ideal: &BTreeMap<String, String>,
    reference: &BTreeMap<String, String>,
    seen: &Seen,
    was_package_manager_cut: bool,
) -> Findings {
    let short = reference.iter().filter(|(name, state)| seen.states.get(*name) != Some(state));
    let short = short.map(|(name, state)| {
        format!("{name}: {} and not {state}", seen.states.get(name).map_or("absent", String::as_str))
    });
    let mut findings = Findings { short: short.collect(), ..Findings::default() };
    find_twice(seen, was_package_manager_cut, &mut findings.twice);
    find_lost(seen, &mut findings.lost);
    find_lies(ideal, seen, &mut findings.lies);
    findings
}

/// The changes of all transactions, each once, in their order.
fn changes(seen: &Seen) -> Vec<&ChangeWire> {
    let mut known = BTreeSet::new();
    let runs = seen.reports.iter().filter_map(|report| report.run.as_ref());
    let transactions = runs.flat_map(|run| &run.transactions);
    let fresh = transactions.filter(|transaction| known.insert(transaction.id.clone()));
    fresh.flat_map(|transaction| &transaction.changes).collect()
}

fn find_twice(seen: &Seen, was_package_manager_cut: bool, twice: &mut Vec<String>) {
    let mut known = BTreeSet::new();
    for change in changes(seen) {
        if change.done && change.before != change.after && !known.insert((&change.name, &change.after)) {
            twice.push(format!("{} is told to be done twice", change.name));
        }
    }
    if was_package_manager_cut {
        return;
    }
    let mut known = BTreeSet::new();
    for line in seen.dpkg_log.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, _, verb @ ("upgrade" | "install"), package, _, version] = words.as_slice()
            && !known.insert((*package, *version))
        {
            twice.push(format!("dpkg has a second {verb} of {package} to {version}"));
        }
    }
}

fn find_lost(seen: &Seen, lost: &mut Vec<String>) {
    let reported: BTreeSet<&str> = seen.reports.iter().map(|report| report.id.as_str()).collect();
    if seen.runs.is_empty() {
        lost.push("no run is known".into());
    }
    for run in &seen.runs {
        if run.phase != RunPhase::Concluded {
            lost.push(format!("run {} has no end: {:?}", run.id, run.phase));
        } else if !run.dry_run && !run.report.as_deref().is_some_and(|report| reported.contains(report)) {
            lost.push(format!("run {} has no report in the store: {:?}", run.id, run.detail));
        }
    }
    let runs = seen.reports.iter().filter_map(|report| report.run.as_ref());
    let told: BTreeSet<&str> =
        runs.flat_map(|run| &run.transactions).map(|transaction| transaction.id.as_str()).collect();
    for record in &seen.records {
        if !told.contains(record.id.as_str()) {
            lost.push(format!("transaction {} ({:?}) is in no report", record.id, record.kind));
        }
    }
}

fn find_lies(ideal: &BTreeMap<String, String>, seen: &Seen, lies: &mut Vec<String>) {
    lies.extend(seen.at_work.iter().map(|name| format!("the run was over and {name} at work")));
    let Some(newest) = seen.reports.last() else { return };
    let mut claims = BTreeMap::new();
    for change in changes(seen) {
        claims.insert(change.name.as_str(), change);
    }
    for (name, claim) in claims {
        let state = seen.states.get(name).map_or("|", String::as_str);
        let (version, status) = state.split_once('|').unwrap_or((state, ""));
        let is_there = claim.planned.as_deref() == Some(version) && status.ends_with(" ok installed");
        if claim.done != is_there && claim.planned.is_some() {
            lies.push(format!("{name} is told to be done: {}, and dpkg has {state}", claim.done));
        }
    }
    for item in newest.items.iter().filter(|item| ideal.contains_key(&item.name)) {
        let state = seen.states.get(&item.name).map_or("", String::as_str);
        if state.split('|').next() != Some(&item.installed) {
            lies.push(format!("{} is listed with {}, and dpkg has {state}", item.name, item.installed));
        }
    }
    let mut is_short = false;
    for (name, wanted) in ideal {
        let Some(state) = seen.states.get(name).filter(|state| *state != wanted) else { continue };
        is_short = true;
        if !is_named(newest, name) {
            lies.push(format!("{name} is {state}, and the newest report does not say why"));
        }
    }
    if is_short && newest.summary.compliance == ComplianceWire::Compliant {
        lies.push("the host is short of its target, and called compliant".into());
    }
    let is_told = newest.run.as_ref().is_some_and(|run| run.verdict == VerdictWire::Succeeded);
    let broken = seen.states.iter().find(|(_, state)| !state.ends_with(" ok installed"));
    if let (true, Some((name, state))) = (is_told, broken) {
        lies.push(format!("the run is told to have succeeded, and {name} is {state}"));
    }
    let is_cut_told = newest.problems.iter().any(|problem| problem.code == "interrupted");
    if seen.left_journal != 0 && !is_cut_told {
        lies.push(format!("dpkg left {} changes unfolded, and no word of it", seen.left_journal));
    }
}

fn is_named(report: &ReportDocument, name: &str) -> bool {
    let is = |package: &String| package.split(':').next() == Some(name);
    let is_setback = |run: &patchd_protocol::report::native::RunWire| {
        run.failed.iter().chain(&run.waiting).any(|setback| setback.packages.iter().any(is))
    };
    let is_open = |state: PatchStateWire| matches!(state, PatchStateWire::Missing | PatchStateWire::Failed);
    report.updates.iter().any(|update| update.name == name)
        || report.run.as_ref().is_some_and(is_setback)
        || report.items.iter().any(|item| item.name == name && is_open(item.state))
        || report.problems.iter().any(|problem| problem.message.contains(name))
}

/// How often a kind of transaction stands in the reports: for stories that count them.
pub fn transactions(reports: &[ReportDocument], kind: TransactionKindWire) -> usize {
    let runs = reports.iter().filter_map(|report| report.run.as_ref());
    runs.flat_map(|run| &run.transactions).filter(|transaction| transaction.kind == kind).count()
}
