//! The set of packages that a host would have after an upgrade, and which relations of them would not hold in it.
//!
//! It judges one given set; which one to judge is for `closure`.

use std::collections::HashMap;

use crate::apt::identity::MultiArch;
use crate::apt::packages::{Relations, Row};
use crate::apt::relation::{Atom, NoRelation, alternatives, groups};

/// One package of the set, in the version that it would have.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub name: &'a str,
    /// As apt files it: a package for all architectures under the native one.
    pub architecture: &'a str,
    pub row: &'a Row,
    /// The version that is installed today, if another one.
    pub before: Option<&'a Row>,
    /// Whether its version is another one than today, or it is new.
    pub is_changed: bool,
}

/// A relation that would not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble<'a> {
    /// A member needs one of these and none is there.
    Unmet { member: usize, group: &'a str, is_recommended: bool },
    /// Two members can't both be there.
    Clash { member: usize, other: usize },
    /// One package in two versions, for two architectures that must agree.
    OutOfStep { member: usize },
    /// A relation that can't be read.
    Unreadable { member: usize },
}

/// The set, with what its members are and provide by name.
#[derive(Debug)]
pub struct Future<'a> {
    pub members: Vec<Member<'a>>,
    native: &'a str,
    real: HashMap<&'a str, Vec<usize>>,
    provided: HashMap<&'a str, Vec<(usize, Option<&'a str>)>>,
}

impl<'a> Future<'a> {
    pub fn new(members: Vec<Member<'a>>, native: &'a str) -> Self {
        let mut real: HashMap<&str, Vec<usize>> = HashMap::with_capacity(members.len());
        let mut provided: HashMap<&str, Vec<(usize, Option<&str>)>> = HashMap::new();
        for (at, member) in members.iter().enumerate() {
            real.entry(member.name).or_default().push(at);
            let provides =
                groups(&member.row.relations.provides).flat_map(alternatives).filter_map(Result::ok);
            for atom in provides {
                provided
                    .entry(atom.name)
                    .or_default()
                    .push((at, atom.constraint.map(|(_, version)| version)));
            }
        }
        Self { members, native, real, provided }
    }

    /// Everything that would not hold. Recommendations are looked at where `heeds_recommends` says so.
    pub fn troubles(&self, heeds_recommends: bool) -> Vec<Trouble<'a>> {
        let mut troubles = Vec::new();
        for (at, member) in self.members.iter().enumerate() {
            let relations = &member.row.relations;
            for field in [&relations.pre_depends, &relations.depends] {
                self.check_needs(at, field, false, &mut troubles);
            }
            if heeds_recommends && member.is_changed {
                self.check_needs(at, &relations.recommends, true, &mut troubles);
            }
            for field in [&relations.breaks, &relations.conflicts] {
                self.check_clashes(at, field, &mut troubles);
            }
            if member.row.multi_arch() == MultiArch::Same && !self.is_in_step(member) {
                troubles.push(Trouble::OutOfStep { member: at });
            }
        }
        troubles
    }

    fn check_needs(&self, at: usize, field: &'a str, is_recommended: bool, troubles: &mut Vec<Trouble<'a>>) {
        for group in groups(field) {
            match self.holds(at, group) {
                Ok(true) => {}
                Ok(false) => troubles.push(Trouble::Unmet { member: at, group, is_recommended }),
                Err(NoRelation) => troubles.push(Trouble::Unreadable { member: at }),
            }
        }
    }

    /// Whether one of the alternatives is in the set.
    pub fn holds(&self, at: usize, group: &str) -> Result<bool, NoRelation> {
        self.members.get(at).map_or(Ok(true), |member| self.holds_without(member.architecture, group, ""))
    }

    /// Whether a relation of a package of `architecture` holds, even if the package of this name were not in the set.
    pub fn holds_without(&self, architecture: &str, group: &str, name: &str) -> Result<bool, NoRelation> {
        for atom in alternatives(group) {
            if self.is_met(&atom?, architecture, name) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_met(&self, atom: &Atom<'_>, architecture: &str, without: &str) -> bool {
        self.meets(atom, architecture)
            .any(|at| self.members.get(at).is_some_and(|member| member.name != without))
    }

    /// The members that meet a relation of a package of `architecture`: those of the first alternative first.
    pub fn meeting(&self, architecture: &str, group: &str) -> Result<Vec<usize>, NoRelation> {
        let mut found = Vec::new();
        for atom in alternatives(group) {
            found.extend(self.meets(&atom?, architecture));
        }
        Ok(found)
    }

    /// The members that are what `atom` names, and then those that provide it.
    fn meets(&self, atom: &Atom<'_>, architecture: &str) -> impl Iterator<Item = usize> {
        let reached =
            |at: usize| self.members.get(at).filter(|member| self.reaches(atom, architecture, member));
        let real = self.real.get(atom.name).into_iter().flatten().copied();
        let real = real
            .filter(move |&at| reached(at).is_some_and(|member| atom.accepts(member.row.version.as_str())));
        let provided = self.provided.get(atom.name).into_iter().flatten();
        let provided = provided
            .filter(move |&&(at, version)| reached(at).is_some() && atom.accepts_provided(version))
            .map(|&(at, _)| at);
        real.chain(provided)
    }

    /// Whether a relation of a package of `architecture` can be met by a member of its own one.
    fn reaches(&self, atom: &Atom<'_>, architecture: &str, member: &Member<'_>) -> bool {
        match atom.qualifier {
            None => member.architecture == architecture || member.row.multi_arch() == MultiArch::Foreign,
            Some("any") => member.row.multi_arch() == MultiArch::Allowed,
            Some("native") => member.architecture == self.native,
            Some(exact) => member.architecture == exact,
        }
    }

    fn check_clashes(&self, at: usize, field: &'a str, troubles: &mut Vec<Trouble<'a>>) {
        let Some(member) = self.members.get(at) else {
            return;
        };
        for atom in groups(field).flat_map(alternatives) {
            match atom {
                Ok(atom) => troubles.extend(
                    self.clashing(member.name, &atom).map(|other| Trouble::Clash { member: at, other }),
                ),
                Err(NoRelation) => troubles.push(Trouble::Unreadable { member: at }),
            }
        }
    }

    /// The members that can't be there beside a package `name` with this relation. It does not clash with itself, nor
    /// with its own name for another architecture.
    pub fn clashing(&self, name: &str, atom: &Atom<'_>) -> impl Iterator<Item = usize> {
        let real = self.real.get(atom.name).into_iter().flatten().copied();
        let real = real.filter(|&other| {
            self.members.get(other).is_some_and(|other| atom.accepts(other.row.version.as_str()))
        });
        let provided = self.provided.get(atom.name).into_iter().flatten();
        let provided = provided.filter(|(_, version)| atom.accepts_provided(*version)).map(|&(at, _)| at);
        real.chain(provided).filter(move |&other| {
            self.members.get(other).is_some_and(|other| {
                let is_meant = match atom.qualifier {
                    None | Some("any") => true,
                    Some("native") => other.architecture == self.native,
                    Some(exact) => other.architecture == exact,
                };
                is_meant && other.name != name
            })
        })
    }

    /// The members of this name, one an architecture.
    pub fn named(&self, name: &str) -> impl Iterator<Item = usize> {
        self.real.get(name).into_iter().flatten().copied()
    }

    fn is_in_step(&self, member: &Member<'_>) -> bool {
        let twins = self.real.get(member.name).into_iter().flatten().filter_map(|&at| self.members.get(at));
        twins.into_iter().all(|twin| twin.row.version == member.row.version)
    }

    /// Whether apt would follow this recommendation of a package that changes: it is new in this version, or it was
    /// followed before. `today` is the set as it is installed.
    pub fn is_heeded(&self, at: usize, group: &str, today: &Future<'_>) -> bool {
        let Some(member) = self.members.get(at) else {
            return false;
        };
        let Some(before) = member.before else {
            return true;
        };
        let target =
            |group: &str| alternatives(group).next().and_then(Result::ok).map(|atom| atom.name.to_owned());
        let Some(wanted) = target(group) else {
            return false;
        };
        let names = |known: &&str| alternatives(known).flatten().any(|atom| atom.name == wanted);
        let mut known = groups(&before.relations.recommends).filter(names).peekable();
        if known.peek().is_none() {
            return true;
        }
        let place = today
            .members
            .iter()
            .position(|today| today.name == member.name && today.architecture == member.architecture);
        known.any(|known| place.is_some_and(|place| today.holds(place, known) == Ok(true)))
    }

    /// The needs of a member that apt would see to: what it depends on, and of a changed one what it recommends.
    pub fn needs(&self, at: usize, heeds_recommends: bool, today: &Future<'_>) -> Vec<&'a str> {
        let Some(member) = self.members.get(at) else {
            return Vec::new();
        };
        let Relations { pre_depends, depends, recommends, .. } = &member.row.relations;
        let mut needs: Vec<&str> = groups(pre_depends).chain(groups(depends)).collect();
        if heeds_recommends && member.is_changed {
            needs.extend(groups(recommends).filter(|group| self.is_heeded(at, group, today)));
        }
        needs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::packages::scan;

    fn rows(text: &str) -> Vec<(String, String, Row)> {
        let mut rows = Vec::new();
        let scanned = scan(text.as_bytes(), "list", |listed| {
            if let Some((architecture, row)) = listed.row()? {
                rows.push((listed.name.to_string(), architecture.into(), row));
            }
            Ok(())
        });
        assert_eq!(scanned.into_problems(|| Some(text.as_bytes())), []);
        rows
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let text = text.replace("; ", "\n") + "\n";
        let rows = rows(&text);
        let members = rows.iter().map(|(name, architecture, row)| Member {
            name,
            architecture: if architecture == "all" { "amd64" } else { architecture },
            row,
            before: None,
            is_changed: true,
        });
        let future = Future::new(members.collect(), "amd64");
        let name = |at: usize| future.members[at].name;
        let shown = future.troubles(true).into_iter().map(|trouble| match trouble {
            Trouble::Unmet { member, group, is_recommended: false } => {
                format!("{} needs {group}", name(member))
            }
            Trouble::Unmet { member, group, .. } => format!("{} recommends {group}", name(member)),
            Trouble::Clash { member, other } => format!("{} breaks {}", name(member), name(other)),
            Trouble::OutOfStep { member } => format!("{} out of step", name(member)),
            Trouble::Unreadable { member } => format!("{} unreadable", name(member)),
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{text}");
    }

    const B: &str = "Package: b; Version: 2; Architecture: amd64; ";

    #[test]
    fn needs_are_met_by_packages_and_by_what_they_provide() {
        let with = |field: &str| {
            format!("Package: a; Version: 1; Architecture: amd64; {field}\n\n{B}Provides: v, w (= 3)")
        };
        check(&with("Depends: b (>= 2), x | b, v, w (>= 3)"), &[]);
        check(&with("Depends: b (>> 2)"), &["a needs b (>> 2)"]);
        check(&with("Pre-Depends: v (= 1)"), &["a needs v (= 1)"]);
        check(&with("Recommends: y"), &["a recommends y"]);
        check(&with("Depends: ("), &["a unreadable"]);
        check(&with("Breaks: b (<< 2)"), &[]);
        check(&with("Breaks: b (<= 2)"), &["a breaks b"]);
        check(&with("Conflicts: v"), &["a breaks b"]);
        check(&with("Provides: v; Conflicts: a"), &[]);
    }

    #[test]
    fn architectures_meet_each_other_only_where_they_may() {
        let with = |need: &str, ma: &str| {
            format!("Package: a; Version: 1; Architecture: i386; Depends: {need}\n\n{B}Multi-Arch: {ma}")
        };
        check(&with("b", "no"), &["a needs b"]);
        check(&with("b", "foreign"), &[]);
        check(&with("b:any", "allowed"), &[]);
        check(&with("b:native", "no"), &[]);
        check(&with("b:amd64", "no"), &[]);
        let same = "Package: c; Version: 1; Architecture: amd64; Multi-Arch: same\n\n\
            Package: c; Version: 2; Architecture: i386; Multi-Arch: same";
        check(same, &["c out of step", "c out of step"]);
    }
}
