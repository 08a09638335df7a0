//! The operating systems that a baseline can be written for. Which of them a host runs is told by `os`.

/// Patch Manager's operating systems that run Linux. A baseline is for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperatingSystem {
    AmazonLinux,
    AmazonLinux2,
    AmazonLinux2022,
    AmazonLinux2023,
    Ubuntu,
    Debian,
    Raspbian,
    RedHatEnterpriseLinux,
    CentOs,
    OracleLinux,
    RockyLinux,
    AlmaLinux,
    Suse,
}

impl OperatingSystem {
    pub const ALL: [Self; 13] = [
        Self::AmazonLinux,
        Self::AmazonLinux2,
        Self::AmazonLinux2022,
        Self::AmazonLinux2023,
        Self::Ubuntu,
        Self::Debian,
        Self::Raspbian,
        Self::RedHatEnterpriseLinux,
        Self::CentOs,
        Self::OracleLinux,
        Self::RockyLinux,
        Self::AlmaLinux,
        Self::Suse,
    ];

    /// The `OperatingSystem` enum of the Systems Manager API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AmazonLinux => "AMAZON_LINUX",
            Self::AmazonLinux2 => "AMAZON_LINUX_2",
            Self::AmazonLinux2022 => "AMAZON_LINUX_2022",
            Self::AmazonLinux2023 => "AMAZON_LINUX_2023",
            Self::Ubuntu => "UBUNTU",
            Self::Debian => "DEBIAN",
            Self::Raspbian => "RASPBIAN",
            Self::RedHatEnterpriseLinux => "REDHAT_ENTERPRISE_LINUX",
            Self::CentOs => "CENTOS",
            Self::OracleLinux => "ORACLE_LINUX",
            Self::RockyLinux => "ROCKY_LINUX",
            Self::AlmaLinux => "ALMA_LINUX",
            Self::Suse => "SUSE",
        }
    }

    /// Reads the API's spelling, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.as_str().eq_ignore_ascii_case(text))
    }

    /// What the products of it begin with, before the version: `Debian` of `Debian12`.
    pub fn product_name(self) -> &'static str {
        match self {
            Self::AmazonLinux | Self::AmazonLinux2 | Self::AmazonLinux2022 | Self::AmazonLinux2023 => {
                "AmazonLinux"
            }
            Self::Ubuntu => "Ubuntu",
            Self::Debian => "Debian",
            Self::Raspbian => "Raspbian",
            Self::RedHatEnterpriseLinux => "RedhatEnterpriseLinux",
            Self::CentOs => "CentOS",
            Self::OracleLinux => "OracleLinux",
            Self::RockyLinux => "RockyLinux",
            Self::AlmaLinux => "AlmaLinux",
            Self::Suse => "Suse",
        }
    }

    /// Which packages it has, and so which facts a filter can look at.
    pub fn packaging(self) -> Packaging {
        match self {
            Self::Ubuntu | Self::Debian | Self::Raspbian => Packaging::Deb,
            Self::Suse => Packaging::Zypper,
            Self::AmazonLinux
            | Self::AmazonLinux2
            | Self::AmazonLinux2022
            | Self::AmazonLinux2023
            | Self::RedHatEnterpriseLinux
            | Self::CentOs
            | Self::OracleLinux
            | Self::RockyLinux
            | Self::AlmaLinux => Packaging::Rpm,
        }
    }
}

/// What the forms of a baseline depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packaging {
    /// dpkg and apt: priorities and sections, no advisories and no release dates.
    Deb,
    /// rpm with yum or dnf: advisories.
    Rpm,
    /// rpm with zypper: patches.
    Zypper,
}
