//! What the gates looked at, in the journal.

use jiff::{SignedDuration, Timestamp};
use patchd_core::gate::{Clock, Freeze, Grant, Observed};
use patchd_core::plan::need::{Filesystem, Use};
use patchd_core::window::{Occurrence, Verdict};
use serde::{Deserialize, Serialize};

use super::end::milliseconds;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ObservedWire {
    now: Timestamp,
    window: VerdictWire,
    /// Absent in what an older patchd wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closing: Option<OccurrenceWire>,
    is_paused: bool,
    freeze: Option<UntilWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lifted: Option<String>,
    clock: ClockWire,
    filesystems: Vec<FilesystemWire>,
    available_memory: Option<u64>,
    /// Absent in what an older patchd wrote.
    #[serde(default)]
    lock_holder: Option<String>,
    /// Absent in what an older patchd wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cloud_init: Option<String>,
    grant: Option<UntilWire>,
    reserve_milliseconds: i64,
    longest_transaction_milliseconds: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictWire {
    NoneConfigured,
    Open(OccurrenceWire),
    Shut(Option<OccurrenceWire>),
}

#[derive(Debug, Serialize, Deserialize)]
struct OccurrenceWire {
    name: String,
    start: Timestamp,
    cutoff: Timestamp,
    end: Timestamp,
}

/// A freeze or a grant.
#[derive(Debug, Serialize, Deserialize)]
struct UntilWire {
    until: Timestamp,
    reason: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClockWire {
    Synchronised,
    NotRequired,
    Unsynchronised,
    Jumped(String),
    Unknown(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct FilesystemWire {
    mount: String,
    uses: Vec<String>,
    free_bytes: u64,
    free_inodes: Option<u64>,
    is_read_only: bool,
}

impl From<&Observed> for ObservedWire {
    fn from(observed: &Observed) -> Self {
        let freeze = |Freeze { until, reason }: &Freeze| UntilWire { until: *until, reason: reason.clone() };
        let grant = |Grant { until, reason }: &Grant| UntilWire { until: *until, reason: reason.clone() };
        Self {
            now: observed.now,
            window: VerdictWire::from(&observed.window),
            closing: observed.closing.as_deref().map(OccurrenceWire::from),
            is_paused: observed.is_paused,
            freeze: observed.freeze.as_ref().map(freeze),
            lifted: observed.lifted.clone(),
            clock: match &observed.clock {
                Clock::Synchronised => ClockWire::Synchronised,
                Clock::NotRequired => ClockWire::NotRequired,
                Clock::Unsynchronised => ClockWire::Unsynchronised,
                Clock::Jumped { detail } => ClockWire::Jumped(detail.clone()),
                Clock::Unknown { detail } => ClockWire::Unknown(detail.clone()),
            },
            filesystems: observed.filesystems.iter().map(FilesystemWire::from).collect(),
            available_memory: observed.available_memory,
            lock_holder: observed.lock_holder.clone(),
            cloud_init: observed.cloud_init.clone(),
            grant: observed.grant.as_ref().map(grant),
            reserve_milliseconds: milliseconds(observed.reserve),
            longest_transaction_milliseconds: milliseconds(observed.longest_transaction),
        }
    }
}

impl From<ObservedWire> for Observed {
    fn from(wire: ObservedWire) -> Self {
        Self {
            now: wire.now,
            window: Verdict::from(wire.window),
            closing: wire.closing.map(|occurrence| Box::new(occurrence.into())),
            is_paused: wire.is_paused,
            lifted: wire.lifted,
            freeze: wire.freeze.map(|UntilWire { until, reason }| Freeze { until, reason }),
            clock: match wire.clock {
                ClockWire::Synchronised => Clock::Synchronised,
                ClockWire::NotRequired => Clock::NotRequired,
                ClockWire::Unsynchronised => Clock::Unsynchronised,
                ClockWire::Jumped(detail) => Clock::Jumped { detail },
                ClockWire::Unknown(detail) => Clock::Unknown { detail },
            },
            filesystems: wire.filesystems.into_iter().map(Filesystem::from).collect(),
            available_memory: wire.available_memory,
            lock_holder: wire.lock_holder,
            cloud_init: wire.cloud_init,
            grant: wire.grant.map(|UntilWire { until, reason }| Grant { until, reason }),
            reserve: SignedDuration::from_millis(wire.reserve_milliseconds),
            longest_transaction: SignedDuration::from_millis(wire.longest_transaction_milliseconds),
        }
    }
}

impl From<&Filesystem> for FilesystemWire {
    fn from(filesystem: &Filesystem) -> Self {
        Self {
            mount: filesystem.mount.clone(),
            uses: filesystem.uses.iter().map(|place| place.code().into()).collect(),
            free_bytes: filesystem.free_bytes,
            free_inodes: filesystem.free_inodes,
            is_read_only: filesystem.is_read_only,
        }
    }
}

impl From<FilesystemWire> for Filesystem {
    fn from(wire: FilesystemWire) -> Self {
        Self {
            mount: wire.mount,
            uses: wire.uses.iter().filter_map(|code| Use::parse(code)).collect(),
            free_bytes: wire.free_bytes,
            free_inodes: wire.free_inodes,
            is_read_only: wire.is_read_only,
        }
    }
}

impl From<&Verdict> for VerdictWire {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::NoneConfigured => Self::NoneConfigured,
            Verdict::Open(occurrence) => Self::Open(OccurrenceWire::from(occurrence)),
            Verdict::Shut { next } => Self::Shut(next.as_ref().map(OccurrenceWire::from)),
        }
    }
}

impl From<VerdictWire> for Verdict {
    fn from(wire: VerdictWire) -> Self {
        match wire {
            VerdictWire::NoneConfigured => Self::NoneConfigured,
            VerdictWire::Open(occurrence) => Self::Open(occurrence.into()),
            VerdictWire::Shut(next) => Self::Shut { next: next.map(Occurrence::from) },
        }
    }
}

impl From<&Occurrence> for OccurrenceWire {
    fn from(occurrence: &Occurrence) -> Self {
        let Occurrence { start, cutoff, end, name } = occurrence;
        Self { name: name.clone(), start: *start, cutoff: *cutoff, end: *end }
    }
}

impl From<OccurrenceWire> for Occurrence {
    fn from(OccurrenceWire { name, start, cutoff, end }: OccurrenceWire) -> Self {
        Self { start, cutoff, end, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_work_is_kept_and_an_older_patchd_knew_of_nobody() {
        let seen = Observed {
            now: Timestamp::UNIX_EPOCH,
            window: Verdict::NoneConfigured,
            closing: None,
            is_paused: true,
            freeze: None,
            lifted: None,
            clock: Clock::Unsynchronised,
            filesystems: vec![],
            available_memory: None,
            lock_holder: Some("pid 812 (apt-get)".into()),
            cloud_init: Some("it is at work".into()),
            grant: None,
            reserve: SignedDuration::ZERO,
            longest_transaction: SignedDuration::ZERO,
        };
        let mut wire = serde_json::to_value(ObservedWire::from(&seen)).unwrap();
        let read = |wire: &serde_json::Value| {
            Observed::from(serde_json::from_value::<ObservedWire>(wire.clone()).unwrap())
        };
        assert_eq!(read(&wire), seen);
        wire.as_object_mut().unwrap().remove("lock_holder").unwrap();
        wire.as_object_mut().unwrap().remove("cloud_init").unwrap();
        assert_eq!(read(&wire), Observed { lock_holder: None, cloud_init: None, ..seen });
    }
}
