//! A plan: exactly which packages go from which version to which, and which go away. How it is cut is in `steps`, what
//! it needs in `need`. Who may carry it out, and when, is not its concern.

pub mod need;
pub mod steps;

use thiserror::Error;

use crate::compliance::Judgement;
use crate::package::{PackageId, Version};

/// One package that the plan moves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedChange {
    pub package: PackageId,
    /// `None` if the package is not installed yet: a new dependency.
    pub from: Option<Version>,
    pub to: Version,
}

/// Why changes don't make a plan.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidPlan {
    #[error("the plan changes nothing")]
    Empty,
    #[error("the plan has {0} twice")]
    Twice(PackageId),
    #[error("the plan would leave {0} at the version that it has")]
    NoChange(PackageId),
    #[error("the plan would both change and remove {0}")]
    ChangedAndRemoved(PackageId),
}

/// A set of changes that is asked for as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    changes: Vec<PlannedChange>,
    removals: Vec<PackageId>,
}

impl Plan {
    /// Sorts the changes and refuses a set that contradicts itself.
    pub fn try_new(changes: Vec<PlannedChange>) -> Result<Self, InvalidPlan> {
        Self::with_removals(changes, Vec::new())
    }

    /// The same with packages that go away for it: only where policy names them.
    pub fn with_removals(
        mut changes: Vec<PlannedChange>,
        mut removals: Vec<PackageId>,
    ) -> Result<Self, InvalidPlan> {
        changes.sort();
        removals.sort();
        removals.dedup();
        if changes.is_empty() {
            return Err(InvalidPlan::Empty);
        }
        if let Some(still) = changes.iter().find(|change| change.from.as_ref() == Some(&change.to)) {
            return Err(InvalidPlan::NoChange(still.package.clone()));
        }
        let twice = changes.iter().zip(changes.iter().skip(1)).find(|(a, b)| a.package == b.package);
        if let Some((twice, _)) = twice {
            return Err(InvalidPlan::Twice(twice.package.clone()));
        }
        if let Some(both) = changes.iter().find(|change| removals.contains(&change.package)) {
            return Err(InvalidPlan::ChangedAndRemoved(both.package.clone()));
        }
        Ok(Self { changes, removals })
    }

    /// What the baseline asks for and nothing of its own keeps back; `None` if there is nothing.
    pub fn of_approved(judgement: &Judgement) -> Option<Self> {
        let changes = judgement
            .updates
            .iter()
            .filter(|update| update.reason.cause.lets_plan())
            .filter_map(|update| {
                Some(PlannedChange {
                    package: update.package.clone(),
                    from: Some(update.installed.clone()),
                    to: update.approved.clone()?,
                })
            })
            // Another build of the very version can't be named by it.
            .filter(|change| change.from.as_ref() != Some(&change.to))
            .collect();
        Self::try_new(changes).ok()
    }

    /// Sorted by package, each package once, never empty.
    pub fn changes(&self) -> &[PlannedChange] {
        &self.changes
    }

    /// Sorted, none of them changed, mostly empty.
    pub fn removals(&self) -> &[PackageId] {
        &self.removals
    }

    /// What stands in `theirs` and not here, and the other way round: empty when a dry run reproduced the plan.
    pub fn difference(&self, theirs: &[PlannedChange], removals: &[PackageId]) -> Vec<String> {
        let mut lines = Vec::new();
        let text = |change: &PlannedChange| {
            let from = change.from.as_ref().map_or("(new)", Version::as_str);
            format!("{} {from} -> {}", change.package, change.to)
        };
        for change in &self.changes {
            if !theirs.contains(change) {
                lines.push(format!("planned but not simulated: {}", text(change)));
            }
        }
        for change in theirs {
            if !self.changes.contains(change) {
                lines.push(format!("simulated but not planned: {}", text(change)));
            }
        }
        let unplanned = removals.iter().filter(|package| !self.removals.contains(package));
        lines.extend(unplanned.map(|package| format!("would remove: {package}")));
        let kept = self.removals.iter().filter(|package| !removals.contains(package));
        lines.extend(kept.map(|package| format!("would not remove: {package}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::decide::Unapproved;
    use crate::compliance::{Counts, Update};
    use crate::gate::Shut;
    use crate::package::{Architecture, PackageName};
    use crate::reason::Cause;

    fn change(name: &str, from: Option<&str>, to: &str) -> PlannedChange {
        PlannedChange {
            package: PackageId {
                name: PackageName::parse(name).unwrap(),
                architecture: Architecture::parse("amd64").unwrap(),
            },
            from: from.map(|from| Version::parse(from).unwrap()),
            to: Version::parse(to).unwrap(),
        }
    }

    fn update(name: &str, approved: Option<&str>, cause: Cause) -> Update {
        let PlannedChange { package, to, .. } = change(name, None, "3");
        Update {
            package,
            installed: Version::parse("1").unwrap(),
            candidate: to,
            approved: approved.map(|version| Version::parse(version).unwrap()),
            is_security: true,
            origin: String::new(),
            advisories: vec![],
            reason: cause.into(),
            offered: vec![],
        }
    }

    #[test]
    fn a_plan_takes_the_approved_versions_that_only_a_window_keeps_back() {
        let judgement = |updates| Judgement {
            items: vec![],
            updates,
            counts: Counts::default(),
            non_compliant_severity: None,
            blocked: vec![],
        };
        let free = judgement(vec![
            update("a", Some("2"), Cause::Ready),
            update("b", Some("3"), Cause::Shut(Shut::NoWindow)),
            update("c", Some("3"), Cause::Held),
            update("d", None, Cause::NotApproved { miss: Unapproved::NoRule }),
            update("e", Some("3"), Cause::Pinned),
            update("f", Some("1"), Cause::Ready),
        ]);
        let expected = [change("a", Some("1"), "2"), change("b", Some("1"), "3")];
        assert_eq!(Plan::of_approved(&free).unwrap().changes(), expected);
        assert_eq!(Plan::of_approved(&judgement(vec![update("c", Some("3"), Cause::Held)])), None);
    }

    #[test]
    fn contradictions_are_no_plan() {
        assert_eq!(Plan::try_new(vec![]), Err(InvalidPlan::Empty));
        let twice = vec![change("a", Some("1"), "2"), change("a", Some("1"), "3")];
        assert!(matches!(Plan::try_new(twice), Err(InvalidPlan::Twice(_))));
        assert!(matches!(Plan::try_new(vec![change("a", Some("1"), "1")]), Err(InvalidPlan::NoChange(_))));
    }

    #[test]
    fn a_dry_run_that_differs_is_told_line_by_line() {
        let plan = Plan::try_new(vec![change("a", Some("1"), "2")]).unwrap();
        assert_eq!(plan.difference(&[change("a", Some("1"), "2")], &[]), Vec::<String>::new());
        let gone = [change("c", None, "1").package];
        assert_eq!(
            plan.difference(&[change("a", Some("1"), "3"), change("b", None, "1")], &gone),
            [
                "planned but not simulated: a:amd64 1 -> 2",
                "simulated but not planned: a:amd64 1 -> 3",
                "simulated but not planned: b:amd64 (new) -> 1",
                "would remove: c:amd64",
            ]
        );
    }
}
