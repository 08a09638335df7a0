//! A report on a host that has one package, under any id, and the plan of a dry run on it.

use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::baseline::ruling::Ruling;
use patchd_core::baseline::system::OperatingSystem;
use patchd_core::compliance::Attempts;
use patchd_core::pending::OldCode;
use patchd_core::report::{Operation, Report};
use patchd_core::run::{Order, RefreshPolicy, RunId, Wish};
use patchd_host::root::Root;
use patchd_host::scan::{ScanRequest, scan};
use patchd_protocol::control::plan::{
    LeftOutWire, PlanChangeWire, PlanDocument, PlanRoomWire, PlanSchema, PlanStepWire,
};
use patchd_protocol::control::{GateWire, RunTrigger, WindowStatus, WindowVerdict};

use crate::journal::NewRun;

const STATUS: &str = "Package: one\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n";

pub(super) fn report(id: &str) -> Report {
    let root = tempfile::tempdir().unwrap();
    let dpkg = root.path().join("var/lib/dpkg");
    patchd_host::durable::create_directories(&dpkg, 0o755).unwrap();
    patchd_host::durable::atomic_write(&dpkg.join("status"), STATUS.as_bytes(), 0o644).unwrap();
    let request = ScanRequest {
        id,
        operation: Operation::Scan,
        agent_version: "0.1.0",
        host_id: Some("test-host"),
        cloud: None,
        ruling: &Ruling::predefined(OperatingSystem::Debian),
        first_seen: &FirstSeen::default(),
        windows: &[],
        is_paused: false,
        freeze: None,
        attempts: &Attempts::new(),
        max_list_age: jiff::SignedDuration::from_hours(1),
        extracts: None,
        problems: vec![],
        run: None,
        old_code: Some(OldCode::default()),
    };
    scan(&Root::at(root.path()), request, || jiff::Timestamp::UNIX_EPOCH)
}

pub(super) fn planned(id: &str) -> (NewRun, Box<PlanDocument>) {
    let order = Order {
        id: RunId::parse(id).unwrap(),
        operation: Operation::Apply,
        refresh: RefreshPolicy::UseListsAsTheyAre,
        wish: Wish::DryRun,
    };
    let change = PlanChangeWire {
        name: "one".into(),
        architecture: "amd64".into(),
        from: Some("1.0".into()),
        to: "1.1".into(),
        download_bytes: 7,
        installed_growth_bytes: -1,
    };
    let step = PlanStepWire {
        number: 1,
        after: vec![],
        changes: vec![change],
        removals: vec!["old:amd64".into()],
        estimated_seconds: 3,
    };
    let room = PlanRoomWire {
        mount: "/".into(),
        uses: vec!["system".into()],
        needed_bytes: 1,
        free_bytes: 2,
        shortage: None,
    };
    let plan = PlanDocument {
        schema: PlanSchema::V1,
        digest: "d".into(),
        host: "test-host".into(),
        run: id.into(),
        made_at: jiff::Timestamp::UNIX_EPOCH,
        steps: vec![step],
        download_bytes: 7,
        estimated_seconds: 18,
        filesystems: vec![room],
        left_out: vec![LeftOutWire { packages: vec!["two:amd64".into()], why: "held".into() }],
        window: WindowStatus { verdict: WindowVerdict::None, occurrence: None },
        gates: vec![GateWire { code: "no_window".into(), detail: "no window".into() }],
    };
    (NewRun { order, trigger: RunTrigger::Request { uid: 0 }, occurrence: None }, Box::new(plan))
}
