//! When the agent ends for a new program: never while a run is under way, and only after a while in which nothing was.

use std::time::Duration;

use patchd_protocol::control::new_program::NewProgram;
use tokio::time::Instant;

use super::Agent;
use crate::chain::chain;
use crate::clock::Clock;
use crate::driver::Host;
use crate::own_program::{FileIdentity, Found};

/// How long a new program has to have been seen with no run under way. Whoever follows a run hears its end by then, and
/// a package manager that replaced it by itself has mostly restarted patchd already.
const QUIET: Duration = Duration::from_secs(10);

/// When the agent looks again after it could not leave word of a new program.
const WORD_PAUSE: Duration = Duration::from_secs(60);

/// A new program, and since when it was seen with nothing under way.
pub(super) type Seen = (FileIdentity, Instant);

impl<H: Host, C: Clock> Agent<H, C> {
    /// How long the agent may sleep before it looks at its program again; nothing if it has to end for a new one now.
    pub(super) async fn program_pause(&mut self) -> Option<Duration> {
        if self.active.is_some() || self.facts.program.stays().is_some() {
            return Some(Duration::MAX);
        }
        let Found::Other { path, file } = self.facts.program.look() else {
            self.new_program = None;
            return Some(Duration::MAX);
        };
        let since = match self.new_program {
            Some((seen, since)) if seen == file => since,
            _ => {
                tracing::info!(path = %path.display(), "there is a new program, and patchd ends for it soon");
                self.new_program.insert((file, Instant::now())).1
            }
        };
        let left = QUIET.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Some(left);
        }
        let program = self.facts.program.clone();
        match tokio::task::spawn_blocking(move || program.leave_word(file)).await {
            Ok(Ok(())) => {
                tracing::info!(path = %path.display(), "ending for the new program");
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "patchd can't end for a new program");
                Some(WORD_PAUSE)
            }
            Err(error) => {
                tracing::error!(%error, "leaving word of a new program broke");
                Some(WORD_PAUSE)
            }
        }
    }

    /// What the status says of a new program.
    pub(super) fn new_program_status(&self) -> Option<NewProgram> {
        let Found::Other { path, .. } = self.facts.program.look() else { return None };
        let path = path.display();
        Some(match self.facts.program.stays() {
            None => NewProgram {
                restarts_itself: true,
                detail: format!(
                    "another program lies at {path}; patchd ends for it when no run is under way"
                ),
            },
            Some(why) => NewProgram {
                restarts_itself: false,
                detail: format!("another program lies at {path}, and {why}: restart patchd"),
            },
        })
    }
}
