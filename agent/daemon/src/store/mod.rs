//! Where reports go: a directory or a bucket, with the same keys, and the spool that stands before both.
//!
//! A store confirms or refuses; it never decides to forget a report. That is why the spool exists.

pub mod s3;
mod s3_client;
mod s3_error;
pub mod spool;

use std::fmt;

use bytes::Bytes;
use patchd_host::durable::WriteReason;
use patchd_host::file_store::{FileStore, FileStoreError};
use patchd_protocol::store_url::StoreUrl;
use thiserror::Error;

use self::s3::{S3Settings, S3Store};

/// A confirmed write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Now,
    /// The very same bytes were there: an earlier try had succeeded and its answer was lost.
    Already,
}

/// Who has to act before the same write can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Nobody: the store is away or busy, and trying again later is enough.
    Later,
    /// The operator: a setting, a permission, a bucket. Every report meets the same, so none is given up for it.
    Configuration,
    /// Nothing helps this one report; others may pass.
    Never,
}

/// Why a report is not in the store.
#[derive(Debug, Error)]
#[error("can't put {what}: {sentence}")]
pub struct StoreError {
    pub remedy: Remedy,
    /// The object, as `s3://bucket/key` or a path.
    pub what: String,
    /// For the operator: what stands in the way, and what to do about it.
    pub sentence: String,
}

/// One configured store.
#[derive(Debug, Clone)]
pub enum Store {
    File(FileStore),
    S3(S3Store),
}

impl Store {
    /// The store that `url` names. Nothing is opened or asked yet. `settings` count for S3 only.
    pub fn new(url: &StoreUrl, settings: S3Settings) -> Self {
        match url {
            StoreUrl::File { path } => Self::File(FileStore::new(path)),
            StoreUrl::S3 { bucket, prefix } => {
                Self::S3(S3Store::new(bucket.clone(), prefix.clone(), settings))
            }
        }
    }

    /// Puts an object that is never to change. The same bytes again are a success; others under the same key are not.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<Stored, StoreError> {
        match self {
            Self::File(store) => {
                in_directory(store, key, bytes, |store, key, bytes| store.put(key, bytes)).await
            }
            Self::S3(store) => store.put(key, bytes).await,
        }
    }

    /// Puts an object in place of what is there.
    pub async fn replace(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        match self {
            Self::File(store) => {
                let replace = |store: &FileStore, key: &str, bytes: &[u8]| store.replace(key, bytes);
                in_directory(store, key, bytes, replace).await.map(|_| ())
            }
            Self::S3(store) => store.replace(key, bytes).await,
        }
    }

    /// Lets go of connections and what else a next use can have anew: hours may pass until then.
    pub async fn rest(&self) {
        match self {
            Self::File(_) => {}
            Self::S3(store) => store.forget_client().await,
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Self::File(store) => StoreUrl::File { path: store.directory().into() },
            Self::S3(store) => store.url(),
        };
        url.fmt(formatter)
    }
}

/// Files are written where blocking is allowed.
async fn in_directory<F, T>(
    store: &FileStore,
    key: &str,
    bytes: Bytes,
    write: F,
) -> Result<Stored, StoreError>
where
    F: FnOnce(&FileStore, &str, &[u8]) -> Result<T, FileStoreError> + Send + 'static,
{
    let what = format!("{}/{key}", store.directory().display());
    let (store, key) = (store.clone(), key.to_owned());
    let written = tokio::task::spawn_blocking(move || {
        // Whether it was there is worth knowing for a message only, so a race does no harm.
        let was_there = store.path(&key).is_ok_and(|path| path.exists());
        write(&store, &key, &bytes).map(|_| if was_there { Stored::Already } else { Stored::Now })
    });
    match written.await {
        Ok(Ok(stored)) => Ok(stored),
        Ok(Err(error)) => Err(of_directory(what, &error)),
        Err(_) => Err(StoreError {
            remedy: Remedy::Later,
            what,
            sentence: "patchd is stopping and did not write it any more".into(),
        }),
    }
}

fn of_directory(what: String, error: &FileStoreError) -> StoreError {
    let (remedy, sentence) = match error {
        FileStoreError::BadKey { .. } | FileStoreError::Different { .. } => {
            (Remedy::Never, error.to_string())
        }
        FileStoreError::Write(error) => match &error.reason {
            WriteReason::Full => (Remedy::Later, "the file system is full: make room on it".into()),
            WriteReason::ReadOnly | WriteReason::Denied | WriteReason::NoName => {
                (Remedy::Configuration, format!("{error}: {}", error.reason))
            }
            WriteReason::Io(reason) => (Remedy::Later, format!("{error}: {reason}")),
        },
        FileStoreError::Read(error) => (Remedy::Configuration, format!("{error}: {}", error.reason)),
    };
    StoreError { remedy, what, sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_is_a_store_with_the_same_answers() {
        let place = tempfile::tempdir().unwrap();
        let url = format!("file://{}/with%20space", place.path().display());
        let store = Store::new(&url.parse().unwrap(), S3Settings::default());
        assert_eq!(store.to_string(), url);
        let put = |bytes: &'static [u8]| store.put("v1/a.json.gz", Bytes::from_static(bytes));
        assert_eq!(put(b"one").await.unwrap(), Stored::Now);
        assert_eq!(put(b"one").await.unwrap(), Stored::Already);
        assert_eq!(put(b"two").await.unwrap_err().remedy, Remedy::Never);
        store.replace("v1/a.json.gz", Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(std::fs::read(place.path().join("with space/v1/a.json.gz")).unwrap(), b"two");
    }

    #[tokio::test]
    async fn a_directory_that_is_a_file_is_told_with_its_path() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let store = Store::File(FileStore::new(file.path()));
        let error = store.put("v1/a.json.gz", Bytes::new()).await.unwrap_err();
        assert!(error.to_string().contains(file.path().to_str().unwrap()), "{error}");
    }
}
