//! Any bytes as requests to the executor.
#![no_main]

#[path = "../checks/protocol.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| checks::executor_request(content));
