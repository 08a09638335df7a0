//! A root that is booted: its own systemd as process 1 of namespaces of its own, in half a second and without a virtual
//! machine. Its kernel is the machine's, which it can't change.
//!
//! Devices are made and not bound from the machine: what a container's getty does to its console must stay there.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;

use crate::apt_root::AptRoot;
use crate::command::{self, Finished};
use crate::wait;

/// Run in fresh namespaces with the root as `$1`.
const BOOT: &str = r#"set -e
mount --bind "$1" "$1"; cd "$1"
mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
cat proc/sys/kernel/random/uuid >.boot_id; mount --bind .boot_id proc/sys/kernel/random/boot_id
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev; mkdir dev/pts dev/shm
for n in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m666 dev/${n%:*} c 1 ${n#*:}; done
mknod -m666 dev/tty c 5 0; mknod -m600 dev/console c 1 3
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts; ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs run; mount -t tmpfs tmpfs tmp; mount -t tmpfs tmpfs dev/shm
mount -t cgroup2 cgroup2 sys/fs/cgroup
ip link set lo up 2>/dev/null || true
mkdir -p .old; pivot_root . .old; umount -l /.old; rmdir /.old
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
"#;

/// A root that is booted as `Booted::boot` does it is a container, and says so. After this, nothing in it tells: systemd, who
/// has to know, has been told before. Its daemon's sandbox shows it the boot's id that is the root's own.
const NO_CONTAINER: [(&str, &str); 2] = [
    (
        "/usr/lib/systemd/system/lab-machine.service",
        "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh -ec 'rm -f /run/systemd/container; : >/run/lab-empty; mount --bind /run/lab-empty /proc/1/environ'\n\
         [Install]\nWantedBy=sysinit.target\n",
    ),
    (
        "/etc/systemd/system/patchd.service.d/lab.conf",
        "[Service]\nBindReadOnlyPaths=/.boot_id:/proc/sys/kernel/random/boot_id\n",
    ),
];

/// Has a root look like a machine of its own from its next boot on.
pub fn conceal_container(root: &AptRoot) -> Result<()> {
    for (path, text) in NO_CONTAINER {
        root.write(path, text)?;
    }
    root.run(["systemctl", "enable", "lab-machine.service"])?;
    Ok(())
}

/// A booted root. It is switched off, hard, when dropped.
#[derive(Debug)]
pub struct Booted<'root> {
    root: &'root AptRoot,
    outer: Child,
    init: String,
    cgroup: PathBuf,
}

impl<'root> Booted<'root> {
    /// Boots the root and waits until systemd has started what is enabled.
    pub fn boot(root: &'root AptRoot) -> Result<Self> {
        let mut booted = Self::boot_without_waiting(root)?;
        booted.wait_until_up()?;
        Ok(booted)
    }

    /// Boots the root, and waits for its first process only.
    pub fn boot_without_waiting(root: &'root AptRoot) -> Result<Self> {
        let cgroup = unified_hierarchy()?.join(format!("patchd-test-{}", std::process::id()));
        let outer = start(root, &cgroup)?;
        let mut booted = Self { root, outer, init: String::new(), cgroup };
        booted.find_first_process()?;
        Ok(booted)
    }

    fn find_first_process(&mut self) -> Result<()> {
        let children = format!("/proc/{0}/task/{0}/children", self.outer.id());
        self.init = wait::until("the root's first process", 10, || {
            let first = std::fs::read_to_string(&children).unwrap_or_default();
            Ok(first.split_whitespace().next().map(str::to_owned))
        })?;
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        wait::until("the root to be up", 30, || {
            if let Some(status) = self.outer.try_wait()? {
                bail!("the root's systemd ended with {status}");
            }
            let state = command::finish(&mut self.command(["systemctl", "is-system-running"]))?.stdout;
            Ok(matches!(state.trim(), "running" | "degraded").then_some(()))
        })
    }

    /// Whether the root's systemd has ended by a reboot. An error if it ended in any other way.
    pub fn has_gone_down(&mut self) -> Result<bool> {
        match self.outer.try_wait()? {
            None => Ok(false),
            // The kernel's own sign: the first process of a namespace that reboots is ended by SIGHUP.
            Some(status) if status.signal() == Some(1) || status.code() == Some(129) => Ok(true),
            Some(status) => bail!("the root's systemd ended with {status}"),
        }
    }

    /// Waits until the root reboots itself, and boots it again, as its firmware would.
    pub fn boot_again(&mut self, seconds: u32) -> Result<()> {
        wait::until("the root to reboot", seconds, || Ok(self.has_gone_down()?.then_some(())))?;
        self.clear_groups();
        self.outer = start(self.root, &self.cgroup)?;
        self.find_first_process()?;
        self.wait_until_up()
    }

    /// The id of the boot that is under way.
    pub fn boot_id(&self) -> Result<String> {
        Ok(self.run(["cat", "/proc/sys/kernel/random/boot_id"])?.stdout.trim().to_owned())
    }

    fn clear_groups(&self) {
        let _ = wait::until("the root's processes to end", 5, || {
            remove_groups(&self.cgroup);
            Ok((!self.cgroup.exists()).then_some(()))
        });
    }

    /// A command inside, as root.
    pub fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = command::command("nsenter");
        command.args(["--target", &self.init, "--all", "--"]).args(arguments);
        command
    }

    /// Runs a command inside; an error unless it succeeds.
    pub fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Finished> {
        command::finish(&mut self.command(arguments))?.success()
    }

    /// Everything in the journal, for messages of tests.
    pub fn journal(&self) -> String {
        self.run(["journalctl", "--no-pager", "-b"])
            .map_or_else(|error| error.to_string(), |said| said.stdout)
    }

    pub fn root(&self) -> &AptRoot {
        self.root
    }

    /// One property of a unit, as systemd has it now.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let said = self.run(["systemctl", "show", "--value", "--property", name, unit])?;
        Ok(said.stdout.trim().to_owned())
    }

    /// Waits until the root's systemd ends. Whether it ended to be booted again.
    pub fn is_rebooted(&mut self) -> Result<bool> {
        let status = wait::until("the root to go down", 60, || Ok(self.outer.try_wait()?))?;
        // How the kernel tells a namespace's restart: its first process dies of this signal.
        Ok(status.signal() == Some(Signal::SIGHUP as i32)
            || status.code() == Some(128 + Signal::SIGHUP as i32))
    }

    /// Brings what connects to this port of the root's own loopback to the same port of the machine's, as long as the
    /// test runs.
    pub fn forward(&self, port: u16) -> Result<()> {
        let network = File::open(format!("/proc/{}/ns/net", self.init)).context("opening a network")?;
        // A socket belongs to the network in which it was made, whoever accepts.
        let bound = thread::spawn(move || -> Result<TcpListener> {
            setns(network, CloneFlags::CLONE_NEWNET).context("entering a network")?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listening in a root")
        });
        let listener = bound.join().map_err(|_| anyhow::anyhow!("listening in a root broke"))??;
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    join(near, far);
                }
            }
        });
        Ok(())
    }
}

/// Passes on what either side says, until it ends.
fn join(near: TcpStream, far: TcpStream) {
    let ends = (near.try_clone(), far.try_clone());
    let (Ok(near_again), Ok(far_again)) = ends else { return };
    for (mut from, mut to) in [(near, far), (far_again, near_again)] {
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

impl Drop for Booted<'_> {
    fn drop(&mut self) {
        // Its child dies with it, and with that one everything inside.
        let _ = self.outer.kill();
        let _ = self.outer.wait();
        self.clear_groups();
    }
}

/// Starts the namespaces, in a control group of their own.
fn start(root: &AptRoot, cgroup: &Path) -> Result<Child> {
    std::fs::create_dir(cgroup).with_context(|| format!("making {}", cgroup.display()))?;
    let enter = "echo $$ >\"$1\"/cgroup.procs; shift; exec unshare --fork --pid --mount --uts --ipc --net --cgroup \
                 --propagation private --kill-child bash -c \"$2\" boot \"$1\"";
    let mut command = command::command("bash");
    command.args(["-ec", enter, "enter"]).arg(cgroup).arg(root.path()).arg(BOOT);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("starting unshare")
}

/// Where the machine has its second version of control groups.
fn unified_hierarchy() -> Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").context("reading /proc/mounts")?;
    let mut words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = words.find_map(|words| match words.as_slice() {
        [_, place, "cgroup2", ..] => Some(PathBuf::from(place)),
        _ => None,
    });
    found.context("this machine has no control groups of version 2")
}

/// Removes a group and those in it, as far as they are empty.
fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_groups(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(group);
}
