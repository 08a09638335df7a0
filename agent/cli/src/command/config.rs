//! `patchctl config check`: every mistake in the configuration, each with its file and line. It changes none.

use patchd_host::config_files;
use patchd_protocol::config::Mistake;
use serde::Serialize;

use crate::arguments::ConfigCommand;
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::Output;
use crate::text::{Line, Style, counted};

/// What `config check --json` prints.
#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    mistakes: Vec<MistakeWire<'a>>,
}

#[derive(Debug, Serialize)]
struct MistakeWire<'a> {
    file: &'a str,
    line: Option<usize>,
    key: Option<&'a str>,
    message: &'a str,
}

impl<'a> From<&'a Mistake> for MistakeWire<'a> {
    fn from(mistake: &'a Mistake) -> Self {
        Self {
            file: &mistake.file,
            line: mistake.line,
            key: mistake.key.as_deref(),
            message: &mistake.message,
        }
    }
}

pub(crate) fn run(command: &ConfigCommand, output: &mut Output) -> Result<Exit, Failure> {
    let ConfigCommand::Check { config_root } = command;
    let root = once::existing_root(config_root)?;
    let mistakes = match config_files::load(&root) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.list().to_vec(),
    };
    if output.is_json {
        let mistakes = mistakes.iter().map(MistakeWire::from).collect();
        output.document(&CheckDocument { schema: "patchd.config-check/1", mistakes })?;
    } else {
        let verdict = match mistakes.len() {
            0 if !root.path(config_files::MAIN_FILE).exists() => {
                let file = root.path(config_files::MAIN_FILE);
                Line::plain(format!("there is no {}: every value is the default", file.display()))
            }
            0 => Line::styled(Style::Good, "the configuration has no mistakes"),
            number => Line::styled(Style::Bad, counted(number, "mistake", "mistakes")),
        };
        let mut lines: Vec<_> = mistakes.iter().map(|mistake| Line::plain(mistake.to_string())).collect();
        lines.push(verdict);
        output.lines(&lines)?;
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::BadInput })
}
