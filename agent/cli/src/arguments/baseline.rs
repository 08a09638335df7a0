//! What `patchctl baseline` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

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
    /// Judge this host by two baselines, and show the packages that they don't judge the same
    ///
    /// The host is read without the daemon and not changed.
    Diff(DiffBaselineArguments),
}

#[derive(Debug, Args)]
pub(crate) struct DiffBaselineArguments {
    /// A file, builtin:ID, the name of a predefined baseline, or `host` for the one that the host is judged by
    #[arg(value_name = "A")]
    pub(crate) a: String,

    /// Another one
    #[arg(value_name = "B")]
    pub(crate) b: String,

    /// Read the host whose root directory is DIR instead of this one
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// Judge as if it were this time, written like 2026-11-23T06:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<Timestamp>,

    /// Show every row
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowBaselineArguments {
    /// A file, builtin:ID, the name of a predefined baseline, or `host` for the one that this host is judged by [default: host]
    #[arg(value_name = "BASELINE")]
    pub(crate) baseline: Option<String>,

    /// Show that of the host whose root directory is DIR
    #[arg(long, value_name = "DIR", conflicts_with = "baseline")]
    pub(crate) root: Option<PathBuf>,

    /// Print it as patchd's own TOML, ready to be saved
    #[arg(long)]
    pub(crate) toml: bool,
}
