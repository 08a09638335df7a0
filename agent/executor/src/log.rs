//! What the executor says of itself: lines on standard error with the level prefix of sd-daemon(3), which journald reads.
//!
//! It writes nothing else: the package manager's words go to files and to the client.

use std::fmt;

pub(crate) fn error(message: fmt::Arguments<'_>) {
    line(3, message);
}

pub(crate) fn warning(message: fmt::Arguments<'_>) {
    line(4, message);
}

pub(crate) fn info(message: fmt::Arguments<'_>) {
    line(6, message);
}

/// One line, whatever the message holds: a client can't forge a second one.
#[expect(clippy::print_stderr, reason = "the one place where the executor speaks")]
fn line(level: u8, message: fmt::Arguments<'_>) {
    let text: String = message.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    eprintln!("<{level}>{text}");
}
