//! A console block: what is typed, by whom, and what is to be read after it.

use anyhow::{Context, Result};

use super::blocks::Block;

/// One command with what the document shows of its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Where it is in the document, counted from one.
    pub line: usize,
    pub who: Who,
    pub text: String,
    pub shown: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Root,
    /// Somebody without any right.
    User,
}

/// The commands of a block. A command goes on after a line that ends with a backslash.
pub fn commands(block: &Block) -> Result<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    let mut goes_on = false;
    for (number, line) in block.text.lines().enumerate() {
        let started = match (line.strip_prefix("$ "), line.strip_prefix("# ")) {
            (Some(text), _) => Some((Who::User, text)),
            (None, Some(text)) => Some((Who::Root, text)),
            (None, None) => None,
        };
        match (commands.last_mut(), started) {
            (Some(last), _) if goes_on => last.text = format!("{}\n{line}", last.text),
            (_, Some((who, text))) => {
                commands.push(Command { line: block.line + number, who, text: text.into(), shown: vec![] });
            }
            (Some(last), None) => last.shown.push(line.trim_end().to_owned()),
            (None, None) => anyhow::bail!("line {}: no command before {line:?}", block.line),
        }
        goes_on = (goes_on || started.is_some()) && line.ends_with('\\');
    }
    for command in &mut commands {
        while command.shown.last().is_some_and(String::is_empty) {
            command.shown.pop();
        }
    }
    commands.first().with_context(|| format!("line {}: a console without a command", block.line))?;
    Ok(commands)
}

/// Whether what a command said is what the document shows.
pub fn is_as_shown(shown: &[String], said: &str) -> bool {
    let mut said: Vec<&str> = said.lines().map(str::trim_end).collect();
    while said.last().is_some_and(|line| line.is_empty()) {
        said.pop();
    }
    shown.is_empty() || lines_fit(shown, &said)
}

fn lines_fit(shown: &[String], said: &[&str]) -> bool {
    match shown.split_first() {
        None => said.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=said.len()).any(|left_out| said.get(left_out..).is_some_and(|said| lines_fit(rest, said)))
        }
        Some((first, rest)) => {
            said.split_first().is_some_and(|(line, others)| line_fits(first, line) && lines_fit(rest, others))
        }
    }
}

/// Spaces count as one: the width of a column comes from what the wildcards hide.
fn line_fits(shown: &str, said: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, said) = (words(shown), words(said));
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}
