//! The order of rpm versions, `[epoch:]version[-release]`, by the `rpm-version` crate. A missing epoch counts as 0.

use std::cmp::Ordering;

/// Orders two versions as rpm does.
pub fn compare(a: &str, b: &str) -> Ordering {
    rpm_version::Evr::parse(a).cmp(&rpm_version::Evr::parse(b))
}
