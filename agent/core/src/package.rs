//! Identity of a package: name and architecture. Versions are in `version`; what is installed is in `inventory`.

use std::fmt;

use thiserror::Error;

/// The longest package name, architecture or version that is accepted, in bytes. Debian's longest is below 100.
pub const MAX_WORD: usize = 512;

/// Why a text is not a package name, an architecture or a version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidWord {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_WORD} bytes")]
    TooLong,
    #[error("it has the character {0:?}")]
    Character(char),
}

/// A word that is safe to print, to compare and to pass as one argument: no blank, no control character, and it
/// can't be taken for an option.
fn check_word(text: &str, is_allowed: impl Fn(char) -> bool) -> Result<Box<str>, InvalidWord> {
    if text.is_empty() {
        return Err(InvalidWord::Empty);
    }
    if MAX_WORD < text.len() {
        return Err(InvalidWord::TooLong);
    }
    // No word allows more than ASCII, so that bytes tell; characters are for the message.
    if !text.starts_with('-') && text.bytes().all(|byte| is_allowed(char::from(byte))) {
        return Ok(text.into());
    }
    match text.chars().enumerate().find(|&(at, c)| !is_allowed(c) || (at == 0 && c == '-')) {
        Some((_, c)) => Err(InvalidWord::Character(c)),
        None => Ok(text.into()),
    }
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks `text` and keeps it unchanged.
            pub fn parse(text: &str) -> Result<Self, InvalidWord> {
                check_word(text, $allowed).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

word!(
    /// The name of a binary package, as the package manager writes it.
    PackageName,
    |c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')
);
word!(
    /// The architecture of a package, in the package manager's own words: `amd64`, `all`, `x86_64`, `noarch`.
    Architecture,
    |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
);
word!(
    /// A version as text. It has no order by itself: `version::VersionScheme` compares two of them.
    Version,
    |c| c.is_ascii_graphic()
);

/// What a package is known by: two architectures of one name are two packages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    pub name: PackageName,
    pub architecture: Architecture,
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.architecture)
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The source package that a binary package was built from: what security trackers speak of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePackage {
    pub name: PackageName,
    pub version: Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_could_be_options_or_lines_are_refused() {
        assert_eq!(PackageName::parse("-o"), Err(InvalidWord::Character('-')));
        assert_eq!(PackageName::parse("a b"), Err(InvalidWord::Character(' ')));
        assert_eq!(PackageName::parse(""), Err(InvalidWord::Empty));
        assert_eq!(Version::parse("1.0\n"), Err(InvalidWord::Character('\n')));
        assert_eq!(Architecture::parse("amd64/../x"), Err(InvalidWord::Character('/')));
        assert!(PackageName::parse("libstdc++6").is_ok());
        assert!(Version::parse("1:2.0~rc1+dfsg-1.1~deb12u1").is_ok());
    }
}
