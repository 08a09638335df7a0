//! The table of a sweep: points, kills, and what came of them, for each watch and each target and in total.

use std::collections::BTreeMap;
use std::fmt;

use super::case::Case;
use super::verdict::Findings;
use crate::supervised::Target;
use crate::watch::Watch;

/// What came of some cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Row {
    cases: usize,
    /// Cases in which what was to be killed lived at the point or later.
    kills: usize,
    /// Cases after which the host was where the reference run had got.
    whole: usize,
    short: usize,
    twice: usize,
    lost: usize,
    lies: usize,
    /// Cases that could not be run or looked at.
    broken: usize,
}

/// Counts cases.
#[derive(Debug, Clone, Default)]
pub struct Table {
    points: BTreeMap<Watch, u64>,
    rows: BTreeMap<(Watch, Target), Row>,
}

impl Table {
    pub fn new(points: &BTreeMap<Watch, u64>) -> Self {
        Self { points: points.clone(), rows: BTreeMap::new() }
    }

    /// Counts a case that was run to its end.
    pub fn add(&mut self, case: Case, has_killed: bool, findings: &Findings) {
        let row = self.rows.entry((case.watch, case.target)).or_default();
        row.cases += 1;
        row.kills += usize::from(has_killed);
        row.whole += usize::from(findings.short.is_empty());
        row.short += usize::from(!findings.short.is_empty());
        row.twice += findings.twice.len();
        row.lost += findings.lost.len();
        row.lies += findings.lies.len();
    }

    /// Counts a case that the harness could not run.
    pub fn add_broken(&mut self, case: Case) {
        let row = self.rows.entry((case.watch, case.target)).or_default();
        row.cases += 1;
        row.broken += 1;
    }

    fn total(&self) -> Row {
        self.rows.values().fold(Row::default(), |sum, row| Row {
            cases: sum.cases + row.cases,
            kills: sum.kills + row.kills,
            whole: sum.whole + row.whole,
            short: sum.short + row.short,
            twice: sum.twice + row.twice,
            lost: sum.lost + row.lost,
            lies: sum.lies + row.lies,
            broken: sum.broken + row.broken,
        })
    }

    /// Whether nothing was applied twice, lost or lied about, and every case was run.
    pub fn is_clean(&self) -> bool {
        let Row { twice, lost, lies, broken, .. } = self.total();
        [twice, lost, lies, broken] == [0; 4]
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["points", "cases", "kills", "whole", "short", "twice", "lost", "lies", "broken"];
        let title: String = names.iter().map(|name| format!("{name:>8}")).collect();
        writeln!(f, "{:<9}{:<12}{title}", "watch", "killed")?;
        let line = |f: &mut fmt::Formatter<'_>, watch: &str, target: &str, points: u64, row: &Row| {
            let Row { cases, kills, whole, short, twice, lost, lies, broken } = *row;
            let numbers = [cases, kills, whole, short, twice, lost, lies, broken];
            let numbers: String = numbers.iter().map(|number| format!("{number:>8}")).collect();
            writeln!(f, "{watch:<9}{target:<12}{points:>8}{numbers}")
        };
        for ((watch, target), row) in &self.rows {
            let points = self.points.get(watch).copied().unwrap_or_default();
            line(f, watch.name(), target.name(), points, row)?;
        }
        line(f, "all", "", self.points.values().sum(), &self.total())
    }
}
