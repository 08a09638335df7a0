//! Whether the program on disk is still the one that runs: an upgrade of the package puts another in its place and leaves
//! the process be.
//!
//! It looks and remembers. When patchd ends for a new program is the agent's, and starting that one is systemd's. See
//! docs/decisions/0012.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use patchd_host::durable::{WriteError, atomic_write};

/// What the kernel puts behind the name of a program whose file was replaced or removed.
const DELETED: &[u8] = b" (deleted)";

/// The longest word: two numbers.
const MAX_WORD: u64 = 64;

/// A file by the kernel's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        let is_program = metadata.is_file() && metadata.mode() & 0o111 != 0;
        is_program.then(|| Self { device: metadata.dev(), inode: metadata.ino() })
    }

    fn word(self) -> String {
        format!("{} {}\n", self.device, self.inode)
    }
}

/// What lies where the program came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Same,
    Other {
        path: PathBuf,
        file: FileIdentity,
    },
    /// Nothing that could be started, or the kernel does not tell.
    Unknown,
}

/// The program of this process.
#[derive(Debug, Clone)]
pub struct OwnProgram {
    /// Its place in /proc.
    process: PathBuf,
    /// Where the one that ends tells the one that comes which program it ended for.
    word: PathBuf,
    /// Why patchd does not end for a new program, if it does not.
    stays: Option<&'static str>,
}

impl OwnProgram {
    /// The program of this process, whose state is kept in `state`. `is_started_again` is whether somebody starts patchd
    /// when it ends for a new program.
    pub fn begin(state: &Path, is_started_again: bool) -> Self {
        Self::of_process(Path::new("/proc/self"), state, is_started_again)
    }

    /// One that is never looked at.
    #[cfg(test)]
    pub(crate) fn unwatched() -> Self {
        let nowhere = PathBuf::from("/nonexistent");
        Self { process: nowhere.clone(), word: nowhere, stays: None }
    }

    pub(crate) fn of_process(process: &Path, state: &Path, is_started_again: bool) -> Self {
        let (process, word) = (process.to_owned(), state.join("ended-for"));
        let mut own = Self { process, word, stays: None };
        let promised = own.take_word();
        let running = FileIdentity::of(&own.process.join("exe")).map(FileIdentity::word);
        own.stays = if !is_started_again {
            Some("nothing here starts it again when it ends")
        } else if matches!(own.look(), Found::Other { .. }) {
            // Numbers that differ from the start tell nothing, and to end for them would be to end for ever.
            Some("it lay there when patchd was started, which still got this one")
        } else if promised.is_some_and(|promised| Some(promised) != running) {
            Some("patchd has ended for a new one before, and this one was started")
        } else {
            None
        };
        own
    }

    /// Looks what lies there now.
    pub fn look(&self) -> Found {
        let link = self.process.join("exe");
        let Ok(named) = std::fs::read_link(&link) else { return Found::Unknown };
        let named = named.into_os_string().into_vec();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(named.strip_suffix(DELETED).unwrap_or(&named)));
        match (FileIdentity::of(&link), FileIdentity::of(&path)) {
            (Some(running), Some(file)) if running == file => Found::Same,
            (Some(_), Some(file)) => Found::Other { path, file },
            (None, _) | (_, None) => Found::Unknown,
        }
    }

    /// Why patchd goes on with the program that it has, whatever lies on disk.
    pub fn stays(&self) -> Option<&'static str> {
        self.stays
    }

    /// Tells whoever is started next which program it should be. Without that, patchd must not end for it.
    pub(crate) fn leave_word(&self, file: FileIdentity) -> Result<(), WriteError> {
        atomic_write(&self.word, file.word().as_bytes(), 0o640)
    }

    /// What the last one said, once.
    fn take_word(&self) -> Option<String> {
        let read = || -> io::Result<String> {
            let mut text = String::new();
            File::open(&self.word)?.take(MAX_WORD).read_to_string(&mut text)?;
            Ok(text)
        };
        match read() {
            Ok(text) => {
                let _ = std::fs::remove_file(&self.word);
                Some(text)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // What can't be read names no program: patchd does not end on its account.
            Err(_) => Some(String::new()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A process of a program that tests may replace.
    pub(crate) struct Running {
        directory: tempfile::TempDir,
        child: Child,
    }

    impl Running {
        #[expect(clippy::disallowed_methods, reason = "a process to look at, which is not this one")]
        pub(crate) fn start() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let program = directory.path().join("program");
            std::fs::copy("/bin/sleep", &program).unwrap();
            let child = Command::new(&program).arg("600").spawn().unwrap();
            Self { directory, child }
        }

        fn program(&self) -> PathBuf {
            self.directory.path().join("program")
        }

        /// As a package manager does it.
        pub(crate) fn replace(&self) {
            let new = self.directory.path().join("program.new");
            std::fs::copy("/bin/sleep", &new).unwrap();
            std::fs::rename(new, self.program()).unwrap();
        }

        pub(crate) fn own(&self, is_started_again: bool) -> OwnProgram {
            let process = PathBuf::from(format!("/proc/{}", self.child.id()));
            OwnProgram::of_process(&process, self.directory.path(), is_started_again)
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn a_program_that_was_replaced_is_another() {
        let running = Running::start();
        let own = running.own(true);
        assert_eq!((own.look(), own.stays()), (Found::Same, None));
        running.replace();
        let Found::Other { path, file } = own.look() else { panic!("{:?}", own.look()) };
        assert_eq!((path, Some(file)), (running.program(), FileIdentity::of(&running.program())));
    }

    #[test]
    fn what_could_not_be_started_is_none() {
        let running = Running::start();
        let own = running.own(true);
        std::fs::remove_file(running.program()).unwrap();
        assert_eq!(own.look(), Found::Unknown, "removed");
        std::fs::File::create(running.program()).unwrap();
        assert_eq!(own.look(), Found::Unknown, "nobody may execute it");
        std::fs::remove_file(running.program()).unwrap();
        std::fs::create_dir(running.program()).unwrap();
        assert_eq!(own.look(), Found::Unknown, "a directory");
    }

    #[test]
    fn a_file_that_went_and_came_back_is_the_same() {
        let running = Running::start();
        let own = running.own(true);
        let aside = running.directory.path().join("aside");
        std::fs::hard_link(running.program(), &aside).unwrap();
        running.replace();
        assert!(matches!(own.look(), Found::Other { .. }));
        std::fs::rename(&aside, running.program()).unwrap();
        assert_eq!(own.look(), Found::Same);
    }

    #[test]
    fn it_ends_for_none_where_that_would_not_bring_it() {
        let running = Running::start();
        assert!(running.own(false).stays().is_some(), "nobody starts it again");
        // The last one ended for a program which this is not, and says so once.
        let own = running.own(true);
        running.replace();
        let Found::Other { file, .. } = own.look() else { panic!("{:?}", own.look()) };
        own.leave_word(file).unwrap();
        let late = Running::start();
        std::fs::copy(running.directory.path().join("ended-for"), late.directory.path().join("ended-for"))
            .unwrap();
        assert!(late.own(true).stays().is_some_and(|why| why.contains("ended for a new one")));
        assert_eq!(late.own(true).stays(), None, "the word was taken");
        // It lay there from the start.
        late.replace();
        assert!(late.own(true).stays().is_some_and(|why| why.contains("lay there")));
    }

    #[test]
    fn the_one_that_it_ended_for_is_free_to_end_for_another() {
        let running = Running::start();
        let file = FileIdentity::of(&running.program()).unwrap();
        running.own(true).leave_word(file).unwrap();
        assert_eq!(running.own(true).stays(), None);
        assert!(!running.directory.path().join("ended-for").exists());
        std::fs::create_dir(running.directory.path().join("ended-for")).unwrap();
        assert!(running.own(true).stays().is_some(), "a word that can't be read");
    }
}
