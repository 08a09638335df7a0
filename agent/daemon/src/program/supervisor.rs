//! The root helper's keeper where there is no systemd: it holds the helper's socket, starts the helper when a connection
//! waits and none lives, and ends with patchd. See docs/decisions/0010.
//!
//! It is root and reads nothing: no request, no configuration, no file. Which program it starts stood on its command line.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::unistd::{Gid, Pid, Uid, chown, setsid};
use patchd_protocol::config::LogLevel;
use signal_hook::consts::SIGCHLD;
use signal_hook::low_level::pipe;

use super::arguments::Places;
use super::logs::{self, LogHandle};

/// How long a helper that ended is not started again: one that can't start must not take the machine.
const PAUSE: Duration = Duration::from_secs(1);

/// A supervisor as its daemon sees it.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) socket: PathBuf,
    _child: Child,
    /// It ends when this is closed, as it is when we end.
    _line: UnixStream,
}

/// Makes the socket and starts a supervisor for it. `owner` is whom patchd will be.
pub(crate) fn start(
    directory: &Path,
    owner: Option<(Uid, Gid)>,
    helper: &Path,
    config_root: &Path,
) -> Result<Supervisor> {
    remove_stale(directory);
    let socket = directory.join(name(std::process::id()));
    let listener = listen(&socket, owner)
        .with_context(|| format!("can't make the root helper's socket {}", socket.display()))?;
    let (line, theirs) = UnixStream::pair().context("can't make a socketpair")?;
    let mut command = command(&own_program().context("can't tell which program this is")?);
    command
        .arg("supervise")
        .arg("--executor")
        .arg(std::path::absolute(helper)?)
        .arg("--config-root")
        .arg(std::path::absolute(config_root)?)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::from(OwnedFd::from(theirs)));
    let child = command.spawn().context("can't start the supervisor of the root helper")?;
    tracing::info!(helper = %helper.display(), pid = child.id(), "the root helper is started when it is needed");
    Ok(Supervisor { socket, _child: child, _line: line })
}

/// This program: from the kernel, or without /proc from whoever started it, who is root.
fn own_program() -> Option<PathBuf> {
    let named = || std::env::args_os().next().map(PathBuf::from).filter(|path| path.is_absolute());
    std::env::current_exe().ok().or_else(named)
}

/// The socket of the supervisor that this process starts: no other one has it.
fn name(process: u32) -> String {
    format!("executor-{process}.sock")
}

/// Removes what processes left that were killed. A helper that still listens on it finishes what it does and ends.
fn remove_stale(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let of = |text: &str| text.strip_prefix("executor-")?.strip_suffix(".sock")?.parse::<i32>().ok();
        let process = entry.file_name().to_str().and_then(of).filter(|process| 0 < *process);
        if process.is_some_and(|process| kill(Pid::from_raw(process), None) == Err(Errno::ESRCH)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A program with nothing of our own environment.
#[expect(
    clippy::disallowed_methods,
    reason = "the two programs that patchd starts: its supervisor, and that the helper"
)]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C").current_dir("/");
    command
}

/// A socket that only its owner may use.
fn listen(path: &Path, owner: Option<(Uid, Gid)>) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group))?;
    }
    Ok(listener)
}

/// The life of a supervisor: its standard input is the socket, its standard output the line to patchd.
pub(crate) fn supervise(places: &Places) -> Result<()> {
    let _: LogHandle = logs::begin(LogLevel::Warn);
    let helper = places.executor.as_deref().context("no root helper is named")?;
    // Ctrl-C is for patchd, which ends when it has to; the helper is never cut by it.
    let _ = setsid();
    let (ended, told) = UnixStream::pair().context("can't make a socketpair")?;
    pipe::register(SIGCHLD, told).context("can't listen to signals")?;
    let (input, output) = (io::stdin(), io::stdout());
    let socket = UnixListener::from(input.as_fd().try_clone_to_owned().context("there is no socket")?);
    let start = || {
        command(helper)
            .arg("--config-root")
            .arg(&places.config_root)
            .stdin(Stdio::from(OwnedFd::from(socket.try_clone()?)))
            .stdout(Stdio::null())
            .spawn()
    };
    let kept = keep(socket.as_fd(), output.as_fd(), &ended, PAUSE, start);
    if let Ok(address) = socket.local_addr()
        && let Some(path) = address.as_pathname()
    {
        let _ = std::fs::remove_file(path);
    }
    kept.context("can't wait for the root helper's socket")
}

/// Starts what `start` starts whenever a connection waits and nothing lives, until the line breaks.
fn keep(
    socket: BorrowedFd<'_>,
    line: BorrowedFd<'_>,
    mut ended: &UnixStream,
    pause: Duration,
    mut start: impl FnMut() -> io::Result<Child>,
) -> io::Result<()> {
    let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
    let mut child: Option<Child> = None;
    let mut is_resting = false;
    loop {
        let is_waiting = child.is_none() && !is_resting;
        let mut looked = [
            // Nobody writes to the line: it only ever breaks.
            PollFd::new(line, PollFlags::empty()),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
            PollFd::new(socket, if is_waiting { PollFlags::POLLIN } else { PollFlags::empty() }),
        ];
        match poll(&mut looked, if is_resting { pause } else { PollTimeout::NONE }) {
            Ok(0) => is_resting = false,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [line_told, ended_told, socket_told] = looked.map(|looked| looked.any().unwrap_or(true));
        if line_told {
            return Ok(());
        }
        if ended_told {
            let mut drained = [0; 64];
            let _ = ended.read(&mut drained)?;
            if let Some(own) = &mut child
                && own.try_wait()?.is_some()
            {
                child = None;
                is_resting = true;
            }
        }
        if is_waiting && socket_told {
            match start() {
                Ok(started) => child = Some(started),
                Err(error) => {
                    // It is tried again as long as somebody waits for it.
                    tracing::error!(%error, "the root helper can't be started");
                    is_resting = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_dies_is_started_again_while_somebody_waits_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name(7));
        let listener = listen(&path, None).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (ended, told) = UnixStream::pair().unwrap();
        pipe::register(SIGCHLD, told).unwrap();
        let (line, ours) = UnixStream::pair().unwrap();
        let (starts, started) = mpsc::channel();
        let keeper = std::thread::spawn(move || {
            let start = || {
                starts.send(()).unwrap();
                command(Path::new("/bin/true")).spawn()
            };
            keep(listener.as_fd(), line.as_fd(), &ended, Duration::from_millis(10), start)
        });
        assert!(started.recv_timeout(Duration::from_millis(100)).is_err(), "nobody has asked");
        let _waiting = UnixStream::connect(&path).unwrap();
        for _ in 0..3 {
            started.recv_timeout(Duration::from_secs(30)).unwrap();
        }
        drop(ours);
        keeper.join().unwrap().unwrap();
    }

    #[test]
    fn sockets_of_the_dead_are_removed_and_those_of_the_living_stay() {
        let directory = tempfile::tempdir().unwrap();
        let dead = directory.path().join(name(u32::MAX / 2));
        let own = directory.path().join(name(std::process::id()));
        let other = directory.path().join("executor.sock");
        for path in [&dead, &own, &other] {
            drop(listen(path, None).unwrap());
        }
        remove_stale(directory.path());
        assert_eq!([dead.exists(), own.exists(), other.exists()], [false, true, true]);
    }
}
