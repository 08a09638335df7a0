//! A disposable Debian or Ubuntu root with a real apt and dpkg, of the release that the machine itself runs, so that
//! binaries built here run in it.
//!
//! Each test lays a fresh overlay on a base (see `base_root`), or many on a root that it has sealed. Overlays and their
//! memory file systems live in a mount namespace of the calling thread: nothing is mounted where the machine can see it,
//! and nothing is left of it when the test dies. The root shares the machine's network.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::statvfs::{Statvfs, statvfs};

use crate::base_root::Base;
use crate::binaries::Binaries;
use crate::command::{self, Finished};
use crate::place;

/// A root of its own for one test.
#[derive(Debug)]
pub struct AptRoot {
    /// Gone before the memory that it lies in.
    overlay: Overlay,
    memory: Memory,
    /// The directories below, the topmost first, as overlayfs takes them.
    below: String,
}

/// A root that is finished: nothing writes to it any more, and fresh roots are laid on it in milliseconds.
#[derive(Debug)]
pub struct SealedRoot {
    _memory: Memory,
    below: String,
}

/// A mounted overlay.
#[derive(Debug)]
struct Overlay {
    merged: PathBuf,
}

/// A memory file system.
#[derive(Debug)]
struct Memory {
    directory: tempfile::TempDir,
}

impl AptRoot {
    /// Lays a fresh root. From here on the calling thread, and every process that it starts, is in a mount namespace
    /// of its own; other threads don't see the root.
    pub fn fresh() -> Result<Self> {
        Self::on(Base::Apt)
    }

    /// The same with systemd in it, to be booted.
    pub fn fresh_with_systemd() -> Result<Self> {
        Self::on(Base::Systemd)
    }

    /// The same with systemd and unattended-upgrades.
    pub fn fresh_with_unattended_upgrades() -> Result<Self> {
        Self::on(Base::UnattendedUpgrades)
    }

    /// The same with systemd and cloud-init.
    pub fn fresh_with_cloud_init() -> Result<Self> {
        Self::on(Base::CloudInit)
    }

    /// The same with needrestart, as an oracle.
    pub fn fresh_with_needrestart() -> Result<Self> {
        Self::on(Base::Needrestart)
    }

    /// A host as its image has it, before patchd was ever there: systemd to boot it with, no user of patchd's, and nobody who
    /// forbids that services are started.
    pub fn fresh_host() -> Result<Self> {
        Self::on(Base::Systemd)?.without_traces()
    }

    /// The same with rpm, whose database is where distributions have it.
    pub fn fresh_host_with_rpm() -> Result<Self> {
        let root = Self::on(Base::Rpm)?.without_traces()?;
        root.write("/etc/rpm/macros", "%_dbpath /var/lib/rpm\n")?;
        Ok(root)
    }

    fn without_traces(self) -> Result<Self> {
        self.run(["sh", "-ec", "userdel patchd; rm -f /usr/sbin/policy-rc.d; ! getent group patchd"])?;
        Ok(self)
    }

    /// The oldest that can be made: what runs in it runs on whatever came after.
    pub fn fresh_of_the_oldest_release() -> Result<Self> {
        Self::on(Base::Oldest)
    }

    fn on(base: Base) -> Result<Self> {
        let base = base.directory()?;
        unshare(CloneFlags::CLONE_NEWNS).context("leaving the machine's mount namespace")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making mounts private")?;
        Self::above(base.display().to_string())
    }

    /// Lays an overlay in fresh memory. The calling thread is in a mount namespace of its own.
    fn above(below: String) -> Result<Self> {
        let memory = Memory::fresh()?;
        let (upper, work, merged) = (memory.part("upper")?, memory.part("work")?, memory.part("merged")?);
        let options = format!("lowerdir={below},upperdir={},workdir={}", upper.display(), work.display());
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("laying an overlay on {below}"))?;
        Ok(Self { overlay: Overlay { merged }, memory, below })
    }

    /// Ends this root and keeps what is in it, for others to be laid on.
    pub fn seal(self) -> Result<SealedRoot> {
        let Self { overlay, memory, below } = self;
        drop(overlay);
        let upper = memory.directory.path().join("upper");
        Ok(SealedRoot { _memory: memory, below: format!("{}:{below}", upper.display()) })
    }

    /// Where it lies, for programs outside it.
    pub fn path(&self) -> &Path {
        &self.overlay.merged
    }

    /// A path inside the root, as seen from outside.
    pub fn at(&self, path: &str) -> PathBuf {
        self.overlay.merged.join(path.trim_start_matches('/'))
    }

    /// Lays an empty file system of so many bytes over a directory, for processes that are started from now on.
    pub fn mount_small(&self, path: &str, bytes: u64) -> Result<()> {
        let at = self.at(path);
        std::fs::create_dir_all(&at).with_context(|| format!("making {}", at.display()))?;
        let options = format!("mode=755,size={bytes}");
        mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("mounting a small file system on {}", at.display()))
    }

    /// Makes a directory a file system of its own that can't be written, for processes that are started from now on.
    pub fn mount_read_only(&self, path: &str) -> Result<()> {
        let at = self.at(path);
        // Of one directory alone overlayfs makes nothing.
        let empty = self.memory.part("empty")?;
        let options = format!("lowerdir={}:{}", at.display(), empty.display());
        mount(Some("overlay"), &at, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))
            .with_context(|| format!("making {} read-only", at.display()))
    }

    /// Takes the topmost file system of a directory away, for processes that are started from now on.
    pub fn unmount(&self, path: &str) -> Result<()> {
        let at = self.at(path);
        umount2(&at, MntFlags::MNT_DETACH).with_context(|| format!("unmounting {}", at.display()))
    }

    /// Leaves so many bytes free on the root's own file system.
    pub fn leave_free(&self, bytes: u64) -> Result<()> {
        let told = self.told()?;
        let used = (told.blocks() - told.blocks_free()) * told.fragment_size();
        self.limit(&format!("size={}", used + bytes))
    }

    /// Leaves so many inodes free on the root's own file system: files that may yet be made, whatever room there is.
    pub fn leave_inodes(&self, count: u64) -> Result<()> {
        let told = self.told()?;
        let used = told.files() - told.files_free();
        self.limit(&format!("nr_inodes={}", used + count))
    }

    fn told(&self) -> Result<Statvfs> {
        statvfs(self.memory.directory.path()).context("asking how full a root is")
    }

    fn limit(&self, options: &str) -> Result<()> {
        let none = None::<&str>;
        mount(none, self.memory.directory.path(), none, MsFlags::MS_REMOUNT, Some(options))
            .context("limiting a root")
    }

    /// Writes a file with its directories. Mode 644.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        write(&self.at(path), content.as_ref())
    }

    /// Reads a file as text.
    pub fn read(&self, path: &str) -> Result<String> {
        let path = self.at(path);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// Copies the three programs into `/usr/bin` and `/usr/libexec/patchd`, as a package would.
    pub fn install_binaries(&self, binaries: &Binaries) -> Result<()> {
        let wanted = [
            (&binaries.patchd, "/usr/bin/patchd"),
            (&binaries.patchctl, "/usr/bin/patchctl"),
            (&binaries.patchd_executor, "/usr/libexec/patchd/patchd-executor"),
        ];
        wanted.into_iter().try_for_each(|(from, to)| self.install(from, to))
    }

    /// Copies a file into the root, with its mode.
    pub fn install(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.at(to);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        }
        std::fs::copy(from, &to)
            .map(|_| ())
            .with_context(|| format!("copying {} to {}", from.display(), to.display()))
    }

    /// Shows the machine's processes inside the root, for programs that are started by `direct_command`.
    pub fn mount_processes(&self) -> Result<()> {
        mount(Some("proc"), &self.at("/proc"), Some("proc"), MsFlags::empty(), None::<&str>)
            .context("mounting /proc in a root")
    }

    /// A command inside the root with process ids of its own; what it leaves behind dies with it.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = command::command("unshare");
        command.args(["--fork", "--pid", "--kill-child", "--mount-proc", "--wd=/"]);
        command.arg(format!("--root={}", self.overlay.merged.display())).arg("--").args(arguments);
        command.env("HOME", "/root").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// A command inside the root that keeps the process id that it is started with, for signals.
    pub fn direct_command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = command::command("chroot");
        command.arg(&self.overlay.merged).args(arguments).env("HOME", "/root");
        command
    }

    /// Runs a command inside the root to its end; an error unless it succeeds.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
        command::finish(&mut self.command(arguments))?.success()
    }

    /// What dpkg has of a package: `VERSION|want flag status`; empty if it never heard of it.
    pub fn dpkg(&self, package: &str) -> Result<String> {
        let query = ["dpkg-query", "-W", "-f=${Version}|${Status}", package];
        Ok(command::finish(&mut self.command(query))?.stdout)
    }
}

impl SealedRoot {
    /// Lays a fresh root on it, for the thread that made it.
    pub fn fresh(&self) -> Result<AptRoot> {
        AptRoot::above(self.below.clone())
    }
}

impl Memory {
    fn fresh() -> Result<Self> {
        let directory = place::scratch("root")?;
        mount(Some("tmpfs"), directory.path(), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .context("mounting a memory file system for a root")?;
        let memory = Self { directory };
        scatter_inodes(memory.directory.path())?;
        Ok(memory)
    }

    fn part(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(name);
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(path)
    }
}

// The namespace ends with the thread; detaching now lets the directory go at once. A failure leaves an empty directory
// below the target directory and nothing else.
impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = umount2(&self.merged, MntFlags::MNT_DETACH);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = umount2(self.directory.path(), MntFlags::MNT_DETACH);
    }
}

/// Makes inode numbers of this root differ from those of roots that run beside it. Fresh memory file systems count from
/// one, and the kernel's list of locks, in which dpkg's lock is looked for, tells them apart by nothing else.
fn scatter_inodes(directory: &Path) -> Result<()> {
    let path = directory.join("spent");
    for _ in 0..std::process::id().wrapping_mul(61) % 8192 {
        std::fs::File::create(&path).context("making a file in a fresh root")?;
        std::fs::remove_file(&path).context("removing a file of a fresh root")?;
    }
    Ok(())
}

/// Writes a file of mode 644, with its directories.
#[expect(clippy::disallowed_methods, reason = "files of a disposable root need no atomic write")]
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    std::fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644))
        .with_context(|| format!("setting the mode of {}", path.display()))
}
