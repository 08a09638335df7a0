//! Documents as trees in which everything knows its line: what JSON, TOML and YAML have in common. What the values mean
//! is not known here.

pub(super) mod json;
pub(super) mod toml;
pub(super) mod yaml;

/// How deep lists and tables may lie in one another. A baseline has 7 levels.
const MAX_DEPTH: usize = 32;

/// A value and the line, counted from 1, on which it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    /// As it is written: what kind of number is wanted is for the reader to say.
    Number(String),
    Text(String),
    /// YAML's reference to a value elsewhere. It is not followed: a few lines of them can stand for billions.
    Alias,
    /// TOML's own date, or date and time.
    Date(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// One key of a table, in the order of the file. The same key may be there twice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Why a text is no document of its notation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) message: String,
}

impl Broken {
    fn too_deep(line: usize) -> Self {
        Self { line, message: format!("lists and tables lie deeper than {MAX_DEPTH} in one another") }
    }
}

impl Value {
    /// What it is, for those who wanted something else.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Alias => "an alias; write the value itself",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(ends.map(|(at, _)| at + 1).collect())
    }

    /// The line of a byte, counted from 1.
    fn at(&self, byte: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= byte)
    }
}

/// The text of a file. A byte order mark is nobody's word.
pub(super) fn decode(content: &[u8]) -> Result<&str, Broken> {
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(Broken { line: 1, message: "the file is UTF-16; save it as UTF-8".into() });
    }
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Broken { line, message: "a byte here is not UTF-8; save the file as UTF-8".into() }
    })
}

#[cfg(test)]
mod tests;
