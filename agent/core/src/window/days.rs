//! Which days of a month a schedule has: by number, by weekday, or counted from the month's end. It knows no zone.

use jiff::civil::Date;

/// The days of a schedule. Weekdays count from Sunday, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Days {
    /// Bit 1 is the first of the month.
    OfMonth(u32),
    /// Bit 0 is Sunday.
    OfWeek(u8),
    /// So many days before the last of the month.
    BeforeLast(i8),
    /// The day from Monday to Friday that is nearest to this one, in the same month. No such day, no start.
    NearestWorkday(i8),
    LastWorkday,
    LastOfWeekday(i8),
    /// The first to fifth such day of the month, if it has so many.
    NthOfWeekday {
        weekday: i8,
        nth: i8,
    },
}

const DAYS_OF_WEEK: i8 = 7;
const SUNDAY: i8 = 0;
const SATURDAY: i8 = 6;

impl Days {
    /// Those of the month of `date`, as bits; bit 1 is the first.
    pub(super) fn in_month_of(self, date: Date) -> u32 {
        let first = date.first_of_month().weekday().to_sunday_zero_offset();
        let length = date.days_in_month();
        let weekday = |day: i8| (first + day - 1) % DAYS_OF_WEEK;
        let nearest_workday = |day: i8| match weekday(day) {
            SATURDAY if day == 1 => 3,
            SATURDAY => day - 1,
            SUNDAY if day == length => day - 2,
            SUNDAY => day + 1,
            _ => day,
        };
        let day = match self {
            Self::OfMonth(days) => return days & all(length),
            Self::OfWeek(weekdays) => {
                let has = |day: &i8| weekdays & 1 << weekday(*day) != 0;
                return (1..=length).filter(has).fold(0, |days, day| days | bit(day));
            }
            Self::BeforeLast(days) => length - days,
            Self::NearestWorkday(day) if length < day => 0,
            Self::NearestWorkday(day) => nearest_workday(day),
            Self::LastWorkday => nearest_workday(length),
            Self::LastOfWeekday(wanted) => length - (weekday(length) - wanted).rem_euclid(DAYS_OF_WEEK),
            Self::NthOfWeekday { weekday: wanted, nth } => {
                1 + (wanted - first).rem_euclid(DAYS_OF_WEEK) + DAYS_OF_WEEK * (nth - 1)
            }
        };
        bit(day) & all(length)
    }

    /// Whether it may have two days in a row. Where that depends on the month, it may.
    pub(super) fn may_be_consecutive(self) -> bool {
        match self {
            Self::OfMonth(days) => {
                // The month may end with any of its last four days.
                let turns = days & bit(1) != 0 && days & (bit(28) | bit(29) | bit(30) | bit(31)) != 0;
                days & days >> 1 != 0 || turns
            }
            Self::OfWeek(weekdays) => {
                let rotated = weekdays >> 1 | (weekdays & 1) << SATURDAY;
                weekdays & rotated != 0
            }
            _ => false,
        }
    }
}

/// A day of the month as a bit. What no month has is none.
pub(super) fn bit(day: i8) -> u32 {
    if (1..=31).contains(&day) { 1 << day } else { 0 }
}

/// All days of a month of this length.
fn all(length: i8) -> u32 {
    (1..=length).fold(0, |days, day| days | bit(day))
}
