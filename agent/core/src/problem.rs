//! What went wrong while reading something, as a value: listed in the report, never a crash, never a silent loss.

use std::fmt;

/// What kind of trouble a problem is. The names go into reports and don't change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProblemKind {
    /// A file can't be opened or read, or vanished while it was read.
    Unreadable,
    /// A file ends in the middle of something.
    Truncated,
    /// A limit of ours was reached; what lies behind it was not read.
    TooLarge,
    /// Bytes that don't follow their format. The rest of the file was read all the same.
    Malformed,
    /// The same package is described twice in a way that can't both be true.
    Duplicate,
    /// A source that the host is configured with has no list on disk.
    NotRefreshed,
    /// The lists are older than policy allows.
    Stale,
    /// A list is past the date until which its publisher calls it valid.
    Expired,
    /// A list says that it comes from the future: a clock is wrong.
    NotYetValid,
    /// A list without a signature that the package manager would accept.
    Unsigned,
    /// The host uses something that our reader does not know; the package manager was asked instead, or could not be.
    UnknownFeature,
    /// Our answer and the package manager's own differ.
    Disagreement,
    /// A refresh of the lists failed.
    RefreshFailed,
    /// A dpkg journal or a half-done package: somebody's transaction was cut.
    Interrupted,
}

impl ProblemKind {
    /// Every kind there is.
    pub const ALL: [Self; 14] = [
        Self::Unreadable,
        Self::Truncated,
        Self::TooLarge,
        Self::Malformed,
        Self::Duplicate,
        Self::NotRefreshed,
        Self::Stale,
        Self::Expired,
        Self::NotYetValid,
        Self::Unsigned,
        Self::UnknownFeature,
        Self::Disagreement,
        Self::RefreshFailed,
        Self::Interrupted,
    ];

    /// The kind of this name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The stable name that reports use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Duplicate => "duplicate",
            Self::NotRefreshed => "not_refreshed",
            Self::Stale => "stale",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Unsigned => "unsigned",
            Self::UnknownFeature => "unknown_feature",
            Self::Disagreement => "disagreement",
            Self::RefreshFailed => "refresh_failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What a problem does to the assessment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Worth telling; the verdict stands.
    Notice,
    /// Something that the verdict needs is unknown: the assessment is incomplete.
    Incomplete,
}

/// One problem, with its place and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub kind: ProblemKind,
    pub weight: Weight,
    /// The file, URL or command that it was met in.
    pub place: String,
    /// The line in that file, counted from 1.
    pub line: Option<u64>,
    /// One sentence: what is wrong, and what to do where something can be done.
    pub message: String,
}

impl Problem {
    pub fn new(
        kind: ProblemKind,
        weight: Weight,
        place: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, weight, place: place.into(), line: None, message: message.into() }
    }

    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.place, self.message),
            None => write!(f, "{}: {}", self.place, self.message),
        }
    }
}
