//! Ends of applies as they are printed, each read by a person before it was kept.

use insta::assert_snapshot;
use patchd_protocol::control::{GateWire, RunOutcome, RunPhase, RunSchema, RunSummary, RunTrigger};
use patchd_protocol::report::native::OperationWire;
use patchd_protocol::words::VerdictWire;

use super::*;
use crate::view::sample;
use crate::view::tests::{shown, view};

fn document(verdict: RunOutcome, detail: Option<&str>) -> RunDocument {
    RunDocument {
        schema: RunSchema::V1,
        run: RunSummary {
            id: "run-1".into(),
            operation: OperationWire::Apply,
            dry_run: false,
            trigger: RunTrigger::Request { uid: 0 },
            phase: RunPhase::Concluded,
            requested_at: "2026-11-23T09:00:00Z".parse().unwrap(),
            concluded_at: Some("2026-11-23T09:10:00Z".parse().unwrap()),
            verdict: Some(verdict),
            detail: detail.map(str::to_owned),
            report: None,
            compliance: None,
        },
        gates: vec![],
        transactions: vec![],
        journal: vec![],
    }
}

fn change(name: &str, before: Option<&str>, after: Option<&str>, done: bool) -> ChangeWire {
    ChangeWire {
        name: name.into(),
        architecture: "amd64".into(),
        before: before.map(str::to_owned),
        planned: Some("2".into()),
        after: after.map(str::to_owned),
        done,
    }
}

fn transaction(kind: TransactionKindWire, exit_code: i32, changes: Vec<ChangeWire>) -> TransactionWire {
    TransactionWire {
        id: "run-1.apply.1".into(),
        kind,
        started_at: "2026-11-23T09:05:00Z".parse().unwrap(),
        took_seconds: 12,
        exit_code: Some(exit_code),
        changes,
        output_tail: vec!["dpkg: error\x1b[31m".into()],
    }
}

fn report(run: RunWire) -> ReportDocument {
    ReportDocument { run: Some(run), ..sample::report() }
}

#[test]
fn an_apply_that_went_well_is_what_was_changed() {
    let changes =
        vec![change("libssl3", Some("1"), Some("2"), true), change("libnew1", None, Some("2"), true)];
    let report = report(RunWire {
        verdict: VerdictWire::Succeeded,
        detail: None,
        window: Some("sunday".into()),
        transactions: vec![transaction(TransactionKindWire::Apply, 0, changes)],
        failed: vec![],
        waiting: vec![],
        notes: vec![],
        left_files: vec![],
        reboot: None,
    });
    let page = lines(&document(RunOutcome::Succeeded, None), Some(&report), &view(Some(90)));
    assert_snapshot!(shown(&page), @r"
    SUCCEEDED (apply run-1)

    Changed (2)
    PACKAGE  FROM   TO
    libnew1  (new)  2
    libssl3  1      2

    COMPLIANT: every approved update is installed
    `patchctl report 20261123T092959Z-scan` shows the whole report
    ");
}

#[test]
fn a_package_that_failed_is_told_in_its_own_words() {
    let changes =
        vec![change("curl", Some("1"), Some("2"), true), change("bad", Some("1"), Some("1"), false)];
    let setback = |package: &str, why: &str, output: &[&str]| SetbackWire {
        packages: vec![format!("{package}:amd64")],
        why: why.into(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    let report = report(RunWire {
        verdict: VerdictWire::Partial,
        detail: Some("1 of 3 packages failed".into()),
        window: None,
        transactions: vec![
            transaction(TransactionKindWire::Apply, 100, vec![change("curl", Some("0"), Some("1"), false)]),
            transaction(TransactionKindWire::Apply, 100, changes),
            transaction(TransactionKindWire::Repair, 0, vec![]),
            transaction(TransactionKindWire::Hooks, 0, vec![]),
            transaction(TransactionKindWire::Hooks, 3, vec![]),
        ],
        failed: vec![setback(
            "bad",
            "its post-installation script failed",
            &["creating user", "useradd: \x1b[31mno"],
        )],
        waiting: vec![
            setback("late", "the next step may take 90 s, and 20 s are left", &[]),
            setback("needs-bad", "bad:amd64 failed", &[]),
            setback("later", "the next step may take 90 s, and 20 s are left", &[]),
        ],
        notes: vec!["waited 20 s for pid 812 (unattended-upgr)".into()],
        left_files: vec!["/etc/bad.conf.dpkg-dist".into()],
        reboot: None,
    });
    let document = RunDocument {
        gates: vec![
            GateWire {
                code: "wont_fit".into(),
                detail: "the next step may take 90 s, and 20 s are left".into(),
            },
            GateWire { code: "a_later_gate".into(), detail: String::new() },
        ],
        ..document(RunOutcome::Partial, Some("1 of 3 packages failed"))
    };
    assert_snapshot!(shown(&lines(&document, Some(&report), &view(Some(90)))), @r"
    SUCCEEDED IN PART: 1 of 3 packages failed (apply run-1)

    Changed (1)
    PACKAGE  FROM  TO
    curl     0     2

    Failed (1 package)
      - bad:amd64: its post-installation script failed
          | creating user
          | useradd: �[31mno

    Not tried, and waits (3 packages)
      - late:amd64, later:amd64: the next step may take 90 s, and 20 s are left
      - needs-bad:amd64: bad:amd64 failed

    The package database was repaired (run-1.apply.1)

    A hook failed (run-1.apply.1)
          | dpkg: error�[31m

    Configuration files left beside those in use: compare them, then remove them
      - /etc/bad.conf.dpkg-dist

    Notes
      - waited 20 s for pid 812 (unattended-upgr)

    What stands in the way
      - a_later_gate

    COMPLIANT: every approved update is installed
    `patchctl report 20261123T092959Z-scan` shows the whole report
    ");
}

#[test]
fn a_run_without_a_report_says_why_and_where_to_look() {
    let document = document(RunOutcome::Refused, Some("stopped by uid 0"));
    assert_snapshot!(shown(&lines(&document, None, &view(Some(90)))), @r"
    NOTHING WAS CHANGED: stopped by uid 0 (apply run-1)

    `patchctl show run-1` shows its history
    ");
}
