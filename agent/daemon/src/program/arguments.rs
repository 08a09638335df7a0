//! The command line of `patchd`, and its exit codes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use patchd_core::report::Operation;
use patchd_protocol::store_url::StoreUrl;
use patchd_protocol::{control, executor};

/// Everything went as it should.
pub(crate) const DONE: u8 = 0;
/// The work failed.
pub(crate) const FAILED: u8 = 1;
/// Wrong arguments, or mistakes in the configuration.
pub(crate) const BAD_INPUT: u8 = 2;
/// `once apply` changed nothing, because something stood in the way.
pub(crate) const REFUSED: u8 = 6;
/// The daemon ended for a new program, as `--end-for-new-program` asks for.
pub(crate) const NEW_PROGRAM: u8 = 10;
/// The run is over, and its report waits in the spool because the store did not take it.
pub(crate) const NOT_DELIVERED: u8 = 8;

pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the work failed: the host could not be assessed, or the run failed or was done in part; `check`: something is in the way
  2  wrong arguments, or mistakes in the configuration
  6  `once apply` changed nothing, because something stood in the way; the report says what
  8  the run is over, and its report waits in the spool because the store did not take it
  10  there is a new program on disk, which is to be started";

/// Scans this host, judges it, patches it in its windows and reports.
///
/// Without a subcommand it is the daemon. As root without systemd's socket it leaves a keeper of the root helper behind
/// as root, and then becomes the user `patchd`, if there is one.
#[derive(Debug, Parser)]
#[command(name = "patchd", version, max_term_width = 100, after_long_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) places: Places,
    /// End with status 10 once another program lies where this one came from and nothing is under way; only where something
    /// starts patchd again then, as systemd does
    #[arg(long)]
    pub(crate) end_for_new_program: bool,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Where things lie.
#[derive(Debug, Clone, Args)]
pub(crate) struct Places {
    /// The directory below which the configuration is looked for
    #[arg(long, value_name = "DIR", default_value = "/", global = true)]
    pub(crate) config_root: PathBuf,
    /// Journal, spool and the last report [default: /var/lib/patchd; `once` without root: ~/.local/state/patchd]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) state: Option<PathBuf>,
    /// The socket that systemd listens on for the root helper
    #[arg(long, value_name = "PATH", default_value = executor::SOCKET, global = true)]
    pub(crate) executor_socket: PathBuf,
    /// The root helper, where there is no such socket [default: beside this program, or where packages put it]
    #[arg(long, value_name = "PROGRAM", global = true)]
    pub(crate) executor: Option<PathBuf>,
    /// The control socket
    #[arg(long, value_name = "PATH", default_value = control::CONTROL_SOCKET)]
    pub(crate) control_socket: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One run without a daemon, for image builds and CI: the report goes to the store, and its key is printed
    Once(Once),
    /// Says what stands between this host and its reports, without a daemon; `patchctl doctor` says more
    Check {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Keeps the root helper where there is no systemd; patchd starts it itself
    #[command(hide = true)]
    Supervise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OperationArgument {
    /// Look and judge
    Scan,
    /// Also install what is missing, if a window is open
    Apply,
}

impl From<OperationArgument> for Operation {
    fn from(argument: OperationArgument) -> Self {
        match argument {
            OperationArgument::Scan => Self::Scan,
            OperationArgument::Apply => Self::Apply,
        }
    }
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Once {
    pub(crate) operation: OperationArgument,
    /// Where the report goes: s3://BUCKET/PREFIX or file:///DIR [default: the configured store]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<StoreUrl>,
    /// Another S3 server than AWS's own
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Put the bucket into the path, as most other S3 servers need it
    #[arg(long)]
    pub(crate) path_style: bool,
    /// The bucket's region
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// The KMS key that the report is encrypted with
    #[arg(long, value_name = "ID")]
    pub(crate) kms_key_id: Option<String>,
    /// Take the package lists as they are, whatever the configuration says
    #[arg(long)]
    pub(crate) no_refresh: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        let words = ["patchd", "once", "scan", "--store", "s3://bucket/prefix", "--state", "/s"];
        let arguments = Arguments::parse_from(words);
        let Some(Command::Once(once)) = arguments.command else { panic!("no subcommand") };
        assert_eq!(once.operation, OperationArgument::Scan);
        assert_eq!(once.store.unwrap().to_string(), "s3://bucket/prefix");
        assert_eq!(arguments.places.state, Some("/s".into()));
        assert!(Arguments::try_parse_from(["patchd", "once", "scan", "--store", "/tmp"]).is_err());
    }

    #[test]
    fn every_exit_code_is_documented() {
        for code in [DONE, FAILED, BAD_INPUT, REFUSED, NOT_DELIVERED, NEW_PROGRAM] {
            assert!(EXIT_CODES.contains(&format!("\n  {code}  ")), "{code}");
        }
    }
}
