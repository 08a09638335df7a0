//! A patch baseline: which updates a host must have. It reads no file; the AWS and TOML forms are parsed elsewhere.

pub mod builtin;
pub mod decide;
pub mod filter;
pub mod first_seen;
pub mod override_list;
pub mod pattern;
pub mod ruling;
pub mod subject;
pub mod system;

use jiff::civil::Date;

use self::filter::Filter;
use self::pattern::Pattern;
use self::system::OperatingSystem;

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
    pub const ALL: [Self; 6] =
        [Self::Unspecified, Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

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

    /// Reads Patch Manager's spelling, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(text))
    }
}

/// Which place a rule has in its baseline, the first being 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleNumber(pub usize);

/// When a rule approves what its filters match. One or the other: both at once can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Delay {
    /// So many days after the release, 0 being at once (`ApproveAfterDays`).
    AfterDays(u16),
    /// What was released up to that day, which counts as a whole, in UTC (`ApproveUntilDate`).
    UntilDate(Date),
}

/// One approval rule: all filters must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub filters: Vec<Filter>,
    pub level: ComplianceLevel,
    pub delay: Delay,
    /// Whether versions that are no security updates count too. It widens no filter.
    pub includes_non_security: bool,
}

/// The list of approved patches. It goes past the global filters and the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedList {
    pub patterns: Vec<Pattern>,
    pub level: ComplianceLevel,
    pub includes_non_security: bool,
}

/// What becomes of a rejected patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectedAction {
    /// It is installed where another patch needs it.
    AllowAsDependency,
    /// It is not, nor is what needs it; and where it is installed already, the host is not compliant.
    Block,
}

impl RejectedAction {
    pub const ALL: [Self; 2] = [Self::AllowAsDependency, Self::Block];

    /// The `PatchAction` enum of the Systems Manager API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowAsDependency => "ALLOW_AS_DEPENDENCY",
            Self::Block => "BLOCK",
        }
    }

    /// Reads the API's spelling, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str().eq_ignore_ascii_case(text))
    }
}

/// The list of rejected patches. It beats every approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedList {
    pub patterns: Vec<Pattern>,
    pub action: RejectedAction,
}

/// A whole baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// `builtin:` and a name for those of ours, else what the file says.
    pub id: String,
    pub name: String,
    pub system: OperatingSystem,
    pub global_filters: Vec<Filter>,
    pub rules: Vec<Rule>,
    pub approved: ApprovedList,
    pub rejected: RejectedList,
    /// An extension, off unless written: the delays of rules hold for deb packages too, counted from the day on which
    /// this host first saw a version, since apt's archives have no date of release.
    pub delays_by_first_seen: bool,
}

impl Baseline {
    /// A baseline that approves nothing: what a host is judged by whose own baseline can't be read. Whoever uses it
    /// says so beside it.
    pub fn nothing(id: String, name: String, system: OperatingSystem) -> Self {
        Self {
            id,
            name,
            system,
            global_filters: Vec::new(),
            rules: Vec::new(),
            approved: ApprovedList {
                patterns: Vec::new(),
                level: ComplianceLevel::Unspecified,
                includes_non_security: false,
            },
            rejected: RejectedList { patterns: Vec::new(), action: RejectedAction::AllowAsDependency },
            delays_by_first_seen: false,
        }
    }
}
