//! The main job, end to end: a host with old packages, its own apt-get, an open or shut window, and the report of it in a
//! real S3 server. What the report says is held against dpkg, before and after.

use anyhow::{Context, Result};
use patchd_tests::agent_host::{AgentHost, SHUT, always_open, latest_report, reports};
use patchd_tests::command::{self, Finished};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::ToyPackage;
use patchd_tests::s3::S3Server;
use serde_json::Value;

/// What is installed before: one package for each way in which an upgrade goes.
fn old() -> Vec<ToyPackage> {
    vec![
        ToyPackage::new("lab-plain", "1.0"),
        ToyPackage::new("lab-grows", "1.0"),
        ToyPackage::new("lab-held", "1.0"),
        ToyPackage::new("lab-config", "1.0").conffile("/etc/lab-config.conf", "value = 1\n"),
    ]
}

fn fixes() -> Vec<ToyPackage> {
    vec![
        ToyPackage::new("lab-plain", "1.1"),
        ToyPackage::new("lab-grows", "1.1").field("Depends: lab-library (>= 1.1)"),
        ToyPackage::new("lab-library", "1.1"),
        ToyPackage::new("lab-held", "1.1"),
        ToyPackage::new("lab-config", "1.1").conffile("/etc/lab-config.conf", "value = 2\n"),
    ]
}

/// A host on which the fixes wait, and the server for its reports.
fn waiting_host(windows: &str) -> Result<Option<(AgentHost, S3Server)>> {
    if !is_root_or_skipped() {
        return Ok(None);
    }
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(None) };
    let host = AgentHost::build(&old())?;
    host.root.run(["apt-mark", "hold", "lab-held"])?;
    host.root.write("/etc/lab-config.conf", "value = mine\n")?;
    host.configure(&server.url(), windows)?;
    host.publish_fixes(&fixes())?;
    Ok(Some((host, server)))
}

fn apply(host: &AgentHost) -> Result<Finished> {
    command::finish(&mut host.command(&["patchd", "once", "apply"]))
}

fn verdict(report: &Value) -> &str {
    report.pointer("/run/verdict").and_then(Value::as_str).unwrap_or("none")
}

/// Every change of every transaction as `name before after done`.
fn changes(report: &Value) -> Vec<String> {
    let transactions = report.pointer("/run/transactions").and_then(Value::as_array);
    let changes =
        transactions.into_iter().flatten().filter_map(|transaction| transaction.get("changes")?.as_array());
    let text = |change: &Value, key: &str| change.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut lines: Vec<_> = changes
        .flatten()
        .map(|change| {
            let is_done = change.get("done").and_then(Value::as_bool).unwrap_or_default();
            let [name, before, after] = ["name", "before", "after"].map(|key| text(change, key));
            format!("{name} {before} {after} {is_done}")
        })
        .collect();
    lines.sort();
    lines
}

fn reason(report: &Value, name: &str) -> Option<String> {
    let updates = report.get("updates")?.as_array()?;
    let update = updates.iter().find(|update| update.get("name").and_then(Value::as_str) == Some(name))?;
    Some(update.get("reason")?.as_str()?.to_owned())
}

/// How often dpkg has been started to change something.
fn dpkg_lines(host: &AgentHost) -> Result<usize> {
    Ok(host.root.read("/var/log/dpkg.log")?.lines().count())
}

#[test]
fn in_an_open_window_the_host_becomes_compliant_once_and_the_proof_lies_in_s3() -> Result<()> {
    let Some((host, server)) = waiting_host(always_open())? else { return Ok(()) };
    let finished = apply(&host)?.success()?;
    let report = latest_report(&server).with_context(|| format!("{finished:?}"))?;
    assert_eq!(report.get("operation").and_then(Value::as_str), Some("apply"));
    assert_eq!(verdict(&report), "succeeded", "{report:#}");
    assert_eq!(
        changes(&report),
        [
            "lab-config 1.0 1.1 true",
            "lab-grows 1.0 1.1 true",
            "lab-library - 1.1 true",
            "lab-plain 1.0 1.1 true"
        ]
    );
    for name in ["lab-plain", "lab-grows", "lab-library", "lab-config"] {
        assert_eq!(host.root.dpkg(name)?, "1.1|install ok installed", "{name}");
    }
    assert_eq!(host.root.dpkg("lab-held")?, "1.0|hold ok installed");
    assert_eq!(reason(&report, "lab-held").as_deref(), Some("held"));
    assert_eq!(reason(&report, "lab-plain"), None);
    // The operator's word stays, the vendor's lies beside it.
    assert_eq!(host.root.read("/etc/lab-config.conf")?, "value = mine\n");
    assert_eq!(host.root.read("/etc/lab-config.conf.dpkg-dist")?, "value = 2\n");
    // What came as a dependency goes as one.
    let marks = ["apt-mark", "showauto", "lab-library", "lab-plain", "lab-grows", "lab-config"];
    assert_eq!(host.root.run(marks)?.stdout, "lab-library\n");

    let lines = dpkg_lines(&host)?;
    apply(&host)?.success()?;
    assert_eq!(dpkg_lines(&host)?, lines, "the second apply did something");
    let second = latest_report(&server)?;
    assert_ne!(second.get("id"), report.get("id"));
    assert_eq!(changes(&second), Vec::<String>::new());
    Ok(())
}

#[test]
fn outside_its_window_a_host_is_told_of_and_left_alone() -> Result<()> {
    for (windows, expected) in [(SHUT, "outside_window"), ("", "no_window")] {
        let Some((host, server)) = waiting_host(windows)? else { return Ok(()) };
        let lines = dpkg_lines(&host)?;
        let finished = apply(&host)?;
        assert_ne!(finished.code(), Some(0), "{finished:?}");
        assert_eq!(dpkg_lines(&host)?, lines);
        assert_eq!(host.root.dpkg("lab-plain")?, "1.0|install ok installed");
        let report = latest_report(&server).with_context(|| format!("{finished:?}"))?;
        assert_eq!(verdict(&report), "refused", "{report:#}");
        assert_eq!(reason(&report, "lab-plain").as_deref(), Some(expected));
        assert_eq!(changes(&report), Vec::<String>::new());
    }
    Ok(())
}

#[test]
fn one_package_that_fails_is_named_and_the_others_are_done() -> Result<()> {
    let Some((host, server)) = waiting_host(always_open())? else { return Ok(()) };
    let mut broken = fixes();
    broken.retain(|package| package.name() != "lab-grows");
    broken.push(ToyPackage::new("lab-grows", "1.1").script("postinst", "exit 1"));
    host.publish_fixes(&broken)?;
    let finished = apply(&host)?;
    assert_ne!(finished.code(), Some(0), "{finished:?}");
    assert_eq!(host.root.dpkg("lab-plain")?, "1.1|install ok installed");
    assert_eq!(host.root.dpkg("lab-grows")?, "1.1|install ok half-configured");
    let report = latest_report(&server).with_context(|| format!("{finished:?}"))?;
    assert_eq!(verdict(&report), "partial", "{report:#}");
    assert_eq!(
        changes(&report),
        ["lab-config 1.0 1.1 true", "lab-grows 1.0 1.1 false", "lab-plain 1.0 1.1 true"]
    );
    Ok(())
}

#[test]
fn a_scan_reaches_s3_and_changes_nothing() -> Result<()> {
    let Some((host, server)) = waiting_host(always_open())? else { return Ok(()) };
    let lines = dpkg_lines(&host)?;
    command::finish(&mut host.command(&["patchd", "once", "scan"]))?.success()?;
    assert_eq!(dpkg_lines(&host)?, lines);
    let reports = reports(&server)?;
    let [report] = reports.as_slice() else { anyhow::bail!("{} reports", reports.len()) };
    assert_eq!(report.get("operation").and_then(Value::as_str), Some("scan"));
    assert_eq!(report.pointer("/summary/compliance").and_then(Value::as_str), Some("non_compliant"));
    assert_eq!(reason(report, "lab-plain").as_deref(), Some("ready"));
    Ok(())
}
