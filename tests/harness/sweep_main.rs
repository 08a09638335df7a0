//! `sweep`: what `cargo xtask sweep` runs. It needs root, changes nothing outside of roots that it makes, and ends by
//! itself.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for developers, which prints")]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use patchd_tests::sweep::case::Case;
use patchd_tests::sweep::{Sweep, Table};

const USAGE: &str = "sweep [--seed N] [--cases M] [--all] [--part N/M] [--case WATCH:NUMBER:TARGET]...";

/// What is to be run.
#[derive(Debug, Default)]
struct Wanted {
    seed: Option<u64>,
    cases: Option<usize>,
    is_all: bool,
    part: Option<(usize, usize)>,
    named: Vec<Case>,
}

fn main() -> ExitCode {
    match wanted().and_then(|wanted| sweep(&wanted)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sweep: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn wanted() -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("{word} has no value; usage: {USAGE}"));
        match word.as_str() {
            "--seed" => wanted.seed = Some(value()?.parse()?),
            "--cases" => wanted.cases = Some(value()?.parse()?),
            "--case" => wanted.named.push(value()?.parse()?),
            "--all" => wanted.is_all = true,
            "--part" => wanted.part = Some(part(&value()?)?),
            _ => bail!("what is {word}? usage: {USAGE}"),
        }
    }
    Ok(wanted)
}

/// Reads `2/3`: the second of three parts.
fn part(text: &str) -> Result<(usize, usize)> {
    let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((part, of)) if (1..=of).contains(&part) => Ok((part, of)),
        _ => bail!("{text:?} is no part; write it like 2/3"),
    }
}

/// Whether nothing was found.
fn sweep(wanted: &Wanted) -> Result<bool> {
    let sweep = Sweep::prepare()?;
    let (seed, count) = (wanted.seed.unwrap_or(1), wanted.cases.unwrap_or(45));
    let cases = match (wanted.is_all, wanted.named.as_slice()) {
        (true, _) => sweep.all(),
        (false, []) => sweep.sample(seed, count),
        (false, named) => named.to_vec(),
    };
    let cases: Vec<_> = match wanted.part {
        // Each part takes its turn, so that all of them have cases of every kind.
        Some((part, of)) => cases.into_iter().skip(part - 1).step_by(of).collect(),
        None => cases,
    };
    println!("seed {seed}: {} cases", cases.len());
    let mut table = Table::new(&sweep.points);
    for case in cases {
        match sweep.run(case) {
            Err(error) => {
                println!("{case}: could not be run: {error:#}");
                table.add_broken(case);
            }
            Ok((ended, findings)) => {
                let hit = ended.sprung.killed_at.as_deref().unwrap_or("nobody was there to be killed");
                println!(
                    "{case}: {hit}, {:.1} s, short of {}",
                    ended.took.as_secs_f64(),
                    findings.short.len()
                );
                table.add(case, ended.sprung.killed_at.is_some(), &findings);
                for line in &findings.short {
                    println!("    {line}");
                }
                if !findings.is_clean() {
                    println!("{findings:#?}\n{}\nagain: cargo xtask sweep --case {case}", ended.logs);
                }
            }
        }
    }
    println!("\n{table}");
    Ok(table.is_clean())
}
