//! The only place that starts a process: an absolute program, an argument vector, a built environment, no standard input.
//!
//! What the process says goes straight into files: should the executor die, a package operation writes on undisturbed,
//! where a pipe would kill it; and a daemon that a maintainer script leaves behind holds nobody up.

mod follow;
pub(crate) mod pipe;

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;

pub(crate) use self::follow::{Follower, keep_end, open_to_append};
use crate::clock::{Deadline, Moment};

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
    /// What it gets beside its three descriptors, under the same numbers.
    pub(crate) inherited: &'a [BorrowedFd<'a>],
}

/// How long a child may take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    /// As long as it wants. Only this is right for what changes packages.
    Endless,
    /// So long, and so long without a word, and as long as it is wanted. Only for what may be ended at any point without
    /// harm.
    Limited { total: Duration, silence: Duration },
}

/// Who looks after a running child.
pub(crate) trait Watch {
    /// A line of its output.
    fn line(&mut self, line: &str);

    /// Looks at whatever else it writes. Whether there was a sign of life.
    fn look(&mut self) -> bool {
        false
    }

    /// There was no sign of life for so long.
    fn silence(&mut self, _: Duration) {}

    /// Whether somebody still wants what it does.
    fn is_wanted(&self) -> bool {
        true
    }
}

/// Only its output is of interest.
impl<F: FnMut(&str)> Watch for F {
    fn line(&mut self, line: &str) {
        self(line);
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// Why it was ended by us, if it was.
    pub(crate) cut: Option<Cut>,
}

/// Why a child was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It took longer than this in all.
    Overdue(Duration),
    /// It said nothing for this long.
    Silent(Duration),
    Unwanted,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue(limit) => write!(f, "took longer than {} seconds and was ended", limit.as_secs()),
            Self::Silent(limit) => write!(f, "was silent for {} seconds and was ended", limit.as_secs()),
            Self::Unwanted => f.write_str("was ended, since nobody waits for it any more"),
        }
    }
}

impl Ended {
    pub(crate) fn is_success(self) -> bool {
        self.code == Some(0) && self.cut.is_none()
    }
}

/// Runs a call to its end, or to the end of patience.
pub(crate) fn run(call: &Call<'_>, patience: Patience, watch: &mut dyn Watch) -> Result<Ended, ChildError> {
    run_with(&[], call, patience, watch)
}

/// The same with more in its environment.
pub(crate) fn run_with(
    variables: &[(&str, &str)],
    call: &Call<'_>,
    patience: Patience,
    watch: &mut dyn Watch,
) -> Result<Ended, ChildError> {
    let wrong = |doing| move |source| ChildError { program: call.program.to_owned(), doing, source };
    let mut output = Follower::of_output(call.output).map_err(wrong("opening the file for its output"))?;
    let mut child = start(variables, call).map_err(wrong("starting it"))?;
    let started = Moment::now();
    let mut last_word = started;
    let mut pause = FIRST_PAUSE;
    let mut cut = None;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(wrong("waiting for it"))? {
            break status;
        }
        let has_spoken = output.look(&mut |line| watch.line(line));
        if watch.look() || has_spoken {
            last_word = Moment::now();
        } else {
            watch.silence(last_word.elapsed());
        }
        cut = patience.end(started, last_word, watch);
        if cut.is_some() {
            break end(&mut child).map_err(wrong("ending it"))?;
        }
        sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    };
    output.finish(&mut |line| watch.line(line));
    watch.look();
    Ok(Ended { code: status.code(), cut })
}

impl Patience {
    fn end(self, started: Moment, last_word: Moment, watch: &dyn Watch) -> Option<Cut> {
        match self {
            Self::Limited { .. } if !watch.is_wanted() => Some(Cut::Unwanted),
            Self::Limited { total, .. } if total <= started.elapsed() => Some(Cut::Overdue(total)),
            Self::Limited { silence, .. } if silence <= last_word.elapsed() => Some(Cut::Silent(silence)),
            Self::Endless | Self::Limited { .. } => None,
        }
    }
}

fn start(variables: &[(&str, &str)], call: &Call<'_>) -> io::Result<Child> {
    let output = open_to_append(call.output)?;
    let errors = match call.errors {
        Some(errors) => open_to_append(errors)?,
        None => output.try_clone()?,
    };
    let _inheritable = Inheritable::make(call.inherited)?;
    spawn_with(variables, call.program, call.arguments, Stdio::null(), output.into(), errors.into())
}

fn spawn(
    program: &Path,
    arguments: &[String],
    input: Stdio,
    output: Stdio,
    errors: Stdio,
) -> io::Result<Child> {
    spawn_with(&[], program, arguments, input, output, errors)
}

fn spawn_with(
    variables: &[(&str, &str)],
    program: &Path,
    arguments: &[String],
    input: Stdio,
    output: Stdio,
    errors: Stdio,
) -> io::Result<Child> {
    if !program.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no absolute path"));
    }
    #[expect(clippy::disallowed_methods, reason = "the executor's one place that starts a process")]
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT)
        .envs(variables.iter().copied())
        .current_dir("/")
        .stdin(input)
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
}

/// Descriptors that survive the start of a program, as long as this lives: no other process may be started meanwhile,
/// which the executor's own lock sees to.
struct Inheritable<'a>(&'a [BorrowedFd<'a>]);

impl<'a> Inheritable<'a> {
    fn make(descriptors: &'a [BorrowedFd<'a>]) -> io::Result<Self> {
        let made = Self(descriptors);
        for descriptor in descriptors {
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(made)
    }
}

impl Drop for Inheritable<'_> {
    fn drop(&mut self) {
        for descriptor in self.0 {
            // It can't fail on an open descriptor.
            let _ = fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
}

/// A child that changes nothing and lives beside the work: it is ended with everything that it started.
#[derive(Debug)]
pub(crate) struct Helper(Child);

impl Helper {
    /// What it complains of is added to `errors`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        input: Stdio,
        output: Stdio,
        errors: &Path,
    ) -> Result<Self, ChildError> {
        let started =
            open_to_append(errors).and_then(|errors| spawn(program, arguments, input, output, errors.into()));
        let wrong = |source| ChildError { program: program.to_owned(), doing: "starting it", source };
        started.map(Self).map_err(wrong)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Waits for its end, and brings it about when the time is up.
    pub(crate) fn end_after(&mut self, limit: Duration) {
        let deadline = Deadline::after(limit);
        while !self.has_ended() {
            if deadline.has_passed() {
                // It can't be ended only if it has ended.
                let _ = end(&mut self.0);
                return;
            }
            sleep(FIRST_PAUSE);
        }
    }
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

#[cfg(test)]
mod tests;
