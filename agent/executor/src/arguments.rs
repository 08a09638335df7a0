//! The command line. People don't type it: units and the daemon do, so there is no help beyond the error.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// What can be said on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// The directory below which root's policy lies.
    pub(crate) config_root: PathBuf,
    /// Where records are kept.
    pub(crate) state: PathBuf,
    /// How long to wait for a client before ending.
    pub(crate) idle: Duration,
    /// The plan that apt is to be held against, where apt starts this program to ask.
    pub(crate) check_plan: Option<PathBuf>,
}

/// Why a command line can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ArgumentError {
    #[error(
        "there is no option {0:?}; use --config-root DIR, --state DIR, --idle-seconds N, --check-plan FILE"
    )]
    Unknown(OsString),
    #[error("{0} needs a value")]
    NoValue(&'static str),
    #[error("--idle-seconds: {0:?} is no number from 1 to 86400")]
    Idle(OsString),
    #[error("{option}: {value:?} is no absolute path")]
    Relative { option: &'static str, value: PathBuf },
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let mut arguments = Self {
            config_root: "/".into(),
            state: "/var/lib/patchd-executor".into(),
            idle: Duration::from_secs(60),
            check_plan: None,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = |option| words.next().ok_or(ArgumentError::NoValue(option));
            match word.to_str() {
                Some("--config-root") => {
                    arguments.config_root = absolute("--config-root", value("--config-root")?)?;
                }
                Some("--check-plan") => {
                    arguments.check_plan = Some(absolute("--check-plan", value("--check-plan")?)?);
                }
                Some("--state") => arguments.state = absolute("--state", value("--state")?)?,
                Some("--idle-seconds") => {
                    let text = value("--idle-seconds")?;
                    let seconds = text.to_str().and_then(|text| text.parse().ok());
                    let seconds = seconds.filter(|seconds| (1..=86_400).contains(seconds));
                    arguments.idle = Duration::from_secs(seconds.ok_or(ArgumentError::Idle(text))?);
                }
                _ => return Err(ArgumentError::Unknown(word)),
            }
        }
        Ok(arguments)
    }
}

fn absolute(option: &'static str, value: OsString) -> Result<PathBuf, ArgumentError> {
    let value = PathBuf::from(value);
    if value.is_absolute() { Ok(value) } else { Err(ArgumentError::Relative { option, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, ArgumentError> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn options_are_read_and_mistakes_named() {
        let arguments = parse(&["--state", "/s", "--idle-seconds", "5", "--config-root", "/c"]).unwrap();
        assert_eq!(
            arguments,
            Arguments {
                config_root: "/c".into(),
                state: "/s".into(),
                idle: Duration::from_secs(5),
                check_plan: None
            }
        );
        assert_eq!(parse(&[]).unwrap().state, PathBuf::from("/var/lib/patchd-executor"));
        assert_eq!(parse(&["--check-plan", "/p"]).unwrap().check_plan, Some("/p".into()));
        assert!(matches!(parse(&["--root", "/x"]), Err(ArgumentError::Unknown(_))));
        assert!(matches!(parse(&["--state"]), Err(ArgumentError::NoValue("--state"))));
        assert!(matches!(parse(&["--state", "s"]), Err(ArgumentError::Relative { .. })));
        assert!(matches!(parse(&["--idle-seconds", "0"]), Err(ArgumentError::Idle(_))));
    }
}
