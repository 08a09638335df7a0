//! The program around the library: arguments, logs, privilege, signals, and its two ways of life.

pub(crate) mod arguments;
pub(crate) mod check;
pub(crate) mod logs;
#[cfg(test)]
mod manual;
pub(crate) mod once;
pub(crate) mod privilege;
pub(crate) mod service;
pub(crate) mod supervisor;
