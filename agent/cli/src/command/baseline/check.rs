//! `patchctl baseline check`: every mistake in baselines, each with its file, line and path. It changes none.

use std::path::{Path, PathBuf};

use patchd_protocol::baseline::{Mistake, Note, override_list, read_all};
use serde::Serialize;

use super::find;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::text::{Line, Style, counted};

/// What `baseline check --json` prints.
#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    schema: &'static str,
    mistakes: Vec<FindingWire<'a>>,
    notes: Vec<FindingWire<'a>>,
}

#[derive(Debug, Serialize)]
struct FindingWire<'a> {
    file: &'a str,
    line: Option<usize>,
    path: Option<&'a str>,
    message: &'a str,
}

impl<'a> From<&'a Mistake> for FindingWire<'a> {
    fn from(mistake: &'a Mistake) -> Self {
        let Mistake { file, line, key, message } = mistake;
        Self { file, line: *line, path: key.as_deref(), message }
    }
}

impl<'a> From<&'a Note> for FindingWire<'a> {
    fn from(note: &'a Note) -> Self {
        let Note { file, line, path, message } = note;
        Self { file, line: Some(*line), path: Some(path), message }
    }
}

pub(super) fn run(files: &[PathBuf], output: &mut Output) -> Result<Exit, Failure> {
    let (mut mistakes, mut notes) = (Vec::new(), Vec::new());
    for file in files {
        match check(file) {
            Ok(more) => notes.extend(more),
            Err(more) => mistakes.extend(more),
        }
    }
    if output.is_json {
        output.document(&CheckDocument {
            schema: "patchd.baseline-check/1",
            mistakes: mistakes.iter().map(FindingWire::from).collect(),
            notes: notes.iter().map(FindingWire::from).collect(),
        })?;
    } else {
        let mut lines: Vec<_> = mistakes.iter().map(|mistake| Line::plain(mistake.to_string())).collect();
        let noted =
            |note: &Note| Line::styled(Style::Doubtful, "note").then(Style::Plain, format!(": {note}"));
        lines.extend(notes.iter().map(noted));
        let notes = if notes.is_empty() {
            String::new()
        } else {
            format!(", and {}", counted(notes.len(), "note", "notes"))
        };
        lines.push(match mistakes.len() {
            0 => Line::styled(Style::Good, "no mistakes").then(Style::Plain, notes),
            number => {
                Line::styled(Style::Bad, counted(number, "mistake", "mistakes")).then(Style::Plain, notes)
            }
        });
        output.lines(&lines)?;
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::BadInput })
}

/// The notes on a file that is valid, or the mistakes of one that is not.
fn check(file: &Path) -> Result<Vec<Note>, Vec<Mistake>> {
    let name = file.display().to_string();
    let content = find::bytes(file).map_err(|error| {
        let message = format!("it can't be read: {error}");
        vec![Mistake { file: name.clone(), line: None, key: None, message }]
    })?;
    let has_extension = |extension| file.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension));
    let notes = if has_extension("yaml") || has_extension("yml") {
        override_list::read(&name, &content).map(|_| Vec::new())
    } else {
        read_all(&name, &content).map(|files| files.into_iter().flat_map(|file| file.notes).collect())
    };
    notes.map_err(|mistakes| mistakes.list().to_vec())
}
