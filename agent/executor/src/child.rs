//! The only place that starts a process: an absolute program, an argument vector, a built environment, no standard input.
//!
//! What the process says goes straight into files: should the executor die, a package operation writes on undisturbed,
//! where a pipe would kill it; and a daemon that a maintainer script leaves behind holds nobody up.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;

use crate::clock::Deadline;

/// Everything that a child finds in its environment.
///
/// `SOURCE_DATE_EPOCH` must stay out: apt switches phased updates off where it is set.
const ENVIRONMENT: [(&str, &str); 9] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("TERM", "dumb"),
    ("LC_ALL", "C.UTF-8"),
    ("LANGUAGE", ""),
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("NEEDRESTART_SUSPEND", "1"),
];

/// The longest line that is passed on, and the most bytes that one look at growing output takes.
const MAX_LINE: usize = 500;
const MAX_LOOK: u64 = 64 * 1024;

/// How often a running child is looked after: from the first pause, doubling, to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// How long a child may take to obey SIGTERM before it gets SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Why a child could not be run.
#[derive(Debug, Error)]
#[error("can't run {}: {doing}", program.display())]
pub(crate) struct ChildError {
    program: PathBuf,
    doing: &'static str,
    #[source]
    source: io::Error,
}

/// What is to be run, and where its words go.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [String],
    /// The file for standard output; what it held before is kept.
    pub(crate) output: &'a Path,
    /// The file for standard error; `None` where it goes in order with the output.
    pub(crate) errors: Option<&'a Path>,
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// It was ended by us, having taken too long.
    pub(crate) is_overdue: bool,
}

impl Ended {
    pub(crate) fn is_success(self) -> bool {
        self.code == Some(0) && !self.is_overdue
    }
}

/// Runs a call to its end, however long that takes. Only this is right for what changes packages.
pub(crate) fn run_to_end(call: &Call<'_>, progress: &mut dyn FnMut(&str)) -> Result<Ended, ChildError> {
    run(call, Deadline::NEVER, progress)
}

/// Runs a call that may be ended at any point without harm, and ends it when its time is up.
pub(crate) fn run_within(
    call: &Call<'_>,
    limit: Duration,
    progress: &mut dyn FnMut(&str),
) -> Result<Ended, ChildError> {
    run(call, Deadline::after(limit), progress)
}

fn run(call: &Call<'_>, deadline: Deadline, progress: &mut dyn FnMut(&str)) -> Result<Ended, ChildError> {
    let wrong = |doing| move |source| ChildError { program: call.program.to_owned(), doing, source };
    let mut follower = Follower::open(call.output).map_err(wrong("opening the file for its output"))?;
    let mut child = start(call).map_err(wrong("starting it"))?;
    let mut pause = FIRST_PAUSE;
    let mut is_overdue = false;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(wrong("waiting for it"))? {
            break status;
        }
        follower.look(progress);
        if deadline.has_passed() {
            is_overdue = true;
            break end(&mut child).map_err(wrong("ending it"))?;
        }
        sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    };
    while follower.look(progress) {}
    follower.finish(progress);
    Ok(Ended { code: status.code(), is_overdue })
}

fn start(call: &Call<'_>) -> io::Result<Child> {
    if !call.program.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no absolute path"));
    }
    let output = append_to(call.output)?;
    let errors = match call.errors {
        Some(errors) => append_to(errors)?,
        None => output.try_clone()?,
    };
    #[expect(clippy::disallowed_methods, reason = "the executor's one place that starts a process")]
    let mut command = Command::new(call.program);
    command
        .args(call.arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
}

/// Opens a file of the executor's own to be written at its end.
fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NOCTTY).bits())
        .open(path)
}

/// Ends a child and what it started: kindly first, then for certain.
fn end(child: &mut Child) -> io::Result<ExitStatus> {
    // It has not been waited for, so its number is still its own.
    let group = i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)?;
    let grace = Deadline::after(GRACE);
    killpg(group, Signal::SIGTERM)?;
    while !grace.has_passed() {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        sleep(LAST_PAUSE);
    }
    killpg(group, Signal::SIGKILL)?;
    child.wait()
}

/// Reads what is added to a file, line by line.
struct Follower {
    file: File,
    begun: Vec<u8>,
}

impl Follower {
    /// From what the file holds now on.
    fn open(path: &Path) -> io::Result<Self> {
        drop(append_to(path)?);
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, begun: Vec::new() })
    }

    /// Passes on the lines that were completed since. Whether there was anything new.
    ///
    /// A failure to read is no reason to stop a package operation: then there is no progress to show.
    fn look(&mut self, progress: &mut dyn FnMut(&str)) -> bool {
        let mut added = Vec::new();
        let read = (&self.file).take(MAX_LOOK).read_to_end(&mut added).unwrap_or_default();
        for byte in added {
            if byte == b'\n' || byte == b'\r' {
                self.finish(progress);
            } else if self.begun.len() < MAX_LINE {
                self.begun.push(byte);
            }
        }
        0 < read
    }

    fn finish(&mut self, progress: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.begun);
        if !line.is_empty() {
            progress(&String::from_utf8_lossy(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell script; its output, its errors, its progress and how it ended.
    fn shell(script: &str, limit: Duration) -> (String, String, Vec<String>, Ended) {
        let directory = tempfile::tempdir().unwrap();
        let (output, errors) = (directory.path().join("out"), directory.path().join("err"));
        let mut lines = Vec::new();
        let arguments = ["-c".to_owned(), script.to_owned()];
        let call = Call {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            output: &output,
            errors: Some(&errors),
        };
        let ended = run_within(&call, limit, &mut |line| lines.push(line.to_owned())).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(&output), read(&errors), lines, ended)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_environment_is_built_and_the_input_closed() {
        let (output, _, _, ended) = shell("env | sort; cat; pwd", LONG);
        let mut expected: Vec<_> =
            ENVIRONMENT.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // dash sets this one by itself.
        expected.push("PWD=/".into());
        expected.sort();
        expected.push("/".into());
        let output: Vec<_> = output.lines().map(str::to_owned).collect();
        assert_eq!(output, expected);
        assert!(ended.is_success());
    }

    #[test]
    fn lines_are_passed_on_and_streams_kept_apart() {
        let (output, errors, lines, ended) = shell("printf 'a\\nb'; echo c >&2; exit 3", LONG);
        assert_eq!((output.as_str(), errors.as_str()), ("a\nb", "c\n"));
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(ended, Ended { code: Some(3), is_overdue: false });
    }

    #[test]
    fn what_takes_too_long_is_ended_with_what_it_started() {
        let (output, _, _, ended) = shell("sleep 1000 & echo $!; wait", Duration::ZERO);
        assert!(ended.is_overdue && !ended.is_success());
        // Ended before it could say it, or said and ended: no process of that number is left that is not ours to see.
        if let Ok(pid) = output.trim().parse::<u32>() {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(state.is_empty() || state.contains(") Z "), "{state}");
        }
    }

    #[test]
    fn a_child_left_behind_holds_nobody_up() {
        let (output, _, _, ended) = shell("sleep 60 & echo $!", LONG);
        assert!(ended.is_success());
        let pid: i32 = output.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_relative_program_and_a_linked_log_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out");
        let call = |program, output| Call { program, arguments: &[], output, errors: None };
        let mut ignore = |_: &str| {};
        assert!(run_to_end(&call(Path::new("sh"), &output), &mut ignore).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&output, &link).unwrap();
        assert!(run_to_end(&call(Path::new("/bin/true"), &link), &mut ignore).is_err());
    }

    #[test]
    fn endless_lines_are_cut() {
        let (_, _, lines, _) = shell("head -c 200000 /dev/zero | tr '\\0' x", LONG);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE]);
    }
}
