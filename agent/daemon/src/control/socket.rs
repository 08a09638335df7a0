//! The control socket as a file: made with its rights before anybody can reach it, put in its place in one step, and
//! taken away at the end. It accepts nothing.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use patchd_protocol::config::ControlSettings;
use thiserror::Error;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::peer::group_number;

/// How many connections may wait for the loop.
const BACKLOG: u32 = 128;

/// Why the control socket is not there.
#[derive(Debug, Error)]
pub enum SocketError {
    #[error("another patchd listens on {}", .0.display())]
    InUse(PathBuf),
    #[error("{} is no socket, and is not touched; remove it, or choose another place", .0.display())]
    NotASocket(PathBuf),
    #[error("can't {what} the control socket {}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct ControlSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The socket's file, by which it is known again at the end.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Who may connect at all. What each may do is judged again with every request.
fn mode(settings: &ControlSettings) -> u32 {
    // Those who may change need not be in the group that may read.
    let is_for_others = !settings.change_users.is_empty() || !settings.change_groups.is_empty();
    if is_for_others { 0o666 } else { 0o660 }
}

/// Makes the socket. What a dead daemon left there is replaced, and nothing else.
pub(super) async fn bind(path: &Path, settings: &ControlSettings) -> Result<ControlSocket, SocketError> {
    let failed = |what| {
        let path = path.to_owned();
        move |source| SocketError::Io { what, path, source }
    };
    check_free(path).await?;
    // Nobody knows this name, and nobody can connect before `listen`.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unseen = path.with_file_name(format!(".{name}.{}", std::process::id()));
    match fs::remove_file(&unseen) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("replace")(error)),
        _ => {}
    }
    let socket = UnixSocket::new_stream().map_err(failed("make"))?;
    socket.bind(&unseen).map_err(failed("make"))?;
    let made = prepare(&unseen, path, settings).map_err(failed("make")).and_then(|identity| {
        let listener = socket.listen(BACKLOG).map_err(failed("listen on"))?;
        fs::rename(&unseen, path).map_err(failed("put in place"))?;
        Ok(ControlSocket { listener, file: SocketFile { path: path.into(), identity } })
    });
    if made.is_err() {
        let _ = fs::remove_file(&unseen);
    }
    made
}

/// Whether nobody would miss what is at `path`.
async fn check_free(path: &Path) -> Result<(), SocketError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SocketError::Io { what: "look at", path: path.into(), source }),
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.into()));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) => Err(SocketError::InUse(path.into())),
        // Its queue is full: somebody listens, however slowly.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketError::InUse(path.into())),
        Err(source) => Err(SocketError::Io { what: "try", path: path.into(), source }),
    }
}

/// Gives the file its group and its mode.
fn prepare(unseen: &Path, path: &Path, settings: &ControlSettings) -> io::Result<(u64, u64)> {
    fs::set_permissions(unseen, Permissions::from_mode(0o600))?;
    if let Some(group) = &settings.read_group {
        let socket = path.display();
        match group_number(group) {
            None => tracing::warn!(group, "there is no such group; root alone may read over {socket}"),
            Some(gid) => {
                if let Err(error) = lchown(unseen, None, Some(gid)) {
                    tracing::warn!(group, %error, "can't give {socket} to this group: patchd's user must be in it");
                }
            }
        }
    }
    fs::set_permissions(unseen, Permissions::from_mode(mode(settings)))?;
    let metadata = fs::symlink_metadata(unseen)?;
    Ok((metadata.dev(), metadata.ino()))
}

impl SocketFile {
    /// Takes the socket away, unless another one is there by now.
    pub(super) fn remove(&self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.identity);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "can't remove {}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn settings(read_group: Option<&str>) -> ControlSettings {
        ControlSettings {
            read_group: read_group.map(str::to_owned),
            change_users: vec![],
            change_groups: vec![],
        }
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("patchd.sock");
        (directory, path)
    }

    #[tokio::test]
    async fn it_has_its_mode_and_its_group_and_is_taken_away() {
        let (directory, path) = place();
        let own = nix::unistd::getgid().as_raw();
        let socket = bind(&path, &settings(Some(&own.to_string()))).await.unwrap();
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.gid()), (0o660, own));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
        UnixStream::connect(&path).await.unwrap();
        socket.file.remove();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn those_who_may_change_can_connect() {
        let (_directory, path) = place();
        let _socket =
            bind(&path, &ControlSettings { change_users: vec!["7".into()], ..settings(None) }).await.unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o666);
    }

    #[tokio::test]
    async fn a_group_that_is_not_there_keeps_the_rest_out() {
        let (_directory, path) = place();
        let _socket = bind(&path, &settings(Some("no-such-group-here"))).await.unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o660);
    }

    #[tokio::test]
    async fn only_a_dead_socket_is_replaced() {
        let (directory, path) = place();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = bind(&path, &settings(None)).await.unwrap();
        assert!(matches!(bind(&path, &settings(None)).await, Err(SocketError::InUse(_))));
        UnixStream::connect(&path).await.unwrap();

        let other = directory.path().join("other");
        symlink(&path, &other).unwrap();
        assert!(matches!(bind(&other, &settings(None)).await, Err(SocketError::NotASocket(_))));
        let file = directory.path().join("file");
        fs::File::create(&file).unwrap();
        assert!(matches!(bind(&file, &settings(None)).await, Err(SocketError::NotASocket(_))));
        assert!(file.exists());
        let dangling = directory.path().join("dangling");
        symlink(directory.path().join("nowhere"), &dangling).unwrap();
        assert!(matches!(bind(&dangling, &settings(None)).await, Err(SocketError::NotASocket(_))));

        // Somebody else's socket stays.
        fs::remove_file(&path).unwrap();
        let _theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        socket.file.remove();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_place_that_is_not_there_is_named() {
        let (directory, _) = place();
        let path = directory.path().join("missing/patchd.sock");
        let error = bind(&path, &settings(None)).await.unwrap_err();
        assert!(error.to_string().contains("missing/patchd.sock"), "{error}");
        let long = directory.path().join("x".repeat(120));
        assert!(matches!(bind(&long, &settings(None)).await, Err(SocketError::Io { .. })));
    }
}
