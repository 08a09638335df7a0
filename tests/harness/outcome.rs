//! What a test says when it can't do all of its work: `cargo xtask test` reads these lines and counts them.

/// The whole test can't run here. It is counted as skipped, with this reason; return right after.
#[expect(clippy::print_stderr, reason = "the test runner keeps it and xtask counts it")]
pub fn skipped(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The test ran, but left these cases out.
#[expect(clippy::print_stderr, reason = "the test runner keeps it and xtask lists it")]
pub fn left_out(cases: &str) {
    eprintln!("left out: {cases}");
}

/// Whether this test may mount and change roots. If not, it has said so.
pub fn is_root_or_skipped() -> bool {
    let is_root = nix::unistd::Uid::effective().is_root();
    if !is_root {
        skipped("needs root: it mounts a disposable root and runs apt in it");
    }
    is_root
}

/// What a person may want to read of a test that passed.
#[expect(clippy::print_stderr, reason = "the test runner keeps it")]
pub fn note(text: &str) {
    eprintln!("{text}");
}
