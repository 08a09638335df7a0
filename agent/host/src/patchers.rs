//! Who else patches this host: two patchers on one host fight over locks, windows and reboots.
//!
//! Installed packages, enabled units and their own settings are the evidence. Nothing is switched off here, and nobody is
//! asked: what root wants done about them is the executor's.

use std::path::{Path, PathBuf};

use patchd_core::inventory::Inventory;
use patchd_core::report::OtherPatcher;
use patchd_protocol::patchers::{self, Patcher, PatcherWire};

use crate::apt::conf::Conf;
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

/// What one leaves on a host that it would patch by itself.
struct Known {
    patcher: Patcher,
    /// What reports call it.
    name: &'static str,
    packages: &'static [&'static str],
    /// The units that start it by themselves once they are enabled.
    units: &'static [&'static str],
    /// Files without which it does nothing, where its package and its units are there on most hosts.
    files: &'static [&'static str],
    /// Whether its settings say that it installs, where they decide.
    is_set: fn(&Root) -> Option<Setting>,
}

/// A setting that decides.
struct Setting {
    installs: bool,
    told: String,
}

/// Nothing but its units decides.
fn by_units(_: &Root) -> Option<Setting> {
    None
}

const fn known(
    patcher: Patcher,
    name: &'static str,
    packages: &'static [&'static str],
    units: &'static [&'static str],
) -> Known {
    Known { patcher, name, packages, units, files: &[], is_set: by_units }
}

const KNOWN: [Known; 11] = [
    Known {
        is_set: unattended,
        ..known(
            Patcher::UnattendedUpgrades,
            "unattended-upgrades",
            &["unattended-upgrades"],
            &["apt-daily-upgrade.timer"],
        )
    },
    Known {
        is_set: |root| {
            apply_updates(root, &["etc/dnf/automatic.conf", "etc/dnf/dnf5-plugins/automatic.conf"])
        },
        ..known(
            Patcher::DnfAutomatic,
            "dnf-automatic",
            &["dnf-automatic", "dnf5-plugin-automatic"],
            &["dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer"],
        )
    },
    Known {
        is_set: |root| apply_updates(root, &["etc/yum/yum-cron.conf"]),
        ..known(Patcher::YumCron, "yum-cron", &["yum-cron"], &["yum-cron.service"])
    },
    Known {
        // It installs at the next boot what was prepared, and nothing else by itself.
        files: &["system-update", "var/lib/PackageKit/prepared-update"],
        ..known(Patcher::Packagekit, "PackageKit", &["packagekit", "PackageKit"], &[])
    },
    known(
        Patcher::TransactionalUpdate,
        "transactional-update",
        &["transactional-update"],
        &["transactional-update.timer"],
    ),
    known(Patcher::OsUpdate, "os-update", &["os-update"], &["os-update.timer"]),
    Known {
        files: &[
            "etc/cron.daily/opensuse.org-online_update",
            "etc/cron.weekly/opensuse.org-online_update",
            "etc/cron.monthly/opensuse.org-online_update",
        ],
        ..known(Patcher::OnlineUpdate, "YaST online update", &["yast2-online-update-configuration"], &[])
    },
    known(Patcher::CronApt, "cron-apt", &["cron-apt"], &[]),
    known(
        Patcher::AmazonSsmAgent,
        "AWS Systems Manager agent",
        &["amazon-ssm-agent"],
        &["amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"],
    ),
    known(Patcher::LandscapeClient, "Landscape client", &["landscape-client"], &["landscape-client.service"]),
    known(
        Patcher::GoogleOsconfigAgent,
        "Google OS Config agent",
        &["google-osconfig-agent"],
        &["google-osconfig-agent.service"],
    ),
];

/// Where an enabled unit has its link (systemctl(1), `enable`).
const WANTS: [&str; 2] =
    ["etc/systemd/system/timers.target.wants", "etc/systemd/system/multi-user.target.wants"];

const MAX_CONFIGURATION: u64 = 256 << 10;

/// Every other patcher that is installed and would start by itself, with the evidence.
///
/// A package that ships no unit of its own, or whose unit is not enabled, is no patcher by itself: unless it is one that
/// runs from cron. Nor is one whose settings say that it installs nothing, or that was disabled here.
pub fn find(root: &Root, inventory: &Inventory) -> Vec<OtherPatcher> {
    let active = KNOWN.iter().filter(|known| !is_disabled(root, known.patcher));
    active
        .filter_map(|known| {
            Some(OtherPatcher { name: known.name.into(), evidence: evidence(root, inventory, known)? })
        })
        .collect()
}

/// The same, by the name that commands take and with those that were disabled here.
pub fn list(root: &Root, inventory: &Inventory) -> Vec<PatcherWire> {
    let all = KNOWN.iter().map(|known| PatcherWire {
        name: known.patcher,
        evidence: evidence(root, inventory, known),
        disabled: is_disabled(root, known.patcher),
        can_be_disabled: !known.patcher.services().is_empty(),
        elsewhere: known.patcher.elsewhere().map(str::to_owned),
    });
    all.filter(|patcher| patcher.evidence.is_some() || patcher.disabled).collect()
}

/// Whether each of its services has a condition of ours: it has them all or it may install.
fn is_disabled(root: &Root, patcher: Patcher) -> bool {
    let has_ours = |service: &&str| {
        let content = read::read_optional(root, patchers::drop_in(service), MAX_CONFIGURATION);
        matches!(content, Ok(Some(content)) if patchers::is_drop_in(&content))
    };
    !patcher.services().is_empty() && patcher.services().iter().all(has_ours)
}

fn evidence(root: &Root, inventory: &Inventory, known: &Known) -> Option<String> {
    let package = known
        .packages
        .iter()
        .find(|name| inventory.packages.iter().any(|package| package.id.name.as_str() == **name));
    let units =
        known.units.iter().flat_map(|unit| WANTS.iter().map(move |wants| Path::new(wants).join(unit)));
    let files = known.files.iter().map(PathBuf::from);
    let trace = units.chain(files).find(|link| root.path(link).symlink_metadata().is_ok());
    let is_snap = known.units.iter().any(|unit| unit.starts_with("snap."));
    let found = match (package, trace) {
        (Some(package), Some(trace)) if known.units.is_empty() => {
            format!("package {package} is installed, /{} is there", trace.display())
        }
        (Some(package), Some(link)) => {
            format!("package {package} is installed, /{} is enabled", link.display())
        }
        (Some(package), None) if known.units.is_empty() && known.files.is_empty() => {
            format!("package {package} is installed")
        }
        (None, Some(link)) if is_snap => format!("/{} is enabled", link.display()),
        (Some(_) | None, Some(_) | None) => return None,
    };
    match (known.is_set)(root) {
        Some(Setting { installs: false, .. }) => None,
        Some(Setting { told, .. }) => Some(format!("{found}, {told}")),
        None => Some(found),
    }
}

/// What apt's own timer goes by (`/usr/lib/apt/apt.systemd.daily`): without a number of days it installs nothing.
fn unattended(root: &Root) -> Option<Setting> {
    let settings = Conf::read(root, &mut ProblemList::new("apt"));
    let is_off = |value: &str| value.trim().trim_end_matches(['s', 'm', 'h', 'd']) == "0";
    let interval = settings.find("APT::Periodic::Unattended-Upgrade").unwrap_or("0");
    let is_enabled = settings.find("APT::Periodic::Enable").is_none_or(|value| !is_off(value));
    let told = format!("APT::Periodic::Unattended-Upgrade is {interval:?}");
    Some(Setting { installs: is_enabled && !is_off(interval), told })
}

/// What dnf's and yum's own files say. One that can't be read, or says nothing, decides nothing.
fn apply_updates(root: &Root, files: &[&str]) -> Option<Setting> {
    // These install whatever the file says.
    let forced = Path::new("etc/systemd/system/timers.target.wants/dnf-automatic-install.timer");
    if root.path(forced).symlink_metadata().is_ok() {
        return None;
    }
    let file =
        files.iter().find_map(|name| read::read_optional(root, name, MAX_CONFIGURATION).ok().flatten())?;
    let text = String::from_utf8_lossy(&file);
    let mut values = text.lines().filter_map(|line| line.split_once('='));
    let value = values.rfind(|(key, _)| key.trim() == "apply_updates")?.1.trim().to_ascii_lowercase();
    let installs = ["yes", "true", "1", "on"].contains(&value.as_str());
    Some(Setting { installs, told: format!("apply_updates is {value}") })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn host_with(status: &str, units: &[&str]) -> (tempfile::TempDir, Inventory) {
        let directory = tempfile::tempdir().unwrap();
        for unit in units {
            let link = directory.path().join(unit);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink("/lib/systemd/system/anything", &link).unwrap();
        }
        let inventory = crate::dpkg::parse_status(status.as_bytes(), Path::new("status"));
        (directory, inventory)
    }

    const DAILY: &str = "APT::Periodic::Unattended-Upgrade \"1\";\n";

    fn write(directory: &tempfile::TempDir, name: &str, content: &str) {
        let path = directory.path().join(name);
        crate::durable::create_directories(path.parent().unwrap(), 0o755).unwrap();
        crate::durable::atomic_write(&path, content.as_bytes(), 0o644).unwrap();
    }

    fn stanza(name: &str) -> String {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
    }

    #[test]
    fn a_patcher_counts_when_it_would_start_by_itself() {
        let wants = "etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer";
        let (directory, inventory) =
            host_with(&(stanza("unattended-upgrades") + &stanza("cron-apt")), &[wants]);
        assert_eq!(
            find(&Root::at(directory.path()), &inventory).len(),
            1,
            "without a day it installs nothing"
        );
        write(&directory, "etc/apt/apt.conf.d/20auto-upgrades", DAILY);
        let found = find(&Root::at(directory.path()), &inventory);
        let lines: Vec<_> = found.iter().map(|found| format!("{}: {}", found.name, found.evidence)).collect();
        assert_eq!(
            lines,
            [
                format!(
                    "unattended-upgrades: package unattended-upgrades is installed, /{wants} is enabled, \
                     APT::Periodic::Unattended-Upgrade is \"1\""
                ),
                "cron-apt: package cron-apt is installed".to_owned(),
            ]
        );
    }

    #[test]
    fn apts_own_timer_alone_or_a_package_that_sleeps_is_no_patcher() {
        let timer = ["etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer"];
        let (directory, inventory) = host_with(&stanza("landscape-client"), &timer);
        assert_eq!(find(&Root::at(directory.path()), &inventory), []);
    }

    #[test]
    fn a_snap_of_the_ssm_agent_is_found_without_a_package() {
        let unit =
            "etc/systemd/system/multi-user.target.wants/snap.amazon-ssm-agent.amazon-ssm-agent.service";
        let (directory, inventory) = host_with("", &[unit]);
        let found = find(&Root::at(directory.path()), &inventory);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].evidence, format!("/{unit} is enabled"));
    }

    #[test]
    fn apts_own_settings_decide_and_so_does_a_condition_of_ours() {
        let wants = "etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer";
        let (directory, inventory) = host_with(&stanza("unattended-upgrades"), &[wants]);
        let root = Root::at(directory.path());
        let count = || find(&root, &inventory).len();
        write(&directory, "etc/apt/apt.conf.d/20auto-upgrades", DAILY);
        assert_eq!(count(), 1);
        write(&directory, "etc/apt/apt.conf.d/99local", "APT::Periodic::Enable \"0\";\n");
        assert_eq!(count(), 0);
        write(&directory, "etc/apt/apt.conf.d/99local", "APT::Periodic { Unattended-Upgrade \"0\"; };\n");
        assert_eq!(count(), 0, "the last word counts");
        write(&directory, "etc/apt/apt.conf.d/99local", "APT::Periodic::Unattended-Upgrade \"always\";\n");
        assert_eq!(count(), 1);
        let services = Patcher::UnattendedUpgrades.services();
        for (number, service) in services.iter().enumerate() {
            assert_eq!(count(), 1, "{number} of {} services are kept from it", services.len());
            write(&directory, patchers::drop_in(service).trim_start_matches('/'), &patchers::drop_in_text());
        }
        assert_eq!(count(), 0);
        let listed = list(&root, &inventory);
        assert!(
            listed.iter().any(|one| one.name == Patcher::UnattendedUpgrades && one.disabled),
            "{listed:?}"
        );
    }

    #[test]
    fn the_files_of_others_decide_for_them() {
        let timer = "etc/systemd/system/timers.target.wants/dnf-automatic.timer";
        let (directory, inventory) = host_with(&(stanza("dnf-automatic") + &stanza("packagekit")), &[timer]);
        let names = || -> Vec<String> {
            find(&Root::at(directory.path()), &inventory).into_iter().map(|found| found.name).collect()
        };
        assert_eq!(names(), ["dnf-automatic"], "a file that nobody can read decides nothing");
        write(&directory, "etc/dnf/automatic.conf", "[commands]\napply_updates = no\n");
        assert_eq!(names(), [""; 0]);
        write(&directory, "etc/dnf/automatic.conf", "[commands]\napply_updates = no\napply_updates=Yes\n");
        assert_eq!(names(), ["dnf-automatic"]);
        write(&directory, "var/lib/PackageKit/prepared-update", "x");
        assert_eq!(names(), ["dnf-automatic", "PackageKit"]);
    }
}
