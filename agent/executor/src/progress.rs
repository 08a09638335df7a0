//! A run of the package manager as it is watched: its output and its status lines become progress for the client, and
//! what the record keeps of it, timings, failures and notes.
//!
//! It only listens. A line that it can't read, or a client that is gone, changes nothing of what goes on.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use patchd_protocol::executor::{PackageFailureWire, PackageTimingWire, ProgressWire};

use crate::apt::status_fd::StatusLine;
use crate::child::{Follower, Watch};
use crate::clock::Moment;
use crate::last_words::{LastWords, bare};
use crate::text;
use crate::verbs::{Progress, output};

/// After how long a silence a stall is told, if nothing else is asked for; then after twice that, and so on.
pub(crate) const STALL: Duration = Duration::from_secs(5 * 60);

/// How much of what was said before is told to one who comes later, in bytes.
const LAST_NEWS: u64 = 500;

/// The most packages whose times are kept.
const MAX_TIMINGS: usize = 4_000;

/// The ear on one run.
pub(crate) struct Watcher<'a> {
    progress: &'a mut Progress<'a>,
    status: Follower,
    story: Story,
    wanted: Option<&'a dyn Fn() -> bool>,
}

/// What a run came to, as far as its own words tell.
#[derive(Debug)]
pub(crate) struct Story {
    words: LastWords,
    /// Whose turn it is, and who had one since the last look: they share the time since.
    turn: Option<String>,
    heard: Vec<String>,
    last_look: Moment,
    timings: BTreeMap<String, Duration>,
    notes: Vec<String>,
    last_line: String,
    /// The last news of the fetching: repeated, it is no sign of life.
    last_download: String,
    first_stall: Duration,
    next_stall: Duration,
}

impl Story {
    fn new(first_stall: Duration) -> Self {
        Self {
            words: LastWords::default(),
            turn: None,
            heard: Vec::new(),
            last_look: Moment::now(),
            timings: BTreeMap::new(),
            notes: Vec::new(),
            last_line: String::new(),
            last_download: String::new(),
            first_stall,
            next_stall: first_stall,
        }
    }

    /// Shares the time since the last look out.
    fn share_time(&mut self) {
        let time = self.last_look.elapsed();
        self.last_look = Moment::now();
        let mut heard = std::mem::take(&mut self.heard);
        heard.extend(self.turn.clone());
        heard.sort();
        heard.dedup();
        let share = time / u32::try_from(heard.len().max(1)).unwrap_or(u32::MAX);
        for name in heard {
            if self.timings.len() < MAX_TIMINGS || self.timings.contains_key(&name) {
                *self.timings.entry(name).or_default() += share;
            }
        }
    }

    fn begin_turn(&mut self, turn: Option<String>) {
        self.heard.extend(std::mem::replace(&mut self.turn, turn));
    }

    /// The packages that failed, how long each took, and what is to be noted.
    pub(crate) fn end(self) -> (Vec<PackageFailureWire>, Vec<PackageTimingWire>, Vec<String>) {
        let timing = |(name, time): (String, Duration)| {
            let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            PackageTimingWire { name, milliseconds }
        };
        (self.words.failures(), self.timings.into_iter().map(timing).collect(), self.notes)
    }
}

impl<'a> Watcher<'a> {
    /// Of a run that is about to begin. `status` is the file that apt's status descriptor writes.
    pub(crate) fn new(
        progress: &'a mut Progress<'a>,
        status: &Path,
        first_stall: Duration,
    ) -> io::Result<Self> {
        let (status, story) = (Follower::of_status(status)?, Story::new(first_stall));
        Ok(Self { progress, status, story, wanted: None })
    }

    /// It may be ended as soon as it is not wanted any more.
    pub(crate) fn while_wanted(self, is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { wanted: Some(is_wanted), ..self }
    }

    /// Of one that goes on: where it is now is told first.
    pub(crate) fn attach(
        progress: &'a mut Progress<'a>,
        status: &Path,
        first_stall: Duration,
    ) -> io::Result<Self> {
        let (status, story) = (Follower::of_status_since(status, LAST_NEWS)?, Story::new(first_stall));
        Ok(Self { progress, status, story, wanted: None })
    }

    pub(crate) fn into_story(self) -> Story {
        self.story
    }

    /// Hears a status line. Whether it is news.
    fn hear(story: &mut Story, progress: &mut Progress<'_>, line: &str) -> bool {
        match StatusLine::parse(line) {
            Some(StatusLine::Download { permille, text }) => {
                // apt repeats it every half second, also while nothing comes.
                let news = line.rsplit_once(':').map_or(line, |(news, _)| news);
                if story.last_download == news {
                    return false;
                }
                story.last_download = news.to_owned();
                progress(ProgressWire::Download { permille, item: text::cut(text) });
            }
            Some(StatusLine::Start) => story.begin_turn(None),
            Some(StatusLine::Package { name, permille, text }) => {
                let name = text::cut(bare(name));
                if story.turn.as_ref() != Some(&name) {
                    story.begin_turn(Some(name.clone()));
                }
                let action = action(text, &name);
                progress(ProgressWire::Package { name, action, permille });
            }
            Some(StatusLine::Error { subject, message }) => {
                story.words.error(subject, message);
                progress(ProgressWire::Note { text: text::cut(&format!("{subject}: {message}")) });
            }
            Some(StatusLine::Conffile { path }) => {
                progress(ProgressWire::Note { text: text::cut(&format!("configuration file {path}")) });
            }
            None => return false,
        }
        true
    }
}

impl Watch for Watcher<'_> {
    fn line(&mut self, line: &str) {
        self.story.words.line(line);
        self.story.last_line = text::cut(line);
        (self.progress)(output(line));
    }

    fn look(&mut self) -> bool {
        let Self { progress, status, story, wanted: _ } = self;
        let mut is_news = false;
        while status.look(&mut |line| is_news |= Self::hear(story, *progress, line)) {}
        story.share_time();
        if is_news {
            story.next_stall = story.first_stall;
        }
        is_news
    }

    fn is_wanted(&self) -> bool {
        self.wanted.is_none_or(|is_wanted| is_wanted())
    }

    fn silence(&mut self, silence: Duration) {
        let story = &mut self.story;
        if silence < story.first_stall {
            story.next_stall = story.first_stall;
        } else if story.next_stall <= silence {
            story.next_stall *= 2;
            let seconds = silence.as_secs();
            let last = story.last_line.clone();
            let whose = story.turn.as_ref().map_or_else(String::new, |name| format!(" at {name}"));
            let note = format!("the package manager said nothing for {seconds} seconds{whose}: {last}");
            if story.next_stall == story.first_stall * 2 {
                story.notes.push(note);
            } else if let Some(noted) = story.notes.last_mut() {
                *noted = note;
            }
            (self.progress)(ProgressWire::Stalled { seconds, last });
        }
    }
}

/// What is done, of apt's sentence about it: `Preparing to configure lab (amd64)`.
fn action(sentence: &str, name: &str) -> String {
    let words = sentence.split_once(name).map_or(sentence, |(words, _)| words).trim();
    text::cut(if words.is_empty() { sentence } else { words })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Hears status lines and output; what was told, and the story.
    fn listen(
        status: &str,
        lines: &[&str],
        first_stall: Duration,
        silences: &[u64],
    ) -> (Vec<ProgressWire>, Story) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status");
        let mut told = Vec::new();
        let mut progress = |progress| told.push(progress);
        let mut watcher = Watcher::new(&mut progress, &path, first_stall).unwrap();
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(status.as_bytes()).unwrap();
        lines.iter().for_each(|line| watcher.line(line));
        watcher.look();
        silences.iter().for_each(|seconds| watcher.silence(Duration::from_secs(*seconds)));
        let story = watcher.into_story();
        (told, story)
    }

    #[test]
    fn status_lines_become_progress_and_garbage_does_not() {
        let status = "dlstatus:1:12.5000:Retrieving file 1 of 2\ndlstatus:1:12.5000:Retrieving file 1 of 2 (9s remaining)\n\
                      garbage\n\u{fffd}pmstatus:::\npmstatus:dpkg-exec:0.0000:Running dpkg\n\
                      pmstatus:lab:i386:50.0000:Preparing to configure lab:i386 (i386)\n\
                      pmstatus:other:100.0000:Installed other\npmerror:lab:60.0:no\n";
        let (told, story) = listen(status, &[], STALL, &[]);
        let package = |name: &str, action: &str, permille| ProgressWire::Package {
            name: name.into(),
            action: action.into(),
            permille,
        };
        assert_eq!(
            told,
            [
                ProgressWire::Download { permille: 125, item: "Retrieving file 1 of 2".into() },
                package("lab", "Preparing to configure", 500),
                package("other", "Installed", 1000),
                ProgressWire::Note { text: "lab: no".into() },
            ]
        );
        let (failures, timings, notes) = story.end();
        assert_eq!(failures.iter().map(|failure| failure.name.as_str()).collect::<Vec<_>>(), ["lab"]);
        assert_eq!(timings.iter().map(|timing| timing.name.as_str()).collect::<Vec<_>>(), ["lab", "other"]);
        assert_eq!(notes, Vec::<String>::new());
    }

    #[test]
    fn only_headway_is_a_sign_of_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("status");
        let mut ignore = |_| {};
        let mut watcher = Watcher::new(&mut ignore, &path, STALL).unwrap();
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        let mut is_alive = |line: &str| {
            writeln!(file, "{line}").unwrap();
            watcher.look()
        };
        assert!(is_alive("dlstatus:1:10.0000:Retrieving file 1 of 2"));
        assert!(!is_alive("dlstatus:1:10.0000:Retrieving file 1 of 2"));
        assert!(!is_alive("dlstatus:1:10.0000:Retrieving file 1 of 2 (1min 9s remaining)"));
        assert!(is_alive("dlstatus:1:10.0001:Retrieving file 1 of 2"));
        assert!(!is_alive("garbage"));
    }

    /// docs/accidents.md, row 6: a package manager that waits for something is told loudly, and left alone.
    #[test]
    fn a_stall_is_told_at_doubling_distance_and_noted_once() {
        let stall = Duration::from_secs(300);
        let (told, story) = listen(
            "pmstatus:lab:5.0:Installing lab\n",
            &["Setting up lab (1) ...", "waiting"],
            stall,
            &[10, 299, 300, 301, 599, 601, 700, 1200, 2399],
        );
        let stalls: Vec<_> = told
            .iter()
            .filter_map(|told| match told {
                ProgressWire::Stalled { seconds, last } => Some((*seconds, last.as_str())),
                _ => None,
            })
            .collect();
        assert_eq!(stalls, [(300, "waiting"), (601, "waiting"), (1200, "waiting")]);
        let (_, _, notes) = story.end();
        assert_eq!(notes, ["the package manager said nothing for 1200 seconds at lab: waiting"]);
    }
}
