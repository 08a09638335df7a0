//! What root is needed for, done first and then given up: the state directory, the root helper, and becoming `patchd`.
//!
//! Under systemd none of this happens: its units make the directories, the socket and the user.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::unistd::{Uid, User, chown, initgroups, setgid, setuid};
use patchd_daemon::executor_client::ExecutorClient;
use patchd_daemon::sandbox::{Own, Sandbox};
use patchd_host::durable;
use patchd_protocol::config::Settings;
use patchd_protocol::executor;

use super::arguments::Places;
use super::supervisor::{self, Supervisor};

/// The user that patchd becomes.
const USER: &str = "patchd";

/// How the root helper is reached.
#[derive(Debug)]
pub(crate) enum Helper {
    /// systemd starts it on demand, or whoever else holds that socket.
    Socket(PathBuf),
    /// A supervisor that we started as root starts it on demand.
    Supervised(Supervisor),
    /// There is none, and we are not root.
    None,
}

impl Helper {
    /// Whether systemd's socket lies in this directory. Whoever owns that could put another in its place.
    pub(crate) fn is_of_systemd_in(&self, directory: &Path) -> bool {
        match self {
            Self::Socket(path) => path.parent() == Some(directory),
            Self::Supervised(_) | Self::None => false,
        }
    }

    /// A client of it. Its socket may yet come to be.
    pub(crate) fn client(&self, socket: &Path) -> ExecutorClient {
        match self {
            Self::Socket(path) => ExecutorClient::at_socket(path),
            Self::Supervised(supervisor) => ExecutorClient::at_socket(&supervisor.socket),
            Self::None => ExecutorClient::at_socket(socket),
        }
    }
}

/// Finds the root helper's socket, or makes one. One that is there is used, whoever we are.
pub(crate) fn find_helper(places: &Places) -> Result<Helper> {
    if places.executor_socket.exists() {
        return Ok(Helper::Socket(places.executor_socket.clone()));
    }
    if !Uid::effective().is_root() {
        return Ok(Helper::None);
    }
    let program = program(places)?;
    let runtime = places.control_socket.parent().context("the control socket has no directory")?;
    own_directory(runtime)?;
    let owner = user()?.map(|user| (user.uid, user.gid));
    Ok(Helper::Supervised(supervisor::start(runtime, owner, &program, &places.config_root)?))
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

/// Gives up what is not needed from here on: after the keeper was started, which must stay free, and before there is a
/// second thread.
pub(crate) fn shut_in(places: &Places, state: &Path, settings: &Settings) -> Sandbox {
    if Uid::effective().is_root() {
        // As root it would lose sight of the first process, by which it tells a container from a host.
        return Sandbox::without("not used, since patchd stays root");
    }
    let runtime = places.control_socket.parent().filter(|parent| !parent.as_os_str().is_empty());
    Sandbox::enter(&Own { state, runtime, config_root: &places.config_root }, settings)
}
