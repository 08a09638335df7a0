//! Reads this machine, or another root, and changes nothing of it. What its callers want written, reports and records, is
//! written by `durable` and `file_store`, where they say and nowhere else.

pub mod apt;
pub mod baseline_files;
pub mod changelog;
pub mod clock;
pub mod cloud_init;
pub mod config_files;
pub mod container;
pub mod deb822;
pub mod disk;
pub mod doctor;
pub mod dpkg;
pub mod durable;
pub mod file_store;
pub mod footprint;
pub mod inhibitors;
pub mod machine;
pub mod next_boot;
pub mod os;
pub mod patchers;
pub mod problem_list;
pub mod processes;
pub mod read;
pub mod reboot;
pub mod root;
pub mod scan;
mod sys;
pub mod what_if;
