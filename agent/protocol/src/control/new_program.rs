//! What the status says of a program that waits to be started. When patchd ends for it is the daemon's.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A program that waits to be started in the place of the one that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewProgram {
    /// Whether patchd ends for it by itself as soon as no run is under way, and is started again.
    pub restarts_itself: bool,
    /// The same in a sentence.
    pub detail: String,
}
