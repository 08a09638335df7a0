//! Whose word a transaction rests on, until when, and what it may do.

use std::time::Duration;

use jiff::Timestamp;
use patchd_protocol::config::ApplySettings;
use patchd_protocol::executor::RefusalCode;

use crate::refusal::Stop;
use crate::transaction::Order;
use crate::verbs::Executor;

/// Root's word for one change, now.
pub(crate) struct Permission {
    /// The window's name, or the grant's reason.
    pub(crate) word: String,
    /// When it ends: the cutoff, or the grant's end.
    pub(crate) until: Timestamp,
    pub(crate) apply: ApplySettings,
}

/// What root's policy says now of an order.
pub(crate) fn permission(executor: &Executor, order: &Order<'_>) -> Result<Permission, Stop> {
    if order.grant.is_some() {
        return Err(Stop::refused(RefusalCode::NoGrant, "this executor knows of no grants"));
    }
    let window = executor.policy.open_window((executor.now)())?;
    Ok(Permission { word: window.name, until: window.cutoff, apply: ApplySettings::default() })
}

/// How long may still be waited, so that what the order is meant to take is left before the permission ends.
pub(crate) fn time_left(executor: &Executor, order: &Order<'_>, permission: &Permission) -> Duration {
    let left = Duration::try_from(permission.until.duration_since((executor.now)())).unwrap_or_default();
    left.saturating_sub(order.estimate)
}
