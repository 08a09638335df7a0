//! Reads a host without the daemon: which root, which configuration, which time. It writes nothing.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use patchd_core::compliance::Attempts;
use patchd_core::inventory::Inventory;
use patchd_core::problem::{Problem, Weight};
use patchd_core::report::{Operation, Report};
use patchd_host::root::Root;
use patchd_host::scan::ScanRequest;
use patchd_host::{config_files, scan};
use patchd_protocol::config::{Mistakes, Settings};

use crate::arguments::{JudgeArguments, OnceArguments};
use crate::command::now;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::view::View;

/// Looks at a host and judges it.
pub(crate) fn report_of(root: &Root, arguments: &JudgeArguments) -> Result<Report, Failure> {
    let settings = settings_of(root, arguments)?;
    let clock = || arguments.now.unwrap_or_else(now);
    let id = new_id(clock());
    let (freeze, attempts) = (settings.frozen(clock()), Attempts::new());
    let request = ScanRequest {
        id: &id,
        operation: Operation::Scan,
        agent_version: env!("CARGO_PKG_VERSION"),
        host_id: settings.agent.host_id.as_deref(),
        cloud: None,
        windows: &settings.windows,
        is_paused: false,
        freeze: freeze.as_ref(),
        attempts: &attempts,
        max_list_age: SignedDuration::try_from(settings.scan.max_list_age).unwrap_or(SignedDuration::MAX),
        problems: Vec::new(),
        run: None,
        old_code: None,
    };
    Ok(scan::scan(root, request, clock))
}

/// What the host's own configuration says. A mistake in it is no reason to guess.
fn settings_of(root: &Root, arguments: &JudgeArguments) -> Result<Settings, Failure> {
    let config_root = arguments.config_root.as_deref().map(existing_root).transpose()?;
    config_files::load(config_root.as_ref().unwrap_or(root)).map_err(|mistakes| mistaken(&mistakes))
}

/// A configuration that can't be gone by.
pub(crate) fn mistaken(mistakes: &Mistakes) -> Failure {
    let mistakes: Vec<_> = mistakes.list().iter().map(ToString::to_string).collect();
    Failure::because(Exit::BadInput, format!("the configuration has mistakes: {}", mistakes.join("; ")))
}

/// An id that no other report has: the time, and bits that the system chose.
fn new_id(time: Timestamp) -> String {
    let random = RandomState::new().hash_one(std::process::id());
    format!("{}-{random:016x}", time.strftime("%Y%m%dT%H%M%SZ"))
}

/// How documents of a host are shown.
pub(crate) fn view_of(root: &Root, arguments: &JudgeArguments, output: &Output) -> View {
    View {
        width: output.width,
        now: arguments.now.unwrap_or_else(now),
        is_full: true,
        root: (!root.is_host()).then(|| root.directory().display().to_string()),
    }
}

/// The root to read. A directory that isn't there is a slip of the caller, and no empty host.
pub(crate) fn root_of(arguments: &OnceArguments) -> Result<Root, Failure> {
    arguments.root.as_deref().map_or_else(|| Ok(Root::host()), existing_root)
}

pub(crate) fn existing_root(directory: &Path) -> Result<Root, Failure> {
    let unusable = |reason: String| {
        Failure::because(Exit::BadInput, format!("can't read {}: {reason}", directory.display()))
    };
    // Absolute, so that every place in every problem can be found from anywhere.
    let directory = std::path::absolute(directory).map_err(|error| unusable(error.to_string()))?;
    match std::fs::metadata(&directory) {
        Ok(metadata) if metadata.is_dir() => Ok(Root::at(directory)),
        Ok(_) => Err(unusable("it is no directory".into())),
        Err(error) => Err(unusable(error.to_string())),
    }
}

/// A host without a single package has no readable database: that is a failure, whatever else could be read.
pub(crate) fn check_readable(inventory: &Inventory) -> Result<(), Failure> {
    if !inventory.packages.is_empty() {
        return Ok(());
    }
    let worst = inventory.problems.iter().find(|problem| problem.weight == Weight::Incomplete);
    let sentence = worst.map_or_else(|| "it names no package".into(), Problem::to_string);
    Err(Failure::because(Exit::Failed, format!("can't read the package database: {sentence}")))
}
