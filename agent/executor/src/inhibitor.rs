//! The request to logind not to shut down or sleep while packages are changed (systemd-inhibit(1)).
//!
//! It is held by a helper that ends when the last holder of a pipe's other end does: the executor, and the package
//! manager that gets it too, so that it also holds if the executor dies, and goes when both are done. Root can override
//! it. Where there is no logind, or it doesn't answer in time, the work goes on without it, and that is noted.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child::Helper;
use crate::text;

/// How long logind may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the helper may take to end once nobody holds the pipe.
const LEAVE: Duration = Duration::from_secs(2);

/// Where systemd-inhibit lies, and where what it complains of goes.
#[derive(Debug)]
pub(crate) struct Inhibitors {
    program: PathBuf,
    errors: PathBuf,
    answer: Duration,
}

/// One that holds.
#[derive(Debug)]
pub(crate) struct Inhibitor {
    helper: Helper,
    pipe: Option<PipeWriter>,
}

impl Inhibitors {
    pub(crate) fn new(programs: &Path, output: &Path) -> Self {
        Self {
            program: programs.join("systemd-inhibit"),
            errors: output.join("inhibitor.err"),
            answer: ANSWER,
        }
    }

    /// Takes one, or says why there is none.
    pub(crate) fn take(&self, why: &str) -> Result<Inhibitor, String> {
        if !self.program.exists() {
            return Err(format!("there is no {}", self.program.display()));
        }
        let wrong = |error: std::io::Error| error.to_string();
        let _ = std::fs::remove_file(&self.errors);
        let (input, pipe) = std::io::pipe().map_err(wrong)?;
        let (answers, output) = std::io::pipe().map_err(wrong)?;
        let arguments = [
            "--what=shutdown:sleep",
            "--mode=block",
            "--who=patchd",
            &format!("--why={}", text::cut(why)),
            "cat",
        ];
        let arguments = arguments.map(str::to_owned);
        let helper = Helper::start(&self.program, &arguments, input.into(), output.into(), &self.errors);
        let helper = helper.map_err(|error| error.to_string())?;
        let mut inhibitor = Inhibitor { helper, pipe: Some(pipe) };
        match inhibitor.is_answered(answers, self.answer) {
            Ok(true) => Ok(inhibitor),
            Ok(false) => Err(self.complaint(inhibitor)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Why a helper gave no answer.
    fn complaint(&self, mut inhibitor: Inhibitor) -> String {
        let had_ended = inhibitor.helper.has_ended();
        inhibitor.helper.end_after(Duration::ZERO);
        let said = std::fs::read_to_string(&self.errors).unwrap_or_default();
        match said.lines().last().map(text::cut).filter(|said| !said.is_empty()) {
            Some(said) => said,
            None if had_ended => "systemd-inhibit ended at once".into(),
            None => format!("logind did not answer within {} seconds", self.answer.as_secs()),
        }
    }
}

impl Inhibitor {
    /// What the package manager is to hold as long as it runs.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether what goes in comes out: the helper is started once the inhibitor is taken, and not before.
    fn is_answered(&mut self, mut answers: PipeReader, limit: Duration) -> std::io::Result<bool> {
        let Some(pipe) = &mut self.pipe else { return Ok(false) };
        // A helper that has ended already gives no answer either.
        let _ = pipe.write_all(b"?");
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        loop {
            let mut descriptors = [PollFd::new(answers.as_fd(), PollFlags::POLLIN)];
            match poll(&mut descriptors, limit) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(answers.read(&mut [0; 1])? == 1),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for Inhibitor {
    fn drop(&mut self) {
        self.pipe = None;
        self.helper.end_after(LEAVE);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use patchd_host::durable::atomic_write;

    use super::*;

    fn inhibitors(script: &str, answer: Duration) -> (tempfile::TempDir, Inhibitors) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("systemd-inhibit");
        atomic_write(&program, format!("#!/bin/sh\n{script}\n").as_bytes(), 0o755).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let inhibitors = Inhibitors { answer, ..Inhibitors::new(directory.path(), directory.path()) };
        (directory, inhibitors)
    }

    #[test]
    fn one_holds_until_the_last_holder_of_its_pipe_is_gone() {
        let script = "shift 4; \"$@\"; echo gone >\"$(dirname \"$0\")/state\"";
        let (directory, inhibitors) = inhibitors(script, Duration::from_secs(60));
        let inhibitor = inhibitors.take("packages are changed").unwrap();
        let other = inhibitor.descriptor().unwrap().try_clone_to_owned().unwrap();
        let state = directory.path().join("state");
        assert!(!state.exists());
        drop(other);
        drop(inhibitor);
        assert_eq!(std::fs::read_to_string(state).unwrap(), "gone\n");
    }

    /// docs/accidents.md, row 48: a D-Bus that says nothing stalls no transaction.
    #[test]
    fn without_an_answer_the_reason_is_told() {
        let (_directory, silent) = inhibitors("sleep 1000", Duration::from_millis(50));
        assert_eq!(silent.take("x").unwrap_err(), "logind did not answer within 0 seconds");
        let complaint = "echo 'Failed to inhibit: Connection refused' >&2; exit 1";
        let (_directory, refusing) = inhibitors(complaint, Duration::from_secs(60));
        assert_eq!(refusing.take("x").unwrap_err(), "Failed to inhibit: Connection refused");
        let nowhere = Inhibitors::new(Path::new("/nonexistent"), Path::new("/nonexistent"));
        assert_eq!(nowhere.take("x").unwrap_err(), "there is no /nonexistent/systemd-inhibit");
    }
}
