//! The packages: the release's as `cargo xtask dist` left them, and others of the programs of this build, made in seconds
//! for tests of what packages do to a host.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::binaries::fresh_in;
use crate::{command, place};

const CURE: &str = "run `cargo xtask dist`, or `cargo xtask test`, which does";

/// The release.
#[derive(Debug)]
pub struct Release {
    pub deb: PathBuf,
    pub rpm: PathBuf,
    pub bill_of_materials: PathBuf,
    /// The three programs in them.
    pub programs: [PathBuf; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Deb,
    Rpm,
}

impl Release {
    /// Finds it; refuses one that is older than what it is made of.
    pub fn find() -> Result<Self> {
        let target = place::target_directory()?;
        let built = target.join("dist/x86_64-unknown-linux-gnu/release");
        let program = |name| fresh_in(&built, name, CURE);
        let programs = [program("patchd")?, program("patchctl")?, program("patchd-executor")?];
        let packages = target.join("packages");
        let version = env!("CARGO_PKG_VERSION");
        let release = Self {
            deb: packages.join(format!("patchd_{version}-1_amd64.deb")),
            rpm: packages.join(format!("patchd-{version}-1.x86_64.rpm")),
            bill_of_materials: packages.join(format!("patchd-{version}.cdx.json")),
            programs,
        };
        for package in [&release.deb, &release.rpm] {
            let made =
                modified(package).with_context(|| format!("{} is not there: {CURE}", package.display()))?;
            for source in release.programs.iter().cloned().chain(sources()?) {
                if made < modified(&source)? {
                    bail!("{} is older than {}: {CURE}", package.display(), source.display());
                }
            }
        }
        Ok(release)
    }
}

/// A package of the programs of this build, below `place`, that calls itself so. It is compressed as little as can be.
pub fn of_this_build(family: Family, version: &str, place: &Path) -> Result<PathBuf> {
    of_programs(&place::profile_directory()?, family, version, place)
}

/// The same of other programs.
pub fn of_programs(programs: &Path, family: Family, version: &str, to: &Path) -> Result<PathBuf> {
    let mut dist = command::command(place::profile_directory()?.join("xtask"));
    // It asks cargo what is linked.
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
        if let Some(value) = std::env::var_os(name) {
            dist.env(name, value);
        }
    }
    let only = match family {
        Family::Deb => "deb",
        Family::Rpm => "rpm",
    };
    dist.args(["dist", "--compression", "0", "--only", only, "--version", version, "--programs"])
        .arg(programs);
    let said = command::finish(dist.arg("--out").arg(to))?.success()?;
    let extension = format!(".{only}");
    let made = said.stdout.lines().find(|line| line.ends_with(&extension)).map(PathBuf::from);
    made.with_context(|| format!("{} names no package: {}", said.line, said.stdout))
}

/// Everything that goes into a package beside the programs; what is of no package does no harm.
fn sources() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in ["packaging", "systemd", "docs/man", "docs/completions"] {
        files_below(&place::workspace().join(folder), &mut found)?;
    }
    Ok(found)
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn modified(path: &Path) -> Result<std::time::SystemTime> {
    path.metadata()
        .and_then(|found| found.modified())
        .with_context(|| format!("looking at {}", path.display()))
}
