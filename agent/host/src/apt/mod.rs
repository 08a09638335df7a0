//! What apt would offer to this host, read from apt's own files without running apt.

pub mod conf;
pub mod decompress;
pub mod list_files;
pub mod release;
mod source_entry;
pub mod sources;
