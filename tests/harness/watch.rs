//! Points in time at which a program can be cut, without a hook in it: the changes that it makes to files.
//!
//! A watch counts the events of some directories, by inotify. A trap kills at the k-th of them, or as soon after it as
//! what is to be killed lives. Writes that follow each other at once are one event, so counts of two runs differ a little.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};

use crate::apt_root::AptRoot;

/// How long the thread waits for an event before it looks around, in milliseconds.
const LOOK: u16 = 10;

/// Whose files are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watch {
    /// The write-ahead log of patchd's journal: a commit is one event or a few.
    Journal,
    /// The executor's records and the output beside them.
    Records,
    /// dpkg's database and its journal.
    Dpkg,
}

impl Watch {
    pub const ALL: [Self; 3] = [Self::Journal, Self::Records, Self::Dpkg];

    pub fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Records => "records",
            Self::Dpkg => "dpkg",
        }
    }

    fn directories(self) -> &'static [&'static str] {
        match self {
            Self::Journal => &["/var/lib/patchd"],
            Self::Records => &["/var/lib/patchd-executor/transactions"],
            Self::Dpkg => &["/var/lib/dpkg", "/var/lib/dpkg/updates", "/var/lib/dpkg/info"],
        }
    }

    fn flags(self) -> AddWatchFlags {
        match self {
            Self::Journal => AddWatchFlags::IN_MODIFY,
            Self::Records | Self::Dpkg => {
                AddWatchFlags::IN_CREATE
                    | AddWatchFlags::IN_MOVED_TO
                    | AddWatchFlags::IN_DELETE
                    | AddWatchFlags::IN_CLOSE_WRITE
            }
        }
    }

    fn counts(self, event: &InotifyEvent) -> bool {
        let name = event.name.as_deref().unwrap_or_default().to_string_lossy();
        match self {
            Self::Journal => name.ends_with("-wal"),
            // Locks are opened and closed by whoever looks.
            Self::Records | Self::Dpkg => !name.contains("lock"),
        }
    }
}

/// What a trap came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sprung {
    /// How many events there were, up to the kill if there was one.
    pub events: u64,
    /// The file whose event it was, if something was killed.
    pub killed_at: Option<String>,
}

/// A thread that counts events, and kills once if it was told to.
#[derive(Debug)]
pub struct Trap {
    thread: JoinHandle<Result<Sprung>>,
    is_over: Arc<AtomicBool>,
}

impl Trap {
    /// Only counts.
    pub fn counting(root: &AptRoot, watch: Watch) -> Result<Self> {
        Self::start(root, watch, None)
    }

    /// Calls `kill` at the event of this number, and again until it says that it hit.
    pub fn killing(
        root: &AptRoot,
        watch: Watch,
        at: u64,
        kill: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self> {
        Self::start(root, watch, Some((at, Box::new(kill))))
    }

    fn start(root: &AptRoot, watch: Watch, kill: Option<Kill>) -> Result<Self> {
        let inotify =
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).context("starting inotify")?;
        for directory in watch.directories() {
            let path = root.at(directory);
            inotify
                .add_watch(&path, watch.flags())
                .with_context(|| format!("watching {}", path.display()))?;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || follow(&inotify, watch, kill, &told));
        Ok(Self { thread, is_over })
    }

    /// Whether it killed already.
    pub fn has_sprung(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it and says what it came to.
    pub fn end(self) -> Result<Sprung> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the thread of a trap broke")))
    }
}

type Kill = (u64, Box<dyn FnMut() -> bool + Send>);

fn follow(inotify: &Inotify, watch: Watch, mut kill: Option<Kill>, is_over: &AtomicBool) -> Result<Sprung> {
    let mut sprung = Sprung::default();
    let mut last = String::new();
    loop {
        let mut looked = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        poll(&mut looked, PollTimeout::from(LOOK)).context("waiting for file events")?;
        let events = match inotify.read_events() {
            Ok(events) => events,
            Err(Errno::EAGAIN) => Vec::new(),
            Err(errno) => return Err(errno).context("reading file events"),
        };
        for event in events.iter().filter(|event| watch.counts(event)) {
            sprung.events += 1;
            last = event.name.as_deref().unwrap_or_default().to_string_lossy().into_owned();
            if let Some((at, kill)) = &mut kill
                && *at <= sprung.events
                && kill()
            {
                sprung.killed_at = Some(last);
                return Ok(sprung);
            }
        }
        // What is to be killed may begin to live without a further event.
        if let Some((at, kill)) = &mut kill
            && *at <= sprung.events
            && kill()
        {
            sprung.killed_at = Some(last);
            return Ok(sprung);
        }
        if is_over.load(Ordering::SeqCst) {
            return Ok(sprung);
        }
    }
}
