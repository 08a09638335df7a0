//! The scenarios: what an operator does, with real parts. One module a theme; what they share is in the harness.

mod apply;
mod apply_steps;
mod bad_input;
mod daemon;
mod executor;
mod executor_conffiles;
mod executor_hooks;
mod executor_hostile;
mod executor_inhibitor;
mod executor_locks;
mod executor_plans;
mod executor_policy;
mod executor_progress;
mod executor_repair;
mod faults;
mod imds;
mod live_view;
mod once;
mod s3;
mod s3_requests;
mod scan;
mod schemas;
mod self_upgrade;
mod sweep;
mod toys;
mod units;
