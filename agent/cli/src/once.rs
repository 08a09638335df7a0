//! Reads a host without the daemon: which root, which configuration, which time. It writes nothing.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::compliance::Attempts;
use patchd_core::inventory::Inventory;
use patchd_core::problem::{Problem, Weight};
use patchd_core::report::{Operation, Report};
use patchd_host::baseline_files::{self, Ruled};
use patchd_host::root::Root;
use patchd_host::scan::ScanRequest;
use patchd_host::{config_files, scan};
use patchd_protocol::config::{Mistakes, Settings, parse_source};

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
    let (ruling, problems) = ruling_of(root, arguments, &settings)?;
    let request = ScanRequest {
        id: &id,
        operation: Operation::Scan,
        agent_version: env!("CARGO_PKG_VERSION"),
        host_id: settings.agent.host_id.as_deref(),
        cloud: None,
        ruling: &ruling,
        // The daemon keeps these dates. Without them every version is new, and none is approved too early.
        first_seen: &FirstSeen::default(),
        windows: &settings.windows,
        is_paused: false,
        freeze: freeze.as_ref(),
        attempts: &attempts,
        max_list_age: SignedDuration::try_from(settings.scan.max_list_age).unwrap_or(SignedDuration::MAX),
        extracts: None,
        problems,
        run: None,
        old_code: None,
    };
    Ok(scan::scan(root, request, clock))
}

/// What the host is judged by: what the command line names, else what the configuration does.
///
/// A baseline on the command line is the caller's own: one that can't be used is refused, where the host's would be told
/// of in the report.
fn ruling_of(root: &Root, arguments: &JudgeArguments, settings: &Settings) -> Result<Ruled, Failure> {
    let Some(named) = &arguments.baseline else {
        let config_root = arguments.config_root.as_deref().map(existing_root).transpose()?;
        let group = settings.agent.patch_group.as_deref();
        let source = settings.baseline.of_group(group);
        let (ruling, problems) = baseline_files::load(root, config_root.as_ref().unwrap_or(root), source);
        return Ok((ruling.for_group(group), problems));
    };
    let system = baseline_files::system_of(root);
    let (ruling, problems) = if named.starts_with("builtin:") {
        let source = parse_source(named).map_err(|why| Failure::because(Exit::BadInput, why))?;
        baseline_files::load(root, root, &source)
    } else {
        let path = std::path::absolute(named).map_err(|error| {
            Failure::because(Exit::BadInput, format!("can't read the baseline {named}: {error}"))
        })?;
        baseline_files::load_file(&Root::host(), &path, system)
    };
    let mistakes: Vec<_> = problems
        .iter()
        .filter(|problem| problem.weight == Weight::Incomplete)
        .map(ToString::to_string)
        .collect();
    if mistakes.is_empty() {
        Ok((ruling, problems))
    } else {
        let told = mistakes.join("; ");
        Err(Failure::because(Exit::BadInput, format!("the baseline can't be used: {told}")))
    }
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
