//! Any bytes as what apt and dpkg say while they work. The executor is a program, so its readers are taken as files; its
//! own tests give them the corpus.
#![no_main]

#[path = "../../../agent/executor/src/last_words.rs"]
mod last_words;
#[path = "../../../agent/executor/src/apt/status_fd.rs"]
mod status_fd;
#[path = "../../../agent/executor/src/text.rs"]
#[expect(dead_code, reason = "the target calls the readers alone")]
mod text;

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let text = String::from_utf8_lossy(content);
    let mut words = last_words::LastWords::default();
    for line in text.lines() {
        words.line(line);
        if let Some(status_fd::StatusLine::Error { subject, message }) = status_fd::StatusLine::parse(line) {
            words.error(subject, message);
        }
    }
    for failure in words.failures() {
        assert!(failure.output.len() <= 20 && failure.message.chars().count() <= 500);
        assert!(!failure.name.is_empty() && !failure.name.chars().any(char::is_control));
    }
});
