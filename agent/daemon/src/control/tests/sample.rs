//! A report on a host that has one package, under any id.

use patchd_core::report::{Operation, Report};
use patchd_host::root::Root;
use patchd_host::scan::{ScanRequest, scan};

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
        windows: &[],
        max_list_age: jiff::SignedDuration::from_hours(1),
        problems: vec![],
        run: None,
    };
    scan(&Root::at(root.path()), request, || jiff::Timestamp::UNIX_EPOCH)
}
