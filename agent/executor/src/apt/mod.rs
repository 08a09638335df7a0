//! apt as the executor drives it: refresh, dry run, download, installation, marks. Each is one call with one argument
//! vector; what may be asked, and when, is decided before.

pub(crate) mod lock;
mod refresh;
mod simulation;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchd_core::inventory::Inventory;
use patchd_core::package::{Architecture, PackageId};
use patchd_core::plan::Plan;
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use patchd_protocol::executor::RefreshWire;
use thiserror::Error;

pub(crate) use self::simulation::{Simulation, UnreadableSimulation};
use crate::child::{self, Call, ChildError, Ended};
use crate::text;

/// How long fetching the lists may take, and a dry run.
const REFRESH_LIMIT: Duration = Duration::from_secs(15 * 60);
const SIMULATION_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The most output of a refresh or a dry run that is read, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// Said to every call that plans. The dry run, the download and the real run get the same ones: apt accepts plans
/// without `-y` that it refuses with it. What the host's own configuration loosens is drawn tight again.
const PLANNING: [&str; 28] = [
    "-y",
    "-q",
    "--no-remove",
    "--only-upgrade",
    "-o",
    "APT::Get::AutomaticRemove=false",
    "-o",
    "APT::Get::allow-downgrades=false",
    "-o",
    "APT::Get::allow-remove-essential=false",
    "-o",
    "APT::Get::allow-change-held-packages=false",
    "-o",
    "APT::Get::AllowUnauthenticated=false",
    "-o",
    "APT::Get::force-yes=false",
    "-o",
    "APT::Get::Fix-Missing=false",
    "-o",
    "APT::Get::Upgrade-By-Source-Package=false",
    "-o",
    "APT::Color=0",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
];

/// Why apt could not be asked, or its answer not be read.
#[derive(Debug, Error)]
pub(crate) enum AptError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("can't make room for what apt-get says")]
    Output(#[source] io::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("apt-get's dry run took longer than {SIMULATION_LIMIT:?}")]
    Overdue,
    #[error(transparent)]
    Simulation(#[from] UnreadableSimulation),
}

/// apt on this machine.
#[derive(Debug)]
pub(crate) struct Apt {
    apt_get: PathBuf,
    apt_mark: PathBuf,
    /// A directory of the executor's own, for what the calls say that are no transactions.
    output: PathBuf,
}

/// A plan on its way into the host.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) native: &'a Architecture,
    /// Where apt's words go.
    pub(crate) log: &'a Path,
    /// How long apt may wait for another package manager before it starts.
    pub(crate) lock_wait: Duration,
}

impl Work<'_> {
    fn lock_timeout(&self) -> String {
        format!("DPkg::Lock::Timeout={}", self.lock_wait.as_secs())
    }
}

/// What a call said, with how it ended.
#[derive(Debug)]
struct Said {
    ended: Ended,
    output: String,
    errors: String,
}

impl Apt {
    /// `programs` is where apt-get and apt-mark lie.
    pub(crate) fn new(programs: &Path, output: &Path) -> Self {
        Self {
            apt_get: programs.join("apt-get"),
            apt_mark: programs.join("apt-mark"),
            output: output.to_owned(),
        }
    }

    /// Fetches the lists of all sources.
    pub(crate) fn refresh(&self, progress: &mut dyn FnMut(&str)) -> Result<RefreshWire, AptError> {
        let arguments = [
            "-q",
            "-o",
            "APT::Update::Error-Mode=any",
            "-o",
            "Acquire::Retries=2",
            "-o",
            "APT::Color=0",
            "update",
        ];
        let said = self.ask(arguments.map(str::to_owned).as_slice(), "refresh", REFRESH_LIMIT, progress)?;
        Ok(RefreshWire {
            exit_code: said.ended.code,
            failures: refresh::failures(&said.output, &said.errors, said.ended),
            output_tail: text::tail(&format!("{}{}", said.output, said.errors)),
        })
    }

    /// What carrying out `plan` would do.
    pub(crate) fn simulate(&self, plan: &Plan, inventory: &Inventory) -> Result<Simulation, AptError> {
        let arguments = planning(&["-s"], plan, &inventory.native);
        let said = self.ask(&arguments, "simulate", SIMULATION_LIMIT, &mut |_| {})?;
        if said.ended.is_overdue {
            return Err(AptError::Overdue);
        }
        if !said.ended.is_success() {
            return Ok(Simulation::refused(&said.errors, said.ended.code));
        }
        Ok(Simulation::parse(&said.output, inventory)?)
    }

    /// Fetches all archives that `plan` needs, and changes no package. What apt says is added to `log`.
    pub(crate) fn download(
        &self,
        work: &Work<'_>,
        limit: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Ended, AptError> {
        let arguments =
            planning(&["-d", "-o", "Acquire::Retries=2", "-o", &work.lock_timeout()], work.plan, work.native);
        Ok(child::run_within(&self.call(&arguments, work), limit, progress)?)
    }

    /// Carries a plan out. Nothing but its own end ends it.
    ///
    /// `--no-download` would say better what is meant, but apt fails with it on `file:` sources.
    pub(crate) fn install(&self, work: &Work<'_>, progress: &mut dyn FnMut(&str)) -> Result<Ended, AptError> {
        let arguments = planning(&["-o", &work.lock_timeout()], work.plan, work.native);
        Ok(child::run_to_end(&self.call(&arguments, work), progress)?)
    }

    fn call<'a>(&'a self, arguments: &'a [String], work: &'a Work<'_>) -> Call<'a> {
        Call { program: &self.apt_get, arguments, output: work.log, errors: None }
    }

    /// Marks packages as installed for another package's sake: `apt-get install` forgets that of those that it names.
    pub(crate) fn mark_automatic(&self, packages: &[PackageId], log: &Path) -> Result<Ended, AptError> {
        let names = packages.iter().map(|package| match package.architecture.as_str() {
            "all" => package.name.to_string(),
            _ => package.to_string(),
        });
        let arguments: Vec<String> = std::iter::once("auto".to_owned()).chain(names).collect();
        let call = Call { program: &self.apt_mark, arguments: &arguments, output: log, errors: None };
        Ok(child::run_to_end(&call, &mut |_| {})?)
    }

    fn ask(
        &self,
        arguments: &[String],
        name: &str,
        limit: Duration,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Said, AptError> {
        let path = |end: &str| self.output.join(format!("{name}.{end}"));
        let (output, errors) = (path("out"), path("err"));
        for old in [&output, &errors] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(AptError::Output(error)),
                _ => {}
            }
        }
        let call = Call { program: &self.apt_get, arguments, output: &output, errors: Some(&errors) };
        let ended = child::run_within(&call, limit, progress)?;
        let read = |path: &Path| {
            let content = read::read(&Root::host(), path, MAX_OUTPUT)?;
            Ok::<_, FileError>(String::from_utf8_lossy(&content).into_owned())
        };
        Ok(Said { ended, output: read(&output)?, errors: read(&errors)? })
    }
}

/// The arguments of a call that plans: installed packages are named with the version that they go to. New ones aren't:
/// they come as dependencies, keep their automatic mark, and the dry run shows which version apt takes.
fn planning(mode: &[&str], plan: &Plan, native: &Architecture) -> Vec<String> {
    let upgrades = plan.changes().iter().filter(|change| change.from.is_some()).map(|change| {
        let PackageId { name, architecture } = &change.package;
        if *architecture == *native || architecture.as_str() == "all" {
            format!("{name}={}", change.to)
        } else {
            format!("{name}:{architecture}={}", change.to)
        }
    });
    let fixed = PLANNING.iter().chain(mode).chain(&["install"]).map(|word| (*word).to_owned());
    fixed.chain(upgrades).collect()
}

#[cfg(test)]
mod tests {
    use patchd_core::package::{PackageName, Version};
    use patchd_core::plan::PlannedChange;

    use super::*;

    fn change(name: &str, architecture: &str, from: Option<&str>, to: &str) -> PlannedChange {
        let version = |text: &str| Version::parse(text).unwrap();
        PlannedChange {
            package: PackageId {
                name: PackageName::parse(name).unwrap(),
                architecture: Architecture::parse(architecture).unwrap(),
            },
            from: from.map(version),
            to: version(to),
        }
    }

    #[test]
    fn installed_packages_are_named_with_their_version_and_new_ones_are_not() {
        let plan = Plan::try_new(vec![
            change("app", "amd64", Some("1"), "1:2~x"),
            change("app", "i386", Some("1"), "1:2~x"),
            change("doc", "all", Some("1"), "2"),
            change("new", "amd64", None, "1"),
        ])
        .unwrap();
        let native = Architecture::parse("amd64").unwrap();
        let (dry, real) = (planning(&["-s"], &plan, &native), planning(&[], &plan, &native));
        let names = ["install", "app=1:2~x", "app:i386=1:2~x", "doc=2"].map(str::to_owned);
        assert!(dry.ends_with(&names) && real.ends_with(&names));
        let without_mode: Vec<_> = dry.into_iter().filter(|word| word != "-s").collect();
        assert_eq!(without_mode, real);
    }
}
