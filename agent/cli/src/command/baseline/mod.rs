//! `patchctl baseline`: baselines as files and as they are built in. Nothing is changed on the host.

mod check;
pub(crate) mod diff;
mod find;
mod show;

use crate::arguments::baseline::BaselineCommand;
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(command: &BaselineCommand, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        BaselineCommand::Check { files } => check::run(files, output),
        BaselineCommand::Diff(arguments) => diff::run(arguments, output),
        BaselineCommand::Show(arguments) => show::run(arguments, output),
    }
}
