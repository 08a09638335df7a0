//! The verb `reboot` against a systemctl that is a script: every reason to refuse, and that nothing is asked for twice.
//! A real systemd is in the scenarios.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use patchd_host::config_files;
use patchd_protocol::executor::{HookStage, RefusalWire, TransactionKind, TransactionState};

use super::tests::{ALWAYS, Site, noon, status};
use super::*;

/// In its directory: `systemctl.calls` gets the arguments, `systemctl.code` is its exit code.
const SYSTEMCTL: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$*" >>"$here/systemctl.calls"
[ -e "$here/guarded" ] || cp "$here/state/reboots.json" "$here/guarded"
echo "Failed to talk to init daemon." >&2
exit "$(cat "$here/systemctl.code" 2>/dev/null || echo 0)"
"#;

/// A host that asks for a reboot, for `lib`, and may have one.
fn host() -> Site {
    let site = Site::new();
    site.put("systemctl", SYSTEMCTL);
    std::fs::set_permissions(site.path("systemctl"), Permissions::from_mode(0o755)).unwrap();
    site.put("systemctl.calls", "");
    site.put("root/run/systemd/system/.keep", "");
    site.put("root/run/reboot-required", "*** System restart required ***\n");
    site.put("root/run/reboot-required.pkgs", "lib\n");
    site
}

fn verb(id: &str) -> Verb {
    Verb::Reboot { transaction: id.into(), boot_id: "boot-1".into() }
}

fn calls(site: &Site) -> Vec<String> {
    let calls = std::fs::read_to_string(site.path("systemctl.calls")).unwrap();
    calls.lines().map(str::to_owned).collect()
}

#[track_caller]
fn done(reply: Reply) -> patchd_protocol::executor::TransactionRecord {
    let Reply::Done(record) = reply else { panic!("not done: {reply:?}") };
    record
}

/// Refused, without a word to systemd and without a trace in the memory of reboots.
#[track_caller]
fn check_refused(site: &Site, verb: Verb, expected: RefusalCode, part: &str) {
    let remembered = std::fs::read(site.path("state/reboots.json")).ok();
    let before = calls(site);
    let reply = site.ask(verb);
    let Reply::Refused(RefusalWire { code, message, .. }) = reply else { panic!("not refused: {reply:?}") };
    assert_eq!(code, expected, "{message}");
    assert!(message.contains(part), "{message}");
    assert_eq!(calls(site), before);
    assert_eq!(std::fs::read(site.path("state/reboots.json")).ok(), remembered);
}

#[test]
fn a_host_that_asks_is_rebooted_in_its_window_with_a_word_to_its_users() {
    let site = host();
    let record = done(site.ask(verb("run-1.reboot")));
    assert_eq!((record.kind, record.state), (TransactionKind::Reboot, TransactionState::Ended));
    assert_eq!((record.permission.as_str(), record.exit_code), ("always", Some(0)));
    let message = "reboot --message=patchd reboots this host: lib asked for it in /run/reboot-required";
    assert_eq!(calls(&site), [message]);
    // It was on disk before systemd was asked.
    let guarded = std::fs::read_to_string(site.path("guarded")).unwrap();
    assert!(guarded.contains("\"lib=1\"") && guarded.contains("boot-1"), "{guarded}");
}

#[test]
fn asked_again_the_record_answers_and_nothing_is_rebooted_twice() {
    let mut site = host();
    let first = done(site.ask(verb("run-1.reboot")));
    assert_eq!(done(site.ask(verb("run-1.reboot"))), first);
    // The host is up again, and the window gone.
    site.executor.reboots.set_boot(|| Some("boot-2".into()));
    site.put(&format!("root/{}", config_files::MAIN_FILE), "");
    assert_eq!(done(site.ask(verb("run-1.reboot"))), first);
    assert_eq!(calls(&site).len(), 1);
    let recalled = site.ask(Verb::Recall { transaction: "run-1.reboot".into(), wait_seconds: 0 });
    assert_eq!(recalled, Reply::Recalled(Some(first)));
}

#[test]
fn one_that_was_cut_before_systemd_was_asked_is_not_made_up_for() {
    let site = host();
    let intent = crate::record::intent("run-1.reboot", "run-1", TransactionKind::Reboot, noon());
    site.executor.records.begin(&intent).unwrap();
    assert_eq!(done(site.ask(verb("run-1.reboot"))).state, TransactionState::Running);
    assert_eq!(calls(&site), [""; 0]);
}

#[test]
fn root_policy_alone_says_when() {
    let site = host();
    let config = |text: &str| site.put(&format!("root/{}", config_files::MAIN_FILE), text);
    config("");
    check_refused(&site, verb("a"), RefusalCode::NoWindow, "no window is configured");
    let synchronised = "[clock]\nrequire_synchronised = false\n";
    config(&format!("{synchronised}[[window]]\nname = \"night\"\nschedule = \"daily 02:00 +1h\"\n"));
    check_refused(&site, verb("a"), RefusalCode::OutsideWindow, "no window is open");
    config(&format!("{synchronised}[[window]]\nname = \"short\"\nschedule = \"daily 11:30 +34m\"\n"));
    check_refused(&site, verb("a"), RefusalCode::OutsideWindow, "a reboot wants 300 s");
    config(&format!("{ALWAYS}[reboot]\npolicy = \"never\"\n"));
    check_refused(&site, verb("a"), RefusalCode::NeverRebooted, "reboot.policy is never");
    let freeze = "[[freeze]]\nname = \"f\"\nfrom = 2026-11-28T00:00:00Z\nuntil = 2026-11-30T00:00:00Z\nreason = \"x\"\n";
    config(&format!("{ALWAYS}{freeze}"));
    check_refused(&site, verb("a"), RefusalCode::Frozen, "frozen");
}

#[test]
fn a_grant_allows_no_reboot_and_no_hook_before_one() {
    let site = host();
    let plan = PlanWire {
        changes: vec![PlannedChangeWire {
            name: "app".into(),
            architecture: "amd64".into(),
            from: Some("1".into()),
            to: "2".into(),
        }],
        removals: vec![],
    };
    let digest = digest(&Plan::try_from(&plan).unwrap());
    let granted = site.ask(Verb::Grant { plan, digest, reason: "now".into(), seconds: 600 });
    assert!(matches!(granted, Reply::Granted { .. }), "{granted:?}");
    site.put(&format!("root/{}", config_files::MAIN_FILE), "");
    check_refused(&site, verb("a"), RefusalCode::NoWindow, "no window is configured");
    let hooks = |stage| Verb::RunHooks { transaction: "h".into(), stage };
    check_refused(&site, hooks(HookStage::PreReboot), RefusalCode::NoWindow, "no window is configured");
    assert!(matches!(site.ask(hooks(HookStage::PrePatch)), Reply::Done(_)));
}

/// docs/accidents.md, row 41.
#[test]
fn only_a_host_that_asks_is_rebooted_and_only_in_the_boot_that_is_meant() {
    let mut site = host();
    let other = Verb::Reboot { transaction: "a".into(), boot_id: "boot-0".into() };
    check_refused(&site, other, RefusalCode::OtherBoot, "the boot boot-0 is not under way");
    site.executor.reboots.set_boot(|| None);
    check_refused(&site, verb("a"), RefusalCode::OtherBoot, "can't be told");
    site.executor.reboots.set_boot(|| Some("boot-1".into()));
    std::fs::remove_file(site.path("root/run/reboot-required")).unwrap();
    // A root that is looked at from outside runs no kernel.
    check_refused(&site, verb("a"), RefusalCode::NotNeeded, "can't be told");
}

#[test]
fn a_container_and_a_host_without_systemd_are_rebooted_by_nobody() {
    let site = host();
    site.put("root/run/systemd/container", "docker\n");
    check_refused(&site, verb("a"), RefusalCode::NeverRebooted, "this is a container (docker)");
    std::fs::remove_file(site.path("root/run/systemd/container")).unwrap();
    std::fs::remove_dir_all(site.path("root/run/systemd/system")).unwrap();
    check_refused(&site, verb("a"), RefusalCode::NeverRebooted, "systemd is not this host's first process");
}

#[test]
fn packages_that_are_half_way_keep_a_host_up() {
    let site = host();
    let half = status("1", "1").replacen("install ok installed", "install ok half-configured", 1);
    site.put("root/var/lib/dpkg/status", &half);
    check_refused(&site, verb("a"), RefusalCode::Interrupted, "app");
    site.put("root/var/lib/dpkg/status", &status("1", "1"));
    let cut = crate::record::intent("run-0.apply.1", "run-0", TransactionKind::Apply, noon());
    site.executor.records.begin(&cut).unwrap();
    check_refused(&site, verb("a"), RefusalCode::Interrupted, "run-0.apply.1 was not finished");
}

#[test]
fn a_transaction_under_way_keeps_a_host_up() {
    let site = host();
    let held = site.executor.records.lock("transaction x").unwrap();
    check_refused(&site, verb("a"), RefusalCode::Busy, "transaction x");
    drop(held);
    assert!(matches!(site.ask(verb("a")), Reply::Done(_)));
}

#[test]
fn who_asks_systemd_to_stay_up_is_heard() {
    let site = host();
    let lock = |mode: &str| format!("WHAT=shutdown\nMODE={mode}\nUID=0\nWHO=backup\nWHY=the nightly copy\n");
    site.put("root/run/systemd/inhibit/1", &lock("block"));
    check_refused(&site, verb("a"), RefusalCode::Inhibited, "\"backup\" asks that the host stay up");
    site.put("root/run/systemd/inhibit/1", &lock("delay"));
    assert!(matches!(site.ask(verb("a")), Reply::Done(_)));
}

/// docs/accidents.md, row 40.
#[test]
fn a_next_boot_without_its_kernel_is_not_begun() {
    let site = host();
    let kernel = "Package: linux-image-6.1.0-18-amd64\nStatus: install ok installed\nArchitecture: amd64\n\
                  Version: 6.1.76-1\n\n";
    site.put("root/var/lib/dpkg/status", &format!("{}{kernel}", status("1", "1")));
    check_refused(&site, verb("a"), RefusalCode::BootFiles, "/boot/vmlinuz-6.1.0-18-amd64");
    site.put("root/boot/vmlinuz-6.1.0-18-amd64", "MZ");
    assert!(matches!(site.ask(verb("a")), Reply::Done(_)));
}

/// docs/accidents.md, row 41.
#[test]
fn a_host_that_still_asks_for_the_same_is_not_rebooted_again() {
    let mut site = host();
    done(site.ask(verb("run-1.reboot")));
    site.executor.reboots.set_boot(|| Some("boot-2".into()));
    let again = || Verb::Reboot { transaction: "run-2.reboot".into(), boot_id: "boot-2".into() };
    check_refused(
        &site,
        again(),
        RefusalCode::RebootLoop,
        "was rebooted at 2026-11-29T12:00:00Z for lib=1 and still asks",
    );
    // A later version asks anew.
    site.put("root/var/lib/dpkg/status", &status("1", "2"));
    assert!(matches!(site.ask(again()), Reply::Done(_)));
    assert_eq!(calls(&site).len(), 2);
}

#[test]
fn nothing_is_begun_on_a_host_that_is_about_to_go_down() {
    let mut site = host();
    done(site.ask(verb("run-1.reboot")));
    let refresh = || Verb::Refresh { transaction: "r".into() };
    check_refused(&site, refresh(), RefusalCode::Busy, "is about to go down");
    check_refused(&site, verb("run-2.reboot"), RefusalCode::Busy, "is about to go down");
    site.executor.reboots.set_boot(|| Some("boot-2".into()));
    assert!(matches!(site.ask(refresh()), Reply::Refreshed(_)));
}

#[test]
fn a_systemd_that_would_not_is_told_and_holds_nothing_up() {
    let site = host();
    site.put("systemctl.code", "1");
    let record = done(site.ask(verb("run-1.reboot")));
    assert_eq!((record.state, record.exit_code), (TransactionState::Ended, Some(1)));
    assert_eq!(record.output_tail, ["Failed to talk to init daemon."]);
    assert!(matches!(site.ask(Verb::Refresh { transaction: "r".into() }), Reply::Refreshed(_)));
    assert_eq!(done(site.ask(verb("run-1.reboot"))), record, "it is not asked for again");
}
