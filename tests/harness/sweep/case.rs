//! One case: a fresh host, a run that a window starts, one kill, and the host as it is when the run is over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use patchd_protocol::control::{AgentState, RunPhase};
use patchd_protocol::executor::{TransactionKind, TransactionRecord};
use patchd_protocol::report::native::OperationWire;

use super::verdict::Seen;
use crate::apt_root::{AptRoot, SealedRoot};
use crate::command;
use crate::supervised::{Supervised, Target, monotonic};
use crate::watch::{Sprung, Trap, Watch};

/// A run has so many seconds to its end, kill and restart included.
const PATIENCE: u64 = 120;

/// What is still at work of these when a run is over was forgotten.
const WORKERS: [&str; 3] = ["dpkg", "apt-get", "dpkg-deb"];

/// What is killed, and when: its text is `dpkg:57:executor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Case {
    pub watch: Watch,
    /// The number of the event, from 1.
    pub at: u64,
    pub target: Target,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.watch.name(), self.at, self.target.name())
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [watch, at, target] = parts.as_slice() else {
            bail!("{text:?} is no case; write it like dpkg:57:executor");
        };
        let watch = Watch::ALL.into_iter().find(|known| known.name() == *watch);
        let target = Target::ALL.into_iter().find(|known| known.name() == *target);
        Ok(Self {
            watch: watch.with_context(|| format!("{text:?} names no watch"))?,
            at: at.parse().with_context(|| format!("{text:?} has no number"))?,
            target: target.with_context(|| format!("{text:?} names nothing that can be killed"))?,
        })
    }
}

/// What came of a case.
#[derive(Debug)]
pub struct Ended {
    pub sprung: Sprung,
    pub seen: Seen,
    pub took: Duration,
    /// What the host's programs said.
    pub logs: String,
}

/// A run without a kill, with the events of every watch and what the programs said.
pub fn reference(world: &SealedRoot) -> Result<(Seen, BTreeMap<Watch, u64>, String)> {
    let root = world.fresh()?;
    let mut host = Supervised::start(&root)?;
    let traps = Watch::ALL.map(|watch| Trap::counting(&root, watch).map(|trap| (watch, trap)));
    host.want_patchd();
    wait_for_the_end(&mut host)?;
    let mut points = BTreeMap::new();
    for trap in traps {
        let (watch, trap) = trap?;
        points.insert(watch, trap.end()?.events);
    }
    Ok((see(&host)?, points, host.logs()))
}

/// A run with a kill.
pub fn run(world: &SealedRoot, case: Case) -> Result<Ended> {
    let began = monotonic();
    let root = world.fresh()?;
    let mut host = Supervised::start(&root)?;
    let (space, target) = (host.space(), case.target);
    let trap = Trap::killing(&root, case.watch, case.at, move || target.kill(&space))?;
    host.want_patchd();
    let mut over = wait_for_the_end(&mut host);
    let sprung = trap.end()?;
    if sprung.killed_at.is_some() && over.is_ok() {
        // It may have been killed at the very end.
        over = wait_for_the_end(&mut host);
    }
    let mut logs = host.logs();
    if let Err(error) = over {
        logs.push_str(&format!("{error:#}"));
    }
    Ok(Ended { sprung, seen: see(&host)?, took: monotonic().saturating_sub(began), logs })
}

/// Nothing is done by hand: what was killed is started again, and that is all.
fn wait_for_the_end(host: &mut Supervised<'_>) -> Result<()> {
    host.until("the run's end", PATIENCE, |host| {
        let (Ok(status), Ok(runs)) = (host.status(), host.runs()) else { return Ok(None) };
        let is_idle = status.state == AgentState::Idle && status.running.is_none();
        let is_over = runs.iter().any(|run| run.operation == OperationWire::Apply)
            && runs.iter().all(|run| run.phase == RunPhase::Concluded);
        Ok((is_idle && is_over && status.spooled_reports == 0).then_some(()))
    })
}

/// Looks at everything that there is to see.
pub fn see(host: &Supervised<'_>) -> Result<Seen> {
    let root = host.root();
    let at_work = WORKERS.iter().filter(|name| !host.space().processes(name).is_empty());
    Ok(Seen {
        at_work: at_work.map(|name| (*name).to_owned()).collect(),
        runs: host.runs().unwrap_or_default(),
        reports: host.reports()?,
        records: records(root)?,
        states: states(root)?,
        dpkg_log: root.read("/var/log/dpkg.log").unwrap_or_default(),
        left_journal: left_journal(root),
    })
}

/// Of the toy packages, by dpkg itself.
pub fn states(root: &AptRoot) -> Result<BTreeMap<String, String>> {
    let query = ["dpkg-query", "-W", "-f=${Package}|${Version}|${Status}\\n", "lab-*"];
    // It fails where a package of that name was never heard of, and lists the others all the same.
    let listed = command::finish(&mut root.command(query))?.stdout;
    let rows = listed.lines().filter_map(|line| line.split_once('|'));
    let is_there = |state: &str| !state.ends_with(" not-installed");
    Ok(rows.filter(|(_, state)| is_there(state)).map(|(name, state)| (name.into(), state.into())).collect())
}

/// What the executor began and can't have forgotten. Hooks and refreshes change no package.
fn records(root: &AptRoot) -> Result<Vec<TransactionRecord>> {
    let directory = root.at("/var/lib/patchd-executor/transactions");
    let mut records = Vec::new();
    for entry in std::fs::read_dir(&directory).into_iter().flatten() {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".intent.json") {
            let record: TransactionRecord = serde_json::from_slice(&std::fs::read(&path)?)
                .with_context(|| format!("reading {}", path.display()))?;
            if record.kind != TransactionKind::Hooks {
                records.push(record);
            }
        }
    }
    Ok(records)
}

fn left_journal(root: &AptRoot) -> usize {
    let entries = std::fs::read_dir(root.at("/var/lib/dpkg/updates")).into_iter().flatten().flatten();
    let is_entry = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_entry)).count()
}
