//! `cargo xtask bench`: ours beside the peer, in turns, on this machine's own database and lists. It only reads the
//! machine; reports go to a directory of its own.

mod daemon;
pub(crate) mod measure;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::Workspace;
use table::{Contender, megabytes, print, print_processor_ratio, ratio, reach};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BenchArguments {
    /// How often each contender runs; the first run beyond these is thrown away
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u32).range(3..=1000))]
    rounds: u32,
    /// Measure these only
    #[arg(long, value_enum)]
    only: Vec<Subject>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    Inventory,
    Scan,
    Daemon,
    Apply,
    Windows,
    Size,
}

impl Subject {
    const ALL: [Self; 6] =
        [Self::Inventory, Self::Scan, Self::Daemon, Self::Apply, Self::Windows, Self::Size];
}

struct Bench {
    arguments: BenchArguments,
    /// Where the release binaries are.
    release: PathBuf,
    /// Reports go here; contenders run here.
    scratch: tempfile::TempDir,
    /// A copy of xtask itself, since cargo may replace the original meanwhile.
    measurer: PathBuf,
}

pub(crate) fn run(workspace: &Workspace, arguments: BenchArguments) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    let scratch = tempfile::tempdir().context("making a directory for reports")?;
    let measurer = scratch.path().join("xtask");
    shell.copy_file(std::env::current_exe().context("finding xtask itself")?, &measurer)?;
    let subjects = match arguments.only.as_slice() {
        [] => Subject::ALL.to_vec(),
        only => only.to_vec(),
    };
    // The daemon's dependencies take minutes to optimise: only who is measured is built.
    let needs_patchctl_alone = |subject| matches!(subject, &Subject::Inventory | &Subject::Scan);
    let others = match subjects.iter().all(needs_patchctl_alone) {
        true => vec![],
        false => vec!["-p", "patchd", "-p", "patchd-executor"],
    };
    cmd!(shell, "cargo build --release --locked -p patchctl {others...}").run()?;
    let bench = Bench { arguments, release: workspace.target.join("release"), scratch, measurer };
    let mut failed = 0;
    for subject in subjects {
        let measured = match subject {
            Subject::Inventory => inventory(&bench),
            Subject::Scan => scan(&bench),
            Subject::Daemon => daemon::idle(&bench),
            Subject::Apply => apply(&shell, &bench),
            Subject::Windows => windows(&shell, &bench),
            Subject::Size => size(&bench),
        };
        if let Err(error) = measured {
            println!("\n{subject:?}: not measured: {error:#}");
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("{failed} of the measurements could not be made");
    }
    Ok(())
}

impl Bench {
    fn binary(&self, name: &str) -> String {
        self.release.join(name).to_string_lossy().into_owned()
    }

    /// Runs the contenders in turns, so that what else the machine does hits them alike.
    fn race(&self, contenders: &mut [Contender]) -> Result<()> {
        for round in 0..=self.arguments.rounds {
            for contender in contenders.iter_mut() {
                let sample = measure::sample(&self.measurer, &contender.line, self.scratch.path())?;
                if round > 0 {
                    contender.samples.push(sample);
                }
            }
        }
        Ok(())
    }
}

fn inventory(bench: &Bench) -> Result<()> {
    let ours = bench.binary("patchctl");
    let status = "/var/lib/dpkg/status";
    let mut contenders = [
        Contender::new("patchctl inventory --once --json", &[&ours, "inventory", "--once", "--json"]),
        Contender::new("dpkg-query -W", &["dpkg-query", "-W"]),
        Contender::new("the bytes alone: cat status", &["cat", status]),
        Contender::new("nothing: true", &["true"]),
    ];
    bench.race(&mut contenders)?;
    let size = Path::new(status).metadata().with_context(|| format!("looking at {status}"))?.len();
    print(&format!("inventory: {:.1} MB of status file", megabytes(size)), &contenders);
    let [ours, peer, floor, _] = &contenders;
    reach("times dpkg-query -W", ratio(ours, peer), 1.0, "");
    print_processor_ratio(ours, peer);
    reach("peak", ours.peak(), 12.0, " MB");
    println!("  limit: reading the bytes; ours takes {:.1} times that", ratio(ours, floor));
    Ok(())
}

fn scan(bench: &Bench) -> Result<()> {
    let ours = bench.binary("patchctl");
    let lists = package_lists()?;
    let store = format!("file://{}", bench.scratch.path().join("reports").display());
    let decompress = lists.iter().map(|list| list.to_decompress()).collect::<Vec<_>>().join("; ");
    let look = format!("{{ {decompress}; }} | grep -c ^Package:");
    let read = format!("{{ {decompress}; }} >/dev/null");
    let mut contenders = [
        Contender::new("patchctl scan --once", &[&ours, "scan", "--once", "--store", &store]),
        Contender::new("patchctl updates --once --json", &[&ours, "updates", "--once", "--json"]),
        Contender::new("apt list --upgradable", &["apt", "list", "--upgradable"]),
        Contender::new("apt-get -s dist-upgrade", &["apt-get", "-s", "dist-upgrade"]),
        Contender::new("decompress and look: | grep -c ^Package:", &["sh", "-c", &look]),
        Contender::new("decompress alone", &["sh", "-c", &read]),
    ];
    bench.race(&mut contenders)?;
    let bytes = lists.iter().map(|list| list.bytes).sum();
    let shell = Shell::new()?;
    let plain: u64 =
        cmd!(shell, "sh -c").arg(format!("{{ {decompress}; }} | wc -c")).quiet().read()?.parse()?;
    let title = format!(
        "scan: {} lists of {:.1} MB, {:.1} MB decompressed",
        lists.len(),
        megabytes(bytes),
        megabytes(plain)
    );
    print(&title, &contenders);
    let [ours, _, list, upgrade, look, alone] = &contenders;
    reach("times apt list --upgradable", ratio(ours, list), 0.1, "");
    print_processor_ratio(ours, list);
    reach("peak", ours.peak(), 24.0, " MB");
    reach("aim: times decompress and look", ratio(ours, look), 2.0, "");
    print_processor_ratio(ours, look);
    let speed = megabytes(plain) / alone.median().as_secs_f64();
    println!("  times apt-get -s dist-upgrade: {:.3}", ratio(ours, upgrade));
    println!(
        "  limit: decompressing, here at {speed:.0} MB/s of lists; ours takes {:.1} times that",
        ratio(ours, alone)
    );
    Ok(())
}

/// One list of packages of this machine.
struct PackageList {
    path: String,
    bytes: u64,
}

impl PackageList {
    fn to_decompress(&self) -> String {
        let program = match self.path.rsplit('.').next() {
            Some("lz4") => "lz4 -dc",
            Some("zst") => "zstd -dc",
            Some("xz") => "xz -dc",
            Some("gz") => "gzip -dc",
            _ => "cat",
        };
        format!("{program} '{}'", self.path)
    }
}

fn package_lists() -> Result<Vec<PackageList>> {
    let shell = Shell::new()?;
    let mut lists = Vec::new();
    for path in shell.read_dir("/var/lib/apt/lists")? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains("_Packages") && path.is_file() {
            let bytes = path.metadata().with_context(|| format!("looking at {}", path.display()))?.len();
            lists.push(PackageList { path: path.to_string_lossy().into_owned(), bytes });
        }
    }
    if lists.is_empty() {
        bail!("this machine has no package lists; run `apt-get update` first");
    }
    Ok(lists)
}

/// In disposable roots, by a program of the tests: a machine's own packages are no matter for a benchmark.
fn apply(shell: &Shell, bench: &Bench) -> Result<()> {
    cmd!(shell, "cargo build --release --locked -p patchd-tests --bin apply-cost").run()?;
    let program = bench.binary("apply-cost");
    Ok(cmd!(shell, "{program}").run()?)
}

/// In one process: a call takes less than a process takes to start.
fn windows(shell: &Shell, bench: &Bench) -> Result<()> {
    cmd!(shell, "cargo build --release --locked -p patchd-tests --bin window-cost").run()?;
    let program = bench.binary("window-cost");
    Ok(cmd!(shell, "{program}").run()?)
}

fn size(bench: &Bench) -> Result<()> {
    println!("\nsize of the release binaries");
    let mut total = 0;
    for name in ["patchd", "patchd-executor", "patchctl"] {
        let bytes =
            Path::new(&bench.binary(name)).metadata().with_context(|| format!("looking at {name}"))?.len();
        println!("  {name:<46}{:>10.2} MB", megabytes(bytes));
        total += bytes;
    }
    reach("all three", megabytes(total), 20.0, " MB");
    Ok(())
}
