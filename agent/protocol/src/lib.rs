//! The versioned wire types of patchd, and their conversions from and to the types of `patchd-core`.
//!
//! Text in, values out and back: no file, socket or clock is touched here.
#![forbid(unsafe_code)]

pub mod baseline;
pub mod config;
pub mod control;
pub mod doctor;
pub mod executor;
pub mod explain;
pub mod frame;
pub mod listing;
mod mistake;
pub mod old_code;
pub mod patchers;
pub mod report;
pub mod schema;
pub mod store_url;
pub mod words;
