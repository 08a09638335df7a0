//! Every form that a baseline comes in.

use patchd_core::baseline::filter::{Filter, FilterKey};
use patchd_core::baseline::{ComplianceLevel, Delay, RejectedAction, Rule};

use super::*;

const GET: &str = r#"{
    "BaselineId": "pb-0123456789abcdef0",
    "Name": "web-servers",
    "OperatingSystem": "AMAZON_LINUX_2023",
    "GlobalFilters": {"PatchFilters": [{"Key": "PRODUCT", "Values": ["AmazonLinux2023"]}]},
    "ApprovalRules": {
        "PatchRules": [
            {
                "PatchFilterGroup": {
                    "PatchFilters": [
                        {"Key": "CLASSIFICATION", "Values": ["Security"]},
                        {"Key": "SEVERITY", "Values": ["Critical", "Important"]}
                    ]
                },
                "ComplianceLevel": "CRITICAL",
                "ApproveAfterDays": 3,
                "EnableNonSecurity": false
            },
            {
                "PatchFilterGroup": {"PatchFilters": []},
                "ComplianceLevel": "LOW",
                "ApproveUntilDate": "2026-11-30",
                "EnableNonSecurity": true
            }
        ]
    },
    "ApprovedPatches": ["CVE-2026-1234", "kernel*"],
    "ApprovedPatchesComplianceLevel": "HIGH",
    "ApprovedPatchesEnableNonSecurity": true,
    "RejectedPatches": ["docker"],
    "RejectedPatchesAction": "BLOCK",
    "PatchGroups": ["QA", "DEV"],
    "CreatedDate": 1550244180.465,
    "ModifiedDate": "2019-02-15T15:23:00.465000+00:00",
    "Description": "Web servers",
    "Sources": []
}"#;

fn filter(key: FilterKey, values: &[&str]) -> Filter {
    Filter { key, values: values.iter().map(|&value| value.to_owned()).collect() }
}

#[track_caller]
fn check_web_servers(baseline: &Baseline) {
    assert_eq!((baseline.id.as_str(), baseline.name.as_str()), ("pb-0123456789abcdef0", "web-servers"));
    assert_eq!(baseline.system, OperatingSystem::AmazonLinux2023);
    assert_eq!(baseline.global_filters, [filter(FilterKey::Product, &["AmazonLinux2023"])]);
    let security = Rule {
        filters: vec![
            filter(FilterKey::Classification, &["Security"]),
            filter(FilterKey::Severity, &["Critical", "Important"]),
        ],
        level: ComplianceLevel::Critical,
        delay: Delay::AfterDays(3),
        includes_non_security: false,
    };
    let everything = Rule {
        filters: Vec::new(),
        level: ComplianceLevel::Low,
        delay: Delay::UntilDate(jiff::civil::date(2026, 11, 30)),
        includes_non_security: true,
    };
    assert_eq!(baseline.rules, [security, everything]);
    let entries: Vec<_> = baseline.approved.patterns.iter().map(|pattern| pattern.as_str()).collect();
    assert_eq!(entries, ["CVE-2026-1234", "kernel*"]);
    assert_eq!(baseline.approved.level, ComplianceLevel::High);
    assert!(baseline.approved.includes_non_security);
    let entries: Vec<_> = baseline.rejected.patterns.iter().map(|pattern| pattern.as_str()).collect();
    assert_eq!(entries, ["docker"]);
    assert_eq!(baseline.rejected.action, RejectedAction::Block);
    assert!(!baseline.delays_by_first_seen);
}

#[test]
fn what_get_patch_baseline_prints_is_read_as_it_is() {
    let file = read_ok("baseline.json", GET);
    check_web_servers(&file.baseline);
    assert_eq!(file.patch_groups, ["QA", "DEV"]);
    assert_eq!(file.description.as_deref(), Some("Web servers"));
    assert_eq!(file.created_at, Some("2019-02-15T15:23:00.465Z".parse().unwrap()));
    assert_eq!(file.modified_at, file.created_at);
    assert_eq!(file.notes, []);
}

/// The same in a snapshot, whose numbers may be texts and whose absent values are nulls.
const SNAPSHOT: &str = r#"{"accountId": "1", "baselineId": "pb-0123456789abcdef0", "name": "web-servers",
    "operatingSystem": "AMAZON_LINUX_2023",
    "globalFilters": {"filters": [{"key": "PRODUCT", "values": ["AmazonLinux2023"]}]},
    "approvalRules": {"rules": [
        {"filterGroup": {"filters": [
            {"key": "CLASSIFICATION", "values": ["Security"]},
            {"key": "SEVERITY", "values": ["Critical", "Important"]}]},
         "complianceLevel": "CRITICAL", "approveAfterDays": "3", "approveUntilDate": null, "enableNonSecurity": false},
        {"filterGroup": {"filters": []},
         "complianceLevel": "LOW", "approveAfterDays": null, "approveUntilDate": "2026-11-30", "enableNonSecurity": true}]},
    "approvedPatches": ["CVE-2026-1234", "kernel*"], "approvedPatchesComplianceLevel": "HIGH",
    "approvedPatchesEnableNonSecurity": true, "rejectedPatches": ["docker"], "rejectedPatchesAction": "BLOCK",
    "createdTime": 1550244180.465, "modifiedTime": 1550244180.465, "description": "Web servers", "sources": []}"#;

#[test]
fn a_snapshot_is_read_with_its_wrapping_and_without() {
    let bare = read_ok("snapshot", SNAPSHOT);
    check_web_servers(&bare.baseline);
    assert_eq!(bare.modified_at, Some("2019-02-15T15:23:00.465Z".parse().unwrap()));
    let wrapped = format!(
        "{{\"patchBaseline\": {SNAPSHOT}, \"patchGroup\": null, \"patches\": [], \
         \"enableApplicationPatches\": false, \"requiredFeatures\": []}}"
    );
    assert_eq!(read_ok("snapshot", &wrapped), bare);
}

const OWN: &str = r#"
id = "pb-0123456789abcdef0"
name = "web-servers"
operating_system = "amazon_linux_2023"
approved = ["CVE-2026-1234", "kernel*"]
approved_level = "high"
approved_non_security = true
rejected = ["docker"]
rejected_action = "block"

[[global_filter]]
key = "product"
values = ["AmazonLinux2023"]

[[rule]]
classification = ["Security"]
severity = ["Critical", "Important"]
level = "critical"
approve_after_days = 3

[[rule]]
level = "low"
approve_until_date = 2026-11-30
non_security = true
"#;

#[test]
fn our_own_form_says_the_same() {
    check_web_servers(&read_ok("baseline.toml", OWN).baseline);
    let in_full = OWN.replace(
        "classification = [\"Security\"]\nseverity = [\"Critical\", \"Important\"]",
        "filter = [{ key = \"CLASSIFICATION\", values = [\"Security\"] }, \
         { key = \"SEVERITY\", values = [\"Critical\", \"Important\"] }]",
    );
    check_web_servers(&read_ok("no extension", &in_full).baseline);
}

#[test]
fn what_create_patch_baseline_takes_has_its_name_for_an_id() {
    let create = r#"{"Name": "new-one", "OperatingSystem": "DEBIAN", "ClientToken": "x", "Tags": [{"Key": "a", "Value": "b"}],
        "ApprovalRules": {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0}]}}"#;
    let file = read_ok("create.json", create);
    assert_eq!((file.baseline.id.as_str(), file.baseline.name.as_str()), ("new-one", "new-one"));
    assert_eq!(file.notes, []);
}

#[test]
fn an_override_holds_one_baseline_for_each_operating_system() {
    let list = r#"[
        {"OperatingSystem": "WINDOWS", "ApprovalRules": {"PatchRules": []}},
        {"OperatingSystem": "DEBIAN", "ApprovedPatches": ["curl"], "CreatedDate": "yesterday"},
        {"OperatingSystem": "UBUNTU", "ApprovedPatches": ["apt"]}]"#;
    let file = read_for("s3://bucket/override", list.as_bytes(), OperatingSystem::Ubuntu).unwrap();
    assert_eq!(file.baseline.approved.patterns.len(), 1);
    assert_eq!(file.baseline.name, "BaselineOverride");
    let missing = read_for("list", list.as_bytes(), OperatingSystem::Suse).unwrap_err();
    assert_eq!(missing.to_string(), "list: there is no baseline for SUSE in it");
    assert_eq!(told("list", list), ["there are several baselines in it; keep one of them"]);
    assert_eq!(told("list", "[]"), ["there is no baseline for Linux in it"]);
    let twice = list.replace("UBUNTU", "DEBIAN");
    assert_eq!(told("list", &twice), ["4: $[2]: there is a baseline for DEBIAN already"]);
}

#[test]
fn the_notation_is_told_by_the_extension_or_by_the_content() {
    for (name, text, expected) in [
        ("a.json", "", true),
        ("a.JSON", "[[rule]]", true),
        ("a.toml", "{}", false),
        ("a", " {}", true),
        ("a", "\n[ {}]", true),
        ("a", "[]", true),
        ("a", "[[rule]]", false),
        ("a", "name = 1", false),
        ("a.yaml", "name = 1", false),
    ] {
        assert_eq!(is_json(name, text), expected, "{name} {text}");
    }
}

const SHIPPED: &str = include_str!("../../../../../packaging/baseline.toml");

#[test]
fn the_shipped_example_has_every_key_and_shows_the_defaults() {
    let shipped = read_ok("baseline.toml", SHIPPED);
    assert_eq!(shipped.notes, []);
    assert_eq!(shipped.baseline.rules.len(), 2);
    let uncommented: Vec<_> = SHIPPED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
            _ => line,
        })
        .collect();
    assert_eq!(read_ok("baseline.toml", &uncommented.join("\n")), shipped);
    // A key that the reader knows and the file doesn't show would be told here as one that may be used.
    let asked = SHIPPED
        .replace("name =", "zzzzzzzzzzzzzzzz = 1\nname =")
        .replace("level = \"CRITICAL\"", "yyyyyyyyyyyyyyyy = 1");
    for mistake in told("baseline.toml", &asked) {
        let (_, keys) = mistake.split_once("use one of: ").expect(&mistake);
        for key in keys.split(", ") {
            let is_shown =
                |line: &&str| line.starts_with(&format!("{key} = ")) || **line == format!("[[{key}]]");
            let is_told = ["product", "classification", "severity"].contains(&key);
            assert!(
                is_told || uncommented.iter().any(is_shown),
                "packaging/baseline.toml doesn't show {key}"
            );
        }
    }
}
