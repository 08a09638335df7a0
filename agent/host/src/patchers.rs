//! Who else patches this host: two patchers on one host fight over locks, windows and reboots.
//!
//! Installed packages and enabled units are the evidence. Nothing is switched off here, and nobody is asked.

use std::path::Path;

use patchd_core::inventory::Inventory;
use patchd_core::report::OtherPatcher;

use crate::root::Root;

/// A patcher, the packages that bring it, and the units that start it by themselves.
struct Known {
    name: &'static str,
    packages: &'static [&'static str],
    units: &'static [&'static str],
}

const KNOWN: [Known; 7] = [
    Known {
        name: "unattended-upgrades",
        packages: &["unattended-upgrades"],
        units: &["apt-daily-upgrade.timer"],
    },
    Known {
        name: "AWS Systems Manager agent",
        packages: &["amazon-ssm-agent"],
        units: &["amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"],
    },
    Known {
        name: "Google OS Config agent",
        packages: &["google-osconfig-agent"],
        units: &["google-osconfig-agent.service"],
    },
    Known { name: "Landscape client", packages: &["landscape-client"], units: &["landscape-client.service"] },
    Known {
        name: "dnf-automatic",
        packages: &["dnf-automatic"],
        units: &["dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer"],
    },
    Known { name: "yum-cron", packages: &["yum-cron"], units: &["yum-cron.service"] },
    Known { name: "cron-apt", packages: &["cron-apt"], units: &[] },
];

/// Where an enabled unit has its link (systemctl(1), `enable`).
const WANTS: [&str; 2] =
    ["etc/systemd/system/timers.target.wants", "etc/systemd/system/multi-user.target.wants"];

/// Every other patcher that is installed and would start by itself, with the evidence.
///
/// A package that ships no unit of its own, or whose unit is not enabled, is no patcher by itself: unless it is one that
/// runs from cron.
pub fn find(root: &Root, inventory: &Inventory) -> Vec<OtherPatcher> {
    KNOWN.iter().filter_map(|known| evidence(root, inventory, known)).collect()
}

fn evidence(root: &Root, inventory: &Inventory, known: &Known) -> Option<OtherPatcher> {
    let package = known
        .packages
        .iter()
        .find(|name| inventory.packages.iter().any(|package| package.id.name.as_str() == **name));
    let link = known
        .units
        .iter()
        .flat_map(|unit| WANTS.iter().map(move |wants| Path::new(wants).join(unit)))
        .find(|link| root.path(link).symlink_metadata().is_ok());
    let is_snap = known.units.iter().any(|unit| unit.starts_with("snap."));
    let evidence = match (package, link) {
        (Some(package), Some(link)) => {
            format!("package {package} is installed, /{} is enabled", link.display())
        }
        (Some(package), None) if known.units.is_empty() => format!("package {package} is installed"),
        (None, Some(link)) if is_snap => format!("/{} is enabled", link.display()),
        (Some(_) | None, Some(_) | None) => return None,
    };
    Some(OtherPatcher { name: known.name.into(), evidence })
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

    fn stanza(name: &str) -> String {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
    }

    #[test]
    fn a_patcher_counts_when_it_would_start_by_itself() {
        let wants = "etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer";
        let (directory, inventory) =
            host_with(&(stanza("unattended-upgrades") + &stanza("cron-apt")), &[wants]);
        let found = find(&Root::at(directory.path()), &inventory);
        let lines: Vec<_> = found.iter().map(|found| format!("{}: {}", found.name, found.evidence)).collect();
        assert_eq!(
            lines,
            [
                format!("unattended-upgrades: package unattended-upgrades is installed, /{wants} is enabled"),
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
}
