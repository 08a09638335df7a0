//! The embedded report store: a directory in which every report lies under the key that it has in S3.
//!
//! It opens no report, lists none for people and forgets none: how long reports are kept is their owner's choice.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::durable::{self, WriteError};
use crate::read::{self, FileError, Reason};
use crate::root::Root;

/// Reports name every hole of a host: only their owner and its group read them.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// Why the store did not take something, or did not give it back.
#[derive(Debug, Error)]
pub enum FileStoreError {
    #[error("{key:?} is no key of a store")]
    BadKey { key: String },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] FileError),
    #[error("{} already holds another report under the same key, and reports are never overwritten", path.display())]
    Different { path: PathBuf },
}

/// A directory of reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStore {
    directory: PathBuf,
}

impl FileStore {
    /// The directory need not exist: the first report makes it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the object of this key lies.
    pub fn path(&self, key: &str) -> Result<PathBuf, FileStoreError> {
        let is_name = |segment: &str| {
            !segment.is_empty() && !segment.starts_with('.') && !segment.contains(['\\', '\0'])
        };
        if key.split('/').all(is_name) {
            Ok(self.directory.join(key))
        } else {
            Err(FileStoreError::BadKey { key: key.into() })
        }
    }

    /// Puts an object that never changes. The same bytes again are fine: the first answer may have been lost. It
    /// returns where the object lies.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<PathBuf, FileStoreError> {
        let path = self.path(key)?;
        // Keys hold the id of a run, so two writers of one key have the same report in hand, or one of them is wrong
        // and finds out here.
        match read::read(&Root::host(), &path, bytes.len() as u64) {
            Ok(held) if held == bytes => return Ok(path),
            Ok(_) | Err(FileError { reason: Reason::TooLarge { .. }, .. }) => {
                return Err(FileStoreError::Different { path });
            }
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(error.into()),
        }
        self.replace(key, bytes)
    }

    /// Puts an object in place of what was there.
    pub fn replace(&self, key: &str, bytes: &[u8]) -> Result<PathBuf, FileStoreError> {
        let path = self.path(key)?;
        if let Some(directory) = path.parent() {
            durable::create_directories(directory, DIRECTORY_MODE)?;
        }
        durable::atomic_write(&path, bytes, FILE_MODE)?;
        Ok(path)
    }

    /// The object of this key, if it is not longer than `limit` bytes.
    pub fn get(&self, key: &str, limit: u64) -> Result<Vec<u8>, FileStoreError> {
        Ok(read::read(&Root::host(), self.path(key)?, limit)?)
    }

    /// Takes an object away. It is no error if it is gone already.
    pub fn remove(&self, key: &str) -> Result<(), FileStoreError> {
        Ok(durable::remove(&self.path(key)?)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store() -> (tempfile::TempDir, FileStore) {
        let place = tempfile::tempdir().unwrap();
        let store = FileStore::new(place.path().join("reports"));
        (place, store)
    }

    #[test]
    fn an_object_lies_under_its_key_and_others_may_not_read_it() {
        let (place, store) = store();
        let path = store.put("v1/reports/a/x.json.gz", b"report").unwrap();
        assert_eq!(path, place.path().join("reports/v1/reports/a/x.json.gz"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::metadata(store.directory()).unwrap().permissions().mode() & 0o007, 0);
        assert_eq!(store.get("v1/reports/a/x.json.gz", 6).unwrap(), b"report");
        assert!(store.get("v1/reports/a/x.json.gz", 5).is_err(), "longer than allowed");
        store.remove("v1/reports/a/x.json.gz").unwrap();
        store.remove("v1/reports/a/x.json.gz").unwrap();
        assert!(store.get("v1/reports/a/x.json.gz", 6).is_err());
    }

    #[test]
    fn a_report_is_put_once_and_the_same_again_is_no_conflict() {
        let (_place, store) = store();
        store.put("a/b", b"one").unwrap();
        store.put("a/b", b"one").unwrap();
        for other in [&b"two"[..], b"longer", b""] {
            assert!(matches!(store.put("a/b", other), Err(FileStoreError::Different { .. })), "{other:?}");
        }
        assert_eq!(store.get("a/b", 99).unwrap(), b"one");
        store.replace("a/b", b"two").unwrap();
        assert_eq!(store.get("a/b", 99).unwrap(), b"two");
    }

    #[test]
    fn a_key_can_not_leave_the_directory() {
        let (_place, store) = store();
        for key in
            ["", "/", "/etc/passwd", "a//b", "a/", "../a", "a/../../b", "a/./b", ".hidden", "a\0b", "a\\b"]
        {
            assert!(matches!(store.put(key, b"x"), Err(FileStoreError::BadKey { .. })), "{key:?}");
        }
        assert!(!store.directory().exists());
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let (place, _) = store();
        std::fs::File::create(place.path().join("file")).unwrap();
        let store = FileStore::new(place.path().join("file"));
        let error = store.put("a/b", b"x").unwrap_err();
        assert!(error.to_string().contains("/file"), "{error}");
    }
}
