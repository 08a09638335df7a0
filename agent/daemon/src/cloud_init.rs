//! Who must wait for cloud-init: what the daemon begins by itself. What somebody asks for in so many words is theirs to
//! time, and `patchd once` is often started by cloud-init itself.
//!
//! The unit can't wait in its place: where cloud-final is ordered after multi-user.target, a unit of that target that is
//! ordered after cloud-final makes a circle, and systemd breaks circles by leaving out what it likes.

use jiff::{SignedDuration, Timestamp};
use patchd_host::cloud_init::CloudInit;
use patchd_host::root::Root;

/// How long after a boot package lists are left to it. One that is not done by then hangs, or died: its locks, if it has
/// any, are seen by the executor, and a host whose lists grow old is of use to nobody.
const LISTS_LIMIT: SignedDuration = SignedDuration::from_hours(1);

/// Looks at cloud-init's marks when somebody wants to know.
#[derive(Debug, Clone)]
pub struct CloudInitWatch {
    root: Option<Root>,
}

impl CloudInitWatch {
    pub fn of(root: Root) -> Self {
        Self { root: Some(root) }
    }

    /// Waits for nobody.
    pub fn off() -> Self {
        Self { root: None }
    }

    /// Why nothing is installed yet, if so. It has no limit: a boot that is half done is no host to change, and root's
    /// word passes it.
    pub fn changes_wait(&self) -> Option<String> {
        CloudInit::of(self.root.as_ref()?).waits()
    }

    /// Why the package lists are not fetched yet, if so. `since` is when the machine was started, as far as it is known.
    pub fn lists_wait(&self, since: Timestamp, now: Timestamp) -> Option<String> {
        let begun = CloudInit::begun_at(self.root.as_ref()?).map_or(since, |begun| begun.max(since));
        let is_over = LISTS_LIMIT <= now.duration_since(begun);
        if is_over { None } else { self.changes_wait() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_wait_for_an_hour_and_changes_as_long_as_it_takes() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let watch = CloudInitWatch::of(root.clone());
        let boot: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let after = |minutes| boot.checked_add(SignedDuration::from_mins(minutes)).unwrap();
        assert_eq!(watch.changes_wait(), None);
        let enabled = root.path("run/cloud-init/enabled");
        patchd_host::durable::create_directories(enabled.parent().unwrap(), 0o755).unwrap();
        patchd_host::durable::atomic_write(&enabled, b"", 0o644).unwrap();
        let written = |at: Timestamp| {
            let file = std::fs::OpenOptions::new().append(true).open(&enabled).unwrap();
            file.set_modified(at.into()).unwrap();
        };
        written(after(-1));
        assert!(watch.changes_wait().is_some());
        assert!(watch.lists_wait(boot, after(59)).is_some());
        assert_eq!(watch.lists_wait(boot, after(60)), None);
        // A container that was started long after its host.
        written(after(30));
        assert!(watch.lists_wait(boot, after(89)).is_some());
        assert_eq!(watch.lists_wait(boot, after(90)), None);
        assert!(CloudInitWatch::off().changes_wait().is_none());
    }
}
