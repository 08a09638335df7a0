//! The only place that prints. A reader that went away (`patchctl … | head`) ends the printing, not the work.

use std::io::{self, BufWriter, IsTerminal, StderrLock, StdoutLock, Write};

use anyhow::Context;
use serde::Serialize;
use terminal_size::{Width, terminal_size_of};

use crate::exit::Failure;
use crate::text::{Line, clean};

/// Big enough that a report is written in few calls, small enough to be no cost.
const BUFFER: usize = 32 * 1024;

/// Standard output: documents or lines, never both in one call.
#[derive(Debug)]
pub(crate) struct Output {
    to: BufWriter<StdoutLock<'static>>,
    is_coloured: bool,
    /// The columns that a line may take; `None` where nobody set a limit.
    pub(crate) width: Option<usize>,
    /// What is asked for is a document for a program.
    pub(crate) is_json: bool,
    has_reader: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let asked_width = variable("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
        let own_width = || {
            terminal_size_of(&stdout)
                .map(|(Width(columns), _)| usize::from(columns))
                .filter(|&columns| 0 < columns)
        };
        Self {
            is_coloured: is_terminal && !is_dumb && variable("NO_COLOR").is_none(),
            width: asked_width.or_else(own_width),
            is_json,
            has_reader: true,
            to: BufWriter::with_capacity(BUFFER, stdout.lock()),
        }
    }

    /// Prints lines for a person.
    pub(crate) fn lines(&mut self, lines: &[Line]) -> Result<(), Failure> {
        for line in lines {
            if !self.has_reader {
                break;
            }
            let written = line.write_to(&mut self.to, self.is_coloured);
            self.settle(written)?;
        }
        Ok(())
    }

    /// Prints one document as it is built up, on one line.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<(), Failure> {
        let written = serde_json::to_writer(&mut self.to, document)
            .map_err(io::Error::from)
            .and_then(|()| self.to.write_all(b"\n"));
        self.settle(written)
    }

    /// Prints a document that somebody else has written.
    pub(crate) fn bytes(&mut self, document: &[u8]) -> Result<(), Failure> {
        let written = self.to.write_all(document.trim_ascii_end()).and_then(|()| self.to.write_all(b"\n"));
        self.settle(written)
    }

    /// Prints what is still in the buffer.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let written = self.to.flush();
        self.settle(written)
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.has_reader = false,
            written => written.context("can't write to standard output")?,
        }
        Ok(())
    }
}

/// Tells a person something beside the output. Where standard error is closed, there is nobody to tell.
pub(crate) fn tell(sentence: &str) {
    let mut stderr: StderrLock<'_> = io::stderr().lock();
    let _ = writeln!(stderr, "patchctl: {}", clean(sentence));
}
