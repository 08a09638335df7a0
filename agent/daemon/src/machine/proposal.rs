//! What an apply is proposed to do, from a report and this host's pace; and what of a dry run policy does not name.

use std::collections::{BTreeMap, BTreeSet};

use patchd_core::package::PackageId;
use patchd_core::plan::need::Pace;
use patchd_core::plan::steps::Tie;
use patchd_core::plan::{Plan, PlannedChange};
use patchd_core::report::Report;
use patchd_core::run::event::{Proposal, Simulation};
use patchd_core::version::deb;
use patchd_host::footprint::footprints;
use patchd_host::root::Root;
use patchd_protocol::config::ApplySettings;

/// What is approved and only waits for a window; `None` if nothing is.
pub(super) fn of(root: &Root, report: &Report, pace: &Pace) -> Option<Proposal> {
    let plan = Plan::of_approved(&report.judgement)?;
    let may_come = may_come(&plan, &report.offers.ties);
    let mut footprints = footprints(root, &with_company(&plan, &may_come, report), &report.offers);
    for footprint in &mut footprints {
        footprint.time = pace.estimate(footprint);
    }
    // The others can't come into the plan, and the journal keeps all that is proposed.
    let is_ours = |tie: &&Tie| may_come.contains(&tie.package) && may_come.contains(&tie.on);
    let ties = report.offers.ties.iter().filter(is_ours).cloned().collect();
    Some(Proposal { plan, ties, footprints, blocked: report.judgement.blocked.clone() })
}

/// The packages of a plan, and all that the package manager may bring along with them.
fn may_come<'a>(plan: &'a Plan, ties: &'a [Tie]) -> BTreeSet<&'a PackageId> {
    let mut needs: BTreeMap<&PackageId, Vec<&PackageId>> = BTreeMap::new();
    for tie in ties {
        needs.entry(&tie.package).or_default().push(&tie.on);
    }
    let mut reached: BTreeSet<&PackageId> = BTreeSet::new();
    let mut queue: Vec<&PackageId> = plan.changes().iter().map(|change| &change.package).collect();
    while let Some(package) = queue.pop() {
        if reached.insert(package) {
            queue.extend(needs.get(package).into_iter().flatten());
        }
    }
    reached
}

/// The plan with what may come: upgrades that were not approved by themselves, and new packages.
fn with_company(plan: &Plan, may_come: &BTreeSet<&PackageId>, report: &Report) -> Plan {
    let is_company = |package: &PackageId| {
        may_come.contains(package) && !plan.changes().iter().any(|change| change.package == *package)
    };
    let upgrades = report.judgement.updates.iter().filter(|update| is_company(&update.package));
    let upgrades = upgrades.map(|update| PlannedChange {
        package: update.package.clone(),
        from: Some(update.installed.clone()),
        to: update.candidate.clone(),
    });
    let new = report.offers.new_packages.iter().filter(|new| is_company(&new.id));
    let new = new.map(|new| PlannedChange { package: new.id.clone(), from: None, to: new.version.clone() });
    let all = plan.changes().iter().cloned().chain(upgrades).chain(new).collect();
    Plan::try_new(all).unwrap_or_else(|_| plan.clone())
}

/// The removals and downgrades that policy does not name, each in a sentence.
pub(super) fn forbidden(simulation: &Simulation, policy: &ApplySettings) -> Vec<String> {
    let removals = simulation
        .removals
        .iter()
        .filter(|package| !policy.allows_removal(package.name.as_str()))
        .map(|package| format!("{package} would be removed"));
    let is_down = |change: &&PlannedChange| {
        change.from.as_ref().is_some_and(|from| deb::compare(change.to.as_str(), from.as_str()).is_lt())
    };
    let downgrades = simulation
        .changes
        .iter()
        .filter(is_down)
        .filter(|change| !policy.allows_downgrade(change.package.name.as_str()))
        .map(|change| format!("{} would go down to {}", change.package, change.to));
    removals.chain(downgrades).collect()
}

#[cfg(test)]
mod tests {
    use patchd_core::glob::Glob;
    use patchd_core::package::{Architecture, PackageName, Version};
    use patchd_core::plan::steps::Bond;

    use super::*;

    fn package(name: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }
    }

    fn change(name: &str, from: Option<&str>, to: &str) -> PlannedChange {
        let version = |text: &str| Version::parse(text).unwrap();
        PlannedChange { package: package(name), from: from.map(version), to: version(to) }
    }

    #[test]
    fn what_a_plan_may_bring_along_is_what_it_is_tied_to() {
        let tie = |own: &str, on: &str| Tie { package: package(own), on: package(on), bond: Bond::Needed };
        let ties = [tie("app", "lib"), tie("lib", "base"), tie("base", "lib"), tie("other", "lib")];
        let plan =
            Plan::try_new(vec![change("app", Some("1"), "2"), change("lone", Some("1"), "2")]).unwrap();
        let names: Vec<_> =
            may_come(&plan, &ties).into_iter().map(|package| package.name.to_string()).collect();
        assert_eq!(names, ["app", "base", "lib", "lone"]);
    }

    #[test]
    fn what_policy_does_not_name_is_neither_removed_nor_taken_down() {
        let simulation = Simulation {
            changes: vec![
                change("down", Some("1:2.0"), "3.0"),
                change("named-down", Some("2.0"), "2.0~rc1"),
                change("new", None, "1"),
                change("up", Some("9"), "10"),
            ],
            removals: vec![package("gone"), package("named-gone")],
            forbidden: vec![],
            refusal: None,
        };
        let told = forbidden(&simulation, &ApplySettings::default());
        assert_eq!(
            told,
            [
                "gone:amd64 would be removed",
                "named-gone:amd64 would be removed",
                "down:amd64 would go down to 3.0",
                "named-down:amd64 would go down to 2.0~rc1",
            ]
        );
        let globs = || vec![Glob::parse("named-*").unwrap()];
        let named =
            ApplySettings { allow_removal: globs(), allow_downgrade: globs(), ..ApplySettings::default() };
        let told = forbidden(&simulation, &named);
        assert_eq!(told, ["gone:amd64 would be removed", "down:amd64 would go down to 3.0"]);
    }
}
