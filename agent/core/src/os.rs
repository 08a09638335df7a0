//! Which operating system a host runs, by what it says of itself and by which package manager it has.

/// What os-release(5) says, unquoted. Absent keys are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    pub id: String,
    pub id_like: Vec<String>,
    pub version_id: String,
    pub version_codename: String,
    pub pretty_name: String,
}

/// The families that have a built-in baseline of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    Debian,
    Ubuntu,
    Raspbian,
}

impl Family {
    /// The family of an apt host. A derivative counts as what it is like; one that names neither counts as Debian,
    /// since its package manager does.
    pub fn of_apt_host(os: &OsRelease) -> Self {
        let words = || std::iter::once(os.id.as_str()).chain(os.id_like.iter().map(String::as_str));
        if os.id == "raspbian" {
            Self::Raspbian
        } else if words().any(|word| word == "ubuntu") {
            Self::Ubuntu
        } else {
            Self::Debian
        }
    }

    /// The value of Patch Manager's `PRODUCT` filter for this host: `Debian12`, `Ubuntu22.04`.
    pub fn product(self, os: &OsRelease) -> String {
        let name = match self {
            Self::Debian => "Debian",
            Self::Ubuntu => "Ubuntu",
            Self::Raspbian => "Raspbian",
        };
        format!("{name}{}", os.version_id)
    }
}
