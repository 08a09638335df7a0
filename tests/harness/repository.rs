//! A signed apt repository of toy packages inside a root: a release suite and its security suite, as Debian has them.
//!
//! Packages are built by dpkg-deb, indexed by apt-ftparchive and signed by gpg with a key that lives as long as the
//! test. The root reaches it as `copy:/srv/repo`, so its list files are real files, as with a mirror.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::apt_root::{AptRoot, write};
use crate::command;

/// One of the two suites of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    Release,
    Security,
}

impl Suite {
    pub fn codename(self) -> &'static str {
        match self {
            Self::Release => "lab",
            Self::Security => "lab-security",
        }
    }

    /// Label and Suite of its Release file, in Debian's own words.
    fn facts(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Release => [("Label", "Debian"), ("Suite", "stable")],
            Self::Security => [("Label", "Debian-Security"), ("Suite", "stable-security")],
        }
    }
}

/// A package made of text.
#[derive(Debug, Clone)]
pub struct ToyPackage {
    name: String,
    version: String,
    is_architecture_independent: bool,
    fields: Vec<String>,
    files: Vec<(String, String)>,
    conffiles: Vec<String>,
    scripts: Vec<(&'static str, String)>,
    control_files: Vec<(&'static str, String)>,
    /// Where in the package, from where, and with which mode.
    copies: Vec<(String, PathBuf, u32)>,
}

impl ToyPackage {
    /// A package with one file, `/usr/share/NAME/version`, which says its version.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            is_architecture_independent: false,
            fields: Vec::new(),
            files: vec![(format!("/usr/share/{name}/version"), format!("{version}\n"))],
            conffiles: Vec::new(),
            scripts: Vec::new(),
            control_files: Vec::new(),
            copies: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes its architecture `all` in place of the machine's own.
    pub fn architecture_independent(mut self) -> Self {
        self.is_architecture_independent = true;
        self
    }

    /// Adds a field of the control file, such as `Depends: lab-library (>= 1.1)`.
    pub fn field(mut self, line: &str) -> Self {
        self.fields.push(line.into());
        self
    }

    /// Adds a configuration file that dpkg watches.
    pub fn conffile(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.into(), content.into()));
        self.conffiles.push(path.into());
        self
    }

    /// Adds a file.
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Adds a copy of a file of the machine.
    pub fn copy_of(mut self, path: &str, from: &Path, mode: u32) -> Self {
        self.copies.push((path.into(), from.into(), mode));
        self
    }

    /// Adds a file beside the control file that is no script: `triggers` or `templates`.
    pub fn control_file(mut self, name: &'static str, content: &str) -> Self {
        self.control_files.push((name, content.into()));
        self
    }

    /// Adds a maintainer script: `postinst`, `preinst`, `prerm`, `postrm` or `config`.
    pub fn script(mut self, name: &'static str, body: &str) -> Self {
        self.scripts.push((name, format!("#!/bin/sh\nset -e\n{body}\n")));
        self
    }

    /// Builds it into `directory`.
    fn build(&self, directory: &Path, work: &Path) -> Result<()> {
        let tree = work.join(format!("{}_{}", self.name, self.version));
        let Self { name, version, .. } = self;
        let architecture = match self.is_architecture_independent {
            true => "all".to_owned(),
            false => architecture()?,
        };
        let mut control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nSection: misc\nPriority: optional\n\
             Maintainer: Lab <lab@example.invalid>\nDescription: toy package of the tests\n"
        );
        for field in &self.fields {
            control.push_str(field);
            control.push('\n');
        }
        write(&tree.join("DEBIAN/control"), control.as_bytes())?;
        if !self.conffiles.is_empty() {
            write(&tree.join("DEBIAN/conffiles"), format!("{}\n", self.conffiles.join("\n")).as_bytes())?;
        }
        for (path, content) in &self.files {
            write(&tree.join(path.trim_start_matches('/')), content.as_bytes())?;
        }
        for (name, content) in &self.control_files {
            write(&tree.join("DEBIAN").join(name), content.as_bytes())?;
        }
        for (path, from, mode) in &self.copies {
            let to = tree.join(path.trim_start_matches('/'));
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
            }
            std::fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(*mode))
                .with_context(|| format!("setting the mode of {}", to.display()))?;
        }
        for (script, body) in &self.scripts {
            let path = tree.join("DEBIAN").join(script);
            write(&path, body.as_bytes())?;
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .with_context(|| format!("setting the mode of {}", path.display()))?;
        }
        command::finish(
            command::command("dpkg-deb")
                .args(["--root-owner-group", "-Znone", "-b"])
                .arg(&tree)
                .arg(directory),
        )?
        .success()?;
        std::fs::remove_dir_all(&tree).with_context(|| format!("removing {}", tree.display()))
    }
}

/// A Release file with these facts in place of its own of the same names.
fn with_facts(release: &str, facts: &[(&str, &str)]) -> String {
    let is_replaced = |line: &&str| {
        facts.iter().any(|(name, _)| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
    };
    let given = facts.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let kept = release.lines().filter(|line| !is_replaced(line)).map(|line| format!("{line}\n"));
    given.chain(kept).collect()
}

/// The architecture of this machine's dpkg.
pub fn architecture() -> Result<String> {
    Ok(command::run("dpkg", ["--print-architecture"])?.stdout.trim().to_owned())
}

/// The repository in `/srv/repo` of one root.
#[derive(Debug)]
pub struct LocalRepository {
    directory: PathBuf,
    /// The signing key; a short path, since gpg puts sockets there.
    keys: tempfile::TempDir,
}

impl LocalRepository {
    /// Makes it, empty, with both suites among the sources of `root`.
    pub fn create(root: &AptRoot) -> Result<Self> {
        let repository = Self::at(root.at("/srv/repo"), &root.at("/usr/share/keyrings/lab.gpg"))?;
        let mut sources = String::new();
        for suite in [Suite::Release, Suite::Security] {
            repository.publish(suite, &[])?;
            let codename = suite.codename();
            sources.push_str(&format!(
                "deb [signed-by=/usr/share/keyrings/lab.gpg] copy:/srv/repo {codename} main\n"
            ));
        }
        root.write("/etc/apt/sources.list.d/lab.list", sources)?;
        Ok(repository)
    }

    /// Makes one in a directory, without any suite, and puts the key that signs it where `keyring` says.
    pub fn at(directory: PathBuf, keyring: &Path) -> Result<Self> {
        let keys =
            tempfile::Builder::new().prefix("key").tempdir().context("making a directory for a key")?;
        let repository = Self { directory, keys };
        repository.gpg(&["--quick-gen-key", "Lab <lab@example.invalid>", "ed25519", "sign", "0"])?;
        repository.gpg(&["--output", &keyring.to_string_lossy(), "--export"])?;
        std::fs::set_permissions(keyring, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .context("making the key readable")?;
        Ok(repository)
    }

    /// Makes `packages` what the suite has; what it had before is gone.
    pub fn publish(&self, suite: Suite, packages: &[ToyPackage]) -> Result<()> {
        self.publish_with(suite, packages, &[])
    }

    /// Makes `packages` what the suite has, and these archives beside them.
    pub fn publish_beside(&self, suite: Suite, packages: &[ToyPackage], archives: &[PathBuf]) -> Result<()> {
        self.publish_all(suite, packages, archives, &[])
    }

    /// The same with more facts in the Release file, such as `("Valid-Until", "Sat, 01 Jan 2022 00:00:00 UTC")`.
    pub fn publish_with(&self, suite: Suite, packages: &[ToyPackage], facts: &[(&str, &str)]) -> Result<()> {
        self.publish_all(suite, packages, &[], facts)
    }

    fn publish_all(
        &self,
        suite: Suite,
        packages: &[ToyPackage],
        archives: &[PathBuf],
        facts: &[(&str, &str)],
    ) -> Result<()> {
        let codename = suite.codename();
        let pool = self.directory.join("pool").join(codename);
        if pool.exists() {
            std::fs::remove_dir_all(&pool).with_context(|| format!("removing {}", pool.display()))?;
        }
        std::fs::create_dir_all(&pool).with_context(|| format!("making {}", pool.display()))?;
        for package in packages {
            package.build(&pool, &self.directory.join("work"))?;
        }
        for archive in archives {
            let name = archive.file_name().with_context(|| format!("{} is no file", archive.display()))?;
            std::fs::copy(archive, pool.join(name))
                .with_context(|| format!("copying {}", archive.display()))?;
        }
        self.publish_index(suite, &self.index(suite)?, facts)
    }

    /// The same without any archive: with the text of an index, and what it names is where somebody else put it.
    pub fn publish_index(&self, suite: Suite, index: &str, facts: &[(&str, &str)]) -> Result<()> {
        let codename = suite.codename();
        let dist = self.directory.join("dists").join(codename);
        let architecture = architecture()?;
        write(&dist.join(format!("main/binary-{architecture}/Packages")), index.as_bytes())?;
        let mut options = vec![format!("Architectures={architecture}")];
        let own = [("Origin", "Debian"), ("Codename", codename), ("Components", "main")];
        for (name, value) in own.iter().chain(&suite.facts()) {
            options.push(format!("{name}={value}"));
        }
        let mut arguments = Vec::new();
        for option in &options {
            arguments.extend(["-o".to_owned(), format!("APT::FTPArchive::Release::{option}")]);
        }
        arguments.extend(["release".to_owned(), format!("dists/{codename}")]);
        let (release, signed) = (dist.join("Release"), dist.join("InRelease"));
        for old in [&release, &signed] {
            if old.exists() {
                std::fs::remove_file(old).with_context(|| format!("removing {}", old.display()))?;
            }
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        write(&release, with_facts(&self.archive(&arguments)?, facts).as_bytes())?;
        self.gpg(&["--output", &signed.to_string_lossy(), "--clearsign", &release.to_string_lossy()])
    }

    /// The index of what the pool of a suite has.
    pub fn index(&self, suite: Suite) -> Result<String> {
        self.archive(&["packages", &format!("pool/{}", suite.codename())])
    }

    fn archive(&self, arguments: &[&str]) -> Result<String> {
        let mut command = command::command("apt-ftparchive");
        command.current_dir(&self.directory).args(arguments);
        Ok(command::finish(&mut command)?.success()?.stdout)
    }

    fn gpg(&self, arguments: &[&str]) -> Result<()> {
        let mut command = command::command("gpg");
        command.env("GNUPGHOME", self.keys.path()).args(["--batch", "--quiet", "--yes", "--passphrase", ""]);
        command::finish(command.args(["--pinentry-mode", "loopback"]).args(arguments))?.success()?;
        // gpg leaves an agent behind; the runner would see it as a leak of the test.
        let mut end = command::command("gpgconf");
        end.env("GNUPGHOME", self.keys.path()).args(["--kill", "all"]);
        command::finish(&mut end)?.success()?;
        Ok(())
    }
}
