//! `baseline`: files and what is built in, checked, shown and taken over.

use std::io::Write;
use std::process::Stdio;

use crate::root::{HALF_NOW, HostRoot, debian_12_half};
use crate::{command, data, outcome, patchctl};

const WEB: &[u8] =
    b"{\n \"Name\": \"web\",\n \"OperatingSystem\": \"DEBIAN\",\n \"ApprovalRules\": {\"PatchRules\": [{\n  \
    \"PatchFilterGroup\": {\"PatchFilters\": [{\"Key\": \"PRIORITY\", \"Values\": [\"Required\"]}]},\n  \
    \"ApproveAfterDays\": 7}]}}\n";

#[test]
fn every_mistake_is_told_with_its_file_line_and_path() {
    let root = HostRoot::empty();
    let bad = root.put(
        "bad.json",
        &WEB.to_vec().iter().copied().map(|byte| if byte == b'7' { b'x' } else { byte }).collect::<Vec<_>>(),
    );
    let far = root.put(
        "far.json",
        String::from_utf8(WEB.to_vec())
            .unwrap()
            .replace('7', "400")
            .replace("Required", "Requird")
            .as_bytes(),
    );
    let outcome =
        patchctl(["baseline", "check", bad.to_str().unwrap(), far.to_str().unwrap(), "/nonexistent"])
            .expect_code(2);
    let expected = format!(
        "{bad}:6: this is not JSON: expected value\n\
         {far}:5: $.ApprovalRules.PatchRules[0].PatchFilterGroup.PatchFilters[0].Values[0]: \"Requird\" is no PRIORITY of \
         DEBIAN; did you mean `Required`?\n\
         {far}:6: $.ApprovalRules.PatchRules[0].ApproveAfterDays: 400 is no number of days; whole numbers from 0 to 360 \
         are\n\
         /nonexistent: it can't be read: No such file or directory (os error 2)\n\
         4 mistakes\n",
        bad = bad.display(),
        far = far.display()
    );
    assert_eq!(outcome.stdout, expected);

    let document = patchctl(["baseline", "check", "--json", far.to_str().unwrap()]).expect_code(2).json();
    assert_eq!(document["schema"], "patchd.baseline-check/1");
    assert_eq!(document["mistakes"][1]["line"], 6);
    assert_eq!(document["mistakes"][1]["path"], "$.ApprovalRules.PatchRules[0].ApproveAfterDays");
    patchctl(["baseline", "check"]).expect_code(2);
}

#[test]
fn what_has_no_effect_is_noted_and_is_no_mistake() {
    let root = HostRoot::empty();
    let web = root.put("web.json", WEB);
    let list = root.put("list.yaml", b"patches:\n  - id: 'kernel*'\n");
    let outcome =
        patchctl(["baseline", "check", web.to_str().unwrap(), list.to_str().unwrap()]).expect_code(0);
    assert!(
        outcome.stdout.starts_with(&format!("note: {}:6: $.ApprovalRules", web.display())),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.ends_with("no mistakes, and 1 note\n"), "{}", outcome.stdout);
    let bad = root.put("bad.yml", b"patches:\n  - title: 'kernel*'\n");
    let outcome = patchctl(["baseline", "check", bad.to_str().unwrap()]).expect_code(2);
    assert!(outcome.stdout.contains(":2: $.patches[0]: an entry needs an id"), "{}", outcome.stdout);
}

#[test]
fn a_baseline_can_come_through_a_pipe() {
    let mut child = command()
        .args(["baseline", "check", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(WEB).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_baseline_of_aws_is_taken_over() {
    let root = HostRoot::empty();
    let web = root.put("web.json", WEB);
    let toml = patchctl(["baseline", "show", web.to_str().unwrap(), "--toml"]).expect_code(0);
    assert!(toml.stderr.contains("note: "), "{}", toml.stderr);
    let own = root.put("web.toml", toml.stdout.as_bytes());
    patchctl(["baseline", "check", own.to_str().unwrap()]).expect_code(0);
    let shown = |path: &str| patchctl(["baseline", "show", "--json", path]).expect_code(0).json();
    let json = shown(own.to_str().unwrap());
    assert_eq!(json, shown(web.to_str().unwrap()));
    assert_eq!(json["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"], 7);
    patchctl(["baseline", "show", "--json", "--toml", "builtin:debian"]).expect_code(2);
}

#[test]
fn predefined_baselines_go_by_id_and_by_name() {
    let by_id = patchctl(["baseline", "show", "builtin:amazon-linux-2023"]).expect_code(0).stdout;
    assert!(
        by_id.starts_with("AWS-AmazonLinux2023DefaultPatchBaseline (builtin:amazon-linux-2023)"),
        "{by_id}"
    );
    assert_eq!(
        patchctl(["baseline", "show", "AWS-AmazonLinux2023DefaultPatchBaseline"]).expect_code(0).stdout,
        by_id
    );
    let wrong = patchctl(["baseline", "show", "builtin:nonsense"]).expect_code(2);
    assert!(wrong.stderr.contains("use one of: builtin:amazon-linux, "), "{}", wrong.stderr);
    patchctl(["baseline", "show", "/nonexistent"]).expect_code(2);
    let own = outcome(command().args(["baseline", "show"]));
    assert!(own.code != 0 || own.stdout.starts_with("judged by "), "{}", own.stdout);
}

#[test]
fn the_baseline_of_a_host_is_the_one_that_its_configuration_names() {
    let root = HostRoot::debian_12(b"");
    let at = root.path().to_str().unwrap();
    let shown = |code| patchctl(["baseline", "show", "--root", at]).expect_code(code);
    assert!(shown(0).stdout.contains("(builtin:debian)"));
    root.put("etc/patchd/baseline.json", WEB);
    assert!(shown(0).stdout.contains("\n\nweb (web) for DEBIAN\n"), "{}", shown(0).stdout);
    root.put("etc/patchd/patchd.toml", b"[baseline]\nsource = \"/etc/patchd/other.json\"\n");
    assert!(shown(1).stderr.contains("there is no such file"), "{}", shown(1).stderr);
    root.put("etc/patchd/patchd.toml", b"[baseline]\nsource = \"other.json\"\n");
    assert!(shown(2).stderr.contains("patchd.toml:2: baseline.source: "), "{}", shown(2).stderr);
}

/// AWS's own examples are of Windows, and say so in one sentence.
#[test]
fn the_examples_of_the_aws_cli_are_refused_for_what_they_are() {
    let Some(directory) = data("aws/ssm-cli") else { return };
    for (name, expected) in [
        ("get-patch-baseline-1.json", "this is a baseline for WINDOWS, and patchd patches Linux hosts alone"),
        (
            "update-patch-baseline-1.json",
            "this is a baseline for WINDOWS, and patchd patches Linux hosts alone",
        ),
        ("get-default-patch-baseline-2.json", "this names a baseline and does not hold it"),
        ("get-patch-baseline-for-patch-group-1.json", "this names a baseline and does not hold it"),
        ("get-deployable-patch-snapshot-for-instance-1.json", "this says where a snapshot is and holds none"),
    ] {
        let outcome = patchctl(["baseline", "check", directory.join(name).to_str().unwrap()]).expect_code(2);
        assert!(outcome.stdout.contains(expected), "{name}: {}", outcome.stdout);
        assert!(outcome.stdout.ends_with("1 mistake\n"), "{name}: {}", outcome.stdout);
    }
    let windows =
        String::from_utf8(std::fs::read(directory.join("get-patch-baseline-1.json")).unwrap()).unwrap();
    let root = HostRoot::empty();
    let linux = windows.replace("\"WINDOWS\"", "\"SUSE\"").replace("WindowsServer2016", "Suse15.3");
    let path = root.put("suse.json", linux.as_bytes());
    let outcome = patchctl(["baseline", "check", path.to_str().unwrap()]).expect_code(0);
    assert_eq!(outcome.stdout, "no mistakes\n");
}

/// A real Debian 12 whose lists offer updates: by the predefined baseline they are asked for, by one that approves
/// nothing they are not, and one that rejects a package says so.
#[test]
fn two_baselines_of_one_host() {
    let Some(host) = debian_12_half() else { return };
    let place = host.path().to_str().unwrap().to_owned();
    let diff = |a: &str, b: &str| {
        patchctl(["baseline", "diff", a, b, "--json", "--root", &place, "--now", HALF_NOW])
            .expect_code(0)
            .json()
    };
    let same = diff("builtin:debian", "AWS-DebianDefaultPatchBaseline");
    assert_eq!(same["schema"], "patchd.baseline-diff/1");
    assert_eq!(same["packages"], serde_json::json!([]));

    let missing = same["a"]["missing_count"].as_u64().unwrap();
    assert!(0 < missing, "{same}");
    let root = HostRoot::empty();
    let nothing = root.put("nothing.toml", b"name = \"nothing\"\noperating_system = \"DEBIAN\"\n");
    let document = diff("builtin:debian", nothing.to_str().unwrap());
    assert_eq!(document["b"]["missing_count"], 0);
    let packages = document["packages"].as_array().unwrap();
    let asked: Vec<_> = packages.iter().filter(|package| package["a"]["state"] == "Missing").collect();
    assert_eq!(u64::try_from(asked.len()).unwrap(), missing);
    for package in asked {
        assert_eq!(package["b"]["approved"], serde_json::Value::Null, "{package}");
        assert_eq!(package["b"]["reason"], "not_approved", "{package}");
    }

    let name = packages[0]["name"].as_str().unwrap();
    let rejects = patchctl(["baseline", "show", "builtin:debian", "--toml"]).expect_code(0).stdout;
    let rejects = rejects
        .replace("builtin:debian", "own")
        .replace("\n\n[[global", &format!("\nrejected = [\"{name}\"]\n\n[[global"));
    let rejects = root.put("rejects.toml", rejects.as_bytes());
    let document = diff("builtin:debian", rejects.to_str().unwrap());
    let packages = document["packages"].as_array().unwrap();
    assert!(!packages.is_empty() && packages.iter().all(|package| package["name"] == name), "{document}");

    let arguments = [
        "baseline",
        "diff",
        "builtin:debian",
        rejects.to_str().unwrap(),
        "--root",
        &place,
        "--now",
        HALF_NOW,
    ];
    let shown = patchctl(arguments).expect_code(0).stdout;
    assert!(shown.starts_with("A  AWS-DebianDefaultPatchBaseline (builtin:debian): "), "{shown}");
    assert!(shown.contains(&format!("\n{name}:")), "{shown}");
    host.put("etc/patchd/baseline.toml", &std::fs::read(&rejects).unwrap());
    assert_eq!(diff("host", rejects.to_str().unwrap())["packages"], serde_json::json!([]));
    assert_eq!(diff("builtin:debian", "host")["packages"], document["packages"]);
    let shown = patchctl(["baseline", "show", "--root", &place]).expect_code(0).stdout;
    assert!(shown.starts_with(&format!("judged by {place}/etc/patchd/baseline.toml\n\n")), "{shown}");
    host.put("etc/patchd/baseline.toml", b"nonsense");
    let refused = patchctl(["baseline", "diff", "host", "builtin:debian", "--root", &place]).expect_code(1);
    assert!(refused.stderr.contains("this host's baseline can't be used: "), "{}", refused.stderr);
    let other =
        patchctl(["baseline", "diff", "builtin:debian", "builtin:suse", "--root", &place]).expect_code(2);
    assert!(other.stderr.contains("builtin:suse is for SUSE, and the host is DEBIAN"), "{}", other.stderr);
}
