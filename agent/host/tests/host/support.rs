//! The oracle, the collection of real files, and disposable roots.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchd_core::inventory::{DpkgState, Flag, Inventory, Status, Want};
use patchd_core::problem::{Problem, Weight};
use patchd_host::root::Root;

/// The collection of real files, which is not part of the repository.
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

/// A file or directory of the collection, or none after a word about what is left out.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let path = Path::new(DATA).join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("left out: {name}, since there is no collection of real files beside the repository");
    None
}

/// The content of a file of the collection, unpacked if its name ends in `.gz`.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    if path.extension().is_none_or(|extension| extension != "gz") {
        return file;
    }
    let mut content = Vec::new();
    flate2::read::GzDecoder::new(&*file).read_to_end(&mut content).unwrap();
    content
}

#[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
pub(crate) fn put(root: &Root, name: &str, content: impl AsRef<[u8]>) {
    let path = root.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// A root whose database is `status`, with the directories that dpkg-query wants.
pub(crate) fn root_with_status(status: impl AsRef<[u8]>) -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::at(directory.path());
    put(&root, "var/lib/dpkg/status", status);
    std::fs::create_dir_all(root.path("var/lib/dpkg/updates")).unwrap();
    std::fs::create_dir_all(root.path("var/lib/dpkg/info")).unwrap();
    (directory, root)
}

/// What a native tool printed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// Runs a native tool as an oracle, or none after a word if the machine doesn't have it.
pub(crate) fn run(program: &str, arguments: &[&str], input: Stdio) -> Option<Answer> {
    run_with(program, arguments, input, &[])
}

/// The same with words in its environment.
#[expect(clippy::disallowed_methods, reason = "the one place of these tests that starts a process")]
pub(crate) fn run_with(
    program: &str,
    arguments: &[&str],
    input: Stdio,
    environment: &[(&str, &str)],
) -> Option<Answer> {
    if !Path::new(program).exists() {
        eprintln!("left out: the comparison with {program}, which this machine doesn't have");
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(environment.iter().copied());
    let output = command.stdin(input).output().unwrap();
    Some(Answer {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// What a filter makes of its input, which must succeed.
#[expect(clippy::disallowed_methods, reason = "a filter's output is bytes and no text")]
pub(crate) fn run_for_bytes(program: &str, arguments: &[&str], input: Stdio) -> Vec<u8> {
    let output = Command::new(program).args(arguments).stdin(input).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// `dpkg-query -W` on a root, with `format` for each package.
pub(crate) fn dpkg_query(root: &Root, format: &str) -> Option<Answer> {
    let admin = root.path("var/lib/dpkg");
    let arguments = ["--admindir", admin.to_str().unwrap(), "-W", "-f", format];
    run("/usr/bin/dpkg-query", &arguments, Stdio::null())
}

/// The rows of `ROW_FORMAT` that dpkg-query would print for an inventory. Of a package that is gone, the source isn't
/// kept, and dpkg's empty architecture is our `none`.
pub(crate) const ROW_FORMAT: &str = "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\t${Status}\t\
                                     ${source:Package}\t${source:Version}\n";

pub(crate) fn rows(inventory: &Inventory) -> BTreeSet<String> {
    let packages = inventory.packages.iter().map(|package| {
        let source = &package.source;
        let state = (abbreviation(package.state), words(package.state));
        let id = &package.id;
        let (name, architecture, version) = (&id.name, &id.architecture, &package.version);
        format!(
            "{name}\t{architecture}\t{version}\t{}\t{}\t{}\t{}",
            state.0, state.1, source.name, source.version
        )
    });
    let residual = inventory.residual.iter().map(|package| {
        let id = &package.id;
        let version = package.version.as_ref().map(|version| version.as_str()).unwrap_or_default();
        format!(
            "{}\t{}\t{version}\t{}\t{}",
            id.name,
            id.architecture,
            abbreviation(package.state),
            words(package.state)
        )
    });
    packages.chain(residual).collect()
}

/// dpkg-query's rows in the same terms.
pub(crate) fn oracle_rows(output: &str) -> BTreeSet<String> {
    let row = |line: &str| {
        let mut fields: Vec<_> = line.split('\t').collect();
        if fields[1].is_empty() {
            fields[1] = "none";
        }
        if fields[4].ends_with(" config-files") {
            fields.truncate(5);
        }
        fields.join("\t")
    };
    output.lines().map(row).collect()
}

fn abbreviation(state: DpkgState) -> String {
    let want = match state.want {
        Want::Unknown => 'u',
        Want::Install => 'i',
        Want::Hold => 'h',
        Want::Deinstall => 'r',
        Want::Purge => 'p',
    };
    let status = match state.status {
        Status::NotInstalled => 'n',
        Status::ConfigFiles => 'c',
        Status::HalfInstalled => 'H',
        Status::Unpacked => 'U',
        Status::HalfConfigured => 'F',
        Status::TriggersAwaited => 'W',
        Status::TriggersPending => 't',
        Status::Installed => 'i',
    };
    let flag = if state.flag == Flag::ReinstallRequired { 'R' } else { ' ' };
    format!("{want}{status}{flag}")
}

fn words(state: DpkgState) -> String {
    let want = match state.want {
        Want::Unknown => "unknown",
        Want::Install => "install",
        Want::Hold => "hold",
        Want::Deinstall => "deinstall",
        Want::Purge => "purge",
    };
    let status = match state.status {
        Status::NotInstalled => "not-installed",
        Status::ConfigFiles => "config-files",
        Status::HalfInstalled => "half-installed",
        Status::Unpacked => "unpacked",
        Status::HalfConfigured => "half-configured",
        Status::TriggersAwaited => "triggers-awaited",
        Status::TriggersPending => "triggers-pending",
        Status::Installed => "installed",
    };
    let flag = if state.flag == Flag::ReinstallRequired { "reinstreq" } else { "ok" };
    format!("{want} {flag} {status}")
}

pub(crate) fn is_incomplete(problems: &[Problem]) -> bool {
    problems.iter().any(|problem| problem.weight == Weight::Incomplete)
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}
