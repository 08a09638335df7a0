//! What scenarios are made of: disposable roots with a real apt, signed repositories of toy packages, a real S3
//! server, and the binaries of this workspace.
//!
//! Nothing here changes the machine that runs the tests: mounts live in a mount namespace of the test alone and files
//! below the target directory. What a machine can't do is a skip with its reason, never a silent pass.

pub mod agent_host;
pub mod apt_root;
mod base_root;
pub mod binaries;
pub mod booted;
pub mod clock;
pub mod command;
pub mod control_client;
pub mod docs;
pub mod executor_client;
pub mod fake_http;
pub mod oracle;
pub mod outcome;
pub mod package_host;
pub mod packages;
pub mod place;
pub mod repository;
pub mod s3;
pub mod space;
pub mod story;
pub mod supervised;
pub mod sweep;
pub mod vm;
pub mod wait;
pub mod watch;
