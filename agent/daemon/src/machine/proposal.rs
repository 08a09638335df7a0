//! What an apply is proposed to do, from a report and this host's pace; and what of a dry run policy does not name.

use patchd_core::package::PackageId;
use patchd_core::plan::need::Pace;
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
    let mut footprints = footprints(root, &with_new_packages(&plan, report), &report.offers);
    for footprint in &mut footprints {
        footprint.time = pace.estimate(footprint);
    }
    Some(Proposal { plan, ties: report.offers.ties.clone(), footprints })
}

/// The plan with every package that it may bring in.
fn with_new_packages(plan: &Plan, report: &Report) -> Plan {
    let is_planned = |package: &PackageId| plan.changes().iter().any(|change| change.package == *package);
    let new = report.offers.new_packages.iter().filter(|new| !is_planned(&new.id)).map(|new| PlannedChange {
        package: new.id.clone(),
        from: None,
        to: new.version.clone(),
    });
    Plan::try_new(plan.changes().iter().cloned().chain(new).collect()).unwrap_or_else(|_| plan.clone())
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
