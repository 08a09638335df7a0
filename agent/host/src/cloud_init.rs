//! Whether cloud-init is still at work on this boot: it installs packages and runs user data, and must find the package
//! manager's locks free. It is read from cloud-init's own marks; nothing is started, and nobody is waited for.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;

use crate::read::{self, FileError};
use crate::root::Root;

/// What its generator leaves at each boot: one of the two, before any service begins.
const ENABLED: &str = "run/cloud-init/enabled";
const DISABLED: &str = "run/cloud-init/disabled";
/// How far it is. Written from its first stage on.
const STATUS: &str = "run/cloud-init/status.json";
/// Written when its last stage is over, well or not. All of these lie in memory, so that they are of this boot.
const RESULT: &str = "run/cloud-init/result.json";

const MAX_STATUS: u64 = 1 << 20;

/// How far cloud-init is with this boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloudInit {
    /// It is not installed, or has nothing to do here.
    Absent,
    /// It was switched off for this boot.
    Disabled,
    /// It is enabled and not done. The stage is what it says of itself, for people.
    AtWork {
        stage: Option<String>,
    },
    Done,
    /// Its marks can't be read.
    Unknown {
        detail: String,
    },
}

impl CloudInit {
    /// Reads its marks.
    pub fn of(root: &Root) -> Self {
        Self::look(root).unwrap_or_else(|error| Self::Unknown { detail: error.to_string() })
    }

    fn look(root: &Root) -> Result<Self, FileError> {
        let (enabled, disabled) = (is_there(root, ENABLED)?, is_there(root, DISABLED)?);
        let has_begun = is_there(root, STATUS)?;
        Ok(match (enabled || has_begun, disabled) {
            (false, false) => Self::Absent,
            (_, true) if !enabled => Self::Disabled,
            _ if is_there(root, RESULT)? => Self::Done,
            _ => Self::AtWork { stage: stage(root) },
        })
    }

    /// When it began with this boot. A container's uptime may be its host's, so that it tells nothing of that.
    pub fn begun_at(root: &Root) -> Option<Timestamp> {
        let written = |name: &str| {
            let modified = root.resolve(name).and_then(std::fs::metadata).and_then(|data| data.modified());
            modified.ok().and_then(|time| Timestamp::try_from(time).ok())
        };
        written(ENABLED).or_else(|| written(STATUS))
    }

    /// Whether somebody must wait for it, and why, in a sentence. What can't be told is waited for.
    pub fn waits(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Disabled | Self::Done => None,
            Self::AtWork { stage: Some(stage) } => {
                Some(format!("cloud-init is not done with this boot: it is in its stage {stage}"))
            }
            Self::AtWork { stage: None } => Some("cloud-init is not done with this boot".into()),
            Self::Unknown { detail } => Some(format!("whether cloud-init is done can't be told: {detail}")),
        }
    }
}

fn is_there(root: &Root, name: &str) -> Result<bool, FileError> {
    let found = root.resolve(name).and_then(|path| path.metadata());
    match found {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::from_io(&root.path(name), error)),
    }
}

#[derive(Debug, Deserialize)]
struct StatusWire {
    v1: StagesWire,
}

#[derive(Debug, Deserialize)]
struct StagesWire {
    stage: Option<String>,
}

/// What it says it is at: a short word of its own, or nothing.
fn stage(root: &Root) -> Option<String> {
    let text = read::read(root, STATUS, MAX_STATUS).ok()?;
    let StatusWire { v1 } = serde_json::from_slice(&text).ok()?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    v1.stage.filter(|stage| (1..=32).contains(&stage.len()) && stage.chars().all(is_word))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &CloudInit) {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        for (name, content) in files {
            let path = root.path(name);
            crate::durable::create_directories(path.parent().unwrap(), 0o755).unwrap();
            crate::durable::atomic_write(&path, content.as_bytes(), 0o644).unwrap();
        }
        assert_eq!(CloudInit::of(&root), *expected, "{files:?}");
    }

    const RUNNING: &str = r#"{"v1": {"datasource": "DataSourceEc2Local", "stage": "modules-final",
        "init": {"errors": [], "start": 1.5, "finished": 2.0}}}"#;

    #[test]
    fn its_marks_tell_how_far_it_is() {
        let at_work = |stage: Option<&str>| CloudInit::AtWork { stage: stage.map(str::to_owned) };
        check(&[], &CloudInit::Absent);
        check(&[(DISABLED, "")], &CloudInit::Disabled);
        check(&[(ENABLED, "")], &at_work(None));
        check(&[(ENABLED, ""), (STATUS, RUNNING)], &at_work(Some("modules-final")));
        // One without a generator has no other mark.
        check(&[(STATUS, RUNNING)], &at_work(Some("modules-final")));
        check(&[(ENABLED, ""), (STATUS, RUNNING), (RESULT, "{}")], &CloudInit::Done);
        // A generator that changed its mind at this boot leaves the other mark behind.
        check(&[(ENABLED, ""), (DISABLED, "")], &at_work(None));
    }

    #[test]
    fn what_it_says_of_itself_is_no_text_for_people() {
        for status in ["", "{", "[]", r#"{"v1":{"stage":"a b"}}"#, r#"{"v1":{"stage":null}}"#] {
            check(&[(ENABLED, ""), (STATUS, status)], &CloudInit::AtWork { stage: None });
        }
    }

    #[test]
    fn its_result_is_a_link_and_what_cannot_be_looked_at_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let make = |name: &str| {
            let path = root.path(name);
            crate::durable::create_directories(path.parent().unwrap(), 0o755).unwrap();
            crate::durable::atomic_write(&path, b"{}", 0o644).unwrap();
        };
        make(ENABLED);
        symlink("../../var/lib/cloud/data/result.json", root.path(RESULT)).unwrap();
        assert_eq!(CloudInit::of(&root), CloudInit::AtWork { stage: None }, "the link leads nowhere yet");
        make("var/lib/cloud/data/result.json");
        assert_eq!(CloudInit::of(&root), CloudInit::Done);
        assert_eq!(CloudInit::Done.waits(), None);
        std::fs::remove_file(root.path(RESULT)).unwrap();
        symlink("result.json", root.path(RESULT)).unwrap();
        let looped = CloudInit::of(&root);
        assert!(matches!(looped, CloudInit::Unknown { .. }), "{looped:?}");
        assert!(looped.waits().unwrap().starts_with("whether cloud-init is done can't be told: "));
    }
}
