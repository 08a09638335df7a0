//! The fenced blocks of a document, in their order, with the states that they ask for.

use anyhow::{Result, bail, ensure};

/// What is inside of a fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Where its first line is in the document, counted from one.
    pub line: usize,
    pub language: Language,
    /// Where it is put on the host.
    pub path: Option<String>,
    pub text: String,
    /// The states that were asked for since the block before.
    pub setup: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Console,
    Script,
    Toml,
    Json,
    Yaml,
    Text,
}

impl Language {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "console" => Some(Self::Console),
            "sh" => Some(Self::Script),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            "yaml" => Some(Self::Yaml),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Everything between fences. An unknown word behind a fence, or none, is an error: nothing goes by unseen.
pub fn blocks(document: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut setup = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(name) = line.strip_prefix("<!-- setup:").and_then(|rest| rest.strip_suffix("-->")) {
            setup.extend(name.split(',').map(|name| name.trim().to_owned()));
        }
        let Some(info) = line.trim_start().strip_prefix("```") else { continue };
        let mut words = info.split_whitespace();
        let Some(language) = words.next().and_then(Language::parse) else {
            bail!("line {}: ```{info}: say console, sh, toml, json, yaml or text", number + 1);
        };
        let path = words.next().map(str::to_owned);
        let indent = line.len() - line.trim_start().len();
        let mut text = String::new();
        let is_closed = lines.by_ref().any(|(_, line)| {
            let is_end = line.trim() == "```";
            if !is_end {
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            is_end
        });
        ensure!(is_closed, "line {}: the block has no end", number + 1);
        found.push(Block { line: number + 2, language, path, text, setup: std::mem::take(&mut setup) });
    }
    ensure!(setup.is_empty(), "a setup without a block: {setup:?}");
    Ok(found)
}
