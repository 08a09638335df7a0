//! Which installed packages don't run yet as they are on disk, and what it takes until they do.
//!
//! It judges by what is true of the boot that is under way, and by nothing that was remembered: a reboot or a restart
//! clears it, whoever did it. What it takes is told here and done nowhere.

use std::collections::BTreeMap;

use crate::inventory::Inventory;
use crate::package::{PackageId, PackageName};
use crate::reason::Cause;

/// How many processes one sentence names.
const MAX_NAMED: usize = 5;

/// What it takes for a process to run what is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// Its unit, or the process itself, has to be started again.
    Restart,
    /// Nothing but a reboot starts it again.
    Reboot,
}

impl Remedy {
    /// The stable name that reports use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Reboot => "reboot",
        }
    }
}

/// A process that runs code which is no longer on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldProcess {
    pub pid: u32,
    /// What it calls itself: a name to show, and nothing to act on.
    pub command: String,
    /// The unit of systemd that it belongs to.
    pub unit: Option<String>,
    pub remedy: Remedy,
    /// Whose files they were. Never empty.
    pub packages: Vec<PackageId>,
    /// The files as they were named before they were replaced.
    pub files: Vec<String>,
}

impl OldProcess {
    /// What a person would restart.
    fn name(&self) -> String {
        match &self.unit {
            Some(unit) if self.pid != 1 => unit.clone(),
            _ => format!("{} (pid {})", self.command, self.pid),
        }
    }
}

/// The old code in a host's memory, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldCode {
    pub processes: Vec<OldProcess>,
    /// Why there may be more, where not everything could be looked at. No process above then proves nothing.
    pub unseen: Option<String>,
}

impl OldCode {
    /// Nothing was looked at.
    pub fn unknown(because: impl Into<String>) -> Self {
        Self { processes: Vec::new(), unseen: Some(because.into()) }
    }

    /// The processes that nothing but a reboot starts again, in a few words; `None` if there is none.
    pub fn needing_reboot(&self) -> Option<String> {
        let processes = self.processes.iter().filter(|process| process.remedy == Remedy::Reboot);
        let names: Vec<_> = processes.map(OldProcess::name).collect();
        (!names.is_empty()).then(|| format!("{} code that was replaced", run(&names)))
    }
}

/// What is true of the boot that is under way.
#[derive(Debug, Clone, Copy)]
pub struct LiveFacts<'a> {
    /// The kernel packages that the next boot starts, where another kernel runs; and which one that is.
    pub kernels: &'a [PackageId],
    pub running_kernel: Option<&'a str>,
    /// The packages that asked for a reboot since the last one.
    pub asked: &'a [PackageName],
    pub old_code: &'a OldCode,
}

/// The packages that don't run yet as they are on disk, each with the reason that takes most to clear.
pub type Pending = BTreeMap<PackageId, Cause>;

/// Finds them among what is installed.
pub fn find(inventory: &Inventory, facts: LiveFacts<'_>) -> Pending {
    let mut pending = Pending::new();
    let mut processes = BTreeMap::<&PackageId, Vec<&OldProcess>>::new();
    for process in &facts.old_code.processes {
        for package in &process.packages {
            processes.entry(package).or_default().push(process);
        }
    }
    for package in &inventory.packages {
        let of_kernel = || facts.kernels.contains(&package.id).then(|| kernel(facts.running_kernel));
        let asked = || {
            let is_asked = facts.asked.contains(&package.id.name);
            is_asked.then(|| reboot("it asked for a reboot when it was installed".into()))
        };
        let in_memory = || processes.get(&package.id).map(|processes| of_processes(processes));
        if let Some(reason) = of_kernel().or_else(asked).or_else(in_memory) {
            pending.insert(package.id.clone(), reason);
        }
    }
    pending
}

fn kernel(running: Option<&str>) -> Cause {
    let running = running.unwrap_or("another");
    reboot(format!("kernel {running} runs until then"))
}

fn of_processes(processes: &[&OldProcess]) -> Cause {
    let names = |remedy| -> Vec<_> {
        processes.iter().filter(|process| process.remedy == remedy).map(|process| process.name()).collect()
    };
    let last_until_reboot = names(Remedy::Reboot);
    if last_until_reboot.is_empty() {
        return Cause::Restart { processes: named(&names(Remedy::Restart)) };
    }
    reboot(format!("{} the code that it replaced", run(&last_until_reboot)))
}

fn reboot(because: String) -> Cause {
    Cause::Reboot { because, waits: None }
}

/// `ssh.service still runs`, `a, b and 3 more still run`.
fn run(names: &[String]) -> String {
    let verb = if distinct(names).len() == 1 { "still runs" } else { "still run" };
    format!("{} {verb}", named(names))
}

fn named(names: &[String]) -> String {
    let names = distinct(names);
    let shown: Vec<_> = names.iter().take(MAX_NAMED).copied().collect();
    match names.len() - shown.len() {
        0 => match shown.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
            _ => shown.concat(),
        },
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Each name once, in the order of the first.
fn distinct(names: &[String]) -> Vec<&str> {
    let mut distinct = Vec::new();
    for name in names {
        if !distinct.contains(&name.as_str()) {
            distinct.push(name.as_str());
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{DpkgState, InstalledPackage, Mark};
    use crate::package::{Architecture, SourcePackage, Version};
    use crate::version::VersionScheme;

    fn id(name: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }
    }

    fn inventory(names: &[&str]) -> Inventory {
        let version = Version::parse("1").unwrap();
        let package = |name: &&str| InstalledPackage {
            id: id(name),
            version: version.clone(),
            source: SourcePackage { name: PackageName::parse(name).unwrap(), version: version.clone() },
            state: DpkgState::INSTALLED,
            mark: Mark::Manual,
            installed_at: None,
            priority: None,
            section: None,
            essential: false,
            multi_arch_same: false,
        };
        Inventory {
            scheme: VersionScheme::Deb,
            native: Architecture::parse("amd64").unwrap(),
            packages: names.iter().map(package).collect(),
            residual: vec![],
            problems: vec![],
        }
    }

    fn process(pid: u32, unit: Option<&str>, remedy: Remedy, packages: &[&str]) -> OldProcess {
        OldProcess {
            pid,
            command: "sshd".into(),
            unit: unit.map(str::to_owned),
            remedy,
            packages: packages.iter().map(|name| id(name)).collect(),
            files: vec!["/usr/lib/x.so.1".into()],
        }
    }

    const NOTHING: OldCode = OldCode { processes: Vec::new(), unseen: None };

    #[track_caller]
    fn check(facts: LiveFacts<'_>, expected: &[(&str, &str, &str)]) {
        let pending = find(&inventory(&["libc6", "libssl3", "linux-image-6.1.0-18-amd64"]), facts);
        let found: Vec<_> = pending
            .iter()
            .map(|(id, reason)| (id.name.as_str().to_owned(), reason.code(), reason.sentence()))
            .collect();
        let found: Vec<_> =
            found.iter().map(|(name, code, sentence)| (name.as_str(), *code, sentence.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_host_without_evidence_has_nothing_pending() {
        let nothing = LiveFacts { kernels: &[], running_kernel: None, asked: &[], old_code: &NOTHING };
        check(nothing, &[]);
        let unseen = OldCode::unknown("nobody looked");
        check(LiveFacts { old_code: &unseen, ..nothing }, &[]);
        // Removed since: there is nothing to be compliant with.
        let asked = [PackageName::parse("gone").unwrap()];
        check(LiveFacts { asked: &asked, ..nothing }, &[]);
    }

    #[test]
    fn each_package_gets_the_reason_that_takes_most_to_clear() {
        let kernels = [id("linux-image-6.1.0-18-amd64")];
        let old_code = OldCode {
            processes: vec![
                process(1, Some("init.scope"), Remedy::Reboot, &["libc6"]),
                process(7, Some("ssh.service"), Remedy::Restart, &["libc6", "libssl3"]),
                process(8, Some("ssh.service"), Remedy::Restart, &["libssl3"]),
                process(9, None, Remedy::Restart, &["libssl3"]),
            ],
            unseen: None,
        };
        let facts = LiveFacts {
            kernels: &kernels,
            running_kernel: Some("6.1.0-9-amd64"),
            asked: &[],
            old_code: &old_code,
        };
        let of_kernel = (
            "linux-image-6.1.0-18-amd64",
            "reboot",
            "it runs after a reboot: kernel 6.1.0-9-amd64 runs until then",
        );
        let restart = "ssh.service and sshd (pid 9) must be restarted to run it";
        let of_libc = "it runs after a reboot: sshd (pid 1) still runs the code that it replaced";
        check(facts, &[("libc6", "reboot", of_libc), ("libssl3", "restart", restart), of_kernel]);
        assert_eq!(
            old_code.needing_reboot().as_deref(),
            Some("sshd (pid 1) still runs code that was replaced")
        );

        let asked = [PackageName::parse("libssl3").unwrap()];
        let of_mark = "it runs after a reboot: it asked for a reboot when it was installed";
        let facts = LiveFacts { asked: &asked, ..facts };
        check(facts, &[("libc6", "reboot", of_libc), ("libssl3", "reboot", of_mark), of_kernel]);
    }

    #[test]
    fn a_sentence_names_few_processes_and_counts_the_rest() {
        let names: Vec<_> = (0..MAX_NAMED + 2).map(|number| format!("s{number}")).collect();
        assert_eq!(named(&names), "s0, s1, s2, s3, s4 and 2 more");
        assert_eq!(run(&names[..3]), "s0, s1 and s2 still run");
        assert_eq!(run(&["a".into(), "a".into()]), "a still runs");
    }
}
