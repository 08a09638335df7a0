//! Whose word a transaction rests on, until when, and what it may do.

use std::time::Duration;

use jiff::Timestamp;
use patchd_core::gate;
use patchd_protocol::config::ApplySettings;
use patchd_protocol::executor::RefusalCode;

use crate::refusal::Stop;
use crate::transaction::Order;
use crate::verbs::Executor;

/// Root's word for one change, now.
pub(crate) struct Permission {
    /// The window's name, or the grant's reason, and whose word lifted a freeze.
    pub(crate) word: String,
    /// When it ends: the cutoff, or the grant's end.
    pub(crate) until: Timestamp,
    pub(crate) apply: ApplySettings,
}

/// What root's policy says now of an order.
pub(crate) fn permission(executor: &Executor, order: &Order<'_>) -> Result<Permission, Stop> {
    let now = (executor.now)();
    let grant = order.grant.map(|digest| executor.grants.find(digest, now)).transpose()?.flatten();
    let rules = executor.policy.read()?;
    let permission = rules.permission(now, &(executor.clock)(), order.plan, grant.as_ref());
    let permission = match (order.grant, grant) {
        // A window that has opened meanwhile is as good.
        (Some(_), None) => permission.map_err(|_| {
            let message = "there is no grant in force for the plan that this one is a part of";
            Stop::refused(RefusalCode::NoGrant, message)
        }),
        _ => permission,
    }?;
    let until = match &permission {
        gate::Permission::Window(occurrence) => occurrence.cutoff,
        gate::Permission::Grant(grant) => grant.until,
    };
    let word = gate::word(&permission, rules.lifted(now).as_deref());
    Ok(Permission { word, until, apply: rules.apply().clone() })
}

/// How long may still be waited, so that what the order is meant to take is left before the permission ends.
pub(crate) fn time_left(executor: &Executor, order: &Order<'_>, permission: &Permission) -> Duration {
    permission.left(executor).saturating_sub(order.estimate)
}

impl Permission {
    /// How long it lasts from now on.
    pub(crate) fn left(&self, executor: &Executor) -> Duration {
        Duration::try_from(self.until.duration_since((executor.now)())).unwrap_or_default()
    }
}
