//! `patchctl --once --root` beside the root's own apt and dpkg: the same packages, the same candidates, the same
//! reasons, and not a file touched.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::binaries::{self, Binaries};
use patchd_tests::command::{self, Finished};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::{oracle, place};
use serde_json::Value;

/// A root with one package for each way in which an upgrade can go.
struct Zoo {
    root: AptRoot,
    repository: LocalRepository,
    patchctl: std::path::PathBuf,
}

impl Zoo {
    fn build() -> Result<Self> {
        let root = AptRoot::fresh()?;
        let repository = LocalRepository::create(&root)?;
        let names =
            ["lab-plain", "lab-security", "lab-held", "lab-pinned", "lab-grows", "lab-stuck", "lab-same"];
        let mut old: Vec<_> = names.iter().map(|name| ToyPackage::new(name, "1.0")).collect();
        old.push(ToyPackage::new("lab-everywhere", "1:0.9~rc1").architecture_independent());
        repository.publish(Suite::Release, &old)?;
        root.run(["apt-get", "update"])?;
        root.run(["apt-get", "install", "-y", "lab-everywhere"].iter().chain(&names))?;
        root.run(["apt-mark", "hold", "lab-held"])?;
        root.write(
            "/etc/apt/preferences.d/lab",
            "Package: lab-pinned\nPin: version 1.0\nPin-Priority: 990\n",
        )?;
        old.extend([
            ToyPackage::new("lab-plain", "1.1"),
            ToyPackage::new("lab-everywhere", "1:0.9").architecture_independent(),
        ]);
        repository.publish(Suite::Release, &old)?;
        let fixes = [
            ToyPackage::new("lab-security", "1.0+deb1"),
            ToyPackage::new("lab-held", "1.1"),
            ToyPackage::new("lab-stuck", "1.1").field("Depends: lab-nowhere"),
            ToyPackage::new("lab-pinned", "1.1"),
            ToyPackage::new("lab-grows", "1.1").field("Depends: lab-library (>= 1.1)"),
            ToyPackage::new("lab-library", "1.1"),
        ];
        repository.publish(Suite::Security, &fixes)?;
        root.run(["apt-get", "update"])?;
        let patchctl = binaries::patchctl()?;
        Ok(Self { root, repository, patchctl })
    }

    fn patchctl(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = command::command(&self.patchctl);
        command.args(arguments).arg("--once").arg("--root").arg(self.root.path());
        command::finish(&mut command)
    }

    fn updates(&self) -> Result<Value> {
        self.patchctl(&["updates", "--json"])?.success()?.json()
    }

    fn scan(&self) -> Result<Value> {
        let reports = place::scratch("reports")?;
        let store = format!("file://{}", reports.path().display());
        self.patchctl(&["scan", "--json", "--store", &store])?.success()?.json()
    }
}

fn list<'a>(document: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    document.get(key).and_then(Value::as_array).with_context(|| format!("no list {key} in {document}"))
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn the_updates_are_those_of_the_roots_own_apt() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let zoo = Zoo::build()?;
    let document = zoo.updates()?;
    assert_eq!(text(&document, "schema"), "patchd.updates/1");
    let (mut listed, mut ready, mut security, mut reasons) =
        (BTreeMap::new(), BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
    for update in list(&document, "updates")? {
        let (name, versions) = (text(update, "name"), (text(update, "installed"), text(update, "candidate")));
        if update.get("security") == Some(&Value::Bool(true)) {
            security.insert(name.clone());
        }
        let reason = text(update, "reason");
        reasons.insert(name.clone(), reason.clone());
        if reason == "pinned" {
            // Listed because the baseline asks for it; to apt, which obeys the preferences, it is no upgrade.
            continue;
        }
        if !matches!(reason.as_str(), "held" | "phased" | "dependency" | "removal_required") {
            ready.insert(name.clone(), versions.clone());
        }
        listed.insert(name, versions);
    }
    assert_eq!(listed, oracle::upgradable(&zoo.root)?);

    let simulated = oracle::dist_upgrade(&zoo.root)?;
    let (mut expected, mut expected_security, mut expected_new) =
        (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for (name, package) in simulated {
        if package.releases.contains("Debian-Security:") && package.old.is_some() {
            expected_security.insert(name.clone());
        }
        match package.old {
            Some(old) => drop(expected.insert(name, (old, package.new))),
            None => drop(expected_new.insert(name)),
        }
    }
    assert_eq!(ready, expected);
    let new: BTreeSet<_> = list(&document, "new_packages")?.iter().map(|new| text(new, "name")).collect();
    assert_eq!(new, expected_new);
    // Not simulated, and security updates all the same.
    expected_security.extend(["lab-held", "lab-pinned", "lab-stuck"].map(str::to_owned));
    assert_eq!(security, expected_security);
    for (name, reason) in [("lab-held", "held"), ("lab-stuck", "dependency"), ("lab-pinned", "pinned")] {
        assert_eq!(reasons.get(name).map(String::as_str), Some(reason), "{name}");
    }
    Ok(())
}

#[test]
fn the_inventory_is_that_of_the_roots_own_dpkg() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let zoo = Zoo::build()?;
    // Every state that dpkg leaves behind by itself: half-configured, config-files, and a trigger's.
    let broken = ToyPackage::new("lab-broken", "1.0").script("postinst", "exit 1");
    let removed = ToyPackage::new("lab-removed", "1.0").conffile("/etc/lab-removed.conf", "left = 1\n");
    zoo.repository.publish(Suite::Security, &[broken, removed])?;
    zoo.root.run(["apt-get", "update"])?;
    zoo.root.run(["apt-get", "install", "-y", "lab-removed"])?;
    zoo.root.run(["apt-get", "remove", "-y", "lab-removed"])?;
    command::finish(&mut zoo.root.command(["apt-get", "install", "-y", "lab-broken"]))?.expect_code(100)?;

    let document = zoo.patchctl(&["inventory", "--json"])?.success()?.json()?;
    assert_eq!(text(&document, "schema"), "patchd.inventory/1");
    let mut ours = BTreeMap::new();
    let mut held = BTreeSet::new();
    for package in list(&document, "packages")? {
        let key = format!("{} {}", text(package, "name"), text(package, "architecture"));
        ours.insert(key, format!("{} {}", text(package, "version"), text(package, "status")));
        if package.get("held") == Some(&Value::Bool(true)) {
            held.insert(text(package, "name"));
        }
    }
    assert_eq!(ours, oracle::installed(&zoo.root)?);
    assert_eq!(held, ["lab-held".to_owned()].into());
    assert_eq!(ours.values().filter(|state| state.ends_with(" half-configured")).count(), 1);
    let problems: Vec<_> =
        list(&document, "problems")?.iter().map(|problem| text(problem, "message")).collect();
    assert!(matches!(problems.as_slice(), [one] if one.contains("lab-broken")), "{problems:?}");
    Ok(())
}

#[test]
fn a_scan_of_another_root_touches_nothing_in_it() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let zoo = Zoo::build()?;
    zoo.root.write("/srv/stamp", "")?;
    let report = zoo.scan()?;
    assert_eq!(text(&report, "schema"), "patchd.report/1");
    assert_eq!(text(&report, "assessment"), "complete", "{report:#}");
    let stamp = zoo.root.at("/srv/stamp");
    let mut find = command::command("find");
    find.arg(zoo.root.path()).args(["-xdev", "-cnewer"]).arg(stamp);
    assert_eq!(command::finish(&mut find)?.success()?.stdout, "");
    Ok(())
}

#[test]
fn lists_that_are_expired_or_gone_make_the_assessment_incomplete() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let zoo = Zoo::build()?;
    let past = [("Date", "Sat, 01 Jan 2022 00:00:00 UTC"), ("Valid-Until", "Sat, 08 Jan 2022 00:00:00 UTC")];
    zoo.repository.publish_with(Suite::Security, &[ToyPackage::new("lab-security", "1.0+deb1")], &past)?;
    // apt keeps the newer of two Release files, so the newer one goes first.
    let refresh = "rm -f /var/lib/apt/lists/*_*; exec apt-get update -o Acquire::Check-Valid-Until=false";
    zoo.root.run(["sh", "-c", refresh])?;
    let report = zoo.scan()?;
    assert_eq!(text(&report, "assessment"), "incomplete");
    let reasons = list(&report, "assessment_reasons")?;
    assert!(reasons.iter().any(|reason| text(reason, "place").contains("lab-security")), "{reasons:?}");
    assert_ne!(report.pointer("/summary/compliance").and_then(Value::as_str), Some("compliant"));

    zoo.root.run(["sh", "-c", "rm -f /var/lib/apt/lists/*_*"])?;
    let report = zoo.scan()?;
    assert_eq!(text(&report, "assessment"), "incomplete");
    assert_ne!(list(&report, "assessment_reasons")?.len(), 0);
    assert_ne!(report.pointer("/summary/compliance").and_then(Value::as_str), Some("compliant"));
    Ok(())
}

#[test]
fn anybody_can_scan_and_finds_the_report_in_the_folder() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let zoo = Zoo::build()?;
    zoo.root.install_binaries(&Binaries::find()?)?;
    zoo.root.run(["install", "-d", "-o", "65534", "/srv/somebody"])?;
    let scan =
        "cd /srv/somebody && exec setpriv --reuid=65534 --regid=65534 --clear-groups patchctl scan --once";
    let scan = zoo.root.run(["sh", "-c", scan])?;
    for word in ["lab-security", "1.0+deb1"] {
        assert!(scan.stdout.contains(word), "no {word} in:\n{}", scan.stdout);
    }
    let reports = zoo.root.run([
        "find",
        "/srv/somebody/patchd-reports/v1/reports",
        "-type",
        "f",
        "-name",
        "*.json.gz",
    ])?;
    assert_eq!(reports.stdout.lines().count(), 1, "{}", reports.stdout);
    Ok(())
}
