//! Reads this machine, or another root, and changes nothing.

pub mod read;
pub mod root;
