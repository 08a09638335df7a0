//! The one place of the readers that starts a process: apt, asked for what can't be read from its files.
//!
//! The program's path is absolute, its environment is cleared, what it prints is bounded, and it has a deadline.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys;

/// The most that is read of what a program prints.
const MAX_OUTPUT: usize = 16 << 20;

/// What a program printed before it ended.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) is_success: bool,
    pub(super) output: String,
    pub(super) errors: String,
}

/// Runs `program` to its end. `settings`, if any, is what apt reads before all of its own files.
pub(super) fn run(
    program: &Path,
    arguments: &[String],
    settings: Option<&str>,
    deadline: Duration,
) -> io::Result<Printed> {
    let mut child = start(program, arguments, settings)?;
    let result = collect(&mut child, deadline);
    if result.is_err() {
        // It is past its deadline or prints without end; it holds no lock and writes nothing.
        child.kill()?;
    }
    let status = child.wait()?;
    result.map(|(output, errors)| Printed { is_success: status.success(), output, errors })
}

#[expect(clippy::disallowed_methods, reason = "the one place of the readers that starts a process")]
fn start(program: &Path, arguments: &[String], settings: Option<&str>) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(settings) = settings {
        // apt wants a regular file; one in memory leaves nothing behind.
        let mut file = File::from(sys::memory_file(c"apt.conf")?);
        file.write_all(settings.as_bytes())?;
        file.rewind()?;
        command.stdin(file).env("APT_CONFIG", "/proc/self/fd/0");
    }
    command.spawn()
}

/// One of a program's two streams.
struct Stream<S> {
    source: S,
    bytes: Vec<u8>,
    is_open: bool,
}

impl<S: Read + AsFd> Stream<S> {
    fn new(source: S) -> Self {
        Self { source, bytes: Vec::new(), is_open: true }
    }

    /// Takes what is there to be read.
    fn take(&mut self) -> io::Result<()> {
        let mut chunk = [0; 16 << 10];
        let count = self.source.read(&mut chunk)?;
        self.bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        self.is_open = count != 0;
        if MAX_OUTPUT < self.bytes.len() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Reads both streams until they end.
#[expect(clippy::disallowed_methods, reason = "a blocking wait with a deadline, outside of any runtime")]
fn collect(child: &mut Child, deadline: Duration) -> io::Result<(String, String)> {
    let end = Instant::now() + deadline;
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let (mut output, mut errors) = (Stream::new(output), Stream::new(errors));
    while output.is_open || errors.is_open {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let timeout = PollTimeout::try_from(left.as_millis().max(1)).unwrap_or(PollTimeout::MAX);
        // A stream that has ended is not asked for anything, but stays in its place.
        let wish = |is_open: bool| if is_open { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut waits = [
            PollFd::new(output.source.as_fd(), wish(output.is_open)),
            PollFd::new(errors.source.as_fd(), wish(errors.is_open)),
        ];
        match poll(&mut waits, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [has_output, has_errors] = waits.map(|wait| wait.any().unwrap_or_default());
        if output.is_open && has_output {
            output.take()?;
        }
        if errors.is_open && has_errors {
            errors.take()?;
        }
    }
    Ok((output.text(), errors.text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, settings: Option<&str>, deadline: Duration) -> io::Result<Printed> {
        run(Path::new("/bin/sh"), &["-c".to_owned(), script.to_owned()], settings, deadline)
    }

    #[test]
    fn both_streams_and_the_end_are_told() {
        let long = Duration::from_secs(60);
        let printed = shell("echo out; echo err >&2; exit 3", None, long).unwrap();
        assert_eq!((printed.output.as_str(), printed.errors.as_str()), ("out\n", "err\n"));
        assert!(!printed.is_success);
        assert_eq!(shell("cat $APT_CONFIG", Some("A \"b\";"), long).unwrap().output, "A \"b\";");
        assert_eq!(shell("env | grep -c HOME", None, long).unwrap().output, "0\n");
    }

    #[test]
    fn a_program_without_end_is_ended() {
        let error = shell("while :; do :; done", None, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = shell("yes", None, Duration::from_secs(600)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
