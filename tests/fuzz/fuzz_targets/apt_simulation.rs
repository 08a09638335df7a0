//! Any bytes as what apt's dry run prints. The executor is a program, so its reader is taken as a file; its own tests
//! give it the corpus.
#![no_main]

use patchd_host::dpkg;

#[path = "../../../agent/executor/src/apt/simulation.rs"]
#[expect(dead_code, reason = "the target calls the reader alone")]
mod simulation;

const STATUS: &[u8] = b"Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.0-1\n\n";

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let inventory = dpkg::parse_status(STATUS, std::path::Path::new("status"));
    if let Ok(read) = simulation::Simulation::parse(&String::from_utf8_lossy(content), &inventory) {
        assert!(read.changes.is_sorted() && read.removals.is_sorted());
    }
});
