//! What a host would be judged to be by other baselines: it is read once, and judged as often as asked.
//!
//! Only what a baseline decides is looked at: no window, no earlier run, no reboot that is due.

use jiff::{SignedDuration, Timestamp};
use patchd_core::baseline::Baseline;
use patchd_core::baseline::first_seen::FirstSeen;
use patchd_core::baseline::system::OperatingSystem;
use patchd_core::compliance::{Attempts, Case, Judgement, judge};
use patchd_core::inventory::Inventory;
use patchd_core::offer::Offers;
use patchd_core::pending::Pending;
use patchd_core::problem::Problem;

use crate::apt::{self, read_offers};
use crate::dpkg::read_inventory;
use crate::os::read_os_release;
use crate::problem_list::ProblemList;
use crate::root::Root;

/// A host as it was read.
#[derive(Debug)]
pub struct WhatIf {
    pub system: OperatingSystem,
    product: String,
    pub inventory: Inventory,
    offers: Offers,
    host_problems: Vec<Problem>,
}

impl WhatIf {
    /// Reads the host under `root`. Package lists older than `max_list_age` at `now` are a problem.
    pub fn read(root: &Root, now: Timestamp, max_list_age: SignedDuration) -> Self {
        let mut problems = ProblemList::new("host");
        let os = read_os_release(root, &mut problems);
        let system = os.system_of_apt_host();
        let inventory = read_inventory(root);
        let options = apt::Options { max_list_age, ..apt::Options::default() };
        let offers = read_offers(root, &inventory, now, &options);
        let host_problems = problems.into_problems();
        Self { system, product: os.product(system), inventory, offers, host_problems }
    }

    /// Judges every package as of `now`. What is not installed is not counted; a version that nobody kept a date of is
    /// seen first at `now`.
    pub fn judge(&self, baseline: &Baseline, now: Timestamp) -> Judgement {
        judge(&Case {
            inventory: &self.inventory,
            offers: &self.offers,
            baseline,
            override_list: None,
            product: &self.product,
            shut: &[],
            attempts: &Attempts::default(),
            now,
            first_seen: &FirstSeen::default(),
            pending: &Pending::default(),
        })
    }

    /// Everything that was met while it was read.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.host_problems.iter().chain(&self.inventory.problems).chain(&self.offers.problems)
    }
}
