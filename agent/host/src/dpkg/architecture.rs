//! The architecture that a root's dpkg calls its own, found without running it: a foreign root's can't be run.

use std::collections::BTreeMap;

use patchd_core::inventory::InstalledPackage;
use patchd_core::package::Architecture;
use patchd_core::problem::Weight;

use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

const ARCHITECTURES: &str = "var/lib/dpkg/arch";
const MAX_FILE: u64 = 64 << 10;

/// dpkg's own package says it best, since the answer is compiled into it; then the list of architectures, whose first
/// is the native one by custom; then the commonest among the packages. Of nothing at all, nothing is known.
pub(super) fn native(root: &Root, packages: &[InstalledPackage], problems: &mut ProblemList) -> Architecture {
    of_dpkg(packages)
        .or_else(|| first_listed(root, problems))
        .or_else(|| commonest(packages))
        .unwrap_or_else(unknown)
}

/// The same from the packages alone.
pub(super) fn native_of(packages: &[InstalledPackage]) -> Architecture {
    of_dpkg(packages).or_else(|| commonest(packages)).unwrap_or_else(unknown)
}

fn of_dpkg(packages: &[InstalledPackage]) -> Option<Architecture> {
    let mut real = real_architectures(packages);
    real.find(|package| package.id.name.as_str() == "dpkg").map(|package| package.id.architecture.clone())
}

fn first_listed(root: &Root, problems: &mut ProblemList) -> Option<Architecture> {
    let content = read::read_optional(root, ARCHITECTURES, MAX_FILE).unwrap_or_else(|error| {
        problems.push(error.to_problem(Weight::Notice));
        None
    })?;
    let first = content.split(|&byte| byte == b'\n').next()?.trim_ascii();
    std::str::from_utf8(first).ok().and_then(|word| Architecture::parse(word).ok())
}

fn commonest(packages: &[InstalledPackage]) -> Option<Architecture> {
    let mut counts = BTreeMap::<&Architecture, usize>::new();
    for package in real_architectures(packages) {
        *counts.entry(&package.id.architecture).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(_, count)| count).map(|(architecture, _)| architecture.clone())
}

fn real_architectures(packages: &[InstalledPackage]) -> impl Iterator<Item = &InstalledPackage> {
    packages.iter().filter(|package| !matches!(package.id.architecture.as_str(), "all" | "none"))
}

fn unknown() -> Architecture {
    Architecture::parse("unknown").expect("a word of letters is an architecture")
}
