//! What earlier applies tried in vain, and why the last one left a reboot waiting, from the reports that are kept on this host: a scan tells of it as long as the same
//! version is installed and the same one is asked for. Whether that holds is the judgement's to see.

use std::fs::File;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use patchd_core::compliance::{Attempt, Attempts};
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::reason::Cause;
use patchd_core::run::RunId;
use patchd_host::machine;
use patchd_protocol::report::native::OperationWire;
use serde::Deserialize;

use crate::clock::Clock;
use crate::documents::Documents;

use super::Machine;

/// How many runs are looked through, and how many of their applies' reports are read, the newest first.
const RUNS: u32 = 50;
const REPORTS: usize = 3;

/// The longest report, unpacked, in bytes.
const MAX_REPORT: u64 = 64 << 20;

/// What of a report counts here.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    host: Host,
    items: Vec<Item>,
    run: Option<Run>,
}

#[derive(Debug, Default, Deserialize)]
struct Host {
    boot_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    architecture: String,
    installed: String,
    approved: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Run {
    #[serde(default)]
    failed: Vec<Setback>,
    #[serde(default)]
    waiting: Vec<Setback>,
    reboot: Option<Reboot>,
}

/// Why the host was not rebooted at the end of a run; absent if it was.
#[derive(Debug, Deserialize)]
struct Reboot {
    detail: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Setback {
    packages: Vec<String>,
    why: String,
}

impl<C: Clock> Machine<C> {
    /// The last attempt on each package. What can't be read is no reason to hold a report up.
    pub(super) async fn attempts(&self) -> Attempts {
        let Some(documents) = self.parts.documents.clone() else { return Attempts::new() };
        let applies = self.applies().await;
        tokio::task::spawn_blocking(move || read(&documents, &applies)).await.unwrap_or_default()
    }

    /// Why the last apply did not have the host rebooted, as long as its boot is under way.
    pub(super) async fn waiting_reboot(&self) -> Option<String> {
        let documents = self.parts.documents.clone()?;
        let last = self.applies().await.into_iter().next()?;
        let told = tokio::task::spawn_blocking(move || documents.open_report(&last).ok()?.map(unpack)?.ok());
        let Told { host, run, .. } = told.await.ok()??;
        let is_of_this_boot = host.boot_id.is_some() && host.boot_id == machine::boot_id();
        run?.reboot?.detail.filter(|_| is_of_this_boot)
    }

    /// The last applies that left a report, the newest first.
    async fn applies(&self) -> Vec<RunId> {
        let applies = self.parts.journal.with(|journal| {
            let runs = journal.runs(RUNS)?.into_iter().filter(|run| run.operation == OperationWire::Apply);
            Ok(runs.filter_map(|run| RunId::parse(&run.report?).ok()).take(REPORTS).collect::<Vec<_>>())
        });
        applies.await.unwrap_or_default()
    }
}

fn read(documents: &Documents, applies: &[RunId]) -> Attempts {
    let mut attempts = Attempts::new();
    for run in applies {
        match documents.open_report(run).and_then(|file| file.map(unpack).transpose()) {
            Ok(told) => {
                for (package, attempt) in told.into_iter().flat_map(|told| of_report(run, told)) {
                    attempts.entry(package).or_insert(attempt);
                }
            }
            Err(error) => tracing::warn!(run_id = %run, %error, "what this run tried in vain can't be read"),
        }
    }
    attempts
}

fn unpack(file: File) -> io::Result<Told> {
    let stream = io::BufReader::new(GzDecoder::new(io::BufReader::new(file)).take(MAX_REPORT));
    serde_json::from_reader(stream).map_err(io::Error::from)
}

fn of_report(run: &RunId, told: Told) -> Vec<(PackageId, Attempt)> {
    let Told { items, run: Some(record), .. } = told else { return Vec::new() };
    items.into_iter().filter_map(|item| of_item(run, &record, item)).collect()
}

fn of_item(run: &RunId, record: &Run, item: Item) -> Option<(PackageId, Attempt)> {
    let name = format!("{}:{}", item.name, item.architecture);
    let find = |setbacks: &[Setback]| {
        setbacks.iter().find(|setback| setback.packages.contains(&name)).map(|setback| setback.why.clone())
    };
    let cause = match item.reason?.as_str() {
        "failed" => Cause::Failed { run: Some(run.to_string()), detail: find(&record.failed)? },
        "conffile" => Cause::Conffile { detail: find(&record.waiting).or_else(|| find(&record.failed))? },
        _ => return None,
    };
    let id = PackageId {
        name: PackageName::parse(&item.name).ok()?,
        architecture: Architecture::parse(&item.architecture).ok()?,
    };
    let (installed, wanted) = (Version::parse(&item.installed).ok()?, Version::parse(&item.approved?).ok()?);
    Some((id, Attempt { installed, wanted, cause }))
}
