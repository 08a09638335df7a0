//! Whether the running system is a container: its kernel is its host's then, and none of our business.

use crate::read;
use crate::root::Root;

const MAX_FILE: u64 = 64 << 10;

/// Files that a container runtime puts into its containers, and its name.
const MARKS: [(&str, &str); 3] = [
    ("run/.containerenv", "podman"),
    (".dockerenv", "docker"),
    ("run/host/container-manager", "a container manager"),
];

/// What kind of container the root is, as far as files tell.
pub fn find(root: &Root) -> Option<String> {
    // systemd writes this one, whatever the runtime.
    let by_systemd = word(root, "run/systemd/container");
    let by_mark = || {
        let is_there = |name: &str| root.resolve(name).is_ok_and(|path| path.exists());
        MARKS.into_iter().find(|(name, _)| is_there(name)).map(|(_, runtime)| runtime.to_owned())
    };
    let by_kernel = || if root.is_host() { of_running_system(root) } else { None };
    by_systemd.or_else(by_mark).or_else(by_kernel)
}

/// What only a running system tells. The environment of its first process is readable to root alone.
fn of_running_system(root: &Root) -> Option<String> {
    let environment = read::read(root, "proc/1/environ", MAX_FILE).unwrap_or_default();
    let named =
        environment.split(|&byte| byte == 0).find_map(|variable| variable.strip_prefix(b"container="));
    let named = named.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned());
    let is_wsl = || {
        let release = word(root, "proc/sys/kernel/osrelease").unwrap_or_default().to_ascii_lowercase();
        release.contains("microsoft").then(|| "wsl".to_owned())
    };
    named.or_else(is_wsl)
}

fn word(root: &Root, name: &str) -> Option<String> {
    let content = read::read(root, name, MAX_FILE).ok()?;
    let text = String::from_utf8_lossy(&content);
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn a_root_is_a_container_by_the_files_in_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(find(&root), None);
        std::fs::write(root.path(".dockerenv"), "").unwrap();
        assert_eq!(find(&root).as_deref(), Some("docker"));
        std::fs::create_dir_all(root.path("run/systemd")).unwrap();
        std::fs::write(root.path("run/systemd/container"), "lxc\n").unwrap();
        assert_eq!(find(&root).as_deref(), Some("lxc"));
    }
}
