//! Having apt fetch and install again what was cut half way. It is tried dry first: nothing but those packages may move.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use patchd_core::inventory::Inventory;
use patchd_core::package::{Architecture, PackageId, PackageName, Version};

use super::{Apt, AptError, PLANNING, SIMULATION_LIMIT, Simulation, status_option};
use crate::child::{self, Call, Ended, Patience, Watch, open_to_append};
use crate::text;

/// How long the archives may take to be fetched.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What came of it.
#[derive(Debug)]
pub(crate) enum Reinstalled {
    /// apt won't, or would do more than that, in a sentence. Nothing was changed.
    Refused(String),
    Ran(Ended),
}

/// What is to be installed again, in which versions.
#[derive(Debug)]
pub(crate) struct Reinstallation<'a> {
    pub(crate) packages: &'a [(PackageId, Version)],
    pub(crate) inventory: &'a Inventory,
    /// Where apt's words for people go, and those for programs.
    pub(crate) log: &'a Path,
    pub(crate) status: &'a Path,
    /// Stays open in apt as long as it runs.
    pub(crate) kept: Option<BorrowedFd<'a>>,
}

impl Apt {
    /// Installs packages again. `lock_wait` is how long another package manager is waited for.
    pub(crate) fn reinstall(
        &self,
        call: &Reinstallation<'_>,
        lock_wait: Duration,
        watch: &mut dyn Watch,
    ) -> Result<Reinstalled, AptError> {
        let Reinstallation { packages, inventory, log, status, kept } = *call;
        let arguments = reinstalling(&["-s"], packages, &inventory.native);
        let patience = Patience::Limited { total: SIMULATION_LIMIT, silence: SIMULATION_LIMIT };
        let said = self.ask(&arguments, "reinstall", patience, &mut |_: &str| {}, &[])?;
        if said.ended.cut.is_some() {
            return Err(AptError::Overdue);
        }
        if !said.ended.is_success() {
            let refused = Simulation::refused(&said.errors, said.ended.code);
            return Ok(Reinstalled::Refused(text::cut(&refused.refusal.unwrap_or_default())));
        }
        let simulated = Simulation::parse(&said.output, inventory)?;
        if let Some(more) = beyond(packages, &simulated) {
            return Ok(Reinstalled::Refused(format!("apt-get would change {more} for it, too")));
        }
        let file = open_to_append(status).map_err(AptError::Output)?;
        let lock_wait = format!("DPkg::Lock::Timeout={}", lock_wait.as_secs());
        let status_fd = status_option(&file);
        let inherited: Vec<_> = std::iter::once(file.as_fd()).chain(kept).collect();
        let mut run = |mode: &[&str], patience| {
            let mode = [mode, &["-o", lock_wait.as_str(), "-o", status_fd.as_str()]].concat();
            let arguments = reinstalling(&mode, packages, &inventory.native);
            let (program, arguments) = (&self.program("apt-get"), arguments.as_slice());
            let call = Call { program, arguments, output: log, errors: None, inherited: &inherited };
            child::run(&call, patience, watch)
        };
        // A server that hangs must not hold up the rest: only fetching may be ended.
        let fetching = Patience::Limited { total: FETCH_LIMIT, silence: self.fetch_silence };
        let fetched = run(&["-d", "-o", "Acquire::Retries=2"], fetching)?;
        if !fetched.is_success() {
            return Ok(Reinstalled::Refused("the archives could not be fetched".into()));
        }
        Ok(Reinstalled::Ran(run(&[], Patience::Endless)?))
    }
}

/// A package that would change besides.
fn beyond(packages: &[(PackageId, Version)], simulated: &Simulation) -> Option<String> {
    let names: BTreeSet<&PackageName> = packages.iter().map(|(id, _)| &id.name).collect();
    let changed = simulated.changes.iter().map(|change| &change.package);
    let mut all = simulated.removals.iter().chain(changed.filter(|id| !names.contains(&id.name)));
    all.next().map(ToString::to_string)
}

fn reinstalling(mode: &[&str], packages: &[(PackageId, Version)], native: &Architecture) -> Vec<String> {
    let planning = PLANNING.iter().filter(|word| **word != "--only-upgrade");
    let fixed = ["--no-remove", "--reinstall", "-o", "APT::Get::allow-downgrades=false"];
    let words = planning.chain(&fixed).chain(mode).chain(&["install"]).map(|word| (*word).to_owned());
    let name = |(PackageId { name, architecture }, version): &(PackageId, Version)| {
        if architecture == native || architecture.as_str() == "all" {
            format!("{name}={version}")
        } else {
            format!("{name}:{architecture}={version}")
        }
    };
    words.chain(packages.iter().map(name)).collect()
}
