//! What earlier scans took from each list, kept on disk: most hours bring no new list, and going through 50 MB of stanzas
//! again for the 1 MB that concerns the host is nearly all that a scan costs.
//!
//! An extract holds stanzas as they are in the list, so that the same code judges them: no verdict is kept. It counts
//! only for the very file that it was taken from, and for the very names that were asked for; anything else, and any
//! failure to read or write one, means that the list itself is read. A list in which something is wrong has none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::apt::packages::Listed;
use crate::durable;
use crate::read::RegularFile;

/// The largest extract that is kept, in bytes: that of a host with 3,000 packages has a tenth of it.
const MAX_EXTRACT: usize = 8 << 20;

/// How its numbers stand in the head: always as wide.
const WIDTH: usize = 20;

/// The directory of the extracts.
#[derive(Debug)]
pub(super) struct Extracts<'a> {
    directory: &'a Path,
    /// The names whose stanzas are wanted whole, each behind a space.
    names: String,
    /// The extracts that are of use now.
    current: BTreeSet<PathBuf>,
}

/// The list that an extract stands for.
pub(super) struct Question {
    path: PathBuf,
    /// All that its answer depends on.
    head: Vec<u8>,
}

/// An extract that is being gathered.
pub(super) struct Gathering {
    question: Question,
    /// `None` when it grew too large.
    stanzas: Option<Vec<u8>>,
}

impl<'a> Extracts<'a> {
    pub(super) fn new<'n>(directory: &'a Path, names: impl Iterator<Item = &'n str>) -> Self {
        let names = names.flat_map(|name| [" ", name]).collect();
        Self { directory, names, current: BTreeSet::new() }
    }

    /// What is asked of a list. `counts` tells whether the class of every other stanza is wanted too.
    pub(super) fn question(&mut self, list: &RegularFile, name: &str, counts: bool) -> Question {
        let path = self.directory.join(name);
        self.current.insert(path.clone());
        let metadata = list.metadata();
        // apt gives a list the server's date. When it came here is the change time.
        let stamp = [
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime().unsigned_abs(),
            metadata.mtime_nsec().unsigned_abs(),
            metadata.ctime().unsigned_abs(),
            metadata.ctime_nsec().unsigned_abs(),
        ];
        let head = format!(
            "extract 1 of patchd {}\nlist {}\nstamp {stamp:?}\ncounts {counts}\nnames{}\n",
            env!("CARGO_PKG_VERSION"),
            list.path().display(),
            self.names
        );
        Question { path, head: head.into_bytes() }
    }

    /// Removes the extracts that no list asked for.
    pub(super) fn remove_others(&self) {
        for entry in std::fs::read_dir(self.directory).into_iter().flatten().flatten() {
            if !self.current.contains(&entry.path()) {
                // One that stays is looked at again next time.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

impl Question {
    /// The stanzas that were kept, and how long the list was; none unless all of it is there.
    pub(super) fn answer(&self) -> Option<(impl Read + use<>, u64)> {
        let mut file = File::open(&self.path).ok()?;
        let size = file.metadata().ok()?.len();
        let mut head = vec![0; self.head.len() + 2 * (WIDTH + 1)];
        file.read_exact(&mut head).ok()?;
        let numbers = head.strip_prefix(self.head.as_slice())?;
        let mut numbers = std::str::from_utf8(numbers).ok()?.lines().map(|line| line.trim_start().parse());
        let (length, stanzas): (u64, u64) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        (size == head.len() as u64 + stanzas).then(|| (BufReader::with_capacity(64 << 10, file), length))
    }

    pub(super) fn gather(self) -> Gathering {
        Gathering { question: self, stanzas: Some(Vec::new()) }
    }
}

impl Gathering {
    /// Keeps a whole stanza.
    pub(super) fn keep(&mut self, listed: &Listed<'_>) {
        self.push(listed.bytes().trim_ascii_end());
    }

    /// Keeps what a stanza is counted by.
    pub(super) fn keep_class(&mut self, listed: &Listed<'_>) {
        let (architecture, priority, section) = listed.class();
        let fields = [
            ("Package", listed.name.as_bytes()),
            ("Architecture", architecture),
            ("Priority", priority.as_deref().unwrap_or_default().as_bytes()),
            ("Section", section.as_deref().unwrap_or_default().as_bytes()),
        ];
        let mut stanza = Vec::with_capacity(128);
        for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
            stanza.extend_from_slice(name.as_bytes());
            stanza.extend_from_slice(b": ");
            stanza.extend_from_slice(value);
            stanza.push(b'\n');
        }
        self.push(stanza.trim_ascii_end());
    }

    fn push(&mut self, stanza: &[u8]) {
        let Some(stanzas) = &mut self.stanzas else { return };
        if MAX_EXTRACT < stanzas.len() + stanza.len() {
            self.stanzas = None;
            return;
        }
        stanzas.extend_from_slice(stanza);
        stanzas.extend_from_slice(b"\n\n");
    }

    /// Writes it down for the next scan. `length` is the list's.
    pub(super) fn store(self, length: u64) {
        let Some(stanzas) = self.stanzas else { return };
        let mut bytes = self.question.head;
        bytes.extend_from_slice(format!("{length:>WIDTH$}\n{:>WIDTH$}\n", stanzas.len()).as_bytes());
        bytes.extend_from_slice(&stanzas);
        // Without it the next scan takes longer, and that is all. Where the list was replaced while it was read, it has
        // the stamp of the one before, which no file will have again.
        let _ = self.question.path.parent().map(|directory| durable::create_directories(directory, 0o750));
        let _ = durable::atomic_write(&self.question.path, &bytes, 0o600);
    }
}
