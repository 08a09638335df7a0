//! What the last report says, as files that the control socket hands out: written once a run, never held in memory.
//!
//! They are copies for readers on this host. The evidence is the report in the spool and in the store.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use patchd_core::report::Report;
use patchd_core::run::RunId;
use patchd_host::durable::{self, WriteError};
use patchd_protocol::control::ComplianceSchema;
use patchd_protocol::listing::{InventoryDocument, UpdatesDocument};
use patchd_protocol::report::gzip;
use patchd_protocol::report::native::{
    AssessmentWire, BaselineWire, ItemWire, ProblemWire, ReportDocument, SummaryWire,
};
use serde::Serialize;
use thiserror::Error;

/// How many reports are kept for readers.
const KEPT_REPORTS: usize = 50;

/// Reports name every hole of a host.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// Why a document was not written.
#[derive(Debug, Error)]
pub enum DocumentError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("can't pack {name}")]
    Pack { name: String, source: io::Error },
}

/// The documents that belong to the last report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Inventory,
    Compliance,
    Updates,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Compliance => "compliance",
            Self::Updates => "updates",
        }
    }
}

/// A directory of gzipped JSON documents. All of its methods wait for the disk.
#[derive(Debug, Clone)]
pub struct Documents {
    directory: PathBuf,
}

impl Documents {
    /// The directory need not exist: the first report makes it.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Writes everything that readers may ask for about a report. `document` is the same report.
    pub fn write(&self, report: &Report, document: &ReportDocument) -> Result<(), DocumentError> {
        let reports = self.directory.join("reports");
        durable::create_directories(&reports, DIRECTORY_MODE)?;
        self.put(Kind::Inventory, &InventoryDocument::new(&report.inventory, Some(&report.offers)))?;
        self.put(Kind::Updates, &UpdatesDocument::from(report))?;
        self.put(Kind::Compliance, &Compliance::of(document))?;
        let name = format!("{}.json.gz", document.id);
        durable::atomic_write(&reports.join(&name), &pack(&name, document)?, FILE_MODE)?;
        forget_old(&reports);
        Ok(())
    }

    fn put<T: Serialize>(&self, kind: Kind, document: &T) -> Result<(), DocumentError> {
        let name = format!("{}.json.gz", kind.name());
        Ok(durable::atomic_write(&self.directory.join(&name), &pack(&name, document)?, FILE_MODE)?)
    }

    /// A document of the last report, gzipped; `None` before the first one.
    pub fn open(&self, kind: Kind) -> io::Result<Option<File>> {
        open(&self.directory.join(format!("{}.json.gz", kind.name())))
    }

    /// One of the last reports, gzipped; `None` if it is not kept here.
    pub fn open_report(&self, id: &RunId) -> io::Result<Option<File>> {
        open(&self.directory.join("reports").join(format!("{id}.json.gz")))
    }
}

/// A `ComplianceDocument` that borrows what is large.
#[derive(Serialize)]
struct Compliance<'a> {
    schema: ComplianceSchema,
    report: &'a str,
    assessed_at: jiff::Timestamp,
    baseline: &'a BaselineWire,
    assessment: AssessmentWire,
    assessment_reasons: &'a [ProblemWire],
    summary: &'a SummaryWire,
    items: &'a [ItemWire],
}

impl<'a> Compliance<'a> {
    fn of(document: &'a ReportDocument) -> Self {
        Self {
            schema: ComplianceSchema::V1,
            report: &document.id,
            assessed_at: document.started_at,
            baseline: &document.baseline,
            assessment: document.assessment,
            assessment_reasons: &document.assessment_reasons,
            summary: &document.summary,
            items: &document.items,
        }
    }
}

fn pack<T: Serialize>(name: &str, document: &T) -> Result<Vec<u8>, DocumentError> {
    gzip::pack(document, Compression::fast())
        .map_err(|source| DocumentError::Pack { name: name.into(), source })
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes all but the newest reports. Their names begin with their time; one that can't be removed is tried next time.
fn forget_old(reports: &Path) {
    let Ok(entries) = std::fs::read_dir(reports) else { return };
    let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.sort();
    let surplus = names.len().saturating_sub(KEPT_REPORTS);
    for name in names.into_iter().take(surplus) {
        if let Err(error) = std::fs::remove_file(reports.join(&name)) {
            tracing::warn!(?name, %error, "an old report could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use patchd_core::baseline::first_seen::FirstSeen;
    use patchd_core::baseline::ruling::Ruling;
    use patchd_core::baseline::system::OperatingSystem;
    use patchd_core::compliance::Attempts;
    use patchd_core::pending::OldCode;
    use patchd_core::report::Operation;
    use patchd_host::root::Root;
    use patchd_host::scan::{ScanRequest, scan};
    use patchd_protocol::control::ComplianceDocument;
    use serde::de::DeserializeOwned;

    use super::*;

    fn report(id: &str) -> Report {
        let root = tempfile::tempdir().unwrap();
        let request = ScanRequest {
            id,
            operation: Operation::Scan,
            agent_version: "0.0.0",
            host_id: Some("web1"),
            cloud: None,
            ruling: &Ruling::predefined(OperatingSystem::Debian),
            first_seen: &FirstSeen::default(),
            windows: &[],
            is_paused: false,
            freeze: None,
            attempts: &Attempts::new(),
            max_list_age: jiff::SignedDuration::from_hours(1),
            extracts: None,
            problems: vec![],
            run: None,
            old_code: Some(OldCode::default()),
        };
        scan(&Root::at(root.path()), request, || jiff::Timestamp::UNIX_EPOCH)
    }

    fn read<T: DeserializeOwned>(file: io::Result<Option<File>>) -> T {
        let mut text = String::new();
        GzDecoder::new(file.unwrap().unwrap()).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn what_is_handed_out_is_what_the_report_says() {
        let place = tempfile::tempdir().unwrap();
        let documents = Documents::new(place.path().join("documents"));
        assert!(documents.open(Kind::Inventory).unwrap().is_none());
        let report = report("20261123T100000Z-0001");
        let document = ReportDocument::from(&report);
        documents.write(&report, &document).unwrap();
        assert_eq!(read::<UpdatesDocument>(documents.open(Kind::Updates)), UpdatesDocument::from(&report));
        assert_eq!(read::<InventoryDocument>(documents.open(Kind::Inventory)).packages, []);
        let compliance: ComplianceDocument = read(documents.open(Kind::Compliance));
        assert_eq!(compliance.report, document.id);
        assert_eq!(compliance.summary, document.summary);
        let id = RunId::parse(&document.id).unwrap();
        assert_eq!(read::<ReportDocument>(documents.open_report(&id)), document);
        assert!(documents.open_report(&RunId::parse("other").unwrap()).unwrap().is_none());
    }

    #[test]
    fn the_newest_reports_are_kept() {
        let place = tempfile::tempdir().unwrap();
        let documents = Documents::new(place.path());
        for number in 0..KEPT_REPORTS + 3 {
            let report = report(&format!("20261123T100000Z-{number:04}"));
            documents.write(&report, &ReportDocument::from(&report)).unwrap();
        }
        assert_eq!(std::fs::read_dir(place.path().join("reports")).unwrap().count(), KEPT_REPORTS);
        let first = RunId::parse("20261123T100000Z-0000").unwrap();
        assert!(documents.open_report(&first).unwrap().is_none());
    }
}
