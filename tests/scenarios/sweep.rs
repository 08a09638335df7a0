//! A sample of the kill sweep (`cargo xtask sweep` has all of it): a run that is cut, by every death and at points of
//! chance, is carried on or told of, and nothing is applied twice, lost or lied about.

use anyhow::Result;
use patchd_tests::outcome::{is_root_or_skipped, note};
use patchd_tests::sweep::{Sweep, Table};

/// The same points every day; another seed is for `cargo xtask sweep --seed`.
const SEED: u64 = 3;
const CASES: usize = 10;

#[test]
fn a_run_that_is_killed_at_any_point_is_carried_on_or_told_of() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let sweep = Sweep::prepare()?;
    let mut table = Table::new(&sweep.points);
    let mut wrong = Vec::new();
    for case in sweep.sample(SEED, CASES) {
        let (ended, findings) = sweep.run(case)?;
        table.add(case, ended.sprung.killed_at.is_some(), &findings);
        if !findings.is_clean() {
            wrong.push(format!("cargo xtask sweep --case {case}\n{findings:#?}\n{}", ended.logs));
        }
    }
    note(&format!("seed {SEED}\n{table}"));
    assert!(wrong.is_empty(), "seed {SEED}\n{table}\n{}", wrong.join("\n"));
    Ok(())
}
