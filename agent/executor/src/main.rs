//! patchd-executor: the root helper. Its life: find the socket, the policy and the records, answer, end when idle.
//!
//! It opens no network connection, parses nothing but requests, root's own policy and the package manager's answers, and
//! holds no state that is not in its records.

mod apt;
mod arguments;
mod child;
mod clock;
mod dpkg;
mod grant;
mod hooks;
mod inhibitor;
mod last_words;
mod log;
mod observe;
mod patchers;
mod plan_check;
mod policy;
mod progress;
mod read_back;
mod reboot;
mod record;
mod refusal;
mod repair;
mod serve;
mod text;
mod transaction;
mod verbs;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Uid, User, setsid};
use patchd_host::root::Root;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::apt::Apt;
use crate::arguments::Arguments;
use crate::dpkg::Dpkg;
use crate::grant::Grants;
use crate::inhibitor::Inhibitors;
use crate::patchers::Systemctl;
use crate::policy::Policy;
use crate::reboot::Reboots;
use crate::record::Records;
use crate::serve::{Server, Socket};
use crate::verbs::Executor;

/// The user that the daemon runs as, and who may ask besides root.
const DAEMON: &str = "patchd";

/// Where the programs of the distribution lie.
const PROGRAMS: &str = "/usr/bin";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            log::error(format_args!("{error}"));
            return ExitCode::from(2);
        }
    };
    if let Some(plan) = &arguments.check_plan {
        return match plan_check::check(plan, std::io::stdin()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                log::error(format_args!("this is not the plan, and nothing was changed: {why}"));
                ExitCode::FAILURE
            }
        };
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    close_spare_descriptors();
    // No terminal: nothing that apt starts may ask a person, or be stopped by one. Under systemd it is done already.
    let _ = setsid();
    // Maintainer scripts expect the usual mask, whatever the shell of `patchd once` has.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    let socket = Socket::of_standard_input()?;
    let (stop, told) = UnixStream::pair().context("can't make a socketpair")?;
    for signal in [SIGTERM, SIGINT] {
        let told = told.try_clone().context("can't copy a socket")?;
        pipe::register(signal, told).with_context(|| format!("can't handle signal {signal}"))?;
    }
    let owner = Uid::effective().as_raw();
    let records = Records::open(&arguments.state, owner, Root::host())?;
    let executor = Executor {
        root: Root::host(),
        policy: Policy::new(Root::at(&arguments.config_root), owner),
        apt: Apt::new(Path::new(PROGRAMS), records.output()),
        inhibitors: Inhibitors::new(Path::new(PROGRAMS), records.output()),
        systemctl: Systemctl::new(Path::new(PROGRAMS), records.output()),
        dpkg: Dpkg::new(Path::new(PROGRAMS)),
        records,
        grants: Grants::open(&arguments.state, owner)?,
        reboots: Reboots::new(Path::new(PROGRAMS), &arguments.state, patchd_host::machine::boot_id),
        now: clock::now,
        stopping: AtomicBool::new(false),
        clock: patchd_host::clock::synchronisation,
    };
    let mut allowed = vec![0, owner];
    match User::from_name(DAEMON) {
        Ok(user) => allowed.extend(user.map(|user| user.uid.as_raw())),
        Err(errno) => {
            log::warning(format_args!("the user {DAEMON} can't be looked up: {errno}; only root may ask"))
        }
    }
    Server::new(executor, allowed).run(socket, arguments.idle, &stop)?;
    Ok(())
}

/// systemd hands the socket over a second time, as a descriptor that every child would inherit.
fn close_spare_descriptors() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) {
        let count = number("LISTEN_FDS").and_then(|count| i32::try_from(count).ok()).unwrap_or_default();
        for descriptor in 3..3 + count.min(16) {
            // One that isn't open is closed already.
            let _ = nix::unistd::close(descriptor);
        }
    }
}
