//! Brings spooled reports to their store: when one was written, and again while the store is away.
//!
//! It is in nobody's way. A store that is away for weeks costs a try now and then, and no run waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use patchd_protocol::config::{Settings, StoreSettings};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::chain::chain;
use crate::doctor::{Delivered, Deliveries};
use crate::journal::SharedJournal;
use crate::store::Store;
use crate::store::s3::{Encryption, S3Settings};
use crate::store::spool::{Flushed, Spool};

/// How often the spool is looked at while something lies in it. How often the store is asked is the spool's to decide.
const PERIOD: Duration = Duration::from_secs(60);

/// Brings reports to the store that is configured.
#[derive(Debug)]
pub struct Deliverer {
    pub spool: Spool,
    pub settings: watch::Receiver<Settings>,
    pub journal: SharedJournal,
    pub spooled: Arc<Notify>,
    /// How many reports wait, for whoever shows it.
    pub waiting: Arc<AtomicU64>,
    /// What came of the last try, for whoever asks.
    pub deliveries: Deliveries,
}

impl Deliverer {
    /// Works until `stop`. What was not confirmed by then stays in the spool.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut store = store_of(&self.settings.borrow_and_update().store);
        loop {
            // Before the store is asked, which takes its time: what was just written waits from now on.
            self.count().await;
            tokio::select! {
                () = stop.cancelled() => return,
                flushed = self.spool.flush(&store) => match flushed {
                    Ok(flushed) => self.tell(flushed).await,
                    Err(error) => tracing::error!(error = chain(&error), "the spool can't be read"),
                }
            }
            let is_empty = self.count().await == 0;
            if is_empty {
                store.rest().await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.spooled.notified() => {}
                () = tokio::time::sleep(PERIOD), if !is_empty => {}
                Ok(()) = self.settings.changed() => {
                    store = store_of(&self.settings.borrow_and_update().store);
                    self.spool.retry_at_once().await;
                }
            }
        }
    }

    async fn count(&self) -> u64 {
        let reports = match self.spool.contents().await {
            Ok(contents) => contents.reports,
            Err(_) => self.waiting.load(Ordering::Relaxed),
        };
        self.waiting.store(reports, Ordering::Relaxed);
        reports
    }

    async fn tell(&self, flushed: Flushed) {
        for key in flushed.stored {
            tracing::info!(key, "the store has the report");
            self.deliveries.note(Delivered::Stored { key: key.clone() });
            if let Err(error) = self.journal.with(move |journal| journal.record_delivery(&key)).await {
                tracing::warn!(error = chain(&error), "the journal's index misses a delivery");
            }
        }
        for error in flushed.refused {
            tracing::error!(
                error = chain(&error),
                "the store will never take this report; it is kept in the spool"
            );
        }
        for warning in flushed.warnings {
            tracing::warn!("{warning}");
        }
        if let Some((error, wait)) = flushed.waiting {
            let (remedy, sentence) = (error.remedy, error.sentence.clone());
            self.deliveries.note(Delivered::Waiting { remedy, sentence });
            let (error, seconds) = (chain(&error), wait.as_secs());
            tracing::warn!(error, "reports wait in the spool; the store is tried again in {seconds} s");
        }
    }
}

/// The store that the settings name.
pub fn store_of(settings: &StoreSettings) -> Store {
    let s3 = &settings.s3;
    let encryption = match &s3.kms_key_id {
        None => Encryption::OfBucket,
        Some(key_id) => Encryption::Kms { key_id: key_id.clone() },
    };
    Store::new(
        &settings.location,
        S3Settings {
            region: s3.region.clone(),
            endpoint_url: s3.endpoint.clone(),
            path_style: s3.path_style,
            encryption,
            expected_bucket_owner: s3.expected_bucket_owner.clone(),
            metadata_url: None,
        },
    )
}
