//! Plays a document from its first line to its last on one booted host, as a reader would.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::aws_policy;
use super::blocks::{self, Block, Language};
use super::states::{self, Host};
use super::transcript::{self, Command, Who};
use crate::apt_root::AptRoot;
use crate::booted::Booted;
use crate::command::{self, Finished};
use crate::{binaries, place};

/// Somebody who works on the host and has no right on it.
const USER: &str = "ada";

/// Blocks that something else runs.
pub const RUN_ELSEWHERE: [(&str, &str, &str); 1] =
    [("README.md", "cargo run ", "the gate runs the README's two commands: xtask/src/readme.rs, and itself")];

/// The blocks of a document that have to be played.
pub fn playable(document: &str) -> Result<Vec<Block>> {
    let path = place::workspace().join(document);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut blocks = blocks::blocks(&text).with_context(|| format!("in {document}"))?;
    blocks.retain(|block| {
        let is_run_elsewhere =
            RUN_ELSEWHERE.iter().any(|(name, start, _)| *name == document && block.text.starts_with(start));
        block.language != Language::Text && !is_run_elsewhere
    });
    Ok(blocks)
}

/// Plays it; the error tells of everything that is not as the document says.
pub fn play(document: &str) -> Result<()> {
    let blocks = playable(document)?;
    let root = AptRoot::fresh_host()?;
    root.run(["useradd", "--create-home", "--shell", "/bin/bash", USER])?;
    root.install(&binaries::patchctl()?, states::PATCHCTL)?;
    let mut host = Host::new(Booted::boot(&root)?);
    let mut findings = Vec::new();
    for block in &blocks {
        if let Err(error) = played(&mut host, block, document, &mut findings) {
            findings.push(format!("{document}:{}: {error:?}", block.line));
            break;
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{document} does not show what happens:\n{}", findings.join("\n"))
}

fn played(host: &mut Host<'_>, block: &Block, document: &str, findings: &mut Vec<String>) -> Result<()> {
    for name in &block.setup {
        host.enter(name).with_context(|| format!("the setup {name}"))?;
    }
    if let Some(path) = &block.path {
        ensure!(path.starts_with('/'), "{path} is no absolute path");
        host.root().write(path, &block.text)?;
    }
    match block.language {
        Language::Console => {
            for command in transcript::commands(block)? {
                findings.extend(typed(host, &command, document)?);
            }
            Ok(())
        }
        Language::Script => {
            let said = command::finish(&mut host.booted().command(["sh", "-euc", &block.text]))?;
            said.success().map(drop)
        }
        Language::Toml | Language::Json | Language::Yaml => checked(host, block),
        Language::Text => Ok(()),
    }
}

/// Types a command. What it should not have printed is a finding; that it failed ends the play.
fn typed(host: &Host<'_>, command: &Command, document: &str) -> Result<Option<String>> {
    let said = run(host, command)?;
    let place = format!("{document}:{}", command.line);
    if said.code() != Some(0) {
        bail!("{place}: {}\nended with {}\n{}{}", command.text, said.status, said.stdout, host.told());
    }
    if transcript::is_as_shown(&command.shown, &said.stdout) {
        return Ok(None);
    }
    let shown = command.shown.join("\n");
    Ok(Some(format!("{place}: {}\n--- shown\n{shown}\n--- printed\n{}", command.text, said.stdout)))
}

fn run(host: &Host<'_>, command: &Command) -> Result<Finished> {
    // Both outputs in their order, as a terminal has them.
    let text = format!("exec 2>&1; cd; {}", command.text);
    let mut process = match command.who {
        Who::Root => host.booted().command(["bash", "-c", &text]),
        Who::User => host.booted().command(["runuser", "-u", USER, "--", "bash", "-c", &text]),
    };
    let home = match command.who {
        Who::Root => "/root".to_owned(),
        Who::User => format!("/home/{USER}"),
    };
    command::finish(process.env("HOME", home).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Checks a file: by patchctl where it is one of patchd's.
fn checked(host: &Host<'_>, block: &Block) -> Result<()> {
    if block.language == Language::Json {
        let document: Value = serde_json::from_str(&block.text).context("it is no JSON")?;
        if aws_policy::is_policy(&document) {
            return aws_policy::check(&document);
        }
        if document.get("OperatingSystem").is_none() {
            return Ok(());
        }
    }
    let is_configuration = block.language == Language::Toml && !block.text.contains("operating_system");
    let alone = place::scratch("checked")?;
    if is_configuration {
        return match &block.path {
            Some(_) => host.booted().run([states::PATCHCTL, "config", "check"]).map(drop),
            None => {
                let file = alone.path().join("etc/patchd/patchd.toml");
                crate::apt_root::write(&file, block.text.as_bytes())?;
                patchctl(&["config", "check", "--config-root", &alone.path().to_string_lossy()])
            }
        };
    }
    let extension = match block.language {
        Language::Toml => "toml",
        Language::Yaml => "yaml",
        _ => "json",
    };
    let file = alone.path().join(Path::new("checked").with_extension(extension));
    crate::apt_root::write(&file, block.text.as_bytes())?;
    patchctl(&["baseline", "check", &file.to_string_lossy()])
}

fn patchctl(arguments: &[&str]) -> Result<()> {
    command::finish(command::command(binaries::patchctl()?).args(arguments))?.success().map(drop)
}
