//! `patchctl version compare`: the order of two versions, as the package manager has it. It reads nothing.

use std::cmp::Ordering;

use patchd_core::version::{deb, rpm};

use crate::arguments::{SchemeArgument, VersionCommand};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) fn run(command: &VersionCommand, output: &mut Output) -> Result<Exit, Failure> {
    let VersionCommand::Compare { scheme, a, b } = command;
    let order = match scheme {
        SchemeArgument::Deb => compare_deb(a, b)?,
        SchemeArgument::Rpm => rpm::compare(a, b),
    };
    // The number is its own JSON document.
    output.document(&(order as i8))?;
    Ok(Exit::Done)
}

fn compare_deb(a: &str, b: &str) -> Result<Ordering, Failure> {
    let [a, b] = [a, b].map(|version| version.trim_matches([' ', '\t']));
    for version in [a, b] {
        deb::check(version).map_err(|error| {
            Failure::because(Exit::BadInput, format!("{version:?} is no Debian version: {error}"))
        })?;
    }
    Ok(deb::compare(a, b))
}
