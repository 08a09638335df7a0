//! A patch baseline: which updates a host must have. It reads no file; the AWS and TOML forms are parsed elsewhere.

use crate::os::Family;

/// How bad it is when a patch of this rule is missing (Patch Manager's `ComplianceLevel`), lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComplianceLevel {
    Unspecified,
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl ComplianceLevel {
    /// Patch Manager's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Informational => "INFORMATIONAL",
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What a filter looks at. These are the keys that work for apt hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterKey {
    Product,
    Priority,
    Section,
}

/// One filter: any of the values, compared without case; `*` is everything, an absent fact included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub key: FilterKey,
    pub values: Vec<String>,
}

/// What a filter may look at in one version of one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    pub product: &'a str,
    pub priority: Option<&'a str>,
    pub section: Option<&'a str>,
    pub is_security: bool,
}

impl Filter {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        let fact = match self.key {
            FilterKey::Product => Some(facts.product),
            FilterKey::Priority => facts.priority,
            FilterKey::Section => facts.section,
        };
        self.values
            .iter()
            .any(|value| value == "*" || fact.is_some_and(|fact| fact.eq_ignore_ascii_case(value)))
    }
}

/// One approval rule: all filters must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub filters: Vec<Filter>,
    pub level: ComplianceLevel,
    /// Whether versions from outside the security archives count too.
    pub includes_non_security: bool,
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        (self.includes_non_security || facts.is_security)
            && self.filters.iter().all(|filter| filter.matches(facts))
    }
}

/// A whole baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// `builtin:` and a name for those of ours, else what the file says.
    pub id: String,
    pub name: String,
    pub global_filters: Vec<Filter>,
    pub rules: Vec<Rule>,
}

impl Baseline {
    /// The default baseline of an apt host: what AWS's predefined one approves, every security update at once.
    ///
    /// Patch Manager stores a delay of seven days there and ignores it, since apt's archives have no release date.
    pub fn builtin(family: Family) -> Self {
        let (id, name) = match family {
            Family::Debian => ("builtin:debian", "AWS-DebianDefaultPatchBaseline"),
            Family::Ubuntu => ("builtin:ubuntu", "AWS-UbuntuDefaultPatchBaseline"),
            Family::Raspbian => ("builtin:raspbian", "AWS-RaspbianDefaultPatchBaseline"),
        };
        let priorities = ["Required", "Important", "Standard", "Optional", "Extra"];
        Self {
            id: id.into(),
            name: name.into(),
            global_filters: vec![Filter { key: FilterKey::Product, values: vec!["*".into()] }],
            rules: vec![Rule {
                filters: vec![Filter {
                    key: FilterKey::Priority,
                    values: priorities.map(String::from).to_vec(),
                }],
                level: ComplianceLevel::Unspecified,
                includes_non_security: false,
            }],
        }
    }

    /// The highest level of all rules that approve a version, or `None` if none does.
    pub fn approves(&self, facts: &Facts<'_>) -> Option<ComplianceLevel> {
        if !self.global_filters.iter().all(|filter| filter.matches(facts)) {
            return None;
        }
        self.rules.iter().filter(|rule| rule.matches(facts)).map(|rule| rule.level).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(is_security: bool, priority: Option<&str>) -> Facts<'_> {
        Facts { product: "Debian12", priority, section: Some("libs"), is_security }
    }

    #[test]
    fn the_default_baseline_takes_security_updates_of_every_priority_and_no_others() {
        let baseline = Baseline::builtin(Family::Debian);
        assert_eq!(baseline.approves(&facts(true, Some("optional"))), Some(ComplianceLevel::Unspecified));
        assert_eq!(baseline.approves(&facts(false, Some("optional"))), None);
        assert_eq!(baseline.approves(&facts(true, None)), None);
    }

    #[test]
    fn a_star_matches_an_absent_fact_and_the_highest_level_wins() {
        let mut baseline = Baseline::builtin(Family::Debian);
        baseline.rules.push(Rule {
            filters: vec![Filter { key: FilterKey::Section, values: vec!["LIBS".into()] }],
            level: ComplianceLevel::High,
            includes_non_security: true,
        });
        assert_eq!(baseline.approves(&facts(true, Some("optional"))), Some(ComplianceLevel::High));
        assert_eq!(baseline.approves(&facts(false, None)), Some(ComplianceLevel::High));
        baseline.global_filters =
            vec![Filter { key: FilterKey::Product, values: vec!["Ubuntu22.04".into()] }];
        assert_eq!(baseline.approves(&facts(true, Some("optional"))), None);
    }
}
