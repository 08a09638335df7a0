//! Everything that cargo can't do by itself. `cargo xtask test` is the gate: what passes it may land.
//!
//! It changes the machine in one way only: it installs what the tests need.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers, which prints")]

mod bench;
mod dist;
mod gate;
mod lab;
mod readme;
mod setup;
mod sweep;
mod tally;
#[cfg(test)]
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

/// Works on the workspace of patchd.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install what the tests need, then run every check and every test; the last line counts.
    Test {
        /// Only the stories that are played on a virtual machine, which the run without this leaves out
        #[arg(long)]
        vm: bool,
    },
    /// Install what the tests need, and nothing else.
    Setup,
    /// Cut runs at point after point in disposable roots, and judge what is left; exits 1 unless all is well
    Sweep(sweep::SweepArguments),
    /// Make the packages that hosts install.
    Dist(dist::DistArguments),
    /// Make a place to try patchd in.
    Lab {
        #[command(subcommand)]
        lab: lab::Lab,
    },
    /// Measure ours beside the peer on this machine's own database and lists.
    Bench(bench::BenchArguments),
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some(bench::measure::MARK) {
        // Before anything else, to stay small: what is measured starts with the memory of this process.
        let line: Vec<String> = words.collect();
        return exit(bench::measure::run_one(&line).map(|()| ExitCode::SUCCESS));
    }
    let result = Workspace::find().and_then(|workspace| match Arguments::parse().task {
        Task::Test { vm: false } => gate::run(&workspace),
        Task::Test { vm: true } => gate::run_vm(&workspace),
        Task::Lab { lab } => lab::run(&workspace, &lab),
        Task::Bench(arguments) => bench::run(&workspace, arguments).map(|()| ExitCode::SUCCESS),
        Task::Dist(arguments) => dist::run(&workspace, arguments).map(|()| ExitCode::SUCCESS),
        Task::Sweep(arguments) => sweep::run(&workspace, &arguments),
        Task::Setup => setup::run(&workspace).map(|()| ExitCode::SUCCESS),
    });
    exit(result)
}

fn exit(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// Where the sources and what is built from them lie.
#[derive(Debug, Clone)]
struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    fn find() -> Result<Self> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let root = root.canonicalize().with_context(|| format!("finding {}", root.display()))?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(directory) => root.join(directory),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }
}
