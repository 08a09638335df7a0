//! What the firmware says of the machine. It only decides how long to wait for the metadata service: any hypervisor can
//! claim to be EC2, so it is never an identity.

use patchd_host::read;
use patchd_host::root::Root;

const MAX_FACT: u64 = 4096;

/// Whose hardware this claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    Ec2,
    Other,
}

impl Hardware {
    /// Nitro instances say it in DMI; those on Xen in the hypervisor's uuid, or the BIOS version.
    pub fn of(root: &Root) -> Self {
        let fact = |name: &str| {
            let bytes = read::read(root, name, MAX_FACT).unwrap_or_default();
            String::from_utf8_lossy(&bytes).trim().to_ascii_lowercase()
        };
        let is_ec2 = fact("/sys/class/dmi/id/sys_vendor") == "amazon ec2"
            || fact("/sys/class/dmi/id/board_asset_tag").starts_with("i-")
            || fact("/sys/hypervisor/uuid").starts_with("ec2")
            || fact("/sys/class/dmi/id/bios_version").contains("amazon");
        if is_ec2 { Self::Ec2 } else { Self::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, content: &[u8], expected: Hardware) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(file);
        patchd_host::durable::create_directories(path.parent().unwrap(), 0o755).unwrap();
        patchd_host::durable::atomic_write(&path, content, 0o444).unwrap();
        assert_eq!(Hardware::of(&Root::at(place.path())), expected, "{file}");
    }

    #[test]
    fn nitro_xen_and_the_rest() {
        check("sys/class/dmi/id/sys_vendor", b"Amazon EC2\n", Hardware::Ec2);
        check("sys/class/dmi/id/board_asset_tag", b"i-0123456789abcdef0\n", Hardware::Ec2);
        check("sys/hypervisor/uuid", b"ec2e1916-9099-7caf-fd21-012345abcdef\n", Hardware::Ec2);
        check("sys/class/dmi/id/bios_version", b"4.2.amazon\n", Hardware::Ec2);
        check("sys/class/dmi/id/sys_vendor", b"QEMU\n", Hardware::Other);
        check("sys/class/dmi/id/sys_vendor", b"\xff\xfe", Hardware::Other);
        check("sys/class/dmi/id/sys_vendor", &[b'x'; 5000], Hardware::Other);
        assert_eq!(Hardware::of(&Root::at("/nonexistent")), Hardware::Other);
    }
}
