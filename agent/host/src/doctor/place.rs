//! The checks of what patchd needs on disk: its configuration, its user, its directories and room.

use std::io;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Group, User};
use patchd_core::plan::need::Use;
use patchd_core::problem::Weight;
use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckName, CheckWire};

use super::AS_ROOT;
use crate::root::Root;
use crate::{baseline_files, config_files, disk};

const USER: &str = "patchd";
/// What makes the user and the directories anew.
const SYSUSERS: &str = "systemd-sysusers /usr/lib/sysusers.d/patchd.conf";
const TMPFILES: &str = "systemd-tmpfiles --create /usr/lib/tmpfiles.d/patchd.conf";

/// As many mistakes are told here; `config check` tells all.
const TOLD: usize = 3;

/// What is wrong with the configuration, and what it says if nothing is.
pub(super) fn config(root: &Root) -> (CheckWire, Option<Settings>) {
    const NAME: CheckName = CheckName::Config;
    let main = root.path(config_files::MAIN_FILE);
    if std::fs::File::open(&main).is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
        let detail = format!("{} is not for this user to read", main.display());
        return (CheckWire::cannot_tell(NAME, detail, AS_ROOT), None);
    }
    match config_files::load(root) {
        Err(mistakes) => {
            let all = mistakes.list();
            let told: Vec<_> = all.iter().take(TOLD).map(ToString::to_string).collect();
            let more =
                if TOLD < all.len() { format!("; and {} more", all.len() - TOLD) } else { String::new() };
            (CheckWire::failing(NAME, format!("{}{more}", told.join("; ")), "patchctl config check"), None)
        }
        Ok(settings) => {
            // A root that a test or an image build made need not be root's.
            let foreign = if root.is_host() { config_files::ownership_mistakes(root, 0) } else { Vec::new() };
            let check = match foreign.first() {
                Some(mistake) => CheckWire::failing(
                    NAME,
                    format!("the root helper takes no word from it: {mistake}"),
                    "patchctl config check",
                ),
                None if main.exists() => CheckWire::ok(NAME, format!("{} has no mistakes", main.display())),
                None => {
                    CheckWire::ok(NAME, format!("there is no {}: every value is the default", main.display()))
                }
            };
            (check, Some(settings))
        }
    }
}

/// Whether there is a baseline to judge by. A patch group's tag is asked by the daemon alone.
pub(super) fn baseline(root: &Root, settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Baseline;
    let source = settings.baseline.of_group(settings.agent.patch_group.as_deref());
    let (ruling, problems) = baseline_files::load(root, root, source);
    match problems.iter().find(|problem| problem.weight == Weight::Incomplete) {
        None => CheckWire::ok(NAME, format!("the host is judged by {}", ruling.origin.source)),
        Some(problem) => CheckWire::failing(
            NAME,
            format!("nothing is approved: {problem}"),
            "patchctl baseline check FILE",
        ),
    }
}

pub(super) fn account() -> CheckWire {
    const NAME: CheckName = CheckName::Account;
    match (User::from_name(USER), Group::from_name(USER)) {
        (Ok(Some(user)), Ok(Some(group))) => {
            CheckWire::ok(NAME, format!("{USER} is uid {} and gid {}", user.uid, group.gid))
        }
        (Ok(None), _) => CheckWire::failing(NAME, format!("there is no user {USER}"), SYSUSERS),
        (_, Ok(None)) => CheckWire::failing(NAME, format!("there is no group {USER}"), SYSUSERS),
        (Err(errno), _) | (_, Err(errno)) => CheckWire::cannot_tell(
            NAME,
            format!("accounts can't be looked up: {}", errno.desc()),
            "getent passwd patchd",
        ),
    }
}

/// A directory, who must own it, and which bits of its mode nobody may have.
const DIRECTORIES: [(&str, Owner, u32); 2] =
    [("var/lib/patchd", Owner::Patchd, 0o027), ("var/lib/patchd-executor", Owner::Root, 0o077)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Root,
    Patchd,
}

pub(super) fn state(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::State;
    let patchd = User::from_name(USER).ok().flatten().map(|user| user.uid.as_raw());
    let mut missing = Vec::new();
    for (name, owner, forbidden) in DIRECTORIES {
        let path = root.path(name);
        let shown = path.display();
        let wanted = match owner {
            Owner::Root => Some(0),
            Owner::Patchd => patchd,
        };
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(shown.to_string()),
            Err(error) => {
                return CheckWire::cannot_tell(NAME, format!("{shown} can't be looked at: {error}"), AS_ROOT);
            }
            Ok(found) if !found.is_dir() => {
                return CheckWire::failing(NAME, format!("{shown} is no directory"), TMPFILES);
            }
            Ok(found) if wanted.is_some_and(|uid| uid != found.uid()) => {
                let detail = format!("{shown} belongs to uid {}", found.uid());
                return CheckWire::failing(NAME, detail, TMPFILES);
            }
            Ok(found) if found.mode() & forbidden != 0 => {
                let detail = format!("{shown} has mode {:04o}: others can use it", found.mode() & 0o7777);
                return CheckWire::failing(NAME, detail, TMPFILES);
            }
            Ok(_) => {}
        }
    }
    match missing.is_empty() {
        true => CheckWire::ok(NAME, "each directory has its owner and its mode"),
        false => CheckWire::warning(NAME, format!("there is no {} yet", missing.join(" and no ")), TMPFILES),
    }
}

/// What a scan, its report and the package manager's lists want to find free.
const ROOM: u64 = 64 << 20;
const INODES: u64 = 500;

pub(super) fn disk(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::Disk;
    let all = match disk::filesystems(root) {
        Ok(all) => all,
        Err(error) => return CheckWire::cannot_tell(NAME, error.to_string(), "df -h; df -i"),
    };
    let mut tight = Vec::new();
    for one in &all {
        let is_ours = one.uses.contains(&Use::State);
        let why = if one.is_read_only {
            "is mounted read-only".to_owned()
        } else if one.free_bytes < ROOM {
            format!("has {} MiB free", one.free_bytes >> 20)
        } else if one.free_inodes.is_some_and(|free| free < INODES) {
            "has hardly an inode free".to_owned()
        } else {
            continue;
        };
        let detail = format!("{} {why}", one.mount);
        if is_ours {
            return CheckWire::failing(NAME, format!("{detail}, where reports are kept"), "df -h; df -i");
        }
        tight.push(detail);
    }
    match (tight.is_empty(), all.iter().map(|one| one.free_bytes).min()) {
        (false, _) => CheckWire::warning(NAME, tight.join(", "), "df -h; df -i"),
        (true, Some(least)) => CheckWire::ok(NAME, format!("{} MiB are free where least is", least >> 20)),
        (true, None) => CheckWire::cannot_tell(NAME, "no file system was found", "df -h"),
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::doctor::CheckVerdictWire;

    use super::*;
    use crate::durable::{atomic_write, create_directories};

    #[test]
    fn mistakes_are_told_with_their_lines_and_nothing_is_guessed_from_them() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let (check, settings) = config(&root);
        assert_eq!(check.verdict, CheckVerdictWire::Ok);
        assert_eq!(settings, Some(Settings::default()));
        let file = root.path(config_files::MAIN_FILE);
        create_directories(file.parent().unwrap(), 0o755).unwrap();
        atomic_write(&file, b"[scan]\ninterval = \"5\"\nb = 1\nc = 2\nd = 3\n", 0o644).unwrap();
        let (check, settings) = config(&root);
        assert_eq!((check.verdict, settings), (CheckVerdictWire::Failing, None));
        assert!(check.detail.contains("patchd.toml:2: scan.interval"), "{check:?}");
        assert!(check.detail.ends_with("; and 1 more"), "{check:?}");
        let unknown = super::super::by_settings(&root, None, jiff::Timestamp::UNIX_EPOCH);
        assert!(unknown.iter().all(|check| check.verdict == CheckVerdictWire::CannotTell));
    }

    #[test]
    fn a_baseline_that_cannot_be_used_stands_in_the_way() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let debian = root.path("etc/os-release");
        create_directories(debian.parent().unwrap(), 0o755).unwrap();
        atomic_write(&debian, b"ID=debian\n", 0o644).unwrap();
        assert_eq!(baseline(&root, &Settings::default()).verdict, CheckVerdictWire::Ok);
        create_directories(&root.path("etc/patchd"), 0o755).unwrap();
        atomic_write(&root.path("etc/patchd/baseline.json"), b"{", 0o644).unwrap();
        let check = baseline(&root, &Settings::default());
        assert_eq!(check.verdict, CheckVerdictWire::Failing, "{check:?}");
    }

    #[test]
    fn a_directory_that_others_can_use_is_told() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        assert_eq!(state(&root).verdict, CheckVerdictWire::Warning);
        atomic_write(&root.path("var"), b"", 0o644).unwrap();
        let check = state(&root);
        assert_eq!(check.verdict, CheckVerdictWire::CannotTell, "what can't be looked at: {check:?}");
    }
}
