//! The machine that every test goes on from: a Debian with 1,000 packages of the release as it was published, without the
//! security updates since, booted by its own boot loader and saved while it runs. Built once for each recipe.
//!
//! Its packages are real as far as the system needs them; those that make up the number are toys. The archive's index is
//! real and whole. The archive's key is a lab's, since toys stand in the index too.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::agent::Agent;
use super::emulator::{Console, MEMORY, Start};
use super::lab;
use super::tools::Tools;
use crate::base_root::{codename, fingerprint, mirror};
use crate::command;
use crate::repository::{LocalRepository, Suite, ToyPackage};

/// Beside what the release calls important.
const PACKAGES: &str = "systemd-sysv,dbus,udev,kmod,linux-image-cloud-amd64,grub-pc,openssh-server,iproute2,\
                        ca-certificates,curl,procps,libpam-systemd,openssl,sudo,vim-tiny,rsync,libxml2,gnupg";
const CUSTOMIZE: &str = include_str!("guest/customize.sh");
const UPDATES: &str = include_str!("guest/updates.sh");
const AGENT: &str = include_str!("guest/agent.sh");
const CLOCK: &str = include_str!("guest/clock.sh");

/// What such hosts have, and what another agent did not get along with in 512 MiB.
const INSTALLED: usize = 1000;
const MEBIBYTE: u64 = 1 << 20;
const DISK: u64 = 4096 * MEBIBYTE;
pub(super) const LAB_DISK: u64 = 768 * MEBIBYTE;
/// patchd takes no locks in the two minutes after a boot.
const GRACE: u64 = 125;

/// How the first boot ends: with the boot loader's real configuration, and everything idle.
const SETTLE: &str = "set -e
update-grub
systemctl is-system-running --wait
up=$(cut -d. -f1 /proc/uptime)
if [ \"$up\" -lt GRACE ]; then sleep $((GRACE - up)); fi
sync
echo 3 >/proc/sys/vm/drop_caches";

/// What was built.
#[derive(Debug, Clone)]
pub struct Image {
    pub(super) tools: Tools,
    directory: PathBuf,
}

impl Image {
    /// Finds it or builds it, which takes minutes; whoever else asks meanwhile waits.
    pub fn ready() -> Result<Self> {
        let _lock = lab::lock()?;
        let tools = Tools::ready()?;
        let recipe = format!(
            "{}\n{PACKAGES}\n{CUSTOMIZE}\n{UPDATES}\n{AGENT}\n{CLOCK}\n{INSTALLED} {DISK} {LAB_DISK} {MEMORY} {SETTLE}",
            codename()?
        );
        let directory = lab::directory()?.join(format!("vm-{:016x}", fingerprint(&recipe)));
        let image = Self { tools, directory };
        if !image.directory.is_dir() {
            let partial = image.directory.with_extension("partial");
            lab::remove(&partial)?;
            std::fs::create_dir(&partial).with_context(|| format!("making {}", partial.display()))?;
            let built = Self { tools: image.tools.clone(), directory: partial.clone() };
            built.build().context("building the virtual machine")?;
            std::fs::rename(&partial, &image.directory)
                .with_context(|| format!("naming {}", image.directory.display()))?;
        }
        Ok(image)
    }

    /// Its disk, to be laid under another.
    pub fn disk(&self) -> PathBuf {
        self.directory.join("disk.qcow2")
    }

    pub(super) fn saved(&self) -> PathBuf {
        self.directory.join("saved")
    }

    /// The security updates that the machine lacks, as the archive has them.
    pub fn security_updates(&self) -> Result<Vec<PathBuf>> {
        let directory = self.directory.join("security");
        let entries =
            std::fs::read_dir(&directory).with_context(|| format!("reading {}", directory.display()))?;
        let mut archives = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        archives.sort();
        Ok(archives)
    }

    fn build(&self) -> Result<()> {
        let root = self.directory.join("root");
        install(&root, &self.directory)?;
        archive(&root, &self.directory)?;
        put(&root.join("usr/local/sbin/lab-agent"), AGENT)?;
        put(&root.join("usr/local/sbin/lab-clock"), CLOCK)?;
        shell(CUSTOMIZE, [root.as_os_str()])?;
        let raw = self.directory.join("disk.raw");
        partition(&root, &raw)?;
        let mut convert = self.tools.disk_tool();
        command::finish(convert.args(["convert", "-O", "qcow2"]).arg(&raw).arg(self.disk()))?.success()?;
        lab::remove(&root)?;
        std::fs::remove_file(&raw)?;
        self.boot_and_save()
    }

    fn boot_and_save(&self) -> Result<()> {
        let lab_disk = self.directory.join("lab.raw");
        File::create(&lab_disk)?.set_len(LAB_DISK)?;
        let start = Start {
            tools: &self.tools,
            place: &self.directory,
            disk: &self.disk(),
            lab_disk: &lab_disk,
            services: None,
            saved: None,
            console: Console::Log,
        };
        let mut emulator = start.go()?;
        let booted = Agent::connect(&start.agent_socket()).and_then(|mut agent| {
            agent.wait_until_ready(300)?;
            agent.run(&SETTLE.replace("GRACE", &GRACE.to_string()), 600)
        });
        let said = booted.with_context(|| format!("the first boot:\n{}", emulator.log("console")))?;
        ensure!(said.code == 0, "the first boot: {said:?}");
        emulator.save(&self.saved())?;
        std::fs::remove_file(&lab_disk).context("removing the empty disk")
    }
}

/// Installs the release, and fetches what it lacks.
fn install(root: &Path, kept: &Path) -> Result<()> {
    let codename = codename()?;
    let security = mirror(&format!("{codename}-security"))?.context("apt here has no security archive")?;
    let mut mmdebstrap = command::command("mmdebstrap");
    mmdebstrap.args(["--mode=root", "--variant=important", "--format=directory", "--quiet"]);
    mmdebstrap.arg(format!("--include={PACKAGES}")).arg(&codename).arg(root).args(mirror(&codename)?);
    command::finish(&mut mmdebstrap)?.success()?;
    shell(UPDATES, [root.as_os_str(), kept.as_os_str(), security.as_ref(), codename.as_ref()])
}

/// Fills up with toys, and gives the machine its archive: the release's whole index, and the toys.
fn archive(root: &Path, kept: &Path) -> Result<()> {
    let main = root.join("srv/main");
    std::fs::create_dir_all(&main)?;
    let repository = LocalRepository::at(main, &root.join("usr/share/keyrings/lab-main.gpg"))?;
    let listed = command::finish(command::command("chroot").arg(root).args(["dpkg-query", "-W"]))?;
    let real = listed.success()?.stdout.lines().count();
    let toys = (real..INSTALLED).map(|number| ToyPackage::new(&format!("lab-toy{number}"), "1.0"));
    repository.publish(Suite::Release, &toys.collect::<Vec<_>>())?;
    shell(
        "chroot \"$1\" sh -c 'dpkg --install --force-unsafe-io /srv/main/pool/lab/*.deb' >/dev/null",
        [root.as_os_str()],
    )?;
    let index = std::fs::read_to_string(kept.join("Packages")).context("reading the archive's index")?;
    let index = format!("{}\n\n{}", index.trim_end(), repository.index(Suite::Release)?);
    repository.publish_index(Suite::Release, &index, &[])?;
    shell(
        "rm -f \"$1\"/etc/apt/sources.list \"$1\"/etc/apt/sources.list.d/* && rm -rf \"$1\"/var/lib/apt/lists/*
         echo 'deb [signed-by=/usr/share/keyrings/lab-main.gpg] copy:/srv/main lab main' \
            >\"$1\"/etc/apt/sources.list.d/main.list
         chroot \"$1\" apt-get -q update",
        [root.as_os_str()],
    )
}

/// Makes a disk with one partition of it, and the boot loader before that.
fn partition(root: &Path, disk: &Path) -> Result<()> {
    let mut raw = File::create(disk).with_context(|| format!("making {}", disk.display()))?;
    raw.set_len(DISK)?;
    let modules = root.join("boot/grub/i386-pc");
    let boot = std::fs::read(modules.join("boot.img")).context("reading the boot loader's first sector")?;
    let core = std::fs::read(modules.join("core.img")).context("reading the boot loader")?;
    ensure!((core.len() as u64) < MEBIBYTE - 512, "the boot loader does not fit before the partition");
    raw.write_all(boot.get(..440).context("the boot loader's first sector is short")?)?;
    // The one entry of the table: active, Linux, from the first mebibyte to the end, counted in sectors.
    let (start, sectors) = (u32::try_from(MEBIBYTE / 512)?, u32::try_from((DISK - MEBIBYTE) / 512)?);
    raw.seek(SeekFrom::Start(446))?;
    raw.write_all(&[0x80, 0xfe, 0xff, 0xff, 0x83, 0xfe, 0xff, 0xff])?;
    raw.write_all(&start.to_le_bytes())?;
    raw.write_all(&sectors.to_le_bytes())?;
    raw.seek(SeekFrom::Start(510))?;
    raw.write_all(&[0x55, 0xaa])?;
    raw.write_all(&core)?;
    drop(raw);
    let size = format!("{}k", (DISK - MEBIBYTE) / 1024);
    let mut make = command::command("mke2fs");
    make.args(["-q", "-t", "ext4", "-E", "offset=1048576", "-L", "root", "-d"]).arg(root).arg(disk).arg(size);
    command::finish(&mut make)?.success()?;
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

/// Runs a script of the lab on this host.
fn shell<'a>(script: &str, arguments: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> Result<()> {
    let mut command = command::command("sh");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-ec", script, "lab"]).args(arguments);
    command::finish(&mut command)?.success()?;
    Ok(())
}
