//! The one way in which this crate opens files: regular ones only, bounded, and with an error that names the path.
//!
//! It knows no format. What an absent or unreadable file means for the assessment is the caller's to say.

use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use thiserror::Error;

use crate::root::Root;

/// Why a file could not be read.
#[derive(Debug, Error)]
#[error("can't read {}", path.display())]
pub struct FileError {
    pub path: PathBuf,
    #[source]
    pub reason: Reason,
}

#[derive(Debug, Error)]
pub enum Reason {
    #[error("there is no such file")]
    Absent,
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    #[error("it is longer than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error(transparent)]
    Io(io::Error),
}

impl FileError {
    fn new(path: &Path, reason: Reason) -> Self {
        Self { path: path.to_owned(), reason }
    }

    /// Wraps what the system said about `path`. A file that isn't there is told apart from one that can't be read.
    pub fn from_io(path: &Path, error: io::Error) -> Self {
        let is_absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        Self::new(path, if is_absent { Reason::Absent } else { Reason::Io(error) })
    }

    pub fn is_absent(&self) -> bool {
        matches!(self.reason, Reason::Absent)
    }

    /// The problem to list for it.
    pub fn to_problem(&self, weight: Weight) -> Problem {
        let kind = match self.reason {
            Reason::TooLarge { .. } => ProblemKind::TooLarge,
            Reason::Absent | Reason::NotRegular(_) | Reason::Io(_) => ProblemKind::Unreadable,
        };
        Problem::new(kind, weight, self.path.to_string_lossy(), format!("it can't be read: {}", self.reason))
    }
}

/// A regular file that is open for reading.
#[derive(Debug)]
pub struct RegularFile {
    file: File,
    metadata: Metadata,
    /// Where it was found, for messages.
    path: PathBuf,
}

/// What tells one state of a file from another: it changes when the file is replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl RegularFile {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Its size when it was opened. Files of /proc say 0.
    pub fn size(&self) -> u64 {
        self.metadata.size()
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub fn stamp(&self) -> Stamp {
        Stamp::of(&self.metadata)
    }

    /// Reads what is left of it, or fails if that is more than `limit` bytes.
    pub fn read_all(self, limit: u64) -> Result<Vec<u8>, FileError> {
        let expected = usize::try_from(self.size().min(limit)).unwrap_or_default();
        let mut content = Vec::with_capacity(expected);
        self.file
            .take(limit.saturating_add(1))
            .read_to_end(&mut content)
            .map_err(|error| FileError::from_io(&self.path, error))?;
        if content.len() as u64 <= limit {
            Ok(content)
        } else {
            Err(FileError::new(&self.path, Reason::TooLarge { limit }))
        }
    }
}

impl Read for RegularFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Opens the host's file of this name. Links are followed inside the root; a pipe, a device or a directory is refused
/// before it is opened, since opening one can block or do something.
pub fn open(root: &Root, name: impl AsRef<Path>) -> Result<RegularFile, FileError> {
    let shown = root.path(&name);
    let at_path = |error| FileError::from_io(&shown, error);
    let path = root.resolve(&name).map_err(at_path)?;
    check_is_regular(&shown, &std::fs::metadata(&path).map_err(at_path)?)?;
    let mut flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    if !root.is_host() {
        // Every link was followed above; one that appears now was put there meanwhile.
        flags |= OFlag::O_NOFOLLOW;
    }
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path).map_err(at_path)?;
    let metadata = file.metadata().map_err(at_path)?;
    check_is_regular(&shown, &metadata)?;
    Ok(RegularFile { file, metadata, path: shown })
}

/// The whole content of a file of at most `limit` bytes.
pub fn read(root: &Root, name: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, FileError> {
    open(root, name)?.read_all(limit)
}

/// The same, where the file need not exist.
pub fn read_optional(root: &Root, name: impl AsRef<Path>, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
    match read(root, name, limit) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a file looks like now, to be held against the stamp of an open one.
pub fn stamp(root: &Root, name: impl AsRef<Path>) -> Result<Stamp, FileError> {
    let shown = root.path(&name);
    root.resolve(&name)
        .and_then(std::fs::metadata)
        .map(|metadata| Stamp::of(&metadata))
        .map_err(|error| FileError::from_io(&shown, error))
}

/// The names in a directory, sorted by their bytes; at most `limit` of them, or it fails.
pub fn list(root: &Root, name: impl AsRef<Path>, limit: usize) -> Result<Vec<OsString>, FileError> {
    let shown = root.path(&name);
    let at_path = |error| FileError::from_io(&shown, error);
    let path = root.resolve(&name).map_err(at_path)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(at_path)? {
        if limit <= names.len() {
            let message = format!("it has more than {limit} entries");
            return Err(at_path(io::Error::new(io::ErrorKind::FileTooLarge, message)));
        }
        names.push(entry.map_err(at_path)?.file_name());
    }
    names.sort_unstable();
    Ok(names)
}

fn check_is_regular(path: &Path, metadata: &Metadata) -> Result<(), FileError> {
    let file_type = metadata.file_type();
    let what = if file_type.is_file() {
        return Ok(());
    } else if file_type.is_dir() {
        "a directory"
    } else if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(FileError::new(path, Reason::NotRegular(what)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        (directory, root)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn put(root: &Root, name: &str, content: &[u8]) {
        std::fs::write(root.path(name), content).unwrap();
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let (_directory, root) = tree();
        put(&root, "a", b"12345");
        assert_eq!(read(&root, "a", 5).unwrap(), b"12345");
        assert!(matches!(read(&root, "a", 4).unwrap_err().reason, Reason::TooLarge { limit: 4 }));
        assert_eq!(read_optional(&root, "b", 4).unwrap(), None);
        assert!(read(&root, "a/b", 4).unwrap_err().is_absent());
    }

    #[test]
    fn what_is_no_regular_file_is_refused_by_name() {
        let (_directory, root) = tree();
        nix::unistd::mkfifo(&root.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::create_dir(root.path("directory")).unwrap();
        symlink("/pipe", root.path("link")).unwrap();
        for (name, what) in [("pipe", "a pipe"), ("directory", "a directory"), ("link", "a pipe")] {
            let error = read(&root, name, 9).unwrap_err();
            assert!(matches!(error.reason, Reason::NotRegular(is) if is == what), "{error:?}");
            let problem = error.to_problem(Weight::Incomplete);
            assert_eq!(problem.kind, ProblemKind::Unreadable);
            assert!(problem.place.ends_with(name));
        }
        let device = read(&Root::host(), "dev/null", 9).unwrap_err();
        assert!(matches!(device.reason, Reason::NotRegular("a device")));
    }

    #[test]
    fn a_file_that_opens_but_can_not_be_read_is_no_absent_one() {
        // The first page of a process is mapped by nobody, so that reading it fails even for root.
        let error = read(&Root::at("/proc/self"), "mem", 9).unwrap_err();
        assert!(matches!(error.reason, Reason::Io(_)) && !error.is_absent());
        assert_eq!(error.to_problem(Weight::Notice).place, "/proc/self/mem");
    }

    #[test]
    fn a_stamp_changes_when_the_file_is_replaced() {
        let (_directory, root) = tree();
        put(&root, "a", b"1");
        let before = open(&root, "a").unwrap().stamp();
        assert_eq!(stamp(&root, "a").unwrap(), before);
        put(&root, "b", b"2");
        std::fs::rename(root.path("b"), root.path("a")).unwrap();
        assert_ne!(stamp(&root, "a").unwrap(), before);
    }

    #[test]
    fn a_listing_is_sorted_and_bounded() {
        let (_directory, root) = tree();
        for name in ["b", "a", "c"] {
            put(&root, name, b"");
        }
        assert_eq!(list(&root, "", 3).unwrap(), ["a", "b", "c"]);
        assert!(!list(&root, "", 2).unwrap_err().is_absent());
        assert!(list(&root, "none", 2).unwrap_err().is_absent());
    }
}
