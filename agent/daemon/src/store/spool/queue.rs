//! The files of the spool: each report under the key that it will have in the store. It knows no store and no clock.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use patchd_host::durable::{self, WriteError};
use patchd_host::file_store::{FileStore, FileStoreError};
use patchd_host::read::{self, FileError};
use patchd_host::root::Root;
use thiserror::Error;

use super::SpoolContents;

const DIRECTORY_MODE: u32 = 0o750;
/// Below it lies what the store will never take.
const REFUSED: &str = "refused";
/// Our reports are far smaller; anything larger was not put here by us.
const MAX_REPORT: u64 = 64 << 20;
/// `v1/reports/account/region/host/file`: nothing of ours lies deeper.
const MAX_DEPTH: usize = 8;
const MAX_ENTRIES: usize = 100_000;

#[derive(Debug, Error)]
pub enum QueueError {
    #[error(transparent)]
    Store(#[from] FileStoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] FileError),
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: FileStore,
    refused: FileStore,
}

/// One file below a directory: its key, and its size.
struct Entry {
    key: String,
    bytes: u64,
}

impl Queue {
    pub(super) fn open(directory: PathBuf) -> Result<Self, QueueError> {
        durable::create_directories(&directory, DIRECTORY_MODE)?;
        let queue =
            Self { refused: FileStore::new(directory.join(REFUSED)), waiting: FileStore::new(directory) };
        walk(queue.directory(), |path, name, _| {
            if is_abandoned(name) {
                durable::remove(path)?;
            }
            Ok(())
        })?;
        Ok(queue)
    }

    pub(super) fn directory(&self) -> &Path {
        self.waiting.directory()
    }

    pub(super) fn add(&self, key: &str, bytes: &[u8]) -> Result<(), QueueError> {
        self.waiting.put(key, bytes)?;
        Ok(())
    }

    /// The keys of what waits, the oldest first: names begin with their time.
    pub(super) fn keys(&self) -> Result<Vec<String>, QueueError> {
        let mut keys: Vec<String> =
            entries(self.waiting.directory())?.into_iter().map(|entry| entry.key).collect();
        keys.sort_by(|one, other| file_name(one).cmp(file_name(other)).then_with(|| one.cmp(other)));
        Ok(keys)
    }

    /// The bytes of a waiting report; none if it was taken away meanwhile.
    pub(super) fn read(&self, key: &str) -> Result<Option<Vec<u8>>, QueueError> {
        match self.waiting.get(key, MAX_REPORT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(FileStoreError::Read(error)) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn remove(&self, key: &str) -> Result<(), QueueError> {
        Ok(self.waiting.remove(key)?)
    }

    /// First there, then no longer here: a kill in between leaves two, and the next flush finds one again.
    pub(super) fn put_aside(&self, key: &str) -> Result<(), QueueError> {
        if let Some(bytes) = self.read(key)? {
            self.refused.replace(key, &bytes)?;
            self.remove(key)?;
        }
        Ok(())
    }

    pub(super) fn contents(&self) -> Result<SpoolContents, QueueError> {
        let (waiting, refused) = (entries(self.waiting.directory())?, entries(self.refused.directory())?);
        Ok(SpoolContents {
            reports: waiting.len() as u64,
            // What was refused takes room too.
            bytes: waiting.iter().chain(&refused).map(|entry| entry.bytes).sum(),
            refused: refused.len() as u64,
        })
    }
}

fn file_name(key: &str) -> &str {
    key.rsplit_once('/').map_or(key, |(_, name)| name)
}

/// The reports below a directory. Other people's files are left alone.
fn entries(directory: &Path) -> Result<Vec<Entry>, QueueError> {
    let mut entries = Vec::new();
    walk(directory, |path, name, bytes| {
        let key = path.strip_prefix(directory).ok().and_then(Path::to_str);
        if let (Some(key), true) = (key, name.ends_with(".json.gz")) {
            entries.push(Entry { key: key.into(), bytes });
        }
        Ok(())
    })?;
    Ok(entries)
}

/// Shows every regular file below `top` with its name and size, but not those below `refused` in it. Links are not
/// followed, and a directory that isn't there holds nothing.
fn walk(
    top: &Path,
    mut show: impl FnMut(&Path, &str, u64) -> Result<(), QueueError>,
) -> Result<(), QueueError> {
    let mut pending = VecDeque::from([(top.to_owned(), 0)]);
    while let Some((directory, depth)) = pending.pop_front() {
        let names = match read::list(&Root::host(), &directory, MAX_ENTRIES) {
            Ok(names) => names,
            Err(error) if error.is_absent() => continue,
            Err(error) => return Err(error.into()),
        };
        for name in names {
            let path = directory.join(&name);
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            let is_refused = depth == 0 && name == REFUSED;
            if metadata.is_dir() && depth < MAX_DEPTH && !is_refused {
                pending.push_back((path, depth + 1));
            } else if let (true, Some(name)) = (metadata.is_file(), name.to_str()) {
                show(&path, name, metadata.len())?;
            }
        }
    }
    Ok(())
}

/// Whether a file was left half written by a process that is no more.
fn is_abandoned(name: &str) -> bool {
    durable::writer_of_unfinished(name)
        .and_then(|process| i32::try_from(process).ok())
        .is_some_and(|process| kill(Pid::from_raw(process), None) == Err(Errno::ESRCH))
}
