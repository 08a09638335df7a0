//! The closed list of what the executor does, and for each verb the one place where it is done. An auditor starts here.
//!
//! Nothing of a request is trusted: names, ids, sizes and digests are checked before anything else is looked at.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use patchd_core::inventory::Inventory;
use patchd_core::package::{Architecture, InvalidWord, PackageName};
use patchd_core::plan::Plan;
use patchd_host::clock::Synchronisation;
use patchd_host::dpkg;
use patchd_host::root::Root;
use patchd_protocol::executor::{
    MAX_CHANGES, PROTOCOL, PackageWire, PlanWire, PlannedChangeWire, ProgressWire, RefusalCode, Reply,
    Request, SimulationWire, Verb, digest, is_id,
};
use serde_json::Value;

use crate::apt::{Apt, Licence};
use crate::dpkg::Dpkg;
use crate::grant::Grants;
use crate::inhibitor::Inhibitors;
use crate::observe::{observe, old_code};
use crate::patchers::{self, Systemctl};
use crate::policy::Policy;
use crate::reboot::{self, Reboots};
use crate::record::{Held, Records};
use crate::refusal::Stop;
use crate::repair::repair;
use crate::transaction::recall::recall;
use crate::transaction::wait::{self, Guarded};
use crate::transaction::{self, Order};
use crate::{hooks, log, text};

/// How long the lists' lock is waited for: whoever holds it fetches what is wanted.
const REFRESH_LOCK_WAIT: Duration = Duration::from_secs(10 * 60);

/// Everything that the verbs work with.
#[derive(Debug)]
pub(crate) struct Executor {
    /// The host whose packages these are: `/`, but for tests.
    pub(crate) root: Root,
    pub(crate) policy: Policy,
    pub(crate) records: Records,
    pub(crate) apt: Apt,
    pub(crate) dpkg: Dpkg,
    pub(crate) grants: Grants,
    pub(crate) inhibitors: Inhibitors,
    pub(crate) reboots: Reboots,
    pub(crate) systemctl: Systemctl,
    pub(crate) now: fn() -> Timestamp,
    /// Whether somebody keeps the time right.
    pub(crate) clock: fn() -> Synchronisation,
    /// The executor was told to end: what waits only waits no longer.
    pub(crate) stopping: AtomicBool,
}

/// Who asks.
pub(crate) struct Peer<'a> {
    /// Root's word counts for more than the daemon's.
    pub(crate) uid: u32,
    /// Whether it still wants an answer.
    pub(crate) is_there: &'a dyn Fn() -> bool,
}

impl Executor {
    /// What is installed now.
    pub(crate) fn inventory(&self) -> Inventory {
        dpkg::read_inventory(&self.root)
    }

    /// Whether what only prepares a change is still of use to somebody.
    pub(crate) fn is_wanted(&self, peer: &Peer<'_>) -> bool {
        !self.stopping.load(Ordering::Relaxed) && (peer.is_there)()
    }

    /// The right to use apt. There is none on a host that is about to go down.
    pub(crate) fn hold(&self, purpose: &str) -> Result<Held, Stop> {
        let held = self.records.lock(purpose)?;
        self.reboots.check_up((self.now)())?;
        Ok(held)
    }
}

/// Where what is going on is told to.
pub(crate) type Progress<'a> = dyn FnMut(ProgressWire) + 'a;

/// A line of what a process says, as progress.
pub(crate) fn output(line: &str) -> ProgressWire {
    ProgressWire::Output { line: text::cut(line) }
}

/// Answers one request. `progress` gets the package manager's words meanwhile.
pub(crate) fn answer(
    executor: &Executor,
    request: &Request,
    peer: &Peer<'_>,
    progress: &mut Progress<'_>,
) -> Reply {
    carry_out(executor, request, peer, progress).unwrap_or_else(Reply::from)
}

fn carry_out(
    executor: &Executor,
    request: &Request,
    peer: &Peer<'_>,
    progress: &mut Progress<'_>,
) -> Result<Reply, Stop> {
    check_id("run", &request.run)?;
    match &request.verb {
        Verb::Refresh { transaction } => refresh(executor, transaction, peer, progress),
        Verb::Simulate { plan } => simulate(executor, &check_plan(plan)?, &request.run),
        Verb::Apply { transaction, plan, digest: claimed, estimate_seconds, grant } => {
            check_id("transaction", transaction)?;
            let plan = check_plan(plan)?;
            let digest = check_digest(&plan, claimed)?;
            let order = Order {
                run: &request.run,
                id: transaction,
                plan: &plan,
                digest: &digest,
                estimate: Duration::from_secs(*estimate_seconds),
                grant: grant.as_deref(),
                peer,
            };
            transaction::apply(executor, &order, progress).map(Reply::Done)
        }
        Verb::Recall { transaction, wait_seconds } => {
            check_id("transaction", transaction)?;
            let wait = Duration::from_secs(*wait_seconds);
            recall(executor, transaction, wait, peer, progress).map(Reply::Recalled)
        }
        Verb::ReadBack { packages } => {
            check_count(packages.len())?;
            packages.iter().try_for_each(check_package)?;
            let installed = crate::read_back::installed(packages, &executor.inventory());
            Ok(Reply::ReadBack { installed })
        }
        Verb::Observe { digest } => Ok(Reply::Observed(observe(executor, digest.as_deref())?)),
        Verb::Processes {} => Ok(Reply::Processes(old_code(executor))),
        Verb::Grant { .. } if peer.uid != 0 => Err(not_root(peer, "grant")),
        Verb::Patcher { .. } if peer.uid != 0 => Err(not_root(peer, "decide on other patchers")),
        Verb::Patcher { patcher, action } => {
            patchers::set(&executor.root, &executor.systemctl, *patcher, *action)
        }
        Verb::Grant { plan, digest: claimed, reason, seconds } => {
            let plan = check_plan(plan)?;
            let digest = check_digest(&plan, claimed)?;
            let grant = executor.grants.give(&plan, reason, *seconds, (executor.now)())?;
            log::info(format_args!("root grants the plan {digest} until {:.0}: {reason}", grant.until));
            Ok(Reply::Granted { until: grant.until })
        }
        Verb::Repair { transaction } => {
            check_id("transaction", transaction)?;
            repair(executor, &request.run, transaction, progress).map(Reply::Done)
        }
        Verb::RunHooks { transaction, stage } => {
            check_id("transaction", transaction)?;
            let order = hooks::Order { run: &request.run, id: transaction, stage: *stage };
            hooks::run(executor, order, progress).map(Reply::Done)
        }
        Verb::Reboot { transaction, boot_id } => {
            check_id("transaction", transaction)?;
            let order = reboot::Order { run: &request.run, id: transaction, boot_id, peer };
            reboot::reboot(executor, &order, progress).map(Reply::Done)
        }
    }
}

fn refresh(
    executor: &Executor,
    transaction: &str,
    peer: &Peer<'_>,
    progress: &mut Progress<'_>,
) -> Result<Reply, Stop> {
    check_id("transaction", transaction)?;
    let _held = executor.hold(&format!("refresh {transaction}"))?;
    let mut notes = Vec::new();
    wait::until_free(executor, Guarded::Lists, REFRESH_LOCK_WAIT, peer.is_there, progress, &mut notes)?;
    let refreshed =
        executor.apt.refresh(&|| executor.is_wanted(peer), progress).map_err(|error| Stop::failed(&error))?;
    Ok(Reply::Refreshed(refreshed))
}

/// What only root may say, said by somebody else.
fn not_root(peer: &Peer<'_>, what: &str) -> Stop {
    let message = format!("only root may {what}, and uid {} asks", peer.uid);
    Stop::refused(RefusalCode::NotAuthorised, message)
}

fn simulate(executor: &Executor, plan: &Plan, run: &str) -> Result<Reply, Stop> {
    let _held = executor.hold(&format!("dry run of {run}"))?;
    let simulated = executor
        .apt
        .simulate(plan, Licence::EVERYTHING, &executor.inventory())
        .map_err(|error| Stop::failed(&error))?;
    Ok(Reply::Simulated(SimulationWire {
        changes: simulated.changes.iter().map(PlannedChangeWire::from).collect(),
        removals: simulated.removals.iter().map(PackageWire::from).collect(),
        refusal: simulated.refusal.as_deref().map(text::cut),
    }))
}

/// Makes a request of what came over the socket. A verb that this executor does not know is refused by its name.
pub(crate) fn decode(message: Value) -> Result<Request, Stop> {
    let malformed = |message: String| Stop::refused(RefusalCode::Malformed, text::cut(&message));
    let asked = message.get("protocol").and_then(Value::as_u64);
    if asked != Some(PROTOCOL.into()) {
        let asked = asked.map_or_else(|| "none".into(), |asked| asked.to_string());
        let text = format!("this executor speaks protocol {PROTOCOL}, and the request {asked}");
        return Err(Stop::refused(RefusalCode::Protocol, text));
    }
    let name = match message.get("verb") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Object(verb)) => verb.keys().next().map(String::as_str),
        _ => None,
    };
    match name {
        None => return Err(malformed("the request has no verb".into())),
        Some(name) if !Verb::NAMES.contains(&name) => {
            let name: String = name.chars().take(64).collect();
            let text = format!("there is no verb {name:?}; this executor knows {}", Verb::NAMES.join(", "));
            return Err(Stop::refused(RefusalCode::UnknownVerb, text));
        }
        Some(_) => {}
    }
    serde_json::from_value(message).map_err(|error| malformed(format!("the request can't be read: {error}")))
}

/// The digest of the plan, which must be the one that the client claims.
fn check_digest(plan: &Plan, claimed: &str) -> Result<String, Stop> {
    let digest = digest(plan);
    if claimed == digest {
        return Ok(digest);
    }
    let message = format!("the plan's digest is {digest}, not {}", text::cut(claimed));
    Err(Stop::refused(RefusalCode::DigestMismatch, message))
}

fn check_id(what: &str, id: &str) -> Result<(), Stop> {
    if is_id(id) {
        return Ok(());
    }
    let id: String = id.chars().take(64).collect();
    Err(Stop::refused(RefusalCode::Malformed, format!("{id:?} is no id of a {what}")))
}

fn check_count(count: usize) -> Result<(), Stop> {
    if count <= MAX_CHANGES {
        return Ok(());
    }
    let message = format!("{count} packages are over the limit of {MAX_CHANGES}");
    Err(Stop::refused(RefusalCode::Malformed, message))
}

fn check_plan(plan: &PlanWire) -> Result<Plan, Stop> {
    check_count(plan.changes.len().saturating_add(plan.removals.len()))?;
    Plan::try_from(plan).map_err(|error| Stop::refused(RefusalCode::Malformed, text::cut(&error.to_string())))
}

/// A package that is asked for must have words that can be a package's; they go into the answer.
fn check_package(package: &PackageWire) -> Result<(), Stop> {
    let wrong = |error: InvalidWord| {
        Stop::refused(RefusalCode::Malformed, text::cut(&format!("{:?}: {error}", package.name)))
    };
    PackageName::parse(&package.name).map_err(wrong)?;
    Architecture::parse(&package.architecture).map_err(wrong)?;
    Ok(())
}

#[cfg(test)]
mod reboot_tests;
#[cfg(test)]
mod tests;
