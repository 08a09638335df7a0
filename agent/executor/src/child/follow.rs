//! Reads what is added to a file, line by line, and keeps an output file that grows without end small on disk.
//!
//! Whoever writes the file is never held up: what lies far back is cut out of the file as a hole, so that every offset
//! stays what it was. What a line means is not known here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FallocateFlags, OFlag, fallocate};

/// The longest line that is passed on, and the most bytes that one look at growing output takes.
pub(crate) const MAX_LINE: usize = 500;
const MAX_LOOK: u64 = 64 * 1024;

/// An output that is ahead of its reader by more is not read up to the end: only its last look is.
const MAX_BEHIND: u64 = 1 << 20;

/// How much of an output's end is always kept, and how much more may gather before the rest is cut out.
pub(crate) const KEPT: u64 = 4 << 20;
const SLACK: u64 = 4 << 20;

/// An output of this size is emptied where the file system can't cut holes.
const MAX_WITHOUT_HOLES: u64 = 64 << 20;

/// What is read: words for people may be left out where there are too many, words for programs may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Output,
    Status,
}

/// A reader of one growing file.
#[derive(Debug)]
pub(crate) struct Follower {
    file: File,
    kind: Kind,
    position: u64,
    begun: Vec<u8>,
    /// Up to where the file was cut out.
    hole: u64,
}

impl Follower {
    /// An output, from what the file holds now on.
    pub(crate) fn of_output(path: &Path) -> io::Result<Self> {
        Self::open(path, Kind::Output)
    }

    /// Words for programs, from what the file holds now on.
    pub(crate) fn of_status(path: &Path) -> io::Result<Self> {
        Self::open(path, Kind::Status)
    }

    /// The same from a little before: what was last said of something that began earlier.
    pub(crate) fn of_status_since(path: &Path, bytes: u64) -> io::Result<Self> {
        let mut follower = Self::open(path, Kind::Status)?;
        follower.position = follower.position.saturating_sub(bytes);
        Ok(follower)
    }

    fn open(path: &Path, kind: Kind) -> io::Result<Self> {
        let file = open_to_append(path)?;
        let position = file.metadata()?.len();
        Ok(Self { file, kind, position, begun: Vec::new(), hole: 0 })
    }

    /// Passes on the lines that were completed since, some at most. Whether there was anything new.
    ///
    /// A failure to read is no reason to stop a package operation: then there is no progress to show.
    pub(crate) fn look(&mut self, line: &mut dyn FnMut(&str)) -> bool {
        let Ok(metadata) = self.file.metadata() else { return false };
        let length = metadata.len();
        if length < self.position {
            // Somebody emptied it.
            (self.position, self.hole) = (0, 0);
        }
        if self.kind == Kind::Output {
            if MAX_BEHIND < length - self.position {
                let last = length.saturating_sub(MAX_LOOK);
                line(&format!("[{} bytes of output are not shown]", last - self.position));
                self.position = last;
                self.begun.clear();
            }
            self.keep_small(length);
        }
        let mut added = Vec::new();
        let read = self
            .file
            .seek(SeekFrom::Start(self.position))
            .and_then(|_| (&self.file).take(MAX_LOOK).read_to_end(&mut added));
        // What was read before an error counts.
        self.position += u64::try_from(read.unwrap_or(added.len())).unwrap_or_default();
        for byte in &added {
            if matches!(byte, b'\n' | b'\r') {
                self.end_line(line);
            } else if self.begun.len() < MAX_LINE && *byte != 0 {
                self.begun.push(*byte);
            }
        }
        !added.is_empty()
    }

    /// Passes on what there is up to now, also a last line without an end.
    pub(crate) fn finish(&mut self, line: &mut dyn FnMut(&str)) {
        let length = self.file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        while self.position < length && self.look(line) {}
        self.end_line(line);
    }

    fn end_line(&mut self, line: &mut dyn FnMut(&str)) {
        let begun = std::mem::take(&mut self.begun);
        if !begun.is_empty() {
            line(&String::from_utf8_lossy(&begun));
        }
    }

    fn keep_small(&mut self, length: u64) {
        if self.hole + KEPT + SLACK < length && cut_out(&self.file, length - KEPT).is_ok() {
            self.hole = length - KEPT;
        } else if self.hole == 0 && MAX_WITHOUT_HOLES < length && self.file.set_len(0).is_ok() {
            self.position = 0;
        }
    }
}

/// Gives back the room of a file's beginning.
fn cut_out(file: &File, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let length = i64::try_from(length).map_err(io::Error::other)?;
    Ok(fallocate(file, flags, 0, length)?)
}

/// Gives back the room of all but the end of an output that has ended.
pub(crate) fn keep_end(path: &Path) -> io::Result<()> {
    let file = open_to_append(path)?;
    let length = file.metadata()?.len();
    if KEPT < length { cut_out(&file, length - KEPT) } else { Ok(()) }
}

/// Opens a file of the executor's own to be read, and written at its end.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NOCTTY).bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn lines(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        follower.look(&mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn only_whole_lines_that_are_new_are_passed_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut writer = open_to_append(&path).unwrap();
        writer.write_all(b"old\n").unwrap();
        let mut follower = Follower::of_output(&path).unwrap();
        writer.write_all(b"a\nb").unwrap();
        assert_eq!(lines(&mut follower), ["a"]);
        writer.write_all(b"c\rd\n\n").unwrap();
        assert_eq!(lines(&mut follower), ["bc", "d"]);
        writer.write_all(b"end").unwrap();
        let mut last = Vec::new();
        follower.finish(&mut |line| last.push(line.to_owned()));
        assert_eq!(last, ["end"]);
    }

    #[test]
    fn an_endless_output_stays_small_and_is_told_by_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut writer = open_to_append(&path).unwrap();
        let mut follower = Follower::of_output(&path).unwrap();
        let block = "endless\n".repeat(128 * 1024);
        let mut told = Vec::new();
        for _ in 0..40 {
            writer.write_all(block.as_bytes()).unwrap();
            follower.look(&mut |line| told.push(line.to_owned()));
        }
        writer.write_all(b"the end\n").unwrap();
        follower.finish(&mut |line| told.push(line.to_owned()));
        let metadata = std::fs::metadata(&path).unwrap();
        assert!(metadata.blocks() * 512 <= KEPT + SLACK + (1 << 20), "{} blocks", metadata.blocks());
        assert_eq!(told.last().map(String::as_str), Some("the end"));
        assert!(told.iter().any(|line| line.ends_with("bytes of output are not shown]")));
        // What is left is still where it was.
        let mut end = vec![0; 16];
        writer.seek(SeekFrom::End(-16)).unwrap();
        writer.read_exact(&mut end).unwrap();
        assert_eq!(end, b"endless\nthe end\n");
    }

    #[test]
    fn a_file_that_was_emptied_is_read_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        let mut writer = open_to_append(&path).unwrap();
        let mut follower = Follower::of_status(&path).unwrap();
        writer.write_all(b"a long first line\n").unwrap();
        assert_eq!(lines(&mut follower), ["a long first line"]);
        writer.set_len(0).unwrap();
        writer.write_all(b"new\n").unwrap();
        assert_eq!(lines(&mut follower), ["new"]);
    }

    #[test]
    fn a_linked_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("out"), directory.path().join("link"));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Follower::of_output(&link).is_err());
        assert!(!path.exists());
    }
}
