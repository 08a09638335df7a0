//! What the status says of the clock by which windows are told. It asks no clock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The clock by which windows are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockStatus {
    pub state: ClockState,
    /// Whether nothing is changed unattended unless the kernel says that its clock is synchronised
    /// (`clock.require_synchronised`). One that was set is believed by no setting.
    pub required: bool,
    /// Why it is unknown or not believed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// When the kernel was asked last; absent if it was not, or the clock was set since.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub asked_at: Option<Timestamp>,
}

/// A clock in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClockState {
    Synchronised,
    Unsynchronised,
    /// The kernel was not asked, or could not be.
    Unknown,
    /// It was set while patchd looked, or shows less than it did before.
    Distrusted,
}
