//! Report documents for the tests of the pages.

use patchd_core::plan::Plan;
use patchd_protocol::control::plan::{
    InvalidPlanRequest, PlanChangeWire, PlanDocument, PlanRequest, PlanRoomWire, PlanSchema, PlanStepWire,
};
use patchd_protocol::control::{GateWire, WindowStatus, WindowVerdict};
use patchd_protocol::old_code::OldCodeWire;
use patchd_protocol::report::native::{
    AgentWire, AssessmentWire, BaselineWire, ComplianceWire, CountsWire, HostWire, ItemWire, MethodWire,
    OperationWire, OsWire, ProblemWire, ReportDocument, ReportSchema, SummaryWire, TristateWire, UpdateWire,
};
use patchd_protocol::words::{
    AnswerWire, ItemStatusWire, LevelWire, MethodNameWire, PatchStateWire, ReasonWire,
};

/// A compliant host without any package.
pub(crate) fn report() -> ReportDocument {
    ReportDocument {
        schema: ReportSchema::V1,
        id: "20261123T092959Z-scan".into(),
        operation: OperationWire::Scan,
        started_at: "2026-11-23T09:29:58Z".parse().unwrap(),
        finished_at: "2026-11-23T09:29:59Z".parse().unwrap(),
        agent: AgentWire { name: "patchd".into(), version: "0.1.0".into() },
        host: HostWire {
            id: "i-0123456789abcdef0".into(),
            hostname: "web-1".into(),
            account: None,
            region: None,
            os: OsWire {
                id: "debian".into(),
                version_id: "12".into(),
                codename: "bookworm".into(),
                name: "Debian GNU/Linux 12 (bookworm)".into(),
            },
            architecture: "x86_64".into(),
            kernel: Some("6.1.0-38-cloud-amd64".into()),
            boot_id: None,
            memory_bytes: None,
            needs_reboot: TristateWire { answer: AnswerWire::No, because: None },
            old_code: Some(OldCodeWire { processes: vec![], unseen: None }),
            other_patchers: vec![],
        },
        baseline: BaselineWire {
            id: "builtin:debian".into(),
            name: "AWS-DebianDefaultPatchBaseline".into(),
            source: Some("builtin:debian".into()),
            digest: None,
            fetched_at: None,
            patch_group: None,
            install_override_list: None,
        },
        assessment: AssessmentWire::Complete,
        assessment_reasons: vec![],
        summary: SummaryWire {
            compliance: ComplianceWire::Compliant,
            non_compliant_severity: None,
            packages: 0,
            updates: 0,
            security_updates: 0,
            counts: CountsWire {
                installed_count: 0,
                installed_other_count: 0,
                installed_pending_reboot_count: 0,
                installed_rejected_count: 0,
                missing_count: 0,
                failed_count: 0,
                not_applicable_count: 0,
                critical_non_compliant_count: 0,
                security_non_compliant_count: 0,
                other_non_compliant_count: 0,
            },
        },
        refreshed_at: Some("2026-11-23T06:12:00Z".parse().unwrap()),
        method: MethodWire { name: MethodNameWire::Native, because: None },
        repositories: vec![],
        items: vec![],
        updates: vec![],
        new_packages: vec![],
        problems: vec![],
        run: None,
    }
}

fn change(name: &str, from: Option<&str>, to: &str, download_bytes: u64) -> PlanChangeWire {
    PlanChangeWire {
        name: name.into(),
        architecture: "amd64".into(),
        from: from.map(str::to_owned),
        to: to.into(),
        download_bytes,
        installed_growth_bytes: 4096,
    }
}

/// A plan of two steps on a host whose window is shut.
pub(crate) fn plan() -> PlanDocument {
    let step = |number, after, changes| PlanStepWire {
        number,
        after,
        changes,
        removals: vec![],
        estimated_seconds: 20,
    };
    let mut plan = PlanDocument {
        schema: PlanSchema::V1,
        digest: String::new(),
        host: "i-0123456789abcdef0".into(),
        run: "20261123T092900Z-plan".into(),
        made_at: "2026-11-23T09:29:00Z".parse().unwrap(),
        steps: vec![
            step(
                1,
                vec![],
                vec![
                    change("libssl3", Some("3.0.14-1~deb12u1"), "3.0.15-1~deb12u1", 2_030_000),
                    change("libnew1", None, "1.0-1", 900),
                ],
            ),
            step(
                2,
                vec![1],
                vec![change("openssl", Some("3.0.14-1~deb12u1"), "3.0.15-1~deb12u1", 1_430_000)],
            ),
        ],
        download_bytes: 3_460_900,
        estimated_seconds: 40,
        filesystems: vec![PlanRoomWire {
            mount: "/".into(),
            uses: vec!["archives".into(), "system".into()],
            needed_bytes: 200 << 20,
            free_bytes: 4 << 30,
            shortage: None,
        }],
        left_out: vec![],
        window: WindowStatus { verdict: WindowVerdict::None, occurrence: None },
        gates: vec![GateWire {
            code: "no_window".into(),
            detail: "no window is configured, so patchd changes nothing".into(),
        }],
    };
    seal(&mut plan);
    plan
}

/// Gives a plan the digest of its content.
pub(crate) fn seal(plan: &mut PlanDocument) {
    let is = Plan::try_from(&PlanRequest::from(&*plan)).unwrap_err();
    let InvalidPlanRequest::Digest { is, .. } = is else { panic!("{is}") };
    plan.digest = is;
}

pub(crate) fn problem(code: &str, place: &str, line: Option<u64>, message: &str) -> ProblemWire {
    ProblemWire { code: code.into(), place: place.into(), line, message: message.into() }
}

fn sentence(reason: &ReasonWire) -> &'static str {
    match reason {
        ReasonWire::Held => "on hold: `apt-mark unhold` releases it",
        ReasonWire::NotApproved => "the baseline does not ask for it",
        _ => "no window is configured, so patchd changes nothing",
    }
}

/// Adds a security update that is missing.
pub(crate) fn add_missing(report: &mut ReportDocument, name: &str, priority: &str, reason: ReasonWire) {
    report.items.push(ItemWire {
        name: name.into(),
        architecture: "amd64".into(),
        state: PatchStateWire::Missing,
        status: ItemStatusWire::NonCompliant,
        level: LevelWire::Unspecified,
        classification: Some("Security".into()),
        severity: Some(priority.into()),
        installed: "1.0-1".into(),
        approved: Some("1.0-1+deb12u1".into()),
        installed_at: None,
        reason: Some(reason.clone()),
        detail: Some(sentence(&reason).into()),
        changes_at: None,
        chain: Vec::new(),
    });
    report.updates.push(UpdateWire {
        name: name.into(),
        architecture: "amd64".into(),
        installed: "1.0-1".into(),
        candidate: "1.0-1+deb12u1".into(),
        approved: Some("1.0-1+deb12u1".into()),
        security: true,
        origin: "Debian-Security:12/stable-security".into(),
        advisories: vec![],
        detail: sentence(&reason).into(),
        reason,
        changes_at: None,
        chain: Vec::new(),
        offered: Vec::new(),
    });
    report.summary.compliance = ComplianceWire::NonCompliant;
}

/// Adds an update that the baseline does not ask for.
pub(crate) fn add_other(report: &mut ReportDocument, name: &str) {
    report.items.push(ItemWire {
        name: name.into(),
        architecture: "all".into(),
        state: PatchStateWire::InstalledOther,
        status: ItemStatusWire::Compliant,
        level: LevelWire::Unspecified,
        classification: None,
        severity: Some("optional".into()),
        installed: "2024a-0+deb12u1".into(),
        approved: None,
        installed_at: None,
        reason: None,
        detail: None,
        changes_at: None,
        chain: Vec::new(),
    });
    report.updates.push(UpdateWire {
        name: name.into(),
        architecture: "all".into(),
        installed: "2024a-0+deb12u1".into(),
        candidate: "2026b-0+deb12u1".into(),
        approved: None,
        security: false,
        origin: "Debian:bookworm-updates".into(),
        advisories: vec![],
        reason: ReasonWire::NotApproved,
        detail: sentence(&ReasonWire::NotApproved).into(),
        changes_at: None,
        chain: Vec::new(),
        offered: Vec::new(),
    });
}
