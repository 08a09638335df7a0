//! The guard against reboot loops: the executor's own memory of the reboots that it asked for, and what follows from it.
//!
//! A memory that can't be read lets nothing through. It looks at no host and asks for no reboot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use patchd_host::durable::{WriteError, atomic_write};
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use patchd_protocol::executor::RefusalCode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::refusal::Stop;
use crate::text;

/// The most reboots in a day, whatever the reasons.
pub(crate) const MAX_IN_A_DAY: usize = 3;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// For how long a host that was rebooted for some reasons is not rebooted for the same ones. Without an end, one whose
/// mark has no name would be rebooted once and never again.
const SAME_REASONS: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How long a host that was told to reboot counts as one that is about to go down.
const GOING_DOWN: SignedDuration = SignedDuration::from_mins(10);

/// How many reboots are remembered, and how long the file of them may be, in bytes.
const MAX_REMEMBERED: usize = 100;
const MAX_FILE: u64 = 4 << 20;

/// How many reasons of a reboot are kept, and how many a sentence tells.
const MAX_REASONS: usize = 500;
const MAX_TOLD: usize = 5;

/// Why the memory can't be used.
#[derive(Debug, Error)]
pub(crate) enum GuardError {
    #[error("can't read which reboots were asked for; without that none is")]
    Read(#[source] FileError),
    #[error("{} can't be understood, and without it no reboot is asked for; an administrator may remove it", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("can't keep that a reboot is asked for")]
    Write(#[source] WriteError),
    #[error("can't say this as JSON")]
    Json(#[source] serde_json::Error),
}

/// One reboot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) transaction: String,
    pub(crate) run: String,
    pub(crate) asked_at: Timestamp,
    /// The boot that was under way.
    pub(crate) boot_id: String,
    /// What the host asked to be rebooted for, sorted.
    pub(crate) reasons: BTreeSet<String>,
    /// Whether systemd would not hear of it.
    #[serde(default)]
    pub(crate) failed: bool,
}

/// The memory of all of them, the earliest first.
#[derive(Debug)]
pub(crate) struct Guard {
    path: PathBuf,
}

impl Guard {
    pub(crate) fn new(state: &Path) -> Self {
        Self { path: state.join("reboots.json") }
    }

    /// Whether a reboot for these reasons would be one too many.
    pub(crate) fn check(
        &self,
        now: Timestamp,
        boot_id: &str,
        reasons: &BTreeSet<String>,
    ) -> Result<(), Stop> {
        let all = self.read().map_err(|error| Stop::failed(&error))?;
        let refused = |message: String| Err(Stop::refused(RefusalCode::RebootLoop, text::cut(&message)));
        // What lies ahead was told by another clock, and counts.
        let is_within = |one: &&Remembered, span| now.duration_since(one.asked_at) < span;
        let bounded = bounded(reasons);
        let is_same = |one: &&Remembered| one.boot_id != boot_id && one.reasons == bounded;
        if let Some(last) = all.iter().filter(|one| is_within(one, SAME_REASONS)).rfind(is_same) {
            let again = last.asked_at.checked_add(SAME_REASONS).unwrap_or(Timestamp::MAX);
            return refused(format!(
                "the host was rebooted at {:.0} for {} and still asks for it; that is not tried again before {again:.0}: \
                 look what asks for it",
                last.asked_at,
                told(&bounded)
            ));
        }
        let latest = all.iter().filter(|one| is_within(one, DAY)).count();
        if MAX_IN_A_DAY <= latest {
            return refused(format!(
                "patchd asked for {latest} reboots within a day, and for no more than {MAX_IN_A_DAY}"
            ));
        }
        Ok(())
    }

    /// Keeps that a reboot is about to be asked for. When it returns, that is on disk.
    pub(crate) fn remember(&self, one: Remembered) -> Result<(), GuardError> {
        let mut all = self.read()?;
        all.retain(|known| known.transaction != one.transaction);
        all.push(Remembered { reasons: bounded(&one.reasons), ..one });
        let surplus = all.len().saturating_sub(MAX_REMEMBERED);
        all.drain(..surplus);
        let content = serde_json::to_vec_pretty(&all).map_err(GuardError::Json)?;
        atomic_write(&self.path, &content, 0o600).map_err(GuardError::Write)
    }

    /// Since when the host is about to go down, if it is in this boot. Nothing new is begun on it then.
    pub(crate) fn going_down(&self, now: Timestamp, boot_id: Option<&str>) -> Option<Timestamp> {
        let all = self.read().ok()?;
        let last = all.last().filter(|last| !last.failed && Some(last.boot_id.as_str()) == boot_id)?;
        let since = now.duration_since(last.asked_at);
        (SignedDuration::ZERO <= since && since < GOING_DOWN).then_some(last.asked_at)
    }

    fn read(&self) -> Result<Vec<Remembered>, GuardError> {
        let content = read::read_optional(&Root::host(), &self.path, MAX_FILE).map_err(GuardError::Read)?;
        let Some(content) = content else { return Ok(Vec::new()) };
        serde_json::from_slice(&content)
            .map_err(|source| GuardError::Damaged { path: self.path.clone(), source })
    }
}

fn bounded(reasons: &BTreeSet<String>) -> BTreeSet<String> {
    reasons.iter().take(MAX_REASONS).map(|reason| text::cut(reason)).collect()
}

fn told(reasons: &BTreeSet<String>) -> String {
    let mut told: Vec<_> = reasons.iter().take(MAX_TOLD).cloned().collect();
    if told.len() < reasons.len() {
        told.push(format!("{} more", reasons.len() - told.len()));
    }
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn reasons(text: &str) -> BTreeSet<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    struct Site {
        _directory: tempfile::TempDir,
        guard: Guard,
    }

    impl Site {
        /// Each reboot by its time, its boot and its reasons.
        fn new(story: &[(&str, &str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let guard = Guard::new(directory.path());
            for (number, (time, boot_id, of)) in story.iter().enumerate() {
                let one = Remembered {
                    transaction: format!("run-{number}.reboot"),
                    run: format!("run-{number}"),
                    asked_at: at(time),
                    boot_id: (*boot_id).into(),
                    reasons: reasons(of),
                    failed: false,
                };
                guard.remember(one).unwrap();
            }
            Self { _directory: directory, guard }
        }

        #[track_caller]
        fn check(&self, now: &str, boot_id: &str, of: &str, expected: Option<&str>) {
            let checked = self.guard.check(at(now), boot_id, &reasons(of));
            let message = checked.err().map(|stop| match stop {
                Stop::Refused(refusal) if refusal.code == RefusalCode::RebootLoop => refusal.message,
                other => panic!("{other:?}"),
            });
            assert_eq!(message.as_deref(), expected);
        }
    }

    #[test]
    fn a_host_is_not_rebooted_twice_for_the_same() {
        let site = Site::new(&[("2026-11-01T02:00:00Z", "a", "dbus=1 libc6=2")]);
        let again = "the host was rebooted at 2026-11-01T02:00:00Z for dbus=1, libc6=2 and still asks for it; that is not \
                     tried again before 2026-12-01T02:00:00Z: look what asks for it";
        site.check("2026-11-08T02:00:00Z", "b", "dbus=1 libc6=2", Some(again));
        site.check("2026-11-08T02:00:00Z", "b", "dbus=1 libc6=3", None);
        site.check("2026-11-08T02:00:00Z", "b", "libc6=2", None);
        site.check("2026-12-01T02:00:00Z", "b", "dbus=1 libc6=2", None);
        // It did not go down then.
        site.check("2026-11-08T02:00:00Z", "a", "dbus=1 libc6=2", None);
    }

    #[test]
    fn three_reboots_in_a_day_are_the_most_whatever_they_are_for() {
        let story = [
            ("2026-11-01T02:00:00Z", "a", "x=1"),
            ("2026-11-01T03:00:00Z", "b", "x=2"),
            ("2026-11-01T04:00:00Z", "c", "x=3"),
        ];
        let most = Some("patchd asked for 3 reboots within a day, and for no more than 3");
        Site::new(&story).check("2026-11-02T01:59:59Z", "d", "x=4", most);
        Site::new(&story).check("2026-11-02T02:00:00Z", "d", "x=4", None);
        Site::new(&story[1..]).check("2026-11-01T05:00:00Z", "d", "x=4", None);
        // A clock that went back forgets none of them.
        Site::new(&story).check("2026-10-01T00:00:00Z", "d", "x=4", most);
    }

    #[test]
    fn a_memory_that_cannot_be_read_lets_nothing_through() {
        let site = Site::new(&[]);
        atomic_write(&site.guard.path, b"[{}]", 0o600).unwrap();
        let stop = site.guard.check(at("2026-11-01T02:00:00Z"), "a", &reasons("x=1")).unwrap_err();
        assert!(matches!(stop, Stop::Failed { message } if message.contains("can't be understood")));
    }

    #[test]
    fn a_host_that_was_told_to_reboot_is_going_down_for_a_while() {
        let site = Site::new(&[("2026-11-01T02:00:00Z", "a", "x=1")]);
        let going = |now: &str, boot_id| site.guard.going_down(at(now), boot_id).is_some();
        assert!(going("2026-11-01T02:09:59Z", Some("a")));
        assert!(!going("2026-11-01T02:10:00Z", Some("a")));
        assert!(!going("2026-11-01T02:01:00Z", Some("b")));
        assert!(!going("2026-11-01T02:01:00Z", None));
        let last = site.guard.read().unwrap().pop().unwrap();
        site.guard.remember(Remembered { failed: true, ..last }).unwrap();
        assert!(site.guard.going_down(at("2026-11-01T02:01:00Z"), Some("a")).is_none());
        assert_eq!(site.guard.read().unwrap().len(), 1);
    }

    #[test]
    fn the_memory_has_an_end() {
        let story: Vec<_> = (0..MAX_REMEMBERED + 5).map(|_| ("2026-11-01T02:00:00Z", "a", "x=1")).collect();
        assert_eq!(Site::new(&story).guard.read().unwrap().len(), MAX_REMEMBERED);
    }
}
