//! Every rule that a plan is held against before anything is touched. What breaks one is named, so that the rest of a
//! run can go on without it.

use patchd_core::inventory::{Inventory, Want};
use patchd_core::package::{PackageId, Version};
use patchd_core::plan::Plan;
use patchd_core::problem::ProblemKind;
use patchd_core::version::VersionScheme;
use patchd_host::dpkg::audit::{Finding, audit};
use patchd_protocol::config::ApplySettings;
use patchd_protocol::executor::{PackageWire, RefusalCode};

use crate::apt::{Licence, Simulation};
use crate::refusal::Stop;
use crate::verbs::Executor;
use crate::{read_back, text};

/// How many lines of a difference a refusal tells.
const MAX_DIFFERENCES: usize = 20;

/// What the plan does beside upgrading, as far as root's policy names each package of it.
pub(crate) fn licence(plan: &Plan, rules: &ApplySettings) -> Result<Licence, Stop> {
    let mut broken = Findings::default();
    for package in plan.removals() {
        if !rules.allows_removal(package.name.as_str()) {
            broken.add(package, format!("would remove: {package}"));
        }
    }
    let mut downgrades = false;
    for change in plan.changes() {
        if change.from.as_ref().is_some_and(|from| VersionScheme::Deb.compare(&change.to, from).is_lt()) {
            downgrades = true;
            if !rules.allows_downgrade(change.package.name.as_str()) {
                broken.add(&change.package, format!("{} would go down to {}", change.package, change.to));
            }
        }
    }
    broken.refuse(RefusalCode::NotAllowed)?;
    Ok(Licence { removals: !plan.removals().is_empty(), downgrades })
}

/// The inventory, if the package database can be relied on, and apt would work with it.
pub(crate) fn sound_inventory(executor: &Executor) -> Result<Inventory, Stop> {
    let inventory = executor.inventory();
    let is_doubtful = |kind| {
        matches!(
            kind,
            ProblemKind::Unreadable | ProblemKind::Truncated | ProblemKind::TooLarge | ProblemKind::Duplicate
        )
    };
    if let Some(problem) = inventory.problems.iter().find(|problem| is_doubtful(problem.kind)) {
        return Err(Stop::Failed { message: format!("the package database is in doubt: {problem}") });
    }
    // apt refuses to work with these, or plans around them. What is merely not configured it configures on the way.
    let is_cut = |finding: &&Finding| match finding {
        Finding::Journal => true,
        Finding::Package { damage, .. } => damage.needs_archive(),
        Finding::Unreadable(_) => false,
    };
    if let Some(cut) = audit(&executor.root).iter().find(is_cut) {
        return Err(Stop::refused(RefusalCode::Interrupted, cut.to_string()));
    }
    Ok(inventory)
}

/// Refuses a plan that starts from another state than the host's.
pub(crate) fn check_start(plan: &Plan, before: &Inventory) -> Result<(), Stop> {
    let mut different = Findings::default();
    for change in plan.changes() {
        let found = read_back::find(before, &change.package);
        let installed = found.map(|installed| &installed.version);
        if installed != change.from.as_ref() {
            let text =
                |version: Option<&Version>| version.map_or("not installed", Version::as_str).to_owned();
            let (is, planned) = (text(installed), text(change.from.as_ref()));
            let line = format!("{} is {is}, and the plan starts from {planned}", change.package);
            different.add(&change.package, line);
        } else if found.is_some_and(|installed| installed.state.want == Want::Hold) {
            different.add(&change.package, format!("{} is held", change.package));
        }
    }
    for package in plan.removals() {
        if read_back::find(before, package).is_none() {
            different.add(package, format!("{package} is not installed, and the plan removes it"));
        }
    }
    different.refuse(RefusalCode::PlanDiffers)
}

/// Refuses a plan that the package manager's dry run does not reproduce to the letter.
pub(crate) fn check_simulation(plan: &Plan, simulation: &Simulation) -> Result<(), Stop> {
    if let Some(refusal) = &simulation.refusal {
        let message = format!("apt-get would not do it: {}", text::cut(refusal));
        let blamed = unknown_versions(plan, refusal);
        return Err(Stop::blaming(RefusalCode::PlanDiffers, message, blamed));
    }
    let lines = plan.difference(&simulation.changes, &simulation.removals);
    if lines.is_empty() {
        return Ok(());
    }
    let is_missing = |id: &PackageId| {
        let planned = plan.changes().iter().find(|change| change.package == *id);
        planned.is_some_and(|planned| !simulation.changes.contains(planned))
            || plan.removals().contains(id) != simulation.removals.contains(id)
    };
    let planned = plan.changes().iter().map(|change| &change.package).chain(plan.removals());
    let blamed = planned.filter(|id| is_missing(id)).map(PackageWire::from).collect();
    let removes_more = simulation.removals.iter().any(|package| !plan.removals().contains(package));
    let code = if removes_more { RefusalCode::NotAllowed } else { RefusalCode::PlanDiffers };
    Err(Stop::blaming(code, few(&lines), blamed))
}

/// The packages of the plan whose versions apt doesn't have: `Version '2' for 'app' was not found`.
fn unknown_versions(plan: &Plan, refusal: &str) -> Vec<PackageWire> {
    let names: Vec<&str> = refusal
        .split("; ")
        .filter_map(|line| line.strip_prefix("Version '")?.strip_suffix("' was not found"))
        .filter_map(|rest| rest.rsplit_once("' for '").map(|(_, name)| name))
        .collect();
    let is_named =
        |id: &&PackageId| names.iter().any(|name| *name == id.name.as_str() || *name == id.to_string());
    plan.changes().iter().map(|change| &change.package).filter(is_named).map(PackageWire::from).collect()
}

/// What breaks a rule, with whom it is about.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    blamed: Vec<PackageWire>,
}

impl Findings {
    fn add(&mut self, package: &PackageId, line: String) {
        self.lines.push(line);
        self.blamed.push(PackageWire::from(package));
    }

    fn refuse(self, code: RefusalCode) -> Result<(), Stop> {
        if self.lines.is_empty() { Ok(()) } else { Err(Stop::blaming(code, few(&self.lines), self.blamed)) }
    }
}

/// Some lines as one.
pub(crate) fn few(lines: &[String]) -> String {
    let mut text: Vec<_> = lines.iter().take(MAX_DIFFERENCES).map(|line| text::cut(line)).collect();
    if MAX_DIFFERENCES < lines.len() {
        text.push(format!("and {} more", lines.len() - MAX_DIFFERENCES));
    }
    text.join("; ")
}
