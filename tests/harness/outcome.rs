//! What a test says when it can't do all of its work: `cargo xtask test` reads these lines and counts them.

use anyhow::Result;

use crate::command;

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

/// Whether the kernel says that somebody keeps its clock right, by other means than patchd's.
pub fn kernel_keeps_time() -> Result<bool> {
    // 5 is TIME_ERROR of adjtimex(2).
    let ask = "import ctypes; print(ctypes.CDLL(None).adjtimex((ctypes.c_byte * 512)()))";
    Ok(command::run("python3", ["-c", ask])?.stdout.trim() != "5")
}

/// What a person may want to read of a test that passed.
#[expect(clippy::print_stderr, reason = "the test runner keeps it")]
pub fn note(text: &str) {
    eprintln!("{text}");
}
