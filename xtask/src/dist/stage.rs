//! The tree of a package as it will lie on a host, put together below a directory.

use std::fs::{File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::dist::contents::{self, Entry, Made, Source};
use crate::dist::{Family, MAINTAINER, REVISION, Recipe, date};

#[derive(Debug)]
pub(crate) struct Tree {
    /// What stands for `/`.
    pub(crate) root: PathBuf,
    /// What the package owns.
    pub(crate) entries: Vec<Entry>,
}

impl Tree {
    pub(crate) fn lay_out(shell: &Shell, recipe: &Recipe, family: Family, scratch: &Path) -> Result<Self> {
        let tree = Self { root: scratch.join(format!("{family:?}")), entries: contents::of(family) };
        shell.create_dir(&tree.root)?;
        for entry in &tree.entries {
            let place = tree.place(entry);
            shell.create_dir(place.parent().unwrap_or(&tree.root))?;
            tree.put(shell, recipe, entry).with_context(|| format!("making {}", entry.path))?;
            set_mode(&place, entry.source.mode())?;
        }
        tree.age(&tree.root, recipe.epoch)?;
        Ok(tree)
    }

    /// Where the entry lies now.
    pub(crate) fn place(&self, entry: &Entry) -> PathBuf {
        self.root.join(entry.path.trim_start_matches('/'))
    }

    fn put(&self, shell: &Shell, recipe: &Recipe, entry: &Entry) -> Result<()> {
        let place = self.place(entry);
        match entry.source {
            Source::Directory => drop(shell.create_dir(&place)?),
            Source::Program(name) => copy(&recipe.programs.join(name), &place)?,
            Source::File(path) | Source::Config(path) => copy(&recipe.root.join(path), &place)?,
            Source::Gzip(path) => {
                let text = shell.read_binary_file(recipe.root.join(path))?;
                shell.write_file(&place, packed(shell, &text)?)?;
            }
            Source::Made(Made::BillOfMaterials) => shell.write_file(&place, &recipe.bill_of_materials)?,
            Source::Made(Made::DebianCopyright) => shell.write_file(&place, COPYRIGHT)?,
            Source::Made(Made::DebianChangelog) => {
                let text = debian_changelog(shell, recipe)?;
                shell.write_file(&place, packed(shell, text.as_bytes())?)?;
            }
        }
        Ok(())
    }

    /// Directories that nobody listed have the mode that they have on every host; everything is as old as the sources.
    fn age(&self, directory: &Path, epoch: u64) -> Result<()> {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.age(&entry.path(), epoch)?;
            } else {
                set_age(&entry.path(), epoch)?;
            }
        }
        set_mode(directory, 0o755)?;
        set_age(directory, epoch)
    }
}

/// The bytes alone: neither the mode nor the age of the source.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("setting the mode of {}", path.display()))
}

fn set_age(path: &Path, epoch: u64) -> Result<()> {
    let at = UNIX_EPOCH + Duration::from_secs(epoch);
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let times = FileTimes::new().set_accessed(at).set_modified(at);
    file.set_times(times).with_context(|| format!("setting the age of {}", path.display()))
}

fn packed(shell: &Shell, bytes: &[u8]) -> Result<Vec<u8>> {
    let output = cmd!(shell, "gzip -9 --no-name").stdin(bytes).quiet().output()?;
    Ok(output.stdout)
}

/// Debian's changelog tells of the package alone; what changed in patchd stands in the other one.
fn debian_changelog(shell: &Shell, recipe: &Recipe) -> Result<String> {
    let date = date(shell, recipe, "+%a, %d %b %Y %H:%M:%S +0000")?;
    let version = &recipe.version;
    Ok(format!(
        "patchd ({version}-{REVISION}) stable; urgency=medium\n\n  * Version {version}; what changed is in changelog.gz.\n\n -- {MAINTAINER}  {date}\n"
    ))
}

const COPYRIGHT: &str = include_str!("../../../packaging/deb/copyright");
