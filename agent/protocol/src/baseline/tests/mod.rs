//! Baselines as their callers see them: bytes in, a baseline with notes or the full list of mistakes out.

mod forms;
mod mistakes;
mod reference;
mod written;

use super::*;

#[track_caller]
fn read_ok(name: &str, text: &str) -> BaselineFile {
    read(name, text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What is told of a file, the name left out.
fn told(name: &str, text: &str) -> Vec<String> {
    match read(name, text.as_bytes()) {
        Ok(file) => file
            .notes
            .iter()
            .map(|note| format!("note {}: {}: {}", note.line, note.path, note.message))
            .collect(),
        Err(mistakes) => mistakes
            .list()
            .iter()
            .map(|mistake| {
                let line = mistake.line.map_or_else(String::new, |line| format!("{line}: "));
                let key = mistake.key.as_ref().map_or_else(String::new, |key| format!("{key}: "));
                format!("{line}{key}{}", mistake.message)
            })
            .collect(),
    }
}
