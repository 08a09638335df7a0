//! Pages of reports as they are printed, each read by a person before it was kept.

use insta::assert_snapshot;
use patchd_protocol::old_code::{OldCodeWire, OldProcessWire};
use patchd_protocol::report::native::{AssessmentWire, ComplianceWire, OtherPatcherWire, TristateWire};
use patchd_protocol::words::{AnswerWire, LevelWire, PatchStateWire, ReasonWire, RemedyWire};

use super::lines;
use crate::view::sample::{add_missing, add_other, problem, report};
use crate::view::tests::{shown, view};

#[test]
fn a_compliant_host_is_a_head_and_a_verdict() {
    assert_snapshot!(shown(&lines(&report(), &view(Some(100)))), @r"
    Host       web-1 (i-0123456789abcdef0)
    System     Debian GNU/Linux 12 (bookworm), x86_64, kernel 6.1.0-38-cloud-amd64
    Baseline   AWS-DebianDefaultPatchBaseline (builtin:debian)
    Lists      refreshed 2026-11-23 06:12 UTC (3 hours ago)
    Packages   0 installed; offered: no updates
    Reboot     not needed
    Report     20261123T092959Z-scan of 2026-11-23 09:29 UTC (1 second ago)

    COMPLIANT: every approved update is installed
    ");
}

#[test]
fn what_is_missing_stands_first_with_what_to_do() {
    let mut report = report();
    add_other(&mut report, "tzdata");
    add_missing(&mut report, "curl", "optional", ReasonWire::NoWindow);
    add_missing(&mut report, "libc6", "required", ReasonWire::NoWindow);
    report.host.needs_reboot =
        TristateWire { answer: AnswerWire::Yes, because: Some("/run/reboot-required is there".into()) };
    report.host.other_patchers = vec![OtherPatcherWire {
        name: "unattended-upgrades".into(),
        evidence: "apt-daily-upgrade.timer is enabled".into(),
    }];
    assert_snapshot!(shown(&lines(&report, &view(Some(100)))), @r"
    Host       web-1 (i-0123456789abcdef0)
    System     Debian GNU/Linux 12 (bookworm), x86_64, kernel 6.1.0-38-cloud-amd64
    Baseline   AWS-DebianDefaultPatchBaseline (builtin:debian)
    Lists      refreshed 2026-11-23 06:12 UTC (3 hours ago)
    Packages   3 installed; offered: 3 updates, 2 of them security
    Reboot     needed: /run/reboot-required is there
    Also here  unattended-upgrades (apt-daily-upgrade.timer is enabled)
    Report     20261123T092959Z-scan of 2026-11-23 09:29 UTC (1 second ago)

    NOT COMPLIANT: 2 security updates missing

    Missing security updates (2)
    PACKAGE  INSTALLED  APPROVED       PRIORITY  ORIGIN
    libc6    1.0-1      1.0-1+deb12u1  required  Debian-Security:12/stable-security
    curl     1.0-1      1.0-1+deb12u1  optional  Debian-Security:12/stable-security
        2: no window is configured, so patchd changes nothing

    1 other update offered: --all shows them
        1: the baseline does not ask for it

    What next
      - have patchd install what is missing: add a [[window]] to /etc/patchd/patchd.toml, check it:
          patchctl config check
      - or install it by hand, as root:
          apt-get install --only-upgrade curl libc6
      - reboot the host in its window: what runs is not what was patched on disk
    ");
}

#[test]
fn reasons_that_differ_have_a_column_and_a_narrow_terminal_keeps_the_versions() {
    let mut report = report();
    add_missing(&mut report, "curl", "optional", ReasonWire::NoWindow);
    add_missing(&mut report, "libssl3", "optional", ReasonWire::Held);
    report.items[0].level = LevelWire::Critical;
    report.updates[0].candidate = "1.0-1+deb12u2".into();
    let page = |width| {
        let lines = lines(&report, &view(width));
        let at = lines.iter().position(|line| line.to_string().starts_with("Missing")).unwrap();
        shown(&lines[at..])
    };
    assert_snapshot!(page(None), @r"
    Missing security updates (2)
    PACKAGE  INSTALLED  APPROVED       CANDIDATE      LEVEL     PRIORITY  WAITS      ORIGIN
    curl     1.0-1      1.0-1+deb12u1  1.0-1+deb12u2  critical  optional  no window  Debian-Security:12/stable-security
    libssl3  1.0-1      1.0-1+deb12u1                           optional  on hold    Debian-Security:12/stable-security
        1: no window is configured, so patchd changes nothing
        1: on hold: `apt-mark unhold` releases it

    What next
      - have patchd install what is missing: add a [[window]] to /etc/patchd/patchd.toml, check it:
          patchctl config check
      - or install it by hand, as root:
          apt-get install --only-upgrade curl
      - release what is on hold although it is missing, as root:
          apt-mark unhold libssl3
    ");
    assert_snapshot!(page(Some(60)), @r"
    Missing security updates (2)
    PACKAGE  INSTALLED  APPROVED       LEVEL     WAITS
    curl     1.0-1      1.0-1+deb12u1  critical  no window
    libssl3  1.0-1      1.0-1+deb12u1            on hold
        1: no window is configured, so patchd changes nothing
        1: on hold: `apt-mark unhold` releases it

    What next
      - have patchd install what is missing: add a [[window]] to
        /etc/patchd/patchd.toml, check it:
          patchctl config check
      - or install it by hand, as root:
          apt-get install --only-upgrade curl
      - release what is on hold although it is missing, as root:
          apt-mark unhold libssl3
    ");
}

#[test]
fn an_incomplete_assessment_cannot_tell_and_says_where_and_why() {
    let mut report = report();
    report.summary.compliance = ComplianceWire::Unknown;
    report.assessment = AssessmentWire::Incomplete;
    report.refreshed_at = None;
    let stale = problem("not_refreshed", "/etc/apt/sources.list", Some(3), "its list was never fetched");
    report.assessment_reasons = vec![stale.clone()];
    let notice = problem("malformed", "/var/lib/dpkg/status", Some(17), "a line is no field");
    report.problems = vec![stale, notice];
    let mut view = view(Some(80));
    view.root = Some("/srv/image".into());
    assert_snapshot!(shown(&lines(&report, &view)), @r"
    Host       web-1 (i-0123456789abcdef0), read at /srv/image
    System     Debian GNU/Linux 12 (bookworm), x86_64, kernel 6.1.0-38-cloud-amd64
    Baseline   AWS-DebianDefaultPatchBaseline (builtin:debian)
    Lists      nothing says when they were refreshed
    Packages   0 installed; offered: no updates
    Reboot     not needed
    Report     20261123T092959Z-scan of 2026-11-23 09:29 UTC (1 second ago)

    CANNOT TELL: /etc/apt/sources.list:3: its list was never fetched

    The assessment is incomplete (1)
      - /etc/apt/sources.list:3: its list was never fetched

    Problems (1)
      - /var/lib/dpkg/status:17: a line is no field

    What next
      - fetch the package lists, as root, then scan again:
          chroot /srv/image apt-get update
    ");
}

#[test]
fn five_hundred_missing_updates_are_cut_to_a_page_unless_all_are_asked_for() {
    let mut report = report();
    for number in 0..500 {
        add_missing(&mut report, &format!("package-{number:03}"), "optional", ReasonWire::NoWindow);
    }
    let mut view = view(Some(100));
    let text = shown(&lines(&report, &view));
    assert!(text.contains("NOT COMPLIANT: 500 security updates missing\n"), "{text}");
    assert!(text.contains("… and 460 more of them: --all shows them\n"), "{text}");
    assert!(text.contains("apt-get upgrade --with-new-pkgs\n"), "{text}");
    assert!(text.lines().count() < 70, "{text}");
    view.is_full = true;
    let text = shown(&lines(&report, &view));
    assert!((0..500).all(|number| text.contains(&format!("\npackage-{number:03} "))), "{text}");
}

#[test]
fn what_is_installed_and_does_not_run_yet_is_told_with_what_it_takes() {
    let mut report = report();
    for (name, reason, detail) in [
        ("libc6", ReasonWire::Reboot, "it runs after a reboot: it asked for a reboot when it was installed"),
        ("libssl3", ReasonWire::Restart, "ssh.service must be restarted to run it"),
    ] {
        add_missing(&mut report, name, "optional", reason);
        report.updates.clear();
        let item = report.items.last_mut().unwrap();
        item.state = PatchStateWire::InstalledPendingReboot;
        item.approved = None;
        item.detail = Some(detail.into());
    }
    let process = |pid: u32, unit: Option<&str>, remedy, packages: &[&str]| OldProcessWire {
        pid,
        command: "worker".into(),
        unit: unit.map(str::to_owned),
        remedy,
        packages: packages.iter().map(|name| format!("{name}:amd64")).collect(),
        files: vec![],
    };
    report.host.old_code = Some(OldCodeWire {
        processes: vec![
            process(1, Some("init.scope"), RemedyWire::Reboot, &["libc6"]),
            process(7, Some("ssh.service"), RemedyWire::Restart, &["libssl3", "libc6"]),
            process(8, Some("ssh.service"), RemedyWire::Restart, &["libssl3"]),
            process(9, None, RemedyWire::Restart, &["libssl3"]),
            process(10, Some("user@1000.service"), RemedyWire::Restart, &["libssl3"]),
        ],
        unseen: Some("2 processes can't be looked at without root's rights".into()),
    });
    report.host.needs_reboot = TristateWire {
        answer: AnswerWire::Yes,
        because: Some("worker (pid 1) still runs code that was replaced".into()),
    };
    assert_snapshot!(shown(&lines(&report, &view(Some(100)))), @r"
    Host       web-1 (i-0123456789abcdef0)
    System     Debian GNU/Linux 12 (bookworm), x86_64, kernel 6.1.0-38-cloud-amd64
    Baseline   AWS-DebianDefaultPatchBaseline (builtin:debian)
    Lists      refreshed 2026-11-23 06:12 UTC (3 hours ago)
    Packages   2 installed; offered: no updates
    Reboot     needed: worker (pid 1) still runs code that was replaced
    In memory  4 services or processes run old code, and there may be more: 2 processes can't be looked
               at without root's rights
    Report     20261123T092959Z-scan of 2026-11-23 09:29 UTC (1 second ago)

    NOT COMPLIANT: 1 update waits for a restart, 1 update waits for a reboot

    Installed, but in use only after a restart (1)
    PACKAGE  INSTALLED  PRIORITY
    libssl3  1.0-1      optional
        1: ssh.service must be restarted to run it

    Installed, but in use only after a reboot (1)
    PACKAGE  INSTALLED  PRIORITY
    libc6    1.0-1      optional
        1: it runs after a reboot: it asked for a reboot when it was installed

    Old code in memory (4)
    RUNS IT            PROCESSES  TAKES    PACKAGES
    ssh.service        2          restart  libc6, libssl3
    user@1000.service  1          restart  libssl3
    worker (pid 1)     1          reboot   libc6
    worker (pid 9)     1          restart  libssl3

    What next
      - restart what still runs code that was replaced, as root, when its users can do without it:
          systemctl restart ssh.service
      - reboot the host in its window: what runs is not what was patched on disk
    ");
}

#[test]
fn what_was_not_seen_of_the_memory_is_not_shown_as_nothing() {
    let mut report = report();
    let unseen = Some("180 processes can't be looked at without root's rights".into());
    report.host.old_code = Some(OldCodeWire { processes: vec![], unseen });
    let page = shown(&lines(&report, &view(None)));
    let told = "In memory  cannot tell whether old code runs: 180 processes can't be looked at without root's rights\n";
    assert!(page.contains(told) && page.contains("\nCOMPLIANT"), "{page}");
}
