//! The last look before the first package is touched: apt itself, with its locks held, tells this program what it is
//! about to do, and does it only if that is the plan (`DPkg::Pre-Install-Pkgs`, version 3).
//!
//! Between the dry run and the real one somebody else may have changed packages or lists. Whether a plan may be carried
//! out at all is not decided here.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use patchd_core::plan::Plan;
use patchd_host::read;
use patchd_host::root::Root;

/// The longest plan and the longest message of apt, which has all of its settings in it.
const MAX_PLAN: u64 = 4 << 20;
const MAX_TOLD: u64 = 32 << 20;

/// The most differences that are told.
const MAX_DIFFERENCES: usize = 20;

/// One thing that apt does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    name: String,
    /// `None` for a removal.
    version: Option<String>,
    architecture: String,
}

impl Step {
    /// To apt, a package of the host's architecture and one for all are the same package.
    fn is_same(&self, other: &Self) -> bool {
        let is_all = self.architecture == "all" || other.architecture == "all";
        self.name == other.name
            && self.version == other.version
            && (is_all || self.architecture == other.architecture)
    }

    fn describe(&self) -> String {
        let version = self.version.as_deref().unwrap_or("removed");
        format!("{}:{} {version}", self.name, self.architecture)
    }
}

/// The plan as it is kept for the check: a line a step.
pub(crate) fn expectation(plan: &Plan) -> String {
    let changes = plan.changes().iter().map(|change| {
        let id = &change.package;
        format!("{} {} {}\n", id.name, id.architecture, change.to)
    });
    let removals = plan.removals().iter().map(|id| format!("{} {}\n", id.name, id.architecture));
    changes.chain(removals).collect()
}

/// Holds what apt tells against a kept plan; every difference is an error, and so is whatever can't be read.
pub(crate) fn check(plan: &Path, told: impl Read) -> Result<(), String> {
    let plan = read::read(&Root::host(), plan, MAX_PLAN)
        .map_err(|error| format!("the plan can't be read: {error}"))?;
    let mut text = Vec::new();
    told.take(MAX_TOLD).read_to_end(&mut text).map_err(|error: io::Error| error.to_string())?;
    if MAX_TOLD <= text.len() as u64 {
        return Err("apt tells too much".into());
    }
    let planned = steps_of_plan(&String::from_utf8_lossy(&plan))?;
    let told = steps_of_apt(&String::from_utf8_lossy(&text))?;
    let missing = |of: &BTreeSet<Step>, from: &BTreeSet<Step>, what: &str| -> Vec<String> {
        let missing = of.iter().filter(|step| !from.iter().any(|other| other.is_same(step)));
        missing.map(|step| format!("{what}: {}", step.describe())).collect()
    };
    let mut differences = missing(&told, &planned, "not planned");
    differences.extend(missing(&planned, &told, "planned, but not done"));
    if differences.is_empty() {
        return Ok(());
    }
    differences.truncate(MAX_DIFFERENCES);
    Err(differences.join("; "))
}

fn steps_of_plan(text: &str) -> Result<BTreeSet<Step>, String> {
    let step = |line: &str| {
        let mut words = line.split(' ');
        let (name, architecture) = (words.next()?.to_owned(), words.next()?.to_owned());
        Some(Step { name, architecture, version: words.next().map(str::to_owned) })
    };
    text.lines().map(|line| step(line).ok_or_else(|| format!("the plan has the line {line:?}"))).collect()
}

/// `VERSION 3`, settings, an empty line, and for each step `NAME OLD ARCH MULTIARCH OPERATOR NEW ARCH MULTIARCH FILE`.
fn steps_of_apt(text: &str) -> Result<BTreeSet<Step>, String> {
    let Some(("VERSION 3", rest)) = text.split_once('\n') else {
        return Err("apt speaks another version of this than 3".into());
    };
    let Some((_, steps)) = rest.split_once("\n\n") else { return Err("apt tells no steps".into()) };
    let mut told = BTreeSet::new();
    for line in steps.lines() {
        let unreadable = || format!("apt tells {line:?}");
        let words: Vec<&str> = line.splitn(9, ' ').collect();
        let [name, _, old_architecture, _, _, new, new_architecture, _, file] = words.as_slice() else {
            return Err(unreadable());
        };
        let step = |architecture: &str, version: Option<&str>| Step {
            name: (*name).to_owned(),
            architecture: architecture.to_owned(),
            version: version.map(str::to_owned),
        };
        match *file {
            // What is unpacked already is configured on the way.
            "**CONFIGURE**" => {}
            "**REMOVE**" => drop(told.insert(step(old_architecture, None))),
            file if file.starts_with('/') => drop(told.insert(step(new_architecture, Some(new)))),
            _ => return Err(unreadable()),
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use patchd_host::durable::atomic_write;

    use super::*;

    const PLAN: &str = "app amd64 1:1.1\ndoc all 2\nnew amd64 1\nold amd64\n";
    /// As apt 2.6 tells it.
    const TOLD: &str = "VERSION 3\nAPT=\nAPT::Architecture=amd64\n\n\
                        old 1 amd64 none > - - none **REMOVE**\n\
                        app 1.0 amd64 same < 1:1.1 amd64 same /var/cache/apt/archives/app_1%3a1.1_amd64.deb\n\
                        doc 1 all none < 2 amd64 none /var/cache/apt/archives/doc_2_amd64.deb\n\
                        new - - none < 1 amd64 none /var/cache/apt/archives/new_1_amd64.deb\n\
                        app 1.0 amd64 same < 1:1.1 amd64 same **CONFIGURE**\n\
                        other 3 amd64 none = 3 amd64 none **CONFIGURE**\n";

    #[track_caller]
    fn check_told(told: &str, expected: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan");
        atomic_write(&path, PLAN.as_bytes(), 0o600).unwrap();
        assert_eq!(check(&path, told.as_bytes()), expected.map_err(str::to_owned));
    }

    #[test]
    fn only_the_plan_is_let_through() {
        check_told(TOLD, Ok(()));
        check_told(
            &format!("{TOLD}extra - - none < 1 all none /x/extra_1_all.deb\n"),
            Err("not planned: extra:all 1"),
        );
        check_told(
            &TOLD.replace("< 1 amd64", "< 1.5 amd64"),
            Err("not planned: new:amd64 1.5; planned, but not done: new:amd64 1"),
        );
        check_told(
            &TOLD.replace("app 1.0 amd64 same < 1:1.1 amd64", "app 1.0 i386 same < 1:1.1 i386"),
            Err("not planned: app:i386 1:1.1; planned, but not done: app:amd64 1:1.1"),
        );
        check_told(
            &format!("{TOLD}doc 1 all none > - - none **REMOVE**\n"),
            Err("not planned: doc:all removed"),
        );
        let kept: String =
            TOLD.lines().filter(|line| !line.starts_with("old ")).map(|line| format!("{line}\n")).collect();
        check_told(&kept, Err("planned, but not done: old:amd64 removed"));
    }

    #[test]
    fn what_cannot_be_read_is_not_let_through() {
        check_told("", Err("apt speaks another version of this than 3"));
        check_told("VERSION 2\n\n", Err("apt speaks another version of this than 3"));
        check_told("VERSION 3\nAPT=\n", Err("apt tells no steps"));
        check_told("VERSION 3\nAPT=\n\napp 1.0 < 1.1 /x\n", Err("apt tells \"app 1.0 < 1.1 /x\""));
        check_told(
            "VERSION 3\nAPT=\n\napp 1 a n < 2 a n **ERROR**\n",
            Err("apt tells \"app 1 a n < 2 a n **ERROR**\""),
        );
    }
}
