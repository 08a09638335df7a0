//! The patterns of preferences: fnmatch(3) globs and `/regular expressions/`, case not counting, as apt has them.

use regex_lite::{Regex, RegexBuilder};

/// A pattern that is ready to be held against texts.
#[derive(Debug, Clone)]
pub enum Pattern {
    Glob(Vec<u8>),
    Regex(Regex),
}

/// The expression can't be compiled: by apt neither, or it uses what only apt's own library knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood(pub String);

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, NotUnderstood> {
        let inner = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        match inner {
            Some(expression) => RegexBuilder::new(expression)
                .case_insensitive(true)
                .size_limit(1 << 20)
                .build()
                .map(Self::Regex)
                .map_err(|_| NotUnderstood(text.to_owned())),
            None => Ok(Self::Glob(text.to_ascii_lowercase().into_bytes())),
        }
    }

    /// Whether a `Package:` word is a pattern at all, and not a plain name.
    pub fn is_pattern(text: &str) -> bool {
        (text.len() > 1 && text.starts_with('/') && text.ends_with('/')) || text.contains(['*', '[', '?'])
    }

    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob_matches(glob, text.to_ascii_lowercase().as_bytes()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// fnmatch(3) without flags; both sides in small letters. Linear in memory, and at worst quadratic in time: only the
/// last `*` is ever taken back.
fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match glob.get(at) {
            None if seen == text.len() => return true,
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
                continue;
            }
            Some(_) => text.get(seen).and_then(|&byte| match_one(glob.get(at..).unwrap_or_default(), byte)),
            None => None,
        };
        if let Some(length) = step {
            at += length;
            seen += 1;
            continue;
        }
        // Let the last star take one more byte.
        match star {
            Some((after, from)) if from < text.len() => {
                star = Some((after, from + 1));
                at = after;
                seen = from + 1;
            }
            _ => return false,
        }
    }
}

/// How many bytes of the glob match this one byte of the text, if they do.
fn match_one(glob: &[u8], byte: u8) -> Option<usize> {
    match glob {
        [b'?', ..] => Some(1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [b'[', ..] => match match_set(glob, byte) {
            Some((length, is_in)) => is_in.then_some(length),
            // A set without its end is a plain bracket.
            None => (byte == b'[').then_some(1),
        },
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// The length of the set that `glob` begins with, and whether `byte` is in it; none if it has no end.
fn match_set(glob: &[u8], byte: u8) -> Option<(usize, bool)> {
    let is_negated = matches!(glob.get(1), Some(b'!' | b'^'));
    let first = if is_negated { 2 } else { 1 };
    let mut at = first;
    let mut is_in = false;
    loop {
        match glob.get(at..)? {
            [b']', ..] if first < at => return Some((at + 1, is_in != is_negated)),
            [b'[', b':', rest @ ..] => {
                let length = memchr::memmem::find(rest, b":]")?;
                is_in |= is_in_class(rest.get(..length)?, byte);
                at += length + 4;
            }
            [b'\\', low, ..] | [low, ..] => {
                at += if glob.get(at) == Some(&b'\\') { 2 } else { 1 };
                match glob.get(at..)? {
                    [b'-', high, ..] if *high != b']' => {
                        is_in |= (*low..=*high).contains(&byte);
                        at += 2;
                    }
                    _ => is_in |= *low == byte,
                }
            }
            [] => return None,
        }
    }
}

fn is_in_class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alpha" | b"lower" | b"upper" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        b"graph" | b"print" => byte.is_ascii_graphic(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let compiled = Pattern::parse(pattern).unwrap();
        for text in yes {
            assert!(compiled.matches(text), "{pattern} ~ {text}");
        }
        for text in no {
            assert!(!compiled.matches(text), "{pattern} !~ {text}");
        }
    }

    #[test]
    fn globs_are_those_of_fnmatch() {
        check("lib*-dev", &["libc6-dev", "LIB-dev", "lib-dev-dev"], &["libc6", "alib-dev"]);
        check("?", &["a", "*"], &["", "ab"]);
        check("[a-c]x[!0-9]", &["axb", "CX_"], &["dxb", "ax1"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a", &["[a"], &["a"]);
        check("[[:digit:]]*", &["1.0"], &["a"]);
        check("a\\*b", &["a*b"], &["axb"]);
        check("", &[""], &["a"]);
        check("*", &["", "a/b"], &[]);
        check("1.0-*", &["1.0-1"], &["1.0"]);
    }

    #[test]
    fn many_stars_are_not_slow() {
        let pattern = "*a".repeat(40);
        assert!(!Pattern::parse(&pattern).unwrap().matches(&"a".repeat(39)));
        assert!(!Pattern::parse(&(pattern + "b")).unwrap().matches(&"a".repeat(4000)));
    }

    #[test]
    fn expressions_are_searched_for_without_case() {
        check("/^lib.*6$/", &["LIBC6", "libx6"], &["libc6-dev"]);
        check("/a/", &["bab"], &["b"]);
        assert!(Pattern::parse("/(/").is_err());
        assert!(Pattern::is_pattern("/x/") && Pattern::is_pattern("a*") && !Pattern::is_pattern("a.b+c"));
    }
}
