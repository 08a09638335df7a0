//! The words that filters may look for, as Patch Manager documents them for each kind of package.

use patchd_core::baseline::filter::FilterKey;
use patchd_core::baseline::system::{OperatingSystem, Packaging};

/// Every filter key of the API. Those that are none of `FilterKey` do nothing in baselines of Linux.
pub(super) const API_KEYS: [&str; 19] = [
    "ARCH",
    "ADVISORY_ID",
    "BUGZILLA_ID",
    "PATCH_SET",
    "PRODUCT",
    "PRODUCT_FAMILY",
    "CLASSIFICATION",
    "CVE_ID",
    "EPOCH",
    "MSRC_SEVERITY",
    "NAME",
    "PATCH_ID",
    "SECTION",
    "PRIORITY",
    "REPOSITORY",
    "RELEASE",
    "SEVERITY",
    "SECURITY",
    "VERSION",
];

/// The operating systems of the API that don't run Linux.
pub(super) const OTHER_SYSTEMS: [&str; 2] = ["WINDOWS", "MACOS"];

/// The whole set of words, or `None` where any text may be looked for.
pub(super) fn words(key: FilterKey, packaging: Packaging) -> Option<&'static [&'static str]> {
    match (key, packaging) {
        (FilterKey::Product | FilterKey::Section, _) => None,
        (FilterKey::Priority, _) => Some(&["Required", "Important", "Standard", "Optional", "Extra"]),
        (FilterKey::Classification, Packaging::Zypper) => {
            Some(&["Security", "Recommended", "Optional", "Feature", "Document", "Yast"])
        }
        (FilterKey::Classification, Packaging::Deb | Packaging::Rpm) => {
            Some(&["Security", "Bugfix", "Enhancement", "Recommended", "Newpackage"])
        }
        (FilterKey::Severity, Packaging::Zypper) => Some(&["Critical", "Important", "Moderate", "Low"]),
        (FilterKey::Severity, Packaging::Deb | Packaging::Rpm) => {
            Some(&["Critical", "Important", "Medium", "Moderate", "Low", "None"])
        }
    }
}

/// The keys that work on an operating system, in the API's spelling.
pub(super) fn keys(system: OperatingSystem) -> Vec<&'static str> {
    let packaging = system.packaging();
    FilterKey::ALL.into_iter().filter(|key| key.works_on(packaging)).map(FilterKey::as_str).collect()
}
