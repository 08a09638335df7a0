//! What came of the last report's way to its store.

use std::sync::{Arc, Mutex, PoisonError};

use patchd_protocol::doctor::{CheckName, CheckWire};

use super::Doctor;
use crate::store::Remedy;

/// The last try, kept by who brings reports to their store.
#[derive(Debug, Clone, Default)]
pub struct Deliveries(Arc<Mutex<Option<Delivered>>>);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    Stored { key: String },
    Waiting { remedy: Remedy, sentence: String },
}

impl Deliveries {
    pub fn note(&self, delivered: Delivered) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivered);
    }

    pub fn last(&self) -> Option<Delivered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) async fn check(doctor: &Doctor) -> CheckWire {
    const NAME: CheckName = CheckName::Delivery;
    let look = "ls -la /var/lib/patchd/spool";
    let Some(spool) = &doctor.spool else {
        return CheckWire::failing(NAME, "the spool can't be opened: no report could be kept", look);
    };
    let contents = match spool.contents().await {
        Ok(contents) => contents,
        Err(error) => {
            return CheckWire::failing(NAME, format!("the spool can't be read: {error}"), look);
        }
    };
    let waiting = match contents.reports {
        0 => "no report waits".to_owned(),
        1 => "1 report waits on this disk".to_owned(),
        count => format!("{count} reports wait on this disk"),
    };
    match doctor.deliveries.last() {
        Some(Delivered::Waiting { remedy, sentence }) if contents.reports != 0 => {
            let detail = format!("{waiting}: {sentence}");
            match remedy {
                Remedy::Later => {
                    CheckWire::warning(NAME, detail, "nothing, if it passes: it is tried again by itself")
                }
                Remedy::Configuration => CheckWire::failing(
                    NAME,
                    detail,
                    "mend what it says in [store] of /etc/patchd/patchd.toml, in the role or in the bucket's policy; \
                     then systemctl reload-or-restart patchd.service",
                ),
                Remedy::Never => CheckWire::failing(NAME, detail, "ls -la /var/lib/patchd/spool/refused"),
            }
        }
        _ if contents.refused != 0 => {
            let detail = format!("{waiting}, and the store will never take {} others", contents.refused);
            CheckWire::warning(NAME, detail, "ls -la /var/lib/patchd/spool/refused")
        }
        Some(Delivered::Stored { key }) => CheckWire::ok(NAME, format!("the store has {key}; {waiting}")),
        Some(Delivered::Waiting { .. }) | None => CheckWire::ok(NAME, waiting),
    }
}
