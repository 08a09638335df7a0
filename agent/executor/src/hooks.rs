//! The operator's own programs before and after patching, and before a reboot: `/etc/patchd/hooks/{pre-patch,post-patch,pre-reboot}.d/*`, in the order of
//! their names.
//!
//! They run as root, so only what nobody but root can have put there runs: all of a stage is looked at before the first
//! is started, and one file that is not as it must be keeps all of them from running. What they do is the operator's.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchd_host::config_files;
use patchd_host::read;
use patchd_host::root::Root;
use patchd_protocol::executor::{
    HookStage, ProgressWire, RefusalCode, TransactionKind, TransactionRecord, TransactionState,
};

use crate::child::{self, Call, Ended, Patience, keep_end};
use crate::clock::Moment;
use crate::record;
use crate::refusal::Stop;
use crate::repair::by_policy;
use crate::verbs::{Executor, Progress, output};
use crate::{log, reboot, text};

const DIRECTORY: &str = "etc/patchd/hooks";

/// How long each may take. It is ended then: what it is about is not a package.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The most hooks of a stage, and the longest name.
const MAX_HOOKS: usize = 100;
const MAX_NAME: usize = 128;

/// What an order for hooks is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order<'a> {
    pub(crate) run: &'a str,
    pub(crate) id: &'a str,
    pub(crate) stage: HookStage,
}

/// Runs the hooks of a stage, once: asked again with the same id, the answer is the record.
pub(crate) fn run(
    executor: &Executor,
    order: Order<'_>,
    progress: &mut Progress<'_>,
) -> Result<TransactionRecord, Stop> {
    if let Some(known) = known(executor, order)? {
        return Ok(known);
    }
    let _held = executor.hold(&format!("hooks {}", order.id))?;
    if let Some(known) = known(executor, order)? {
        return Ok(known);
    }
    let word = permission(executor, order)?;
    let hooks = find(executor.policy.root(), order.stage, executor.policy.owner())?;
    let intent = record::intent(order.id, order.run, TransactionKind::Hooks, (executor.now)());
    let mut record = TransactionRecord { permission: word, ..intent };
    executor.records.begin(&record).map_err(|error| Stop::failed(&error))?;
    let mut failed = None;
    for hook in &hooks {
        let code = run_one(executor, order, hook, &mut record, progress);
        if code == Some(0) {
            continue;
        }
        failed.get_or_insert(code);
        if order.stage != HookStage::PostPatch {
            break;
        }
    }
    record.state = TransactionState::Ended;
    record.ended_at = Some((executor.now)());
    record.exit_code = failed.unwrap_or(Some(0));
    record.output_tail = executor.records.log_tail(order.id);
    if failed.is_some() {
        // The last line is what a person sees first, and should name the hook.
        record.output_tail.extend(record.notes.iter().rev().find(|note| is_failure(note)).cloned());
    }
    executor.records.end(&record).map_err(|error| Stop::failed(&error))?;
    let _ = keep_end(&executor.records.log(order.id));
    executor.records.prune();
    Ok(record)
}

/// What is known of an order that was given before.
fn known(executor: &Executor, order: Order<'_>) -> Result<Option<TransactionRecord>, Stop> {
    let found = executor.records.find(order.id).map_err(|error| Stop::failed(&error))?;
    let Some(record) = found else { return Ok(None) };
    if record.kind != TransactionKind::Hooks {
        let message = format!("transaction {} ran no hooks", order.id);
        return Err(Stop::refused(RefusalCode::Malformed, message));
    }
    if record.state == TransactionState::Running {
        let message = format!("transaction {} is running; recall it", order.id);
        return Err(Stop::refused(RefusalCode::Busy, message));
    }
    Ok(Some(record))
}

/// Hooks come with changes, or with a reboot: they need what those need. What the ones before have begun, the ones after
/// may end, once.
fn permission(executor: &Executor, order: Order<'_>) -> Result<String, Stop> {
    if order.stage == HookStage::PreReboot {
        return reboot::permission(executor, order.run);
    }
    by_policy(executor).or_else(|stop| match order.stage {
        HookStage::PostPatch if has_begun(&executor.records.all(), order.run) => {
            Ok(format!("the run {} has begun", order.run))
        }
        HookStage::PrePatch | HookStage::PostPatch | HookStage::PreReboot => Err(stop),
    })
}

/// Whether the hooks before a run have been run, those after have not, and no other run has done anything since.
fn has_begun(records: &[TransactionRecord], run: &str) -> bool {
    let is_hooks = |record: &&TransactionRecord| record.kind == TransactionKind::Hooks && record.run == run;
    let is_last = records.last().is_some_and(|record| record.run == run);
    is_last && records.iter().filter(is_hooks).count() == 1
}

/// Every hook of a stage in its order, or a refusal that names the first file that may not be one. No directory is none.
fn find(root: &Root, stage: HookStage, owner: u32) -> Result<Vec<PathBuf>, Stop> {
    let refused = |message: String| Stop::refused(RefusalCode::Hook, text::cut(&message));
    let directory = Path::new(DIRECTORY).join(stage.directory());
    if root
        .path(&directory)
        .symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    {
        return Ok(Vec::new());
    }
    let on_the_way = |name: &Path| config_files::mistakes_on_the_way(root, std::iter::once(name), owner);
    if let Some(mistake) = on_the_way(&directory).into_iter().next() {
        return Err(refused(format!("no hook is run: {mistake}")));
    }
    let names = read::list(root, &directory, MAX_HOOKS)
        .map_err(|error| refused(format!("no hook is run: {error}: {}", error.reason)))?;
    let check = |name: &OsString| {
        let path = directory.join(name);
        let shown = root.path(&path);
        let wrong = |why: &str| refused(format!("no hook is run: {}: {why}", shown.display()));
        if !is_name(name.as_bytes()) {
            return Err(wrong(
                "a hook's name has letters, digits, - _ and . only, begins with a letter or digit, and is no editor's or \
                 dpkg's left-over; remove or rename it",
            ));
        }
        if let Some(mistake) = on_the_way(&path).into_iter().next() {
            return Err(refused(format!("no hook is run: {mistake}")));
        }
        let metadata =
            shown.symlink_metadata().map_err(|error| wrong(&format!("it can't be looked at: {error}")))?;
        if !metadata.is_file() {
            return Err(wrong("it is no regular file"));
        }
        if metadata.mode() & 0o100 == 0 {
            return Err(wrong("it is not executable; run chmod +x, or remove it"));
        }
        Ok(shown)
    };
    names.iter().map(check).collect()
}

fn is_name(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    name.first().is_some_and(u8::is_ascii_alphanumeric)
        && name.len() <= MAX_NAME
        && name.iter().all(is_allowed)
        && !has(b".dpkg-")
        && ![b".bak".as_slice(), b".orig", b".rpmsave", b".rpmnew", b".swp"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Runs a hook to its end or to its limit. Its exit code, if it had one.
fn run_one(
    executor: &Executor,
    order: Order<'_>,
    hook: &Path,
    record: &mut TransactionRecord,
    progress: &mut Progress<'_>,
) -> Option<i32> {
    let name = hook.file_name().unwrap_or_default().to_string_lossy().into_owned();
    progress(ProgressWire::Note { text: format!("hook {name}") });
    let stage = order.stage.directory().trim_end_matches(".d");
    let variables = [("PATCHD_RUN", order.run), ("PATCHD_STAGE", stage)];
    let log = executor.records.log(order.id);
    let call = Call { program: hook, arguments: &[], output: &log, errors: None, inherited: &[] };
    let patience = Patience::Limited { total: LIMIT, silence: LIMIT };
    let (started, mut last) = (Moment::now(), String::new());
    let ended = child::run_with(&variables, &call, patience, &mut |line: &str| {
        last = text::cut(line);
        progress(output(line));
    });
    let seconds = started.elapsed().as_secs();
    let (how, code) = match ended {
        Ok(Ended { cut: Some(cut), .. }) => (format!("{FAILED} {name} {cut}"), None),
        Ok(Ended { code: Some(0), .. }) => (format!("hook {name} took {seconds} seconds"), Some(0)),
        Ok(Ended { code: Some(code), .. }) => (format!("{FAILED} {name} ended with {code}"), Some(code)),
        Ok(Ended { code: None, .. }) => (format!("{FAILED} {name} was ended by a signal"), None),
        Err(error) => (format!("{FAILED} {name}: {:?}", Stop::failed(&error)), None),
    };
    let note = if code == Some(0) || last.is_empty() { how } else { format!("{how}: {last}") };
    log::info(format_args!("transaction {}: {note}", order.id));
    record.notes.push(text::cut(&note));
    code
}

/// How the note of a hook that failed begins.
const FAILED: &str = "the hook";

fn is_failure(note: &str) -> bool {
    note.starts_with(FAILED)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use patchd_host::durable::{atomic_write, create_directories};

    use super::*;
    use crate::refusal::Stop;

    struct Site(tempfile::TempDir);

    impl Site {
        fn new(names: &[&str]) -> Self {
            let site = Self(tempfile::tempdir().unwrap());
            create_directories(&site.path(""), 0o755).unwrap();
            for name in names {
                atomic_write(&site.path(name), b"#!/bin/sh\n", 0o755).unwrap();
            }
            site
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(DIRECTORY).join("pre-patch.d").join(name)
        }

        fn find(&self) -> Result<Vec<String>, Stop> {
            let owner = nix::unistd::Uid::effective().as_raw();
            let hooks = find(&Root::at(self.0.path()), HookStage::PrePatch, owner)?;
            Ok(hooks.iter().map(|hook| hook.file_name().unwrap().to_string_lossy().into_owned()).collect())
        }

        #[track_caller]
        fn check_refused(&self, part: &str) {
            let refused = self.find().unwrap_err();
            let Stop::Refused(refusal) = &refused else { panic!("{refused:?}") };
            assert_eq!(refusal.code, RefusalCode::Hook);
            assert!(refusal.message.contains(part), "{}", refusal.message);
        }
    }

    #[test]
    fn hooks_are_found_in_the_order_of_their_names_and_no_directory_is_none() {
        let site = Site::new(&["20-b.sh", "10-a", "9_c"]);
        assert_eq!(site.find().unwrap(), ["10-a", "20-b.sh", "9_c"]);
        std::fs::remove_dir_all(site.path("")).unwrap();
        assert_eq!(site.find().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_an_editor_or_dpkg_left_is_no_hook() {
        for name in
            ["10-a~", "#10-a#", ".10-a.swp", "10-a.dpkg-dist", "10-a.dpkg-old", "10-a.bak", "10 a", "-a"]
        {
            Site::new(&["00-first", name]).check_refused("a hook's name");
        }
    }

    #[test]
    fn what_somebody_else_may_have_written_is_no_hook() {
        let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let site = Site::new(&["00-first", "10-a"]);
        mode(&site.path("10-a"), 0o775);
        site.check_refused("lets others write it");
        mode(&site.path("10-a"), 0o644);
        site.check_refused("10-a: it is not executable");
        std::fs::remove_file(site.path("10-a")).unwrap();
        symlink("/bin/true", site.path("10-a")).unwrap();
        site.check_refused("it is a symbolic link");
        std::fs::remove_file(site.path("10-a")).unwrap();
        std::fs::create_dir(site.path("10-a")).unwrap();
        site.check_refused("10-a: it is no regular file");
        std::fs::remove_dir(site.path("10-a")).unwrap();
        mode(&site.path(""), 0o777);
        site.check_refused("pre-patch.d: its mode 0777 lets others write it");
        mode(&site.path(""), 0o755);
        mode(site.path("").parent().unwrap().parent().unwrap(), 0o757);
        site.check_refused("lets others write it");
    }

    #[test]
    fn a_directory_that_is_a_link_has_no_hooks() {
        let site = Site::new(&["10-a"]);
        std::fs::rename(site.path(""), site.0.path().join("elsewhere")).unwrap();
        symlink(site.0.path().join("elsewhere"), site.path("").to_str().unwrap().trim_end_matches('/'))
            .unwrap();
        site.check_refused("it is a symbolic link");
    }

    #[test]
    fn the_hooks_after_end_what_was_begun_once_and_nothing_older() {
        use TransactionKind::{Apply, Hooks, Repair};

        let now: jiff::Timestamp = "2026-11-29T02:00:00Z".parse().unwrap();
        let story = |parts: &[(&str, TransactionKind)]| -> Vec<_> {
            parts.iter().map(|(run, kind)| record::intent("t", run, *kind, now)).collect()
        };
        assert!(!has_begun(&story(&[]), "a"));
        assert!(!has_begun(&story(&[("a", Apply)]), "a"));
        assert!(has_begun(&story(&[("a", Hooks)]), "a"));
        assert!(has_begun(&story(&[("a", Hooks), ("a", Apply), ("a", Repair)]), "a"));
        assert!(!has_begun(&story(&[("a", Hooks), ("a", Apply), ("a", Hooks)]), "a"));
        assert!(!has_begun(&story(&[("a", Hooks), ("b", Hooks)]), "a"));
    }

    #[test]
    fn a_hook_of_another_owner_is_none() {
        let site = Site::new(&["10-a"]);
        let owner = nix::unistd::Uid::effective().as_raw() + 1;
        let refused = find(&Root::at(site.0.path()), HookStage::PrePatch, owner).unwrap_err();
        assert!(matches!(refused, Stop::Refused(refusal) if refusal.code == RefusalCode::Hook));
    }
}
