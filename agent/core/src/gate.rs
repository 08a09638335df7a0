//! Gates: every reason why nothing may be changed now, each with a stable name and a sentence.
//!
//! All gates are asked, so that an operator sees all that is in the way at once. What can't be told counts as shut.
//! It observes nothing itself, and opening a gate is no permission: the executor checks root's policy again.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use crate::plan::need::Filesystem;
use crate::problem::{Problem, ProblemKind};
use crate::report::Assessment;
use crate::window::{Occurrence, Verdict};

/// The memory that a package manager and its scripts want to find free, in bytes.
pub const MIN_MEMORY: u64 = 64 << 20;

/// One shut gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shut {
    /// An operator said so.
    Paused,
    /// Somebody asked this run to stop.
    Stopped {
        by: String,
    },
    NoWindow,
    OutsideWindow {
        next: Option<Timestamp>,
    },
    /// Policy forbids changes for a time.
    Frozen {
        until: Timestamp,
        reason: String,
    },
    /// The next step could still be under way at the cutoff.
    WontFit {
        needed: SignedDuration,
        left: SignedDuration,
    },
    /// A file system has no room for what a step writes, or takes nothing at all.
    NoRoom {
        detail: String,
    },
    NoMemory {
        available: u64,
    },
    /// Somebody else's package manager is at work.
    Locked {
        detail: String,
    },
    /// cloud-init is not done with this boot, or nobody can tell.
    CloudInit {
        detail: String,
    },
    /// The lists could not all be fetched: what would be planned from them may be a mix of two states.
    RefreshFailed {
        detail: String,
    },
    /// Somebody's transaction was cut: the package database must be repaired first.
    DatabaseInterrupted {
        detail: String,
    },
    /// A clock is wrong or may be, and windows are told by clocks.
    ClockUntrusted {
        detail: String,
    },
    /// Something that the plan rests on is unknown.
    AssessmentIncomplete {
        detail: String,
    },
    /// One of the operator's own checks said no.
    HookFailed {
        detail: String,
    },
    /// The window ends before a reboot would be over for certain.
    NoTimeToReboot {
        needed: SignedDuration,
        left: SignedDuration,
    },
    /// One of the operator's own checks before a reboot said no.
    RebootHookFailed {
        detail: String,
    },
    /// patchd does not reboot this host at all.
    NeverRebooted {
        detail: String,
    },
    /// Root's own rules, as the executor reads them, say no.
    Forbidden {
        detail: String,
    },
}

impl Shut {
    /// The stable name that reports, logs and the API use.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Stopped { .. } => "stopped",
            Self::NoWindow => "no_window",
            Self::OutsideWindow { .. } => "outside_window",
            Self::Frozen { .. } => "freeze",
            Self::WontFit { .. } | Self::NoTimeToReboot { .. } => "wont_fit",
            Self::NoRoom { .. } => "disk",
            Self::NoMemory { .. } => "memory",
            Self::Locked { .. } => "locked",
            Self::CloudInit { .. } => "cloud_init",
            Self::RefreshFailed { .. } => "refresh_failed",
            Self::DatabaseInterrupted { .. } => "database_interrupted",
            Self::ClockUntrusted { .. } => "clock_untrusted",
            Self::AssessmentIncomplete { .. } => "assessment_incomplete",
            Self::HookFailed { .. } | Self::RebootHookFailed { .. } => "hook_failed",
            Self::NeverRebooted { .. } => "never_rebooted",
            Self::Forbidden { .. } => "forbidden",
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Self::Paused => "patchd is paused: `patchctl resume` ends that".into(),
            Self::Stopped { by } => format!("stopped by {by}"),
            Self::NoWindow => "no window is configured, so patchd changes nothing".into(),
            Self::OutsideWindow { next: Some(next) } => format!("the next window opens at {next}"),
            Self::OutsideWindow { next: None } => "no window is open, and none will open again".into(),
            Self::Frozen { until, reason } => format!("changes are frozen until {until}: {reason}"),
            Self::WontFit { needed, left } => {
                let (needed, left) = (needed.as_secs(), left.as_secs().max(0));
                format!("the next step may take {needed} s, and {left} s are left before the cutoff")
            }
            Self::NoMemory { available } => {
                let (free, wanted) = (available >> 20, MIN_MEMORY >> 20);
                format!("{free} MiB of memory are available, and a package manager wants {wanted}")
            }
            Self::Locked { detail } => format!("another package manager is at work: {detail}"),
            Self::RefreshFailed { detail } => format!("the package lists could not all be fetched: {detail}"),
            Self::DatabaseInterrupted { detail } => {
                format!("a transaction was cut and the package database needs repair: {detail}")
            }
            Self::ClockUntrusted { detail } => format!("the clock can't be trusted: {detail}"),
            Self::AssessmentIncomplete { detail } => format!("the assessment is incomplete: {detail}"),
            Self::HookFailed { detail } => format!("a pre-patch hook said no: {detail}"),
            Self::NoTimeToReboot { needed, left } => {
                let (needed, left) = (needed.as_secs(), left.as_secs().max(0));
                format!(
                    "a reboot wants {needed} s (apply.reboot_reserve), and {left} s are left of the window"
                )
            }
            Self::RebootHookFailed { detail } => format!("a pre-reboot hook said no: {detail}"),
            Self::NoRoom { detail }
            | Self::NeverRebooted { detail }
            | Self::Forbidden { detail }
            | Self::CloudInit { detail } => detail.clone(),
        }
    }

    /// When it will open by itself, where that is known.
    pub fn opens_at(&self) -> Option<Timestamp> {
        match self {
            Self::OutsideWindow { next } => *next,
            Self::Frozen { until, .. } => Some(*until),
            _ => None,
        }
    }
}

/// Whether windows can be told by this clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clock {
    Synchronised,
    /// It is not, or nobody can tell, and policy says that this host does without.
    NotRequired,
    Unsynchronised,
    /// It was set while patchd looked: by how much, in a sentence.
    Jumped {
        detail: String,
    },
    Unknown {
        detail: String,
    },
}

/// A time without changes, as policy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pub until: Timestamp,
    pub reason: String,
}

/// Root's word that a plan may run now, outside of every window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub reason: String,
    pub until: Timestamp,
}

/// What the gates look at. It is all in the journal, so that the same verdict follows from it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    pub now: Timestamp,
    pub window: Verdict,
    /// The occurrence that is past its cutoff and not at its end yet: what was begun in it may still end.
    pub closing: Option<Box<Occurrence>>,
    pub is_paused: bool,
    pub freeze: Option<Freeze>,
    /// Whose word lifts a freeze that would be in force, in a sentence.
    pub lifted: Option<String>,
    pub clock: Clock,
    pub filesystems: Vec<Filesystem>,
    /// `None` if nobody can tell: then it is no reason to wait.
    pub available_memory: Option<u64>,
    /// Who else is at work on installed packages, if somebody is.
    pub lock_holder: Option<String>,
    /// Why cloud-init must be waited for, if it must.
    pub cloud_init: Option<String>,
    pub grant: Option<Grant>,
    /// What is kept of the window for a reboot.
    pub reserve: SignedDuration,
    /// How long one transaction may be meant to take, so that a stop request is honoured in time.
    pub longest_transaction: SignedDuration,
}

/// What an open gate lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    pub by: Permission,
    /// The window's name, or the grant's reason, and whose word lifted a freeze: what records and reports say.
    pub word: String,
    /// The time that a transaction may be meant to take.
    pub time: SignedDuration,
}

/// Whose word a change rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    Window(Occurrence),
    Grant(Grant),
}

impl Permission {
    /// The name that records use.
    pub fn name(&self) -> String {
        match self {
            Self::Window(occurrence) => occurrence.name.clone(),
            Self::Grant(grant) => format!("granted by root: {}", grant.reason),
        }
    }
}

/// What a scan knows of the gates. The others are asked before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook<'a> {
    pub window: &'a Verdict,
    pub is_paused: bool,
    pub freeze: Option<&'a Freeze>,
}

impl Outlook<'_> {
    /// The gates that would be shut now, in the order in which `check` asks them.
    pub fn shut(&self, assessment: &Assessment) -> Vec<Shut> {
        let mut shut = shut_by_people(self.is_paused, self.freeze);
        shut.extend(shut_by_window(self.window));
        if let Assessment::Incomplete { because } = assessment {
            shut.extend(because.iter().filter_map(shut_by));
        }
        shut
    }
}

fn shut_by_people(is_paused: bool, freeze: Option<&Freeze>) -> Vec<Shut> {
    let freeze =
        freeze.map(|Freeze { until, reason }| Shut::Frozen { until: *until, reason: reason.clone() });
    is_paused.then_some(Shut::Paused).into_iter().chain(freeze).collect()
}

fn shut_by_window(window: &Verdict) -> Option<Shut> {
    match window {
        Verdict::Open(_) => None,
        Verdict::NoneConfigured => Some(Shut::NoWindow),
        Verdict::Shut { next } => {
            Some(Shut::OutsideWindow { next: next.as_ref().map(|occurrence| occurrence.start) })
        }
    }
}

/// What records and reports say of a permission, and of a freeze that was lifted for it.
pub fn word(permission: &Permission, lifted: Option<&str>) -> String {
    match lifted {
        None => permission.name(),
        Some(lifted) => format!("{}; {lifted}", permission.name()),
    }
}

/// A permit if every gate is open, else every gate that is shut.
pub fn check(observed: &Observed, assessment: &Assessment) -> Result<Permit, Vec<Shut>> {
    let mut shut = shut_by_people(observed.is_paused, observed.freeze.as_ref());
    let permission = match (&observed.grant, &observed.window) {
        (Some(grant), _) if observed.now < grant.until => Some(Permission::Grant(grant.clone())),
        (_, Verdict::Open(occurrence)) => Some(Permission::Window(occurrence.clone())),
        (_, shut_window) => {
            shut.extend(shut_by_window(shut_window));
            None
        }
    };
    // Root, present, knows what time it is, and may well be speaking out of cloud-init.
    if !matches!(permission, Some(Permission::Grant(_))) {
        shut.extend(shut_by_clock(&observed.clock));
        shut.extend(shut_by_cloud_init(observed.cloud_init.as_deref()));
    }
    if let Some(available) = observed.available_memory.filter(|&available| available < MIN_MEMORY) {
        shut.push(Shut::NoMemory { available });
    }
    if let Assessment::Incomplete { because } = assessment {
        shut.extend(because.iter().filter_map(shut_by));
    }
    match permission {
        Some(by) if shut.is_empty() => {
            let word = word(&by, observed.lifted.as_deref());
            Ok(Permit { time: time_left(observed, &by), word, by })
        }
        _ => Err(shut),
    }
}

/// Every gate that is shut for a reboot. `begun_at` is when the run's first transaction was started, if it had one.
///
/// No grant counts: root's word for a change of packages is none for a reboot, which needs a window. A reboot that ends
/// what was begun before the cutoff may come after it, as a task of Systems Manager's may; one that is all there is to do
/// is begun before the cutoff or not at all. Either way the reserve must be left before the window's end.
pub fn shut_for_reboot(observed: &Observed, database: &[String], begun_at: Option<Timestamp>) -> Vec<Shut> {
    let mut shut = shut_by_people(observed.is_paused, observed.freeze.as_ref());
    let is_of = |occurrence: &&Occurrence| {
        begun_at.is_some_and(|at| occurrence.start <= at && at < occurrence.cutoff)
    };
    let occurrence = match &observed.window {
        Verdict::Open(occurrence) => Some(occurrence),
        _ => observed.closing.as_deref().filter(is_of),
    };
    match occurrence {
        None => shut.extend(shut_by_window(&observed.window)),
        Some(occurrence) => {
            let left = occurrence.end.duration_since(observed.now);
            if left < observed.reserve || left <= SignedDuration::ZERO {
                shut.push(Shut::NoTimeToReboot { needed: observed.reserve, left });
            }
        }
    }
    shut.extend(shut_by_clock(&observed.clock));
    shut.extend(shut_by_cloud_init(observed.cloud_init.as_deref()));
    shut.extend(database.first().map(|first| Shut::DatabaseInterrupted { detail: first.clone() }));
    shut
}

/// What is left before the cutoff, the reserve taken off.
fn time_left(observed: &Observed, by: &Permission) -> SignedDuration {
    let end = match by {
        Permission::Window(occurrence) => occurrence.cutoff,
        Permission::Grant(grant) => grant.until,
    };
    let left = end.duration_since(observed.now).saturating_sub(observed.reserve);
    left.min(observed.longest_transaction)
}

/// The gate that somebody else shuts who is at work on packages. It opens by itself when that one is done, so it is waited
/// for as long as there is time, where any other gate ends a run.
pub fn shut_by_lock(observed: &Observed) -> Option<Shut> {
    observed.lock_holder.clone().map(|detail| Shut::Locked { detail })
}

/// The gate that is shut while cloud-init works on this boot, whose packages and user data go first.
pub fn shut_by_cloud_init(why: Option<&str>) -> Option<Shut> {
    why.map(|why| Shut::CloudInit { detail: why.to_owned() })
}

/// The gate that a clock shuts, if it shuts one.
pub fn shut_by_clock(clock: &Clock) -> Option<Shut> {
    let detail = match clock {
        Clock::Synchronised | Clock::NotRequired => return None,
        Clock::Unsynchronised => {
            "it is not synchronised; start a time service, or set clock.require_synchronised = false".into()
        }
        Clock::Jumped { detail } => detail.clone(),
        Clock::Unknown { detail } => format!("whether it is synchronised can't be told: {detail}"),
    };
    Some(Shut::ClockUntrusted { detail })
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

/// Whether the package database was left half way by somebody's transaction.
pub fn is_interrupted(assessment: &Assessment) -> bool {
    match assessment {
        Assessment::Complete => false,
        Assessment::Incomplete { because } => {
            because.iter().any(|problem| problem.kind == ProblemKind::Interrupted)
        }
    }
}
