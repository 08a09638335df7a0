//! The binaries of this workspace as cargo built them. It builds nothing itself: it refuses a stale one by name.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::place;

/// The three programs.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub patchd: PathBuf,
    pub patchd_executor: PathBuf,
    pub patchctl: PathBuf,
}

impl Binaries {
    /// Finds them beside the running test.
    pub fn find() -> Result<Self> {
        Ok(Self {
            patchd: fresh("patchd")?,
            patchd_executor: fresh("patchd-executor")?,
            patchctl: patchctl()?,
        })
    }
}

/// The root helper, which the scenarios of it alone need.
pub fn executor() -> Result<PathBuf> {
    fresh("patchd-executor")
}

/// The one that needs no other.
pub fn patchctl() -> Result<PathBuf> {
    fresh("patchctl")
}

fn fresh(name: &str) -> Result<PathBuf> {
    fresh_in(
        &place::profile_directory()?,
        name,
        "run `cargo build --workspace --bins --tests`, or `cargo xtask test`, which does",
    )
}

/// The path of a binary that is not older than any of its sources, which cargo lists in the `.d` file beside it.
pub(crate) fn fresh_in(directory: &Path, name: &str, cure: &str) -> Result<PathBuf> {
    let binary = directory.join(name);
    let Ok(built) = modified(&binary) else {
        bail!("{} is not built: {cure}", binary.display());
    };
    let list = directory.join(format!("{name}.d"));
    let list = std::fs::read_to_string(&list).with_context(|| format!("reading {}", list.display()))?;
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    for source in sources.split_whitespace().map(Path::new) {
        if modified(source).is_ok_and(|changed| built < changed) {
            bail!("{} is older than {}: {cure}", binary.display(), source.display());
        }
    }
    Ok(binary)
}

fn modified(path: &Path) -> std::io::Result<SystemTime> {
    path.metadata()?.modified()
}
