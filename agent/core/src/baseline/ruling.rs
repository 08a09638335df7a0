//! Which baseline a host is judged by, and how it came to be that one. What a report says of it.

use jiff::Timestamp;

use super::Baseline;
use super::override_list::InstallOverride;
use super::system::OperatingSystem;

/// A baseline with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    pub baseline: Baseline,
    /// What an apply installs in place of what the baseline approves. A scan takes no notice of it.
    pub override_list: Option<InstallOverride>,
    pub origin: Origin,
}

/// Where a baseline comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A path, an `s3://` URL, or `builtin:` and a name.
    pub source: String,
    /// The SHA-256 of the file, in hexadecimal; none of a predefined one.
    pub digest: Option<String>,
    /// When it was fetched, where it comes from elsewhere.
    pub fetched_at: Option<Timestamp>,
    /// The patch group that the host is in, if it is in one.
    pub patch_group: Option<String>,
    /// Where the run's own list of patches comes from, if it went by one.
    pub override_source: Option<String>,
}

impl Origin {
    /// A source of which nothing else is known.
    pub fn of(source: String) -> Self {
        Self { source, digest: None, fetched_at: None, patch_group: None, override_source: None }
    }
}

impl Ruling {
    /// The predefined baseline of an operating system.
    pub fn predefined(system: OperatingSystem) -> Self {
        let baseline = Baseline::builtin(system);
        let source = baseline.id.clone();
        Self { baseline, override_list: None, origin: Origin::of(source) }
    }

    /// No baseline at all: the one of `source` can't be used, and nothing is approved. A problem says so beside it.
    pub fn unusable(source: String, system: OperatingSystem) -> Self {
        let baseline = Baseline::nothing("unusable".into(), "unusable".into(), system);
        Self { baseline, override_list: None, origin: Origin::of(source) }
    }

    /// The same, where an apply goes by a list of its own.
    #[must_use]
    pub fn overridden(mut self, list: InstallOverride, source: String) -> Self {
        self.override_list = Some(list);
        self.origin.override_source = Some(source);
        self
    }

    #[must_use]
    pub fn for_group(mut self, patch_group: Option<&str>) -> Self {
        self.origin.patch_group = patch_group.map(str::to_owned);
        self
    }
}
