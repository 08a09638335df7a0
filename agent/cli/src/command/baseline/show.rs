//! `patchctl baseline show`: one baseline in words, as AWS prints it, or in our own form.

use patchd_host::root::Root;

use super::find;
use crate::arguments::baseline::ShowBaselineArguments;
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::{Output, tell};
use crate::text::Line;
use crate::view;

pub(super) fn run(arguments: &ShowBaselineArguments, output: &mut Output) -> Result<Exit, Failure> {
    if output.is_json && arguments.toml {
        return Err(Failure::because(Exit::BadInput, "--json and --toml can't both be printed"));
    }
    let root = arguments.root.as_deref().map_or_else(|| Ok(Root::host()), once::existing_root)?;
    let argument = arguments.baseline.as_deref();
    let found = find::named(argument.unwrap_or(find::HOST), &root)?;
    let file = found.file;
    if !output.is_json && !arguments.toml {
        if argument.is_none() {
            output.lines(&[Line::plain(format!("judged by {}", found.source)), Line::empty()])?;
        }
        output.lines(&view::baseline::show(&file, output.width))?;
        return Ok(Exit::Done);
    }
    // Who saves it is told what it will not do.
    file.notes.iter().for_each(|note| tell(&format!("note: {note}")));
    if arguments.toml {
        output.bytes(file.to_toml().as_bytes())?;
    } else {
        output.document(&file.to_json())?;
    }
    Ok(Exit::Done)
}
