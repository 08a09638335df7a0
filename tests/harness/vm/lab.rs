//! Where things of virtual machines lie: below the target directory, beside the base roots, and made by one process at a
//! time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use crate::place;

pub(super) fn directory() -> Result<PathBuf> {
    let directory = place::target_directory()?.join("lab");
    std::fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    Ok(directory)
}

/// Waits for whoever else makes something here.
pub(super) fn lock() -> Result<Flock<std::fs::File>> {
    let lock = directory()?.join("lock");
    let lock = std::fs::File::create(&lock).with_context(|| format!("opening {}", lock.display()))?;
    Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .context("waiting for another process to build the virtual machine")
}

/// Removes a directory, if there is one.
pub(super) fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", directory.display()))
        }
        _ => Ok(()),
    }
}
