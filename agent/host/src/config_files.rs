//! Which configuration files there are, in which order they count, and whether only root can have written them.
//!
//! It knows no key: what the files say is `patchd_protocol::config`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use patchd_protocol::config::{self, ConfigFile, Mistake, Mistakes, Settings};

use crate::read::{self, FileError};
use crate::root::Root;

/// The operator's own file, read first.
pub const MAIN_FILE: &str = "etc/patchd/patchd.toml";

/// The drop-ins; a file in a later directory hides the one of the same name in an earlier.
pub const DROP_IN_DIRECTORIES: [&str; 2] = ["usr/lib/patchd/patchd.d", "etc/patchd/patchd.d"];

/// The longest configuration file, in bytes, and the most drop-ins of one directory.
const MAX_FILE: u64 = 256 * 1024;
const MAX_DROP_INS: usize = 256;

/// Reads the whole configuration under `root`. Files that don't exist are no mistake: what nobody says has a default.
pub fn load(root: &Root) -> Result<Settings, Mistakes> {
    let mut mistakes = Vec::new();
    let mut files = Vec::new();
    for name in names(root, &mut mistakes) {
        match read::read_optional(root, &name, MAX_FILE) {
            Ok(content) => files.extend(
                content.map(|content| ConfigFile { name: root.path(&name).display().to_string(), content }),
            ),
            Err(error) => mistakes.push(unreadable(&error)),
        }
    }
    let settings = config::read(&files, |zone| TimeZone::get(zone).ok());
    match settings {
        Ok(settings) => match Mistakes::new(mistakes) {
            None => Ok(settings),
            Some(mistakes) => Err(mistakes),
        },
        Err(more) => {
            mistakes.extend(more.list().iter().cloned());
            Err(Mistakes::new(mistakes).unwrap_or(more))
        }
    }
}

/// The files that `load` reads, in its order, as names under the root.
fn names(root: &Root, mistakes: &mut Vec<Mistake>) -> Vec<PathBuf> {
    let mut drop_ins: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in DROP_IN_DIRECTORIES {
        match read::list(root, directory, MAX_DROP_INS) {
            Ok(entries) => {
                let is_drop_in =
                    |name: &OsString| Path::new(name).extension().is_some_and(|end| end == "toml");
                for name in entries.into_iter().filter(is_drop_in) {
                    let path = Path::new(directory).join(&name);
                    drop_ins.insert(name, path);
                }
            }
            Err(error) if error.is_absent() => {}
            Err(error) => mistakes.push(unreadable(&error)),
        }
    }
    // systemd's way to switch a vendor's drop-in off: a link to /dev/null in /etc.
    let is_masked = |name: &PathBuf| {
        std::fs::read_link(root.path(name)).is_ok_and(|target| target == Path::new("/dev/null"))
    };
    let drop_ins = drop_ins.into_values().filter(|name| !is_masked(name));
    std::iter::once(PathBuf::from(MAIN_FILE)).chain(drop_ins).collect()
}

fn unreadable(error: &FileError) -> Mistake {
    Mistake {
        file: error.path.display().to_string(),
        line: None,
        key: None,
        message: format!("it can't be read: {}", error.reason),
    }
}

/// Every reason for which somebody else than `owner` may have written what `load` reads. Empty means that the
/// configuration is `owner`'s own word, up to files that `owner` itself replaces meanwhile.
///
/// Each directory from the root down and each file must belong to `owner`, be writable by nobody else, and be no link.
pub fn ownership_mistakes(root: &Root, owner: u32) -> Vec<Mistake> {
    let mut unreadable = Vec::new();
    let names = names(root, &mut unreadable);
    let names = names.iter().map(PathBuf::as_path).chain(DROP_IN_DIRECTORIES.map(Path::new));
    mistakes_on_the_way(root, names, owner).into_iter().chain(unreadable).collect()
}

/// The same of any files or directories under `root`.
pub fn mistakes_on_the_way<'a>(
    root: &Root,
    names: impl Iterator<Item = &'a Path>,
    owner: u32,
) -> Vec<Mistake> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in names {
        let mut steps: Vec<_> = name.ancestors().map(|step| root.path(step)).collect();
        steps.reverse();
        paths.extend(steps);
    }
    paths.sort();
    paths.dedup();
    paths.iter().filter_map(|path| ownership_mistake(path, owner)).collect()
}

fn ownership_mistake(path: &Path, owner: u32) -> Option<Mistake> {
    let message = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => format!("it can't be looked at: {error}"),
        Ok(metadata) if metadata.is_symlink() => {
            "it is a symbolic link; the executor takes policy from regular files and directories only".into()
        }
        Ok(metadata) if metadata.uid() != owner => {
            format!("it belongs to uid {}; run `chown {owner} {}`", metadata.uid(), path.display())
        }
        Ok(metadata) if metadata.mode() & 0o022 != 0 => {
            let mode = metadata.mode() & 0o7777;
            format!("its mode {mode:04o} lets others write it; run `chmod go-w {}`", path.display())
        }
        Ok(_) => return None,
    };
    Some(Mistake { file: path.display().to_string(), line: None, key: None, message })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::durable::atomic_write;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                tree.put(name, text);
            }
            tree
        }

        fn put(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            atomic_write(&path, text.as_bytes(), 0o644).unwrap();
        }

        fn root(&self) -> Root {
            Root::at(self.0.path())
        }

        fn owner(&self) -> u32 {
            std::fs::metadata(self.0.path()).unwrap().uid()
        }
    }

    const USR: &str = "usr/lib/patchd/patchd.d";
    const ETC: &str = "etc/patchd/patchd.d";

    #[test]
    fn no_file_is_the_default() {
        assert_eq!(load(&Tree::new(&[]).root()).unwrap(), Settings::default());
    }

    #[test]
    fn drop_ins_come_after_the_main_file_by_name_and_etc_hides_usr() {
        let interval = |text: &str| format!("[scan]\ninterval = \"{text}\"\n");
        let tree = Tree::new(&[
            (MAIN_FILE, "[scan]\ninterval = \"2h\"\nrefresh = false\n"),
            (&format!("{USR}/50-vendor.toml"), &interval("3h")),
            (&format!("{USR}/60-vendor.toml"), "[log]\nlevel = \"debug\"\n"),
            (&format!("{ETC}/20-site.toml"), &interval("4h")),
            (&format!("{ETC}/90-note.txt"), "not TOML"),
        ]);
        let hours = |tree: &Tree| load(&tree.root()).unwrap().scan.interval.as_secs() / 3_600;
        assert_eq!(hours(&tree), 3);
        tree.put(&format!("{ETC}/50-vendor.toml"), &interval("5h"));
        assert_eq!(hours(&tree), 5);
        symlink("/dev/null", tree.0.path().join(ETC).join("60-vendor.toml")).unwrap();
        let settings = load(&tree.root()).unwrap();
        assert_eq!(settings.log, Settings::default().log);
        assert!(!settings.scan.refresh);
    }

    #[test]
    fn mistakes_of_all_files_are_listed_at_once() {
        let tree = Tree::new(&[(MAIN_FILE, "[scan]\nfresh = 1\n"), (&format!("{ETC}/a.toml"), "[lgo]\n")]);
        tree.put(&format!("{ETC}/b.toml"), &"#".repeat(300_000));
        std::fs::create_dir(tree.0.path().join(ETC).join("c.toml")).unwrap();
        let shown = load(&tree.root()).unwrap_err().to_string();
        let lines: Vec<_> = shown.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "a.toml:1: there is no section \"lgo\"; did you mean `log`?",
                "b.toml: it can't be read: it is longer than 262144 bytes",
                "c.toml: it can't be read: it is a directory, not a regular file",
                "patchd.toml:2: scan.fresh: there is no key \"fresh\"; did you mean `refresh`?",
            ]
        );
    }

    #[test]
    fn zones_come_from_the_tz_database() {
        let tree = Tree::new(&[(
            MAIN_FILE,
            "[[window]]\nname = \"w\"\nschedule = \"Sun 02:00 +3h Europe/Berlin\"\n",
        )]);
        assert_eq!(load(&tree.root()).unwrap().windows.len(), 1);
    }

    #[test]
    fn what_others_may_write_is_told() {
        let drop_in = format!("{ETC}/a.toml");
        let tree = Tree::new(&[(MAIN_FILE, ""), (&drop_in, "")]);
        let told = || -> Vec<String> {
            let mistakes = ownership_mistakes(&tree.root(), tree.owner());
            mistakes.iter().map(|mistake| mistake.file.rsplit('/').next().unwrap().to_owned()).collect()
        };
        let chmod = |name: &str, mode| {
            std::fs::set_permissions(tree.0.path().join(name), Permissions::from_mode(mode)).unwrap();
        };
        assert_eq!(told(), Vec::<String>::new());
        chmod(&drop_in, 0o664);
        assert_eq!(told(), ["a.toml"]);
        chmod(&drop_in, 0o644);
        chmod("etc/patchd", 0o757);
        assert_eq!(told(), ["patchd"]);
        chmod("etc/patchd", 0o755);
        symlink("/etc/hostname", tree.0.path().join(ETC).join("b.toml")).unwrap();
        assert_eq!(told(), ["b.toml"]);
        assert_eq!(ownership_mistakes(&tree.root(), tree.owner() + 1).len(), 7);
    }
}
