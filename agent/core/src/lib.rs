//! What patchd knows and decides, as data in and data out.
//!
//! Nothing here reads a file, a clock, the network or the environment; `now` is always an argument.
//! No wire format lives here either: those are in `patchd-protocol`, converted by hand.
#![forbid(unsafe_code)]

pub mod advisory;
pub mod baseline;
pub mod compliance;
pub mod gate;
pub mod glob;
pub mod inventory;
pub mod offer;
pub mod os;
pub mod package;
pub mod pending;
pub mod plan;
pub mod problem;
pub mod reason;
pub mod report;
pub mod run;
pub mod version;
pub mod window;
