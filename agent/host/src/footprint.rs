//! What each change of a plan takes on this host: bytes to fetch, room for its files, and room in `/boot`. How long it
//! takes is for those to say who saw the last ones.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::SignedDuration;
use patchd_core::offer::Offers;
use patchd_core::package::{PackageId, Version};
use patchd_core::plan::Plan;
use patchd_core::plan::need::Footprint;

use crate::read;
use crate::root::Root;

const BOOT: &str = "/boot";
const MAX_BOOT_FILES: usize = 10_000;
/// Where dpkg lists the files of a package. The longest list of a distribution has 10 MB.
const LISTS: &str = "/var/lib/dpkg/info";
const MAX_LIST: u64 = 64 << 20;
/// Where nobody has booted from this root yet.
const UNKNOWN_INITRD: u64 = 96 << 20;
const UNKNOWN_IMAGE: u64 = 24 << 20;

/// The footprints of a plan's changes, and of everything else that could come with them: each upgrade that is not kept
/// back and each new package. Sorted by package, each once.
pub fn footprints(root: &Root, plan: &Plan, offers: &Offers) -> Vec<Footprint> {
    let mut targets: BTreeMap<&PackageId, &Version> =
        offers.new_packages.iter().map(|new| (&new.id, &new.version)).collect();
    let free = offers.packages.iter().filter(|(_, known)| known.is_upgradable && known.kept_back.is_none());
    targets.extend(free.filter_map(|(id, known)| Some((id, &known.candidate()?.version))));
    targets.extend(plan.changes().iter().map(|change| (&change.package, &change.to)));
    let has_kernel = targets.keys().any(|&package| is_kernel(package));
    let kernel_bytes = if has_kernel { Boot::read(root).kernel_bytes() } else { 0 };
    let one = |(package, to)| {
        let boot_bytes = if is_kernel(package) { kernel_bytes } else { own_boot_bytes(root, package) };
        footprint(package, to, offers, boot_bytes)
    };
    targets.into_iter().map(one).collect()
}

fn footprint(package: &PackageId, to: &Version, offers: &Offers, boot_bytes: u64) -> Footprint {
    let known = offers.packages.get(package);
    let offer = known.and_then(|known| known.offers.iter().find(|offer| offer.version == *to));
    let new = || offers.new_packages.iter().find(|new| new.id == *package && new.version == *to);
    let (download_bytes, installed_kib) = match offer {
        Some(offer) => (offer.download_bytes, offer.installed_kib),
        None => new().map(|new| (new.download_bytes, new.installed_kib)).unwrap_or_default(),
    };
    Footprint {
        package: package.clone(),
        download_bytes,
        installed_bytes: installed_kib.saturating_mul(1024),
        replaced_bytes: known.map_or(0, |known| known.installed_kib).saturating_mul(1024),
        boot_bytes,
        time: SignedDuration::ZERO,
    }
}

/// Whether a package puts a kernel into `/boot`. Those that only depend on one, and modules, don't.
fn is_kernel(package: &PackageId) -> bool {
    let name = package.name.as_str();
    let version =
        name.strip_prefix("linux-image-").map(|rest| rest.strip_prefix("unsigned-").unwrap_or(rest));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
        && !name.ends_with("-dbg")
        && !name.ends_with("-dbgsym")
}

/// How large the files are that a package without a kernel has in `/boot`, as a boot loader or a memory test does: the new
/// ones come beside them. What it will put there for the first time nobody can know before it is fetched.
fn own_boot_bytes(root: &Root, package: &PackageId) -> u64 {
    let PackageId { name, architecture } = package;
    let lists = [format!("{LISTS}/{name}:{architecture}.list"), format!("{LISTS}/{name}.list")];
    let list = lists.iter().find_map(|list| read::read(root, list, MAX_LIST).ok()).unwrap_or_default();
    let files = list.split(|&byte| byte == b'\n').filter(|file| file.starts_with(b"/boot/"));
    let size = |file: &[u8]| {
        let path = root.resolve(Path::new(OsStr::from_bytes(file)));
        match path.and_then(std::fs::symlink_metadata) {
            Ok(metadata) if metadata.is_dir() => 0,
            // One that is empty, or that this user may not look at, is written all the same.
            told => told.map_or(0, |metadata| metadata.len()).max(1),
        }
    };
    files.map(size).fold(0, u64::saturating_add)
}

/// The largest files of their kinds in `/boot`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Boot {
    initrd: u64,
    image: u64,
    /// The map and the configuration that lie beside an image.
    beside: u64,
}

impl Boot {
    /// What can't be read is not there.
    fn read(root: &Root) -> Self {
        let mut boot = Self::default();
        for name in read::list(root, BOOT, MAX_BOOT_FILES).unwrap_or_default() {
            let path = root.resolve(Path::new(BOOT).join(&name));
            let Ok(metadata) = path.and_then(std::fs::metadata) else {
                continue;
            };
            let name = name.to_string_lossy();
            let is_of = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
            let largest = if is_of(&["initrd.img", "initramfs"]) {
                &mut boot.initrd
            } else if is_of(&["vmlinuz", "vmlinux"]) {
                &mut boot.image
            } else if is_of(&["System.map", "config-"]) {
                &mut boot.beside
            } else {
                continue;
            };
            *largest = metadata.len().max(*largest);
        }
        boot
    }

    /// What one more kernel takes: its image and initrd, half of one more while that is built, and what lies beside.
    fn kernel_bytes(&self) -> u64 {
        let or = |known: u64, guess: u64| if known == 0 { guess } else { known };
        let initrd = or(self.initrd, UNKNOWN_INITRD);
        let files = or(self.image, UNKNOWN_IMAGE).saturating_add(self.beside.saturating_mul(2));
        initrd.saturating_add(initrd / 2).saturating_add(files)
    }
}

#[cfg(test)]
mod tests {
    use patchd_core::package::{Architecture, PackageName};

    use super::*;

    fn id(name: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }
    }

    #[test]
    fn kernels_are_told_from_what_is_only_called_so() {
        for name in [
            "linux-image-6.1.0-28-amd64",
            "linux-image-6.8.0-31-generic",
            "linux-image-unsigned-6.8.0-1010-aws",
        ] {
            assert!(is_kernel(&id(name)), "{name}");
        }
        for name in [
            "linux-image-amd64",
            "linux-image-aws",
            "linux-modules-6.8.0-31-generic",
            "linux-image-6.1.0-28-amd64-dbg",
            "linux-headers-6.1.0-28-amd64",
        ] {
            assert!(!is_kernel(&id(name)), "{name}");
        }
    }

    #[test]
    fn the_next_kernel_is_as_large_as_the_largest_one() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        assert_eq!(Boot::read(&root).kernel_bytes(), (96 + 48 + 24) << 20);
        std::fs::create_dir(root.path("boot")).unwrap();
        for (name, length) in [
            ("initrd.img-6.1", 30),
            ("initrd.img-6.5", 40),
            ("vmlinuz-6.1", 8),
            ("System.map-6.1", 1),
            ("grub.bin", 500),
        ] {
            std::fs::File::create(root.path(format!("boot/{name}"))).unwrap().set_len(length << 20).unwrap();
        }
        std::os::unix::fs::symlink("vmlinuz-6.1", root.path("boot/vmlinuz.old")).unwrap();
        std::os::unix::fs::symlink("gone", root.path("boot/vmlinuz")).unwrap();
        assert_eq!(Boot::read(&root).kernel_bytes(), (60 + 8 + 2) << 20);
    }
}
