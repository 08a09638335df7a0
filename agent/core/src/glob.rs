//! Globs over package names: `*` stands for any number of characters, `?` for one, case counts. Nothing else is special.
//!
//! What apt takes for a pattern in its own files is another language, and read in `patchd_host::apt`.

use std::fmt;

use crate::package::{InvalidWord, MAX_WORD};

/// A pattern that was checked: of what it has, all but the two wildcards can stand in a package's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glob(Box<str>);

impl Glob {
    pub fn parse(text: &str) -> Result<Self, InvalidWord> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "+-._*?".contains(c);
        if text.is_empty() {
            return Err(InvalidWord::Empty);
        }
        if MAX_WORD < text.len() {
            return Err(InvalidWord::TooLong);
        }
        match text.chars().enumerate().find(|&(at, c)| !is_allowed(c) || (at == 0 && c == '-')) {
            Some((_, c)) => Err(InvalidWord::Character(c)),
            None => Ok(Self(text.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `name` is matched. Only the last `*` is ever taken back, so it is quadratic at worst.
    pub fn matches(&self, name: &str) -> bool {
        let (glob, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut seen) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (glob.get(at), name.get(seen)) {
                (None, None) => return true,
                (Some(b'*'), _) => {
                    at += 1;
                    star = Some((at, seen));
                    continue;
                }
                (Some(wanted), Some(byte)) if *wanted == b'?' || wanted == byte => {
                    at += 1;
                    seen += 1;
                    continue;
                }
                _ => {}
            }
            // Let the last star take one more byte.
            match star {
                Some((after, from)) if from < name.len() => {
                    star = Some((after, from + 1));
                    at = after;
                    seen = from + 1;
                }
                _ => return false,
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(glob: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::parse(glob).unwrap();
        for name in yes {
            assert!(glob.matches(name), "{glob} ~ {name}");
        }
        for name in no {
            assert!(!glob.matches(name), "{glob} !~ {name}");
        }
    }

    #[test]
    fn stars_and_question_marks_match_and_the_rest_is_itself() {
        check("nginx*", &["nginx", "nginx-core"], &["libnginx", "ngin", "NGINX"]);
        check("lib*-dev", &["lib-dev", "libc6-dev", "lib-dev-dev"], &["libc6", "lib-devel"]);
        check("python3.?", &["python3.1"], &["python3.", "python3.11", "python3x1x"]);
        check("a.b", &["a.b"], &["axb"]);
        check("*", &["a", "linux-image-amd64"], &[]);
        check("?*?", &["ab", "abc"], &["a"]);
    }

    #[test]
    fn what_no_name_could_match_is_no_glob() {
        for (text, wrong) in [
            ("", InvalidWord::Empty),
            ("-o", InvalidWord::Character('-')),
            ("a b", InvalidWord::Character(' ')),
            ("[a-c]", InvalidWord::Character('[')),
            ("nginx:amd64", InvalidWord::Character(':')),
        ] {
            assert_eq!(Glob::parse(text), Err(wrong), "{text}");
        }
        assert_eq!(Glob::parse(&"a".repeat(MAX_WORD + 1)), Err(InvalidWord::TooLong));
    }

    #[test]
    fn many_stars_are_not_slow() {
        assert!(!Glob::parse(&("*a".repeat(200) + "b")).unwrap().matches(&"a".repeat(10_000)));
    }

    /// The definition, without a thought for time.
    fn plainly(glob: &[u8], name: &[u8]) -> bool {
        match (glob, name) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|taken| plainly(rest, &name[taken..])),
            ([wanted, rest @ ..], [byte, after @ ..]) => {
                (*wanted == b'?' || wanted == byte) && plainly(rest, after)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_the_definition_matches(glob in "[ab*?]{1,8}", name in "[ab]{0,8}") {
            let parsed = Glob::parse(&glob).unwrap();
            prop_assert_eq!(parsed.matches(&name), plainly(glob.as_bytes(), name.as_bytes()));
        }
    }
}
