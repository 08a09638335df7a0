//! Any bytes as what apt's dry run prints: the reader that the scan and the root helper share. Its own tests give it the
//! corpus.
#![no_main]

use patchd_host::apt::simulation::Simulation;
use patchd_host::dpkg;

const STATUS: &[u8] = b"Package: app\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:1.0-1\n\n";

libfuzzer_sys::fuzz_target!(|content: &[u8]| {
    let inventory = dpkg::parse_status(STATUS, std::path::Path::new("status"));
    if let Ok(read) = Simulation::parse(&String::from_utf8_lossy(content), &inventory) {
        assert!(read.changes.is_sorted() && read.removals.is_sorted());
    }
});
