//! The one pipeline that looks at a host and judges it: the daemon and `patchctl scan --once` share it.
//!
//! It changes nothing, fetches nothing and needs no root. What it can't learn it says: the report is then incomplete.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::baseline::ruling::Ruling;
use patchd_core::compliance::{Attempts, Case, judge};
use patchd_core::gate::{Freeze, Outlook};
use patchd_core::inventory::Inventory;
use patchd_core::pending::{self, LiveFacts, OldCode, Pending};
use patchd_core::problem::Problem;
use patchd_core::report::{Assessment, HostFacts, Operation, Report, RunRecord};
use patchd_core::window::{Window, verdict};

use crate::apt::{self, read_offers};
use crate::dpkg::read_inventory;
use crate::machine::read_machine;
use crate::os::read_os_release;
use crate::problem_list::ProblemList;
use crate::reboot;
use crate::root::Root;
use crate::{container, patchers, processes};

/// What a cloud says of this host, where one was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudIdentity {
    pub instance_id: String,
    pub account: String,
    pub region: String,
}

/// What a scan is told from outside.
#[derive(Debug, Clone)]
pub struct ScanRequest<'a> {
    pub id: &'a str,
    pub operation: Operation,
    pub agent_version: &'a str,
    /// An id that the operator configured. It wins over what the host and the cloud say.
    pub host_id: Option<&'a str>,
    pub cloud: Option<&'a CloudIdentity>,
    /// What the host is judged by.
    pub ruling: &'a Ruling,
    /// When versions were first seen, where that is kept.
    pub first_seen: &'a FirstSeen,
    pub windows: &'a [Window],
    /// What else is known to stand in the way of a change now: an operator's pause, and a freeze.
    pub is_paused: bool,
    pub freeze: Option<&'a Freeze>,
    /// What earlier runs tried in vain.
    pub attempts: &'a Attempts,
    /// Package lists older than this make the assessment incomplete.
    pub max_list_age: SignedDuration,
    /// A directory in which scans keep what they took from the package lists, for the next one.
    pub extracts: Option<&'a Path>,
    /// What went wrong before the scan, such as a refresh that failed.
    pub problems: Vec<Problem>,
    /// What the run changed, on the report of an apply.
    pub run: Option<RunRecord>,
    /// The old code in memory, where root was asked for it. Otherwise it is looked for as far as this user may.
    pub old_code: Option<OldCode>,
}

/// Reads the host under `root` and judges it.
///
/// `now` is read once at the start and once at the end; every verdict is of the start.
pub fn scan(root: &Root, request: ScanRequest<'_>, now: impl Fn() -> Timestamp) -> Report {
    let started_at = now();
    let inventory = read_inventory(root);
    let mut host_problems = ProblemList::new("host");
    let (host, pending) = read_facts(root, &inventory, &request, &mut host_problems);
    let system = host.os.system_of_apt_host();
    let Ruling { baseline, override_list, origin } = request.ruling;
    let override_list = override_list.as_ref().filter(|_| request.operation == Operation::Apply);
    let options = apt::Options {
        max_list_age: request.max_list_age,
        counts_all_not_installed: baseline.rules.iter().any(|rule| rule.includes_non_security),
        counted_lists: Some(baseline),
        extracts: request.extracts,
        ..apt::Options::default()
    };
    let offers = read_offers(root, &inventory, started_at, &options);
    let mut problems = request.problems;
    problems.extend(host_problems.into_problems());
    let assessment = Assessment::of(problems.iter().chain(&inventory.problems).chain(&offers.problems));
    let window = verdict(request.windows, started_at);
    let outlook = Outlook { window: &window, is_paused: request.is_paused, freeze: request.freeze };
    let judgement = judge(&Case {
        inventory: &inventory,
        offers: &offers,
        baseline,
        override_list,
        product: &host.os.product(system),
        shut: &outlook.shut(&assessment),
        attempts: request.attempts,
        now: started_at,
        first_seen: request.first_seen,
        pending: &pending,
    });
    Report {
        id: request.id.into(),
        operation: request.operation,
        started_at,
        finished_at: now(),
        agent_version: request.agent_version.into(),
        host,
        baseline_id: baseline.id.clone(),
        baseline_name: baseline.name.clone(),
        baseline_origin: origin.clone(),
        inventory,
        offers,
        judgement,
        problems,
        run: request.run,
    }
}

/// What is known of the machine, with the best id that it has: configured, the cloud's, or its own. And the packages that
/// don't run on it yet as they are on disk.
fn read_facts(
    root: &Root,
    inventory: &Inventory,
    request: &ScanRequest<'_>,
    problems: &mut ProblemList,
) -> (HostFacts, Pending) {
    let machine = read_machine(root, problems);
    let container = container::find(root);
    let reboot = reboot::look(root, inventory, &machine, container.as_deref());
    let old_code =
        request.old_code.clone().unwrap_or_else(|| processes::look(root).of_packages(root, inventory));
    let live = LiveFacts {
        kernels: &reboot.kernels,
        running_kernel: machine.kernel.as_deref(),
        asked: &reboot.asked,
        old_code: &old_code,
    };
    let pending = pending::find(inventory, live);
    let own_id = || request.cloud.map_or_else(|| machine.id.clone(), |cloud| cloud.instance_id.clone());
    let facts = HostFacts {
        id: request.host_id.map_or_else(own_id, str::to_owned),
        hostname: machine.hostname.clone(),
        account: request.cloud.map(|cloud| cloud.account.clone()),
        region: request.cloud.map(|cloud| cloud.region.clone()),
        os: read_os_release(root, problems),
        architecture: inventory.native.as_str().to_owned(),
        kernel: machine.kernel,
        boot_id: machine.boot_id,
        memory_bytes: machine.memory_bytes,
        needs_reboot: reboot.need_with(&old_code),
        old_code,
        other_patchers: patchers::find(root, inventory),
    };
    (facts, pending)
}
