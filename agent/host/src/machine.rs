//! What a machine is: its names, kernel, boot and memory. What EC2 says of it is the daemon's to add.
//!
//! A foreign root has no kernel, no boot and no memory of its own, and this machine's are never given as its.

use patchd_core::problem::{Problem, ProblemKind, Weight};
use sha2::{Digest, Sha256};

use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

const MAX_FILE: u64 = 64 << 10;
/// What is said where a name can't be found.
const UNKNOWN: &str = "unknown";
/// Makes our host ids differ from those that other programs derive from the same machine id. Never change it.
const APPLICATION: [u8; 16] = *b"patchd host id 1";

/// The machine under a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Stable over reboots and upgrades, and of no use to learn the machine id.
    pub id: String,
    pub hostname: String,
    /// The release of the running kernel, `uname -r`.
    pub kernel: Option<String>,
    /// The build of the running kernel, `uname -v`.
    pub kernel_build: Option<String>,
    pub boot_id: Option<String>,
    pub memory_bytes: Option<u64>,
}

/// Looks at the machine that `root` belongs to.
pub fn read_machine(root: &Root, problems: &mut ProblemList) -> Machine {
    let names = root.is_host().then(nix::sys::utsname::uname).and_then(Result::ok);
    let text = |value: &std::ffi::OsStr| value.to_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let hostname =
        names.as_ref().and_then(|names| text(names.nodename())).or_else(|| first_line(root, "etc/hostname"));
    let hostname = hostname.unwrap_or_else(|| UNKNOWN.to_owned());
    Machine {
        id: host_id(root, &hostname, problems),
        hostname,
        kernel: names.as_ref().and_then(|names| text(names.release())),
        kernel_build: names.as_ref().and_then(|names| text(names.version())),
        boot_id: root.is_host().then(boot_id).flatten(),
        memory_bytes: root.is_host().then(memory_bytes).flatten(),
    }
}

fn memory_bytes() -> Option<u64> {
    let mut system = sysinfo::System::new().ok()?;
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    Some(system.total_memory()).filter(|&bytes| bytes != 0)
}

/// The id of the boot that is under way. Each has its own.
pub fn boot_id() -> Option<String> {
    first_line(&Root::host(), "proc/sys/kernel/random/boot_id")
}

/// What programs could have without swapping (`MemAvailable`). Of a foreign root there is none.
pub fn available_memory_bytes(root: &Root) -> Option<u64> {
    let mut system = sysinfo::System::new().ok().filter(|_| root.is_host())?;
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    Some(system.available_memory()).filter(|&bytes| bytes != 0)
}

/// The first line with something on it that is no comment.
fn first_line(root: &Root, name: &str) -> Option<String> {
    let content = read::read(root, name, MAX_FILE).ok()?;
    let text = String::from_utf8_lossy(&content);
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)
}

fn host_id(root: &Root, hostname: &str, problems: &mut ProblemList) -> String {
    let machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"]
        .into_iter()
        .find_map(|name| parse_machine_id(&first_line(root, name)?));
    match machine_id {
        Some(machine_id) => derive_id(&machine_id),
        None => {
            let message = format!(
                "there is no machine id, so that the hostname {hostname:?} names this host in reports; another host of \
                 that name would take its place"
            );
            let place = root.path("etc/machine-id").to_string_lossy().into_owned();
            problems.push(Problem::new(ProblemKind::Unreadable, Weight::Notice, place, message));
            hostname.to_owned()
        }
    }
}

/// 32 hexadecimal digits, not all of them zero.
fn parse_machine_id(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let id = u128::from_str_radix(text, 16).ok().filter(|&id| id != 0)?;
    Some(id.to_be_bytes())
}

/// machine-id(5) asks to show nobody the id but a keyed hash of it: HMAC-SHA256 with the id as the key, cut to 128 bits.
fn derive_id(machine_id: &[u8; 16]) -> String {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(machine_id).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(APPLICATION).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    let hexadecimal: String = outer.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("host-{hexadecimal}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn put(root: &Root, name: &str, content: &str) {
        std::fs::create_dir_all(root.path(name).parent().unwrap()).unwrap();
        std::fs::write(root.path(name), content).unwrap();
    }

    #[test]
    fn the_host_id_is_a_keyed_hash_of_the_machine_id() {
        // Computed with Python: hmac.new(bytes.fromhex(id), b"patchd host id 1", "sha256").hexdigest()[:32]
        let id = parse_machine_id("0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(derive_id(&id), "host-54e0283e2dae9719bcc270cf907187aa");
        assert_eq!(parse_machine_id("uninitialized"), None);
        assert_eq!(parse_machine_id(&"0".repeat(32)), None);
        assert_eq!(parse_machine_id(&"+".repeat(32)), None);
    }

    #[test]
    fn a_foreign_root_has_names_but_no_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        put(&root, "etc/hostname", "# a comment\nweb-1\n");
        let mut problems = ProblemList::new("");
        let machine = read_machine(&root, &mut problems);
        assert_eq!((machine.id.as_str(), machine.hostname.as_str()), ("web-1", "web-1"));
        assert_eq!((&machine.kernel, &machine.boot_id, machine.memory_bytes), (&None, &None, None));
        assert_eq!(available_memory_bytes(&root), None);
        assert_eq!(problems.into_problems().len(), 1);

        put(&root, "var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n");
        let mut problems = ProblemList::new("");
        assert!(read_machine(&root, &mut problems).id.starts_with("host-"));
        assert!(problems.is_empty());
    }

    #[test]
    fn this_machine_has_a_kernel_a_boot_and_memory() {
        let machine = read_machine(&Root::host(), &mut ProblemList::new(""));
        assert!(machine.kernel.is_some() && machine.boot_id.is_some());
        assert!(machine.memory_bytes.is_some_and(|bytes| 64 << 20 < bytes));
        let available = available_memory_bytes(&Root::host()).unwrap();
        assert!(0 < available && available <= machine.memory_bytes.unwrap());
    }
}
