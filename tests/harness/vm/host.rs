//! A virtual machine that is an instance: a metadata service with its role, a bucket for its reports, and a signed
//! repository of what Debian has fixed since the machine was built, with packages of patchd among it.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Image, S3, Vm};
use crate::fake_http::{FakeHttp, Reply, Request};
use crate::outcome::note;
use crate::packages::{Family, of_programs};
use crate::repository::{LocalRepository, Suite};
use crate::s3::{BUCKET, HOST, S3Server};
use crate::{agent_host, binaries, command, place, wait};

/// The two versions of patchd that there are: one to install, one as an update.
pub const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

/// Where a person can say which programs are packed: release ones, for figures.
const PROGRAMS: &str = "PATCHD_VM_PROGRAMS";

const DOCUMENT: &str = r#"{"accountId":"123456789012","region":"us-east-1","instanceId":"i-0123456789abcdef0",
    "availabilityZone":"us-east-1a","version":"2017-09-30"}"#;

/// The machine's list of sources beside the release's own.
const SOURCES: &str = "mkdir -p /etc/patchd/patchd.d
echo 'deb [signed-by=/srv/lab/lab.gpg] copy:/srv/lab/repo lab-security main' >/etc/apt/sources.list.d/security.list
cp /srv/lab/lab.toml /etc/patchd/patchd.d/lab.toml";

/// Which updates the repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updates {
    /// All that Debian has, a kernel among them, and patchd.
    All,
    /// Those of packages whose names begin so.
    Of(&'static [&'static str]),
}

impl Updates {
    fn contains(self, archive: &Path) -> bool {
        let name = archive.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::All => true,
            Self::Of(names) => names.iter().any(|wanted| name.split('_').next() == Some(wanted)),
        }
    }
}

/// The machine with its surroundings.
#[derive(Debug)]
pub struct VmHost {
    pub vm: Vm,
    pub s3: S3Server,
    pub metadata: FakeHttp,
}

impl VmHost {
    /// Wakes a machine on which patchd is not yet installed. `more` is configuration beside where reports go. None where
    /// there is no S3 server, which was said.
    pub fn wake_or_skipped(updates: Updates, more: &str) -> Result<Option<Self>> {
        let image = Image::ready()?;
        let Some(s3) = S3Server::start_or_skipped()? else { return Ok(None) };
        let metadata = FakeHttp::start(|_, request| metadata(request))?;
        let brought = bring(&image, updates, more)?;
        let mut vm = Vm::wake(&image, brought.path(), &s3, &metadata)?;
        vm.run(SOURCES)?;
        Ok(Some(Self { vm, s3, metadata }))
    }

    /// Installs patchd from its package, as a person does.
    pub fn install(&mut self) -> Result<String> {
        let install = "apt-get install -y -q /srv/lab/patchd_1.0.0*.deb </dev/null";
        let said = self.vm.run_for(&format!("DEBIAN_FRONTEND=noninteractive {install}"), 300)?;
        ensure!(said.code == 0, "installing patchd: {said:#?}");
        Ok(said.stdout)
    }

    /// Waits until S3 has a report of which something holds.
    pub fn report(&mut self, what: &str, seconds: u32, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = wait::until(what, seconds, || {
            self.vm.check()?;
            let reports = agent_host::reports(&self.s3)?;
            Ok(reports.into_iter().find(|report| holds(report)))
        });
        match found {
            Ok(report) => Ok(report),
            Err(error) => Err(error.context(self.vm.journal())),
        }
    }

    /// How often dpkg began to upgrade each package, from its own log of the whole life of the machine.
    pub fn upgraded(&mut self) -> Result<Vec<(String, u32)>> {
        let script = "awk '$3 == \"upgrade\" {print $4}' /var/log/dpkg.log | sort | uniq -c";
        let lines = self.vm.run(script)?;
        let count = |line: &str| {
            let (count, name) = line.trim().split_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        Ok(lines.lines().filter_map(count).collect())
    }

    /// The versions of packages, as dpkg has them.
    pub fn versions(&mut self, names: &[&str]) -> Result<String> {
        self.vm
            .run(&format!("dpkg-query -W -f='${{Package}} ${{Version}} ${{Status}}\\n' {}", names.join(" ")))
    }
}

/// Seconds since 1970, for figures. No test fails by them.
pub fn now() -> f64 {
    UNIX_EPOCH.elapsed().map_or(0.0, |since| since.as_secs_f64())
}

/// The metadata service of an instance with a role. Its credentials have an empty token, since the S3 server knows none.
fn metadata(request: &Request) -> Reply {
    const ROLE: &str = "/latest/meta-data/iam/security-credentials/";
    if (request.method.as_str(), request.target.as_str()) == ("PUT", "/latest/api/token") {
        return Reply::ok("TOKEN==").with_header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    }
    if request.header("x-aws-ec2-metadata-token") != Some("TOKEN==") {
        return Reply::status(401);
    }
    match request.target.as_str() {
        "/latest/dynamic/instance-identity/document" => Reply::ok(DOCUMENT),
        "/latest/meta-data/placement/region" => Reply::ok("us-east-1"),
        ROLE | "/latest/meta-data/iam/security-credentials" => Reply::ok("lab-role"),
        target if target.strip_prefix(ROLE) == Some("lab-role") => {
            let credentials = json!({
                "Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC",
                "AccessKeyId": HOST.access_key, "SecretAccessKey": HOST.secret_key, "Token": "",
                "Expiration": "2099-01-01T00:00:00Z",
            });
            Reply::ok(credentials.to_string())
        }
        _ => Reply::status(404),
    }
}

/// Whether the packages have programs that a person named, which are a release's.
pub fn are_of_release() -> bool {
    std::env::var_os(PROGRAMS).is_some()
}

/// Lays out what the machine gets as `/srv/lab`.
fn bring(image: &Image, updates: Updates, more: &str) -> Result<TempDir> {
    let brought = place::scratch("brought")?;
    let at = |name: &str| brought.path().join(name);
    let programs = programs(&at("programs"))?;
    let packed = VERSIONS.map(|version| of_programs(&programs, Family::Deb, version, brought.path()));
    let [first, later] = packed;
    let (_, later) = (first?, later?);
    super::lab::remove(&at("programs"))?;
    let mut archives = image.security_updates()?;
    archives.retain(|archive| updates.contains(archive));
    ensure!(!archives.is_empty(), "Debian has no security update of {updates:?} for this machine");
    if updates == Updates::All {
        archives.push(later);
    }
    std::fs::create_dir(at("repo")).context("making the repository's directory")?;
    let repository = LocalRepository::at(at("repo"), &at("lab.gpg"))?;
    repository.publish_beside(Suite::Security, &[], &archives)?;
    let store = format!(
        "[store]\nurl = \"s3://{BUCKET}/fleet\"\nendpoint = \"{S3}\"\npath_style = true\nregion = \"us-east-1\"\n"
    );
    std::io::Write::write_all(
        &mut std::fs::File::create(at("lab.toml"))?,
        format!("{store}\n{more}").as_bytes(),
    )?;
    Ok(brought)
}

/// Where the programs to pack are: those that a person named, or cargo's own without what only a debugger wants.
fn programs(stripped: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAMS) {
        return Ok(named.into());
    }
    note("the packages have developers' programs: figures of time and memory are not those of a release");
    std::fs::create_dir(stripped).context("making a directory for programs")?;
    let found = binaries::Binaries::find()?;
    for program in [&found.patchd, &found.patchd_executor, &found.patchctl] {
        let name = program.file_name().context("a program has a name")?;
        let mut strip = command::command("strip");
        command::finish(strip.arg("-o").arg(stripped.join(name)).arg(program))?.success()?;
    }
    Ok(stripped.into())
}
