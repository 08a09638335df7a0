//! Root's word that a plan may be carried out outside of every window: given, kept, looked up, forgotten.
//!
//! A grant is bound to a plan's digest and a deadline. It lies where only root can write, and only a peer that is root
//! leaves one: the daemon can't make one for itself. What it is good for is for `policy` to say.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use patchd_core::plan::Plan;
use patchd_host::durable::{self, WriteError, atomic_write};
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use patchd_protocol::executor::{PlanWire, RefusalCode, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::refusal::Stop;
use crate::{log, record, text};

/// The longest that a grant lasts.
const MAX_SECONDS: u64 = 24 * 60 * 60;

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// The most grants at a time, and the longest file of one, in bytes.
const MAX_GRANTS: usize = 64;
const MAX_FILE: u64 = 4 << 20;

/// How many digits a digest has.
const DIGEST: usize = 64;

/// Why grants can't be kept or looked up.
#[derive(Debug, Error)]
pub(crate) enum GrantError {
    #[error("can't list the grants in {}", path.display())]
    List { path: PathBuf, source: FileError },
    #[error("can't keep a grant")]
    Write(#[source] WriteError),
    #[error("can't read a grant")]
    Read(#[source] FileError),
    #[error("the grant {} can't be understood: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
}

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) plan: Plan,
    pub(crate) reason: String,
    pub(crate) granted_at: Timestamp,
    pub(crate) until: Timestamp,
}

/// One grant as it is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantFile {
    plan: PlanWire,
    reason: String,
    granted_at: Timestamp,
    until: Timestamp,
}

impl Grant {
    /// The first package of `plan` of which the granted plan doesn't have the same change.
    pub(crate) fn uncovered(&self, plan: &Plan) -> Option<String> {
        let change = plan.changes().iter().find(|change| !self.plan.changes().contains(change));
        let removal = || plan.removals().iter().find(|package| !self.plan.removals().contains(package));
        change.map(|change| change.package.to_string()).or_else(|| removal().map(ToString::to_string))
    }

    fn is_live(&self, now: Timestamp) -> bool {
        // One of the future was given by another clock.
        self.granted_at <= now && now < self.until
    }
}

/// The grants of this host.
#[derive(Debug)]
pub(crate) struct Grants {
    directory: PathBuf,
}

impl Grants {
    /// Those below the executor's state directory, which must be there.
    pub(crate) fn open(state: &Path, owner: u32) -> Result<Self, record::RecordError> {
        let directory = state.join("grants");
        record::private_directory(&directory, owner)?;
        Ok(Self { directory })
    }

    /// Keeps a grant. A later one for the same plan takes its place.
    pub(crate) fn give(
        &self,
        plan: &Plan,
        reason: &str,
        seconds: u64,
        now: Timestamp,
    ) -> Result<Grant, Stop> {
        let malformed = |message: String| Stop::refused(RefusalCode::Malformed, message);
        let length = reason.chars().count();
        if !(1..=MAX_REASON).contains(&length) || reason.trim().is_empty() {
            return Err(malformed(format!("the reason of a grant has 1 to {MAX_REASON} characters")));
        }
        if reason.chars().any(char::is_control) {
            return Err(malformed("the reason of a grant stands on one line".into()));
        }
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(malformed(format!("a grant lasts from 1 to {MAX_SECONDS} seconds, not {seconds}")));
        }
        let lasts = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or_default());
        let until = now.checked_add(lasts).map_err(|error| malformed(error.to_string()))?;
        let grant = Grant { plan: plan.clone(), reason: reason.into(), granted_at: now, until };
        self.prune(now).map_err(|error| Stop::failed(&error))?;
        let digest = digest(plan);
        let names = self.names().map_err(|error| Stop::failed(&error))?;
        if MAX_GRANTS <= names.len() && !names.contains(&digest) {
            let message = format!("{MAX_GRANTS} grants are in force already");
            return Err(Stop::refused(RefusalCode::Busy, message));
        }
        self.write(&digest, &grant).map_err(|error| Stop::failed(&error))?;
        Ok(grant)
    }

    /// The grant in force for the plan of this digest.
    pub(crate) fn find(&self, digest: &str, now: Timestamp) -> Result<Option<Grant>, GrantError> {
        self.prune(now)?;
        Ok(self.read(digest)?.filter(|grant| grant.is_live(now)))
    }

    /// Whether any grant is in force, and which.
    pub(crate) fn any(&self, now: Timestamp) -> Result<Option<Grant>, GrantError> {
        self.prune(now)?;
        for name in self.names()? {
            if let Some(grant) = self.read(&name)?.filter(|grant| grant.is_live(now)) {
                return Ok(Some(grant));
            }
        }
        Ok(None)
    }

    /// Forgets what is over. One that can't be read is forgotten too: it allows nothing.
    fn prune(&self, now: Timestamp) -> Result<(), GrantError> {
        for name in self.names()? {
            let grant = match self.read(&name) {
                Ok(grant) => grant,
                Err(error) => {
                    log::warning(format_args!("{:?}: it is removed", Stop::failed(&error)));
                    None
                }
            };
            if grant.is_none_or(|grant| grant.until <= now) {
                durable::remove(&self.path(&name)).map_err(GrantError::Write)?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, GrantError> {
        // A kill may leave unfinished files beside them.
        let listed = read::list(&Root::host(), &self.directory, 16 * MAX_GRANTS);
        let names = listed.map_err(|source| GrantError::List { path: self.directory.clone(), source })?;
        let digest = |name: &std::ffi::OsString| {
            name.to_str()?.strip_suffix(".json").filter(|name| is_digest(name)).map(str::to_owned)
        };
        Ok(names.iter().filter_map(digest).collect())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}.json"))
    }

    fn write(&self, digest: &str, grant: &Grant) -> Result<(), GrantError> {
        let path = self.path(digest);
        let file = GrantFile {
            plan: PlanWire::from(&grant.plan),
            reason: grant.reason.clone(),
            granted_at: grant.granted_at,
            until: grant.until,
        };
        let content = serde_json::to_vec_pretty(&file)
            .map_err(|error| GrantError::Damaged { path: path.clone(), why: error.to_string() })?;
        atomic_write(&path, &content, 0o600).map_err(GrantError::Write)
    }

    fn read(&self, name: &str) -> Result<Option<Grant>, GrantError> {
        if !is_digest(name) {
            return Ok(None);
        }
        let path = self.path(name);
        let Some(content) = read::read_optional(&Root::host(), &path, MAX_FILE).map_err(GrantError::Read)?
        else {
            return Ok(None);
        };
        let damaged = |why: String| GrantError::Damaged { path: path.clone(), why };
        let file: GrantFile = serde_json::from_slice(&content).map_err(|error| damaged(error.to_string()))?;
        let plan = Plan::try_from(&file.plan).map_err(|error| damaged(text::cut(&error.to_string())))?;
        if digest(&plan) != name {
            return Err(damaged("its plan has another digest".into()));
        }
        let GrantFile { reason, granted_at, until, plan: _ } = file;
        Ok(Some(Grant { plan, reason, granted_at, until }))
    }
}

/// Whether a text can be a digest, and so a file's name.
fn is_digest(text: &str) -> bool {
    text.len() == DIGEST && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

impl From<GrantError> for Stop {
    fn from(error: GrantError) -> Self {
        Self::failed(&error)
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::executor::PlannedChangeWire;

    use super::*;

    const NOW: &str = "2026-11-29T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn grants(directory: &tempfile::TempDir) -> Grants {
        Grants::open(directory.path(), nix::unistd::Uid::effective().as_raw()).unwrap()
    }

    fn plan(name: &str) -> Plan {
        let change = PlannedChangeWire {
            name: name.into(),
            architecture: "amd64".into(),
            from: Some("1".into()),
            to: "2".into(),
        };
        Plan::try_from(&PlanWire { changes: vec![change], removals: vec![] }).unwrap()
    }

    #[test]
    fn a_grant_is_found_by_its_digest_until_it_ends_and_then_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let grants = grants(&directory);
        let plan = plan("app");
        let grant = grants.give(&plan, "a hole", 60, now()).unwrap();
        assert_eq!(grant.until.to_string(), "2026-11-29T12:01:00Z");
        let digest = digest(&plan);
        let at = |text: &str| grants.find(&digest, text.parse().unwrap()).unwrap();
        assert_eq!(at(NOW), Some(grant.clone()));
        assert_eq!(grants.any(now()).unwrap(), Some(grant));
        assert_eq!(at("2026-11-29T11:59:59Z"), None, "a clock that was set back finds none");
        assert_eq!(at("2026-11-29T12:01:00Z"), None);
        assert_eq!(std::fs::read_dir(directory.path().join("grants")).unwrap().count(), 0);
        assert_eq!(grants.any(now()).unwrap(), None);
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let grants = grants(&directory);
        let long = "x".repeat(MAX_REASON + 1);
        for (reason, seconds) in
            [("", 60), ("  ", 60), ("a\nb", 60), (long.as_str(), 60), ("why", 0), ("why", MAX_SECONDS + 1)]
        {
            let refused = grants.give(&plan("app"), reason, seconds, now());
            assert!(
                matches!(&refused, Err(Stop::Refused(refusal)) if refusal.code == RefusalCode::Malformed),
                "{refused:?}"
            );
        }
        assert_eq!(grants.any(now()).unwrap(), None);
    }

    #[test]
    fn a_file_that_is_no_grant_of_its_plan_allows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let grants = grants(&directory);
        grants.give(&plan("app"), "why", 60, now()).unwrap();
        let other = digest(&plan("other"));
        std::fs::rename(grants.path(&digest(&plan("app"))), grants.path(&other)).unwrap();
        assert!(matches!(grants.read(&other), Err(GrantError::Damaged { .. })));
        assert_eq!(grants.find(&other, now()).unwrap(), None);
        assert!(!grants.path(&other).exists());
        for name in ["../transactions/x", "", &"A".repeat(DIGEST)] {
            assert_eq!(grants.find(name, now()).unwrap(), None);
        }
    }

    #[test]
    fn there_are_only_so_many() {
        let directory = tempfile::tempdir().unwrap();
        let grants = grants(&directory);
        for number in 0..MAX_GRANTS {
            grants.give(&plan(&format!("p{number}")), "why", 60, now()).unwrap();
        }
        let refused = grants.give(&plan("one-more"), "why", 60, now());
        assert!(matches!(refused, Err(Stop::Refused(refusal)) if refusal.code == RefusalCode::Busy));
        assert!(grants.give(&plan("p0"), "again", 60, now()).is_ok());
    }
}
