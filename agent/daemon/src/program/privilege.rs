//! What root is needed for, done first and then given up: the state directory, the root helper, and becoming `patchd`.
//!
//! Under systemd none of this happens: its units make the directories, the socket and the user.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User, chown, initgroups, setgid, setuid};
use patchd_daemon::executor_client::ExecutorClient;
use patchd_host::durable;
use patchd_protocol::executor;

use super::arguments::Places;

/// The user that patchd becomes.
const USER: &str = "patchd";

/// How the root helper is reached.
#[derive(Debug)]
pub(crate) enum Helper {
    /// systemd starts it on demand.
    Socket(PathBuf),
    /// We started it, and have one end of its socket.
    Started { stream: UnixStream, child: Child },
    /// There is none, and we are not root.
    None,
}

impl Helper {
    /// A client of it. Only within the runtime.
    pub(crate) fn client(self, socket: &Path) -> Result<(ExecutorClient, Option<Child>)> {
        match self {
            Self::Socket(path) => Ok((ExecutorClient::at_socket(path), None)),
            Self::None => Ok((ExecutorClient::at_socket(socket), None)),
            Self::Started { stream, child } => {
                stream.set_nonblocking(true).context("can't use the helper's socket")?;
                let stream =
                    tokio::net::UnixStream::from_std(stream).context("can't use the helper's socket")?;
                Ok((ExecutorClient::over(stream), Some(child)))
            }
        }
    }
}

/// Finds or starts the root helper.
pub(crate) fn find_helper(places: &Places) -> Result<Helper> {
    if places.executor_socket.exists() {
        return Ok(Helper::Socket(places.executor_socket.clone()));
    }
    if !Uid::effective().is_root() {
        return Ok(Helper::None);
    }
    let (ours, theirs) = UnixStream::pair().context("can't make a socketpair")?;
    let program = program(places)?;
    let child = start(&program, &places.config_root, OwnedFd::from(theirs))
        .with_context(|| format!("can't start the root helper {}", program.display()))?;
    tracing::info!(program = %program.display(), pid = child.id(), "started the root helper");
    Ok(Helper::Started { stream: ours, child })
}

#[expect(clippy::disallowed_methods, reason = "the one process that patchd starts: its own root helper")]
fn start(program: &Path, config_root: &Path, socket: OwnedFd) -> std::io::Result<Child> {
    std::process::Command::new(program)
        .arg("--config-root")
        .arg(std::path::absolute(config_root)?)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .current_dir("/")
        .spawn()
}

/// The helper that was named, the one beside this program, or the one of the package.
fn program(places: &Places) -> Result<PathBuf> {
    if let Some(program) = &places.executor {
        return Ok(program.clone());
    }
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("patchd-executor")));
    let known = [beside, Some(PathBuf::from(executor::PROGRAM))];
    match known.into_iter().flatten().find(|program| program.exists()) {
        Some(program) => Ok(program),
        None => bail!(
            "there is no root helper: neither systemd's socket {}, nor patchd-executor beside this program or at {}",
            places.executor_socket.display(),
            executor::PROGRAM
        ),
    }
}

/// The directories that are patchd's own, whoever made them.
const OWN: [&str; 2] = ["/var/lib/patchd", "/run/patchd"];

/// Makes a directory that belongs to whom patchd will be. One that somebody else made elsewhere stays as it is.
pub(crate) fn own_directory(directory: &Path) -> Result<()> {
    let is_ours = !directory.exists() || OWN.iter().any(|own| directory == Path::new(own));
    durable::create_directories(directory, 0o750)
        .with_context(|| format!("can't make the directory {}", directory.display()))?;
    if is_ours && let Some(user) = user()? {
        chown(directory, Some(user.uid), Some(user.gid))
            .with_context(|| format!("can't give {} to {USER}", directory.display()))?;
    }
    Ok(())
}

/// The user to become: only root can, and only if there is one.
fn user() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    User::from_name(USER).with_context(|| format!("can't look up the user {USER}"))
}

/// Stops being root for good.
pub(crate) fn give_up_root() -> Result<()> {
    let Some(user) = user()? else {
        if Uid::effective().is_root() {
            tracing::warn!("there is no user {USER}: patchd stays root");
        }
        return Ok(());
    };
    let name = CString::new(USER).context("a name without NUL")?;
    initgroups(&name, user.gid).context("can't take the groups of patchd")?;
    setgid(user.gid).context("can't take the group of patchd")?;
    setuid(user.uid).context("can't become patchd")?;
    if setuid(Uid::from_raw(0)).is_ok() {
        bail!("root was given up and could be taken back");
    }
    tracing::info!(uid = user.uid.as_raw(), "gave up root");
    Ok(())
}
