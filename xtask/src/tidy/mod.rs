//! The rules of the house as tests: what a reviewer would otherwise have to remember. They read the files that git
//! knows or would add, and change nothing.

mod crates;
mod documents;
mod platform;
mod sources;
mod tree;

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::Workspace;

/// A file of the workspace.
#[derive(Debug)]
struct File {
    /// Relative to the workspace.
    path: String,
    absolute: PathBuf,
}

impl File {
    fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|own| own == extension)
    }

    /// Its text; a file that isn't text is empty here.
    fn text(&self) -> String {
        std::fs::read_to_string(&self.absolute).unwrap_or_default()
    }
}

fn workspace() -> Workspace {
    Workspace::find().expect("the workspace is where it was built")
}

/// Everything that is tracked, or would be with `git add`.
fn files() -> Vec<File> {
    let root = workspace().root;
    let shell = Shell::new().expect("the working directory exists");
    shell.change_dir(&root);
    let listed = cmd!(shell, "git ls-files --cached --others --exclude-standard").quiet().read();
    let listed = listed.expect("the workspace is a git work tree");
    let files = listed.lines().map(|path| File { path: path.into(), absolute: root.join(path) });
    files.filter(|file| file.absolute.is_file()).collect()
}

/// Fails with every finding at once.
#[track_caller]
fn none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
