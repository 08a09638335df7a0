//! How a plan is cut: into the smallest sets of changes that a host can be left at, in an order in which each is sound.
//!
//! The edges come from outside, and that they are right is checked by the package manager's own dry run of every set.

use std::collections::{BTreeMap, VecDeque};

use crate::package::PackageId;
use crate::plan::{Plan, PlannedChange};

/// Why changes are tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bond {
    /// The host would not be sound otherwise: a new version depends on it, or its old one would be broken.
    Needed,
    /// They are built from one source: those who made them have tried them together only.
    SameSource,
}

/// `package` is not to be changed while `on` is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tie {
    pub package: PackageId,
    pub on: PackageId,
    pub bond: Bond,
}

/// A smallest closed set: all of its changes go together, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Sorted by package, never empty.
    pub changes: Vec<PlannedChange>,
    pub removals: Vec<PackageId>,
    /// The steps that must be done before it, by their place. Each is smaller than its own.
    pub after: Vec<usize>,
}

impl Step {
    pub fn packages(&self) -> impl Iterator<Item = &PackageId> {
        self.changes.iter().map(|change| &change.package)
    }

    pub fn has(&self, package: &PackageId) -> bool {
        self.packages().any(|own| own == package) || self.removals.contains(package)
    }
}

/// Cuts a plan. Ties of packages that are not in the plan don't matter; those in a circle come into one step.
///
/// What is removed goes with the changes that it is tied to, and with all of them where no tie tells. A new package goes
/// with one that needs it: nobody asks the package manager for it by name, so that it stays marked as brought in.
pub fn cut(plan: &Plan, ties: &[Tie]) -> Vec<Step> {
    let mut places: BTreeMap<&PackageId, usize> =
        plan.changes().iter().enumerate().map(|(at, change)| (&change.package, at)).collect();
    let changes = plan.changes().len();
    for (at, removal) in plan.removals().iter().enumerate() {
        places.insert(removal, changes + at);
    }
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); places.len()];
    for tie in ties {
        if let (Some(&package), Some(&on)) = (places.get(&tie.package), places.get(&tie.on))
            && package != on
            && let Some(own) = needs.get_mut(package)
        {
            own.push(on);
        }
    }
    if !plan.removals().is_empty() {
        // Nobody may be left with a removal and without what it was for: a circle through all of them.
        let tied: Vec<usize> = (changes..places.len()).chain(0..changes.min(1)).collect();
        for (a, b) in tied.iter().zip(tied.iter().cycle().skip(1)) {
            if let Some(own) = needs.get_mut(*a) {
                own.push(*b);
            }
        }
        for own in needs.iter_mut().take(changes) {
            own.push(0);
        }
        if let Some(first) = needs.get_mut(0) {
            first.extend(1..changes);
        }
    }
    bind_new(plan, &mut needs);
    let circles = circles(&needs);
    let mut place_of = vec![0; needs.len()];
    for (place, circle) in circles.iter().enumerate() {
        for &member in circle {
            if let Some(own) = place_of.get_mut(member) {
                *own = place;
            }
        }
    }
    let step = |(place, circle): (usize, &Vec<usize>)| {
        let mut after: Vec<usize> = circle
            .iter()
            .filter_map(|&member| needs.get(member))
            .flatten()
            .filter_map(|&need| place_of.get(need).copied())
            .filter(|&need| need != place)
            .collect();
        after.sort_unstable();
        after.dedup();
        let mut members = circle.clone();
        members.sort_unstable();
        Step {
            changes: members.iter().filter_map(|&at| plan.changes().get(at).cloned()).collect(),
            removals: members
                .iter()
                .filter_map(|&at| plan.removals().get(at.checked_sub(changes)?).cloned())
                .collect(),
            after,
        }
    };
    circles.iter().enumerate().map(step).collect()
}

/// Makes each new package need one of those that need it, from what is installed inwards. One that the ties bind already
/// stays with its own.
fn bind_new(plan: &Plan, needs: &mut [Vec<usize>]) {
    let is_new = |at: usize| plan.changes().get(at).is_some_and(|change| change.from.is_none());
    let mut is_bound: Vec<bool> = (0..needs.len()).map(|at| !is_new(at)).collect();
    for only_tied in [true, false] {
        let mut queue: VecDeque<usize> =
            is_bound.iter().enumerate().filter(|&(_, &bound)| bound).map(|(at, _)| at).collect();
        while let Some(by) = queue.pop_front() {
            for on in needs.get(by).cloned().unwrap_or_default() {
                let Some(own) = needs.get_mut(on) else { continue };
                if let Some(bound @ false) = is_bound.get_mut(on)
                    && (!only_tied || own.contains(&by))
                {
                    *bound = true;
                    own.push(by);
                    queue.push_back(on);
                }
            }
        }
    }
}

/// The strongly connected components of a graph, each after those that it needs (Tarjan, without recursion: a plan may
/// have thousands of packages in one chain).
fn circles(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    #[derive(Clone, Copy, Default)]
    struct Mark {
        /// Counted from 1; 0 is not visited.
        index: usize,
        low: usize,
        is_on_stack: bool,
    }
    let mut marks = vec![Mark::default(); needs.len()];
    let (mut next, mut stack, mut found) = (1, Vec::new(), Vec::new());
    for root in 0..needs.len() {
        let mut calls: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((node, edge)) = calls.pop() {
            let Some(mark) = marks.get_mut(node) else { continue };
            if mark.index == 0 {
                *mark = Mark { index: next, low: next, is_on_stack: true };
                next += 1;
                stack.push(node);
            } else if edge == 0 {
                continue;
            }
            let edges = needs.get(node).map(Vec::as_slice).unwrap_or_default();
            if let Some(&to) = edge.checked_sub(1).and_then(|edge| edges.get(edge)) {
                let low = marks.get(to).filter(|to| to.is_on_stack).map(|to| to.low);
                if let (Some(low), Some(mark)) = (low, marks.get_mut(node)) {
                    mark.low = mark.low.min(low);
                }
            }
            if let Some(&to) = edges.get(edge) {
                calls.push((node, edge + 1));
                calls.push((to, 0));
                continue;
            }
            let own = marks.get(node).copied().unwrap_or_default();
            if own.low == own.index {
                let mut circle = Vec::new();
                while let Some(member) = stack.pop() {
                    if let Some(mark) = marks.get_mut(member) {
                        mark.is_on_stack = false;
                    }
                    circle.push(member);
                    if member == node {
                        break;
                    }
                }
                found.push(circle);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::package::{Architecture, PackageName, Version};

    fn id(name: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }
    }

    fn plan(names: &[&str], removals: &[&str]) -> Plan {
        let version = |text: &str| Version::parse(text).unwrap();
        let change =
            |name: &&str| PlannedChange { package: id(name), from: Some(version("1")), to: version("2") };
        let removals = removals.iter().map(|name| id(name)).collect();
        Plan::with_removals(names.iter().map(change).collect(), removals).unwrap()
    }

    fn ties(pairs: &[(&str, &str)]) -> Vec<Tie> {
        pairs
            .iter()
            .map(|(package, on)| Tie { package: id(package), on: id(on), bond: Bond::Needed })
            .collect()
    }

    #[track_caller]
    fn check(plan: &Plan, pairs: &[(&str, &str)], expected: &[(&str, &[usize])]) {
        let told: Vec<_> = cut(plan, &ties(pairs))
            .into_iter()
            .map(|step| {
                let names = step.packages().chain(&step.removals).map(|id| id.name.to_string());
                (names.collect::<Vec<_>>().join(" "), step.after)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(names, after)| ((*names).to_owned(), after.to_vec())).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_not_tied_goes_alone() {
        check(&plan(&["a", "b"], &[]), &[("a", "elsewhere")], &[("a", &[]), ("b", &[])]);
    }

    #[test]
    fn what_is_needed_comes_first_and_circles_go_together() {
        let plan = plan(&["app", "core", "doc", "lib", "tool"], &[]);
        let pairs = [("app", "lib"), ("lib", "core"), ("core", "lib"), ("tool", "app"), ("tool", "lib")];
        check(&plan, &pairs, &[("core lib", &[]), ("app", &[0]), ("doc", &[]), ("tool", &[0, 1])]);
    }

    #[test]
    fn a_new_package_goes_with_one_that_needs_it() {
        let new = |plan: &Plan, names: &[&str]| {
            let changes = plan.changes().iter().cloned().map(|change| {
                let is_new = names.contains(&change.package.name.as_str());
                PlannedChange { from: change.from.filter(|_| !is_new), ..change }
            });
            Plan::try_new(changes.collect()).unwrap()
        };
        let plan = new(&plan(&["app", "base", "lib", "tool"], &[]), &["base", "lib"]);
        let chain = [("app", "lib"), ("tool", "lib"), ("lib", "base"), ("base", "lib")];
        check(&plan, &chain, &[("app base lib", &[]), ("tool", &[0])]);
        // The ties know better whose it is, as long as that one is in the plan.
        let tied = [("app", "lib"), ("tool", "lib"), ("lib", "tool"), ("lib", "base"), ("lib", "other")];
        check(&plan, &tied, &[("base lib tool", &[]), ("app", &[0])]);
    }

    #[test]
    fn a_removal_never_goes_without_what_it_is_for() {
        check(&plan(&["a", "b"], &["old", "older"]), &[], &[("a b old older", &[])]);
    }

    #[test]
    fn a_chain_of_thousands_is_cut_without_recursion() {
        let names: Vec<String> = (0..5000).map(|at| format!("p{at:04}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let pairs: Vec<_> = names.iter().copied().zip(names.iter().copied().skip(1)).collect();
        let steps = cut(&plan(&names, &[]), &ties(&pairs));
        assert_eq!(steps.len(), 5000);
        assert!(steps[0].has(&id("p4999")) && steps[4999].after == [4998]);
    }

    proptest! {
        /// Every package once, every need earlier or in the same step, and no step could be cut further.
        #[test]
        fn steps_are_closed_ordered_and_smallest(pairs in prop::collection::vec((0_usize..12, 0_usize..12), 0..40)) {
            let names: Vec<String> = (0..12).map(|at| format!("p{at:02}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let pairs: Vec<_> = pairs.iter().map(|&(a, b)| (names[a], names[b])).collect();
            let steps = cut(&plan(&names, &[]), &ties(&pairs));
            let place = |name: &str| steps.iter().position(|step| step.has(&id(name))).unwrap();
            prop_assert_eq!(steps.iter().map(|step| step.changes.len()).sum::<usize>(), 12);
            let mut reaches: Vec<Vec<bool>> =
                names.iter().map(|a| names.iter().map(|b| a == b || pairs.contains(&(*a, *b))).collect()).collect();
            for via in 0..12 { for a in 0..12 { for b in 0..12 {
                if reaches[a][via] && reaches[via][b] { reaches[a][b] = true; }
            }}}
            for (a, from) in names.iter().enumerate() { for (b, to) in names.iter().enumerate() {
                if reaches[a][b] { prop_assert!(place(to) <= place(from)); }
                prop_assert_eq!(place(from) == place(to), reaches[a][b] && reaches[b][a]);
            }}
        }
    }
}
