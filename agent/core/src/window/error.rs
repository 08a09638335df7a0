//! Why something is no window: the field that is wrong, and a sentence. It has no other fields than these.

use std::fmt;

use thiserror::Error;

/// What can be wrong, by the name that configuration and options use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    Schedule,
    Timezone,
    Duration,
    Cutoff,
    Offset,
    Start,
    End,
}

impl Field {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Timezone => "timezone",
            Self::Duration => "duration",
            Self::Cutoff => "cutoff",
            Self::Offset => "offset",
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why something is no window.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {detail}")]
pub struct InvalidWindow {
    pub field: Field,
    /// One line; within `cron()` it names the field there too.
    pub detail: String,
}

impl InvalidWindow {
    pub(super) fn new(field: Field, detail: String) -> Self {
        Self { field, detail }
    }
}
