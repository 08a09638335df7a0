//! The Debian package, by dpkg-deb.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::dist::contents::Source;
use crate::dist::stage::Tree;
use crate::dist::{DESCRIPTION, MAINTAINER, REVISION, Recipe, SUMMARY};

/// The maintainer scripts, as far as there are any.
const SCRIPTS: [&str; 4] = ["preinst", "postinst", "prerm", "postrm"];

/// The oldest glibc that the programs run with; tests hold them to it.
const DEPENDS: &str =
    "apt, libc6 (>= 2.17), passwd, systemd | systemd-standalone-sysusers | systemd-sysusers";

pub(crate) fn make(shell: &Shell, recipe: &Recipe, tree: &Tree, scratch: &Path) -> Result<PathBuf> {
    let control = tree.root.join("DEBIAN");
    let sums = md5sums(shell, tree)?;
    let size = installed_size(&tree.root)?;
    shell.write_file(control.join("control"), control_text(recipe, size))?;
    shell.write_file(control.join("md5sums"), sums)?;
    let configs = tree.entries.iter().filter(|entry| matches!(entry.source, Source::Config(_)));
    let configs: String = configs.map(|entry| format!("{}\n", entry.path)).collect();
    shell.write_file(control.join("conffiles"), configs)?;
    for script in SCRIPTS {
        let source = recipe.root.join("packaging/scripts/deb").join(script);
        if source.exists() {
            shell.copy_file(&source, control.join(script))?;
        }
    }
    for entry in std::fs::read_dir(&control)? {
        let path = entry?.path();
        let is_script = SCRIPTS.iter().any(|script| path.ends_with(script));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(if is_script { 0o755 } else { 0o644 }))?;
    }
    std::fs::set_permissions(&control, PermissionsExt::from_mode(0o755))?;

    let package = scratch.join("package.deb");
    let (epoch, root) = (recipe.epoch.to_string(), &tree.root);
    // xz, since dpkg reads it everywhere; in one thread, since several cut the data where the machine's cores say.
    let level = format!("-z{}", recipe.compression);
    let pack =
        cmd!(shell, "dpkg-deb --root-owner-group -Zxz {level} --threads-max=1 --build {root} {package}");
    pack.env("SOURCE_DATE_EPOCH", epoch).quiet().ignore_stdout().run()?;
    Ok(package)
}

fn control_text(recipe: &Recipe, size: u64) -> String {
    let mut text = format!(
        "Package: patchd\nVersion: {}-{REVISION}\nArchitecture: {}\nMaintainer: {MAINTAINER}\nInstalled-Size: {size}\n\
         Depends: {DEPENDS}\nRecommends: ca-certificates\nSection: admin\nPriority: optional\n\
         Description: {SUMMARY}\n",
        recipe.version,
        recipe.architecture.debian()
    );
    for (number, paragraph) in DESCRIPTION.iter().enumerate() {
        if number > 0 {
            text.push_str(" .\n");
        }
        for line in wrapped(paragraph, 78) {
            let _ = writeln!(text, " {line}");
        }
    }
    text
}

/// Words in lines of no more than `width`.
pub(crate) fn wrapped(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// As dpkg-gencontrol counts: each file in whole kibibytes, and one for everything else.
fn installed_size(directory: &Path) -> Result<u64> {
    let mut size = 1;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        size += match entry.metadata()? {
            found if found.is_dir() => installed_size(&entry.path())?,
            found => found.len().div_ceil(1024),
        };
    }
    Ok(size)
}

/// What `dpkg --verify` looks at: of every file but the operator's.
fn md5sums(shell: &Shell, tree: &Tree) -> Result<String> {
    let _there = shell.push_dir(&tree.root);
    let shipped =
        tree.entries.iter().filter(|entry| !matches!(entry.source, Source::Directory | Source::Config(_)));
    let paths: Vec<_> = shipped.map(|entry| entry.path.trim_start_matches('/')).collect();
    let sums = cmd!(shell, "md5sum -- {paths...}").quiet().read().context("summing what is shipped")?;
    Ok(format!("{sums}\n"))
}
