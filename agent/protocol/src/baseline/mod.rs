//! Baselines as files: what `aws ssm get-patch-baseline` prints, what a snapshot has, and our own TOML.
//!
//! A text becomes a tree whose every value knows its line (`notation`); one reader makes a baseline of it, whatever the
//! keys are called (`names`). All mistakes are listed at once, and what is valid but will have no effect is told beside
//! the baseline. No file is read here.

mod document;
mod filters;
mod names;
mod notation;
pub mod override_list;
mod rules;
mod section;
mod text;
mod vocabulary;
mod write;

use std::fmt;

use jiff::Timestamp;
use patchd_core::baseline::Baseline;
use patchd_core::baseline::system::OperatingSystem;

use self::notation::{Broken, Node};
use self::section::Findings;
pub use crate::mistake::{Mistake, Mistakes};

/// The biggest file, in bytes. The biggest baseline that the API can hold is about a quarter of it.
pub const MAX_BASELINE: usize = 256 * 1024;

/// How many mistakes of one file are told.
const MAX_MISTAKES: usize = 100;

/// A baseline and what else its file says.
#[derive(Debug, Clone, PartialEq)]
pub struct BaselineFile {
    pub baseline: Baseline,
    pub description: Option<String>,
    /// The patch groups that it is registered for.
    pub patch_groups: Vec<String>,
    pub created_at: Option<Timestamp>,
    pub modified_at: Option<Timestamp>,
    /// The names of its alternative sources, none of which is used.
    pub sources: Vec<String>,
    /// What is valid and will have no effect.
    pub notes: Vec<Note>,
}

impl BaselineFile {
    /// A baseline that came from no file.
    pub fn of(baseline: Baseline) -> Self {
        Self {
            baseline,
            description: None,
            patch_groups: Vec::new(),
            created_at: None,
            modified_at: None,
            sources: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Something in a baseline that will have no effect, and why; shown as `file:line: path: message`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    pub file: String,
    pub line: usize,
    /// `$.ApprovalRules.PatchRules[2].ApproveAfterDays`.
    pub path: String,
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.path, self.message)
    }
}

/// Reads a file that holds one baseline for Linux. `name` is what mistakes call it; it tells the notation too, by its
/// extension, else the content does.
pub fn read(name: &str, content: &[u8]) -> Result<BaselineFile, Mistakes> {
    let (mut files, mut findings) = read_listing(name, content)?;
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (None, _) => {
            findings.broken(None, "there is no baseline for Linux in it");
            Err(findings.into_mistakes())
        }
        (Some(_), false) => {
            findings.broken(None, "there are several baselines in it; keep one of them");
            Err(findings.into_mistakes())
        }
    }
}

/// Reads a file that may hold a list of baselines, and takes the one for an operating system: `BaselineOverride`.
pub fn read_for(name: &str, content: &[u8], system: OperatingSystem) -> Result<BaselineFile, Mistakes> {
    let (files, mut findings) = read_listing(name, content)?;
    let mut fitting = files.into_iter().filter(|file| file.baseline.system == system);
    fitting.next().ok_or_else(|| {
        findings.broken(None, format!("there is no baseline for {} in it", system.as_str()));
        findings.into_mistakes()
    })
}

/// Reads a file that holds one baseline, or a list of baselines with at most one for each operating system.
pub fn read_all(name: &str, content: &[u8]) -> Result<Vec<BaselineFile>, Mistakes> {
    read_listing(name, content).map(|(files, _)| files)
}

fn read_listing(name: &str, content: &[u8]) -> Result<(Vec<BaselineFile>, Findings), Mistakes> {
    let mut findings = Findings::new(name);
    let files = match parse(name, content) {
        Ok((node, names)) => document::read(&node, names, &mut findings),
        Err(broken) => {
            for Broken { line, message } in broken {
                findings.broken(Some(line), message);
            }
            Vec::new()
        }
    };
    if findings.mistakes.is_empty() { Ok((files, findings)) } else { Err(findings.into_mistakes()) }
}

/// The tree, and the names of our own form if it is in that.
fn parse(name: &str, content: &[u8]) -> Result<(Node, Option<&'static names::Names>), Vec<Broken>> {
    if MAX_BASELINE < content.len() {
        let message = format!("the file is bigger than {MAX_BASELINE} bytes, which no baseline is");
        return Err(vec![Broken { line: 1, message }]);
    }
    let text = notation::decode(content).map_err(|broken| vec![broken])?;
    if is_json(name, text) {
        notation::json::parse(text).map(|node| (node, None)).map_err(|broken| vec![broken])
    } else {
        notation::toml::parse(text).map(|node| (node, Some(&names::TOML)))
    }
}

/// By the extension, else by how it begins: `{`, or `[` with a table behind it, is JSON.
fn is_json(name: &str, text: &str) -> bool {
    let has_extension =
        |extension: &str| name.rsplit_once('.').is_some_and(|(_, last)| last.eq_ignore_ascii_case(extension));
    if has_extension("json") || has_extension("toml") {
        return has_extension("json");
    }
    let text = text.trim_start();
    let in_list = text.strip_prefix('[').map(str::trim_start);
    text.starts_with('{') || in_list.is_some_and(|rest| rest.starts_with('{') || rest.starts_with(']'))
}

#[cfg(test)]
mod tests;
