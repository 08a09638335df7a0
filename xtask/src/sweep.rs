//! `cargo xtask sweep`: builds the programs, then cuts runs at point after point and prints the table. The work itself is
//! the program `sweep` of the tests.

use std::process::ExitCode;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::{Workspace, setup};

/// What to cut.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SweepArguments {
    /// Chooses the points: the same seed chooses the same
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many cases
    #[arg(long, default_value_t = 45)]
    cases: usize,
    /// Every point with every target: hours
    #[arg(long)]
    all: bool,
    /// One part of these cases, as N/M: all parts together are all of them
    #[arg(long, value_name = "N/M")]
    part: Option<String>,
    /// These cases only, each as WATCH:NUMBER:TARGET
    #[arg(long, value_name = "ID")]
    case: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &SweepArguments) -> Result<ExitCode> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the sweep needs root: it mounts disposable roots and runs apt in them");
    }
    setup::run(workspace)?;
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    cmd!(shell, "cargo build --workspace --bins --locked").run()?;
    let program = workspace.target.join("debug/sweep");
    let (seed, cases) = (arguments.seed.to_string(), arguments.cases.to_string());
    let all = arguments.all.then_some("--all");
    let named = arguments.case.iter().flat_map(|case| ["--case", case.as_str()]);
    let part = arguments.part.as_deref().into_iter().flat_map(|part| ["--part", part]);
    let status =
        cmd!(shell, "{program} --seed {seed} --cases {cases} {all...} {part...} {named...}").ignore_status();
    let ended = std::process::Command::from(status).status()?;
    Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
