//! apt as the executor drives it: refresh, dry run, download, installation, marks. Each is one call with one argument
//! vector; what may be asked, and when, is decided before.

pub(crate) mod fetch;
mod refresh;
mod reinstall;
mod simulation;
pub(crate) mod status_fd;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchd_core::inventory::Inventory;
use patchd_core::package::{Architecture, PackageId};
use patchd_core::plan::Plan;
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use patchd_protocol::executor::RefreshWire;
use thiserror::Error;

pub(crate) use self::reinstall::{Reinstallation, Reinstalled};
pub(crate) use self::simulation::{Simulation, UnreadableSimulation};
use crate::child::{self, Call, ChildError, Ended, Patience, Watch, open_to_append};
use crate::progress::{STALL, Watcher};
use crate::text;
use crate::verbs::Progress;

/// How long fetching the lists may take, a dry run, and the setting of marks.
const REFRESH_LIMIT: Duration = Duration::from_secs(15 * 60);
const SIMULATION_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long fetching may go without a sign of life: well over apt's own deadlines for a server, with its retries.
const FETCH_SILENCE: Duration = Duration::from_secs(5 * 60);

/// The most output of a refresh or a dry run that is read, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// Said to every call that plans. The dry run, the download and the real run get the same ones: apt accepts plans
/// without `-y` that it refuses with it. What the host's own configuration loosens is drawn tight again.
const PLANNING: [&str; 25] = [
    "-y",
    "-q",
    "--only-upgrade",
    "-o",
    "APT::Get::AutomaticRemove=false",
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

/// What a call that plans may do beside upgrading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Licence {
    pub(crate) removals: bool,
    pub(crate) downgrades: bool,
}

impl Licence {
    /// For a dry run that is to show everything.
    pub(crate) const EVERYTHING: Self = Self { removals: true, downgrades: true };

    fn options(self) -> [String; 4] {
        let option = |value| ["-o".to_owned(), value];
        let [a, b] = option(format!("APT::Get::Remove={}", self.removals));
        let [c, d] = option(format!("APT::Get::allow-downgrades={}", self.downgrades));
        [a, b, c, d]
    }
}

/// apt on this machine.
#[derive(Debug)]
pub(crate) struct Apt {
    /// Where the programs lie.
    programs: PathBuf,
    /// A directory of the executor's own, for what the calls say that are no transactions.
    output: PathBuf,
    /// How long fetching may be silent, and after how long a silence of dpkg is told.
    pub(crate) fetch_silence: Duration,
    pub(crate) stall: Duration,
    /// This very program, or the one that has taken its place since.
    checker: Option<PathBuf>,
}

/// A plan on its way into the host.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) id: &'a str,
    pub(crate) plan: &'a Plan,
    pub(crate) native: &'a Architecture,
    pub(crate) licence: Licence,
    /// Where apt's words for people go, and those for programs.
    pub(crate) log: PathBuf,
    pub(crate) status: PathBuf,
    /// How long apt may wait for another package manager that was faster than we.
    pub(crate) lock_wait: Duration,
    /// The plan's file, which apt's own plan is to be held against.
    pub(crate) expectation: PathBuf,
}

/// What a call said, with how it ended.
#[derive(Debug)]
struct Said {
    ended: Ended,
    output: String,
    errors: String,
}

impl Apt {
    /// `programs` is where apt-get, apt-mark, dpkg-deb and tar lie.
    pub(crate) fn new(programs: &Path, output: &Path) -> Self {
        Self {
            programs: programs.to_owned(),
            output: output.to_owned(),
            fetch_silence: FETCH_SILENCE,
            stall: STALL,
            checker: checker(),
        }
    }

    /// The path of a program of apt or dpkg, or one that comes with them.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Fetches the lists of all sources.
    pub(crate) fn refresh(
        &self,
        is_wanted: &dyn Fn() -> bool,
        progress: &mut Progress<'_>,
    ) -> Result<RefreshWire, AptError> {
        let path = self.output.join("refresh.status");
        remove(&path)?;
        let status = open_to_append(&path).map_err(AptError::Output)?;
        let fixed = [
            "-q",
            "-o",
            "APT::Update::Error-Mode=any",
            "-o",
            "Acquire::Retries=2",
            "-o",
            "APT::Color=0",
            "-o",
            &status_option(&status),
            "update",
        ];
        let watcher = Watcher::new(progress, &path, self.stall).map_err(AptError::Output)?;
        let mut watcher = watcher.while_wanted(is_wanted);
        let patience = Patience::Limited { total: REFRESH_LIMIT, silence: self.fetch_silence };
        let said =
            self.ask(&fixed.map(str::to_owned), "refresh", patience, &mut watcher, &[status.as_fd()])?;
        Ok(RefreshWire {
            exit_code: said.ended.code,
            failures: refresh::failures(&said.output, &said.errors, said.ended),
            output_tail: text::tail(&format!("{}{}", said.output, said.errors)),
        })
    }

    /// What carrying out `plan` would do.
    pub(crate) fn simulate(
        &self,
        plan: &Plan,
        licence: Licence,
        inventory: &Inventory,
    ) -> Result<Simulation, AptError> {
        let arguments = planning(&["-s"], licence, plan, &inventory.native);
        let patience = Patience::Limited { total: SIMULATION_LIMIT, silence: SIMULATION_LIMIT };
        let said = self.ask(&arguments, "simulate", patience, &mut |_: &str| {}, &[])?;
        if said.ended.cut.is_some() {
            return Err(AptError::Overdue);
        }
        if !said.ended.is_success() {
            return Ok(Simulation::refused(&said.errors, said.ended.code));
        }
        Ok(Simulation::parse(&said.output, inventory)?)
    }

    /// Fetches all archives that `plan` needs, and changes no package. What apt says is added to its log.
    pub(crate) fn download(
        &self,
        work: &Work<'_>,
        limit: Duration,
        watch: &mut dyn Watch,
    ) -> Result<Ended, AptError> {
        let patience = Patience::Limited { total: limit, silence: self.fetch_silence };
        self.carry_out(&["-d", "-o", "Acquire::Retries=2"], work, patience, watch, None)
    }

    /// Carries a plan out. Nothing but its own end ends it. `kept` is open in apt as long as it runs.
    ///
    /// `--no-download` would say better what is meant, but apt fails with it on `file:` sources.
    pub(crate) fn install(
        &self,
        work: &Work<'_>,
        watch: &mut dyn Watch,
        kept: Option<BorrowedFd<'_>>,
    ) -> Result<Ended, AptError> {
        // apt's own history tells by it whose call it was.
        let mut mode = vec!["-o".to_owned(), format!("patchd::transaction={}", work.id)];
        mode.extend(self.check_options(&work.expectation));
        let mode: Vec<&str> = mode.iter().map(String::as_str).collect();
        self.carry_out(&mode, work, Patience::Endless, watch, kept)
    }

    /// Has apt ask us, with its locks held, whether what it is about to do is the plan.
    fn check_options(&self, expectation: &Path) -> Vec<String> {
        // apt hands the command to a shell.
        let is_plain = |path: &&str| path.chars().all(|c| c.is_ascii_alphanumeric() || "/._+-".contains(c));
        let plain = |path: &Path| path.to_str().filter(is_plain).map(str::to_owned);
        let checker = self.checker.as_deref().filter(|checker| checker.is_file()).and_then(plain);
        let (Some(checker), Some(expectation)) = (checker, plain(expectation)) else { return Vec::new() };
        [
            format!("DPkg::Pre-Install-Pkgs::={checker} --check-plan {expectation}"),
            format!("DPkg::Tools::Options::{checker}::Version=3"),
        ]
        .into_iter()
        .flat_map(|option| ["-o".to_owned(), option])
        .collect()
    }

    fn carry_out(
        &self,
        mode: &[&str],
        work: &Work<'_>,
        patience: Patience,
        watch: &mut dyn Watch,
        kept: Option<BorrowedFd<'_>>,
    ) -> Result<Ended, AptError> {
        let status = open_to_append(&work.status).map_err(AptError::Output)?;
        let lock_wait = format!("DPkg::Lock::Timeout={}", work.lock_wait.as_secs());
        let status_fd = status_option(&status);
        let mode = [mode, &["-o", lock_wait.as_str(), "-o", status_fd.as_str()]].concat();
        let arguments = planning(&mode, work.licence, work.plan, work.native);
        let inherited: Vec<_> = std::iter::once(status.as_fd()).chain(kept).collect();
        let call = Call {
            program: &self.program("apt-get"),
            arguments: &arguments,
            output: &work.log,
            errors: None,
            inherited: &inherited,
        };
        Ok(child::run(&call, patience, watch)?)
    }

    /// Marks packages as installed for another package's sake: `apt-get install` forgets that of those that it names.
    pub(crate) fn mark_automatic(&self, packages: &[PackageId], log: &Path) -> Result<Ended, AptError> {
        let names = packages.iter().map(|package| match package.architecture.as_str() {
            "all" => package.name.to_string(),
            _ => package.to_string(),
        });
        let arguments: Vec<String> = std::iter::once("auto".to_owned()).chain(names).collect();
        let call = Call {
            program: &self.program("apt-mark"),
            arguments: &arguments,
            output: log,
            errors: None,
            inherited: &[],
        };
        Ok(child::run(&call, Patience::Endless, &mut |_: &str| {})?)
    }

    fn ask(
        &self,
        arguments: &[String],
        name: &str,
        patience: Patience,
        watch: &mut dyn Watch,
        inherited: &[BorrowedFd<'_>],
    ) -> Result<Said, AptError> {
        let path = |end: &str| self.output.join(format!("{name}.{end}"));
        let (output, errors) = (path("out"), path("err"));
        remove(&output)?;
        remove(&errors)?;
        let (program, output_path, errors_path) = (&self.program("apt-get"), &output, Some(errors.as_path()));
        let call = Call { program, arguments, output: output_path, errors: errors_path, inherited };
        let ended = child::run(&call, patience, watch)?;
        let read = |path: &Path| {
            let content = read::read(&Root::host(), path, MAX_OUTPUT)?;
            Ok::<_, FileError>(String::from_utf8_lossy(&content).into_owned())
        };
        Ok(Said { ended, output: read(&output)?, errors: read(&errors)? })
    }
}

/// Tests are no executor, and can't be asked.
fn checker() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    (program.file_name()? == "patchd-executor").then_some(program)
}

/// Removes what an earlier call left.
fn remove(path: &Path) -> Result<(), AptError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AptError::Output(error)),
        _ => Ok(()),
    }
}

fn status_option(status: &File) -> String {
    format!("APT::Status-Fd={}", status.as_raw_fd())
}

/// The arguments of a call that plans: installed packages are named with the version that they go to. New ones aren't:
/// they come as dependencies, keep their automatic mark, and the dry run shows which version apt takes.
fn planning(mode: &[&str], licence: Licence, plan: &Plan, native: &Architecture) -> Vec<String> {
    let upgrades = plan.changes().iter().filter(|change| change.from.is_some()).map(|change| {
        let PackageId { name, architecture } = &change.package;
        if *architecture == *native || architecture.as_str() == "all" {
            format!("{name}={}", change.to)
        } else {
            format!("{name}:{architecture}={}", change.to)
        }
    });
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let licence = licence.options();
    let parts = words(&PLANNING).into_iter().chain(licence).chain(words(mode)).chain(words(&["install"]));
    parts.chain(upgrades).collect()
}

#[cfg(test)]
mod tests;
