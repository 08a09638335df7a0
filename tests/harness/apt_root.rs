//! A disposable Debian or Ubuntu root with a real apt and dpkg, of the release that the machine itself runs, so that
//! binaries built here run in it.
//!
//! One base is built by mmdebstrap and kept below the target directory; each test lays a fresh overlay on it. The
//! overlay and its memory file system live in a mount namespace of the calling thread: nothing is mounted where the
//! machine can see it, and nothing is left of it when the test dies. The root shares the machine's network.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::binaries::Binaries;
use crate::command::{self, Finished};
use crate::place;

/// Run in the fresh base with its path as `$1`. No source is left: a root that nobody gave a repository has none. Nor are
/// dpkg's lock files, so that each root has its own (see `scatter_inodes`).
const CUSTOMIZE: &str = r#"set -e
rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*
printf '#!/bin/sh\nexit 101\n' >"$1"/usr/sbin/policy-rc.d
chmod 755 "$1"/usr/sbin/policy-rc.d
echo 0123456789abcdef0123456789abcdef >"$1"/etc/machine-id
echo lab >"$1"/etc/hostname
rm -f "$1"/var/lib/dpkg/lock "$1"/var/lib/dpkg/lock-frontend
chroot "$1" useradd --system --user-group --no-create-home --shell /usr/sbin/nologin patchd
"#;

/// A root of its own for one test.
#[derive(Debug)]
pub struct AptRoot {
    merged: PathBuf,
    scratch: tempfile::TempDir,
}

impl AptRoot {
    /// Lays a fresh root. From here on the calling thread, and every process that it starts, is in a mount namespace
    /// of its own; other threads don't see the root.
    pub fn fresh() -> Result<Self> {
        let base = base()?;
        let scratch = place::scratch("root")?;
        unshare(CloneFlags::CLONE_NEWNS).context("leaving the machine's mount namespace")?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making mounts private")?;
        mount(Some("tmpfs"), scratch.path(), Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
            .context("mounting a memory file system for a root")?;
        scatter_inodes(scratch.path())?;
        let part = |name: &str| -> Result<PathBuf> {
            let path = scratch.path().join(name);
            std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
            Ok(path)
        };
        let (upper, work, merged) = (part("upper")?, part("work")?, part("merged")?);
        let options =
            format!("lowerdir={},upperdir={},workdir={}", base.display(), upper.display(), work.display());
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
            .with_context(|| format!("laying an overlay on {}", base.display()))?;
        Ok(Self { merged, scratch })
    }

    /// Where it lies, for programs outside it.
    pub fn path(&self) -> &Path {
        &self.merged
    }

    /// A path inside the root, as seen from outside.
    pub fn at(&self, path: &str) -> PathBuf {
        self.merged.join(path.trim_start_matches('/'))
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
        for (from, to) in wanted {
            let to = self.at(to);
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            }
            std::fs::copy(from, &to)
                .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
        }
        Ok(())
    }

    /// A command inside the root with process ids of its own; what it leaves behind dies with it.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = command::command("unshare");
        command.args(["--fork", "--pid", "--kill-child", "--mount-proc", "--wd=/"]);
        command.arg(format!("--root={}", self.merged.display())).arg("--").args(arguments);
        command.env("HOME", "/root").env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// A command inside the root that keeps the process id that it is started with, for signals.
    pub fn direct_command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = command::command("chroot");
        command.arg(&self.merged).args(arguments).env("HOME", "/root");
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

impl Drop for AptRoot {
    fn drop(&mut self) {
        // The namespace ends with the thread; detaching now lets the directory go at once. A failure leaves an empty
        // directory below the target directory and nothing else.
        let _ = umount2(&self.merged, MntFlags::MNT_DETACH);
        let _ = umount2(self.scratch.path(), MntFlags::MNT_DETACH);
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

/// The base root, built once for each recipe; tests that come meanwhile wait for it.
fn base() -> Result<PathBuf> {
    let codename = codename()?;
    let recipe = format!("{codename}\n{CUSTOMIZE}");
    let roots = place::target_directory()?.join("roots");
    std::fs::create_dir_all(&roots).with_context(|| format!("making {}", roots.display()))?;
    let base = roots.join(format!("{codename}-{:016x}", fingerprint(&recipe)));
    let lock = roots.join("lock");
    let lock = std::fs::File::create(&lock).with_context(|| format!("opening {}", lock.display()))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .context("waiting for another test to build the base root")?;
    if !base.is_dir() {
        build(&codename, &base)?;
    }
    Ok(base)
}

fn build(codename: &str, base: &Path) -> Result<()> {
    let partial = base.with_extension("partial");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
    }
    let mut mmdebstrap = command::command("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--variant=apt", "--format=directory", "--quiet"]);
    mmdebstrap.arg(format!("--customize-hook={CUSTOMIZE}")).arg(codename).arg(&partial);
    mmdebstrap.args(mirror(codename)?);
    command::finish(&mut mmdebstrap)?.success()?;
    std::fs::rename(&partial, base).with_context(|| format!("naming {}", base.display()))
}

/// The machine's own mirror of the release, if apt has fetched from one; mmdebstrap knows a default.
fn mirror(codename: &str) -> Result<Option<String>> {
    let targets = command::run(
        "apt-get",
        ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
    )?;
    let wanted = format!(" {codename} main");
    Ok(targets.stdout.lines().find_map(|line| line.strip_suffix(&wanted)).map(str::to_owned))
}

/// The release that this machine runs.
fn codename() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let Some(codename) = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")) else {
        bail!("/etc/os-release names no VERSION_CODENAME: roots are built on Debian and Ubuntu");
    };
    Ok(codename.trim_matches('"').to_owned())
}

/// FNV-1a: the same on every machine and with every compiler.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
