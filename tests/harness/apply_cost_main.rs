//! `apply-cost`: what `cargo xtask bench --only apply` runs. The same toy packages by a bare `apt-get install` and by a run
//! of patchd, in turns, each in a fresh root: the time of the transaction, and the memory of both programs.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers, which prints")]

use std::process::ExitCode;

use anyhow::{Context, Result};
use patchd_tests::agent_host::always_open;
use patchd_tests::apt_root::{AptRoot, SealedRoot};
use patchd_tests::binaries::Binaries;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::story;
use patchd_tests::supervised::{Supervised, monotonic};

const PACKAGES: u8 = 20;
const ROUNDS: usize = 7;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apply-cost: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn toys(version: &str) -> Vec<ToyPackage> {
    (0..PACKAGES).map(|number| ToyPackage::new(&format!("lab-{number}"), version)).collect()
}

fn world() -> Result<SealedRoot> {
    let root = AptRoot::fresh()?;
    let repository = LocalRepository::create(&root)?;
    let old = toys("1.0");
    repository.publish(Suite::Release, &old)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(old.iter().map(ToyPackage::name)))?;
    repository.publish(Suite::Security, &toys("1.1"))?;
    root.run(["apt-get", "update"])?;
    root.install_binaries(&Binaries::find()?)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;
    root.seal()
}

fn measure() -> Result<()> {
    let world = world()?;
    let (mut bare, mut ours, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    // The first round warms caches and is thrown away.
    for round in 0..=ROUNDS {
        let plain = by_apt(&world)?;
        let (seconds, bytes) = by_patchd(&world)?;
        if round != 0 {
            bare.push(plain);
            ours.push(seconds);
            memory.push(bytes);
        }
    }
    let (bare, ours, memory) = (median(bare), median(ours), median(memory));
    println!("\napply: {PACKAGES} toy packages, medians of {ROUNDS} pairs");
    println!("  apt-get install alone                         {bare:>10.2} s");
    println!("  the transaction of a run                      {ours:>10.2} s");
    let (beyond, percent) = (ours - bare, 100.0 * (ours - bare) / bare);
    println!("  beyond it: {beyond:.2} s, {percent:.0} % (reach: at most 2 s or 5 %)");
    println!("  peak memory of patchd and the executor        {:>10.2} MB (reach: at most 24)", memory / 1e6);
    Ok(())
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

fn by_apt(world: &SealedRoot) -> Result<f64> {
    let root = world.fresh()?;
    let wanted = toys("1.1").iter().map(|package| format!("{}=1.1", package.name())).collect::<Vec<_>>();
    let line = ["apt-get", "install", "-y", "-q", "-o", "Dpkg::Use-Pty=0"];
    let began = monotonic();
    root.run(line.into_iter().chain(wanted.iter().map(String::as_str)))?;
    Ok(monotonic().saturating_sub(began).as_secs_f64())
}

/// Seconds of the transaction, from patchd's request to its answer, and the peaks of both programs in bytes.
fn by_patchd(world: &SealedRoot) -> Result<(f64, f64)> {
    let root = world.fresh()?;
    let mut host = Supervised::start(&root)?;
    story::settle(&mut host)?;
    let runs = host.runs()?;
    let run = runs.first().context("there was no run")?;
    let document = host.run_document(&run.id)?;
    let applied =
        document.journal.iter().find(|entry| entry.effect == "apply").context("nothing was applied")?;
    let done = applied.done_at.context("the transaction has no end")?;
    let mut bytes = 0.0;
    for name in ["patchd", "patchd-executor"] {
        let process = host.space().processes(name).into_iter().next();
        let process = process.with_context(|| format!("{name} is gone"))?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        bytes += peak.context("no peak is told")?.parse::<f64>()? * 1024.0;
    }
    Ok((done.duration_since(applied.intended_at).as_secs_f64(), bytes))
}
