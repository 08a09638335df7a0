//! What a baseline says of one version: approved, rejected, or not, and why.
//!
//! The order is the one that Patch Manager documents: global filters, rules, the approved list past both, and the
//! rejected list above all.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::pattern::Pattern;
use super::subject::{Facts, Subject, Traits};
use super::{Baseline, ComplianceLevel, Delay, Rule, RuleNumber};
use crate::advisory::Advisory;

/// The verdict of a baseline on one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<'a> {
    /// The level is the highest of all that approve it, and `by` has it.
    Approved {
        level: ComplianceLevel,
        by: ApprovedBy<'a>,
    },
    Rejected {
        by: &'a Pattern,
    },
    /// A rule will approve it, by its delay alone.
    NotYet {
        rule: RuleNumber,
        /// The first instant after this one.
        after: Timestamp,
    },
    NotApproved(Unapproved),
}

/// What approved a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovedBy<'a> {
    Rule(RuleNumber),
    List(&'a Pattern),
}

/// Why nothing approves a version: the nearest miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unapproved {
    /// It came out after the last day that a rule takes.
    ReleasedTooLate { rule: RuleNumber, until: Date },
    /// A rule's filters match, and the rule takes security updates only.
    NotSecurity { rule: RuleNumber },
    /// The approved list names it, and takes security updates only.
    ListedNotSecurity,
    /// The global filters leave it out.
    FilteredOut,
    /// No rule's filters match.
    NoRule,
}

/// What one rule says.
enum Opinion {
    Approves,
    NotYet { after: Timestamp },
    TooLate { until: Date },
    NotSecurity,
    NoMatch,
}

impl Decision<'_> {
    /// The level, where it is approved.
    pub fn level(&self) -> Option<ComplianceLevel> {
        match self {
            Self::Approved { level, .. } => Some(*level),
            Self::Rejected { .. } | Self::NotYet { .. } | Self::NotApproved(_) => None,
        }
    }
}

impl Baseline {
    /// Judges one version as of `now`.
    pub fn decide<'a>(&'a self, subject: &Subject<'_>, now: Timestamp) -> Decision<'a> {
        if let Some(by) = self.rejected_by(subject) {
            return Decision::Rejected { by };
        }
        let (by_list, list_miss) = self.by_list(subject);
        let (by_rule, rule_miss) = self.by_rules(&subject.facts, now);
        // Of equal levels the rule's is told first: it says more.
        match [by_list, by_rule].into_iter().flatten().max_by_key(|(level, _)| *level) {
            Some((level, by)) => Decision::Approved { level, by },
            None => match (rule_miss, list_miss) {
                (Decision::NotApproved(Unapproved::NoRule | Unapproved::FilteredOut), Some(miss)) => {
                    Decision::NotApproved(miss)
                }
                (miss, _) => miss,
            },
        }
    }

    /// Whether a rule approves a version that neither list names.
    pub fn approves_unlisted(&self, facts: &Facts<'_>, now: Timestamp) -> bool {
        self.by_rules(facts, now).0.is_some()
    }

    /// The entry of the rejected list that names a version.
    pub fn rejected_by(&self, subject: &Subject<'_>) -> Option<&Pattern> {
        self.rejected.patterns.iter().find(|pattern| pattern.matches(subject))
    }

    fn by_list(
        &self,
        subject: &Subject<'_>,
    ) -> (Option<(ComplianceLevel, ApprovedBy<'_>)>, Option<Unapproved>) {
        let list = &self.approved;
        let Some(pattern) = list.patterns.iter().find(|pattern| pattern.matches(subject)) else {
            return (None, None);
        };
        let mut ways = ways(&subject.facts);
        if list.includes_non_security || ways.any(|way| subject.facts.traits.is_security(way)) {
            (Some((list.level, ApprovedBy::List(pattern))), None)
        } else {
            (None, Some(Unapproved::ListedNotSecurity))
        }
    }

    /// The best approval of all rules, or the nearest miss.
    fn by_rules(
        &self,
        facts: &Facts<'_>,
        now: Timestamp,
    ) -> (Option<(ComplianceLevel, ApprovedBy<'_>)>, Decision<'_>) {
        let mut best: Option<(ComplianceLevel, RuleNumber)> = None;
        let mut soonest: Option<(Timestamp, RuleNumber)> = None;
        let mut miss = Unapproved::NoRule;
        let mut passes = false;
        for way in ways(facts) {
            if !self.global_filters.iter().all(|filter| filter.matches(facts, way)) {
                continue;
            }
            passes = true;
            for (number, rule) in (1..).map(RuleNumber).zip(&self.rules) {
                match self.opinion(rule, facts, way, now) {
                    Opinion::Approves if best.is_none_or(|(level, _)| level < rule.level) => {
                        best = Some((rule.level, number));
                    }
                    Opinion::NotYet { after } if soonest.is_none_or(|(other, _)| after < other) => {
                        soonest = Some((after, number));
                    }
                    Opinion::TooLate { until } => {
                        miss = miss.min(Unapproved::ReleasedTooLate { rule: number, until });
                    }
                    Opinion::NotSecurity => miss = miss.min(Unapproved::NotSecurity { rule: number }),
                    Opinion::Approves | Opinion::NotYet { .. } | Opinion::NoMatch => {}
                }
            }
        }
        if !passes {
            miss = Unapproved::FilteredOut;
        }
        let nearest = match soonest {
            Some((after, rule)) => Decision::NotYet { rule, after },
            None => Decision::NotApproved(miss),
        };
        (best.map(|(level, rule)| (level, ApprovedBy::Rule(rule))), nearest)
    }

    fn opinion(&self, rule: &Rule, facts: &Facts<'_>, way: Option<&Advisory>, now: Timestamp) -> Opinion {
        if !rule.filters.iter().all(|filter| filter.matches(facts, way)) {
            return Opinion::NoMatch;
        }
        if !rule.includes_non_security && !facts.traits.is_security(way) {
            return Opinion::NotSecurity;
        }
        let released = match &facts.traits {
            Traits::Deb { .. } if !self.delays_by_first_seen => return Opinion::Approves,
            // A version that nobody kept a date of is new.
            Traits::Deb { first_seen, .. } => first_seen.unwrap_or(now),
            Traits::Rpm { .. } => facts.traits.released_at(way),
        };
        match rule.delay {
            Delay::AfterDays(0) => Opinion::Approves,
            Delay::AfterDays(days) => {
                let delay = SignedDuration::from_hours(24 * i64::from(days));
                match released.checked_add(delay) {
                    Ok(after) if after < now => Opinion::Approves,
                    Ok(after) => Opinion::NotYet { after },
                    Err(_) => Opinion::NotYet { after: Timestamp::MAX },
                }
            }
            Delay::UntilDate(until) => {
                if released < end_of(until) {
                    Opinion::Approves
                } else {
                    Opinion::TooLate { until }
                }
            }
        }
    }
}

/// The ways in which a version can be looked at: by each of its advisories, or by none if it has none.
fn ways<'a>(facts: &Facts<'a>) -> impl Iterator<Item = Option<&'a Advisory>> {
    let advisories = facts.traits.advisories();
    let none = advisories.is_empty().then_some(None);
    advisories.iter().map(Some).chain(none)
}

/// The first instant after a day, in UTC.
fn end_of(day: Date) -> Timestamp {
    let next = day.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC));
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}

#[cfg(test)]
mod permissive;
#[cfg(test)]
mod tests;
