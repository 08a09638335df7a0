//! The only place that prints. A reader that went away (`patchctl … | head`) ends the printing, not the work.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, StderrLock, StdoutLock, Write};
use std::os::fd::AsFd;

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
        Self {
            is_coloured: stdout.is_terminal() && may_colour(),
            width: width_of(&stdout),
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

    /// Prints what is still in the buffer, before something is told beside it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let written = self.to.flush();
        self.settle(written)
    }

    /// Prints what is still in the buffer.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.flush()
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.has_reader = false,
            written => written.context("can't write to standard output")?,
        }
        Ok(())
    }
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn is_dumb() -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

fn may_colour() -> bool {
    !is_dumb() && variable("NO_COLOR").is_none()
}

/// The columns that the environment asks for, else those of the terminal.
fn width_of(stream: &impl AsFd) -> Option<usize> {
    let asked = variable("COLUMNS").and_then(|columns| columns.to_str()?.parse().ok());
    let own = || {
        let (Width(columns), _) = terminal_size_of(stream)?;
        Some(usize::from(columns)).filter(|&columns| 0 < columns)
    };
    asked.or_else(own)
}

/// Standard error: what a person is told beside the output. Where it is closed, there is nobody to tell.
#[derive(Debug)]
pub(crate) struct Aside {
    to: Beside,
    is_terminal: bool,
    is_coloured: bool,
    pub(crate) width: Option<usize>,
}

#[derive(Debug)]
enum Beside {
    Stderr,
    #[cfg(test)]
    Log(crate::live::tests::Log),
}

impl Aside {
    pub(crate) fn new() -> Self {
        let stderr = io::stderr();
        // A terminal that can't move its cursor gets lines, as a file does.
        let is_terminal = stderr.is_terminal() && !is_dumb();
        Self {
            to: Beside::Stderr,
            is_terminal,
            is_coloured: is_terminal && may_colour(),
            width: width_of(&stderr),
        }
    }

    #[cfg(test)]
    pub(crate) fn plain(log: crate::live::tests::Log) -> Self {
        Self { to: Beside::Log(log), is_terminal: false, is_coloured: false, width: None }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(crate) fn is_coloured(&self) -> bool {
        self.is_coloured
    }

    /// Tells whole lines, each group at once.
    pub(crate) fn lines(&self, lines: &[Line]) {
        let mut bytes = Vec::new();
        let written = lines.iter().try_for_each(|line| line.write_to(&mut bytes, self.is_coloured));
        let _ = written.and_then(|()| match &self.to {
            Beside::Stderr => io::stderr().lock().write_all(&bytes),
            #[cfg(test)]
            Beside::Log(log) => log.clone().write_all(&bytes),
        });
    }

    /// Asks a question: the cursor stays behind it.
    pub(crate) fn ask(&self, question: &str) {
        let _ = write!(io::stderr().lock(), "{} ", clean(question));
    }
}

/// Tells a person something beside the output. Where standard error is closed, there is nobody to tell.
pub(crate) fn tell(sentence: &str) {
    let mut stderr: StderrLock<'_> = io::stderr().lock();
    let _ = writeln!(stderr, "patchctl: {}", clean(sentence));
}
