//! `patchctl explain`: why one package is where it is, or what this host tells of a hole or an advisory.

use std::path::Path;

use patchd_core::package::PackageName;
use patchd_host::changelog;
use patchd_host::root::Root;
use patchd_protocol::explain::{
    ExplanationDocument, FixWire, MAX_QUERY, OutcomeWire, QueryKindWire, explain, kind_of,
};
use patchd_protocol::report::native::ReportDocument;

use crate::arguments::ExplainArguments;
use crate::client::Client;
use crate::command::{own_view, report};
use crate::exit::{Exit, Failure};
use crate::once;
use crate::output::{Output, tell};
use crate::view;

pub(crate) fn run(arguments: &ExplainArguments, socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let query = arguments.query.as_str();
    let (document, view) = if arguments.once.once {
        let root = once::root_of(&arguments.once)?;
        let report = once::report_of(&root, &arguments.judge)?;
        once::check_readable(&report.inventory)?;
        let report = ReportDocument::from(&report);
        (
            explain(&report, query, fixes(&root, &report, query)),
            once::view_of(&root, &arguments.judge, output),
        )
    } else {
        let report = report::latest(&Client::new(socket)?)?;
        (explain(&report, query, fixes(&Root::host(), &report, query)), own_view(output))
    };
    if output.is_json {
        output.document(&document)?;
    } else {
        output.lines(&view::explain::lines(&document, &view))?;
    }
    Ok(exit_of(&document))
}

fn exit_of(document: &ExplanationDocument) -> Exit {
    match document.outcome {
        OutcomeWire::Known => Exit::Done,
        OutcomeWire::NotFound => Exit::NotFound,
        OutcomeWire::CannotTell => Exit::CannotTell,
    }
}

/// What the changelogs of installed packages tell of a hole or an advisory.
fn fixes(root: &Root, report: &ReportDocument, query: &str) -> Vec<FixWire> {
    if kind_of(query) == QueryKindWire::Package {
        return Vec::new();
    }
    let mut names: Vec<_> =
        report.items.iter().filter_map(|item| PackageName::parse(&item.name).ok()).collect();
    names.dedup();
    let mentions = changelog::find(root, names, query);
    if mentions.is_cut {
        tell("not all changelogs were read to their end: they are larger than patchctl reads");
    }
    let fix = |(package, version): (PackageName, String)| {
        let installed = report.items.iter().find(|item| item.name == package.as_str())?;
        Some(FixWire { package: package.to_string(), installed: installed.installed.clone(), version })
    };
    mentions.versions.into_iter().filter_map(fix).collect()
}

/// Reads what is asked for: one word.
pub(crate) fn parse_query(text: &str) -> Result<String, String> {
    if text.is_empty() || MAX_QUERY < text.len() {
        return Err(format!("it has 1 to {MAX_QUERY} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it is one word: the name of a package, a CVE or an advisory".into());
    }
    Ok(text.to_owned())
}
