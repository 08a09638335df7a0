//! What has to hold for any bytes: called by the fuzz targets, and by the ordinary tests with the corpus.

use patchd_core::plan::Plan;
use patchd_protocol::baseline::{self, BaselineFile, Mistakes, override_list};
use patchd_protocol::config::{self, ConfigFile};
use patchd_protocol::executor::{Request, Verb, digest};
use patchd_protocol::frame::{self, FrameError};

/// A configuration is settings, or mistakes that each name a line of it and stay one short line themselves.
pub(crate) fn config(content: &[u8]) {
    let file = |name: &str| ConfigFile { name: name.into(), content: content.to_vec() };
    let read = |files: &[ConfigFile]| config::read(files, |_| None);
    let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
    let once = read(&[file("a")]);
    match &once {
        Ok(settings) => {
            // Said twice is said once: a later file wins key by key and window by window.
            assert_eq!(read(&[file("a"), file("b")]).as_ref(), Ok(settings));
        }
        Err(mistakes) => {
            assert!(!mistakes.list().is_empty());
            for mistake in mistakes.list() {
                assert!(mistake.line.is_some_and(|line| (1..=lines).contains(&line)), "{mistake}");
                let shown = mistake.to_string();
                assert!(shown.len() <= 4 * content.len() + 1_000 && !shown.contains('\n'), "{shown}");
            }
        }
    }
}

/// A baseline in any notation is written as it was read, or has mistakes that each name a line of it and stay short.
pub(crate) fn baseline(content: &[u8]) {
    for name in ["a", "a.json", "a.toml"] {
        match baseline::read_all(name, content) {
            Ok(files) => files.iter().for_each(is_written_as_it_was_read),
            Err(mistakes) => are_told(&mistakes, content),
        }
    }
}

fn is_written_as_it_was_read(file: &BaselineFile) {
    let json = serde_json::to_string(&file.to_json()).expect("a baseline is text, numbers and lists");
    for (name, text) in [("a.json", json), ("a.toml", file.to_toml())] {
        let again = baseline::read(name, text.as_bytes());
        let said = |file: &BaselineFile| {
            (file.baseline.clone(), file.description.clone(), file.patch_groups.clone())
        };
        assert_eq!(again.as_ref().map(said), Ok(said(file)), "{text}");
    }
}

/// A list of overrides names its packages, or has mistakes that each name a line of it.
pub(crate) fn override_list(content: &[u8]) {
    match override_list::read("a", content) {
        Ok(list) => {
            assert!(list.entries.iter().all(|entry| !entry.id().is_empty() && entry.title() != Some("")))
        }
        Err(mistakes) => are_told(&mistakes, content),
    }
}

fn are_told(mistakes: &Mistakes, content: &[u8]) {
    let lines = content.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    assert!(!mistakes.list().is_empty());
    for mistake in mistakes.list() {
        assert!(mistake.line.is_none_or(|line| (1..=lines).contains(&line)), "{mistake}");
        let shown = mistake.to_string();
        assert!(shown.len() <= 4_000 && !shown.contains('\n'), "{shown}");
    }
}

/// A request survives being written and read again, and a plan that is one has a digest of its own.
pub(crate) fn executor_request(content: &[u8]) {
    const LIMIT: u32 = 1 << 16;
    let mut source = content;
    loop {
        match frame::read::<Request>(&mut source, LIMIT) {
            Ok(None) => break,
            Ok(Some(request)) => {
                let mut bytes = Vec::new();
                if frame::write(&mut bytes, &request, LIMIT).is_ok() {
                    let again = frame::read::<Request>(&mut bytes.as_slice(), LIMIT);
                    assert_eq!(again.ok().flatten().as_ref(), Some(&request));
                }
                assert!(Verb::NAMES.contains(&request.verb.name()));
                if let Verb::Simulate { plan } | Verb::Apply { plan, .. } = &request.verb
                    && let Ok(plan) = Plan::try_from(plan)
                {
                    assert_eq!(digest(&plan).len(), 64);
                    assert!(plan.changes().is_sorted());
                }
            }
            Err(FrameError::Json(_)) => {}
            Err(_) => break,
        }
    }
}
