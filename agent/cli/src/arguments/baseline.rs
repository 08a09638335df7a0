//! What `patchctl baseline` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Read baselines and print each mistake as FILE:LINE: PATH: what is wrong
    ///
    /// What `aws ssm get-patch-baseline` prints, snapshots, override lists and patchd's own TOML are read; a file whose
    /// name ends in .yaml or .yml is an InstallOverrideList.
    Check {
        /// The files; - is standard input
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what a baseline says: in words, as AWS prints it (--json), or in patchd's own form (--toml)
    Show(ShowBaselineArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ShowBaselineArguments {
    /// A file, builtin:ID, or the name of a predefined baseline [default: the one that this host is judged by]
    #[arg(value_name = "BASELINE")]
    pub(crate) baseline: Option<String>,

    /// Print it as patchd's own TOML, ready to be saved
    #[arg(long)]
    pub(crate) toml: bool,
}
