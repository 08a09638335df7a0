//! `cargo xtask dist`: the packages that hosts install. It builds the programs, unless it is given them, and packs them.
//!
//! The same sources give the same bytes: nothing of the clock, the machine, its user or its paths goes into a package. It
//! signs nothing: who publishes packages signs them, with a key that is none of the build's business.

mod build;
pub(crate) mod contents;
mod deb;
mod rpm;
mod sbom;
mod stage;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use xshell::{Shell, cmd};

use crate::Workspace;

/// Which package it is of the versions that are the same outside. Both families want one.
const REVISION: &str = "1";

/// Who answers for the packages. Whoever publishes them puts himself here.
const MAINTAINER: &str = "The patchd maintainers <patchd@example.org>";

const SUMMARY: &str = "patch agent for fleets of EC2 Linux hosts";

/// Of paragraphs, each a line.
const DESCRIPTION: [&str; 3] = [
    "patchd knows what is installed on this host, what its vendor has fixed since and how severe each hole is. It judges the \
     host by a patch baseline as AWS Systems Manager has them, and makes it compliant with the host's own package manager: \
     inside of windows that its operator approved, and nowhere else.",
    "Without a configured window it only looks and reports, to a directory or to S3. What was done is read back from the \
     package database, and each package that waits has a reason.",
    "The daemon runs without privileges; a root helper with a closed list of verbs is started when there is something to do.",
];

/// What a 512 MB host unpacks in nine megabytes of memory; more takes more there, and hardly makes less here.
const DEFAULT_COMPRESSION: u8 = 6;

/// The programs in a package.
pub(crate) const PROGRAMS: [&str; 3] = ["patchd", "patchctl", "patchd-executor"];

#[derive(Debug, clap::Args)]
pub(crate) struct DistArguments {
    /// Packs the programs that lie there, as they are, and builds none
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// What the packages call themselves; the workspace's version unless it is given
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Where the packages go; target/packages unless it is given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Makes one of the two
    #[arg(long, value_name = "FAMILY")]
    only: Option<Family>,
    /// How hard to compress: less is faster, for packages that are only tried out
    #[arg(long, value_name = "0-9", default_value_t = DEFAULT_COMPRESSION, value_parser = clap::value_parser!(u8).range(0..=9))]
    compression: u8,
    /// What the packages are for
    #[arg(long, value_enum, default_value_t = Architecture::Amd64)]
    arch: Architecture,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Family {
    Deb,
    Rpm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    fn rpm(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// How ELF numbers the machine.
    fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

/// Everything that decides about the bytes of a package.
#[derive(Debug)]
struct Recipe {
    /// The workspace.
    root: PathBuf,
    programs: PathBuf,
    version: String,
    architecture: Architecture,
    compression: u8,
    /// Seconds since 1970: how old everything is.
    epoch: u64,
    /// Empty until it was asked for.
    bill_of_materials: String,
}

impl Recipe {
    fn file_name(&self, family: Family) -> String {
        let (version, architecture) = (&self.version, self.architecture);
        match family {
            Family::Deb => format!("patchd_{version}-{REVISION}_{}.deb", architecture.debian()),
            Family::Rpm => format!("patchd-{version}-{REVISION}.{}.rpm", architecture.rpm()),
        }
    }
}

/// The release as the tests look at it.
pub(crate) fn release(workspace: &Workspace) -> Result<()> {
    let compression = DEFAULT_COMPRESSION;
    let arch = Architecture::Amd64;
    run(workspace, DistArguments { programs: None, version: None, out: None, only: None, compression, arch })
}

/// Where the programs of the release lie.
pub(crate) fn release_programs(workspace: &Workspace) -> PathBuf {
    workspace.target.join("dist").join(Architecture::Amd64.target()).join("release")
}

pub(crate) fn run(workspace: &Workspace, arguments: DistArguments) -> Result<()> {
    let shell = Shell::new()?;
    let given = arguments.programs.map(std::path::absolute).transpose()?;
    let out = arguments.out.map_or_else(|| Ok(workspace.target.join("packages")), std::path::absolute)?;
    shell.change_dir(&workspace.root);
    let programs = match given {
        Some(programs) => programs,
        None => build::programs(&shell, workspace, arguments.arch)?,
    };
    let version = arguments.version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let mut recipe = Recipe {
        root: workspace.root.clone(),
        programs,
        version: parse_version(version)?,
        architecture: arguments.arch,
        compression: arguments.compression,
        epoch: source_date(&shell)?,
        bill_of_materials: String::new(),
    };
    recipe.bill_of_materials = sbom::document(&shell, &recipe)?;
    let families = arguments.only.map_or_else(|| vec![Family::Deb, Family::Rpm], |family| vec![family]);
    for made in assemble(&shell, &recipe, &families, &out)? {
        println!("{}", made.display());
    }
    Ok(())
}

/// Makes the packages, and beside them the list of their checksums. Answers with all that it made.
fn assemble(shell: &Shell, recipe: &Recipe, families: &[Family], out: &Path) -> Result<Vec<PathBuf>> {
    for program in PROGRAMS {
        check_machine(&recipe.programs.join(program), recipe.architecture)?;
    }
    shell.create_dir(out)?;
    let scratch = tempfile::tempdir().context("making a directory to work in")?;
    let mut made = Vec::new();
    for family in families {
        let tree = stage::Tree::lay_out(shell, recipe, *family, scratch.path())?;
        let package = match family {
            Family::Deb => deb::make(shell, recipe, &tree, scratch.path())?,
            Family::Rpm => rpm::make(shell, recipe, &tree, scratch.path())?,
        };
        let place = out.join(recipe.file_name(*family));
        shell.copy_file(&package, &place)?;
        made.push(place);
    }
    let place = out.join(format!("patchd-{}.cdx.json", recipe.version));
    shell.write_file(&place, &recipe.bill_of_materials)?;
    made.push(place);
    made.push(checksums(shell, &made, out)?);
    Ok(made)
}

/// What was made now; what else lies there is not ours to vouch for.
fn checksums(shell: &Shell, made: &[PathBuf], out: &Path) -> Result<PathBuf> {
    let names: Vec<_> = made.iter().filter_map(|path| path.file_name()).collect();
    let list = {
        let _there = shell.push_dir(out);
        cmd!(shell, "sha256sum -- {names...}").quiet().read()?
    };
    let place = out.join("SHA256SUMS");
    shell.write_file(&place, format!("{list}\n"))?;
    Ok(place)
}

/// A package never says that it is for another machine than its programs are.
fn check_machine(program: &Path, architecture: Architecture) -> Result<()> {
    let bytes =
        std::fs::read(program).with_context(|| format!("reading the program {}", program.display()))?;
    let [0x7f, b'E', b'L', b'F', _, little @ ..] = bytes.as_slice() else {
        bail!("{} is not an ELF program", program.display());
    };
    let machine = little.get(13..15).and_then(|two| two.try_into().ok()).map(u16::from_le_bytes);
    ensure!(
        machine == Some(architecture.elf_machine()),
        "{} is not for {}",
        program.display(),
        architecture.debian()
    );
    Ok(())
}

/// Versions that dpkg, rpm and a file name take alike: the revision's dash and rpm's caret are left to the revision.
fn parse_version(version: String) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '~' | '+');
    ensure!(
        version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(is_plain),
        "{version:?} is no version: it begins with a digit, and has letters, digits, `.`, `~` and `+`"
    );
    Ok(version)
}

/// How old everything in a package is: `SOURCE_DATE_EPOCH`, else the last commit, else what `git archive` wrote down.
fn source_date(shell: &Shell) -> Result<u64> {
    let text = if let Ok(given) = shell.var("SOURCE_DATE_EPOCH") {
        given
    } else if Path::new(&shell.current_dir()).join(".git").exists() {
        cmd!(shell, "git log -1 --format=%ct").quiet().read().context("asking git for the last commit")?
    } else {
        shell.read_file("packaging/source-date")?
    };
    text.trim().parse().with_context(|| {
        format!(
            "{:?} are no seconds since 1970: set SOURCE_DATE_EPOCH to the date of these sources",
            text.trim()
        )
    })
}

/// The date of the sources as `date` prints it.
fn date(shell: &Shell, recipe: &Recipe, format: &str) -> Result<String> {
    let at = format!("@{}", recipe.epoch);
    Ok(cmd!(shell, "env LC_ALL=C date --utc --date {at} {format}").quiet().read()?)
}
