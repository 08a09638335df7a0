//! Which baseline is meant: a file, one that is built in, or the one that a host is judged by.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use patchd_core::baseline::Baseline;
use patchd_core::baseline::system::OperatingSystem;
use patchd_core::problem::Weight;
use patchd_host::root::Root;
use patchd_host::{baseline_files, config_files};
use patchd_protocol::baseline::{self, BaselineFile, MAX_BASELINE, Mistakes};

use crate::exit::{Exit, Failure};
use crate::once;

/// The word for the baseline that the host is judged by.
pub(super) const HOST: &str = "host";

/// A baseline, and where it came from.
pub(super) struct Found {
    pub(super) file: BaselineFile,
    pub(super) source: String,
}

/// The baseline that an argument names; `root` is the host.
pub(super) fn named(argument: &str, root: &Root) -> Result<Found, Failure> {
    if argument == HOST { of_host(root) } else { find(argument, baseline::read) }
}

/// The same for one operating system: of a list, the one for it.
pub(super) fn named_for(argument: &str, root: &Root, system: OperatingSystem) -> Result<Found, Failure> {
    if argument == HOST {
        return of_host(root);
    }
    let found = find(argument, |name, content| baseline::read_for(name, content, system))?;
    let own = found.file.baseline.system;
    if own == system {
        return Ok(found);
    }
    let sentence = format!("{argument} is for {}, and the host is {}", own.as_str(), system.as_str());
    Err(Failure::because(Exit::BadInput, sentence))
}

/// The one that the host is judged by, as its configuration says. Which patch group its instance's tag names only the
/// daemon knows, and every report says.
fn of_host(root: &Root) -> Result<Found, Failure> {
    let settings = config_files::load(root).map_err(|mistakes| once::mistaken(&mistakes))?;
    let source = settings.baseline.of_group(settings.agent.patch_group.as_deref());
    let (ruling, problems) = baseline_files::load(root, root, source);
    let serious = problems.iter().filter(|problem| problem.weight == Weight::Incomplete);
    let serious: Vec<_> = serious.map(ToString::to_string).collect();
    if serious.is_empty() {
        return Ok(Found { file: BaselineFile::of(ruling.baseline), source: ruling.origin.source });
    }
    Err(Failure::because(Exit::Failed, format!("this host's baseline can't be used: {}", serious.join("; "))))
}

fn find(
    argument: &str,
    read: impl Fn(&str, &[u8]) -> Result<BaselineFile, Mistakes>,
) -> Result<Found, Failure> {
    if let Some(builtin) = builtin(argument) {
        return Ok(Found { source: builtin.id.clone(), file: BaselineFile::of(builtin) });
    }
    if argument.starts_with("builtin:") {
        let ids = OperatingSystem::ALL.map(|system| Baseline::builtin(system).id).join(", ");
        let sentence = format!("there is no predefined baseline {argument}; use one of: {ids}");
        return Err(Failure::because(Exit::BadInput, sentence));
    }
    let bytes = bytes(Path::new(argument)).map_err(|error| {
        let context = format!("can't read the baseline {argument}");
        Failure::new(Exit::BadInput, anyhow::Error::new(error).context(context))
    })?;
    let file = read(argument, &bytes).map_err(|mistakes| {
        let mistakes: Vec<_> = mistakes.list().iter().map(ToString::to_string).collect();
        Failure::because(Exit::BadInput, mistakes.join("; "))
    })?;
    Ok(Found { file, source: argument.to_owned() })
}

fn builtin(argument: &str) -> Option<Baseline> {
    let named = |baseline: &Baseline| baseline.name.eq_ignore_ascii_case(argument);
    Baseline::builtin_by_id(argument)
        .or_else(|| OperatingSystem::ALL.into_iter().map(Baseline::builtin).find(named))
}

/// The content of a file, of a pipe, or of standard input for `-`: no more than it takes to see that it is too much.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(MAX_BASELINE).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}
