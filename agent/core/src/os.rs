//! Which operating system a host runs, by what it says of itself and by which package manager it has.

use crate::baseline::system::OperatingSystem;

/// What os-release(5) says, unquoted. Absent keys are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OsRelease {
    pub id: String,
    pub id_like: Vec<String>,
    pub version_id: String,
    pub version_codename: String,
    pub pretty_name: String,
}

impl OsRelease {
    /// What an apt host counts as. A derivative counts as what it is like; one that names neither counts as Debian,
    /// since its package manager does.
    pub fn system_of_apt_host(&self) -> OperatingSystem {
        let words = || std::iter::once(self.id.as_str()).chain(self.id_like.iter().map(String::as_str));
        if self.id == "raspbian" {
            OperatingSystem::Raspbian
        } else if words().any(|word| word == "ubuntu") {
            OperatingSystem::Ubuntu
        } else {
            OperatingSystem::Debian
        }
    }

    /// The value of Patch Manager's `PRODUCT` filter for this host: `Debian12`, `Ubuntu22.04`.
    pub fn product(&self, system: OperatingSystem) -> String {
        format!("{}{}", system.product_name(), self.version_id)
    }
}
