//! The stanza format of dpkg's and apt's files (deb822(5)): cuts a stream into stanzas, and a stanza into fields.
//!
//! It reads sound files as dpkg does, and goes on where dpkg would stop: a bad line is handed out as one, and the
//! fields around it stay. It knows no field names and decodes no text: names and values are bytes.

use std::io::{self, Read};

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};
use thiserror::Error;

/// The longest stanza that is held in memory. The longest in Debian's archive is below a tenth of it.
pub const MAX_STANZA: usize = 1 << 20;

/// How much is asked of the source at once.
const CHUNK: usize = 64 << 10;

/// The longest mark of a stanza's end: newline, carriage return, newline.
const MAX_MARK: usize = 3;

/// One stanza, without the empty lines around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stanza<'a> {
    pub bytes: &'a [u8],
    /// The line of the file on which it begins, counted from 1; where lines are not counted, always 1.
    pub line: u64,
    /// How many bytes of the file come before it.
    pub offset: u64,
    pub end: End,
}

/// How a stanza ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By an empty line, or by the end of the file after a whole line.
    Whole,
    /// The file ends without the last line's newline: it was cut, and nobody knows what is missing.
    CutFile,
    /// The stanza is longer than the limit; only its beginning is here.
    CutHere,
}

/// Reads a source stanza by stanza, in bounded memory: one window, as long as the longest stanza and a chunk.
///
/// Stanzas are parted by empty lines. A line with a carriage return alone counts as empty, as it does for apt; a line
/// of blanks and tabs does not, and belongs to the value before it, as it does for dpkg.
#[derive(Debug)]
pub struct StanzaReader<R> {
    source: R,
    window: Vec<u8>,
    /// Where in the window the next stanza begins, and where the bytes that were read end.
    start: usize,
    filled: usize,
    line: u64,
    counts_lines: bool,
    /// How many bytes of the source come before the window.
    offset: u64,
    max_stanza: usize,
    is_source_at_end: bool,
    /// The last stanza was cut; what is left of it has to be passed over.
    is_inside_cut: bool,
    marks: EndMarks,
}

impl<R: Read> StanzaReader<R> {
    pub fn new(source: R) -> Self {
        Self::with_limit(source, MAX_STANZA)
    }

    /// The same without counting lines, which takes as long as finding the stanzas. Offsets tell the places.
    pub fn without_lines(source: R) -> Self {
        Self { counts_lines: false, ..Self::new(source) }
    }

    /// The same with another limit for the length of a stanza.
    pub fn with_limit(source: R, max_stanza: usize) -> Self {
        Self {
            source,
            window: vec![0; CHUNK],
            start: 0,
            filled: 0,
            line: 1,
            counts_lines: true,
            offset: 0,
            max_stanza,
            is_source_at_end: false,
            is_inside_cut: false,
            marks: EndMarks::new(),
        }
    }

    /// The next stanza, or none at the end. An error is the source's own; the stanzas before it were handed out.
    pub fn next_stanza(&mut self) -> io::Result<Option<Stanza<'_>>> {
        self.skip_rest_of_cut()?;
        self.skip_empty_lines()?;
        let mut searched = 0;
        let (length, end) = loop {
            let unread = self.unread();
            if let Some(length) = self.marks.find(unread, searched) {
                break (length, End::Whole);
            }
            // The stanza's own newline is the first byte of the mark.
            if self.max_stanza + MAX_MARK - 1 <= unread.len() {
                break (unread.len(), End::CutHere);
            }
            // A mark may lie across two chunks.
            searched = unread.len().saturating_sub(MAX_MARK - 1);
            if !self.fill()? {
                match self.unread() {
                    [] => return Ok(None),
                    [.., b'\n'] => break (self.filled - self.start, End::Whole),
                    _ => break (self.filled - self.start, End::CutFile),
                }
            }
        };
        let (length, end) =
            if length <= self.max_stanza { (length, end) } else { (self.max_stanza, End::CutHere) };
        self.is_inside_cut = end == End::CutHere;
        let (from, line, offset) = (self.start, self.line, self.offset());
        self.advance(length);
        let bytes = self.window.get(from..self.start).unwrap_or_default();
        Ok(Some(Stanza { bytes, line, offset, end }))
    }

    /// How many bytes of the file come before what is read next.
    pub fn offset(&self) -> u64 {
        self.offset + self.start as u64
    }

    /// The line that is read next, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn unread(&self) -> &[u8] {
        self.window.get(self.start..self.filled).unwrap_or_default()
    }

    fn advance(&mut self, length: usize) {
        if self.counts_lines {
            let passed = self.window.get(self.start..self.start + length).unwrap_or_default();
            self.line += count_lines(passed);
        }
        self.start += length;
    }

    fn skip_empty_lines(&mut self) -> io::Result<()> {
        loop {
            match self.unread() {
                [b'\n', ..] => self.advance(1),
                [b'\r', b'\n', ..] => self.advance(2),
                [] | [b'\r'] => {
                    if !self.fill()? {
                        return Ok(());
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_rest_of_cut(&mut self) -> io::Result<()> {
        while self.is_inside_cut {
            let unread = self.unread();
            if let Some(length) = self.marks.find(unread, 0) {
                self.advance(length);
                self.is_inside_cut = false;
            } else {
                self.advance(unread.len().saturating_sub(MAX_MARK - 1));
                if !self.fill()? {
                    self.advance(self.unread().len());
                    self.is_inside_cut = false;
                }
            }
        }
        Ok(())
    }

    /// Reads more behind what is unread; false at the end of the source.
    fn fill(&mut self) -> io::Result<bool> {
        if self.is_source_at_end {
            return Ok(false);
        }
        self.window.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.offset += self.start as u64;
        self.start = 0;
        if self.window.len() - self.filled < CHUNK / 2 {
            let longer = (self.window.len() * 2).min(self.max_stanza.saturating_add(CHUNK));
            self.window.resize(longer.max(self.filled + CHUNK / 2), 0);
        }
        let free = self.window.get_mut(self.filled..).unwrap_or_default();
        let count = loop {
            match self.source.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.marks.learn(free.get(..count).unwrap_or_default());
        self.filled += count;
        self.is_source_at_end = count == 0;
        Ok(count != 0)
    }
}

/// How many lines end in `bytes`.
pub fn count_lines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// What ends a stanza, as prepared searches.
#[derive(Debug)]
struct EndMarks {
    empty_line: Finder<'static>,
    empty_line_with_return: Finder<'static>,
    /// Whether a carriage return was ever read. Hardly a file has one, and then one search is enough.
    has_returns: bool,
}

impl EndMarks {
    fn new() -> Self {
        Self {
            empty_line: Finder::new(b"\n\n"),
            empty_line_with_return: Finder::new(b"\n\r\n"),
            has_returns: false,
        }
    }

    /// Looks at bytes that will be searched.
    fn learn(&mut self, bytes: &[u8]) {
        self.has_returns = self.has_returns || memchr(b'\r', bytes).is_some();
    }

    /// The length of the stanza that `bytes` begin with, its last newline included, if its end is there.
    fn find(&self, bytes: &[u8], searched: usize) -> Option<usize> {
        let rest = bytes.get(searched..)?;
        let plain = self.empty_line.find(rest);
        let mut found = plain;
        if self.has_returns {
            // The last newline of the one mark can be the first of the other.
            let before = rest.get(..plain.map_or(rest.len(), |at| at + 1))?;
            found = self.empty_line_with_return.find(before).or(plain);
        }
        found.map(|at| searched + at + 1)
    }
}

/// One field of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    /// Without the blanks around it. Of a value of several lines, each line but the first begins with a blank.
    pub value: &'a [u8],
    /// The line of the file on which it begins.
    pub line: u64,
}

impl<'a> Field<'a> {
    /// Whether it has this name; case doesn't count.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The lines of its value without the blanks around them; comment lines are left out.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.value.split(|&byte| byte == b'\n');
        lines.filter(|line| line.first() != Some(&b'#')).map(<[u8]>::trim_ascii)
    }
}

/// A line that is part of no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct BadLine {
    pub line: u64,
    pub reason: BadLineReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadLineReason {
    #[error("the line is no field: it has no name and colon")]
    NoColon,
    #[error("the field has no name")]
    NoName,
    #[error("the line continues a field, but none comes before it")]
    NothingToContinue,
}

impl<'a> Stanza<'a> {
    /// Its fields in their order. A bad line, with the lines that continue it, is passed over and handed out as one.
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.bytes, line: self.line }
    }
}

/// The iterator of `Stanza::fields`.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
    line: u64,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, BadLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = self.line;
            let (&first, entry) = (self.rest.first()?, self.take_entry());
            // Comments are allowed by apt only; dpkg never writes one, so nothing of its files is lost here.
            if first != b'#' {
                return Some(parse_field(entry, line).map_err(|reason| BadLine { line, reason }));
            }
        }
    }
}

impl<'a> Fields<'a> {
    /// Cuts off the first line and the lines that continue it. A comment is one line, and a comment inside of a value
    /// belongs to that value when another line of it follows. The work is linear in what is cut off.
    fn take_entry(&mut self) -> &'a [u8] {
        let is_comment = self.rest.first() == Some(&b'#');
        let mut end = 0;
        let mut newlines = 0;
        loop {
            let rest = self.rest.get(end..).unwrap_or_default();
            let Some(length) = memchr(b'\n', rest) else {
                end = self.rest.len();
                break;
            };
            end += length + 1;
            newlines += 1;
            // Most entries are one line, and the next one begins a field.
            if self.rest.get(end).is_none_or(|&byte| byte.is_ascii_alphabetic()) {
                break;
            }
            let comments = self.rest.get(end..).and_then(comments_before_continuation);
            let Some((length, lines)) = comments.filter(|_| !is_comment) else {
                break;
            };
            end += length;
            newlines += lines;
        }
        let (entry, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, b""));
        self.rest = rest;
        self.line += newlines;
        entry
    }
}

/// If the value before `rest` goes on in it: the bytes and lines of the comments that come first.
fn comments_before_continuation(rest: &[u8]) -> Option<(usize, u64)> {
    let (mut length, mut lines) = (0, 0);
    while rest.get(length) == Some(&b'#') {
        length += memchr(b'\n', rest.get(length..)?)? + 1;
        lines += 1;
    }
    rest.get(length).filter(|&&byte| is_blank(byte)).map(|_| (length, lines))
}

fn parse_field(entry: &[u8], line: u64) -> Result<Field<'_>, BadLineReason> {
    if entry.first().is_some_and(|&byte| is_blank(byte)) {
        return Err(BadLineReason::NothingToContinue);
    }
    // Names are short: looking at each byte costs less than starting a search.
    let end = entry.iter().position(|&byte| matches!(byte, b':' | b'\n') || is_blank(byte));
    let (name, behind) = entry.split_at_checked(end.unwrap_or(entry.len())).unwrap_or((entry, b""));
    // Blanks may stand between the name and its colon.
    let blanks = behind.iter().take_while(|&&byte| is_blank(byte)).count();
    let value =
        behind.get(blanks..).and_then(|rest| rest.strip_prefix(b":")).ok_or(BadLineReason::NoColon)?;
    if name.is_empty() {
        return Err(BadLineReason::NoName);
    }
    Ok(Field { name, value: value.trim_ascii(), line })
}

/// dpkg's own white space, less the newline.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

#[cfg(test)]
mod tests;
