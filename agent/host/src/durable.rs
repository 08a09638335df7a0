//! The one way in which patchd writes a file: whole or not at all, and on disk before it says so.
//!
//! It keeps no backup, merges nothing and takes no lock: of two writers the last one wins, whole.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use thiserror::Error;

/// What the names of unfinished files begin and end with. A kill can leave one behind; nobody reads it.
const UNFINISHED: (&str, &str) = (".patchd-", ".tmp");

/// As many names for the unfinished file are tried.
const ATTEMPTS: u32 = 64;

/// Why a file could not be written. The file that was there before is untouched.
#[derive(Debug, Error)]
#[error("can't write {}", path.display())]
pub struct WriteError {
    pub path: PathBuf,
    #[source]
    pub reason: WriteReason,
}

#[derive(Debug, Error)]
pub enum WriteReason {
    #[error("the file system is full")]
    Full,
    #[error("the file system is mounted read-only")]
    ReadOnly,
    #[error("this user may not")]
    Denied,
    #[error("it names no file")]
    NoName,
    #[error(transparent)]
    Io(io::Error),
}

impl WriteError {
    /// Wraps what the system said about `path`.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WriteReason::Full,
            io::ErrorKind::ReadOnlyFilesystem => WriteReason::ReadOnly,
            io::ErrorKind::PermissionDenied => WriteReason::Denied,
            _ => WriteReason::Io(error),
        };
        Self { path: path.to_owned(), reason }
    }

    /// Whether it would work as soon as somebody makes room.
    pub fn is_full(&self) -> bool {
        matches!(self.reason, WriteReason::Full)
    }
}

/// Puts `bytes` at `path` with exactly these permission bits, in place of what was there. When it returns, the file and
/// its name are on disk; when it fails or is killed, the old file is there as before.
pub fn atomic_write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), WriteError> {
    let at_path = |error| WriteError::from_io(path, error);
    if path.file_name().is_none() {
        return Err(WriteError { path: path.to_owned(), reason: WriteReason::NoName });
    }
    let directory = directory_of(path);
    let (mut file, unfinished) = create_beside(directory).map_err(at_path)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&unfinished, path));
    if let Err(error) = written {
        // The first error is the one to tell; a left-over file is named so that the next cleaning finds it.
        let _ = std::fs::remove_file(&unfinished);
        return Err(at_path(error));
    }
    sync_directory(directory).map_err(at_path)
}

/// Makes `directory` and what is missing above it, each with these permission bits less the umask, and durably.
pub fn create_directories(directory: &Path, mode: u32) -> Result<(), WriteError> {
    if directory.is_dir() {
        return Ok(());
    }
    let at_path = |error| WriteError::from_io(directory, error);
    let parent = directory_of(directory);
    create_directories(parent, mode)?;
    match DirBuilder::new().mode(mode).create(directory) {
        Ok(()) => sync_directory(parent).map_err(at_path),
        // Another writer was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(at_path(error)),
    }
}

/// Removes a file so that it stays removed after a power cut. One that isn't there is removed already.
pub fn remove(path: &Path) -> Result<(), WriteError> {
    let at_path = |error| WriteError::from_io(path, error);
    match std::fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)).map_err(at_path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at_path(error)),
    }
}

/// The process that was writing the unfinished file of this name; none if the name is not that of an unfinished file.
pub fn writer_of_unfinished(name: &str) -> Option<u32> {
    let (begin, end) = UNFINISHED;
    let (process, _) = name.strip_prefix(begin)?.strip_suffix(end)?.split_once('-')?;
    process.parse().ok()
}

/// The directory that holds `path`'s name.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

/// A new, empty file in `directory`, readable by its owner only until it is finished.
fn create_beside(directory: &Path) -> io::Result<(File, PathBuf)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut attempts = 0;
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let (begin, end) = UNFINISHED;
        let path = directory.join(format!("{begin}{}-{number}{end}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        attempts += 1;
        match options.open(&path) {
            Ok(file) => return Ok((file, path)),
            // A killed process with our number left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempts < ATTEMPTS => {}
            Err(error) => return Err(error),
        }
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_mode_and_nothing_is_left_beside_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("report");
        atomic_write(&path, b"first, and longer", 0o600).unwrap();
        assert_eq!(mode(&path), 0o600);
        atomic_write(&path, b"second", 0o644).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(mode(&path), 0o644, "the umask has no say");
        assert_eq!(names(place.path()), ["report"]);
    }

    #[test]
    fn a_link_is_replaced_and_never_written_through() {
        let place = tempfile::tempdir().unwrap();
        let victim = place.path().join("victim");
        let path = place.path().join("report");
        std::fs::File::create(&victim).unwrap().write_all(b"precious").unwrap();
        symlink(&victim, &path).unwrap();
        atomic_write(&path, b"report", 0o600).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(!path.is_symlink());
    }

    #[test]
    fn the_left_over_of_a_killed_process_with_our_number_stops_nothing() {
        let place = tempfile::tempdir().unwrap();
        for number in 0..8 {
            let name = format!(".patchd-{}-{number}.tmp", std::process::id());
            File::create(place.path().join(&name)).unwrap();
            assert_eq!(writer_of_unfinished(&name), Some(std::process::id()));
        }
        atomic_write(&place.path().join("report"), b"report", 0o600).unwrap();
        let is_finished = |name: &&String| writer_of_unfinished(name).is_none();
        assert_eq!(names(place.path()).iter().filter(is_finished).count(), 1);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_and_no_new_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("directory");
        create_directories(&path.join("below"), 0o750).unwrap();
        assert_eq!(mode(&path), 0o750);
        let error = atomic_write(&path, b"x", 0o600).unwrap_err();
        assert!(matches!(error.reason, WriteReason::Io(_)), "{error:?}");
        assert_eq!(names(place.path()), ["directory"]);
        let error = atomic_write(&place.path().join("absent/file"), b"x", 0o600).unwrap_err();
        assert!(error.to_string().contains("absent/file"), "{error}");
    }

    #[test]
    fn a_full_file_system_is_told_in_words() {
        let error = WriteError::from_io(Path::new("/srv/x"), nix::errno::Errno::ENOSPC.into());
        assert!(error.is_full());
        assert_eq!(error.to_string(), "can't write /srv/x");
        assert_eq!(error.reason.to_string(), "the file system is full");
        assert!(WriteError::from_io(Path::new("/x"), nix::errno::Errno::EDQUOT.into()).is_full());
    }

    #[test]
    fn removing_twice_is_removing() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("report");
        atomic_write(&path, b"report", 0o600).unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(names(place.path()).is_empty());
    }
}
