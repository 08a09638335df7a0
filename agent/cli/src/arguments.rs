//! What `patchctl` takes on its command line, and the words of its help. It does nothing of it: that is `command`.

pub(crate) mod baseline;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, value_parser};
use jiff::Timestamp;
use patchd_protocol::control::CONTROL_SOCKET;
use patchd_protocol::executor::SOCKET as EXECUTOR_SOCKET;
use patchd_protocol::patchers::Patcher;

use self::baseline::BaselineCommand;
use crate::exit;

/// Says what is wrong with a host, and asks patchd to look after it
///
/// Without --once, a command asks the daemon patchd over its Unix socket. With --once, it reads the host itself: no
/// daemon, no root, no cloud and no change to the host.
#[derive(Debug, Parser)]
#[command(name = "patchctl", version, max_term_width = 100, after_long_help = exit::table())]
pub(crate) struct Arguments {
    /// Print one JSON document and nothing else on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The daemon's socket
    #[arg(long, global = true, value_name = "PATH", default_value = CONTROL_SOCKET)]
    pub(crate) socket: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the daemon does and what it knows of this host
    Status,
    /// Look at the host, judge it against its baseline, show and keep the report
    Scan(ScanArguments),
    /// Show what an apply would do now, and change nothing
    Plan,
    /// Install what the baseline asks for, in an open window, and show how it goes
    Apply(ApplyArguments),
    /// Stop a run between two steps
    Stop {
        /// The run's id, as `patchctl runs` lists it
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Change nothing on this host until it is resumed
    Pause,
    /// End a pause
    Resume,
    /// List the installed packages
    Inventory(InventoryArguments),
    /// List the packages that could or should be newer, and why they are not
    Updates(UpdatesArguments),
    /// Tell why a package is at its version, when that will change and what to do; or what this host tells of a hole
    ///
    /// Of a CVE or an advisory, only the changelogs of installed packages tell. What they don't name can't be told.
    Explain(ExplainArguments),
    /// List the latest runs
    Runs,
    /// Show one run with its history
    Show {
        /// The run's id, as `patchctl runs` lists it
        #[arg(value_name = "RUN")]
        run: String,
    },
    /// Show a report
    Report(ReportArguments),
    /// Work on baselines: the rules by which updates are approved
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Show when this host may be changed, or when a schedule would allow it
    Windows(WindowsArguments),
    /// Work on patchd's configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Work on who else patches this host by itself
    #[command(subcommand)]
    Patchers(PatchersCommand),
    /// Say what stands between this host and its reports and patches, and what to do about it
    ///
    /// It looks at the configuration, directories, units, clock, cloud-init, identity, credentials, store and more, with the
    /// daemon running or not. As root it sees more. It changes nothing.
    Doctor,
    /// Work on version numbers
    #[command(subcommand)]
    Version(VersionCommand),
}

/// Which host is read without the daemon.
#[derive(Debug, Args)]
pub(crate) struct OnceArguments {
    /// Read the host here and now, without the daemon
    #[arg(long)]
    pub(crate) once: bool,

    /// Read the host whose root directory is DIR instead of this one
    #[arg(long, value_name = "DIR", requires = "once")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InventoryArguments {
    #[command(flatten)]
    pub(crate) once: OnceArguments,

    /// Say which repository has each installed version; this reads the package lists too
    #[arg(long, requires = "once")]
    pub(crate) origins: bool,
}

/// By which rules, and at what time, it is judged.
#[derive(Debug, Args)]
pub(crate) struct JudgeArguments {
    /// Read the configuration under DIR instead of / (by default under --root)
    #[arg(long, value_name = "DIR", requires = "once")]
    pub(crate) config_root: Option<PathBuf>,

    /// Judge by this baseline: a file as `aws ssm get-patch-baseline` prints it, or in TOML, or builtin:NAME
    #[arg(long, value_name = "FILE", requires = "once")]
    pub(crate) baseline: Option<String>,

    /// Judge as if it were this time, written like 2026-11-23T06:00:00Z
    #[arg(long, value_name = "TIME", requires = "once")]
    pub(crate) now: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArguments {
    #[command(flatten)]
    pub(crate) once: OnceArguments,

    #[command(flatten)]
    pub(crate) judge: JudgeArguments,

    /// Keep the report in this folder: a path or file:///path [default: ./patchd-reports]
    #[arg(long, value_name = "URL", requires = "once")]
    pub(crate) store: Option<String>,

    #[command(flatten)]
    pub(crate) verdict: VerdictArguments,
}

/// Which plan is applied, on whose word, and who waits for it.
#[derive(Debug, Args)]
pub(crate) struct ApplyArguments {
    /// Apply exactly the plan in FILE, as `patchctl plan --json` printed it, or nothing; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,

    /// Print the run's id and don't wait for its end
    #[arg(long)]
    pub(crate) detach: bool,

    /// Watch a run that is under way, or show what one came to
    #[arg(long, value_name = "RUN", conflicts_with_all = ["plan", "detach", "now"])]
    pub(crate) follow: Option<String>,

    /// Apply outside of every window, as root: the plan is shown, and carried out if you agree to it
    #[arg(long, requires = "reason")]
    pub(crate) now: bool,

    /// Why it can't wait; it stands in the report
    #[arg(long, value_name = "TEXT", requires = "now", value_parser = parse_reason)]
    pub(crate) reason: Option<String>,

    /// How long root's word holds
    #[arg(
        long, value_name = "N", requires = "now", default_value_t = 60, value_parser = value_parser!(u32).range(1..=1440)
    )]
    pub(crate) minutes: u32,

    /// Agree to the plan without being asked
    #[arg(long, requires = "now")]
    pub(crate) yes: bool,

    /// The executor's socket
    #[arg(long, value_name = "PATH", requires = "now", hide = true, default_value = EXECUTOR_SOCKET)]
    pub(crate) executor_socket: PathBuf,
}

/// The longest reason, in bytes: it stands in logs and reports.
const MAX_REASON: usize = 500;

fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it says nothing".into());
    }
    if MAX_REASON < text.len() {
        return Err(format!("it is longer than {MAX_REASON} bytes"));
    }
    if text.contains(char::is_control) {
        return Err("it has control characters".into());
    }
    Ok(text.to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct VerdictArguments {
    /// Show every row: all missing and other updates, all problems
    #[arg(long)]
    pub(crate) all: bool,

    /// Exit with 4 if the host is not compliant, and with 3 if that can't be told
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UpdatesArguments {
    #[command(flatten)]
    pub(crate) once: OnceArguments,

    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// A package (openssl, openssl:i386), a CVE (CVE-2026-12345) or an advisory (DSA-5432-1)
    #[arg(value_name = "PACKAGE|CVE|ADVISORY", value_parser = crate::command::explain::parse_query)]
    pub(crate) query: String,

    #[command(flatten)]
    pub(crate) once: OnceArguments,

    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// The report's id, or the path of a report's file [default: the latest]
    #[arg(value_name = "ID")]
    pub(crate) report: Option<String>,

    /// Take it from this folder instead of asking the daemon: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,

    #[command(flatten)]
    pub(crate) verdict: VerdictArguments,
}

/// A schedule of one's own, or what is configured; and which of its times. What is wrong is told in one line that names
/// the field, so all of it is text here.
#[derive(Debug, Args)]
pub(crate) struct WindowsArguments {
    /// Ask about this schedule instead of the configuration: cron(…), rate(…), at(…) or `Sun 02:00 +3h Europe/Berlin`
    #[arg(long, value_name = "SCHEDULE", allow_hyphen_values = true)]
    pub(crate) schedule: Option<String>,

    /// The time zone that the schedule is read in [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    pub(crate) timezone: Option<String>,

    /// Begin so many days later than the cron says, from 1 to 6
    #[arg(long, value_name = "DAYS", requires = "schedule", allow_hyphen_values = true)]
    pub(crate) offset: Option<String>,

    /// How long the window lasts, from 1h to 24h; without it, the times are told without a length
    #[arg(long, value_name = "DURATION", requires = "schedule")]
    pub(crate) duration: Option<String>,

    /// How long before its end nothing new is started [default: 0s]
    #[arg(long, value_name = "DURATION", requires = "schedule")]
    pub(crate) cutoff: Option<String>,

    /// Nothing begins before this; a rate is counted from it [default for a rate or an offset: --from]
    #[arg(long, value_name = "TIME", requires = "schedule")]
    pub(crate) start: Option<String>,

    /// Nothing begins at this or later
    #[arg(long, value_name = "TIME", requires = "schedule")]
    pub(crate) end: Option<String>,

    /// List what begins after this, written like 2026-11-23T06:00:00Z [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "at")]
    pub(crate) from: Option<String>,

    /// How many times are listed
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,

    /// Say whether it is open or shut at this time, and why
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,

    /// Read the configuration under DIR instead of /
    #[arg(long, value_name = "DIR", default_value = "/", conflicts_with = "schedule")]
    pub(crate) config_root: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the configuration and print each mistake as FILE:LINE: what is wrong
    Check {
        /// Read it under DIR instead of /
        #[arg(long, value_name = "DIR", default_value = "/")]
        config_root: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PatchersCommand {
    /// List those that would install packages by themselves, and those that were kept from it
    List,
    /// As root, keep one from installing as long as patchd is installed; nothing of it is removed or stopped
    Disable(PatcherArguments),
    /// As root, take that back
    Restore(PatcherArguments),
}

/// Which one.
#[derive(Debug, Args)]
pub(crate) struct PatcherArguments {
    /// Its name, as `patchctl patchers list` shows it
    #[arg(value_name = "NAME", value_parser = parse_patcher)]
    pub(crate) patcher: Patcher,

    /// The executor's socket
    #[arg(long, value_name = "PATH", hide = true, default_value = EXECUTOR_SOCKET)]
    pub(crate) executor_socket: PathBuf,
}

fn parse_patcher(text: &str) -> Result<Patcher, String> {
    let known = || Patcher::ALL.map(Patcher::as_str).join(", ");
    Patcher::parse(text).ok_or_else(|| format!("patchd knows of {}", known()))
}

#[derive(Debug, Subcommand)]
pub(crate) enum VersionCommand {
    /// Print -1, 0 or 1: whether A is older than B, the same, or newer
    #[command(allow_negative_numbers = true)]
    Compare {
        /// Whose rules: dpkg's or rpm's
        scheme: SchemeArgument,
        /// One version
        a: String,
        /// The other version
        b: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemeArgument {
    Deb,
    Rpm,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn another_root_is_only_read_once() {
        assert!(Arguments::try_parse_from(["patchctl", "scan", "--root", "/x"]).is_err());
        assert!(Arguments::try_parse_from(["patchctl", "scan", "--store", "/x"]).is_err());
        assert!(
            Arguments::try_parse_from(["patchctl", "updates", "--once", "--root", "/x", "--json"]).is_ok()
        );
    }

    #[test]
    fn what_only_root_may_do_takes_a_reason() {
        let parse = |more: &[&str]| Arguments::try_parse_from([&["patchctl", "apply"], more].concat());
        assert!(parse(&[]).is_ok());
        assert!(parse(&["--now"]).is_err());
        assert!(parse(&["--yes"]).is_err());
        assert!(parse(&["--reason", "x"]).is_err());
        assert!(parse(&["--now", "--reason", "CVE-2026-1", "--plan", "p.json", "--yes"]).is_ok());
        for reason in ["", " ", "a\nb", &"x".repeat(MAX_REASON + 1)] {
            assert!(parse(&["--now", "--reason", reason]).is_err(), "{reason:?}");
        }
        assert!(parse(&["--follow", "r", "--detach"]).is_err());
        assert!(parse(&["--now", "--reason", "x", "--minutes", "0"]).is_err());
    }

    #[test]
    fn a_time_that_is_none_is_refused() {
        let parse = |now| Arguments::try_parse_from(["patchctl", "scan", "--once", "--now", now]);
        assert!(parse("2026-11-23T06:00:00Z").is_ok());
        assert!(parse("yesterday").is_err());
    }
}
