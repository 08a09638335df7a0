//! What is wrong with the package database: the packages that `dpkg --audit` lists for their state, and a journal that
//! nobody folds in.
//!
//! It does not look for missing files below `info/`, which the same command complains about: nothing that patchd may do
//! puts those right, and packages work without them.

use std::fmt;

use patchd_core::inventory::{DpkgState, Flag, Status, Want};
use patchd_core::package::{PackageId, Version};
use patchd_core::problem::{Problem, ProblemKind};

use super::database::{self, Database};
use crate::root::Root;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// dpkg noted changes and was ended before it took them over. While a dpkg is at work it has such a journal too.
    Journal,
    Package {
        id: PackageId,
        /// The version that the database has; of a half-installed package it is the one before.
        version: Option<Version>,
        /// What the administrator wants of it: one that is to go must not be installed again.
        want: Want,
        damage: Damage,
    },
    /// The database or a part of it can't be read, so that more may be wrong.
    Unreadable(Problem),
}

/// What is wrong with a package, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    ReinstallRequired,
    HalfInstalled,
    Unpacked,
    HalfConfigured,
    TriggersAwaited,
    TriggersPending,
}

impl Damage {
    /// dpkg's own rule: what has to be installed again is listed for that, and for nothing else.
    pub fn of(state: DpkgState) -> Option<Self> {
        if state.flag == Flag::ReinstallRequired {
            return Some(Self::ReinstallRequired);
        }
        match state.status {
            Status::HalfInstalled => Some(Self::HalfInstalled),
            Status::Unpacked => Some(Self::Unpacked),
            Status::HalfConfigured => Some(Self::HalfConfigured),
            Status::TriggersAwaited => Some(Self::TriggersAwaited),
            Status::TriggersPending => Some(Self::TriggersPending),
            Status::NotInstalled | Status::ConfigFiles | Status::Installed => None,
        }
    }

    /// Whether only installing the package again mends it; the rest is for `dpkg --configure -a`.
    pub fn needs_archive(self) -> bool {
        matches!(self, Self::ReinstallRequired | Self::HalfInstalled)
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::ReinstallRequired => "its installation was cut, and it has to be installed again",
            Self::HalfInstalled => "it is half installed, and has to be installed again",
            Self::Unpacked => "it is unpacked but not configured",
            Self::HalfConfigured => "its configuration was cut or failed",
            Self::TriggersAwaited => "it waits for a trigger of another package",
            Self::TriggersPending => "its trigger has not been run",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Journal => f.write_str("dpkg was cut: its journal has not been taken over"),
            Self::Package { id, damage, .. } => write!(f, "{id}: {}", damage.sentence()),
            Self::Unreadable(problem) => write!(f, "{problem}"),
        }
    }
}

/// Everything that is wrong, packages by name. While somebody is at work, packages pass through such states and there is
/// a journal: only with `quiet` asked before and after is it damage.
pub fn audit(root: &Root) -> Vec<Finding> {
    let mut database = database::load(root);
    database.check_instances();
    let Database { entries, problems, has_journal, .. } = database;
    let journal = has_journal.then_some(Finding::Journal);
    let damaged = entries.into_values().flatten().filter_map(|entry| {
        let damage = Damage::of(entry.state)?;
        Some(Finding::Package { id: entry.id, version: entry.version, want: entry.state.want, damage })
    });
    let doubtful = problems.into_problems().into_iter().filter(is_doubtful).map(Finding::Unreadable);
    journal.into_iter().chain(damaged).chain(doubtful).collect()
}

/// Whether a problem leaves it open what else is wrong.
fn is_doubtful(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unreadable | ProblemKind::Truncated | ProblemKind::TooLarge | ProblemKind::Duplicate
    )
}
