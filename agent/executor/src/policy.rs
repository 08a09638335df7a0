//! What root allows, from root's own files, at this clock: read anew for each change, and never taken from a client.
//!
//! It knows windows. Grants outside them, freezes and hooks are not here.

use jiff::Timestamp;
use patchd_core::window::{Occurrence, Verdict, verdict};
use patchd_host::config_files;
use patchd_host::root::Root;
use patchd_protocol::executor::RefusalCode;

use crate::refusal::Stop;

/// Where policy is read, and whose word it must be.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    root: Root,
    owner: u32,
}

impl Policy {
    pub(crate) fn new(root: Root, owner: u32) -> Self {
        Self { root, owner }
    }

    /// The window that is open at `now`, or why nothing may be changed.
    pub(crate) fn open_window(&self, now: Timestamp) -> Result<Occurrence, Stop> {
        let policy = |message| Stop::refused(RefusalCode::Policy, message);
        let foreign = config_files::ownership_mistakes(&self.root, self.owner);
        if !foreign.is_empty() {
            let lines: Vec<_> = foreign.iter().map(ToString::to_string).collect();
            return Err(policy(format!("others may have written the policy: {}", lines.join("; "))));
        }
        let settings = config_files::load(&self.root)
            .map_err(|mistakes| policy(format!("the policy has mistakes: {mistakes}")))?;
        match verdict(&settings.windows, now) {
            Verdict::Open(occurrence) => Ok(occurrence),
            Verdict::NoneConfigured => Err(Stop::refused(
                RefusalCode::NoWindow,
                "no window is configured; a [[window]] in /etc/patchd/patchd.toml is what allows changes",
            )),
            Verdict::Shut { next: None } => {
                Err(Stop::refused(RefusalCode::OutsideWindow, "no window is open, and none will be"))
            }
            Verdict::Shut { next: Some(Occurrence { start, cutoff, name, .. }) } => {
                let message = format!(
                    "no window is open at {now:.0}; the next is {name:?} from {start} until its cutoff at {cutoff}"
                );
                Err(Stop::refused(RefusalCode::OutsideWindow, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use patchd_host::durable::{atomic_write, create_directories};
    use patchd_protocol::executor::RefusalWire;

    use super::*;

    struct Site {
        directory: tempfile::TempDir,
        policy: Policy,
    }

    impl Site {
        fn new(config: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(config_files::MAIN_FILE);
            create_directories(path.parent().unwrap(), 0o755).unwrap();
            atomic_write(&path, config.as_bytes(), 0o644).unwrap();
            let owner = nix::unistd::Uid::effective().as_raw();
            let policy = Policy::new(Root::at(directory.path()), owner);
            Self { directory, policy }
        }

        #[track_caller]
        fn check(&self, now: &str, expected: Result<&str, (RefusalCode, &str)>) {
            let verdict = self.policy.open_window(now.parse().unwrap());
            let verdict = verdict.map(|open| open.name);
            let expected =
                expected.map(str::to_owned).map_err(|(code, message)| Stop::refused(code, message));
            assert_eq!(verdict, expected);
        }
    }

    const WEEKLY: &str = "[[window]]\nname = \"weekly\"\nschedule = \"Sun 02:00 +3h\"\ncutoff = \"1h\"\n";

    #[test]
    fn a_change_needs_an_open_window() {
        let site = Site::new(WEEKLY);
        let shut = "no window is open at 2026-11-29T04:00:00Z; the next is \"weekly\" from 2026-12-06T02:00:00Z \
                    until its cutoff at 2026-12-06T04:00:00Z";
        site.check("2026-11-29T02:00:00Z", Ok("weekly"));
        site.check("2026-11-29T04:00:00.5Z", Err((RefusalCode::OutsideWindow, shut)));
    }

    #[test]
    fn without_a_window_nothing_changes() {
        let none = "no window is configured; a [[window]] in /etc/patchd/patchd.toml is what allows changes";
        Site::new("").check("2026-11-29T02:00:00Z", Err((RefusalCode::NoWindow, none)));
    }

    #[test]
    fn policy_that_others_may_write_or_with_mistakes_allows_nothing() {
        let site = Site::new(WEEKLY);
        let now = "2026-11-29T02:00:00Z".parse().unwrap();
        let path = site.directory.path().join(config_files::MAIN_FILE);
        std::fs::set_permissions(&path, Permissions::from_mode(0o646)).unwrap();
        let refused = site.policy.open_window(now).unwrap_err();
        assert!(matches!(&refused, Stop::Refused(refusal) if refusal.code == RefusalCode::Policy
                && refusal.message.contains("chmod go-w")));
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let foreign = Policy::new(site.policy.root.clone(), site.policy.owner + 1);
        let is_policy = |refusal: &RefusalWire| refusal.code == RefusalCode::Policy;
        assert!(matches!(foreign.open_window(now), Err(Stop::Refused(refusal)) if is_policy(&refusal)));
        atomic_write(&path, b"[[window]]\nnam = \"x\"\n", 0o644).unwrap();
        assert!(matches!(site.policy.open_window(now), Err(Stop::Refused(refusal)) if is_policy(&refusal)));
    }
}
