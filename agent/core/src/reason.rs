//! Why a package is not where it should be: one cause, the causes behind it, and when that will change.
//!
//! It decides nothing: `compliance` finds the cause, and what stands in the way of the whole host is a `gate`.

use jiff::Timestamp;

use crate::baseline::decide::Unapproved;
use crate::baseline::{RejectedAction, RuleNumber};
use crate::gate::Shut;
use crate::package::PackageId;

/// How many names a sentence tells.
const MAX_NAMED: usize = 5;

/// What keeps one package from its candidate, or from the version that the baseline asks for; or what keeps an installed
/// one from running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The administrator put it on hold.
    Held,
    /// Preferences keep it below the approved version.
    Pinned,
    /// Its publisher gives it to a part of the hosts first, and this host's turn has not come.
    Phased { percentage: u8 },
    /// Nothing in the baseline approves it.
    NotApproved { miss: Unapproved },
    /// A rule will approve it, by its delay alone.
    Delayed { rule: RuleNumber, after: Timestamp },
    /// An entry of the baseline's rejected list names it.
    Rejected { entry: String, action: RejectedAction },
    /// The run goes by a list of its own (`InstallOverrideList`), which does not name it.
    NotListed,
    /// Policy keeps packages back whose edited configuration files would be replaced or asked about.
    Conffile { detail: String },
    /// What is offered is another build of the very version that is installed, which no plan can name.
    SameVersion,
    /// It needs something that can't be had.
    Dependency { on: Option<String> },
    /// It could only be installed by removing other packages.
    RemovalRequired { packages: Vec<String> },
    /// A run tried and failed. It will be tried again.
    Failed { run: Option<String>, detail: String },
    /// Nothing may be changed on this host now.
    Shut(Shut),
    /// Nothing stands in its way: the next step of a run takes it.
    Ready,
    /// It is installed, and runs after a reboot. `waits` is why a run did not have the host rebooted.
    Reboot { because: String, waits: Option<String> },
    /// It is installed, and runs once these were started again.
    Restart { processes: String },
}

impl Cause {
    /// The stable name that reports and the API use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Pinned => "pinned",
            Self::Phased { .. } => "phased",
            Self::NotApproved { .. } | Self::Delayed { .. } => "not_approved",
            Self::Rejected { .. } => "rejected",
            Self::NotListed => "not_listed",
            Self::Conffile { .. } => "conffile",
            Self::SameVersion => "same_version",
            Self::Dependency { .. } => "dependency",
            Self::RemovalRequired { .. } => "removal_required",
            Self::Failed { .. } => "failed",
            Self::Shut(shut) => shut.code(),
            Self::Ready => "ready",
            Self::Reboot { .. } => "reboot",
            Self::Restart { .. } => "restart",
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Self::Held => "on hold: `apt-mark unhold` releases it".into(),
            Self::Pinned => "preferences (apt_preferences) keep it below the approved version".into(),
            Self::Phased { percentage } => {
                format!("its publisher has given it to {percentage} % of hosts so far, and not to this one")
            }
            Self::NotApproved { miss } => miss_sentence(*miss),
            Self::Delayed { rule, after } => format!("rule {} approves it after {after:.0}", rule.0),
            Self::Rejected { entry, action } => {
                let action = action.as_str();
                format!("the baseline rejects it by the entry {entry:?} ({action})")
            }
            Self::NotListed => "the run's own list of patches does not name it".into(),
            Self::Conffile { detail } => {
                format!("policy holds it because of edited configuration files: {detail}")
            }
            Self::SameVersion => "what is offered is another build of the version that is installed".into(),
            Self::Dependency { on: Some(on) } => format!("it needs {on}, which can't be installed"),
            Self::Dependency { on: None } => "one of its dependencies can't be installed".into(),
            Self::RemovalRequired { packages } => format!("it would remove {}", few(packages)),
            Self::Failed { run: Some(run), detail } => format!("run {run} could not install it: {detail}"),
            Self::Failed { run: None, detail } => format!("the last run could not install it: {detail}"),
            Self::Shut(shut) => shut.sentence(),
            Self::Ready => "will be installed by the next step of the run".into(),
            Self::Reboot { because, waits: None } => format!("it runs after a reboot: {because}"),
            Self::Reboot { because, waits: Some(waits) } => {
                format!("it runs after a reboot: {because}; the reboot waits: {waits}")
            }
            Self::Restart { processes } => format!("{processes} must be restarted to run it"),
        }
    }

    /// When it will change by itself, where that is known.
    pub fn changes_at(&self) -> Option<Timestamp> {
        match self {
            Self::Delayed { after, .. } => Some(*after),
            Self::Shut(shut) => shut.opens_at(),
            Self::Held
            | Self::Pinned
            | Self::Phased { .. }
            | Self::NotApproved { .. }
            | Self::Rejected { .. }
            | Self::NotListed
            | Self::Conffile { .. }
            | Self::SameVersion
            | Self::Dependency { .. }
            | Self::RemovalRequired { .. }
            | Self::Failed { .. }
            | Self::Ready
            | Self::Reboot { .. }
            | Self::Restart { .. } => None,
        }
    }

    /// Whether an apply asks for the package all the same: what stands in the way of the whole host is asked for again
    /// just before a change, and what failed or was held for its files once is tried again.
    pub fn lets_plan(&self) -> bool {
        matches!(self, Self::Ready | Self::Shut(_) | Self::Failed { .. } | Self::Conffile { .. })
    }
}

fn miss_sentence(miss: Unapproved) -> String {
    match miss {
        Unapproved::ReleasedTooLate { rule, until } => {
            format!("rule {} approves only what was released up to {until}", rule.0)
        }
        Unapproved::NotSecurity { rule } => {
            format!("it is no security update, and rule {} approves no others", rule.0)
        }
        Unapproved::ListedNotSecurity => {
            "it is no security update, and the baseline's list approves no others".into()
        }
        Unapproved::FilteredOut => "the baseline's global filters leave it out".into(),
        Unapproved::NoRule => "no rule of the baseline approves it".into(),
    }
}

fn few(names: &[String]) -> String {
    let told = names.iter().take(MAX_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// One package that another one waits for, and why it is no help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub package: PackageId,
    pub cause: Cause,
}

/// The whole answer for one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub cause: Cause,
    /// What is behind the cause, the nearest first.
    pub chain: Vec<Link>,
    /// When it will change by itself, where that is known.
    pub changes_at: Option<Timestamp>,
}

impl Reason {
    /// A cause with those behind it. It changes when the last of them does.
    pub fn new(cause: Cause, chain: Vec<Link>) -> Self {
        let last = chain.last().map_or(&cause, |link| &link.cause);
        let changes_at = last.changes_at();
        Self { cause, chain, changes_at }
    }

    /// The last cause of the chain: what somebody could do something about.
    pub fn root(&self) -> &Cause {
        self.chain.last().map_or(&self.cause, |link| &link.cause)
    }

    /// The cause in a sentence, and what is behind it.
    pub fn sentence(&self) -> String {
        let mut sentence = self.cause.sentence();
        for Link { package, cause } in &self.chain {
            sentence.push_str(&format!("; {package}: {}", cause.sentence()));
        }
        sentence
    }
}

impl From<Cause> for Reason {
    fn from(cause: Cause) -> Self {
        Self::new(cause, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Architecture, PackageName};

    fn id(name: &str) -> PackageId {
        PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse("amd64").unwrap(),
        }
    }

    #[test]
    fn a_reason_changes_when_the_last_cause_of_its_chain_does() {
        let after: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let delayed = Cause::Delayed { rule: RuleNumber(2), after };
        let cause = Cause::Dependency { on: Some("libbar (>= 2)".into()) };
        let reason = Reason::new(cause, vec![Link { package: id("libbar"), cause: delayed.clone() }]);
        assert_eq!(reason.changes_at, Some(after));
        assert_eq!(reason.root(), &delayed);
        assert_eq!(
            reason.sentence(),
            "it needs libbar (>= 2), which can't be installed; libbar:amd64: rule 2 approves it after \
             2026-12-01T00:00:00Z"
        );
        let held = Link { package: id("libbar"), cause: Cause::Held };
        assert_eq!(Reason::new(Cause::Dependency { on: None }, vec![held]).changes_at, None);
    }

    #[test]
    fn what_is_shut_has_one_code_and_one_sentence_everywhere() {
        let shut = Shut::OutsideWindow { next: Some(Timestamp::UNIX_EPOCH) };
        let cause = Cause::Shut(shut.clone());
        assert_eq!((cause.code(), cause.sentence()), (shut.code(), shut.sentence()));
        assert_eq!(cause.changes_at(), Some(Timestamp::UNIX_EPOCH));
        assert!(cause.lets_plan());
        assert!(!Cause::Held.lets_plan());
    }

    #[test]
    fn a_sentence_names_few_packages() {
        let packages = (1..=7).map(|number| format!("p{number}")).collect();
        let told = Cause::RemovalRequired { packages }.sentence();
        assert_eq!(told, "it would remove p1, p2, p3, p4, p5 and 2 more");
    }
}
