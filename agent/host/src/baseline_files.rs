//! The baseline that a host is judged by, from its files: which file, what it says, and what to say where it can't be
//! used. Nothing is fetched here: what comes from S3 is handed in, or taken from the copy that the daemon keeps.
//!
//! A baseline that can't be used is never replaced by another one in silence: nothing is approved then, and the
//! assessment is incomplete.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use patchd_core::baseline::ruling::{Origin, Ruling};
use patchd_core::baseline::system::OperatingSystem;
use patchd_core::problem::{Problem, ProblemKind, Weight};
use patchd_protocol::baseline;
use patchd_protocol::config::{BaselineSource, DEFAULT_FILES};
use sha2::{Digest, Sha256};

use crate::os::read_os_release;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// Where the daemon keeps the last copy of what it fetched, below its state directory.
pub const COPIES: &str = "baselines";

/// The longest file, in bytes.
const MAX_FILE: u64 = baseline::MAX_BASELINE as u64;

/// The daemon's state directory on a host, below its root.
const STATE: &str = "var/lib/patchd";

/// A baseline's file, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineContent {
    /// A path or an `s3://` URL.
    pub source: String,
    pub content: Vec<u8>,
    /// When it was fetched, where it comes from elsewhere.
    pub fetched_at: Option<Timestamp>,
}

/// The ruling, and what is to be said beside it.
pub type Ruled = (Ruling, Vec<Problem>);

/// What the configuration of a host comes to: `root` is what is judged, `config_root` has the files.
///
/// Of an object in S3 the daemon's last copy is used.
pub fn load(root: &Root, config_root: &Root, source: &BaselineSource) -> Ruled {
    let system = system_of(root);
    match source {
        BaselineSource::Builtin(named) => predefined(*named, system),
        BaselineSource::Default => load_default(config_root, system),
        BaselineSource::File(path) => load_file(config_root, path, system),
        BaselineSource::S3 { bucket, key } => match copy(root, bucket, key) {
            Ok(content) => judge(content, system),
            Err(problem) => (Ruling::unusable(source.to_string(), system), vec![problem]),
        },
    }
}

/// The operating system whose baseline a root wants.
pub fn system_of(root: &Root) -> OperatingSystem {
    // Whoever scans the root reads it again, and tells what is wrong with it.
    read_os_release(root, &mut ProblemList::new("os-release")).system_of_apt_host()
}

/// The bytes of a file that the configuration names.
pub fn read_file(root: &Root, path: &Path) -> Result<Vec<u8>, Problem> {
    let name = path.strip_prefix("/").unwrap_or(path);
    read::read(root, name, MAX_FILE).map_err(|error| error.to_problem(Weight::Incomplete))
}

/// The file that somebody names on a command line, as it is.
pub fn load_file(root: &Root, path: &Path, system: OperatingSystem) -> Ruled {
    let name = path.strip_prefix("/").unwrap_or(path);
    match read::read(root, name, MAX_FILE) {
        Ok(content) => {
            let source = root.path(name).display().to_string();
            judge(BaselineContent { source, content, fetched_at: None }, system)
        }
        Err(error) => {
            let source = root.path(name).display().to_string();
            (Ruling::unusable(source, system), vec![error.to_problem(Weight::Incomplete)])
        }
    }
}

fn load_default(root: &Root, system: OperatingSystem) -> Ruled {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in DEFAULT_FILES.map(Path::new) {
        match root.resolve(path.strip_prefix("/").unwrap_or(path)) {
            Ok(there) if there.symlink_metadata().is_ok() => found.push(path.to_owned()),
            _ => {}
        }
    }
    match found.as_slice() {
        [] => (Ruling::predefined(system), Vec::new()),
        [path] => load_file(root, path, system),
        [path, other, ..] => {
            let message = format!("{} is there too; remove one of them", other.display());
            let place = path.display().to_string();
            let problem = Problem::new(ProblemKind::Duplicate, Weight::Incomplete, place, message);
            (Ruling::unusable(path.display().to_string(), system), vec![problem])
        }
    }
}

/// Reads what was found. `system` is the host's own.
pub fn judge(found: BaselineContent, system: OperatingSystem) -> Ruled {
    let BaselineContent { source, content, fetched_at } = found;
    let digest = hexadecimal(&content);
    match baseline::read_for(&source, &content, system) {
        Ok(file) => {
            let problems = file.notes.iter().map(|note| {
                let message = format!("{}: {}", note.path, note.message);
                let problem = Problem::new(ProblemKind::UnknownFeature, Weight::Notice, &*source, message);
                problem.at_line(line_of(note.line))
            });
            let problems = problems.collect();
            let origin = Origin { digest: Some(digest), fetched_at, ..Origin::of(source) };
            (Ruling { baseline: file.baseline, override_list: None, origin }, problems)
        }
        Err(mistakes) => {
            let problems = mistakes.list().iter().map(|mistake| {
                let message = match &mistake.key {
                    Some(path) => format!("{path}: {}", mistake.message),
                    None => mistake.message.clone(),
                };
                let problem = Problem::new(ProblemKind::Malformed, Weight::Incomplete, &*source, message);
                match mistake.line {
                    Some(line) => problem.at_line(line_of(line)),
                    None => problem,
                }
            });
            let problems = problems.collect();
            (Ruling::unusable(source, system), problems)
        }
    }
}

/// The predefined baseline that the configuration names. One for another system means nothing here.
fn predefined(named: OperatingSystem, system: OperatingSystem) -> Ruled {
    let ruling = Ruling::predefined(named);
    if named == system {
        return (ruling, Vec::new());
    }
    let source = ruling.origin.source;
    let message = format!("it is for {}, and this host is {}", named.as_str(), system.as_str());
    let problem = Problem::new(ProblemKind::Malformed, Weight::Incomplete, &*source, message);
    (Ruling::unusable(source, system), vec![problem])
}

fn line_of(line: usize) -> u64 {
    u64::try_from(line).unwrap_or(u64::MAX)
}

/// The SHA-256 of bytes.
fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of the copy of an object: one that no key can make lead elsewhere.
pub fn copy_name(bucket: &str, key: &str) -> String {
    hexadecimal(format!("s3://{bucket}/{key}").as_bytes())
}

/// The daemon's last copy of an object.
fn copy(root: &Root, bucket: &str, key: &str) -> Result<BaselineContent, Problem> {
    read_copy(root, Path::new(STATE), bucket, key)
}

/// The last copy of an object below a state directory, with the time at which it was fetched.
pub fn read_copy(root: &Root, state: &Path, bucket: &str, key: &str) -> Result<BaselineContent, Problem> {
    let source = format!("s3://{bucket}/{key}");
    let name = state.join(COPIES).join(copy_name(bucket, key));
    let unreadable = |error: read::FileError| {
        let message = format!("the copy that patchd keeps of it can't be used: {}", error.reason);
        Problem::new(ProblemKind::Unreadable, Weight::Incomplete, &*source, message)
    };
    let file = read::open(root, &name).map_err(unreadable)?;
    let fetched_at = file.metadata().modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let content = file.read_all(MAX_FILE).map_err(unreadable)?;
    Ok(BaselineContent { source, content, fetched_at })
}
