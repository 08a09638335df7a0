//! Civil times that recur: sets of years and months, days, and times of day. It knows no zone and no instant.
//!
//! What comes next is found by skipping whole years and months: no calendar makes it look at more months than there are
//! between 1970 and 2199.

use jiff::civil::{Date, DateTime, Time};

use super::days::Days;

/// The years that a schedule can have, as in Systems Manager.
pub(super) const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

/// Every month, as bits; bit 1 is January.
pub(super) const ALL_MONTHS: u16 = 0b1_1111_1111_1110;

/// Civil times that recur.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Calendar {
    /// In order.
    pub(super) years: Vec<i16>,
    /// Bit 1 is January.
    pub(super) months: u16,
    pub(super) days: Days,
    /// In order; the same on each day.
    pub(super) times: Vec<Time>,
}

impl Calendar {
    /// The first time after `after`, if there is another.
    pub(super) fn next_after(&self, after: DateTime) -> Option<DateTime> {
        let later = self.times.iter().find(|time| after.time() < **time);
        if let Some(time) = later
            && self.has_day(after.date())
        {
            return Some(after.date().to_datetime(*time));
        }
        let date = self.next_date(after.date().tomorrow().ok()?)?;
        Some(date.to_datetime(*self.times.first()?))
    }

    /// The first day from `from` on.
    fn next_date(&self, from: Date) -> Option<Date> {
        self.months_from(from).find_map(|month| {
            let days = self.days.in_month_of(month);
            // Within the month of `from`, the days before it have passed.
            let passed = if month == from.first_of_month() { from.day() } else { 1 };
            let day = (passed..=month.days_in_month()).find(|day| days & 1 << *day != 0)?;
            Date::new(month.year(), month.month(), day).ok()
        })
    }

    /// The first of each month that it has, from the month of `from` on.
    pub(super) fn months_from(&self, from: Date) -> impl Iterator<Item = Date> {
        let first = from.first_of_month();
        let years = self.years.iter().filter(move |year| first.year() <= **year);
        let months = (1..=12).filter(|month| self.months & 1 << *month != 0);
        years
            .flat_map(move |year| months.clone().filter_map(|month: i8| Date::new(*year, month, 1).ok()))
            .filter(move |month| first <= *month)
    }

    fn has_day(&self, date: Date) -> bool {
        self.years.binary_search(&date.year()).is_ok()
            && self.months & 1 << date.month() != 0
            && self.days.in_month_of(date) & 1 << date.day() != 0
    }
}
