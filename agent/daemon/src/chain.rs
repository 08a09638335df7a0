//! An error in one line, with everything that caused it: for logs, journal entries and answers.

use std::error::Error;

/// The message of `error` and of each of its sources.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::journal::JournalError;

    #[test]
    fn every_source_is_told_once() {
        let error = JournalError::Sqlite(rusqlite::Error::InvalidQuery);
        assert_eq!(super::chain(&error), "the journal failed: Query is not read-only");
    }
}
