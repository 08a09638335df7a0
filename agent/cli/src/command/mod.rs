//! The subcommands, one file each: from arguments to an exit code.

pub(crate) mod apply;
pub(crate) mod baseline;
pub(crate) mod config;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod inventory;
pub(crate) mod patchers;
pub(crate) mod plan;
pub(crate) mod report;
mod request;
pub(crate) mod runs;
pub(crate) mod scan;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod updates;
pub(crate) mod version;
pub(crate) mod windows;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::client::Answer;
use crate::exit::Failure;
use crate::output::Output;
use crate::text::Line;
use crate::view::View;

/// The one place where the clock is read.
#[expect(
    clippy::disallowed_methods,
    reason = "a person asks now; everything below takes the time as an argument"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// How documents of this host are shown.
pub(crate) fn own_view(output: &Output) -> View {
    View { width: output.width, now: now(), is_full: true, root: None }
}

/// Prints a document of the daemon: as it came for a program, in lines for a person.
pub(crate) fn print_answer<T: DeserializeOwned>(
    answer: &Answer,
    output: &mut Output,
    lines: impl Fn(&T, &View) -> Vec<Line>,
) -> Result<(), Failure> {
    // What is not understood is not passed on either.
    let document = answer.parse::<T>()?;
    if output.is_json {
        output.bytes(&answer.body)
    } else {
        output.lines(&lines(&document, &own_view(output)))
    }
}
