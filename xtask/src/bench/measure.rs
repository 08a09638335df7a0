//! One process, measured: wall time, processor time and peak memory of it and its children alone.
//!
//! The kernel keeps the peak for all ended children of a process together. So xtask runs itself once for each sample,
//! and that run starts the one process and reports. Its own few megabytes are the floor of what can be told: a started
//! process counts the memory that it was forked with.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// The first argument that makes xtask measure the rest.
pub(crate) const MARK: &str = "measure-one-process";

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    pub(crate) processor: Duration,
    pub(crate) peak_kib: u64,
}

/// Measures one run of `line` in `directory` with the help of `xtask`. It must succeed.
#[expect(clippy::disallowed_methods, reason = "the place of the benchmark that starts processes")]
pub(super) fn sample(xtask: &Path, line: &[String], directory: &Path) -> Result<Sample> {
    let mut command = Command::new(xtask);
    command.arg(MARK).args(line).current_dir(directory).env("LC_ALL", "C").stdin(Stdio::null());
    let output = command.output().context("starting xtask itself")?;
    if !output.status.success() {
        bail!("{}: {}", line.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let &[wall, processor, peak_kib] = numbers.as_slice() else {
        bail!("xtask measured {text:?}");
    };
    let (wall, processor) = (Duration::from_micros(wall), Duration::from_micros(processor));
    Ok(Sample { wall, processor, peak_kib })
}

/// The other side of `sample`: runs the process with its output thrown away and prints what it took.
#[expect(
    clippy::disallowed_methods,
    reason = "the place of the benchmark that starts processes and looks at a clock"
)]
pub(crate) fn run_one(line: &[String]) -> Result<()> {
    let (program, arguments) = line.split_first().context("there is nothing to measure")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {program}"))?;
    let output = child.wait_with_output().with_context(|| format!("waiting for {program}"))?;
    let wall = start.elapsed();
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("asking what the process used")?;
    let processor = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    println!("{} {processor} {}", wall.as_micros(), usage.max_rss());
    Ok(())
}
