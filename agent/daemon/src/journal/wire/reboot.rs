//! What was seen before and after a reboot, in the journal.

use jiff::Timestamp;
use patchd_core::run::event::{BootSeen, RebootAsk, RebootView};
use serde::{Deserialize, Serialize};

use super::observed::ObservedWire;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RebootViewWire {
    NotAsked,
    Unknown(String),
    Asked(Box<RebootAskWire>),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RebootAskWire {
    because: String,
    packages: Vec<String>,
    boot_id: Option<String>,
    observed: ObservedWire,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    database: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    never: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BootWire {
    at: Timestamp,
    boot_id: Option<String>,
    detail: String,
}

impl From<&RebootView> for RebootViewWire {
    fn from(view: &RebootView) -> Self {
        match view {
            RebootView::NotAsked => Self::NotAsked,
            RebootView::Unknown { because } => Self::Unknown(because.clone()),
            RebootView::Asked(ask) => Self::Asked(Box::new(RebootAskWire {
                because: ask.because.clone(),
                packages: ask.packages.clone(),
                boot_id: ask.boot_id.clone(),
                observed: ObservedWire::from(&ask.observed),
                database: ask.database.clone(),
                never: ask.never.clone(),
            })),
        }
    }
}

impl From<RebootViewWire> for RebootView {
    fn from(wire: RebootViewWire) -> Self {
        match wire {
            RebootViewWire::NotAsked => Self::NotAsked,
            RebootViewWire::Unknown(because) => Self::Unknown { because },
            RebootViewWire::Asked(ask) => {
                let RebootAskWire { because, packages, boot_id, observed, database, never } = *ask;
                let observed = observed.into();
                Self::Asked(Box::new(RebootAsk { because, packages, boot_id, observed, database, never }))
            }
        }
    }
}

impl From<&BootSeen> for BootWire {
    fn from(seen: &BootSeen) -> Self {
        let BootSeen { at, boot_id, detail } = seen.clone();
        Self { at, boot_id, detail }
    }
}

impl From<BootWire> for BootSeen {
    fn from(BootWire { at, boot_id, detail }: BootWire) -> Self {
        Self { at, boot_id, detail }
    }
}
