//! Any bytes as a baseline, in any of its notations.
#![no_main]

#[path = "../checks/protocol.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| checks::baseline(content));
