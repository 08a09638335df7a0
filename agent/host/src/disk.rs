//! The file systems that a change of packages writes to: where they are mounted and what is free on them.
//!
//! What is free is what everybody may still use. apt is root and could take the reserve as well; a disk that is full for
//! everybody else is no good outcome of an update. It asks the kernel and waits for its answer: a dead network file system
//! below one of the directories makes it wait for ever, so that callers need a deadline.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};
use patchd_core::plan::need::{Filesystem, Use};
use thiserror::Error;

use crate::apt::conf::Conf;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// A directory's file system can't be asked.
#[derive(Debug, Error)]
#[error("can't tell what is free at {}", .path.display())]
pub struct DiskError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The directories of each use, beside apt's own for archives.
const DIRECTORIES: [(Use, &str); 7] = [
    (Use::System, "/usr"),
    (Use::System, "/"),
    (Use::Boot, "/boot"),
    (Use::Database, "/var/lib/dpkg"),
    (Use::State, "/var/lib/patchd-executor"),
    (Use::State, "/var/lib/patchd"),
    (Use::Temporary, "/tmp"),
];
const ARCHIVES: &str = "/var/cache/apt/archives";

/// The host's own view first: a service that is kept from writing sees everything mounted read-only.
const TABLES: [&str; 2] = ["/proc/1/mountinfo", "/proc/self/mountinfo"];
const MAX_TABLE: u64 = 8 << 20;

/// The file systems that updates of the host under `root` would write to, each once, in the order of their uses.
pub fn filesystems(root: &Root) -> Result<Vec<Filesystem>, DiskError> {
    // What is wrong with apt's settings is told by the scan.
    let conf = Conf::read(root, &mut ProblemList::new("apt's settings"));
    let archives = conf.path("Dir::Cache::archives");
    let archives = if archives.is_empty() { ARCHIVES } else { archives.as_str() };
    let mounts = Mounts::read();
    let mut places: BTreeMap<Device, usize> = BTreeMap::new();
    let mut filesystems: Vec<Filesystem> = Vec::new();
    for (place, name) in [(Use::Archives, archives)].into_iter().chain(DIRECTORIES) {
        let path = existing(root, name);
        let at_path = |source| DiskError { path: path.clone(), source };
        let device = std::fs::metadata(&path).map_err(at_path)?.dev();
        let mount = mounts.find(&path);
        // The directories of one file system can have device numbers of their own; its mounts have but one.
        let key = mount.map_or(Device::Directory(device), |mount| Device::Mount(mount.device.clone()));
        if let Some(known) = places.get(&key).and_then(|&at| filesystems.get_mut(at)) {
            known.is_read_only |= mount.is_some_and(|mount| mount.is_read_only);
            if !known.uses.contains(&place) {
                known.uses.push(place);
            }
            continue;
        }
        places.insert(key, filesystems.len());
        filesystems.push(ask(&path, mount, place).map_err(at_path)?);
    }
    Ok(filesystems)
}

/// What tells file systems apart.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Device {
    Mount(String),
    Directory(u64),
}

/// The nearest directory to this one that is there, which is where it would be made.
fn existing(root: &Root, name: &str) -> PathBuf {
    let name = Path::new(name);
    let found = name.ancestors().find_map(|name| root.resolve(name).and_then(std::fs::canonicalize).ok());
    found.unwrap_or_else(|| root.directory().to_owned())
}

fn ask(path: &Path, mount: Option<&Mount>, place: Use) -> io::Result<Filesystem> {
    let told = statvfs(path)?;
    Ok(Filesystem {
        mount: mount.map_or(path, |mount| &mount.point).to_string_lossy().into_owned(),
        uses: vec![place],
        free_bytes: told.blocks_available().saturating_mul(told.fragment_size()),
        free_inodes: Some(told.files_available()).filter(|_| told.files() != 0),
        is_read_only: mount
            .map_or_else(|| told.flags().contains(FsFlags::ST_RDONLY), |mount| mount.is_read_only),
    })
}

/// One line of a mount table (proc_pid_mountinfo(5)).
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: PathBuf,
    is_read_only: bool,
}

/// In the order of the table: a later mount hides those before it.
#[derive(Debug)]
struct Mounts(Vec<Mount>);

impl Mounts {
    /// Empty where there is no table to be read.
    fn read() -> Self {
        let host = Root::host();
        for name in TABLES {
            let Ok(table) = read::read(&host, name, MAX_TABLE) else {
                continue;
            };
            // Of our own view, only what the file system itself says counts.
            let mounts = parse(&table, name == "/proc/1/mountinfo");
            if !mounts.is_empty() {
                return Self(mounts);
            }
        }
        Self(Vec::new())
    }

    fn find(&self, path: &Path) -> Option<&Mount> {
        let holding = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        holding.max_by_key(|mount| mount.point.as_os_str().len())
    }
}

/// `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG…] - TYPE SOURCE SUPER-OPTIONS`. A line of another form says nothing.
fn parse(table: &[u8], heeds_mount_options: bool) -> Vec<Mount> {
    let line = |line: &[u8]| {
        let mut fields = line.split(|&byte| byte == b' ');
        let device = String::from_utf8_lossy(fields.nth(2)?).into_owned();
        let point = unescape(fields.nth(1)?);
        let options = fields.next()?;
        let of_system = fields.skip_while(|field| *field != b"-").nth(3)?;
        let is_read_only = |options: &[u8]| options.split(|&byte| byte == b',').any(|option| option == b"ro");
        Some(Mount {
            device,
            point,
            is_read_only: is_read_only(of_system) || (heeds_mount_options && is_read_only(options)),
        })
    };
    table.split(|&byte| byte == b'\n').filter_map(line).collect()
}

/// Blanks, tabs, newlines and backslashes stand in the table as a backslash and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal =
            after.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table_is_read() {
        let table = b"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
            31 27 254:1 / /my\\040disk ro,relatime shared:2 master:3 - ext4 /dev/vdb rw\n\
            32 27 0:40 /@usr /usr rw - btrfs /dev/vdc ro,subvol=/@usr\nrubbish\n\
            33 27 0:41 / /my\\040disk rw - tmpfs tmpfs rw\n";
        let points: Vec<_> =
            parse(table, true).into_iter().map(|mount| (mount.point, mount.is_read_only)).collect();
        let expected = [("/", false), ("/my disk", true), ("/usr", true), ("/my disk", false)];
        assert_eq!(points, expected.map(|(point, is)| (PathBuf::from(point), is)));
        assert!(!parse(table, false)[1].is_read_only && parse(table, false)[2].is_read_only);
        let mounts = Mounts(parse(table, true));
        assert_eq!(mounts.find(Path::new("/my disk/x")).unwrap().device, "0:41");
        assert_eq!(mounts.find(Path::new("/my disks")).unwrap().device, "254:0");
        assert_eq!(unescape(b"\\134\\9\\04"), Path::new("\\\\9\\04"));
    }

    #[test]
    fn every_use_is_on_some_file_system_of_a_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        std::fs::create_dir_all(root.path("usr")).unwrap();
        // A directory that leads out of the root is made where the link says, as the root itself would see it.
        std::os::unix::fs::symlink("/usr/elsewhere", root.path("boot")).unwrap();
        let [only] = filesystems(&root).unwrap().try_into().unwrap();
        assert_eq!(only.uses, Use::ALL);
        let told = statvfs(directory.path()).unwrap();
        assert!(!only.is_read_only && only.free_inodes.is_some() == (told.files() != 0));
        assert!(directory.path().starts_with(&only.mount), "{only:?}");
    }

    #[test]
    fn this_machine_has_room_somewhere() {
        let found = filesystems(&Root::host()).unwrap();
        let uses: usize = found.iter().map(|filesystem| filesystem.uses.len()).sum();
        assert!(Use::ALL.len() <= uses, "{found:?}");
        let system = found.iter().find(|filesystem| filesystem.uses.contains(&Use::System)).unwrap();
        let directory = std::fs::metadata(&system.mount).unwrap();
        assert!(directory.is_dir() && 0 < system.free_bytes);
    }
}
