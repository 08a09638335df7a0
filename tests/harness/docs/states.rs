//! The states that a document can ask for, so that what it shows is what a real host says.

use anyhow::{Context, Result, bail};

use crate::agent_host::always_open;
use crate::apt_root::AptRoot;
use crate::booted::Booted;
use crate::command;
use crate::packages::{self, Family};
use crate::repository::{LocalRepository, Suite, ToyPackage};
use crate::wait;

/// For configurations that are checked before patchd is installed.
pub(super) const PATCHCTL: &str = "/usr/lib/lab/patchctl";

/// What is installed at first, and what the sources offer.
const PACKAGES: [(&str, &str, Suite, &str); 5] = [
    ("curl", "7.88.1-10+deb12u5", Suite::Security, "7.88.1-10+deb12u14"),
    ("nginx", "1.22.1-9+deb12u1", Suite::Security, "1.22.1-9+deb12u3"),
    ("postgresql-15", "15.8-0+deb12u1", Suite::Security, "15.14-0+deb12u1"),
    ("sudo", "1.9.13p3-1+deb12u1", Suite::Security, "1.9.13p3-1+deb12u2"),
    ("tmux", "3.3a-3", Suite::Release, "3.3a-3+deb12u1"),
];

/// What a container's clock is no reason to wait for, and a daemon that nobody has to wait for.
const LAB: &str = "[clock]\nrequire_synchronised = false\n";

/// A source that is no longer where it was.
const LOST: &str = "deb [signed-by=/usr/share/keyrings/lab.gpg] copy:/srv/moved lab main\n";

/// What a package manager does to keep others away.
const HOLD: &str = r#"use Fcntl;
open(F, ">>", "/var/lib/dpkg/lock-frontend") or die;
fcntl(F, F_SETLK, pack("s s l! l! i", F_WRLCK, SEEK_SET, 0, 0, 0)) or die;
sleep"#;

/// The host that a document is played on.
#[derive(Debug)]
pub(super) struct Host<'root> {
    booted: Booted<'root>,
    repository: Option<LocalRepository>,
}

impl<'root> Host<'root> {
    pub(super) fn new(booted: Booted<'root>) -> Self {
        Self { booted, repository: None }
    }

    pub(super) fn booted(&self) -> &Booted<'root> {
        &self.booted
    }

    pub(super) fn root(&self) -> &AptRoot {
        self.booted.root()
    }

    /// What the daemon said last, for messages.
    pub(super) fn told(&self) -> String {
        let said = self.booted.run(["journalctl", "--no-pager", "-n", "30", "-o", "cat"]);
        said.map_or_else(|error| error.to_string(), |said| format!("--- the journal's end\n{}", said.stdout))
    }

    /// Brings the host into a state.
    pub(super) fn enter(&mut self, name: &str) -> Result<()> {
        match name {
            "package" => self.package(),
            "installed" => self.installed(),
            "updates" => self.updates(),
            "open" => self.configured("99-open.toml", always_open()),
            "clean" => self.clean(),
            "restart wanted" => self.restart_wanted(),
            "lost source" => self.root().write("/etc/apt/sources.list.d/lost.list", LOST),
            "locked" => self.locked(),
            "unlocked" => self.booted.run(["systemctl", "stop", "lab-upgrade.service"]).map(drop),
            "quiet" => self.quiet(),
            other => bail!("there is no state {other}"),
        }
    }

    /// The deb of this build is in root's directory, as if it had been fetched.
    fn package(&self) -> Result<()> {
        packages::of_this_build(Family::Deb, env!("CARGO_PKG_VERSION"), &self.root().at("/root"))?;
        self.root().write("/usr/lib/patchd/patchd.d/00-lab.toml", LAB)
    }

    /// patchd is installed and at work.
    fn installed(&mut self) -> Result<()> {
        if !self.root().at("/usr/bin/patchd").exists() {
            self.package()?;
            self.booted.run(["sh", "-c", "apt-get install -y /root/patchd_*.deb"])?;
        }
        self.patient()?;
        self.ready()
    }

    fn ready(&self) -> Result<()> {
        let asked = ["systemctl", "is-active", "--quiet", "patchd.service"];
        let is_up = || Ok(command::finish(&mut self.booted.command(asked))?.status.success().then_some(()));
        wait::until("patchd to be ready", 30, is_up).with_context(|| self.told())
    }

    /// Its sources have newer versions of some packages.
    fn updates(&mut self) -> Result<()> {
        if self.root().at("/usr/bin/patchd").exists() {
            self.quiet()?;
        }
        let repository = match self.repository.take() {
            Some(repository) => repository,
            None => LocalRepository::create(self.root())?,
        };
        let old: Vec<_> = PACKAGES.iter().map(|(name, old, ..)| ToyPackage::new(name, old)).collect();
        self.booted.run(["rm", "-f", "/etc/apt/sources.list.d/lost.list"])?;
        repository.publish(Suite::Release, &old)?;
        repository.publish(Suite::Security, &[])?;
        self.booted.run(["apt-get", "update"])?;
        let names = PACKAGES.iter().map(|(name, old, ..)| format!("{name}={old}"));
        let install =
            format!("apt-get install -y --allow-downgrades {}", names.collect::<Vec<_>>().join(" "));
        self.booted.run(["sh", "-c", &install])?;
        for suite in [Suite::Release, Suite::Security] {
            let new = PACKAGES.iter().filter(|(.., of, _)| *of == suite);
            let new: Vec<_> = new.map(|(name, .., new)| ToyPackage::new(name, new)).collect();
            repository.publish(suite, &new)?;
        }
        self.booted.run(["apt-get", "update"])?;
        self.repository = Some(repository);
        Ok(())
    }

    /// An update asked for a restart of the machine, as scripts of packages do.
    fn restart_wanted(&self) -> Result<()> {
        let mark = "echo '*** System restart required ***' >/run/reboot-required
echo dbus >/run/reboot-required.pkgs";
        self.booted.run(["sh", "-c", mark]).map(drop)
    }

    /// Somebody else's package manager is at work.
    fn locked(&self) -> Result<()> {
        let hold = ["systemd-run", "--unit=lab-upgrade", "perl", "-e", HOLD];
        self.booted.run(hold)?;
        wait::until("the lock to be held", 10, || {
            let locks = self.booted.run(["cat", "/proc/locks"])?.stdout;
            let inode = self.booted.run(["stat", "-c", ":%i ", "/var/lib/dpkg/lock-frontend"])?.stdout;
            Ok(locks.contains(inode.trim_end_matches('\n')).then_some(()))
        })
    }

    /// No run is under way.
    fn quiet(&self) -> Result<()> {
        wait::until("the run to end", 60, || {
            let said = command::finish(&mut self.booted.command(["patchctl", "status"]))?.stdout;
            Ok((!said.lines().any(|line| line.starts_with("Now "))).then_some(()))
        })
        .with_context(|| self.told())
    }

    fn configured(&self, name: &str, text: &str) -> Result<()> {
        self.root().write(&format!("/etc/patchd/patchd.d/{name}"), text)?;
        self.reloaded()
    }

    /// As the package left it: without anything that the document configured.
    fn clean(&self) -> Result<()> {
        let remove =
            "rm -rf /etc/patchd/patchd.d/* /etc/patchd/baseline.* /etc/patchd/*.json /etc/patchd/*.yaml
rm -f /etc/patchd/hooks/*/* /run/reboot-required*";
        self.booted.run(["sh", "-c", remove])?;
        self.reloaded()
    }

    /// systemd does not count how often it starts patchd: a document does in a minute what takes a year elsewhere.
    fn patient(&self) -> Result<()> {
        let drop_in = "/etc/systemd/system/patchd.service.d/lab.conf";
        self.root().write(drop_in, "[Unit]\nStartLimitIntervalSec=0\n")?;
        self.booted.run(["systemctl", "daemon-reload"]).map(drop)
    }

    fn reloaded(&self) -> Result<()> {
        let restart = ["systemctl", "try-restart", "patchd.service"];
        self.booted.run(restart).with_context(|| self.told()).map(drop)
    }
}
