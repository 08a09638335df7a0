//! A host's own baseline: from a file and from S3, in time and not, good and broken.

use anyhow::{Context, Result};
use jiff::Timestamp;
use patchd_protocol::control::RunOutcome;
use patchd_protocol::report::native::{AssessmentWire, ReportDocument};
use patchd_tests::agent_host::AgentHost;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{Suite, ToyPackage};
use patchd_tests::s3::{BUCKET, HOST, S3Server};
use patchd_tests::story::{self, Told};
use patchd_tests::supervised::Supervised;
use serde_json::json;

const KEY: &str = "policy/baseline.json";

/// What `aws ssm get-patch-baseline` prints for a baseline that takes every security update but these.
fn baseline(rejected: &[&str]) -> String {
    json!({
        "BaselineId": "pb-0123456789abcdef0",
        "Name": "Lab",
        "OperatingSystem": "DEBIAN",
        "GlobalFilters": { "PatchFilters": [] },
        "ApprovalRules": { "PatchRules": [{
            "PatchFilterGroup": { "PatchFilters": [{ "Key": "PRODUCT", "Values": ["*"] }] },
            "ComplianceLevel": "HIGH",
            "ApproveAfterDays": 7,
            "EnableNonSecurity": false,
        }] },
        "ApprovedPatches": [],
        "ApprovedPatchesComplianceLevel": "UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity": false,
        "RejectedPatches": rejected,
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
        "PatchGroups": [],
        "CreatedDate": 1_550_244_180.465,
        "ModifiedDate": 1_550_244_180.465,
        "Sources": [],
    })
    .to_string()
}

fn toys(version: &str) -> [ToyPackage; 2] {
    ["lab-one", "lab-two"].map(|name| ToyPackage::new(name, version))
}

fn fixed(host: &AgentHost) -> Result<()> {
    host.repository.publish(Suite::Security, &toys("1.1"))
}

fn problems(report: &ReportDocument) -> Vec<String> {
    report.problems.iter().map(|problem| format!("{} {}", problem.place, problem.message)).collect()
}

/// Scans, and gives the report.
fn scan(host: &mut Supervised<'_>) -> Result<Told> {
    let id = story::ask(host, &json!({ "operation": "scan" }))?;
    story::wait_for(host, &id)
}

#[test]
fn a_baseline_in_s3_is_followed_and_its_last_copy_stands_in_for_it() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(mut server) = S3Server::start_or_skipped()? else { return Ok(()) };
    server.put(BUCKET, KEY, &baseline(&["lab-two"]))?;
    let source = format!("s3://{BUCKET}/{KEY}");
    let more = format!(
        "[store]\nendpoint = \"{}\"\npath_style = true\nregion = \"us-east-1\"\n[baseline]\nsource = \"{source}\"\n",
        server.url()
    );
    let host = story::host(&toys("1.0"), &more)?;
    let mut at_work = Supervised::start(&host.root)?;
    let (key, secret) = (HOST.access_key, HOST.secret_key);
    at_work.wrap_patchd(&[
        "/usr/bin/env",
        &format!("AWS_ACCESS_KEY_ID={key}"),
        &format!("AWS_SECRET_ACCESS_KEY={secret}"),
        "AWS_EC2_METADATA_DISABLED=true",
    ]);
    story::settle(&mut at_work)?;
    fixed(&host)?;

    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-one 1.0 1.1"], "{:?}", problems(&told.report));
    let used = &told.report.baseline;
    assert_eq!((used.id.as_str(), used.source.as_deref()), ("pb-0123456789abcdef0", Some(source.as_str())));
    let digest = used.digest.clone().context("the report has no digest of the baseline")?;
    let fetched_at = used.fetched_at.context("the report does not say when the baseline was fetched")?;

    // What is broken is told with its place, approves nothing, and does not hide the last good copy.
    server.put(BUCKET, KEY, &baseline(&[]).replace("PRODUCT", "PRODUKT"))?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    assert_eq!(told.report.assessment, AssessmentWire::Incomplete);
    let said = problems(&told.report);
    assert!(
        said.iter().any(|problem| problem.starts_with(&source) && problem.contains("PRODUCT")),
        "{said:?}"
    );

    server.kill()?;
    let report = scan(&mut at_work)?.report;
    assert_eq!(report.assessment, AssessmentWire::Complete, "{:?}", problems(&report));
    assert_eq!(report.baseline.digest.as_deref(), Some(digest.as_str()));
    let copied_at = report.baseline.fetched_at.context("the copy has no time")?;
    assert!(
        copied_at.duration_since(fetched_at).as_secs().abs() < 60,
        "{copied_at} is not about {fetched_at}"
    );
    let said = problems(&report);
    assert!(said.iter().any(|problem| problem.contains("is judged by the copy of")), "{said:?}");
    Ok(())
}

#[test]
fn a_baseline_that_is_not_there_or_not_for_this_host_is_no_other_baseline() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&toys("1.0"), "[baseline]\nsource = \"/etc/patchd/own.json\"\n")?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    fixed(&host)?;
    let refused = |at_work: &mut Supervised<'_>, says: &str| -> Result<()> {
        let told = story::apply(at_work)?;
        let said = problems(&told.report);
        assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
        assert_eq!(told.report.assessment, AssessmentWire::Incomplete);
        assert_eq!(told.report.baseline.id, "unusable");
        assert!(said.iter().any(|problem| problem.contains(says)), "no {says:?} in {said:?}");
        Ok(())
    };
    refused(&mut at_work, "there is no such file")?;
    host.root.write("/etc/patchd/own.json", baseline(&[]).replace("DEBIAN", "UBUNTU"))?;
    refused(&mut at_work, "no baseline for DEBIAN")?;
    host.root.write("/etc/patchd/own.json", baseline(&["lab-one"]))?;
    assert_eq!(story::apply(&mut at_work)?.done()?, ["lab-two 1.0 1.1"]);
    Ok(())
}

#[test]
fn a_patch_group_has_its_own_baseline_and_the_default_file_counts_for_the_others() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let group = "[[patch_group]]\nname = \"web\"\nbaseline = \"/etc/patchd/web.json\"\n";
    let host = story::host(&toys("1.0"), &format!("[agent]\npatch_group = \"web\"\n{group}"))?;
    host.root.write("/etc/patchd/web.json", baseline(&["lab-one"]))?;
    host.root.write("/etc/patchd/baseline.json", baseline(&["lab-two"]))?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    fixed(&host)?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-two 1.0 1.1"]);
    assert_eq!(told.report.baseline.patch_group.as_deref(), Some("web"));
    assert_eq!(told.report.baseline.source.as_deref(), Some("/etc/patchd/web.json"));
    at_work.stop_patchd()?;
    let config = host.root.read("/etc/patchd/patchd.toml")?.replace("\"web\"", "\"other\"");
    host.root.write("/etc/patchd/patchd.toml", config.replacen("name = \"other\"", "name = \"web\"", 1))?;
    at_work.start_patchd()?;
    let told = scan(&mut at_work)?;
    assert_eq!(told.report.baseline.source.as_deref(), Some("/etc/patchd/baseline.json"));
    Ok(())
}

/// SSM's own YAML: one run's list in place of what the baseline approves.
#[test]
fn a_list_of_overrides_is_installed_and_nothing_else_is() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&toys("1.0"), "[baseline]\ninstall_override_list = \"/etc/patchd/list.yaml\"\n")?;
    host.root.write("/etc/patchd/baseline.json", baseline(&["lab-one"]))?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    fixed(&host)?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.summary.verdict, Some(RunOutcome::Refused), "{:?}", told.summary);
    let said = problems(&told.report);
    assert!(said.iter().any(|problem| problem.contains("list.yaml")), "{said:?}");

    host.root
        .write("/etc/patchd/list.yaml", "patches:\n  - id: 'lab-one.*'\n    title: 'lab-one.*:1.1'\n")?;
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, ["lab-one 1.0 1.1"], "{:?}", problems(&told.report));
    assert_eq!(told.report.baseline.install_override_list.as_deref(), Some("/etc/patchd/list.yaml"));
    let reason = told.reason("lab-two").context("lab-two waits and has no reason")?;
    assert!(reason.starts_with("not_listed: "), "{reason}");
    // A scan knows nothing of lists.
    let told = scan(&mut at_work)?;
    assert_eq!(told.report.baseline.install_override_list, None);
    assert!(!told.reason("lab-two").context("lab-two")?.starts_with("not_listed"));
    Ok(())
}

/// The extension: apt's archives have no date of release, so that a delay counts from the first sight of a version, which
/// a restart does not change.
#[test]
fn a_delay_on_apt_counts_from_the_day_on_which_the_host_saw_the_version() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = story::host(&toys("1.0"), "")?;
    let delayed = "name = \"delayed\"\noperating_system = \"DEBIAN\"\ndelays_by_first_seen = true\n\
                   [[rule]]\napprove_after_days = 7\n";
    host.root.write("/etc/patchd/baseline.toml", delayed)?;
    let mut at_work = Supervised::start(&host.root)?;
    story::settle(&mut at_work)?;
    fixed(&host)?;
    let approved_at = |told: &Told| -> Result<Timestamp> {
        let update = told.report.updates.iter().find(|update| update.name == "lab-one");
        let update = update.context("lab-one is no update")?;
        assert_eq!(update.reason.as_str(), "not_approved", "{}", update.detail);
        update.changes_at.context("the delay has no end")
    };
    let told = story::apply(&mut at_work)?;
    assert_eq!(told.done()?, [""; 0]);
    let first = approved_at(&told)?;
    let days = first.duration_since(told.report.started_at).as_hours() / 24;
    assert!((6..=7).contains(&days), "{first} is no week after {}", told.report.started_at);
    at_work.stop_patchd()?;
    at_work.start_patchd()?;
    assert_eq!(approved_at(&scan(&mut at_work)?)?, first);

    host.root.write("/etc/patchd/baseline.toml", delayed.replace("days = 7", "days = 0"))?;
    assert_eq!(story::apply(&mut at_work)?.done()?, ["lab-one 1.0 1.1", "lab-two 1.0 1.1"]);
    Ok(())
}
