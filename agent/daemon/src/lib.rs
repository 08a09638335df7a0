//! What `patchd` is made of. The program itself is `main.rs`; this library exists so that scenarios can drive its parts.
//!
//! Nothing here runs a package manager: that is the executor's, and only the executor's.

pub mod agent;
pub mod baselines;
pub mod chain;
pub mod clock;
pub mod clock_keeper;
pub mod cloud_init;
pub mod control;
pub mod deliver;
pub mod doctor;
pub mod documents;
pub mod driver;
pub mod executor_client;
pub mod gates;
pub mod identity;
pub mod imds;
pub mod journal;
pub mod live;
pub mod machine;
pub mod narrative;
pub mod own_program;
pub mod plan_document;
pub mod sandbox;
pub mod scheduler;
pub mod store;
pub mod sys;
pub mod systemd;
pub mod tls;
