//! Where log lines go: to the journal with their fields if systemd started us, to standard error otherwise.

use std::io::{self, IsTerminal};

use patchd_protocol::config::LogLevel;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Lets the level be changed while the program runs.
#[derive(Debug)]
pub(crate) struct LogHandle(reload::Handle<Targets, Registry>);

impl LogHandle {
    pub(crate) fn set(&self, level: LogLevel) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }
}

/// Our own lines at this level; of the libraries only what they warn of.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Targets::new().with_default(LevelFilter::WARN).with_target("patchd", level)
}

/// Begins to log.
pub(crate) fn begin(level: LogLevel) -> LogHandle {
    let (filter, handle) = reload::Layer::new(targets(level));
    // systemd sets JOURNAL_STREAM for what it connects to the journal; a shell below such a unit is no daemon's log.
    let is_journal = std::env::var_os("JOURNAL_STREAM").is_some() && !io::stderr().is_terminal();
    let journal = if is_journal { tracing_journald::layer().ok() } else { None };
    let sink: Box<dyn Layer<_> + Send + Sync> = match journal {
        // Fields keep their names: RUN_ID, PHASE, PACKAGE.
        Some(journal) => journal.with_field_prefix(None).boxed(),
        None => tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry().with(filter).with(sink).init();
    LogHandle(handle)
}
