//! What a baseline rejects, by both of its actions and with real apt: what comes along, what stays, and what is said of it.

use anyhow::{Context, Result};
use patchd_protocol::report::native::ReportDocument;
use patchd_protocol::words::{PatchStateWire, ReasonWire};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{Suite, ToyPackage};
use patchd_tests::story;
use patchd_tests::supervised::Supervised;
use serde_json::json;

/// A baseline that takes every security update and rejects these.
fn baseline(rejected: &[&str], action: &str) -> String {
    json!({
        "BaselineId": "pb-0123456789abcdef0",
        "Name": "Lab",
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": { "PatchRules": [{
            "PatchFilterGroup": { "PatchFilters": [{ "Key": "PRODUCT", "Values": ["*"] }] },
            "ComplianceLevel": "HIGH",
            "ApproveAfterDays": 0,
            "EnableNonSecurity": false,
        }] },
        "RejectedPatches": rejected,
        "RejectedPatchesAction": action,
    })
    .to_string()
}

/// `lab-app` needs the new `lab-library`, and `lab-grows` a package that the host has not; `lab-plain` needs nothing.
fn old() -> [ToyPackage; 4] {
    ["lab-app", "lab-grows", "lab-library", "lab-plain"].map(|name| ToyPackage::new(name, "1.0"))
}

fn fixes() -> [ToyPackage; 5] {
    [
        ToyPackage::new("lab-app", "1.1").field("Depends: lab-library (>= 1.1)"),
        ToyPackage::new("lab-grows", "1.1").field("Depends: lab-new"),
        ToyPackage::new("lab-library", "1.1"),
        ToyPackage::new("lab-new", "1.1"),
        ToyPackage::new("lab-plain", "1.1"),
    ]
}

fn state(report: &ReportDocument, name: &str) -> Result<PatchStateWire> {
    let item = report.items.iter().find(|item| item.name == name);
    Ok(item.with_context(|| format!("{name} is not in the report"))?.state)
}

/// What is behind an update that waits: the name and the reason of the last link.
fn behind(report: &ReportDocument, name: &str) -> Result<(String, ReasonWire)> {
    let update = report.updates.iter().find(|update| update.name == name);
    let update = update.with_context(|| format!("{name} does not wait"))?;
    let last = update.chain.last().with_context(|| format!("{name} waits for nobody: {}", update.detail))?;
    Ok((last.package.split(':').next().unwrap_or_default().to_owned(), last.reason.clone()))
}

#[test]
fn what_is_blocked_and_what_needs_it_stays_and_everything_else_goes() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&old(), "")?;
    host.root.write("/etc/patchd/baseline.json", baseline(&["lab-library", "lab-n?w"], "BLOCK"))?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.repository.publish(Suite::Security, &fixes())?;

    let id = story::ask(&mut at_work, &json!({ "operation": "scan" }))?;
    let scanned = story::wait_for(&mut at_work, &id)?.report;
    assert_eq!(state(&scanned, "lab-app")?, PatchStateWire::Missing);
    assert_eq!(state(&scanned, "lab-library")?, PatchStateWire::InstalledRejected);
    assert_eq!(behind(&scanned, "lab-app")?, ("lab-library".to_owned(), ReasonWire::Rejected));
    assert_eq!(behind(&scanned, "lab-grows")?, ("lab-new".to_owned(), ReasonWire::Rejected));

    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-plain 1.0 1.1"]);
    for name in ["lab-app", "lab-grows"] {
        assert_eq!(state(&told.report, name)?, PatchStateWire::Failed, "{name}");
        assert_eq!(host.root.dpkg(name)?, "1.0|install ok installed");
    }
    assert_eq!(told.report.summary.counts.failed_count, 2);
    assert_eq!(told.report.summary.counts.installed_rejected_count, 1);
    assert_eq!(host.root.dpkg("lab-library")?, "1.0|install ok installed");
    assert!(!told.report.items.iter().any(|item| item.name == "lab-new"));
    Ok(())
}

#[test]
fn what_is_rejected_comes_along_where_that_is_allowed_and_never_by_itself() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&old(), "")?;
    let rejected = ["lab-library", "lab-new", "lab-plain"];
    host.root.write("/etc/patchd/baseline.json", baseline(&rejected, "ALLOW_AS_DEPENDENCY"))?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    host.repository.publish(Suite::Security, &fixes())?;
    let told = story::apply(&mut at_work)?;
    let mut done = told.done()?;
    done.sort();
    let names: Vec<&str> = done.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["lab-app", "lab-grows", "lab-library", "lab-new"], "{done:?}");
    assert_eq!(host.root.dpkg("lab-plain")?, "1.0|install ok installed");
    assert_eq!(state(&told.report, "lab-plain")?, PatchStateWire::InstalledOther);
    assert_eq!(told.report.summary.counts.installed_rejected_count, 0);
    let reason = told.reason("lab-plain").context("lab-plain waits and has no reason")?;
    assert!(reason.starts_with("rejected: "), "{reason}");
    Ok(())
}
