//! The kill sweep: a run that is cut at every point that its files show, each time by another death, and judged.
//!
//! A reference run counts the points. Cases are points times what is killed; a seed chooses some of them, and each can
//! be repeated alone by its text.

pub mod case;
mod table;
pub mod verdict;
pub mod world;

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use self::case::{Case, Ended};
pub use self::table::Table;
use self::verdict::Findings;
use crate::apt_root::SealedRoot;
use crate::supervised::Target;
use crate::watch::Watch;

/// The world, and what a run in it comes to when nobody kills anything.
#[derive(Debug)]
pub struct Sweep {
    world: SealedRoot,
    pub points: BTreeMap<Watch, u64>,
    /// Of the toy packages, by dpkg.
    pub states: BTreeMap<String, String>,
}

impl Sweep {
    /// Makes the world and has the reference run go through it.
    pub fn prepare() -> Result<Self> {
        let world = world::make(1)?;
        let (seen, points, logs) = case::reference(&world)?;
        let findings = verdict::judge(&world::ideal(), &world::reached(), &seen, false);
        if !findings.is_clean() || !findings.short.is_empty() {
            let runs = seen.reports.iter().map(|report| &report.run).collect::<Vec<_>>();
            bail!("the run is wrong without any kill: {findings:#?}\n{logs}\n{runs:#?}");
        }
        Ok(Self { world, points, states: seen.states })
    }

    /// Runs one case and judges it.
    pub fn run(&self, case: Case) -> Result<(Ended, Findings)> {
        let ended = case::run(&self.world, case)?;
        let was_cut = matches!(case.target, Target::Dpkg | Target::Apt | Target::Everything);
        let findings = verdict::judge(&world::ideal(), &self.states, &ended.seen, was_cut);
        Ok((ended, findings))
    }

    /// Every case that there is.
    pub fn all(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (&watch, &points) in &self.points {
            for at in 1..=points {
                cases.extend(Target::ALL.map(|target| Case { watch, at, target }));
            }
        }
        cases
    }

    /// So many cases by a seed: every watch with every target in turn, each at a point of chance.
    pub fn sample(&self, seed: u64, count: usize) -> Vec<Case> {
        let mut chance = Chance(seed);
        let mut kinds: Vec<(Watch, Target)> =
            Watch::ALL.iter().flat_map(|&watch| Target::ALL.map(|target| (watch, target))).collect();
        // Shuffled, so that few cases are not all of one watch.
        for at in (1..kinds.len()).rev() {
            kinds.swap(at, chance.below(at + 1));
        }
        let kinds = kinds.into_iter().cycle().take(count);
        let case = |(watch, target)| {
            let points = self.points.get(&watch).copied().unwrap_or(1).max(1);
            Case { watch, at: 1 + chance.next() % points, target }
        };
        kinds.map(case).collect()
    }
}

/// Splitmix64: the same numbers of a seed on every machine.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        number ^ (number >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap_or(1)).unwrap_or(0)
    }
}
