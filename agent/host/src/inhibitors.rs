//! Who asked logind that the host stay up (systemd-inhibit(1)): the locks of the mode `block` on a shutdown.
//!
//! logind keeps one file for each in `/run/systemd/inhibit`, with lines of `KEY=value` (since systemd 183). They are
//! read and not asked for, so that a D-Bus that says nothing holds nobody up. One that only delays is logind's own affair.

use std::path::Path;

use crate::problem_list::quoted;
use crate::read;
use crate::root::Root;

const DIRECTORY: &str = "run/systemd/inhibit";
const MAX_LOCKS: usize = 4_096;
const MAX_FILE: u64 = 64 << 10;
/// The longest word of somebody's that is shown.
const MAX_SHOWN: usize = 100;

/// The first who wants the host to stay up, as a sentence; an error if that can't be told.
pub fn against_shutdown(root: &Root) -> Result<Option<String>, String> {
    let directory = Path::new(DIRECTORY);
    // Without logind, nobody was asked.
    match root.resolve(directory).and_then(|path| path.symlink_metadata()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("/{DIRECTORY} can't be looked at: {error}")),
        Ok(_) => {}
    }
    let names = read::list(root, directory, MAX_LOCKS)
        .map_err(|error| format!("the inhibitors can't be listed: {error}: {}", error.reason))?;
    for name in names {
        // The other end of a lock's pipe, and a file that is being written.
        let is_lock = name.to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if !is_lock {
            continue;
        }
        let content = read::read_optional(root, directory.join(&name), MAX_FILE)
            .map_err(|error| format!("an inhibitor can't be read: {error}: {}", error.reason))?;
        // It was let go meanwhile.
        let Some(content) = content else { continue };
        if let Some(who) = lock(&content) {
            return Ok(Some(who));
        }
    }
    Ok(None)
}

/// Who holds a lock, if it blocks a shutdown.
fn lock(content: &[u8]) -> Option<String> {
    let value = |key: &str| {
        let prefix = format!("{key}=");
        content.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(prefix.as_bytes()))
    };
    let is_block = value("MODE").is_some_and(|mode| mode.starts_with(b"block"));
    let what = value("WHAT").unwrap_or_default();
    let is_of_shutdown = what.split(|&byte| byte == b':').any(|word| word == b"shutdown");
    let shown = |key| {
        let text = quoted(value(key).unwrap_or_default());
        text.chars().take(MAX_SHOWN).collect::<String>()
    };
    (is_block && is_of_shutdown)
        .then(|| format!("{} asks that the host stay up: {}", shown("WHO"), shown("WHY")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn only_a_lock_that_blocks_a_shutdown_keeps_a_host_up() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(against_shutdown(&root), Ok(None));
        std::fs::create_dir_all(root.path(DIRECTORY)).unwrap();
        assert_eq!(against_shutdown(&root), Ok(None));
        let put = |name: &str, text: &str| std::fs::write(root.path(DIRECTORY).join(name), text).unwrap();
        put(
            "1",
            "# This is private data. Do not parse.\nWHAT=shutdown:sleep\nMODE=delay\nUID=0\nPID=7\nWHO=apt\n",
        );
        put("2", "WHAT=sleep:idle\nMODE=block\nWHO=backup\nWHY=at work\n");
        put("3.ref", "WHAT=shutdown\nMODE=block\n");
        assert_eq!(against_shutdown(&root), Ok(None));
        put("3", "WHAT=sleep:shutdown\nMODE=block\nUID=0\nWHO=backup\nWHY=the nightly copy\n");
        let who = against_shutdown(&root).unwrap().unwrap();
        assert_eq!(who, "\"backup\" asks that the host stay up: \"the nightly copy\"");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn what_cannot_be_read_is_no_silence() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        std::fs::create_dir_all(root.path("run/systemd")).unwrap();
        std::fs::write(root.path(DIRECTORY), "").unwrap();
        assert!(against_shutdown(&root).is_err());
        std::fs::remove_file(root.path(DIRECTORY)).unwrap();
        std::fs::create_dir_all(root.path(DIRECTORY).join("1")).unwrap();
        assert!(against_shutdown(&root).is_err());
    }
}
