//! One process of the emulator: a machine of one processor in software, 512 MiB of memory and no swap. Nothing that it
//! sends leaves this host but for the two services of a lab that are on this host too.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::tools::Tools;
use crate::{place, wait};

/// In MiB.
pub const MEMORY: u32 = 512;

/// What the machine is started with.
#[derive(Debug)]
pub(super) struct Start<'a> {
    pub(super) tools: &'a Tools,
    /// For sockets and logs.
    pub(super) place: &'a Path,
    pub(super) disk: &'a Path,
    /// A second disk, with what a test brings along.
    pub(super) lab_disk: &'a Path,
    /// The ports of this host where S3 and the metadata service are.
    pub(super) services: Option<Services>,
    /// A saved machine to go on with, in place of a boot.
    pub(super) saved: Option<&'a Path>,
    pub(super) console: Console,
}

/// Ports of this host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Services {
    pub(super) s3: u16,
    pub(super) metadata: u16,
}

/// Where the first serial port goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Console {
    Log,
    Terminal,
}

/// The running process; it is killed when dropped, which is a power cut.
#[derive(Debug)]
pub(super) struct Emulator {
    process: Child,
    place: PathBuf,
}

impl Start<'_> {
    pub(super) fn agent_socket(&self) -> PathBuf {
        self.place.join("agent.sock")
    }

    pub(super) fn go(&self) -> Result<Emulator> {
        for socket in [self.agent_socket(), self.place.join("monitor.sock")] {
            if socket.exists() {
                std::fs::remove_file(&socket).with_context(|| format!("removing {}", socket.display()))?;
            }
        }
        let mut command = self.tools.emulator();
        command.args(["-accel", "tcg,tb-size=256", "-cpu", "max", "-smp", "1", "-m", &MEMORY.to_string()]);
        command.args(["-nographic", "-no-user-config", "-nodefaults"]);
        // A machine whose firmware claims to be EC2.
        command.args(["-smbios", "type=1,manufacturer=Amazon EC2", "-rtc", "base=utc"]);
        match self.console {
            Console::Log => {
                command.arg("-serial").arg(format!("file:{}", self.place.join("console").display()));
            }
            Console::Terminal => {
                command.args(["-serial", "mon:stdio"]).stdin(Stdio::inherit());
            }
        }
        let agent = self.agent_socket();
        command
            .arg("-chardev")
            .arg(format!("socket,id=agent,path={},server=on,wait=off", agent.display()))
            .args(["-serial", "chardev:agent"]);
        // What the guest flushes goes to this host's page cache, which survives the emulator: no need to wait for a disk.
        for (path, format) in [(self.disk, "qcow2"), (self.lab_disk, "raw")] {
            let drive = format!("file={},if=virtio,format={format},cache=unsafe", path.display());
            command.arg("-drive").arg(drive);
        }
        let [main, metadata] = self.networks()?;
        for (number, network) in [main, metadata].iter().enumerate() {
            let (number, place) = (number + 1, number + 5);
            command.arg("-netdev").arg(network).arg("-device").arg(format!(
                "virtio-net-pci,netdev=n{number},mac=52:54:00:00:00:0{number},addr=0x{place},romfile="
            ));
        }
        let monitor = self.place.join("monitor.sock");
        command.arg("-monitor").arg(format!("unix:{},server=on,wait=off", monitor.display()));
        if let Some(saved) = self.saved {
            command.arg("-incoming").arg(format!("exec:cat {}", saved.display()));
        }
        let log = File::create(self.place.join("emulator.log")).context("making the emulator's log")?;
        if self.console == Console::Log {
            command.stdout(Stdio::null()).stderr(log);
        }
        let process = command.spawn().context("starting the emulator")?;
        Ok(Emulator { process, place: self.place.to_owned() })
    }

    /// Both are shut but for the two services. They are two since an address must lie in its own network.
    fn networks(&self) -> Result<[String; 2]> {
        let mut networks = [
            "user,id=n1,restrict=on".to_owned(),
            "user,id=n2,restrict=on,net=169.254.169.0/24,host=169.254.169.2".to_owned(),
        ];
        if let Some(Services { s3, metadata }) = self.services {
            let pipe = place::profile_directory()?.join("lab-vm");
            let pipe = |port: u16| format!("cmd:{} pipe {port}", pipe.display());
            let [main, other] = &mut networks;
            main.push_str(&format!(",guestfwd=tcp:10.0.2.100:8333-{}", pipe(s3)));
            other.push_str(&format!(",guestfwd=tcp:169.254.169.254:80-{}", pipe(metadata)));
        }
        Ok(networks)
    }
}

impl Emulator {
    /// An error once the process has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the emulator ended with {status}:\n{}", self.log("emulator.log"));
        }
        Ok(())
    }

    /// Waits for the end of a process that a terminal has.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.process.wait().context("waiting for the emulator's end")?;
        Ok(())
    }

    /// Waits until a saved machine runs again.
    pub(super) fn wait_until_running(&mut self) -> Result<()> {
        wait::until("the saved machine to run", 60, || {
            self.check()?;
            Ok(self.ask("info status").ok().filter(|said| said.contains("VM status: running")))
        })?;
        Ok(())
    }

    /// Writes the machine's state to a file; the process is over then.
    pub(super) fn save(&mut self, to: &Path) -> Result<()> {
        self.ask(&format!("migrate -d \"exec:cat > {}\"", to.display()))?;
        wait::until("the machine to be saved", 120, || {
            let said = self.ask("info migrate")?;
            if said.contains("failed") {
                bail!("saving the machine: {said}");
            }
            Ok(said.contains("status: completed").then_some(()))
        })?;
        // It answers no more.
        let _ = self.ask("quit");
        self.wait()
    }

    /// As a power cut does it.
    pub(super) fn cut(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The end of what a log of the machine has.
    pub(super) fn log(&self, name: &str) -> String {
        let text = std::fs::read(self.place.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n")
    }

    /// One command of the monitor, which echoes what it reads a letter at a time and prompts when it is done.
    fn ask(&self, line: &str) -> Result<String> {
        let mut monitor = UnixStream::connect(self.place.join("monitor.sock"))?;
        monitor.set_read_timeout(Some(Duration::from_secs(20)))?;
        until_prompt(&mut monitor)?;
        monitor.write_all(format!("{line}\n").as_bytes())?;
        until_prompt(&mut monitor)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.cut();
    }
}

fn until_prompt(monitor: &mut UnixStream) -> Result<String> {
    let mut said = Vec::new();
    let mut chunk = [0; 4096];
    while !said.ends_with(b"(qemu) ") {
        let count = monitor.read(&mut chunk).context("reading the monitor's answer")?;
        if count == 0 {
            break;
        }
        said.extend(chunk.iter().take(count));
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}
