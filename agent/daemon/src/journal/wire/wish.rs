//! Whose wish a run is, in the journal.

use patchd_core::plan::Plan;
use patchd_core::run::Wish;
use patchd_protocol::executor::PlanWire;
use serde::{Deserialize, Serialize};

use super::InvalidEntry;

/// How a dry run is told from others in a query.
pub(in crate::journal) const DRY_RUN: &str = "\"dry_run\"";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WishWire {
    WhatIsDue,
    ThisPlan(PlanWire),
    DryRun,
}

pub(in crate::journal) fn encode_wish(wish: &Wish) -> Result<String, serde_json::Error> {
    serde_json::to_string(&match wish {
        Wish::WhatIsDue => WishWire::WhatIsDue,
        Wish::ThisPlan(plan) => WishWire::ThisPlan(PlanWire::from(plan)),
        Wish::DryRun => WishWire::DryRun,
    })
}

pub(in crate::journal) fn decode_wish(text: &str) -> Result<Wish, InvalidEntry> {
    Ok(match serde_json::from_str::<WishWire>(text)? {
        WishWire::WhatIsDue => Wish::WhatIsDue,
        WishWire::ThisPlan(plan) => Wish::ThisPlan(Plan::try_from(&plan)?),
        WishWire::DryRun => Wish::DryRun,
    })
}
