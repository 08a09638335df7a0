//! What `patchctl` takes on its command line, and the words of its help. It does nothing of it: that is `command`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use patchd_protocol::control::CONTROL_SOCKET;

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
    /// List the installed packages
    Inventory(InventoryArguments),
    /// List the packages that could or should be newer, and why they are not
    Updates(UpdatesArguments),
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
    /// Work on patchd's configuration
    #[command(subcommand)]
    Config(ConfigCommand),
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
    fn a_time_that_is_none_is_refused() {
        let parse = |now| Arguments::try_parse_from(["patchctl", "scan", "--once", "--now", now]);
        assert!(parse("2026-11-23T06:00:00Z").is_ok());
        assert!(parse("yesterday").is_err());
    }
}
