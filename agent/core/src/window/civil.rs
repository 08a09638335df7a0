//! Wall clock times as instants. In a gap it is the gap's end; of a repeated time it is the first.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The instant of a wall clock time. A later time is never an earlier instant.
pub(super) fn resolve(zone: &TimeZone, civil: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { after, .. } => {
            // Read with the offset after the gap, the time lies before the transition: that is the gap's end.
            let before_gap = after.to_timestamp(civil).ok()?;
            let end = zone.following(before_gap).find(|transition| transition.offset() == after);
            end.map(|transition| transition.timestamp())
        }
    }
}
