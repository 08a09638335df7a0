//! What `GET /v1/runs/{id}/events` streams: server-sent events, each with one JSON document.
//!
//! `event: moved` has an `id:`, the place in the journal: who comes back with `Last-Event-ID` misses none. `progress` is
//! not kept, and has none. `concluded` is the last.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RunPhase, RunSummary};

/// The media type of the stream.
pub const EVENT_STREAM: &str = "text/event-stream";

/// How often at least something is sent, a comment if nothing else, in seconds: who hears nothing for thrice as long has
/// lost the daemon.
pub const HEARTBEAT_SECONDS: u64 = 10;

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEvent {
    /// The run moved: it is in the journal.
    Moved(RunMoved),
    /// What goes on within a phase.
    Progress(RunProgress),
    /// It is over.
    Concluded(RunSummary),
}

impl RunEvent {
    /// The value of `event:`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Moved(_) => "moved",
            Self::Progress(_) => "progress",
            Self::Concluded(_) => "concluded",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunMoved {
    pub sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub phase: RunPhase,
    /// What happened, in one sentence.
    pub text: String,
    /// Of a plan under way: how many of its packages are done and have failed, of how many.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub packages: Option<PackageCounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageCounts {
    pub done: u64,
    pub failed: u64,
    pub all: u64,
}

/// The kinds of progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunProgress {
    /// Something is fetched. `permille` is of all of it.
    Download {
        permille: u16,
        item: String,
    },
    /// The package manager works on a package. `permille` is of the whole transaction.
    Package {
        name: String,
        action: String,
        permille: u16,
    },
    /// A line of output.
    Output {
        line: String,
    },
    /// Somebody else holds a lock, for so many seconds now.
    Waiting {
        holder: String,
        seconds: u64,
    },
    /// The package manager has said nothing for so many seconds. It is left alone: to cut it would do harm.
    Stalled {
        seconds: u64,
        last: String,
    },
    Note {
        text: String,
    },
}
