//! What the programs print about this very machine is what the published schemas promise.

use anyhow::{Context, Result};
use patchd_tests::{binaries, command, place};
use serde_json::Value;

fn check_printed(schema: &str, arguments: &[&str]) -> Result<()> {
    let path = place::workspace().join("docs/schema").join(schema);
    let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let schema: Value = serde_json::from_slice(&text)?;
    let validator = jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(&schema)
        .context("the schema")?;
    let mut printing = command::command(binaries::patchctl()?);
    printing.args(arguments).args(["--once", "--json"]);
    let document = command::finish(&mut printing)?.success()?.json()?;
    let errors: Vec<_> = validator
        .iter_errors(&document)
        .take(10)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    Ok(())
}

#[test]
fn what_is_printed_about_this_machine_is_as_published() -> Result<()> {
    let reports = place::scratch("reports")?;
    let store = format!("file://{}", reports.path().display());
    check_printed("patchd.report.v1.schema.json", &["scan", "--store", &store])?;
    check_printed("patchd.inventory.v1.schema.json", &["inventory"])?;
    check_printed("patchd.updates.v1.schema.json", &["updates"])
}
