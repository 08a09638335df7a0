//! A host with the agent on it, as its packages would lay it out, and its reports as S3 has them.

use std::process::Command;
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::apt_root::AptRoot;
use crate::binaries::Binaries;
use crate::command;
use crate::place;
use crate::repository::{LocalRepository, Suite, ToyPackage};
use crate::s3::{BUCKET, HOST, S3Server};

/// Two windows that overlap: at no time of day one has only just opened, where hosts wait for their turn, or a cutoff is
/// near.
pub fn always_open() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let hour = UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs() / 3_600 % 24);
        let window = |name: &str, ago: u64| {
            let opened = (hour + 24 - ago) % 24;
            format!("[[window]]\nname = \"{name}\"\nschedule = \"daily {opened:02}:00 +24h\"\n")
        };
        format!("[clock]\nrequire_synchronised = false\n{}{}", window("one", 6), window("two", 18))
    })
}

/// Open for a second of a day.
pub const SHUT: &str = "[[window]]\nname = \"short\"\nschedule = \"daily 00:00 +2m\"\ncutoff = \"119s\"\n";

/// The directories where there is no systemd: the agent and its keeper make their sockets in one.
const LAY_OUT: &str = "install -d -m 1775 -o root -g patchd /run/patchd
install -d -m 0750 -o patchd -g patchd /var/lib/patchd
install -d -m 0700 /var/lib/patchd-executor";

/// Puts the three programs and the files of `systemd/` where their packages would, and makes users and directories.
pub fn install_units(root: &AptRoot) -> Result<()> {
    root.install_binaries(&Binaries::find()?)?;
    let here = place::workspace().join("systemd");
    let wanted = [
        (
            ".",
            "usr/lib/systemd/system",
            &["patchd.service", "patchd-executor.service", "patchd-executor.socket"][..],
        ),
        ("sysusers.d", "usr/lib/sysusers.d", &["patchd.conf"]),
        ("tmpfiles.d", "usr/lib/tmpfiles.d", &["patchd.conf"]),
    ];
    for (from, to, names) in wanted {
        for name in names {
            let from = here.join(from).join(name);
            let text = std::fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
            root.write(&format!("/{to}/{name}"), text)?;
        }
    }
    root.run(["systemd-sysusers"])?;
    root.run(["systemctl", "enable", "patchd.service", "patchd-executor.socket"])?;
    Ok(())
}

/// A disposable root with a repository of its own and the three programs.
#[derive(Debug)]
pub struct AgentHost {
    pub root: AptRoot,
    pub repository: LocalRepository,
}

impl AgentHost {
    /// With these packages installed, at version 1.0 each.
    pub fn build(packages: &[ToyPackage]) -> Result<Self> {
        let root = AptRoot::fresh()?;
        let repository = LocalRepository::create(&root)?;
        repository.publish(Suite::Release, packages)?;
        root.run(["apt-get", "update"])?;
        let names = packages.iter().map(ToyPackage::name);
        root.run(["apt-get", "install", "-y"].into_iter().chain(names))?;
        root.install_binaries(&Binaries::find()?)?;
        root.run(["sh", "-ec", LAY_OUT])?;
        Ok(Self { root, repository })
    }

    /// Publishes fixes and has apt fetch the lists.
    pub fn publish_fixes(&self, fixes: &[ToyPackage]) -> Result<()> {
        self.repository.publish(Suite::Security, fixes)?;
        self.root.run(["apt-get", "update"])?;
        Ok(())
    }

    /// Reports go to S3 at this address; `more` is the rest of the configuration.
    pub fn configure(&self, endpoint: &str, more: &str) -> Result<()> {
        let store = format!(
            "[store]\nurl = \"s3://{BUCKET}/fleet\"\nendpoint = \"{endpoint}\"\npath_style = true\n\
             region = \"us-east-1\"\n"
        );
        self.root.write("/etc/patchd/patchd.toml", format!("{store}\n{more}"))
    }

    /// A command of the agent inside the root, with the credentials of a host.
    pub fn command(&self, arguments: &[&str]) -> Command {
        with_credentials(self.root.command(arguments))
    }

    /// The same, as a process that can be told to stop.
    pub fn direct_command(&self, arguments: &[&str]) -> Command {
        with_credentials(self.root.direct_command(arguments))
    }
}

fn with_credentials(mut command: Command) -> Command {
    command.env("AWS_ACCESS_KEY_ID", HOST.access_key).env("AWS_SECRET_ACCESS_KEY", HOST.secret_key);
    // There is no metadata service to wait for.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

/// Every report that the server has, the oldest first.
pub fn reports(server: &S3Server) -> Result<Vec<Value>> {
    let mut keys = server.keys(BUCKET)?;
    keys.retain(|key| key.contains("/v1/reports/"));
    keys.sort();
    keys.iter().map(|key| report(server, key).with_context(|| format!("reading {key}"))).collect()
}

/// The newest report.
pub fn latest_report(server: &S3Server) -> Result<Value> {
    reports(server)?.pop().context("there is no report in the store")
}

fn report(server: &S3Server, key: &str) -> Result<Value> {
    let (body, _) = server.object(BUCKET, key)?;
    let directory = place::scratch("report")?;
    let file = directory.path().join("report.json.gz");
    std::io::Write::write_all(&mut std::fs::File::create(&file)?, &body)?;
    command::finish(command::command("gzip").arg("-dc").arg(&file))?.success()?.json()
}
