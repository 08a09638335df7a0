//! Whether a host has to be rebooted for what is installed on it to run: yes, no, or nobody can tell; and for which
//! packages.
//!
//! It looks at the mark that packages leave and at the kernel. Processes that run old code are found by `processes`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{SysconfVar, sysconf};
use patchd_core::inventory::{InstalledPackage, Inventory};
use patchd_core::package::{PackageId, PackageName, Version};
use patchd_core::pending::{self, LiveFacts, OldCode};
use patchd_core::reason::Cause;
use patchd_core::report::Tristate;
use patchd_core::version::deb;

use crate::machine::Machine;
use crate::problem_list::quoted;
use crate::read;
use crate::root::Root;

const MARK: &str = "run/reboot-required";
const MARK_PACKAGES: &str = "run/reboot-required.pkgs";
const MAX_FILE: u64 = 1 << 20;
/// How many packages an answer names.
const MAX_NAMES: usize = 10;

/// What the running system says of its kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel<'a> {
    /// `uname -r`
    pub release: &'a str,
    /// The version of the package that it was built as, where it tells.
    pub package_version: Option<&'a str>,
}

/// What a host says of its next boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reboot {
    pub need: Tristate,
    /// The kernel packages that run after it and not before.
    pub kernels: Vec<PackageId>,
    /// The packages that asked for it.
    pub asked: Vec<PackageName>,
}

impl Reboot {
    /// Whether the host asks for a reboot: for what is installed, or for code in memory that nothing else replaces.
    pub fn need_with(&self, old_code: &OldCode) -> Tristate {
        match (&self.need, old_code.needing_reboot()) {
            (Tristate::No | Tristate::Unknown(_), Some(because)) => Tristate::Yes(because),
            (need, _) => need.clone(),
        }
    }
}

/// What a host asks to be rebooted for, in words that are the same as long as it is the same: each package that runs only
/// after it with its version, so that a later version is another reason. A mark without a name is one of its own.
pub fn reasons(
    inventory: &Inventory,
    reboot: &Reboot,
    machine: &Machine,
    old_code: &OldCode,
) -> BTreeSet<String> {
    let live = LiveFacts {
        kernels: &reboot.kernels,
        running_kernel: machine.kernel.as_deref(),
        asked: &reboot.asked,
        old_code,
    };
    let pending = pending::find(inventory, live);
    let is_pending =
        |package: &&InstalledPackage| matches!(pending.get(&package.id), Some(Cause::Reboot { .. }));
    let of_packages = inventory.packages.iter().filter(is_pending);
    let mut reasons: BTreeSet<String> =
        of_packages.map(|package| format!("{}={}", package.id.name, package.version)).collect();
    let is_installed =
        |name: &&PackageName| inventory.packages.iter().any(|package| package.id.name == **name);
    reasons.extend(reboot.asked.iter().filter(|name| !is_installed(name)).map(ToString::to_string));
    if reasons.is_empty()
        && let Tristate::Yes(because) = reboot.need_with(old_code)
    {
        reasons.insert(because);
    }
    reasons
}

/// Looks for reasons to boot. `container` is set where the kernel is another's.
pub fn look(root: &Root, inventory: &Inventory, machine: &Machine, container: Option<&str>) -> Reboot {
    let mark = Mark::read(root, container.is_some());
    let by_kernel = match container {
        Some(_) => Tristate::No,
        None => kernel_need(root, inventory, machine),
    };
    let kernels = match by_kernel {
        Tristate::Yes(_) => newest_kernels(inventory),
        Tristate::No | Tristate::Unknown(_) => Vec::new(),
    };
    let asked = mark.as_ref().map(Mark::packages).unwrap_or_default();
    Reboot { need: mark.map_or(by_kernel, |mark| Tristate::Yes(mark.sentence())), kernels, asked }
}

fn kernel_need(root: &Root, inventory: &Inventory, machine: &Machine) -> Tristate {
    let Some(release) = machine.kernel.as_deref() else {
        return Tristate::Unknown("this root isn't running, so that there is no kernel to compare".into());
    };
    let signature = read::read(root, "proc/version_signature", MAX_FILE).unwrap_or_default();
    let signature = String::from_utf8_lossy(&signature);
    let build = machine.kernel_build.as_deref().unwrap_or_default();
    let package_version = version_in_signature(&signature).or_else(|| version_in_build(build));
    compare_kernels(inventory, Kernel { release, package_version })
}

/// What maintainer scripts leave until the next boot: the mark, and the names of those that made it.
struct Mark {
    names: BTreeSet<Vec<u8>>,
}

impl Mark {
    /// The mark, if it is of this boot. In a container, kernels that ask are not heard.
    fn read(root: &Root, is_container: bool) -> Option<Self> {
        if !is_of_this_boot(root) {
            return None;
        }
        let content = read::read(root, MARK_PACKAGES, MAX_FILE).unwrap_or_default();
        let lines = content.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let named: BTreeSet<_> = lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        let is_heard = |name: &&Vec<u8>| !(is_container && str::from_utf8(name).is_ok_and(is_of_kernel));
        let names: BTreeSet<_> = named.iter().filter(is_heard).cloned().collect();
        (!names.is_empty() || named.is_empty()).then_some(Self { names })
    }

    fn sentence(&self) -> String {
        let mut names: Vec<_> = self.names.iter().take(MAX_NAMES).map(|name| bare(name)).collect();
        if names.len() < self.names.len() {
            names.push(format!("{} more", self.names.len() - names.len()));
        }
        let whose = if names.is_empty() { "a package".to_owned() } else { names.join(", ") };
        format!("{whose} asked for it in /{MARK}")
    }

    fn packages(&self) -> Vec<PackageName> {
        let parse = |name: &Vec<u8>| PackageName::parse(str::from_utf8(name).ok()?).ok();
        self.names.iter().filter_map(parse).collect()
    }
}

/// Whether there is a mark, and no earlier boot left it. One in memory can't be older than the boot. A container may keep
/// its `/run` on disk: there, a mark from before its first process was started is an old one.
fn is_of_this_boot(root: &Root) -> bool {
    let Ok(path) = root.resolve(MARK) else { return false };
    let Ok(made) = std::fs::metadata(&path).and_then(|metadata| metadata.modified()) else { return false };
    let is_in_memory = || statfs(&path).is_ok_and(|system| system.filesystem_type() == TMPFS_MAGIC);
    let is_newer = || {
        let made = Timestamp::try_from(made).ok()?;
        Some(started_at(root)? <= made)
    };
    is_in_memory() || is_newer().unwrap_or(true)
}

/// When the first process was started: at the boot, or when a container was started.
fn started_at(root: &Root) -> Option<Timestamp> {
    if !root.is_host() {
        return None;
    }
    let text =
        |name: &str| Some(String::from_utf8_lossy(&read::read(root, name, MAX_FILE).ok()?).into_owned());
    let booted: i64 =
        text("proc/stat")?.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let ticks: i64 = start_of(&text("proc/1/stat")?)?;
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Timestamp::from_second(booted.checked_add(ticks.checked_div(per_second)?)?).ok()
}

/// The 22nd field of proc_pid_stat(5). The second one is a name in brackets, with anything inside.
fn start_of(stat: &str) -> Option<i64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A package name as it is; anything else in quotes.
fn bare(name: &[u8]) -> String {
    let text =
        std::str::from_utf8(name).ok().filter(|text| patchd_core::package::PackageName::parse(text).is_ok());
    text.map_or_else(|| quoted(name), str::to_owned)
}

/// Holds the running kernel against the newest one that is installed and configured.
pub fn compare_kernels(inventory: &Inventory, running: Kernel<'_>) -> Tristate {
    let images = || inventory.packages.iter().filter_map(Image::of);
    let Some(newest) = images().max_by(|a, b| a.order(b)) else {
        return Tristate::Unknown(format!("no kernel package is installed, but {} runs", running.release));
    };
    let is_newest = images().any(|image| image.release == running.release && image.order(&newest).is_eq());
    let is_known = images().any(|image| image.release == running.release)
        || inventory
            .residual
            .iter()
            .any(|package| release_of(package.id.name.as_str()) == Some(running.release));
    match (is_newest, is_known, running.package_version) {
        (true, _, Some(version)) if newest.is_build(version) => Tristate::No,
        (true, _, Some(version)) => Tristate::Yes(format!(
            "kernel {} is installed as {}, but its build {version} runs",
            newest.release, newest.version
        )),
        (true, _, None) => Tristate::Unknown(format!(
            "kernel {} runs, but it doesn't tell whether it is the build {} that is installed",
            running.release, newest.version
        )),
        (false, true, _) => {
            Tristate::Yes(format!("kernel {} is installed, but {} runs", newest.release, running.release))
        }
        (false, false, _) => Tristate::Unknown(format!(
            "the kernel {} that runs belongs to no package here; {} is the newest that is installed",
            running.release, newest.release
        )),
    }
}

/// The kernel packages that a boot would start.
pub(crate) fn newest_kernels(inventory: &Inventory) -> Vec<PackageId> {
    let images = || inventory.packages.iter().filter_map(|package| Some((&package.id, Image::of(package)?)));
    let newest = images().map(|(_, image)| image).max_by(|a, b| a.order(b));
    let is_newest = |image: &Image<'_>| newest.as_ref().is_some_and(|newest| image.order(newest).is_eq());
    images().filter(|(_, image)| is_newest(image)).map(|(id, _)| id.clone()).collect()
}

/// Whether a package is a kernel, or asks for a reboot only on behalf of one.
fn is_of_kernel(name: &str) -> bool {
    release_of(name).is_some() || name == "linux-base"
}

/// An installed kernel.
struct Image<'a> {
    release: &'a str,
    version: &'a Version,
}

impl<'a> Image<'a> {
    /// The kernel of a package, if it is one that a boot can start.
    fn of(package: &'a InstalledPackage) -> Option<Self> {
        let release = release_of(package.id.name.as_str()).filter(|_| !package.state.is_broken())?;
        Some(Self { release, version: &package.version })
    }

    fn order(&self, other: &Self) -> Ordering {
        deb::compare(self.version.as_str(), other.version.as_str())
    }

    /// Whether a kernel that calls itself `version` is this one. An image that was only signed again has a `+1` behind
    /// the version that the kernel knows.
    fn is_build(&self, version: &str) -> bool {
        let own = self.version.as_str();
        let unsigned = own.rsplit_once('+').map_or(own, |(version, _)| version);
        deb::compare(version, own).is_eq() || deb::compare(version, unsigned).is_eq()
    }
}

/// The `uname -r` of a kernel package: `linux-image-RELEASE`, also of the twin whose image is not signed. Packages that
/// only pull the newest kernel in, and those with debugging symbols, are none.
pub(crate) fn release_of(name: &str) -> Option<&str> {
    let release = name.strip_prefix("linux-image-")?;
    let release = release.strip_prefix("unsigned-").unwrap_or(release);
    let release = release.strip_suffix("-unsigned").unwrap_or(release);
    let is_debugging = release.ends_with("-dbg") || release.ends_with("-dbgsym");
    (release.starts_with(|c: char| c.is_ascii_digit()) && !is_debugging).then_some(release)
}

/// Debian puts the package's version into `uname -v`: `#1 SMP … Debian 6.1.76-1 (2024-02-01)`.
fn version_in_build(build: &str) -> Option<&str> {
    build.split_once("Debian ")?.1.split_ascii_whitespace().next()
}

/// Ubuntu has a file for it: `Ubuntu 6.8.0-1021.23-aws 6.8.12`, with the flavour behind the version.
fn version_in_signature(signature: &str) -> Option<&str> {
    let version = signature.strip_prefix("Ubuntu ")?.split_ascii_whitespace().next()?;
    version.rsplit_once('-').map(|(version, _)| version)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn inventory(packages: &[(&str, &str, &str)]) -> Inventory {
        let stanza = |&(name, version, state): &(&str, &str, &str)| {
            format!("Package: {name}\nStatus: {state}\nArchitecture: amd64\nVersion: {version}\n\n")
        };
        let text: String = packages.iter().map(stanza).collect();
        crate::dpkg::parse_status(text.as_bytes(), Path::new("status"))
    }

    const OK: &str = "install ok installed";

    #[track_caller]
    fn check(packages: &[(&str, &str, &str)], release: &str, package_version: Option<&str>, expected: char) {
        let need = compare_kernels(&inventory(packages), Kernel { release, package_version });
        let found = match need {
            Tristate::Yes(_) => 'y',
            Tristate::No => 'n',
            Tristate::Unknown(_) => '?',
        };
        assert_eq!(found, expected, "{need:?}");
    }

    #[test]
    fn the_running_kernel_is_held_against_the_newest_one() {
        let old = ("linux-image-6.1.0-9-amd64", "6.1.27-1", OK);
        let new = ("linux-image-6.1.0-18-amd64", "6.1.76-1", OK);
        let others = [
            ("linux-image-amd64", "6.9-1", OK),
            ("linux-image-6.9.0-1-amd64-dbg", "6.9-1", OK),
            ("linux-image-6.9.0-1-amd64", "6.9-1", "deinstall ok config-files"),
            ("linux-image-6.9.0-2-amd64", "6.9-2", "install ok half-configured"),
        ];
        let both = [&[old, new][..], &others].concat();
        check(&both, "6.1.0-18-amd64", Some("6.1.76-1"), 'n');
        check(&both, "6.1.0-9-amd64", Some("6.1.27-1"), 'y');
        check(&both, "6.1.0-18-amd64", Some("6.1.70-1"), 'y');
        check(&both, "6.1.0-18-amd64", None, '?');
        check(&both, "6.9.0-1-amd64", None, 'y');
        check(&both, "5.10.0-custom", None, '?');
        check(&others, "6.1.0-9-amd64", None, '?');
    }

    #[test]
    fn flavours_and_twins_of_one_version_are_all_newest() {
        let packages = [
            ("linux-image-6.1.0-18-amd64-unsigned", "6.1.76-1", OK),
            ("linux-image-6.1.0-18-cloud-amd64", "6.1.76-1", OK),
        ];
        check(&packages, "6.1.0-18-cloud-amd64", Some("6.1.76-1"), 'n');
        check(&packages, "6.1.0-18-amd64", Some("6.1.76-1"), 'n');
        let signed = [("linux-image-6.8.0-1021-aws", "6.8.0-1021.23~22.04.1+1", OK)];
        check(&signed, "6.8.0-1021-aws", Some("6.8.0-1021.23~22.04.1"), 'n');
        let unsigned = [("linux-image-unsigned-6.8.0-1021-aws", "6.8.0-1021.23", OK)];
        check(&unsigned, "6.8.0-1021-aws", Some("6.8.0-1021.22"), 'y');
    }

    #[test]
    fn the_kernel_names_the_package_it_was_built_as() {
        let build = "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01)";
        assert_eq!(version_in_build(build), Some("6.1.76-1"));
        assert_eq!(version_in_build("#1 SMP PREEMPT_DYNAMIC @0"), None);
        let signature = "Ubuntu 6.8.0-1021.23~22.04.1-aws 6.8.12\n";
        assert_eq!(version_in_signature(signature), Some("6.8.0-1021.23~22.04.1"));
        assert_eq!(version_in_signature(""), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn the_mark_counts_even_in_a_container_and_names_each_package_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let machine = crate::machine::read_machine(&root, &mut crate::problem_list::ProblemList::new(""));
        let inventory = inventory(&[("linux-image-6.1.0-18-amd64", "6.1.76-1", OK)]);
        let look = |container| look(&root, &inventory, &machine, container);
        let need = |container| look(container).need;
        assert_eq!(need(Some("docker")), Tristate::No);
        assert!(matches!(need(None), Tristate::Unknown(_)));
        std::fs::create_dir(root.path("run")).unwrap();
        std::fs::write(root.path(MARK), "*** System restart required ***\n").unwrap();
        std::fs::write(root.path(MARK_PACKAGES), "libc6\ndbus\nlibc6\nx y\n").unwrap();
        let expected = "dbus, libc6, \"x y\" asked for it in /run/reboot-required";
        assert_eq!(need(Some("docker")), Tristate::Yes(expected.into()));
        let asked: Vec<_> = look(None).asked.iter().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(asked, ["dbus", "libc6"]);
        assert_eq!(look(None).kernels, []);

        std::fs::write(root.path(MARK_PACKAGES), "linux-image-6.1.0-18-amd64\nlinux-base\n").unwrap();
        assert_eq!(look(Some("lxc")), Reboot { need: Tristate::No, kernels: vec![], asked: vec![] });
        assert_eq!(look(None).asked.len(), 2);
    }

    #[test]
    fn the_kernels_of_the_next_boot_are_those_of_the_newest_version() {
        let inventory = inventory(&[
            ("linux-image-6.1.0-9-amd64", "6.1.27-1", OK),
            ("linux-image-6.1.0-18-amd64", "6.1.76-1", OK),
            ("linux-image-6.1.0-18-cloud-amd64", "6.1.76-1", OK),
            ("linux-image-amd64", "6.9-1", OK),
            ("linux-image-6.9.0-2-amd64", "6.9-2", "install ok half-configured"),
        ]);
        let mut machine =
            crate::machine::read_machine(&Root::host(), &mut crate::problem_list::ProblemList::new(""));
        let directory = tempfile::tempdir().unwrap();
        let mut kernels = |release: &str| {
            machine.kernel = Some(release.into());
            machine.kernel_build = Some("Debian 6.1.76-1 (2024-02-01)".into());
            let kernels = look(&Root::at(directory.path()), &inventory, &machine, None).kernels;
            kernels.iter().map(|id| id.name.as_str().to_owned()).collect::<Vec<_>>()
        };
        let newest = ["linux-image-6.1.0-18-amd64", "linux-image-6.1.0-18-cloud-amd64"];
        assert_eq!(kernels("6.1.0-9-amd64"), newest);
        assert!(kernels("6.1.0-18-amd64").is_empty());
        // Cannot tell is no.
        assert!(kernels("5.10.0-custom").is_empty());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn a_later_version_is_another_reason_and_a_mark_without_a_name_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::at(directory.path());
        let machine = crate::machine::read_machine(&root, &mut crate::problem_list::ProblemList::new(""));
        let reasons = |version: &str, pkgs: &str| {
            std::fs::create_dir_all(root.path("run")).unwrap();
            std::fs::write(root.path(MARK), "").unwrap();
            std::fs::write(root.path(MARK_PACKAGES), pkgs).unwrap();
            let inventory = inventory(&[("libc6", version, OK), ("dbus", "1.14-1", OK)]);
            let reboot = look(&root, &inventory, &machine, None);
            let reasons = reasons(&inventory, &reboot, &machine, &OldCode::default());
            reasons.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(reasons("2.36-9", "libc6\ngone\ndbus\n"), ["dbus=1.14-1", "gone", "libc6=2.36-9"]);
        assert_eq!(reasons("2.36-10", "libc6\n"), ["libc6=2.36-10"]);
        assert_eq!(reasons("2.36-10", ""), ["a package asked for it in /run/reboot-required"]);
    }

    #[test]
    fn this_machine_was_started_in_the_past() {
        let started = started_at(&Root::host()).unwrap();
        let ours = Timestamp::try_from(std::fs::metadata("/proc/self").unwrap().modified().unwrap()).unwrap();
        assert!(started <= ours, "{started} {ours}");
        assert_eq!(start_of("1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 42 9"), Some(42));
        assert_eq!(start_of("1 (a"), None);
        assert_eq!(started_at(&Root::at("/nowhere")), None);
    }
}
