//! The roots that disposable roots are laid on: built by mmdebstrap once for each recipe, kept below the target directory,
//! never written to again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};

use crate::command;
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

/// Run after the above. A root that boots in a container must not set the machine's kernel parameters or wait for devices.
const CUSTOMIZE_SYSTEMD: &str = r#"
for unit in console-getty systemd-sysctl systemd-udevd systemd-hwdb-update apt-daily apt-daily-upgrade; do
    ln -sf /dev/null "$1/etc/systemd/system/$unit.service"
done
for unit in apt-daily apt-daily-upgrade dpkg-db-backup; do
    ln -sf /dev/null "$1/etc/systemd/system/$unit.timer"
done
"#;

/// What a root has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// What is essential, apt, and the certificates that a host needs for S3.
    Apt,
    /// That, and systemd to boot it with.
    Systemd,
    /// That, and needrestart.
    Needrestart,
    /// That of Systemd, and rpm.
    Rpm,
    /// What is essential, of the oldest release that mirrors still carry.
    Oldest,
    /// systemd, and unattended-upgrades.
    UnattendedUpgrades,
    /// systemd, and cloud-init.
    CloudInit,
}

/// Debian 11, with glibc 2.31.
const OLDEST: &str = "bullseye";

impl Base {
    fn included(self) -> &'static str {
        match self {
            Self::Apt => "ca-certificates",
            Self::Systemd => "ca-certificates,systemd,systemd-sysv,dbus",
            Self::Needrestart => "ca-certificates,systemd,systemd-sysv,dbus,needrestart",
            Self::Rpm => "ca-certificates,systemd,systemd-sysv,dbus,rpm",
            Self::Oldest => "",
            Self::UnattendedUpgrades => "ca-certificates,systemd,systemd-sysv,dbus,unattended-upgrades",
            Self::CloudInit => "ca-certificates,systemd,systemd-sysv,dbus,cloud-init",
        }
    }

    fn customize(self) -> String {
        match self {
            Self::Apt | Self::Oldest => CUSTOMIZE.into(),
            Self::Systemd | Self::Needrestart | Self::Rpm | Self::UnattendedUpgrades | Self::CloudInit => {
                format!("{CUSTOMIZE}{CUSTOMIZE_SYSTEMD}")
            }
        }
    }

    /// Where it lies. It is built by the first test that asks; those that come meanwhile wait.
    pub(crate) fn directory(self) -> Result<PathBuf> {
        let codename = if self == Self::Oldest { OLDEST.to_owned() } else { codename()? };
        let recipe = format!("{codename}\n{}\n{}", self.included(), self.customize());
        let roots = place::target_directory()?.join("roots");
        std::fs::create_dir_all(&roots).with_context(|| format!("making {}", roots.display()))?;
        let base = roots.join(format!("{codename}-{:016x}", fingerprint(&recipe)));
        let lock = roots.join("lock");
        let lock = std::fs::File::create(&lock).with_context(|| format!("opening {}", lock.display()))?;
        let _lock = Flock::lock(lock, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .context("waiting for another test to build a base root")?;
        if !base.is_dir() {
            self.build(&codename, &base)?;
        }
        Ok(base)
    }

    fn build(self, codename: &str, base: &Path) -> Result<()> {
        let partial = base.with_extension("partial");
        if partial.exists() {
            std::fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
        }
        let mut mmdebstrap = command::command("mmdebstrap");
        mmdebstrap.args(["--mode=root", "--variant=apt", "--format=directory", "--quiet"]);
        if !self.included().is_empty() {
            mmdebstrap.arg(format!("--include={}", self.included()));
        }
        mmdebstrap.arg(format!("--customize-hook={}", self.customize())).arg(codename).arg(&partial);
        mmdebstrap.args(mirror(&self::codename()?)?);
        command::finish(&mut mmdebstrap)?.success()?;
        std::fs::rename(&partial, base).with_context(|| format!("naming {}", base.display()))
    }
}

/// The machine's own mirror of a release or of its security updates, if apt has fetched from one; mmdebstrap knows a
/// default for releases.
pub(crate) fn mirror(release: &str) -> Result<Option<String>> {
    let targets = command::run(
        "apt-get",
        ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
    )?;
    let wanted = format!(" {release} main");
    Ok(targets.stdout.lines().find_map(|line| line.strip_suffix(&wanted)).map(str::to_owned))
}

/// The release that this machine runs.
pub(crate) fn codename() -> Result<String> {
    let text = std::fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
    let Some(codename) = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")) else {
        bail!("/etc/os-release names no VERSION_CODENAME: roots are built on Debian and Ubuntu");
    };
    Ok(codename.trim_matches('"').to_owned())
}

/// FNV-1a: the same on every machine and with every compiler.
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
