//! The exit codes of `patchctl`: stable, and documented here alone. The man page and docs/cli.md are held against it.

use std::fmt;

/// How a call of `patchctl` ended. A code never changes its meaning; new ones are only added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    BadInput,
    CannotTell,
    NotCompliant,
    NoDaemon,
    Refused,
    NotFound,
    Partial,
    NothingChanged,
    Interrupted,
}

impl Exit {
    pub(crate) const ALL: [Self; 11] = [
        Self::Done,
        Self::Failed,
        Self::BadInput,
        Self::CannotTell,
        Self::NotCompliant,
        Self::NoDaemon,
        Self::Refused,
        Self::NotFound,
        Self::Partial,
        Self::NothingChanged,
        Self::Interrupted,
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::CannotTell => 3,
            Self::NotCompliant => 4,
            Self::NoDaemon => 5,
            Self::Refused => 6,
            Self::NotFound => 7,
            Self::Partial => 8,
            Self::NothingChanged => 9,
            Self::Interrupted => 130,
        }
    }

    /// What the manual says of it.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => {
                "the work was done; with --exit-code also: the host is compliant. A scan that finds missing \
                 updates has done its work"
            }
            Self::Failed => {
                "the work failed: a package database, a store or a file could not be read or written, or a run \
                 failed; of doctor: something stands in the way"
            }
            Self::BadInput => {
                "wrong arguments, an invalid version, a plan that is none, or mistakes in the configuration or a baseline"
            }
            Self::CannotTell => {
                "with --exit-code: nothing approved is known to be missing, but the assessment is incomplete; of \
                 explain: nothing on this host tells of that CVE or advisory; of doctor: nothing is known to stand in the way, \
                 but something can't be told"
            }
            Self::NotCompliant => "only with --exit-code: the host is not compliant",
            Self::NoDaemon => "the daemon can't be reached on its socket",
            Self::Refused => "the daemon refused: the caller may not do this, or not now",
            Self::NotFound => "there is no run or report of that id, or no such package is installed",
            Self::Partial => "the run changed some of what was planned; the rest failed or waits",
            Self::NothingChanged => {
                "the run changed nothing although something was to be done: a gate was shut, or the plan no longer \
                 holds"
            }
            Self::Interrupted => "Ctrl-C ended the watching; the run goes on",
        }
    }
}

/// The codes for the end of the long help.
pub(crate) fn table() -> String {
    let rows = Exit::ALL.map(|exit| format!("\n  {}  {}", exit.code(), exit.meaning()));
    format!("Exit codes:{}", rows.concat())
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do its work, and the code for it. The chain of causes is printed once, by `main`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Whether the same may go well a little later: the daemon goes, or comes.
    pub(crate) may_pass: bool,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, may_pass: exit == Exit::NoDaemon, error: error.into() }
    }

    /// A failure that is told in one sentence.
    pub(crate) fn because(exit: Exit, sentence: impl Into<String>) -> Self {
        Self::new(exit, anyhow::Error::msg(sentence.into()))
    }

    /// The same failure, as one that may pass.
    pub(crate) fn passing(self) -> Self {
        Self { may_pass: true, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// What has no code of its own is a failure of the work.
impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(Exit::Failed, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_numbers_from_zero_on_and_what_shells_give_a_ctrl_c() {
        let codes: Vec<_> = Exit::ALL.map(Exit::code).into();
        assert_eq!(codes, (0..10).chain([130]).collect::<Vec<u8>>());
    }

    #[test]
    fn the_user_guide_explains_every_code() {
        let guide = include_str!("../../../docs/cli.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(guide.contains(&row), "docs/cli.md lacks the row: {row}");
        }
    }
}
