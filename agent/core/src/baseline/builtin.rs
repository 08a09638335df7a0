//! The predefined baselines of Patch Manager, one for each operating system.

use super::filter::{Filter, FilterKey};
use super::system::OperatingSystem;
use super::{Baseline, ComplianceLevel, Delay, Rule};

/// The days that every predefined rule waits. Nothing waits on deb hosts, whose archives have no date of release.
const DELAY: Delay = Delay::AfterDays(7);

impl Baseline {
    /// What a host is judged by that has no baseline of its own.
    pub fn builtin(system: OperatingSystem) -> Self {
        let (id, name) = names(system);
        let mut baseline =
            Self::nothing(format!("builtin:{id}"), format!("AWS-{name}DefaultPatchBaseline"), system);
        if system != OperatingSystem::CentOs {
            baseline.global_filters = vec![filter(FilterKey::Product, &["*"])];
        }
        baseline.rules = rules(system);
        baseline
    }

    /// The predefined baseline of an id such as `builtin:debian`.
    pub fn builtin_by_id(id: &str) -> Option<Self> {
        let wanted = id.strip_prefix("builtin:")?;
        OperatingSystem::ALL.into_iter().find(|&system| names(system).0 == wanted).map(Self::builtin)
    }
}

/// What our id and Patch Manager's name have of an operating system.
fn names(system: OperatingSystem) -> (&'static str, &'static str) {
    match system {
        OperatingSystem::AmazonLinux => ("amazon-linux", "AmazonLinux"),
        OperatingSystem::AmazonLinux2 => ("amazon-linux-2", "AmazonLinux2"),
        OperatingSystem::AmazonLinux2022 => ("amazon-linux-2022", "AmazonLinux2022"),
        OperatingSystem::AmazonLinux2023 => ("amazon-linux-2023", "AmazonLinux2023"),
        OperatingSystem::Ubuntu => ("ubuntu", "Ubuntu"),
        OperatingSystem::Debian => ("debian", "Debian"),
        OperatingSystem::Raspbian => ("raspbian", "Raspbian"),
        OperatingSystem::RedHatEnterpriseLinux => ("redhat", "RedHat"),
        OperatingSystem::CentOs => ("centos", "CentOS"),
        OperatingSystem::OracleLinux => ("oracle-linux", "OracleLinux"),
        OperatingSystem::RockyLinux => ("rocky-linux", "RockyLinux"),
        OperatingSystem::AlmaLinux => ("alma-linux", "AlmaLinux"),
        OperatingSystem::Suse => ("suse", "Suse"),
    }
}

fn rules(system: OperatingSystem) -> Vec<Rule> {
    let security = |severities: &[&str]| {
        rule(vec![filter(FilterKey::Classification, &["Security"]), filter(FilterKey::Severity, severities)])
    };
    let classified = |classes: &[&str]| rule(vec![filter(FilterKey::Classification, classes)]);
    match system {
        OperatingSystem::Ubuntu | OperatingSystem::Debian | OperatingSystem::Raspbian => {
            let all = ["Required", "Important", "Standard", "Optional", "Extra"];
            vec![rule(vec![filter(FilterKey::Priority, &all)])]
        }
        OperatingSystem::CentOs => {
            let everything = rule(vec![filter(FilterKey::Product, &["*"])]);
            vec![Rule { includes_non_security: true, ..everything }]
        }
        OperatingSystem::Suse => vec![security(&["Critical", "Important"])],
        OperatingSystem::OracleLinux => {
            vec![security(&["Critical", "Important", "Moderate"]), classified(&["Enhancement", "Bugfix"])]
        }
        OperatingSystem::AmazonLinux
        | OperatingSystem::AmazonLinux2
        | OperatingSystem::AmazonLinux2022
        | OperatingSystem::AmazonLinux2023
        | OperatingSystem::RedHatEnterpriseLinux
        | OperatingSystem::RockyLinux
        | OperatingSystem::AlmaLinux => vec![security(&["Critical", "Important"]), classified(&["Bugfix"])],
    }
}

fn rule(filters: Vec<Filter>) -> Rule {
    Rule { filters, level: ComplianceLevel::Unspecified, delay: DELAY, includes_non_security: false }
}

fn filter(key: FilterKey, values: &[&str]) -> Filter {
    Filter { key, values: values.iter().map(|&value| value.to_owned()).collect() }
}
