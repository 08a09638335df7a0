//! Whether what the next boot starts is all there: the newest kernel and, where the host boots with one, its initrd.
//!
//! It looks at sizes and names alone. Which entry a boot loader picks, and what an archive holds, is not looked at.

use patchd_core::inventory::Inventory;
use patchd_core::package::PackageId;

use crate::reboot::{newest_kernels, release_of};
use crate::root::Root;

/// The packages of Debian and Ubuntu that make an initrd for each kernel.
const MAKERS: [&str; 4] = ["initramfs-tools-core", "initramfs-tools", "dracut", "tiny-initramfs"];

/// What is missing, in a sentence. A host without kernel packages boots by means that nobody here knows: nothing is said.
pub fn missing(root: &Root, inventory: &Inventory) -> Option<String> {
    let is_maker = |name: &str| MAKERS.contains(&name);
    let has_initrds = inventory
        .packages
        .iter()
        .any(|package| is_maker(package.id.name.as_str()) && !package.state.is_broken());
    newest_kernels(inventory).iter().find_map(|kernel| of_kernel(root, kernel, has_initrds))
}

fn of_kernel(root: &Root, kernel: &PackageId, has_initrds: bool) -> Option<String> {
    let release = release_of(kernel.name.as_str())?;
    let mut names = vec![format!("boot/vmlinuz-{release}")];
    if has_initrds {
        names.push(format!("boot/initrd.img-{release}"));
    }
    names.iter().find_map(|name| {
        let wrong = match root.resolve(name).map(std::fs::metadata) {
            Ok(Ok(metadata)) if !metadata.is_file() => "is no regular file",
            Ok(Ok(metadata)) if metadata.len() == 0 => "is empty",
            Ok(Ok(_)) => return None,
            Ok(Err(_)) | Err(_) => "is not there, or can't be looked at",
        };
        Some(format!("/{name}, which the next boot wants, {wrong}"))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn inventory(names: &[&str]) -> Inventory {
        let stanza = |name: &&str| {
            let status = "install ok installed";
            format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: 6.1.76-1\n\n")
        };
        let text: String = names.iter().map(stanza).collect();
        crate::dpkg::parse_status(text.as_bytes(), Path::new("status"))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn a_boot_wants_its_kernel_and_an_initrd_where_some_package_makes_them() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let missing = |names: &[&str]| missing(&root, &inventory(names));
        assert_eq!(missing(&["libc6"]), None, "no kernel of a package, no question");
        let kernel = "linux-image-6.1.0-18-amd64";
        let image = missing(&[kernel]).unwrap();
        assert!(image.starts_with("/boot/vmlinuz-6.1.0-18-amd64, which"), "{image}");
        std::fs::create_dir(root.path("boot")).unwrap();
        std::fs::write(root.path("boot/vmlinuz-6.1.0-18-amd64"), "").unwrap();
        assert!(missing(&[kernel]).unwrap().ends_with("is empty"));
        std::fs::write(root.path("boot/vmlinuz-6.1.0-18-amd64"), "MZ").unwrap();
        assert_eq!(missing(&[kernel]), None);
        let initrd = missing(&[kernel, "initramfs-tools-core"]).unwrap();
        assert!(initrd.starts_with("/boot/initrd.img-6.1.0-18-amd64, which"), "{initrd}");
        std::fs::create_dir(root.path("boot/initrd.img-6.1.0-18-amd64")).unwrap();
        assert!(missing(&[kernel, "dracut"]).unwrap().ends_with("is no regular file"));
        std::fs::remove_dir(root.path("boot/initrd.img-6.1.0-18-amd64")).unwrap();
        std::fs::write(root.path("boot/initrd.img-6.1.0-18-amd64"), "cpio").unwrap();
        assert_eq!(missing(&[kernel, "dracut"]), None);
    }
}
