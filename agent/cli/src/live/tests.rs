//! What a log gets of runs, word by word.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use insta::assert_snapshot;

use super::*;

/// A log that can be read afterwards.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn live() -> (Live, Log) {
    let log = Log::default();
    (Live::new(Aside::plain(log.clone())), log)
}

pub(crate) fn moved(sequence: u64, phase: RunPhase, text: &str) -> RunMoved {
    let at = "2026-11-23T14:02:00Z".parse().unwrap();
    RunMoved { sequence, at, phase, text: text.into(), packages: None }
}

fn package(name: &str, action: &str, permille: u16) -> RunProgress {
    RunProgress::Package { name: name.into(), action: action.into(), permille }
}

#[test]
fn a_log_has_a_line_a_move_and_few_in_between() {
    let (mut live, log) = live();
    live.moved(&moved(1, RunPhase::Refreshing, "fetching the package lists"));
    for permille in 0..=1000 {
        live.progress(&RunProgress::Download { permille, item: "Retrieving file 1 of 2".into() });
    }
    let packages = Some(PackageCounts { done: 1, failed: 1, all: 4 });
    live.moved(&RunMoved { packages, ..moved(2, RunPhase::Applying, "step 2 begins") });
    for (at, name) in ["libc6", "curl"].iter().enumerate() {
        for action in ["unpacking", "configuring"] {
            for part in 0..10 {
                live.progress(&package(name, action, u16::try_from(at * 20 + part).unwrap()));
                live.progress(&RunProgress::Output { line: "…".into() });
            }
        }
    }
    assert_snapshot!(log.text(), @r"
    14:02:00  fetching the package lists
                0 %  Retrieving file 1 of 2
               10 %  Retrieving file 1 of 2
               20 %  Retrieving file 1 of 2
               30 %  Retrieving file 1 of 2
               40 %  Retrieving file 1 of 2
               50 %  Retrieving file 1 of 2
               60 %  Retrieving file 1 of 2
               70 %  Retrieving file 1 of 2
               80 %  Retrieving file 1 of 2
               90 %  Retrieving file 1 of 2
              100 %  Retrieving file 1 of 2
    14:02:00  step 2 begins (1 of 4 done, 1 failed)
                0 %  unpacking libc6
                2 %  unpacking curl
    ");
}

#[test]
fn a_lock_names_its_holder_and_a_stall_is_loud() {
    let (mut live, log) = live();
    for seconds in 0..45 {
        live.progress(&RunProgress::Waiting { holder: "pid 812 (unattended-upgr)".into(), seconds });
    }
    live.progress(&RunProgress::Waiting { holder: "pid 900 (apt)".into(), seconds: 1 });
    for seconds in [300, 310, 320, 600] {
        live.progress(&RunProgress::Stalled { seconds, last: "Setting up slow (1) ...".into() });
    }
    assert_snapshot!(log.text(), @r"
              waiting for a lock: pid 812 (unattended-upgr) has held it for 0 seconds
              waiting for a lock: pid 812 (unattended-upgr) has held it for 10 seconds
              waiting for a lock: pid 812 (unattended-upgr) has held it for 20 seconds
              waiting for a lock: pid 812 (unattended-upgr) has held it for 40 seconds
              waiting for a lock: pid 900 (apt) has held it for 1 second
    patchctl: STALLED: the package manager has said nothing for 5 minutes. It is left alone, because to cut it would do harm: look at what it waits for; its last words: Setting up slow (1) ...
    patchctl: STALLED: the package manager has said nothing for 10 minutes. It is left alone, because to cut it would do harm: look at what it waits for; its last words: Setting up slow (1) ...
    ");
}

#[test]
fn what_a_script_prints_cannot_command_a_terminal() {
    let (mut live, log) = live();
    let evil = "a\x1b]0;owned\x07\r\nb\u{202e}\u{9b}2J";
    live.moved(&moved(1, RunPhase::Applying, evil));
    live.progress(&package(evil, evil, 1));
    live.progress(&RunProgress::Output { line: evil.into() });
    live.progress(&RunProgress::Waiting { holder: evil.into(), seconds: 1 });
    live.progress(&RunProgress::Stalled { seconds: 1, last: evil.into() });
    live.progress(&RunProgress::Note { text: evil.into() });
    live.progress(&RunProgress::Download { permille: 1, item: evil.into() });
    live.note(evil);
    let text = log.text();
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{text:?}");
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn who_only_looks_fills_no_log() {
    let log = Log::default();
    let mut live = Live::quiet(Aside::plain(log.clone()));
    live.moved(&moved(1, RunPhase::Refreshing, "fetching the package lists"));
    live.progress(&RunProgress::Download { permille: 1, item: "Retrieving file 1 of 2".into() });
    live.phase(RunPhase::Assessing);
    assert_eq!(log.text(), "");
    live.note("patchd is restarting, still waiting");
    assert_eq!(log.text(), "patchctl: patchd is restarting, still waiting\n");
}
