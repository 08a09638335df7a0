//! Configuration files that were edited here and are shipped anew: what root's rule for their package makes of them.
//!
//! `keep` is what dpkg is always told. `hold` is decided before anything is touched, by dpkg's own rule, from the
//! archive itself. `replace` is done afterwards, file by file: what dpkg is told holds for all packages of a call.
//! What a package's scripts manage themselves (ucf, debconf) is not touched.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchd_core::inventory::Inventory;
use patchd_core::package::PackageId;
use patchd_core::plan::{Plan, PlannedChange};
use patchd_host::dpkg::conffiles::{Conffiles, Current, Md5, Recorded};
use patchd_host::dpkg::leftovers::leftovers;
use patchd_host::read;
use patchd_host::root::Root;
use patchd_protocol::config::{ApplySettings, ConffileRule};
use patchd_protocol::executor::{PackageWire, RefusalCode};

use crate::child::pipe::{self, Program};
use crate::read_back;
use crate::refusal::Stop;
use crate::text;
use crate::transaction::archives;
use crate::transaction::checks::few;
use crate::verbs::Executor;

/// How long looking into one archive may take.
const LOOK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The longest list of conffiles in an archive, and the longest conffile.
const MAX_LIST: u64 = 4 << 20;
const MAX_CONFFILE: u64 = 64 << 20;

/// The most files that a record tells of.
const MAX_LEFT: usize = 500;

/// Refuses a plan of which dpkg would ask about a conffile of a package whose rule is `hold`.
pub(crate) fn check_held(
    executor: &Executor,
    plan: &Plan,
    before: &Inventory,
    rules: &ApplySettings,
) -> Result<(), Stop> {
    let is_held =
        |change: &&PlannedChange| rules.conffile_rule(change.package.name.as_str()) == ConffileRule::Hold;
    let held: Vec<_> = plan.changes().iter().filter(is_held).collect();
    if held.is_empty() {
        return Ok(());
    }
    let (conffiles, problems) = Conffiles::read(&executor.root);
    if let Some(problem) = problems.first() {
        return Err(Stop::Failed {
            message: format!("which configuration files would be asked about can't be told: {problem}"),
        });
    }
    let cache = archives::cache(&executor.root);
    let (mut lines, mut blamed) = (Vec::new(), Vec::new());
    for change in held {
        let installed =
            read_back::find(before, &change.package).map_or(&change.package, |installed| &installed.id);
        let archive = archives::find(&cache, change, before.native.as_str()).map(|(path, _)| path);
        let asked = match archive {
            Some(archive) => asked_about(executor, &conffiles, installed, &archive),
            // A package of a `file:` source is in no cache. What was not edited is asked about rarely.
            None => Ok(conffiles
                .edited(&executor.root, [installed])
                .into_iter()
                .map(|edited| edited.path)
                .collect()),
        };
        match asked {
            Ok(paths) if paths.is_empty() => {}
            Ok(paths) => {
                let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
                lines.push(format!("{} would replace what was edited: {}", change.package, few(&paths)));
                blamed.push(PackageWire::from(&change.package));
            }
            Err(why) => {
                lines.push(format!("{}: its archive can't be looked into: {why}", change.package));
                blamed.push(PackageWire::from(&change.package));
            }
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let message = format!("configuration files hold packages back by policy: {}", few(&lines));
    Err(Stop::blaming(RefusalCode::Conffile, message, blamed))
}

/// The conffiles of an archive that dpkg would ask about.
fn asked_about(
    executor: &Executor,
    conffiles: &Conffiles,
    package: &PackageId,
    archive: &Path,
) -> Result<Vec<PathBuf>, String> {
    let place = Scratch::make(executor.records.output().join("conffiles"))?;
    let archive = archive.to_str().ok_or("its path is not text")?;
    let extract = |from: &str, members: &[String]| -> Result<bool, String> {
        let (deb, tar) = (executor.apt.program("dpkg-deb"), tar(executor));
        let first = [from, archive].map(str::to_owned);
        let directory = place.0.to_string_lossy();
        let fixed = ["-x", "-f", "-", "--no-same-owner", "-C", &directory, "--"].map(str::to_owned);
        let second: Vec<String> = fixed.into_iter().chain(members.iter().cloned()).collect();
        let (first, second) =
            (Program { path: &deb, arguments: &first }, Program { path: &tar, arguments: &second });
        let output = executor.records.output().join("conffiles.out");
        pipe::run(first, second, &output, LOOK_LIMIT).map_err(|error| error.to_string())
    };
    // An archive without conffiles has no such member, and tar fails: then the control file alone tells that it can be
    // read at all.
    if !extract("--ctrl-tarfile", &["./control".to_owned()])? {
        return Err("dpkg-deb fails".into());
    }
    extract("--ctrl-tarfile", &["./conffiles".to_owned()])?;
    let list = read::read_optional(&Root::host(), place.0.join("conffiles"), MAX_LIST)
        .map_err(|error| error.to_string())?
        .unwrap_or_default();
    let list = String::from_utf8(list).map_err(|_| "its list of conffiles is not text")?;
    let could_ask = |path: &&str| {
        let path = Path::new(path);
        match (conffiles.recorded(package, path), conffiles.current(&executor.root, package, path)) {
            (Recorded::Shipped(known), Current::Content(content)) => known != content,
            (Recorded::Never, Current::Missing) | (_, Current::Linked | Current::Special) => false,
            _ => true,
        }
    };
    let doubtful: Vec<&str> =
        list.lines().map(str::trim).filter(|line| line.starts_with('/')).filter(could_ask).collect();
    if doubtful.is_empty() {
        return Ok(Vec::new());
    }
    let members: Vec<String> = doubtful.iter().map(|path| format!(".{path}")).collect();
    if !extract("--fsys-tarfile", &members)? {
        return Err("dpkg-deb or tar fails".into());
    }
    let mut shipped = BTreeMap::new();
    for path in doubtful {
        let path = Path::new(path);
        let inside = place.0.join(path.strip_prefix("/").unwrap_or(path));
        let content = read::read(&Root::at(&place.0), path, MAX_CONFFILE)
            .map_err(|error| format!("{}: {error}", inside.display()))?;
        shipped.insert(path, Md5::of(&content));
    }
    let asked = conffiles.prompts(&executor.root, package, shipped.iter().map(|(path, hash)| (*path, *hash)));
    Ok(asked.into_iter().map(Path::to_owned).collect())
}

/// Where the directories of programs were never merged, tar lies in the other one.
fn tar(executor: &Executor) -> PathBuf {
    let usual = executor.apt.program("tar");
    if usual.exists() { usual } else { PathBuf::from("/bin/tar") }
}

/// A directory of the executor's own, as long as it lives.
struct Scratch(PathBuf);

impl Scratch {
    fn make(path: PathBuf) -> Result<Self, String> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
        patchd_host::durable::create_directories(&path, 0o700).map_err(|error| error.to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is removed before the next look.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Which file lies beside a conffile: one of the same name that was written anew is another one.
type Beside = BTreeMap<PathBuf, (PackageId, u64, i64, i64)>;

/// What lies beside the conffiles of the plan's packages.
pub(crate) fn beside(executor: &Executor, plan: &Plan, inventory: &Inventory) -> Beside {
    let (conffiles, _) = Conffiles::read(&executor.root);
    let packages = plan.changes().iter().map(|change| {
        read_back::find(inventory, &change.package).map_or(&change.package, |installed| &installed.id)
    });
    let stamp = |left: patchd_host::dpkg::leftovers::Leftover| {
        let metadata = executor.root.resolve(&left.path).and_then(std::fs::symlink_metadata).ok()?;
        Some((left.path, (left.package, metadata.ino(), metadata.mtime(), metadata.mtime_nsec())))
    };
    leftovers(&executor.root, &conffiles, packages).into_iter().filter_map(stamp).collect()
}

/// Puts what was shipped in the place of what was edited where that is the rule. Afterwards, what the transaction left
/// beside conffiles, and what there is to note.
pub(crate) fn settle(
    executor: &Executor,
    plan: &Plan,
    after: &Inventory,
    rules: &ApplySettings,
    before: &Beside,
) -> (Vec<String>, Vec<String>) {
    let mut notes = Vec::new();
    let mut now = beside(executor, plan, after);
    let is_new = |path: &PathBuf, stamp: &(PackageId, u64, i64, i64)| before.get(path) != Some(stamp);
    for (path, (package, ..)) in now.iter().filter(|(path, stamp)| is_new(path, stamp)) {
        let shipped = path.to_str().and_then(|path| path.strip_suffix(".dpkg-dist"));
        if let Some(path) =
            shipped.filter(|_| rules.conffile_rule(package.name.as_str()) == ConffileRule::Replace)
        {
            notes.push(match replace(&executor.root, Path::new(path)) {
                Ok(()) => format!("{path} is what {package} ships; what was edited lies in {path}.dpkg-old"),
                Err(error) => format!("{path} could not be replaced by what {package} ships: {error}"),
            });
        }
    }
    if !notes.is_empty() {
        now = beside(executor, plan, after);
    }
    let left = now.into_iter().filter(|(path, stamp)| is_new(path, stamp)).map(|(path, _)| path);
    let left = left.take(MAX_LEFT).map(|path| text::cut(&path.to_string_lossy())).collect();
    (left, notes.iter().map(|note| text::cut(note)).collect())
}

/// Makes `PATH.dpkg-dist` the file and the file `PATH.dpkg-old`; at no moment there is none. dpkg has given the new one
/// the owner and the mode of the old one.
fn replace(root: &Root, path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = root.resolve(parent)?;
    // In a directory that somebody else writes, names can be exchanged under our hands.
    let metadata = std::fs::metadata(&directory)?;
    if metadata.uid() != nix::unistd::Uid::effective().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write its directory"));
    }
    let with = |suffix: &str| {
        let mut name = name.to_owned();
        name.push(suffix);
        directory.join(name)
    };
    let (file, shipped, old) = (directory.join(name), with(".dpkg-dist"), with(".dpkg-old"));
    if !std::fs::symlink_metadata(&shipped)?.is_file() {
        return Err(io::Error::other("what was shipped is no file"));
    }
    match std::fs::symlink_metadata(&file) {
        Ok(metadata) if metadata.is_file() => {
            let kept = with(".dpkg-patchd");
            match std::fs::remove_file(&kept) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            std::fs::hard_link(&file, &kept)?;
            std::fs::rename(&kept, &old)?;
        }
        Ok(_) => return Err(io::Error::other("it is no file")),
        // It was deleted here: there is nothing to keep.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::fs::rename(&shipped, &file)?;
    std::fs::File::open(&directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use patchd_host::durable::atomic_write;

    use super::*;

    fn directory_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, content) in files {
            atomic_write(&directory.path().join(name), content.as_bytes(), 0o640).unwrap();
        }
        directory
    }

    #[test]
    fn the_shipped_file_takes_the_place_and_the_edited_one_is_kept() {
        let files = [("a", "edited"), ("a.dpkg-dist", "shipped"), ("a.dpkg-old", "older")];
        let directory = directory_with(&files);
        replace(&Root::at(directory.path()), Path::new("/a")).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!((read("a").as_str(), read("a.dpkg-old").as_str()), ("shipped", "edited"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_deleted_file_comes_back_and_links_are_left_alone() {
        let directory = directory_with(&[("a.dpkg-dist", "shipped")]);
        let root = Root::at(directory.path());
        replace(&root, Path::new("/a")).unwrap();
        assert_eq!(std::fs::read_to_string(directory.path().join("a")).unwrap(), "shipped");
        let directory = directory_with(&[("b", "target"), ("a.dpkg-dist", "shipped")]);
        std::os::unix::fs::symlink("b", directory.path().join("a")).unwrap();
        assert!(replace(&Root::at(directory.path()), Path::new("/a")).is_err());
        assert_eq!(std::fs::read_to_string(directory.path().join("b")).unwrap(), "target");
    }

    #[test]
    fn in_a_directory_that_others_write_nothing_is_replaced() {
        let directory = directory_with(&[("a", "edited"), ("a.dpkg-dist", "shipped")]);
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o775)).unwrap();
        assert!(replace(&Root::at(directory.path()), Path::new("/a")).is_err());
        assert_eq!(std::fs::read_to_string(directory.path().join("a")).unwrap(), "edited");
    }
}
