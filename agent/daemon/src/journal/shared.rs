//! The journal for async code: each use runs where it may wait for the disk.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Journal, JournalError};

/// One journal, used by one at a time.
#[derive(Debug, Clone)]
pub struct SharedJournal(Arc<Mutex<Journal>>);

impl SharedJournal {
    pub fn new(journal: Journal) -> Self {
        Self(Arc::new(Mutex::new(journal)))
    }

    /// Runs `work` on the journal, off the loop. Once begun it is carried out, even if nobody waits for it any more.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Journal) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut journal.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.unwrap_or(Err(JournalError::Interrupted))
    }
}
