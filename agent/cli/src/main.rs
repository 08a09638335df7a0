//! `patchctl`: a thin client of the daemon, and one-shot work on this host without it.
//!
//! It links no AWS SDK, changes nothing on the host and holds no privilege: what it may do, any user may do.
#![forbid(unsafe_code)]

mod arguments;
mod client;
mod command;
mod exit;
mod follow;
mod grant;
mod live;
mod local;
#[cfg(test)]
mod manual;
mod once;
mod output;
mod plan_file;
mod sse;
mod stored;
mod table;
mod text;
mod view;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};
use crate::exit::{Exit, Failure};
use crate::output::{Output, tell};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new(arguments.json);
    let outcome = run(&arguments, &mut output);
    // What was printed before a failure is part of the answer.
    let printed = output.finish();
    match outcome.and_then(|exit| printed.map(|()| exit)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            tell(&failure.to_string());
            failure.exit.into()
        }
    }
}

fn run(arguments: &Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let socket = &arguments.socket;
    match &arguments.command {
        Command::Status => command::status::run(socket, output),
        Command::Scan(scan) => command::scan::run(scan, socket, output),
        Command::Plan => command::plan::run(socket, output),
        Command::Apply(apply) => command::apply::run(apply, socket, output),
        Command::Stop { run } => command::control::stop(run, socket, output),
        Command::Pause => command::control::pause(socket, output),
        Command::Resume => command::control::resume(socket, output),
        Command::Inventory(inventory) => command::inventory::run(inventory, socket, output),
        Command::Explain(explain) => command::explain::run(explain, socket, output),
        Command::Updates(updates) => command::updates::run(updates, socket, output),
        Command::Runs => command::runs::run(socket, output),
        Command::Show { run } => command::show::run(run, socket, output),
        Command::Report(report) => command::report::run(report, socket, output),
        Command::Baseline(baseline) => command::baseline::run(baseline, output),
        Command::Windows(windows) => command::windows::run(windows, output),
        Command::Config(config) => command::config::run(config, output),
        Command::Patchers(patchers) => command::patchers::run(patchers, output),
        Command::Doctor => command::doctor::run(socket, output),
        Command::Version(version) => command::version::run(version, output),
    }
}
