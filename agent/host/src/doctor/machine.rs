//! The checks of the machine itself: its system, kernel, clock, boot and the programs that run on it.

use std::path::Path;

use patchd_core::inventory::Inventory;
use patchd_core::report::Tristate;
use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckName, CheckWire};

use super::AS_ROOT;
use crate::clock::{Synchronisation, synchronisation};
use crate::cloud_init::CloudInit;
use crate::machine::read_machine;
use crate::os::read_os_release;
use crate::problem_list::ProblemList;
use crate::root::Root;
use crate::{container, read, reboot};

/// The programs of the package.
const PROGRAMS: [&str; 2] = ["/usr/bin/patchd", patchd_protocol::executor::PROGRAM];
/// What the kernel adds to the path of a program that is no longer on disk.
const GONE: &str = " (deleted)";
const MAX_PROCESSES: usize = 100_000;

pub(super) fn system(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::System;
    let os = read_os_release(root, &mut ProblemList::new("host"));
    if os.id.is_empty() {
        return CheckWire::failing(
            NAME,
            "/etc/os-release does not say which system this is",
            "cat /etc/os-release",
        );
    }
    let name = if os.pretty_name.is_empty() { &os.id } else { &os.pretty_name };
    let has = |program: &str| root.resolve(program).is_ok_and(|path| path.exists());
    match ["usr/bin/apt-get", "var/lib/dpkg/status"].into_iter().find(|part| !has(part)) {
        None => CheckWire::ok(NAME, format!("{name}, with apt")),
        Some(part) => CheckWire::failing(
            NAME,
            format!("{name} has no /{part}: patchd looks after hosts with apt only"),
            "see docs/PLATFORM.md for the systems that are supported",
        ),
    }
}

pub(super) fn container(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::Container;
    match container::find(root) {
        None => CheckWire::ok(NAME, "this is no container"),
        Some(kind) => CheckWire::warning(
            NAME,
            format!(
                "this is a container ({kind}): it has no kernel of its own, and what is patched in it is lost with it"
            ),
            "build and deploy a new image, and run patchd on the container's host",
        ),
    }
}

/// Whether a program runs that was replaced on disk. The executor goes on with what it began, and ends by itself.
pub(super) fn old_program(root: &Root, is_root: bool) -> CheckWire {
    const NAME: CheckName = CheckName::OldProgram;
    let remedy = "systemctl try-restart patchd.service";
    if !root.is_host() {
        return CheckWire::ok(NAME, "nothing runs in a root that is no running host");
    }
    if !is_root {
        return CheckWire::cannot_tell(NAME, "only root sees which program a process runs", AS_ROOT);
    }
    let names = match read::list(&Root::at("/proc"), "", MAX_PROCESSES) {
        Ok(names) => names,
        Err(error) => return CheckWire::cannot_tell(NAME, error.to_string(), remedy),
    };
    let old: Vec<String> = names
        .iter()
        .filter_map(|name| {
            let pid: u32 = name.to_str()?.parse().ok()?;
            let program = std::fs::read_link(Path::new("/proc").join(name).join("exe")).ok()?;
            let path = program.to_str()?.strip_suffix(GONE)?;
            PROGRAMS.contains(&path).then(|| format!("{path} (pid {pid})"))
        })
        .collect();
    match old.is_empty() {
        true => CheckWire::ok(NAME, "no program of before an upgrade runs"),
        false => CheckWire::warning(
            NAME,
            format!(
                "{} was replaced on disk and still runs; it ends by itself when its work is done",
                old.join(", ")
            ),
            remedy,
        ),
    }
}

/// SELinux's mode. Nothing of patchd depends on it: see docs/selinux.md.
pub(super) fn selinux(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::Selinux;
    let enforce = read::read_optional(root, "sys/fs/selinux/enforce", 16);
    match enforce {
        Ok(None) => CheckWire::ok(NAME, "this kernel does not use it"),
        Ok(Some(mode)) if mode.trim_ascii() == b"1" => CheckWire::ok(
            NAME,
            "it enforces; patchd needs no rules of its own, and `ausearch -m avc -c patchd` shows what is denied",
        ),
        Ok(Some(_)) => CheckWire::ok(NAME, "it is permissive"),
        Err(error) => CheckWire::cannot_tell(NAME, error.to_string(), "getenforce"),
    }
}

pub(super) fn clock(settings: &Settings) -> CheckWire {
    const NAME: CheckName = CheckName::Clock;
    let is_required = settings.clock.require_synchronised;
    let remedy = "systemctl enable --now systemd-timesyncd (or chrony), then timedatectl";
    match synchronisation() {
        Synchronisation::Synchronised => CheckWire::ok(NAME, "the kernel says that it is synchronised"),
        _ if !is_required => CheckWire::ok(
            NAME,
            "nobody vouches for it, and clock.require_synchronised = false takes it as it is",
        ),
        // Without a window there is nothing that waits for a clock, but reports and signatures carry its time.
        Synchronisation::Unsynchronised if settings.windows.is_empty() => {
            CheckWire::warning(NAME, "it is not synchronised: S3 refuses requests with a wrong time", remedy)
        }
        Synchronisation::Unsynchronised => {
            CheckWire::failing(NAME, "it is not synchronised: no window can be told by it", remedy)
        }
        Synchronisation::Unknown { detail } => CheckWire::cannot_tell(
            NAME,
            format!("whether it is synchronised can't be told: {detail}"),
            AS_ROOT,
        ),
    }
}

pub(super) fn cloud_init(root: &Root) -> CheckWire {
    const NAME: CheckName = CheckName::CloudInit;
    let state = CloudInit::of(root);
    match (&state, state.waits()) {
        (CloudInit::Unknown { .. }, Some(why)) => {
            CheckWire::cannot_tell(NAME, why, "cloud-init status --long")
        }
        (_, Some(why)) => CheckWire::warning(
            NAME,
            format!("{why}: new lists wait for it, for an hour at most, and changes as long as it takes"),
            "cloud-init status --long",
        ),
        (CloudInit::Done, None) => CheckWire::ok(NAME, "it is done with this boot"),
        (CloudInit::Disabled, None) => CheckWire::ok(NAME, "it is switched off"),
        (_, None) => CheckWire::ok(NAME, "it is not used here"),
    }
}

pub(super) fn reboot(root: &Root, inventory: &Inventory) -> CheckWire {
    const NAME: CheckName = CheckName::Reboot;
    let machine = read_machine(root, &mut ProblemList::new("host"));
    match reboot::look(root, inventory, &machine, container::find(root).as_deref()).need {
        Tristate::No => CheckWire::ok(NAME, "none is pending"),
        Tristate::Yes(why) => CheckWire::warning(NAME, format!("one is pending: {why}"), "systemctl reboot"),
        Tristate::Unknown(why) => CheckWire::cannot_tell(NAME, why, "uname -r; dpkg -l 'linux-image*'"),
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::doctor::CheckVerdictWire;

    use super::*;
    use crate::durable::{atomic_write, create_directories};

    #[track_caller]
    fn check(files: &[(&str, &str)], of: fn(&Root) -> CheckWire, verdict: CheckVerdictWire, says: &str) {
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        for (name, content) in files {
            let path = root.path(name);
            create_directories(path.parent().unwrap(), 0o755).unwrap();
            atomic_write(&path, content.as_bytes(), 0o644).unwrap();
        }
        let found = of(&root);
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.detail.contains(says), "{found:?}");
    }

    const DEBIAN: (&str, &str) = ("etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");

    #[test]
    fn a_system_is_known_by_its_package_manager() {
        let apt = ("usr/bin/apt-get", "");
        let dpkg = ("var/lib/dpkg/status", "");
        check(&[DEBIAN, apt, dpkg], system, CheckVerdictWire::Ok, "Debian GNU/Linux 12");
        check(&[DEBIAN, apt], system, CheckVerdictWire::Failing, "var/lib/dpkg/status");
        check(&[("etc/os-release", "ID=fedora\n")], system, CheckVerdictWire::Failing, "fedora");
        check(&[], system, CheckVerdictWire::Failing, "which system");
    }

    #[test]
    fn selinux_is_told_by_its_mode() {
        let file = "sys/fs/selinux/enforce";
        check(&[], selinux, CheckVerdictWire::Ok, "does not use it");
        check(&[(file, "1")], selinux, CheckVerdictWire::Ok, "enforces");
        check(&[(file, "0")], selinux, CheckVerdictWire::Ok, "permissive");
    }

    #[test]
    fn a_boot_that_is_not_over_and_a_container_are_warned_of() {
        check(&[("run/cloud-init/enabled", "")], cloud_init, CheckVerdictWire::Warning, "wait for it");
        check(&[], cloud_init, CheckVerdictWire::Ok, "not used");
        check(&[(".dockerenv", "")], container, CheckVerdictWire::Warning, "docker");
    }
}
