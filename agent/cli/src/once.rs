//! Reads a host without the daemon: which root, which configuration, which time. It writes nothing.

use std::path::Path;

use patchd_core::inventory::Inventory;
use patchd_core::problem::{Problem, Weight};
use patchd_host::root::Root;

use crate::arguments::OnceArguments;
use crate::exit::{Exit, Failure};

/// The root to read. A directory that isn't there is a slip of the caller, and no empty host.
pub(crate) fn root_of(arguments: &OnceArguments) -> Result<Root, Failure> {
    arguments.root.as_deref().map_or_else(|| Ok(Root::host()), existing_root)
}

pub(crate) fn existing_root(directory: &Path) -> Result<Root, Failure> {
    let unusable = |reason: String| {
        Failure::because(Exit::BadInput, format!("can't read {}: {reason}", directory.display()))
    };
    // Absolute, so that every place in every problem can be found from anywhere.
    let directory = std::path::absolute(directory).map_err(|error| unusable(error.to_string()))?;
    match std::fs::metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => Ok(Root::at(directory)),
        Ok(_) => Err(unusable("it is no directory".into())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// A host without a single package has no readable database: that is a failure, whatever else could be read.
pub(crate) fn check_readable(inventory: &Inventory) -> Result<(), Failure> {
    if !inventory.packages.is_empty() {
        return Ok(());
    }
    let worst = inventory.problems.iter().find(|problem| problem.weight == Weight::Incomplete);
    let sentence = worst.map_or_else(|| "it names no package".into(), Problem::to_string);
    Err(Failure::because(Exit::Failed, format!("can't read the package database: {sentence}")))
}
