//! Where things of the tests lie: everything below the target directory, so that `cargo clean` removes it all.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directory of the built binaries: `target/debug`. Tests run from `target/debug/deps`, programs from beside them.
pub fn profile_directory() -> Result<PathBuf> {
    let own = std::env::current_exe().context("asking where the running test is")?;
    let directory = own.parent().filter(|directory| !directory.ends_with("deps"));
    let directory = directory.or_else(|| own.ancestors().nth(2));
    Ok(directory.context("the running test lies in no target directory")?.into())
}

/// The target directory.
pub fn target_directory() -> Result<PathBuf> {
    let profile = profile_directory()?;
    Ok(profile.parent().context("the running test lies in no target directory")?.into())
}

/// A program of the virtual environment that `cargo xtask test` makes: the S3 server, for one.
pub fn virtual_environment_program(name: &str) -> Result<PathBuf> {
    Ok(target_directory()?.join("venv/bin").join(name))
}

/// A fresh directory below the target directory; it is removed when dropped.
pub fn scratch(name: &str) -> Result<tempfile::TempDir> {
    let parent = target_directory()?.join("scratch");
    std::fs::create_dir_all(&parent).with_context(|| format!("making {}", parent.display()))?;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(&parent)
        .with_context(|| format!("making a directory in {}", parent.display()))
}

/// The workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Real files to test with, beside the workspace; not every machine has them.
pub fn shared_data() -> Option<PathBuf> {
    let data = workspace().join("../shared/data");
    data.is_dir().then_some(data)
}
