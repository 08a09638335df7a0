//! The first command of the README, run as it is written there: what a newcomer types has to work. The second one is
//! the gate that runs this.

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::Workspace;

/// Where the command keeps its report: beside where it is run.
const REPORTS: &str = "patchd-reports";

/// What the report on the screen ends with.
const KEPT: &str = "the report is in ";

/// The commands of the first block for the shell, without their comments.
pub(crate) fn commands(readme: &str) -> Vec<&str> {
    let block = readme.split_once("```sh\n").map_or("", |(_, rest)| rest);
    let block = block.split_once("```").map_or(block, |(block, _)| block);
    let lines = block.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Runs the first command in the workspace, and looks for the report that it says it kept. Reports of this run are
/// taken away again; the directory is not, if it was there.
pub(crate) fn run(shell: &Shell, workspace: &Workspace) -> Result<()> {
    let readme = shell.read_file(workspace.root.join("README.md"))?;
    let commands = commands(&readme);
    let command = commands.first().context("README.md shows no command")?;
    let reports = workspace.root.join(REPORTS);
    let was_there = reports.exists();
    println!("$ {command}");
    let output = cmd!(shell, "sh -c {command}").quiet().output();
    let output = output.with_context(|| format!("{command:?} failed"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.starts_with("Host "), "{command:?} shows no host: {text}");
    let kept = text.lines().find_map(|line| line.strip_prefix(KEPT)).map(std::path::PathBuf::from);
    let kept = kept.with_context(|| format!("{command:?} names no report: {text}"))?;
    ensure!(kept.starts_with(&reports), "the report is not in {}: {}", reports.display(), kept.display());
    ensure!(kept.is_file(), "there is no report at {}", kept.display());
    shell.remove_path(if was_there { &kept } else { &reports })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn commands_are_those_of_the_first_block_without_comments() {
        let text = "# x\n```\nno\n```\n```sh\ncargo a -- b   # why\n\ncargo c\n# only a comment\n```\n```sh\nno\n```\n";
        assert_eq!(commands(text), ["cargo a -- b", "cargo c"]);
        assert!(commands("").is_empty());
    }
}
