//! Who else patches hosts by itself: the closed list, and what root may have done about them. Names come from here and
//! nowhere else, so that no request can name a unit or a file.

use serde::{Deserialize, Serialize};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Patcher {
    UnattendedUpgrades,
    DnfAutomatic,
    YumCron,
    Packagekit,
    TransactionalUpdate,
    OsUpdate,
    OnlineUpdate,
    CronApt,
    AmazonSsmAgent,
    LandscapeClient,
    GoogleOsconfigAgent,
}

impl Patcher {
    pub const ALL: [Self; 11] = [
        Self::UnattendedUpgrades,
        Self::DnfAutomatic,
        Self::YumCron,
        Self::Packagekit,
        Self::TransactionalUpdate,
        Self::OsUpdate,
        Self::OnlineUpdate,
        Self::CronApt,
        Self::AmazonSsmAgent,
        Self::LandscapeClient,
        Self::GoogleOsconfigAgent,
    ];

    /// The name that commands take.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnattendedUpgrades => "unattended-upgrades",
            Self::DnfAutomatic => "dnf-automatic",
            Self::YumCron => "yum-cron",
            Self::Packagekit => "packagekit",
            Self::TransactionalUpdate => "transactional-update",
            Self::OsUpdate => "os-update",
            Self::OnlineUpdate => "online-update",
            Self::CronApt => "cron-apt",
            Self::AmazonSsmAgent => "amazon-ssm-agent",
            Self::LandscapeClient => "landscape-client",
            Self::GoogleOsconfigAgent => "google-osconfig-agent",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|patcher| patcher.as_str() == text)
    }

    /// The services that install packages, and are kept from it by a condition; none where that is not decided here.
    /// What only fetches lists is in nobody's way.
    pub fn services(self) -> &'static [&'static str] {
        match self {
            Self::UnattendedUpgrades => &["apt-daily-upgrade.service", "unattended-upgrades.service"],
            Self::DnfAutomatic => {
                &["dnf-automatic.service", "dnf-automatic-install.service", "dnf5-automatic.service"]
            }
            Self::YumCron => &["yum-cron.service"],
            Self::Packagekit => &["packagekit-offline-update.service"],
            Self::TransactionalUpdate => &["transactional-update.service"],
            Self::OsUpdate => &["os-update.service"],
            Self::OnlineUpdate
            | Self::CronApt
            | Self::AmazonSsmAgent
            | Self::LandscapeClient
            | Self::GoogleOsconfigAgent => &[],
        }
    }

    /// What to do where a condition on a service is not enough.
    pub fn elsewhere(self) -> Option<&'static str> {
        match self {
            Self::AmazonSsmAgent => Some(
                "the agent itself does no harm; its associations are kept in AWS: Systems Manager, State Manager and \
                 Maintenance Windows in the console, or `aws ssm list-associations --association-filter-list \
                 key=AWSSSMDocumentName,value=AWS-RunPatchBaseline`, then `aws ssm delete-association` or \
                 `update-association` with other targets, and `aws ssm describe-maintenance-windows` for its windows",
            ),
            Self::LandscapeClient => {
                Some("take this host out of the upgrade profiles on its Landscape server")
            }
            Self::GoogleOsconfigAgent => Some(
                "`gcloud compute os-config patch-deployments list`, and pause or delete what has this host",
            ),
            Self::CronApt => {
                Some("remove -d-less dist-upgrade lines from /etc/cron-apt/action.d, or the package cron-apt")
            }
            Self::OnlineUpdate => Some(
                "remove /etc/cron.{daily,weekly,monthly}/opensuse.org-online_update, or `yast2 online_update_configuration`",
            ),
            Self::UnattendedUpgrades
            | Self::DnfAutomatic
            | Self::YumCron
            | Self::Packagekit
            | Self::TransactionalUpdate
            | Self::OsUpdate => None,
        }
    }
}

/// What root wants of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatcherAction {
    /// Its services don't start any more, as long as patchd is installed.
    Disable,
    /// What was done is taken back.
    Restore,
}

/// Where systemd takes drop-ins of a unit from, the administrator's before the vendor's.
const UNITS: &str = "/etc/systemd/system";

/// The first line of each file, by which it is known again.
const MARK: &str = "# Written by `patchctl patchers disable`; `patchctl patchers restore` takes it away.\n";

/// The drop-in of a unit of the list.
pub fn drop_in(service: &str) -> String {
    format!("{UNITS}/{service}.d/50-patchd.conf")
}

/// What it says: a unit does not start as long as the program is there, so that its removal alone gives it back.
pub fn drop_in_text() -> String {
    format!("{MARK}[Unit]\nConditionPathExists=!/usr/bin/patchd\n")
}

/// Whether a file is one of ours, and not the administrator's of the same name.
pub fn is_drop_in(content: &[u8]) -> bool {
    content.starts_with(MARK.as_bytes())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PatchersSchema {
    #[serde(rename = "patchd.patchers/1")]
    V1,
}

/// What `patchctl patchers list` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchersDocument {
    pub schema: PatchersSchema,
    pub patchers: Vec<PatcherWire>,
}

/// One that is there, or that was disabled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatcherWire {
    pub name: Patcher,
    /// Why it is known to be there; absent where it is not active by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub evidence: Option<String>,
    /// Whether patchd keeps it from installing.
    pub disabled: bool,
    /// Whether `patchctl patchers disable` can do that.
    pub can_be_disabled: bool,
    /// What to do where it can't, or beside it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub elsewhere: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_name_and_a_way_to_be_rid_of_it() {
        for patcher in Patcher::ALL {
            assert_eq!(Patcher::parse(patcher.as_str()), Some(patcher));
            assert_eq!(serde_json::to_value(patcher).unwrap(), patcher.as_str());
            assert!(!patcher.services().is_empty() || patcher.elsewhere().is_some(), "{patcher:?}");
            let is_unit = |name: &str| name.ends_with(".service") && !name.contains('/');
            assert!(patcher.services().iter().all(|name| is_unit(name)), "{patcher:?}");
        }
        assert_eq!(Patcher::parse("../../x"), None);
        assert!(is_drop_in(drop_in_text().as_bytes()));
        assert!(!is_drop_in(b"[Unit]\nConditionPathExists=!/x\n"));
    }
}
