//! What `/proc/PID/maps` says of code that is no longer on disk. proc_pid_maps(5) describes the lines.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

const DELETED: &[u8] = b" (deleted)";

/// Under which no package has programs or libraries: memory that only looks like a file, and what programs write themselves.
const NOT_OF_PACKAGES: [&[u8]; 12] = [
    b"/memfd:",
    b"/dev/",
    b"/SYSV",
    b"/[aio]",
    b"/drm",
    b"/i915",
    b"/anon_hugepage",
    b"/tmp/",
    b"/run/",
    b"/var/",
    b"/home/",
    b"/root/",
];

/// dpkg names files so while it replaces them.
const OF_DPKG: [&[u8]; 2] = [b".dpkg-tmp", b".dpkg-new"];

/// What was found in one process.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The files whose code is mapped and which are gone or replaced, by their former paths.
    pub(super) files: BTreeSet<Vec<u8>>,
    /// How much was read.
    pub(super) bytes: u64,
}

/// Reads the mappings of a process. `None` if there are more than `limit` bytes of them.
pub(super) fn find_old(maps: impl BufRead, limit: u64) -> io::Result<Option<Found>> {
    let mut found = Found::default();
    let mut maps = maps.take(limit.saturating_add(1));
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = maps.read_until(b'\n', &mut line)?;
        if count == 0 {
            return Ok((found.bytes <= limit).then_some(found));
        }
        found.bytes = found.bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if let Some(file) = old_file(line.strip_suffix(b"\n").unwrap_or(&line))
            && !found.files.contains(file)
        {
            found.files.insert(file.to_vec());
        }
    }
}

/// The file of a line, if it is code that is no longer on disk.
fn old_file(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_suffix(DELETED)?;
    // Address, permissions, offset, device, inode; then blanks, and a path that may have some.
    let mut fields = rest.splitn(6, |&byte| byte == b' ');
    let is_code = fields.nth(1)?.get(2) == Some(&b'x');
    let path = fields.nth(3)?.trim_ascii_start();
    let is_of_packages =
        path.starts_with(b"/") && !NOT_OF_PACKAGES.iter().any(|place| path.starts_with(place));
    let path = OF_DPKG.iter().find_map(|suffix| path.strip_suffix(*suffix)).unwrap_or(path);
    (is_code && is_of_packages).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        let found = find_old(format!("{line}\n").as_bytes(), 1 << 20).unwrap().unwrap();
        let files: Vec<_> = found.files.iter().map(|file| str::from_utf8(file).unwrap()).collect();
        assert_eq!(files, expected.into_iter().collect::<Vec<_>>(), "{line}");
    }

    #[test]
    fn code_that_is_gone_from_disk_is_found() {
        let line = |permissions: &str, path: &str| {
            format!(
                "7f0b1a200000-7f0b1a228000 {permissions} 00026000 fe:00 12526131                   {path}"
            )
        };
        let code = |path: &str| line("r-xp", path);
        check(
            &code("/usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)"),
            Some("/usr/lib/x86_64-linux-gnu/libc.so.6"),
        );
        check(&code("/usr/sbin/sshd (deleted)"), Some("/usr/sbin/sshd"));
        check(&code("/usr/lib/a b.so (deleted)"), Some("/usr/lib/a b.so"));
        check(&code("/usr/lib/liba.so.1.dpkg-tmp (deleted)"), Some("/usr/lib/liba.so.1"));
        check(&code("/usr/lib/liba.so.1"), None);
        check(&line("r--p", "/usr/lib/liba.so.1 (deleted)"), None);
        check(&line("rw-s", "/usr/lib/liba.so.1 (deleted)"), None);
    }

    #[test]
    fn what_only_looks_like_a_file_is_no_old_code() {
        for path in [
            "/memfd:pulseaudio (deleted)",
            "/dev/zero (deleted)",
            "/dev/shm/x (deleted)",
            "/SYSV00000000 (deleted)",
            "/[aio] (deleted)",
            "/drm mm object (deleted)",
            "/tmp/jit-1.so (deleted)",
            "/run/user/1000/x (deleted)",
            "/var/cache/fontconfig/x-le64.cache-8 (deleted)",
            "[vdso]",
            "",
        ] {
            check(&format!("7f0b1a200000-7f0b1a228000 rwxp 00000000 00:01 1 {path}"), None);
        }
        for line in ["", "x", " (deleted)", "a b c d e (deleted)", "a r-xp (deleted)"] {
            check(line, None);
        }
    }

    #[test]
    fn too_many_mappings_are_no_answer() {
        let line = "7f0b1a200000-7f0b1a228000 r-xp 00000000 fe:00 1 /usr/lib/a.so (deleted)\n";
        let text = line.repeat(3);
        let size = u64::try_from(text.len()).unwrap();
        assert_eq!(find_old(text.as_bytes(), size).unwrap().unwrap().bytes, size);
        assert_eq!(find_old(text.as_bytes(), size - 1).unwrap(), None);
    }
}
