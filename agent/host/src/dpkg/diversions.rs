//! Where files lie that somebody moved aside (dpkg-divert(1)).

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

const FILE: &str = "/var/lib/dpkg/diversions";
const MAX_FILE: u64 = 64 << 20;

/// The diversions of a host, by the path that they take files away from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diversions(BTreeMap<PathBuf, Diversion>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Diversion {
    to: PathBuf,
    /// The package whose own file stays in the old place; of the administrator's own ones there is none.
    except: Option<Box<[u8]>>,
}

impl Diversions {
    pub(super) fn read(root: &Root, problems: &mut ProblemList) -> Self {
        match read::read_optional(root, FILE, MAX_FILE) {
            Ok(text) => Self::parse(&text.unwrap_or_default(), &root.path(FILE).to_string_lossy(), problems),
            Err(error) => {
                problems.push(error.to_problem(Weight::Incomplete));
                Self::default()
            }
        }
    }

    /// Three lines each: from, to, and the package, or a colon.
    fn parse(text: &[u8], place: &str, problems: &mut ProblemList) -> Self {
        let lines: Vec<&[u8]> =
            text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n').collect();
        let mut diversions = BTreeMap::new();
        for record in lines.chunks(3).filter(|_| !text.is_empty()) {
            let &[from, to, package] = record else {
                let message = "its last diversion is cut";
                problems.push(Problem::new(ProblemKind::Truncated, Weight::Incomplete, place, message));
                break;
            };
            let path = |bytes| PathBuf::from(OsStr::from_bytes(bytes));
            let except = Some(package).filter(|package| *package != b":").map(Box::from);
            diversions.insert(path(from), Diversion { to: path(to), except });
        }
        Self(diversions)
    }

    /// Where the file of a package lies.
    pub(super) fn place<'a>(&'a self, path: &'a Path, package: &str) -> &'a Path {
        let diversion = self.0.get(path).filter(|one| one.except.as_deref() != Some(package.as_bytes()));
        diversion.map_or(path, |diversion| &diversion.to)
    }

    /// The paths whose files may lie at this one.
    pub(super) fn sources_of<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.0.iter().filter(move |(_, diversion)| diversion.to == place).map(|(from, _)| from.as_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diversion_counts_for_everybody_but_its_package() {
        let text = b"/bin/sh\n/bin/sh.distrib\ndash\n/etc/x\n/etc/x.mine\n:\n";
        let mut problems = ProblemList::new("");
        let diversions = Diversions::parse(text, "diversions", &mut problems);
        for (path, package, expected) in [
            ("/bin/sh", "bash", "/bin/sh.distrib"),
            ("/bin/sh", "dash", "/bin/sh"),
            ("/etc/x", "dash", "/etc/x.mine"),
            ("/etc/y", "dash", "/etc/y"),
        ] {
            assert_eq!(diversions.place(Path::new(path), package), Path::new(expected));
        }
        assert!(problems.is_empty());
        assert_eq!(Diversions::parse(b"", "diversions", &mut problems), Diversions::default());
        assert!(problems.is_empty());
        Diversions::parse(b"/a\n/b\n", "diversions", &mut problems);
        assert!(!problems.is_empty());
    }
}
