//! Reads this machine, or another root, and changes nothing.

pub mod deb822;
pub mod read;
pub mod root;
