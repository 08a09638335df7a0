//! The emulator and its tool for disks: the machine's own where it has them, otherwise Debian's packages, fetched by apt
//! and unpacked below the target directory.
//!
//! They are not installed: the emulator's packages would have some machines remove a newer tool for disks, and a test has
//! no business there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::lab;
use crate::command;

const EMULATOR: &str = "/usr/bin/qemu-system-x86_64";
const DISK_TOOL: &str = "/usr/bin/qemu-img";

/// Where libraries of unpacked packages lie.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Where their firmware lies.
const FIRMWARE: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// Both tools.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    /// What was unpacked, if anything had to be.
    unpacked: Option<PathBuf>,
}

impl Tools {
    /// Finds them or fetches them.
    pub(super) fn ready() -> Result<Self> {
        let mut missing = Vec::new();
        for (program, package) in [(EMULATOR, "qemu-system-x86"), (DISK_TOOL, "qemu-utils")] {
            if !Path::new(program).exists() {
                missing.push(package);
            }
        }
        if missing.is_empty() {
            return Ok(Self { unpacked: None });
        }
        let unpacked = lab::directory()?.join(format!("tools-{}", missing.join("-")));
        if !unpacked.is_dir() {
            fetch(&missing, &unpacked).context("fetching the emulator")?;
        }
        Ok(Self { unpacked: Some(unpacked) })
    }

    /// The emulator, which has yet to be told everything.
    pub(super) fn emulator(&self) -> Command {
        let mut command = self.command(EMULATOR);
        if let Some(unpacked) = &self.unpacked {
            for directory in FIRMWARE {
                command.arg("-L").arg(unpacked.join(directory));
            }
        }
        command
    }

    pub(super) fn disk_tool(&self) -> Command {
        self.command(DISK_TOOL)
    }

    fn command(&self, program: &str) -> Command {
        let own = self.unpacked.as_ref().map(|root| root.join(program.trim_start_matches('/')));
        let mut command = command::command(own.filter(|own| own.exists()).unwrap_or_else(|| program.into()));
        if let Some(unpacked) = &self.unpacked {
            let paths = LIBRARIES.map(|directory| unpacked.join(directory).to_string_lossy().into_owned());
            command.env("LD_LIBRARY_PATH", paths.join(":"));
        }
        command
    }
}

/// Has apt fetch what it would install, and unpacks it.
fn fetch(packages: &[&str], to: &Path) -> Result<()> {
    let partial = to.with_extension("partial");
    lab::remove(&partial)?;
    let archives = partial.join("archives");
    std::fs::create_dir_all(&archives).with_context(|| format!("making {}", archives.display()))?;
    let simulate = ["-s", "-o", "Debug::NoLocking=1", "--no-install-recommends", "install"];
    let simulate = || command::run("apt-get", simulate.iter().chain(packages));
    let simulated = match simulate() {
        Ok(simulated) => simulated,
        Err(_) => {
            command::run("apt-get", ["-q", "update"])?;
            simulate()?
        }
    };
    let wanted = simulated.stdout.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    let wanted: Vec<&str> = wanted.collect();
    if wanted.is_empty() {
        bail!("apt would install nothing for {packages:?}");
    }
    let mut download = command::command("apt-get");
    command::finish(download.args(["-q", "download"]).args(&wanted).current_dir(&archives))?.success()?;
    for archive in std::fs::read_dir(&archives)? {
        command::finish(command::command("dpkg-deb").arg("-x").arg(archive?.path()).arg(&partial))?
            .success()?;
    }
    lab::remove(&archives)?;
    std::fs::rename(&partial, to).with_context(|| format!("naming {}", to.display()))
}
