//! Roots of other hosts, made for one test each.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;

/// A directory that stands for the `/` of a host.
pub(crate) struct HostRoot {
    directory: tempfile::TempDir,
}

impl HostRoot {
    /// A host with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A Debian 12 host with this package database.
    pub(crate) fn debian_12(status: &[u8]) -> Self {
        let root = Self::empty();
        root.put("etc/os-release", b"ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n");
        root.put("var/lib/dpkg/status", status);
        root
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

/// The content of a file, unpacked if its name ends so.
pub(crate) fn content(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    if path.extension().is_none_or(|end| end != "gz") {
        return bytes;
    }
    let mut content = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut content).unwrap();
    content
}

/// One installed package.
pub(crate) fn stanza(name: &str, version: &str) -> String {
    format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n")
}

/// A host in the middle of 2026-11-23, whose lists were fetched that morning: half the packages of a real Debian 12.
pub(crate) fn debian_12_half() -> Option<HostRoot> {
    let data = crate::data("apt/debian12-half")?;
    let root = HostRoot::debian_12(&content(&data.join("status.gz")));
    root.put("var/lib/dpkg/arch", b"amd64\n");
    root.put(
        "etc/apt/sources.list",
        b"deb http://deb.example.org/debian bookworm main\n\
          deb http://deb.example.org/debian bookworm-updates main\n\
          deb http://deb.example.org/debian-security bookworm-security main\n",
    );
    let fetched = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_413_600);
    for entry in fs::read_dir(data.join("lists")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let list = root.put(&format!("var/lib/apt/lists/{name}"), &content(&path));
        fs::File::options().append(true).open(list).unwrap().set_modified(fetched).unwrap();
    }
    fs::File::open(root.path().join("var/lib/apt/lists")).unwrap().set_modified(fetched).unwrap();
    Some(root)
}

/// The time that such a host is judged at, and the rows of apt's own list of its updates: package, architecture,
/// installed version, candidate and suites.
pub(crate) const HALF_NOW: &str = "2026-11-23T12:00:00Z";
pub(crate) fn debian_12_half_updates() -> Vec<[String; 5]> {
    let text = crate::data("apt/debian12-half/upgradable.tsv").map(|path| fs::read_to_string(path).unwrap());
    let row = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    text.unwrap_or_default().lines().skip(1).map(row).collect()
}
