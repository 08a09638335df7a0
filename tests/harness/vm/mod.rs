//! Virtual machines for what no container shows: a kernel of their own, its boot loader, memory that is short, and power
//! that fails. In software, on any host: a tenth of a real machine's speed, and times are what it makes of them.

mod agent;
mod emulator;
mod host;
mod image;
mod lab;
mod tools;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use self::agent::Agent;
pub use self::agent::Said;
pub use self::emulator::MEMORY;
use self::emulator::{Console, Emulator, Services, Start};
pub use self::host::{Updates, VERSIONS, VmHost, are_of_release, now};
pub use self::image::Image;
use crate::command;
use crate::fake_http::FakeHttp;
use crate::place;
use crate::s3::S3Server;

/// Where the machine finds S3.
pub const S3: &str = "http://10.0.2.100:8333";

/// How long a script may take that does nothing long.
const SHORT: u64 = 120;
/// A boot takes 30 seconds on a quiet host.
const BOOT: u64 = 400;

/// Sets the clock, which stood still while the machine was saved, as a time daemon does at the boot.
const WAKE: &str = "set -e
date -s @NOW >/dev/null
lab-clock
blockdev --flushbufs /dev/vdb
mount -o ro /dev/vdb /srv/lab";

/// A running machine, on disks of its own. It goes when dropped, as by a power cut.
#[derive(Debug)]
pub struct Vm {
    emulator: Emulator,
    agent: Agent,
    image: Image,
    services: Services,
    place: TempDir,
}

impl Vm {
    /// Goes on from the saved machine. `brought` is a directory that it has as `/srv/lab`.
    pub fn wake(image: &Image, brought: &Path, s3: &S3Server, metadata: &FakeHttp) -> Result<Self> {
        let services = Services { s3: port(&s3.url())?, metadata: port(&metadata.url())? };
        let place = place::scratch("vm")?;
        overlay(image, &place.path().join("disk.qcow2"))?;
        let lab_disk = place.path().join("lab.raw");
        File::create(&lab_disk)?.set_len(image::LAB_DISK)?;
        let mut make = command::command("mke2fs");
        command::finish(make.args(["-q", "-t", "ext4", "-d"]).arg(brought).arg(&lab_disk))?.success()?;
        let saved = image.saved();
        let (mut emulator, agent) = go(image, place.path(), services, Some(&saved))?;
        emulator.wait_until_running()?;
        let mut vm = Self { emulator, agent, image: image.clone(), services, place };
        let now = command::run("date", ["+%s.%N"])?.stdout;
        vm.run(&WAKE.replace("NOW", now.trim()))?;
        Ok(vm)
    }

    /// Runs a script with bash; an error unless it succeeds.
    pub fn run(&mut self, script: &str) -> Result<String> {
        let said = self.run_for(script, SHORT)?;
        ensure!(said.code == 0, "the machine ran\n{script}\nand ended with {said:#?}");
        Ok(said.stdout)
    }

    /// Runs a script that may take so many seconds, and may fail.
    pub fn run_for(&mut self, script: &str, seconds: u64) -> Result<Said> {
        self.emulator.check()?;
        self.agent.run(script, seconds).with_context(|| self.console())
    }

    /// An error once the emulator has ended.
    pub fn check(&mut self) -> Result<()> {
        self.emulator.check()
    }

    /// Waits until a condition of the shell holds in the machine.
    pub fn wait_for(&mut self, what: &str, condition: &str, seconds: u64) -> Result<()> {
        let script =
            format!("for i in $(seq {seconds}); do if {condition}; then exit 0; fi; sleep 1; done; exit 1");
        let said = self.run_for(&script, seconds * 3 + SHORT)?;
        ensure!(said.code == 0, "waited in vain for {what}: {said:?}\n{}", self.journal());
        Ok(())
    }

    /// Waits until the machine, which went down by itself, is up again; its boot id.
    pub fn wait_for_reboot(&mut self, seconds: u64) -> Result<String> {
        let boot = self.agent.wait_until_ready(seconds + BOOT).with_context(|| self.console())?;
        self.run("mount -o ro /dev/vdb /srv/lab")?;
        Ok(boot)
    }

    /// Cuts the power: what the machine had not flushed is gone.
    pub fn cut(&mut self) {
        self.emulator.cut();
    }

    /// Switches it on again; its boot id.
    pub fn switch_on(&mut self) -> Result<String> {
        let (emulator, agent) = go(&self.image, self.place.path(), self.services, None)?;
        (self.emulator, self.agent) = (emulator, agent);
        self.wait_for_reboot(BOOT)
    }

    /// What patchd, its executor and the kernel said, for messages of tests.
    pub fn journal(&mut self) -> String {
        let said = self.run_for("journalctl --no-pager -n 80 -o short-precise; systemctl --failed", SHORT);
        said.map_or_else(|error| format!("{error:#}"), |said| said.stdout)
    }

    fn console(&self) -> String {
        format!("the console's last lines:\n{}", self.emulator.log("console"))
    }
}

/// Starts a machine and leaves it to the terminal; what it changes is gone afterwards.
pub fn shell() -> Result<()> {
    let image = Image::ready()?;
    let place = place::scratch("vm")?;
    let (disk, lab_disk) = (place.path().join("disk.qcow2"), place.path().join("lab.raw"));
    overlay(&image, &disk)?;
    File::create(&lab_disk)?.set_len(image::LAB_DISK)?;
    let start = Start {
        tools: &image.tools,
        place: place.path(),
        disk: &disk,
        lab_disk: &lab_disk,
        services: None,
        saved: None,
        console: Console::Terminal,
    };
    start.go()?.wait()
}

fn overlay(image: &Image, disk: &Path) -> Result<()> {
    let mut create = image.tools.disk_tool();
    create.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(image.disk()).arg(disk);
    command::finish(&mut create)?.success()?;
    Ok(())
}

fn go(image: &Image, place: &Path, services: Services, saved: Option<&PathBuf>) -> Result<(Emulator, Agent)> {
    let start = Start {
        tools: &image.tools,
        place,
        disk: &place.join("disk.qcow2"),
        lab_disk: &place.join("lab.raw"),
        services: Some(services),
        saved: saved.map(PathBuf::as_path),
        console: Console::Log,
    };
    let emulator = start.go()?;
    let agent = Agent::connect(&start.agent_socket());
    let agent = agent.with_context(|| emulator.log("emulator.log"))?;
    Ok((emulator, agent))
}

fn port(url: &str) -> Result<u16> {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("reading the port of {url}"))
}
