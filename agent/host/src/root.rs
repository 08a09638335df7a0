//! The directory that stands for `/` of the host that is looked at. It reads no file contents: that is `read`.
//!
//! In a foreign root, every symbolic link is followed inside that root, as a process in a chroot would see it: an
//! image's link to `/etc/x` means the image's file and never this machine's.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;

/// As many links as the kernel follows in one path.
const MAX_LINKS: u32 = 40;

/// The directory that is the host's `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    directory: PathBuf,
}

impl Root {
    /// This very machine.
    pub fn host() -> Self {
        Self::at("/")
    }

    /// A host, an image or a container's file system that is found under `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Whether this is the running machine, so that its kernel and its processes belong to what is looked at.
    pub fn is_host(&self) -> bool {
        self.directory == Path::new("/")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where the host's file of this name lies, for showing. Links are not followed: see `resolve`.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let name = name.as_ref();
        self.directory.join(name.strip_prefix("/").unwrap_or(name))
    }

    /// The path of the host's file of this name with every link followed inside the root.
    pub fn resolve(&self, name: impl AsRef<Path>) -> io::Result<PathBuf> {
        if self.is_host() {
            return Ok(self.path(name));
        }
        let mut resolved = self.directory.clone();
        let mut pending = reversed_components(name.as_ref());
        let mut links = 0;
        while let Some(component) = pending.pop() {
            if component == ".." {
                if resolved != self.directory {
                    resolved.pop();
                }
                continue;
            }
            let candidate = resolved.join(&component);
            match std::fs::read_link(&candidate) {
                Ok(target) => {
                    links += 1;
                    if MAX_LINKS < links {
                        return Err(Errno::ELOOP.into());
                    }
                    if target.is_absolute() {
                        resolved.clone_from(&self.directory);
                    }
                    pending.append(&mut reversed_components(&target));
                }
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => resolved = candidate,
                Err(error) => return Err(error),
            }
        }
        Ok(resolved)
    }
}

/// The names in `path` and its `..`, the last one first, without `/` and `.`.
fn reversed_components(path: &Path) -> Vec<OsString> {
    let is_step =
        |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    let mut components: Vec<_> =
        path.components().filter(is_step).map(|component| component.as_os_str().to_owned()).collect();
    components.reverse();
    components
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_is_looked_up_under_the_root_with_or_without_its_slash() {
        let root = Root::at("/srv/image");
        assert_eq!(root.path("etc/os-release"), Path::new("/srv/image/etc/os-release"));
        assert_eq!(root.path("/etc/os-release"), Path::new("/srv/image/etc/os-release"));
        assert!(!root.is_host());
        assert!(Root::at("//").is_host());
        assert_eq!(Root::host().path("etc"), Path::new("/etc"));
    }

    #[test]
    fn links_never_leave_a_foreign_root() {
        let directory = tempfile::tempdir().unwrap();
        let inside = |name: &str| directory.path().join(name);
        std::fs::create_dir_all(inside("usr/lib")).unwrap();
        symlink("/usr/lib", inside("lib")).unwrap();
        symlink("../../../../../../lib/os-release", inside("absolute")).unwrap();
        std::fs::File::create(inside("usr/lib/os-release")).unwrap();
        symlink("loop-b", inside("loop-a")).unwrap();
        symlink("loop-a", inside("loop-b")).unwrap();
        symlink("/etc/shadow", inside("outside")).unwrap();

        let root = Root::at(directory.path());
        assert_eq!(root.resolve("absolute").unwrap(), inside("usr/lib/os-release"));
        assert_eq!(root.resolve("../../lib/./os-release").unwrap(), inside("usr/lib/os-release"));
        assert_eq!(root.resolve("loop-a").unwrap_err().raw_os_error(), Some(Errno::ELOOP as i32));
        assert_eq!(root.resolve("outside").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(root.resolve("none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
