//! Tests of the readers against the native tools, against real files, and against damage.
//!
//! Where a tool or the collection of real files is absent, a test prints what it leaves out and goes on.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests fail as tests do, and say what they leave out"
)]

mod apt_damage;
mod apt_data;
mod apt_extract;
mod apt_lab;
mod apt_machine;
mod apt_random;
mod apt_roots;
mod apt_ties;
mod conffiles;
mod corpus;
mod dpkg_audit;
mod dpkg_damage;
mod dpkg_data;
mod dpkg_journal;
mod dpkg_machine;
mod dpkg_quiet;
mod footprints;
mod os_release;
mod support;
mod versions;
