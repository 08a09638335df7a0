//! The plan of a run as people and programs see it, made when its gates are first looked at. It settles nothing.

use jiff::SignedDuration;
use patchd_core::gate::{Observed, Shut};
use patchd_core::plan::PlannedChange;
use patchd_core::plan::need::{Footprint, Room, TRANSACTION_TIME, rooms};
use patchd_core::plan::steps::Step;
use patchd_core::run::{LeftOut, Progress, RunId};
use patchd_protocol::control::plan::{
    LeftOutWire, PlanChangeWire, PlanDocument, PlanRoomWire, PlanSchema, PlanStepWire,
};
use patchd_protocol::executor::digest;

use crate::gates::window_status;
use crate::narrative;

/// The document of a settled plan.
pub fn document(
    host: &str,
    run: &RunId,
    progress: &Progress,
    observed: &Observed,
    gates: &[Shut],
) -> PlanDocument {
    let planned = |footprint: &&Footprint| {
        progress.plan.changes().iter().any(|change| change.package == footprint.package)
    };
    let footprints: Vec<&Footprint> = progress.footprints.iter().filter(planned).collect();
    let time = progress
        .steps
        .iter()
        .fold(TRANSACTION_TIME, |time, step| time.saturating_add(progress.time_of(step)));
    PlanDocument {
        schema: PlanSchema::V1,
        digest: digest(&progress.plan),
        host: host.into(),
        run: run.to_string(),
        made_at: observed.now,
        steps: progress
            .steps
            .iter()
            .zip(1..)
            .map(|(step, number)| step_wire(progress, step, number))
            .collect(),
        download_bytes: footprints
            .iter()
            .fold(0, |sum: u64, footprint| sum.saturating_add(footprint.download_bytes)),
        estimated_seconds: time.as_secs(),
        filesystems: rooms(&footprints, &observed.filesystems).into_iter().map(room).collect(),
        left_out: progress.left_out.iter().map(left_out).collect(),
        window: window_status(&observed.window),
        gates: gates.iter().map(narrative::gate).collect(),
    }
}

fn step_wire(progress: &Progress, step: &Step, number: u64) -> PlanStepWire {
    let time: SignedDuration = progress.time_of(step);
    PlanStepWire {
        number,
        after: step.after.iter().filter_map(|&at| u64::try_from(at).ok()?.checked_add(1)).collect(),
        changes: step.changes.iter().map(|planned| change(progress, planned)).collect(),
        removals: step.removals.iter().map(ToString::to_string).collect(),
        estimated_seconds: time.as_secs(),
    }
}

fn change(progress: &Progress, change: &PlannedChange) -> PlanChangeWire {
    let footprint = progress.footprint(&change.package);
    let growth =
        |footprint: &Footprint| i128::from(footprint.installed_bytes) - i128::from(footprint.replaced_bytes);
    PlanChangeWire {
        name: change.package.name.as_str().into(),
        architecture: change.package.architecture.as_str().into(),
        from: change.from.as_ref().map(|version| version.as_str().into()),
        to: change.to.as_str().into(),
        download_bytes: footprint.map_or(0, |footprint| footprint.download_bytes),
        installed_growth_bytes: footprint
            .and_then(|footprint| i64::try_from(growth(footprint)).ok())
            .unwrap_or_default(),
    }
}

fn room(Room { mount, uses, needed_bytes, free_bytes, shortage }: Room) -> PlanRoomWire {
    let uses = uses.into_iter().map(|place| place.code().into()).collect();
    PlanRoomWire { mount, uses, needed_bytes, free_bytes, shortage }
}

fn left_out(left: &LeftOut) -> LeftOutWire {
    let packages = left.packages.iter().map(ToString::to_string).collect();
    LeftOutWire { packages, why: left.why.clone() }
}
