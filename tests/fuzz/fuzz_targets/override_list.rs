//! Any bytes as a list that overrides what a baseline approves.
#![no_main]

#[path = "../checks/protocol.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| checks::override_list(content));
