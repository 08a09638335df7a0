//! Which packages apt installed by itself, from its `extended_states`. A package that it doesn't name was asked for.

use patchd_core::inventory::{InstalledPackage, Mark};
use patchd_core::problem::{Problem, ProblemKind, Weight};

use crate::deb822::{Stanza, StanzaReader};
use crate::problem_list::ProblemList;
use crate::read;
use crate::root::Root;

const EXTENDED_STATES: &str = "var/lib/apt/extended_states";
const MAX_FILE: u64 = 64 << 20;

/// Marks those of `packages`, which are sorted, that apt calls automatic.
pub(super) fn apply(
    root: &Root,
    native: &str,
    packages: &mut [InstalledPackage],
    problems: &mut ProblemList,
) {
    let content = match read::read_optional(root, EXTENDED_STATES, MAX_FILE) {
        Ok(content) => content.unwrap_or_default(),
        Err(error) => {
            problems.push(error.to_problem(Weight::Notice));
            return;
        }
    };
    if let Err(line) = mark(&content, native, packages) {
        let place = root.path(EXTENDED_STATES).to_string_lossy().into_owned();
        let message = "it has lines that are no fields; packages around them may count as asked for";
        problems.push(Problem::new(ProblemKind::Malformed, Weight::Notice, place, message).at_line(line));
    }
}

/// Fails with the first bad line, after all the others were read.
fn mark(content: &[u8], native: &str, packages: &mut [InstalledPackage]) -> Result<(), u64> {
    let mut reader = StanzaReader::new(content);
    let mut first_bad_line = None;
    while let Ok(Some(stanza)) = reader.next_stanza() {
        let (record, bad_line) = Record::parse(&stanza);
        first_bad_line = first_bad_line.or(bad_line);
        if !record.is_automatic {
            continue;
        }
        let architecture = record.architecture.unwrap_or(native.as_bytes());
        let from = packages.partition_point(|package| package.id.name.as_str().as_bytes() < record.name);
        let instances = packages.get_mut(from..).unwrap_or_default().iter_mut();
        for package in instances.take_while(|package| package.id.name.as_str().as_bytes() == record.name) {
            // apt files a package for all architectures under its own.
            let word = package.id.architecture.as_str();
            if word.as_bytes() == architecture || (word == "all" && architecture == native.as_bytes()) {
                package.mark = Mark::Automatic;
            }
        }
    }
    first_bad_line.map_or(Ok(()), Err)
}

#[derive(Default)]
struct Record<'a> {
    name: &'a [u8],
    architecture: Option<&'a [u8]>,
    is_automatic: bool,
}

impl<'a> Record<'a> {
    fn parse(stanza: &Stanza<'a>) -> (Self, Option<u64>) {
        let mut record = Self::default();
        let mut bad_line = None;
        for field in stanza.fields() {
            match field {
                Ok(field) if field.is("Package") => record.name = field.value,
                Ok(field) if field.is("Architecture") => record.architecture = Some(field.value),
                Ok(field) if field.is("Auto-Installed") => record.is_automatic = field.value == b"1",
                Ok(_) => {}
                Err(bad) => bad_line = bad_line.or(Some(bad.line)),
            }
        }
        (record, bad_line)
    }
}
