//! `patchctl baseline diff`: what two baselines would each make of one host. The host is read once and not changed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::Baseline;
use patchd_core::compliance::{Counts, Judgement};
use patchd_core::package::PackageId;
use patchd_host::root::Root;
use patchd_host::what_if::WhatIf;
use patchd_protocol::report::native::ProblemWire;
use serde::Serialize;

use super::find;
use crate::arguments::baseline::DiffBaselineArguments;
use crate::command::now;
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::view::{self, View};

/// What `baseline diff --json` prints.
#[derive(Debug, Serialize)]
pub(crate) struct DiffDocument {
    schema: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) a: SideWire,
    pub(crate) b: SideWire,
    /// Those that are not judged the same, sorted by name.
    pub(crate) packages: Vec<DifferenceWire>,
    /// How many are judged the same.
    pub(crate) same: usize,
    pub(crate) notes: Vec<String>,
    pub(crate) problems: Vec<ProblemWire>,
}

/// One baseline, and how many packages it judges to be what.
#[derive(Debug, Serialize)]
pub(crate) struct SideWire {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) installed_count: u64,
    pub(crate) installed_other_count: u64,
    pub(crate) installed_rejected_count: u64,
    pub(crate) missing_count: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct DifferenceWire {
    pub(crate) name: String,
    pub(crate) architecture: String,
    pub(crate) installed: String,
    pub(crate) candidate: Option<String>,
    pub(crate) a: OpinionWire,
    pub(crate) b: OpinionWire,
}

/// What one baseline makes of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct OpinionWire {
    pub(crate) state: &'static str,
    pub(crate) level: &'static str,
    pub(crate) approved: Option<String>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) detail: Option<String>,
    /// When the reason will pass by itself.
    pub(crate) changes_at: Option<Timestamp>,
}

impl OpinionWire {
    /// Whether it comes to the same, in whatever words.
    fn is_same(&self, other: &Self) -> bool {
        let essence = |it: &Self| (it.state, it.level, it.approved.clone(), it.reason, it.changes_at);
        essence(self) == essence(other)
    }
}

pub(super) fn run(arguments: &DiffBaselineArguments, output: &mut Output) -> Result<Exit, Failure> {
    let root = arguments.root.as_deref().map_or_else(|| Ok(Root::host()), once::existing_root)?;
    let now = arguments.now.unwrap_or_else(now);
    let host = WhatIf::read(&root, now, SignedDuration::from_hours(7 * 24));
    once::check_readable(&host.inventory)?;
    let a = find::named_for(&arguments.a, &root, host.system)?.file.baseline;
    let b = find::named_for(&arguments.b, &root, host.system)?.file.baseline;
    let document = compare(&host, [&a, &b], now);
    if output.is_json {
        output.document(&document)?;
    } else {
        let root = (!root.is_host()).then(|| root.directory().display().to_string());
        let view = View { width: output.width, now, is_full: arguments.all, root };
        output.lines(&view::baseline_diff::lines(&document, &view))?;
    }
    Ok(Exit::Done)
}

fn compare(host: &WhatIf, [a, b]: [&Baseline; 2], now: Timestamp) -> DiffDocument {
    let (of_a, of_b) = (host.judge(a, now), host.judge(b, now));
    let (mut opinions_a, mut opinions_b) = (opinions(&of_a), opinions(&of_b));
    let candidates: BTreeMap<&PackageId, &str> = of_a
        .updates
        .iter()
        .chain(&of_b.updates)
        .map(|update| (&update.package, update.candidate.as_str()))
        .collect();
    let mut packages = Vec::new();
    let mut same = 0;
    for item in &of_a.items {
        let (Some(a), Some(b)) = (opinions_a.remove(&item.package), opinions_b.remove(&item.package)) else {
            continue;
        };
        if a.is_same(&b) {
            same += 1;
            continue;
        }
        packages.push(DifferenceWire {
            name: item.package.name.as_str().to_owned(),
            architecture: item.package.architecture.as_str().to_owned(),
            installed: item.installed.as_str().to_owned(),
            candidate: candidates.get(&item.package).map(|&candidate| candidate.to_owned()),
            a,
            b,
        });
    }
    packages.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    let counts_from_now = a.delays_by_first_seen || b.delays_by_first_seen;
    let note = "nobody kept here when this host first saw a version: delays are counted from now on";
    DiffDocument {
        schema: "patchd.baseline-diff/1",
        now,
        a: SideWire::of(a, of_a.counts),
        b: SideWire::of(b, of_b.counts),
        packages,
        same,
        notes: counts_from_now.then(|| note.to_owned()).into_iter().collect(),
        problems: host.problems().map(ProblemWire::from).collect(),
    }
}

impl SideWire {
    fn of(baseline: &Baseline, counts: Counts) -> Self {
        Self {
            id: baseline.id.clone(),
            name: baseline.name.clone(),
            installed_count: counts.installed,
            installed_other_count: counts.installed_other,
            installed_rejected_count: counts.installed_rejected,
            missing_count: counts.missing,
        }
    }
}

/// What a baseline makes of each package; why one is not newer is its update's to say.
fn opinions(judgement: &Judgement) -> BTreeMap<PackageId, OpinionWire> {
    let reasons: BTreeMap<_, _> =
        judgement.updates.iter().map(|update| (&update.package, &update.reason)).collect();
    let opinion = |item: &patchd_core::compliance::ComplianceItem| {
        let reason = reasons.get(&item.package).copied().or(item.reason.as_ref());
        OpinionWire {
            state: item.state.as_str(),
            level: item.level.as_str(),
            approved: item.approved.as_ref().map(|version| version.as_str().to_owned()),
            reason: reason.map(|reason| reason.cause.code()),
            detail: reason.map(|reason| reason.sentence()),
            changes_at: reason.and_then(|reason| reason.changes_at),
        }
    };
    judgement.items.iter().map(|item| (item.package.clone(), opinion(item))).collect()
}
