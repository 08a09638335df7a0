//! What a dry run of apt-get comes to for the executor: what it says, read by `patchd_host`, or why apt would not do it.

use patchd_core::inventory::Inventory;
use patchd_core::package::PackageId;
use patchd_core::plan::PlannedChange;
use patchd_host::apt::simulation;
pub(crate) use patchd_host::apt::simulation::UnreadableSimulation;

/// The most lines of apt's refusal that are passed on.
const MAX_REFUSAL_LINES: usize = 20;

/// What a dry run says. Changes and removals are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Simulation {
    pub(crate) changes: Vec<PlannedChange>,
    pub(crate) removals: Vec<PackageId>,
    /// Why apt would not do it, in its own words.
    pub(crate) refusal: Option<String>,
}

impl Simulation {
    /// A dry run that ended with an error.
    pub(super) fn refused(errors: &str, code: Option<i32>) -> Self {
        let lines = errors.lines().filter_map(|line| line.strip_prefix("E: ")).take(MAX_REFUSAL_LINES);
        let lines: Vec<_> = lines.collect();
        let words = match (lines.as_slice(), code) {
            ([], Some(code)) => format!("apt-get ended with {code} and gave no reason"),
            ([], None) => "a signal ended apt-get".into(),
            (lines, _) => lines.join("; "),
        };
        Self { refusal: Some(words), ..Self::default() }
    }

    /// Reads the output of a dry run. The inventory tells which package a line without architecture means.
    pub(crate) fn parse(output: &str, inventory: &Inventory) -> Result<Self, UnreadableSimulation> {
        let simulation::Simulation { changes, removals } = simulation::Simulation::parse(output, inventory)?;
        Ok(Self { changes, removals, refusal: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_apts_words() {
        let errors = "W: something\nE: Held packages were changed and -y was used without --allow-change-held-packages.\n";
        let refused = Simulation::refused(errors, Some(100));
        assert_eq!(
            refused.refusal.as_deref(),
            Some("Held packages were changed and -y was used without --allow-change-held-packages.")
        );
        assert_eq!(
            Simulation::refused("", Some(100)).refusal.as_deref(),
            Some("apt-get ended with 100 and gave no reason")
        );
    }
}
