//! What the changelogs of installed packages say of one id, such as a CVE: the only place on an apt host that tells.
//!
//! Old entries may have been cut from a changelog, and many fixes name no id: silence proves nothing.

use std::io::{BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use patchd_core::package::PackageName;

use crate::read;
use crate::root::Root;

/// The most that is read of one changelog, and of all together, unpacked.
const MAX_CHANGELOG: u64 = 16 << 20;
const MAX_ALL: u64 = 1 << 30;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The packages, each with the earliest version whose entry names the id.
    pub versions: Vec<(PackageName, String)>,
    /// Whether there was more than is read.
    pub is_cut: bool,
}

/// Looks through the changelogs of these packages, in any case of letters.
pub fn find(root: &Root, packages: impl IntoIterator<Item = PackageName>, id: &str) -> Mentions {
    let mut mentions = Mentions::default();
    let mut left = MAX_ALL;
    for package in packages {
        // A package of Debian's own has no other changelog than Debian's.
        let names = ["changelog.Debian.gz", "changelog.gz"];
        let open = |name: &str| read::open(root, format!("/usr/share/doc/{package}/{name}")).ok();
        let Some(file) = names.into_iter().find_map(open) else { continue };
        if left == 0 {
            mentions.is_cut = true;
            break;
        }
        let limit = MAX_CHANGELOG.min(left);
        let (version, used) = earliest(MultiGzDecoder::new(file).take(limit), id);
        mentions.is_cut |= limit <= used;
        left = left.saturating_sub(used);
        mentions.versions.extend(version.map(|version| (package, version)));
    }
    mentions
}

/// The earliest version whose entry names the id, and how much was read. Entries stand newest first.
fn earliest(changelog: impl Read, id: &str) -> (Option<String>, u64) {
    let mut reader = BufReader::new(changelog);
    let id = id.to_ascii_lowercase();
    let (mut used, mut current, mut found) = (0_u64, None, None);
    let mut line = Vec::new();
    loop {
        line.clear();
        // What can't be unpacked says no more.
        let Ok(length @ 1..) = reader.read_until(b'\n', &mut line) else { break };
        used = used.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if !text.starts_with([' ', '\t', '\n']) {
            let version = String::from_utf8_lossy(&line);
            let version = version.split_once(" (").and_then(|(_, rest)| rest.split_once(')'));
            current = version.map(|(version, _)| version.to_owned()).or(current);
        }
        if names(&text, &id) {
            found = current.clone().or(found);
        }
    }
    (found, used)
}

/// Whether a line has the id as a whole: `CVE-2026-1234` is not in `CVE-2026-12345`.
fn names(line: &str, id: &str) -> bool {
    line.match_indices(id).any(|(at, _)| {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + id.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "curl (7.88.1-10+deb12u2) bookworm-security; urgency=high\n\n  * Fix CVE-2026-12345 again\n\n \
        -- A <a@example.org>  Mon, 01 Jan 2026 00:00:00 +0000\n\n\
        curl (7.88.1-10+deb12u1) bookworm; urgency=medium\n\n  * cve-2026-12345: fixed (Closes: #1)\n    CVE-2026-777\n";

    #[test]
    fn the_earliest_version_that_names_an_id_as_a_whole_is_told() {
        let earliest = |id: &str| earliest(CHANGELOG.as_bytes(), id).0;
        assert_eq!(earliest("CVE-2026-12345").as_deref(), Some("7.88.1-10+deb12u1"));
        assert_eq!(earliest("cve-2026-777").as_deref(), Some("7.88.1-10+deb12u1"));
        assert_eq!(earliest("CVE-2026-1234"), None);
        assert_eq!(earliest("CVE-2026-7"), None);
    }

    #[test]
    fn what_can_not_be_read_or_unpacked_says_nothing() {
        use std::io::Write;
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = place.path().join(format!("usr/share/doc/{name}"));
            crate::durable::create_directories(path.parent().unwrap(), 0o755).unwrap();
            crate::durable::atomic_write(&path, content, 0o644).unwrap();
        };
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(CHANGELOG.as_bytes()).unwrap();
        write("curl/changelog.Debian.gz", &packed.finish().unwrap());
        write("torn/changelog.Debian.gz", b"no gzip");
        let packages = ["absent", "curl", "torn"].map(|name| PackageName::parse(name).unwrap());
        let found = find(&Root::at(place.path()), packages, "CVE-2026-777");
        assert!(!found.is_cut);
        let [(package, version)] = found.versions.as_slice() else { panic!("{found:?}") };
        assert_eq!((package.as_str(), version.as_str()), ("curl", "7.88.1-10+deb12u1"));
    }
}
