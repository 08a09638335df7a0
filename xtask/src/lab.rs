//! `cargo xtask lab vm`: the virtual machine of the tests, built if it has to be, and a shell in it. The work itself is the
//! program `lab-vm` of the tests.

use std::process::ExitCode;

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::{Workspace, setup};

/// What to make.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Lab {
    /// Builds the virtual machine of the tests, which takes minutes once
    Vm {
        /// Boots it then, with this terminal as its console; Ctrl-A X switches it off, and nothing is kept
        #[arg(long)]
        shell: bool,
    },
}

pub(crate) fn run(workspace: &Workspace, lab: &Lab) -> Result<ExitCode> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the lab needs root: it installs a system into a directory");
    }
    setup::run(workspace)?;
    let Lab::Vm { shell: wants_shell } = lab;
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    cmd!(shell, "cargo build --workspace --bins --locked").run()?;
    let program = workspace.target.join("debug/lab-vm");
    cmd!(shell, "{program} build").run()?;
    if *wants_shell {
        let ended = std::process::Command::from(cmd!(shell, "{program} shell")).status()?;
        return Ok(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    println!("a shell in it: cargo xtask lab vm --shell");
    Ok(ExitCode::SUCCESS)
}
