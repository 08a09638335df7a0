//! Where in a window a host begins: a place of its own, so that the hosts of a fleet don't all come at once.
//!
//! It follows from the window and a number of the host's alone, so it is the same after each restart, and it is never so
//! late that what is to be done would no longer fit. It doesn't know where the number comes from.

use jiff::{SignedDuration, Timestamp};

use super::Occurrence;

/// How much of a window is taken for spreading at most: this part of what is before its cutoff.
const LARGEST_PART: i32 = 8;

/// When a host may begin in an occurrence: never before it opens.
///
/// `longest` is how far the hosts may be spread, `host` a number that is the host's own, and `needed` what its work will
/// take, a reboot included, if that is known. What does not fit anyway begins as the window opens.
pub fn begin(
    occurrence: &Occurrence,
    host: u64,
    longest: SignedDuration,
    needed: Option<SignedDuration>,
) -> Timestamp {
    let room = occurrence.cutoff.duration_since(occurrence.start);
    let spread = (room / LARGEST_PART).min(longest).as_secs().max(0);
    let place = match u64::try_from(spread) {
        Ok(spread @ 1..) => i64::try_from(host % spread).unwrap_or_default(),
        _ => 0,
    };
    // The latest second at which the work still fits.
    let latest = needed.map_or(place, |needed| room.saturating_sub(needed).as_secs().max(0));
    let after = SignedDuration::from_secs(place.min(latest));
    occurrence.start.checked_add(after).unwrap_or(occurrence.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence() -> Occurrence {
        let at = |text: &str| text.parse().unwrap();
        Occurrence {
            start: at("2026-11-23T10:00:00Z"),
            cutoff: at("2026-11-23T12:00:00Z"),
            end: at("2026-11-23T13:00:00Z"),
            name: "night".into(),
        }
    }

    fn minutes(count: i64) -> SignedDuration {
        SignedDuration::from_mins(count)
    }

    #[track_caller]
    fn check(host: u64, longest: SignedDuration, needed: Option<SignedDuration>, expected: SignedDuration) {
        let begin = begin(&occurrence(), host, longest, needed);
        assert_eq!(begin.duration_since(occurrence().start), expected);
    }

    #[test]
    fn a_host_begins_where_its_number_says_within_the_spread() {
        check(0, minutes(15), None, minutes(0));
        check(899, minutes(15), None, SignedDuration::from_secs(899));
        check(900, minutes(15), None, minutes(0));
        // An eighth of the two hours before the cutoff is the most.
        check(
            u64::MAX,
            minutes(600),
            None,
            SignedDuration::from_secs(i64::try_from(u64::MAX % 900).unwrap()),
        );
        check(7, minutes(0), None, minutes(0));
    }

    #[test]
    fn no_host_begins_so_late_that_its_work_no_longer_fits() {
        check(890, minutes(15), Some(minutes(60)), SignedDuration::from_secs(890));
        check(890, minutes(15), Some(minutes(110)), minutes(10));
        check(890, minutes(15), Some(minutes(120)), minutes(0));
        check(890, minutes(15), Some(SignedDuration::MAX), minutes(0));
    }
}
