//! Keeping other patchers from installing, because root asked for it, and taking that back: a drop-in for each of their
//! services, whose condition holds only as long as patchd is installed.
//!
//! Which services there are is the closed list of `patchd_protocol::patchers`: a request names a patcher, and never a unit
//! or a path. Nothing is stopped: who is at work goes on to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchd_host::durable::{self, atomic_write};
use patchd_host::read;
use patchd_host::root::Root;
use patchd_protocol::executor::{RefusalCode, Reply};
use patchd_protocol::patchers::{Patcher, PatcherAction, drop_in, drop_in_text, is_drop_in};

use crate::child::{self, Call, Patience};
use crate::log;
use crate::refusal::Stop;

/// The longest file that is looked at, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// How long systemd may take to read its units again.
const RELOAD: Patience =
    Patience::Limited { total: Duration::from_secs(60), silence: Duration::from_secs(60) };

/// systemctl, and where what it says goes.
#[derive(Debug)]
pub(crate) struct Systemctl {
    program: PathBuf,
    output: PathBuf,
}

impl Systemctl {
    pub(crate) fn new(programs: &Path, output: &Path) -> Self {
        Self { program: programs.join("systemctl"), output: output.join("systemctl.out") }
    }

    /// Has systemd read its units again. Where there is none, there is nothing to read.
    fn reload(&self, root: &Root) -> Result<(), Stop> {
        if !root.path("run/systemd/system").is_dir() {
            return Ok(());
        }
        let arguments = ["--no-ask-password".to_owned(), "daemon-reload".to_owned()];
        let call = Call {
            program: &self.program,
            arguments: &arguments,
            output: &self.output,
            errors: None,
            inherited: &[],
        };
        let ended = child::run(&call, RELOAD, &mut |_: &str| {}).map_err(|error| Stop::failed(&error))?;
        match ended.is_success() {
            true => Ok(()),
            false => {
                Err(failed("the files are in place, but `systemctl daemon-reload` failed: run it".into()))
            }
        }
    }
}

/// Does what root wants of a patcher, and names the files.
pub(crate) fn set(
    root: &Root,
    systemctl: &Systemctl,
    patcher: Patcher,
    action: PatcherAction,
) -> Result<Reply, Stop> {
    let services = patcher.services();
    if services.is_empty() {
        let how = patcher.elsewhere().unwrap_or_default();
        let message = format!("{} is not decided on this host: {how}", patcher.as_str());
        return Err(Stop::refused(RefusalCode::NotAllowed, message));
    }
    let mut files = Vec::new();
    for service in services {
        let name = drop_in(service);
        let is_changed = match action {
            PatcherAction::Disable => write(root, &name)?,
            PatcherAction::Restore => remove(root, &name)?,
        };
        if is_changed {
            log::info(format_args!("{action:?} {}: {name}", patcher.as_str()));
            files.push(name);
        }
    }
    // Also where nothing was changed: an earlier call may have ended before.
    systemctl.reload(root)?;
    Ok(Reply::PatcherSet { files })
}

/// Whether what is there is ours; `None` if nothing is.
fn look(root: &Root, name: &str) -> Result<Option<bool>, Stop> {
    let path = root.path(name);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(format!("{} can't be looked at: {error}", path.display()))),
        Ok(data) if !data.is_file() => return Ok(Some(false)),
        Ok(_) => {}
    }
    let content = read::read(root, name, MAX_FILE).map_err(|error| Stop::failed(&error))?;
    Ok(Some(is_drop_in(&content)))
}

fn write(root: &Root, name: &str) -> Result<bool, Stop> {
    let path = root.path(name);
    match look(root, name)? {
        Some(true) => return Ok(false),
        Some(false) => return Err(foreign(&path)),
        None => {}
    }
    let directory = path.parent().unwrap_or(&path);
    if directory.symlink_metadata().is_ok_and(|data| !data.is_dir()) {
        return Err(foreign(directory));
    }
    durable::create_directories(directory, 0o755).map_err(|error| Stop::failed(&error))?;
    atomic_write(&path, drop_in_text().as_bytes(), 0o644).map_err(|error| Stop::failed(&error))?;
    Ok(true)
}

fn remove(root: &Root, name: &str) -> Result<bool, Stop> {
    let path = root.path(name);
    match look(root, name)? {
        None => return Ok(false),
        Some(false) => return Err(foreign(&path)),
        Some(true) => {}
    }
    std::fs::remove_file(&path)
        .map_err(|error| failed(format!("{} can't be removed: {error}", path.display())))?;
    // It stays where the administrator has drop-ins of their own in it.
    let _ = path.parent().map(std::fs::remove_dir);
    Ok(true)
}

fn foreign(path: &Path) -> Stop {
    let message = format!("{} is not patchd's: look at it, and move it away", path.display());
    Stop::refused(RefusalCode::NotAllowed, message)
}

fn failed(message: String) -> Stop {
    Stop::Failed { message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn call(root: &Root, patcher: Patcher, action: PatcherAction) -> Result<Vec<String>, String> {
        let systemctl = Systemctl::new(Path::new("/nonexistent"), root.directory());
        match set(root, &systemctl, patcher, action) {
            Ok(Reply::PatcherSet { files }) => Ok(files),
            Ok(other) => panic!("{other:?}"),
            Err(Stop::Refused(refusal)) => Err(refusal.message),
            Err(Stop::Failed { message }) => Err(message),
        }
    }

    #[test]
    fn what_was_done_is_taken_back_and_twice_is_as_good_as_once() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let timer = Patcher::UnattendedUpgrades;
        let files = call(&root, timer, PatcherAction::Disable).unwrap();
        assert_eq!(files.len(), timer.services().len());
        let first = root.path(&files[0]);
        assert!(
            std::fs::read_to_string(&first)
                .unwrap()
                .ends_with("[Unit]\nConditionPathExists=!/usr/bin/patchd\n")
        );
        assert_eq!(call(&root, timer, PatcherAction::Disable), Ok(vec![]));
        assert_eq!(call(&root, timer, PatcherAction::Restore), Ok(files));
        assert!(!first.parent().unwrap().exists(), "no empty directory is left");
        assert_eq!(call(&root, timer, PatcherAction::Restore), Ok(vec![]));
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        let own = root.path("etc/systemd/system/apt-daily-upgrade.service.d/50-patchd.conf");
        durable::create_directories(own.parent().unwrap(), 0o755).unwrap();
        atomic_write(&own, b"[Service]\nNice=5\n", 0o644).unwrap();
        for action in [PatcherAction::Disable, PatcherAction::Restore] {
            let refused = call(&root, Patcher::UnattendedUpgrades, action).unwrap_err();
            assert!(refused.contains("is not patchd's"), "{refused}");
        }
        assert_eq!(std::fs::read(&own).unwrap(), b"[Service]\nNice=5\n");
        // A link would lead the write anywhere.
        std::fs::remove_file(&own).unwrap();
        symlink("/etc/passwd", &own).unwrap();
        assert!(call(&root, Patcher::UnattendedUpgrades, PatcherAction::Disable).is_err());
        let elsewhere = root.path("etc/systemd/system/os-update.service.d");
        symlink(place.path(), &elsewhere).unwrap();
        assert!(call(&root, Patcher::OsUpdate, PatcherAction::Disable).is_err());
    }

    #[test]
    fn what_is_decided_elsewhere_is_told_where() {
        let place = tempfile::tempdir().unwrap();
        let told =
            call(&Root::at(place.path()), Patcher::AmazonSsmAgent, PatcherAction::Disable).unwrap_err();
        assert!(told.contains("aws ssm"), "{told}");
    }
}
