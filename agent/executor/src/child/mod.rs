//! The only place that starts a process: an absolute program, an argument vector, a built environment, no standard input.
//!
//! What the process says goes straight into files: should the executor die, a package operation writes on undisturbed,
//! where a pipe would kill it; and a daemon that a maintainer script leaves behind holds nobody up.

mod follow;

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
    /// So long, and so long without a word. Only for what may be ended at any point without harm.
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
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overdue(limit) => write!(f, "took longer than {} seconds and was ended", limit.as_secs()),
            Self::Silent(limit) => write!(f, "was silent for {} seconds and was ended", limit.as_secs()),
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
    let wrong = |doing| move |source| ChildError { program: call.program.to_owned(), doing, source };
    let mut output = Follower::of_output(call.output).map_err(wrong("opening the file for its output"))?;
    let mut child = start(call).map_err(wrong("starting it"))?;
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
        cut = patience.end(started, last_word);
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
    fn end(self, started: Moment, last_word: Moment) -> Option<Cut> {
        match self {
            Self::Limited { total, .. } if total <= started.elapsed() => Some(Cut::Overdue(total)),
            Self::Limited { silence, .. } if silence <= last_word.elapsed() => Some(Cut::Silent(silence)),
            Self::Endless | Self::Limited { .. } => None,
        }
    }
}

fn start(call: &Call<'_>) -> io::Result<Child> {
    if !call.program.is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no absolute path"));
    }
    let output = open_to_append(call.output)?;
    let errors = match call.errors {
        Some(errors) => open_to_append(errors)?,
        None => output.try_clone()?,
    };
    #[expect(clippy::disallowed_methods, reason = "the executor's one place that starts a process")]
    let mut command = Command::new(call.program);
    let _inheritable = Inheritable::make(call.inherited)?;
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
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    /// What a child is watched with in these tests.
    #[derive(Default)]
    struct Seen {
        lines: Vec<String>,
        silences: Vec<Duration>,
    }

    impl Watch for Seen {
        fn line(&mut self, line: &str) {
            self.lines.push(line.to_owned());
        }

        fn silence(&mut self, silence: Duration) {
            self.silences.push(silence);
        }
    }

    fn patience(total: Duration, silence: Duration) -> Patience {
        Patience::Limited { total, silence }
    }

    /// Runs a shell script; its output, its errors, what was seen of it and how it ended.
    fn shell(script: &str, patience: Patience) -> (String, String, Seen, Ended) {
        let directory = tempfile::tempdir().unwrap();
        let (output, errors) = (directory.path().join("out"), directory.path().join("err"));
        let mut seen = Seen::default();
        let arguments = ["-c".to_owned(), script.to_owned()];
        let call = Call {
            program: Path::new("/bin/sh"),
            arguments: &arguments,
            output: &output,
            errors: Some(&errors),
            inherited: &[],
        };
        let ended = run(&call, patience, &mut seen).unwrap();
        let read = |path| std::fs::read_to_string(path).unwrap();
        (read(&output), read(&errors), seen, ended)
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn the_environment_is_built_and_the_input_closed() {
        let (output, _, _, ended) = shell("env | sort; cat; pwd", Patience::Endless);
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
        let (output, errors, seen, ended) = shell("printf 'a\\nb'; echo c >&2; exit 3", Patience::Endless);
        assert_eq!((output.as_str(), errors.as_str()), ("a\nb", "c\n"));
        assert_eq!(seen.lines, ["a", "b"]);
        assert_eq!(ended, Ended { code: Some(3), cut: None });
    }

    #[test]
    fn what_takes_too_long_is_ended_with_what_it_started() {
        let (output, _, _, ended) = shell("sleep 1000 & echo $!; wait", patience(Duration::ZERO, LONG));
        assert_eq!(ended.cut, Some(Cut::Overdue(Duration::ZERO)));
        assert!(!ended.is_success());
        // Ended before it could say it, or said and ended: no process of that number is left that is not ours to see.
        if let Ok(pid) = output.trim().parse::<u32>() {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            assert!(state.is_empty() || state.contains(") Z "), "{state}");
        }
    }

    #[test]
    fn a_child_left_behind_holds_nobody_up() {
        let (output, _, _, ended) = shell("sleep 60 & echo $!", Patience::Endless);
        assert!(ended.is_success());
        let pid: i32 = output.trim().parse().unwrap();
        nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_relative_program_and_a_linked_log_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out");
        let call = |program, output| Call { program, arguments: &[], output, errors: None, inherited: &[] };
        let mut ignore = |_: &str| {};
        assert!(run(&call(Path::new("sh"), &output), Patience::Endless, &mut ignore).is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&output, &link).unwrap();
        assert!(run(&call(Path::new("/bin/true"), &link), Patience::Endless, &mut ignore).is_err());
    }

    #[test]
    fn endless_lines_are_cut() {
        let (_, _, seen, _) = shell("head -c 200000 /dev/zero | tr '\\0' x", Patience::Endless);
        assert_eq!(seen.lines.iter().map(String::len).collect::<Vec<_>>(), [follow::MAX_LINE]);
    }

    /// peers.md row 5: a fetcher that hangs is ended; row 6: what changes packages never is, however silent.
    #[test]
    fn silence_ends_only_what_may_be_ended() {
        let limit = Duration::from_millis(100);
        let (_, _, seen, ended) = shell("echo a; sleep 1000", patience(LONG, limit));
        assert_eq!((ended.code, ended.cut), (None, Some(Cut::Silent(limit))));
        assert_eq!(seen.lines, ["a"]);
        let (_, _, seen, ended) = shell("read line </dev/null; sleep 0.3", Patience::Endless);
        assert!(ended.is_success());
        assert!(seen.silences.is_sorted() && !seen.silences.is_empty());
    }

    #[test]
    fn only_named_descriptors_are_inherited_and_under_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| open_to_append(&directory.path().join(name)).unwrap();
        let (given, kept) = (file("given"), file("kept"));
        let script =
            format!("echo word >&{}; echo other 2>/dev/null >&{}", given.as_raw_fd(), kept.as_raw_fd());
        let call = Call {
            program: Path::new("/bin/sh"),
            arguments: &["-c".to_owned(), script],
            output: &directory.path().join("out"),
            errors: None,
            inherited: &[given.as_fd()],
        };
        assert!(!run(&call, Patience::Endless, &mut |_: &str| {}).unwrap().is_success());
        let read = |name| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!((read("given").as_str(), read("kept").as_str()), ("word\n", ""));
    }
}
