//! What goes on, told to whoever follows a run: that the journal has something new, and progress, which nobody keeps.
//!
//! It keeps no moves: those are in the journal, and who was slow reads them there.

use std::sync::Arc;

use patchd_core::run::RunId;
use patchd_protocol::control::events::RunProgress;
use patchd_protocol::executor::ProgressWire;
use tokio::sync::{broadcast, watch};

/// How much progress waits for a slow follower. What is more is lost to that one.
const KEPT_PROGRESS: usize = 128;

/// The longest text in it, in characters.
const MAX_TEXT: usize = 300;

/// Where what goes on is told.
#[derive(Debug, Clone)]
pub struct Live {
    moves: Arc<watch::Sender<u64>>,
    progress: broadcast::Sender<Arc<(RunId, RunProgress)>>,
}

/// One who follows.
#[derive(Debug)]
pub struct Follower {
    /// Changes when the journal has something new.
    pub moves: watch::Receiver<u64>,
    pub progress: broadcast::Receiver<Arc<(RunId, RunProgress)>>,
}

impl Default for Live {
    fn default() -> Self {
        Self { moves: Arc::new(watch::Sender::new(0)), progress: broadcast::Sender::new(KEPT_PROGRESS) }
    }
}

impl Live {
    /// Says that the journal has something new.
    pub fn moved(&self) {
        self.moves.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells what goes on within a run.
    pub fn progress(&self, run: &RunId, progress: &ProgressWire) {
        if 0 < self.progress.receiver_count() {
            // That nobody listens any more is no failure.
            let _ = self.progress.send(Arc::new((run.clone(), told(progress))));
        }
    }

    pub fn follow(&self) -> Follower {
        Follower { moves: self.moves.subscribe(), progress: self.progress.subscribe() }
    }
}

fn told(progress: &ProgressWire) -> RunProgress {
    let text = |text: &String| text.chars().take(MAX_TEXT).collect::<String>();
    match progress {
        ProgressWire::Output { line } => RunProgress::Output { line: text(line) },
        ProgressWire::Download { permille, item } => {
            RunProgress::Download { permille: (*permille).min(1_000), item: text(item) }
        }
        ProgressWire::Package { name, action, permille } => {
            RunProgress::Package { name: text(name), action: text(action), permille: (*permille).min(1_000) }
        }
        ProgressWire::Waiting { holder, seconds } => {
            RunProgress::Waiting { holder: text(holder), seconds: *seconds }
        }
        ProgressWire::Stalled { seconds, last } => {
            RunProgress::Stalled { seconds: *seconds, last: text(last) }
        }
        ProgressWire::Note { text: note } => RunProgress::Note { text: text(note) },
    }
}
