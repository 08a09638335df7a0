//! Lines for a person: text with a few styles. It prints nothing: that is `output`, which also makes text from outside
//! harmless (`clean`).

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

/// What a piece of text is. How that looks on a terminal is decided here and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Heading,
    Good,
    Bad,
    Doubtful,
}

impl Style {
    fn escape(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "\x1b[1m",
            Self::Good => "\x1b[1;32m",
            Self::Bad => "\x1b[1;31m",
            Self::Doubtful => "\x1b[1;33m",
        }
    }
}

/// One line without its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::styled(Style::Plain, text)
    }

    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { pieces: vec![(style, text.into())] }
    }

    /// The same line with more text at its end.
    #[must_use]
    pub(crate) fn then(mut self, style: Style, text: impl Into<String>) -> Self {
        self.pieces.push((style, text.into()));
        self
    }

    /// Writes the line and its end. Escape sequences are written only if `is_coloured`.
    pub(crate) fn write_to(&self, to: &mut impl Write, is_coloured: bool) -> io::Result<()> {
        for (style, text) in &self.pieces {
            if is_coloured && *style != Style::Plain {
                write!(to, "{}{}\x1b[0m", style.escape(), clean(text))?;
            } else {
                to.write_all(clean(text).as_bytes())?;
            }
        }
        to.write_all(b"\n")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|(_, text)| f.write_str(&clean(text)))
    }
}

/// Whether a terminal would do something else with this character than show it: control characters, and the
/// invisible ones that turn the direction of what follows.
fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text as it is shown: blanks for tabs and line ends, a replacement character for anything else that could
/// command the terminal. Package databases and repositories are not trusted to be harmless.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let shown = |c| match c {
        '\t' | '\n' => ' ',
        c if is_harmful(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// How many columns a text takes, counting one for each character.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

/// Lays `text` out in lines of at most `limit` columns, the first after `lead`, the others as far in as `lead` is
/// wide. A word that is longer than a line is left whole.
pub(crate) fn wrapped(lead: &str, text: &str, limit: Option<usize>) -> Vec<Line> {
    let indent = width(lead);
    let room = limit.map_or(usize::MAX, |limit| limit.saturating_sub(indent).max(20));
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && room < width(&line) + 1 + width(word) {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let blank = " ".repeat(indent);
    lines
        .into_iter()
        .enumerate()
        .map(|(at, line)| Line::plain(if at == 0 { lead } else { &blank }).then(Style::Plain, line))
        .collect()
}

/// `1 update`, `2 updates`.
pub(crate) fn counted(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(Line::to_string).collect()
    }

    #[test]
    fn text_from_outside_cannot_command_the_terminal() {
        assert_eq!(clean("libc6 2.36-9"), "libc6 2.36-9");
        assert_eq!(clean("a\tb\nc\x1b]0;x\x07\u{202e}\u{9b}d"), "a b c\u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}d");
        assert_eq!(clean("Lösung für 日本"), "Lösung für 日本");
    }

    #[test]
    fn styles_are_written_only_in_colour() {
        let line = Line::plain("it is ").then(Style::Bad, "bad\x1b[2J");
        let mut plain = Vec::new();
        line.write_to(&mut plain, false).unwrap();
        assert_eq!(plain, "it is bad\u{fffd}[2J\n".as_bytes());
        let mut coloured = Vec::new();
        line.write_to(&mut coloured, true).unwrap();
        assert_eq!(coloured, "it is \x1b[1;31mbad\u{fffd}[2J\x1b[0m\n".as_bytes());
    }

    #[test]
    fn paragraphs_hang_under_their_lead() {
        let text = "one two three four five six seven";
        assert_eq!(shown(&wrapped("- ", text, Some(22))), ["- one two three four", "  five six seven"]);
        assert_eq!(shown(&wrapped("- ", text, None)), [format!("- {text}")]);
        assert_eq!(shown(&wrapped("- ", "", Some(3))), ["- "]);
    }
}
