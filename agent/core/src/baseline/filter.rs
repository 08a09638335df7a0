//! Filters: which facts of a version a rule asks for.

use super::subject::{Facts, Traits};
use super::system::Packaging;
use crate::advisory::Advisory;

/// What a filter looks at: the keys that Patch Manager documents for Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterKey {
    Product,
    Classification,
    Severity,
    Priority,
    Section,
}

impl FilterKey {
    pub const ALL: [Self; 5] =
        [Self::Product, Self::Classification, Self::Severity, Self::Priority, Self::Section];

    /// The `PatchFilterKey` enum of the Systems Manager API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Product => "PRODUCT",
            Self::Classification => "CLASSIFICATION",
            Self::Severity => "SEVERITY",
            Self::Priority => "PRIORITY",
            Self::Section => "SECTION",
        }
    }

    /// Reads the API's spelling, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.as_str().eq_ignore_ascii_case(text))
    }

    /// Whether packages of this kind have the fact.
    pub fn works_on(self, packaging: Packaging) -> bool {
        match self {
            Self::Product => true,
            Self::Priority | Self::Section => packaging == Packaging::Deb,
            Self::Classification | Self::Severity => packaging != Packaging::Deb,
        }
    }
}

/// One filter: any of the values, compared without case; `*` is everything, an absent fact included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub key: FilterKey,
    pub values: Vec<String>,
}

impl Filter {
    /// Whether the filter lets a version pass by one of its advisories, or by none.
    pub(super) fn matches(&self, facts: &Facts<'_>, advisory: Option<&Advisory>) -> bool {
        let fact = match (self.key, &facts.traits) {
            (FilterKey::Product, _) => Some(facts.product),
            (FilterKey::Priority, Traits::Deb { priority, .. }) => *priority,
            (FilterKey::Section, Traits::Deb { section, .. }) => *section,
            (FilterKey::Classification, Traits::Rpm { .. }) => {
                advisory.and_then(|advisory| advisory.classification.as_deref())
            }
            (FilterKey::Severity, Traits::Rpm { .. }) => {
                advisory.and_then(|advisory| advisory.severity.as_deref())
            }
            (FilterKey::Priority | FilterKey::Section, Traits::Rpm { .. })
            | (FilterKey::Classification | FilterKey::Severity, Traits::Deb { .. }) => None,
        };
        self.values.iter().any(|value| value == "*" || fact.is_some_and(|fact| self.is_same(value, fact)))
    }

    fn is_same(&self, value: &str, fact: &str) -> bool {
        // The baselines of Amazon Linux say Medium where repositories of the RHEL family say Moderate.
        value.eq_ignore_ascii_case(fact)
            || self.key == FilterKey::Severity
                && value.eq_ignore_ascii_case("medium")
                && fact.eq_ignore_ascii_case("moderate")
    }
}
