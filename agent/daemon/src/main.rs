//! `patchd`: arguments, configuration, logs; what root is needed for; then the daemon, or one run.

mod program;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use futures_util::StreamExt;
use nix::sys::stat::{Mode, umask};
use patchd_daemon::agent::Ended;
use patchd_daemon::own_program::OwnProgram;
use patchd_daemon::{chain, sys, tls};
use patchd_host::config_files;
use patchd_host::root::Root;
use patchd_protocol::config::{LogLevel, Settings};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::program::arguments::{self, Arguments, Command, Once, Places};
use crate::program::logs::{self, LogHandle};
use crate::program::{check, once, privilege, service, supervisor};

fn main() -> ExitCode {
    sys::begin();
    let Arguments { places, end_for_new_program, command } = Arguments::parse();
    if matches!(command, Some(Command::Supervise)) {
        // It is root, and reads no configuration.
        return exit(supervisor::supervise(&places).map(|()| arguments::DONE));
    }
    if let Some(Command::Check { json }) = command {
        return exit(checks(&places, json));
    }
    // Reports name every hole of a host: nothing that we write is for everybody.
    umask(Mode::S_IRWXO | Mode::S_IWGRP);
    let settings = match config_files::load(&Root::at(&places.config_root)) {
        Ok(settings) => settings,
        Err(mistakes) => {
            for mistake in mistakes.list() {
                complain(&mistake.to_string());
            }
            return ExitCode::from(arguments::BAD_INPUT);
        }
    };
    tls::install_provider();
    let ended = match command {
        None => daemon(&places, settings, end_for_new_program),
        Some(Command::Once(wanted)) => one_run(&places, settings, &wanted),
        Some(Command::Check { .. } | Command::Supervise) => Ok(arguments::DONE),
    };
    exit(ended)
}

fn exit(ended: Result<u8>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&chain::chain(error.as_ref()));
            ExitCode::from(arguments::FAILED)
        }
    }
}

fn daemon(places: &Places, settings: Settings, is_started_again: bool) -> Result<u8> {
    let logs = logs::begin(settings.log.level);
    let state = places.state.clone().unwrap_or_else(|| service::STATE.into());
    let helper = privilege::find_helper(places)?;
    privilege::own_directory(&state)?;
    if let Some(runtime) = places.control_socket.parent()
        && !helper.is_of_systemd_in(runtime)
    {
        privilege::own_directory(runtime)?;
    }
    privilege::give_up_root()?;
    let program = OwnProgram::begin(&state, is_started_again);
    let sandbox = privilege::shut_in(places, &state, &settings);
    let ended = in_runtime(|runtime| {
        runtime.block_on(service::run(places, &state, settings, &helper, (program, sandbox), logs))
    })?;
    Ok(match ended {
        Ended::Told => arguments::DONE,
        Ended::NewProgram => arguments::NEW_PROGRAM,
    })
}

/// What stands in the way, told as the user that the daemon is. Mistakes in the configuration are a finding, not an end.
fn checks(places: &Places, is_json: bool) -> Result<u8> {
    umask(Mode::S_IRWXO | Mode::S_IWGRP);
    tls::install_provider();
    let settings = config_files::load(&Root::at(&places.config_root)).ok();
    let state = places.state.clone().unwrap_or_else(|| service::STATE.into());
    privilege::give_up_root()?;
    let looked = |runtime: &Runtime| runtime.block_on(check::look(settings, &state, &places.executor_socket));
    check::print(&in_runtime(looked)?, is_json)
}

fn one_run(places: &Places, settings: Settings, wanted: &Once) -> Result<u8> {
    let _: LogHandle = logs::begin(settings.log.level.min(LogLevel::Warn));
    let settings = once::settings(settings, wanted);
    let state: PathBuf = once::state(places.state.as_deref())?;
    let helper = privilege::find_helper(places)?;
    once::prepare(&state, &settings)?;
    privilege::give_up_root()?;
    in_runtime(|runtime| {
        runtime.block_on(async {
            let stop = CancellationToken::new();
            let told = stop.clone();
            let mut signals = Signals::new([SIGTERM, SIGINT]).context("can't listen to signals")?;
            tokio::spawn(async move {
                signals.next().await;
                told.cancel();
            });
            let socket = places.executor_socket.as_path();
            once::run(wanted.operation.into(), settings, &state, &helper, socket, stop).await
        })
    })
}

/// One thread for everything that waits; files and SQLite have threads that end when they have nothing to do, and the
/// last of them gives back the memory that the work took.
fn in_runtime<T>(work: impl FnOnce(&Runtime) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .on_thread_start(sys::thread_begins)
        .on_thread_stop(sys::thread_ends)
        .build()
        .context("can't make a runtime")?;
    let ended = work(&runtime);
    // A scan that nobody waits for any more must not hold the process.
    runtime.shutdown_background();
    ended
}

/// Says on standard error why the program ends.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "patchd: {message}");
}
