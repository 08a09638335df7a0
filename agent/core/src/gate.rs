//! Gates: every reason why nothing may be changed now, each with a stable name and a sentence.
//!
//! All gates are asked, so that an operator sees all that is in the way at once. What can't be told counts as shut.
//! It observes nothing itself, and opening a gate is no permission: the executor checks root's policy again.

use jiff::Timestamp;

use crate::problem::{Problem, ProblemKind};
use crate::report::Assessment;
use crate::window::{Occurrence, Verdict};

/// One shut gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shut {
    /// An operator said so.
    Paused,
    NoWindow,
    OutsideWindow {
        next: Option<Timestamp>,
    },
    /// The lists could not all be fetched: what would be planned from them may be a mix of two states.
    RefreshFailed {
        detail: String,
    },
    /// Somebody's transaction was cut: the package database must be repaired first.
    DatabaseInterrupted {
        detail: String,
    },
    /// A list comes from the future: a clock is wrong, and windows are told by clocks.
    ClockUntrusted {
        detail: String,
    },
    /// Something that the plan rests on is unknown.
    AssessmentIncomplete {
        detail: String,
    },
}

impl Shut {
    /// The stable name that reports, logs and the API use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::NoWindow => "no_window",
            Self::OutsideWindow { .. } => "outside_window",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::DatabaseInterrupted { .. } => "database_interrupted",
            Self::ClockUntrusted { .. } => "clock_untrusted",
            Self::AssessmentIncomplete { .. } => "assessment_incomplete",
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Self::Paused => "patchd is paused: `patchctl resume` ends that".into(),
            Self::NoWindow => "no window is configured, so patchd changes nothing".into(),
            Self::OutsideWindow { next: Some(next) } => format!("the next window opens at {next}"),
            Self::OutsideWindow { next: None } => "no window is open, and none will open again".into(),
            Self::RefreshFailed { detail } => format!("the package lists could not all be fetched: {detail}"),
            Self::DatabaseInterrupted { detail } => {
                format!("a transaction was cut and the package database needs repair: {detail}")
            }
            Self::ClockUntrusted { detail } => format!("a clock is wrong: {detail}"),
            Self::AssessmentIncomplete { detail } => format!("the assessment is incomplete: {detail}"),
        }
    }
}

/// What the gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    pub window: &'a Verdict,
    pub is_paused: bool,
    pub assessment: &'a Assessment,
}

/// The open window if every gate is open, else every gate that is shut.
pub fn check(situation: &Situation<'_>) -> Result<Occurrence, Vec<Shut>> {
    let mut shut = Vec::new();
    if situation.is_paused {
        shut.push(Shut::Paused);
    }
    let open = match situation.window {
        Verdict::Open(occurrence) => Some(occurrence),
        Verdict::NoneConfigured => {
            shut.push(Shut::NoWindow);
            None
        }
        Verdict::Shut { next } => {
            shut.push(Shut::OutsideWindow { next: next.as_ref().map(|occurrence| occurrence.start) });
            None
        }
    };
    if let Assessment::Incomplete { because } = situation.assessment {
        shut.extend(because.iter().filter_map(shut_by));
    }
    match open {
        Some(open) if shut.is_empty() => Ok(open.clone()),
        _ => Err(shut),
    }
}

/// The gate that a problem of an incomplete assessment shuts, if it shuts one.
///
/// A repository without a list, or with an old one, may have more to offer than is known. That forbids to call the
/// host compliant, but what the other repositories offer is known all the same, and is no worse for it.
fn shut_by(problem: &Problem) -> Option<Shut> {
    let detail = problem.to_string();
    match problem.kind {
        ProblemKind::NotRefreshed | ProblemKind::Stale | ProblemKind::Expired => None,
        ProblemKind::RefreshFailed => Some(Shut::RefreshFailed { detail }),
        ProblemKind::Interrupted => Some(Shut::DatabaseInterrupted { detail }),
        ProblemKind::NotYetValid => Some(Shut::ClockUntrusted { detail }),
        ProblemKind::Unreadable
        | ProblemKind::Truncated
        | ProblemKind::TooLarge
        | ProblemKind::Malformed
        | ProblemKind::Duplicate
        | ProblemKind::Unsigned
        | ProblemKind::UnknownFeature
        | ProblemKind::Disagreement => Some(Shut::AssessmentIncomplete { detail }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Weight;

    fn open() -> Verdict {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        Verdict::Open(Occurrence { start: at(1), cutoff: at(2), end: at(3), name: "night".into() })
    }

    fn incomplete(kinds: &[ProblemKind]) -> Assessment {
        let problem = |&kind| Problem::new(kind, Weight::Incomplete, "/lists", "is wrong");
        Assessment::Incomplete { because: kinds.iter().map(problem).collect() }
    }

    #[track_caller]
    fn check_codes(window: &Verdict, is_paused: bool, assessment: &Assessment, expected: &[&str]) {
        let codes: Vec<_> = match check(&Situation { window, is_paused, assessment }) {
            Ok(_) => Vec::new(),
            Err(shut) => shut.iter().map(Shut::code).collect(),
        };
        assert_eq!(codes, expected);
    }

    #[test]
    fn every_shut_gate_is_named_and_all_of_them() {
        check_codes(&open(), false, &Assessment::Complete, &[]);
        check_codes(&Verdict::NoneConfigured, false, &Assessment::Complete, &["no_window"]);
        let all =
            incomplete(&[ProblemKind::RefreshFailed, ProblemKind::Interrupted, ProblemKind::NotYetValid]);
        let expected =
            ["paused", "outside_window", "refresh_failed", "database_interrupted", "clock_untrusted"];
        check_codes(&Verdict::Shut { next: None }, true, &all, &expected);
    }

    #[test]
    fn an_old_list_of_one_repository_does_not_keep_the_others_updates_back() {
        let old = [ProblemKind::NotRefreshed, ProblemKind::Stale, ProblemKind::Expired];
        check_codes(&open(), false, &incomplete(&old), &[]);
        check_codes(
            &open(),
            false,
            &incomplete(&[ProblemKind::Stale, ProblemKind::Malformed]),
            &["assessment_incomplete"],
        );
    }
}
