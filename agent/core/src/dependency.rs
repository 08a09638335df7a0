//! Relations between Debian packages (deb-control(5)), and whether a set of packages is closed under them.
//!
//! It proves, it does not search: a set is either shown to be sound, or what stands in the way is named. Choosing other
//! packages is the package manager's business. When in doubt a relation counts as broken, so a proof can be trusted.

mod relation;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::HashMap;

pub use relation::{Clause, Comparison, InvalidRelation, Operator, Target, parse_clauses, parse_provides};

use crate::package::{Architecture, PackageId, PackageName, Version};
use crate::version::deb;

/// A package's `Multi-Arch` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MultiArch {
    #[default]
    No,
    Same,
    Foreign,
    Allowed,
}

/// A name that a package also answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    pub name: PackageName,
    /// Without a version it meets no dependency that asks for one.
    pub version: Option<Version>,
}

/// One package of the set, with everything that binds it to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: PackageId,
    pub version: Version,
    pub multi_arch: MultiArch,
    pub provides: Vec<Provided>,
    /// `Pre-Depends` and `Depends`.
    pub depends: Vec<Clause>,
    /// `Conflicts` and `Breaks`.
    pub conflicts: Vec<Target>,
}

/// Why a set is not closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// Nothing in the set meets a dependency of `package`.
    Unmet { package: PackageId, clause: Clause },
    /// `package` can't be installed beside `with`.
    Conflict { package: PackageId, with: PackageId },
    /// Two architectures of a `Multi-Arch: same` package would differ in version.
    OutOfStep { package: PackageId, with: PackageId },
}

/// A set of packages that could be installed together, indexed by every name that it answers to.
#[derive(Debug)]
pub struct Universe<'a> {
    native: &'a Architecture,
    nodes: &'a [Node],
    by_name: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Universe<'a> {
    pub fn new(native: &'a Architecture, nodes: &'a [Node]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            let provided = node.provides.iter().map(|provided| provided.name.as_str());
            for name in std::iter::once(node.id.name.as_str()).chain(provided) {
                let places = by_name.entry(name).or_default();
                if places.last() != Some(&at) {
                    places.push(at);
                }
            }
        }
        Self { native, nodes, by_name }
    }

    /// Every breach that a package for which `is_changed` holds takes part in, in the order of the nodes.
    ///
    /// Breaches among unchanged packages are not looked for: they were there before, and are not ours.
    pub fn breaches(&self, before: &Universe<'_>, is_changed: impl Fn(&PackageId) -> bool) -> Vec<Breach> {
        let mut breaches = Vec::new();
        for node in self.nodes {
            let changed = is_changed(&node.id);
            for clause in &node.depends {
                if !self.is_met(node, clause) && (changed || before.is_met(node, clause)) {
                    breaches.push(Breach::Unmet { package: node.id.clone(), clause: clause.clone() });
                }
            }
            for other in self.conflicting(node) {
                if changed || is_changed(&other.id) {
                    breaches.push(Breach::Conflict { package: node.id.clone(), with: other.id.clone() });
                }
            }
            if changed {
                breaches.extend(self.out_of_step(node));
            }
        }
        breaches
    }

    /// Whether something in the set meets one dependency of `node`.
    pub fn is_met(&self, node: &Node, clause: &Clause) -> bool {
        clause.alternatives.iter().any(|target| {
            self.named(&target.name)
                .any(|other| self.is_architecture_met(node, target, other) && answers(other, target))
        })
    }

    fn named(&self, name: &PackageName) -> impl Iterator<Item = &'a Node> {
        let places = self.by_name.get(name.as_str()).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|&at| self.nodes.get(at))
    }

    /// The architecture that a package counts as: `all` stands for the native one.
    fn effective<'b>(&'b self, id: &'b PackageId) -> &'b str {
        match id.architecture.as_str() {
            "all" => self.native.as_str(),
            own => own,
        }
    }

    fn is_architecture_met(&self, node: &Node, target: &Target, other: &Node) -> bool {
        match target.qualifier.as_deref() {
            None => {
                other.multi_arch == MultiArch::Foreign
                    || self.effective(&node.id) == self.effective(&other.id)
            }
            Some("any") => other.multi_arch == MultiArch::Allowed,
            Some("native") => self.effective(&other.id) == self.native.as_str(),
            Some(own) => other.id.architecture.as_str() == own,
        }
    }

    /// Whom `node` can't stand. Unqualified conflicts hold against every architecture, but not against its own name.
    fn conflicting(&self, node: &Node) -> impl Iterator<Item = &'a Node> {
        node.conflicts.iter().flat_map(move |target| {
            self.named(&target.name).filter(move |other| {
                other.id.name != node.id.name
                    && target
                        .qualifier
                        .as_deref()
                        .is_none_or(|own| own == "any" || other.id.architecture.as_str() == own)
                    && answers(other, target)
            })
        })
    }

    fn out_of_step(&self, node: &Node) -> impl Iterator<Item = Breach> {
        self.named(&node.id.name)
            .filter(|other| {
                other.id.name == node.id.name
                    && other.id != node.id
                    && deb::compare(other.version.as_str(), node.version.as_str()) != Ordering::Equal
            })
            .map(|other| Breach::OutOfStep { package: node.id.clone(), with: other.id.clone() })
    }
}

/// Whether `node` is what `target` asks for, by its name or by one that it provides.
fn answers(node: &Node, target: &Target) -> bool {
    let by_itself = node.id.name == target.name
        && target.comparison.as_ref().is_none_or(|asked| asked.holds(&node.version));
    by_itself
        || node.provides.iter().any(|provided| {
            provided.name == target.name
                && match (&target.comparison, &provided.version) {
                    (None, _) => true,
                    (Some(asked), Some(version)) => asked.holds(version),
                    (Some(_), None) => false,
                }
        })
}
