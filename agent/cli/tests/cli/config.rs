//! `config check`: every mistake with its place.

use crate::patchctl;
use crate::root::HostRoot;

#[test]
fn every_mistake_is_told_with_its_file_and_line() {
    let root = HostRoot::empty();
    let main = root.put("etc/patchd/patchd.toml", b"[scan]\nintervall = \"6h\"\n\n[nonsense]\n");
    let drop_in = root.put("etc/patchd/patchd.d/50-store.toml", b"[store]\nurl = \"ftp://example.org\"\n");
    let arguments = ["config", "check", "--config-root", root.path().to_str().unwrap()];
    let outcome = patchctl(arguments).expect_code(2);
    let has = |start: String| outcome.stdout.lines().any(|line| line.starts_with(&start));
    assert!(has(format!("{}:2: ", main.display())), "{}", outcome.stdout);
    assert!(has(format!("{}:4: ", main.display())), "{}", outcome.stdout);
    assert!(has(format!("{}:2: ", drop_in.display())), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("interval"), "the nearest key is named: {}", outcome.stdout);

    let document = patchctl(arguments.iter().chain(&["--json"])).expect_code(2).json();
    assert_eq!(document["schema"], "patchd.config-check/1");
    assert_eq!(document["mistakes"].as_array().unwrap().len(), 3, "{document}");
}

#[test]
fn what_allows_changes_is_checked_as_the_executor_would() {
    let root = HostRoot::empty();
    let lines = "[apply]\nallow_removal = [\"old-*\"]\nconffiles = \"ask\"\n\n[[freeze]]\nname = \"f\"\n\
                 from = 2026-12-20T00:00:00Z\nuntil = 2026-12-20T00:00:00Z\nreason = \"r\"\n";
    let main = root.put("etc/patchd/patchd.toml", lines.as_bytes());
    let outcome =
        patchctl(["config", "check", "--config-root", root.path().to_str().unwrap()]).expect_code(2);
    for (line, key) in [(3, "apply.conffiles"), (8, "freeze.until")] {
        let start = format!("{}:{line}: {key}: ", main.display());
        assert!(outcome.stdout.lines().any(|line| line.starts_with(&start)), "{}", outcome.stdout);
    }
}

#[test]
fn no_configuration_is_no_mistake_and_no_directory_is_one() {
    let root = HostRoot::empty();
    let outcome =
        patchctl(["config", "check", "--config-root", root.path().to_str().unwrap()]).expect_code(0);
    assert!(outcome.stdout.contains("every value is the default"), "{}", outcome.stdout);
    patchctl(["config", "check", "--config-root", "/nonexistent"]).expect_code(2);
}
