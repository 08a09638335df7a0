//! Feeds arbitrary bytes to the check of os-release that the ordinary tests run on the corpus. It judges nothing itself.
#![no_main]

#[path = "../checks/host.rs"]
#[expect(dead_code, reason = "each target calls one of the checks")]
mod checks;

libfuzzer_sys::fuzz_target!(|content: &[u8]| checks::os_release(content));
