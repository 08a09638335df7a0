//! The gate: format, lints, build, packages, tests. A step that fails hides none after it, and the last line always counts.

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell, cmd};

use crate::tally::{self, Tally};
use crate::{Workspace, dist, readme, setup};

/// Runs every step but the stories on virtual machines. The closing line is the last thing that is printed.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    run_steps(workspace, |gate| steps(workspace, gate))
}

/// Plays the stories on virtual machines, with the programs as they are shipped.
pub(crate) fn run_vm(workspace: &Workspace) -> Result<ExitCode> {
    run_steps(workspace, |gate| vm(workspace, gate))
}

fn run_steps(workspace: &Workspace, steps: impl FnOnce(&mut Gate) -> Result<()>) -> Result<ExitCode> {
    let mut gate = Gate::default();
    if let Err(error) = setup::run(workspace) {
        eprintln!("xtask: {error:#}");
        gate.add("setup", Tally::FAILED);
    } else {
        steps(&mut gate)?;
    }
    println!();
    for note in &gate.notes {
        println!("{note}");
    }
    for (step, tally) in &gate.steps {
        println!("{step:>10}: {tally}");
    }
    let total = gate.total();
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Debug, Default)]
struct Gate {
    steps: Vec<(&'static str, Tally)>,
    notes: Vec<String>,
}

impl Gate {
    fn add(&mut self, step: &'static str, tally: Tally) {
        self.steps.push((step, tally));
    }

    /// Runs a check that either passes or fails.
    fn check(&mut self, step: &'static str, command: Cmd<'_>) -> bool {
        let result = command.run();
        if let Err(error) = &result {
            eprintln!("xtask: {error}");
        }
        self.add(step, if result.is_ok() { Tally::PASSED } else { Tally::FAILED });
        result.is_ok()
    }

    /// Takes what a piece of work of our own came to.
    fn task(&mut self, step: &'static str, result: Result<()>) -> bool {
        if let Err(error) = &result {
            eprintln!("xtask: {error:#}");
        }
        self.add(step, if result.is_ok() { Tally::PASSED } else { Tally::FAILED });
        result.is_ok()
    }

    fn total(&self) -> Tally {
        let mut total = Tally::default();
        for (_, tally) in &self.steps {
            total += *tally;
        }
        total
    }
}

fn steps(workspace: &Workspace, gate: &mut Gate) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    // What failed says where; a page of frames for each would bury it.
    shell.set_var("RUST_BACKTRACE", "0");
    // Roots of tests that were killed; nothing is mounted there any more.
    shell.remove_path(workspace.target.join("scratch"))?;

    gate.check("format", cmd!(shell, "cargo fmt --all --check"));
    gate.check("clippy", cmd!(shell, "cargo clippy --workspace --all-targets --locked -- -D warnings"));
    // The scenarios run the programs, which the test runner itself would not build.
    let is_built = gate.check("build", cmd!(shell, "cargo build --workspace --bins --tests --locked"));
    // A build of its own kind, for release and an older glibc: cargo can't do that while it runs the tests.
    gate.task("dist", dist::release(workspace));
    if is_built {
        tests(&shell, workspace, gate, Profile::Default)?;
        gate.notes.push("tests: left out: the stories on virtual machines: `cargo xtask test --vm`".into());
        doctests(&shell, gate)?;
        readme(&shell, workspace, gate);
    } else {
        gate.add("tests", Tally::FAILED);
    }
    if cmd!(shell, "cargo deny --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        gate.check("deny", cmd!(shell, "cargo deny --offline --log-level error check bans licenses sources"));
    } else {
        gate.notes.push("deny: left out: cargo-deny is not installed; the tidy tests keep the bans".into());
    }
    Ok(())
}

fn vm(workspace: &Workspace, gate: &mut Gate) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    shell.set_var("RUST_BACKTRACE", "0");
    shell.remove_path(workspace.target.join("scratch"))?;
    let is_released = gate.task("dist", dist::release(workspace));
    let is_built =
        is_released && gate.check("build", cmd!(shell, "cargo build --workspace --bins --tests --locked"));
    if !is_built {
        gate.add("tests", Tally::FAILED);
        return Ok(());
    }
    shell.set_var("PATCHD_VM_PROGRAMS", dist::release_programs(workspace));
    // Here, so that no test is ended for what takes minutes once.
    let lab = workspace.target.join("debug/lab-vm");
    if gate.check("machine", cmd!(shell, "{lab} build")) {
        tests(&shell, workspace, gate, Profile::Vm)?;
    } else {
        gate.add("tests", Tally::FAILED);
    }
    Ok(())
}

/// Which tests are run, as `.config/nextest.toml` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    Default,
    Vm,
}

fn tests(shell: &Shell, workspace: &Workspace, gate: &mut Gate, profile: Profile) -> Result<()> {
    let profile = match profile {
        Profile::Default => "default",
        Profile::Vm => "vm",
    };
    let junit = workspace.root.join("target/nextest").join(profile).join("junit.xml");
    shell.remove_path(&junit)?;
    let result =
        cmd!(shell, "cargo nextest run --profile {profile} --workspace --no-fail-fast --locked").run();
    let text = if junit.exists() { shell.read_file(&junit)? } else { String::new() };
    let mut tests = tally::junit(&text);
    if let Err(error) = result {
        eprintln!("xtask: {error}");
        if tests.tally.failed == 0 {
            tests.tally += Tally::FAILED;
        }
    }
    if !shared_data(&workspace.root) {
        tests.notes.push("tests: left out: the cases of ../shared/data, which is not here".into());
    }
    gate.notes.extend(tests.notes);
    gate.add("tests", tests.tally);
    Ok(())
}

/// Here and not among the tests, since it builds for release: cargo can't do that while it runs the tests.
fn readme(shell: &Shell, workspace: &Workspace, gate: &mut Gate) {
    gate.task("readme", readme::run(shell, workspace));
}

fn shared_data(root: &Path) -> bool {
    root.join("../shared/data").is_dir()
}

fn doctests(shell: &Shell, gate: &mut Gate) -> Result<()> {
    let mut command = Command::from(cmd!(shell, "cargo test --workspace --doc --no-fail-fast --locked"));
    let Output { status, stdout, stderr } = command.output().context("running the doctests")?;
    let stdout = String::from_utf8_lossy(&stdout);
    let mut tally = tally::libtest(&stdout);
    if !status.success() {
        eprintln!("{stdout}\n{}", String::from_utf8_lossy(&stderr));
        if tally.failed == 0 {
            tally += Tally::FAILED;
        }
    }
    gate.add("doctests", tally);
    Ok(())
}
