//! The marks of packages that were installed for another's sake: apt forgets them of packages that it is told to upgrade
//! by name, and they are given back, also after the executor that wanted to do so is dead.
//!
//! What is to be given back lies in a file from before the transaction on; whoever gives it back removes the file.

use patchd_core::inventory::{Inventory, Mark};
use patchd_core::package::{Architecture, PackageId, PackageName};
use patchd_core::plan::Plan;
use patchd_host::durable::{self, atomic_write};
use patchd_host::read;
use patchd_host::root::Root;

use crate::child::Ended;
use crate::record::Held;
use crate::refusal::Stop;
use crate::transaction::checks::few;
use crate::verbs::Executor;
use crate::{log, read_back};

/// The longest file of marks, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Keeps which packages of the plan are marked as automatic.
pub(crate) fn remember(executor: &Executor, id: &str, plan: &Plan, before: &Inventory) -> Result<(), Stop> {
    remember_these(executor, id, plan.changes().iter().map(|change| &change.package), before)
}

/// The same for any packages.
pub(crate) fn remember_these<'a>(
    executor: &Executor,
    id: &str,
    packages: impl Iterator<Item = &'a PackageId>,
    before: &Inventory,
) -> Result<(), Stop> {
    let is_automatic =
        |id: &&PackageId| read_back::find(before, id).is_some_and(|package| package.mark == Mark::Automatic);
    let lines: String = packages.filter(is_automatic).map(|id| format!("{id}\n")).collect();
    if lines.is_empty() {
        return Ok(());
    }
    atomic_write(&executor.records.marks(id), lines.as_bytes(), 0o600).map_err(|error| Stop::failed(&error))
}

/// What was kept for a transaction that didn't begin is of no use.
pub(crate) fn forget(executor: &Executor, id: &str) {
    if let Err(error) = durable::remove(&executor.records.marks(id)) {
        log::warning(format_args!("transaction {id}: the kept marks can't be removed: {error}"));
    }
}

/// Gives the packages of a transaction their marks back. What could not be done is returned as a note.
pub(crate) fn give_back(executor: &Executor, id: &str, _held: &Held) -> Option<String> {
    let path = executor.records.marks(id);
    let content = match read::read_optional(&Root::host(), &path, MAX_FILE) {
        Ok(content) => content?,
        Err(error) => return Some(format!("the automatic marks can't be given back: {error}")),
    };
    let now = executor.inventory();
    let is_lost =
        |id: &PackageId| read_back::find(&now, id).is_some_and(|package| package.mark == Mark::Manual);
    let lines = String::from_utf8_lossy(&content);
    let lost: Vec<PackageId> = lines.lines().filter_map(parse).filter(is_lost).collect();
    if !lost.is_empty() {
        let marked = executor.apt.mark_automatic(&lost, &executor.records.log(id));
        if !marked.is_ok_and(Ended::is_success) {
            let names: Vec<_> = lost.iter().map(ToString::to_string).collect();
            return Some(format!(
                "the automatic mark of {} could not be given back: apt-mark auto",
                few(&names)
            ));
        }
    }
    durable::remove(&path).err().map(|error| format!("the marks to give back can't be forgotten: {error}"))
}

/// Gives back what transactions left that were cut. Nobody may be at work.
pub(crate) fn give_back_left(executor: &Executor, held: &Held) {
    for id in executor.records.with_marks() {
        if !executor.records.has_begun(&id) {
            forget(executor, &id);
            continue;
        }
        if let Some(note) = give_back(executor, &id, held) {
            log::warning(format_args!("transaction {id}: {note}"));
        }
    }
}

fn parse(line: &str) -> Option<PackageId> {
    let (name, architecture) = line.split_once(':')?;
    let (name, architecture) = (PackageName::parse(name).ok()?, Architecture::parse(architecture).ok()?);
    Some(PackageId { name, architecture })
}
