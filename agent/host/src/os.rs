//! os-release(5): which operating system a root holds. What that means for a baseline is in the core's `os`.

use patchd_core::os::OsRelease;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use thiserror::Error;

use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// The first that is there counts: the administrator's before the vendor's.
const FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// Real files are below a kilobyte.
const MAX_FILE: u64 = 64 << 10;

/// A line that is no assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadLine {
    #[error("it is no assignment")]
    NoAssignment,
    #[error("its quote is not closed")]
    OpenQuote,
    #[error("something follows its value")]
    TrailingText,
}

/// What the root says of itself. Without an answer it is empty, and the assessment incomplete.
pub fn read_os_release(root: &Root, problems: &mut ProblemList) -> OsRelease {
    for name in FILES {
        match read::read_optional(root, name, MAX_FILE) {
            Ok(None) => {}
            Ok(Some(content)) => {
                let place = root.path(name).to_string_lossy().into_owned();
                let (os, bad_lines) = parse(&content);
                for (line, bad) in bad_lines {
                    let message = format!("{bad}; the line was passed over");
                    let problem = Problem::new(ProblemKind::Malformed, Weight::Notice, &*place, message);
                    problems.push(problem.at_line(line));
                }
                if os.id.is_empty() {
                    let message = "it names no system (ID), so that no baseline can be chosen for it";
                    problems.push(Problem::new(ProblemKind::Malformed, Weight::Incomplete, place, message));
                }
                return os;
            }
            Err(error) => problems.push(error.to_problem(Weight::Notice)),
        }
    }
    let place = root.path("etc/os-release").to_string_lossy().into_owned();
    let message = "no os-release can be read, so that nobody knows which system this is";
    problems.push(Problem::new(ProblemKind::Unreadable, Weight::Incomplete, place, message));
    OsRelease::default()
}

/// Reads the content of an os-release file. Of a key that is there twice, the last counts, as in a shell.
pub fn parse(content: &[u8]) -> (OsRelease, Vec<(u64, BadLine)>) {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut os = OsRelease::default();
    let mut bad_lines = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match parse_assignment(line) {
            Ok((key, value)) => set(&mut os, key, value),
            Err(bad) => bad_lines.push((number, bad)),
        }
    }
    (os, bad_lines)
}

fn set(os: &mut OsRelease, key: &str, value: String) {
    match key {
        "ID" => os.id = value,
        "ID_LIKE" => os.id_like = value.split_ascii_whitespace().map(str::to_owned).collect(),
        "VERSION_ID" => os.version_id = value,
        "VERSION_CODENAME" => os.version_codename = value,
        "PRETTY_NAME" => os.pretty_name = value,
        _ => {}
    }
}

fn parse_assignment(line: &str) -> Result<(&str, String), BadLine> {
    let (key, value) = line.split_once('=').ok_or(BadLine::NoAssignment)?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.is_empty() || !key.chars().all(is_name) {
        return Err(BadLine::NoAssignment);
    }
    unquote(value).map(|value| (key, value))
}

/// Takes quotes and escapes away as a shell does; parts that touch are joined. Nothing is expanded.
fn unquote(text: &str) -> Result<String, BadLine> {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' => loop {
                match rest.next().ok_or(BadLine::OpenQuote)? {
                    '\'' => break,
                    c => value.push(c),
                }
            },
            '"' => loop {
                match rest.next().ok_or(BadLine::OpenQuote)? {
                    '"' => break,
                    '\\' => match rest.next().ok_or(BadLine::OpenQuote)? {
                        c @ ('"' | '\\' | '$' | '`') => value.push(c),
                        c => value.extend(['\\', c]),
                    },
                    c => value.push(c),
                }
            },
            '\\' => value.extend(rest.next()),
            c if c.is_whitespace() => {
                let rest = rest.as_str().trim_start();
                return if rest.is_empty() || rest.starts_with('#') {
                    Ok(value)
                } else {
                    Err(BadLine::TrailingText)
                };
            }
            c => value.push(c),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, BadLine>) {
        assert_eq!(unquote(text), expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn quotes_and_escapes_go_as_in_a_shell() {
        check("debian", Ok("debian"));
        check("", Ok(""));
        check("\"\"", Ok(""));
        check("\"Debian GNU/Linux 12\"", Ok("Debian GNU/Linux 12"));
        check("'a\\b \"c\"'", Ok("a\\b \"c\""));
        check(r#""a \"b\" \$c \` \\ \d""#, Ok(r#"a "b" $c ` \ \d"#));
        check(r"a\ b", Ok("a b"));
        check("\"a\"'b'c", Ok("abc"));
        check("a # comment", Ok("a"));
        check("a b", Err(BadLine::TrailingText));
        check("\"a", Err(BadLine::OpenQuote));
        check("'a", Err(BadLine::OpenQuote));
        check("\"a\\", Err(BadLine::OpenQuote));
    }

    #[test]
    fn a_file_is_read_past_its_bad_lines() {
        let (os, bad) = parse(b"\xef\xbb\xbf# x\r\nID=debian\r\n\r\nnonsense\nVERSION_ID=\"11\nVERSION_ID='12'\nID_LIKE=\"a  b\"");
        assert_eq!((os.id.as_str(), os.version_id.as_str()), ("debian", "12"));
        assert_eq!(os.id_like, ["a", "b"]);
        assert_eq!(bad, [(4, BadLine::NoAssignment), (5, BadLine::OpenQuote)]);
    }
}
