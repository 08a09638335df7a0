//! What is told again and again, told seldom: at each tenth, or whenever the time has doubled. No clock is here.

/// The tenths of a whole that were told.
#[derive(Debug, Default)]
pub(super) struct Tenths {
    next: u16,
}

impl Tenths {
    /// Whether this place is in a tenth that was not told yet.
    pub(super) fn is_due(&mut self, permille: u16) -> bool {
        let tenth = permille.min(1000) / 100;
        let is_due = self.next <= tenth;
        if is_due {
            self.next = tenth + 1;
        }
        is_due
    }
}

/// Something that lasts.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    next: u64,
}

impl Seldom {
    /// Whether it lasts twice as long as when it was told last.
    pub(super) fn is_due(&mut self, seconds: u64) -> bool {
        let is_due = self.next <= seconds;
        if is_due {
            self.next = seconds.saturating_mul(2).max(10);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_has_eleven_places_that_are_told() {
        let mut tenths = Tenths::default();
        let due: Vec<_> = (0..=1000).filter(|&permille| tenths.is_due(permille)).collect();
        assert_eq!(due, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
        let mut tenths = Tenths::default();
        assert_eq!(
            [990, 5, 995, u16::MAX, 1000].map(|permille| tenths.is_due(permille)),
            [true, false, false, true, false]
        );
    }

    #[test]
    fn what_lasts_is_told_when_its_time_has_doubled() {
        let mut seldom = Seldom::default();
        let due: Vec<_> = (0..400).filter(|&seconds| seldom.is_due(seconds)).collect();
        assert_eq!(due, [0, 10, 20, 40, 80, 160, 320]);
        let mut seldom = Seldom::default();
        assert!(seldom.is_due(u64::MAX));
    }
}
