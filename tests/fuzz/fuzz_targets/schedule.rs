//! Any bytes as a schedule and a time zone, each on a line.
#![no_main]

#[path = "../checks/core.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| checks::schedule(content));
