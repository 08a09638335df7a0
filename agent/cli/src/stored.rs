//! Reports in a folder: where `--once` keeps them, and how one is found again. A store in S3 is the daemon's business.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use patchd_host::file_store::FileStore;
use patchd_host::read;
use patchd_host::root::Root;
use patchd_protocol::report::gzip;
use patchd_protocol::report::key::ReportKey;
use patchd_protocol::report::native::ReportDocument;
use patchd_protocol::store_url::StoreUrl;

use crate::exit::{Exit, Failure};

/// Where reports go unless somebody says otherwise.
pub(crate) const DEFAULT: &str = "./patchd-reports";

/// The longest report that is read, packed and unpacked, in bytes. One of 5,000 packages takes two million.
const MAX_PACKED: u64 = 16 * 1024 * 1024;
const MAX_REPORT: u64 = 64 * 1024 * 1024;

/// As many entries of one directory of a store are looked at.
const MAX_ENTRIES: usize = 100_000;

/// The folder that a person named: a path, or a URL.
pub(crate) fn open(text: &str) -> Result<FileStore, Failure> {
    if !text.contains("://") {
        let path = std::path::absolute(text).with_context(|| format!("{text:?} is no path"))?;
        return Ok(FileStore::new(path));
    }
    match text.parse::<StoreUrl>() {
        Ok(StoreUrl::File { path }) => Ok(FileStore::new(path)),
        Ok(StoreUrl::S3 { .. }) => Err(Failure::because(
            Exit::BadInput,
            format!("patchctl keeps reports in a folder only: use `patchd once scan --store {text}`"),
        )),
        Err(error) => Err(Failure::new(Exit::BadInput, error)),
    }
}

/// Keeps a report, durably, and tells where.
pub(crate) fn keep(store: &FileStore, report: &ReportDocument) -> Result<PathBuf, Failure> {
    let cannot_keep = || format!("can't keep the report in {}", store.directory().display());
    let packed = gzip::encode(report).with_context(cannot_keep)?;
    let path = store.put(ReportKey::of(report).as_str(), &packed).with_context(cannot_keep)?;
    store.replace(ReportKey::latest(report).as_str(), &packed).with_context(cannot_keep)?;
    Ok(path)
}

/// Whether what a person wrote for a report is the path of a file and no id.
pub(crate) fn is_path(text: &str) -> bool {
    text.contains('/') || text.ends_with(".json") || text.ends_with(".json.gz")
}

/// The report in a file, packed or not.
pub(crate) fn read_file(path: &Path) -> Result<ReportDocument, Failure> {
    // It is this machine's file, whatever is in it.
    let path = std::path::absolute(path).context("can't tell which directory this is")?;
    let bytes = read::read(&Root::host(), &path, MAX_REPORT).map_err(|error| {
        let exit = if error.is_absent() { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, error)
    })?;
    let is_packed = bytes.starts_with(&[0x1f, 0x8b]);
    let report = if is_packed && MAX_PACKED < bytes.len() as u64 {
        Err(anyhow::Error::msg("it is too large"))
    } else if is_packed {
        gzip::decode(&bytes, MAX_REPORT).map_err(anyhow::Error::new)
    } else {
        serde_json::from_slice(&bytes).map_err(anyhow::Error::new)
    };
    Ok(report.with_context(|| format!("{} is no report that patchctl knows", path.display()))?)
}

/// The report of this id in a store, or the newest one.
pub(crate) fn find(store: &FileStore, id: Option<&str>) -> Result<ReportDocument, Failure> {
    let mut names = vec![PathBuf::from("v1/reports")];
    // Account, region, host, report.
    for _ in 0..4 {
        let mut deeper = Vec::new();
        for name in &names {
            deeper.extend(entries(store, name)?.into_iter().map(|entry| name.join(entry)));
        }
        names = deeper;
    }
    let wanted = names.into_iter().filter(|name| {
        let (_, found) = time_and_id(name);
        id.map_or(!found.is_empty(), |id| id == found)
    });
    let newest = wanted.max_by(|a, b| time_and_id(a).cmp(&time_and_id(b)));
    match (newest, id) {
        (Some(name), _) => read_file(&store.directory().join(name)),
        (None, Some(id)) => Err(absent(store, &format!("no report {id:?}"))),
        (None, None) => Err(absent(store, "no report")),
    }
}

fn absent(store: &FileStore, what: &str) -> Failure {
    Failure::because(Exit::NotFound, format!("there is {what} in {}", store.directory().display()))
}

/// The names in a directory of the store. A file where a directory belongs has none.
fn entries(store: &FileStore, name: &Path) -> Result<Vec<OsString>, Failure> {
    match read::list(&Root::host(), store.directory().join(name), MAX_ENTRIES) {
        Ok(entries) => Ok(entries),
        Err(error) if error.is_absent() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The time and the id in the name `<time>-<operation>-<id>.json.gz`; empty if it is none.
fn time_and_id(path: &Path) -> (&str, &str) {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json.gz"));
    let mut parts = name.unwrap_or_default().splitn(3, '-');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(time), Some(_), Some(id)) => (time, id),
        _ => ("", ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sample::report;

    fn report_of(id: &str, time: &str) -> ReportDocument {
        ReportDocument { id: id.into(), started_at: time.parse().unwrap(), ..report() }
    }

    #[test]
    fn a_kept_report_is_found_by_its_id_its_path_and_as_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path().to_str().unwrap()).unwrap();
        assert_eq!(find(&store, None).unwrap_err().exit, Exit::NotFound);
        let old = report_of("20261122T000000Z-1", "2026-11-22T00:00:00Z");
        let new = report_of("20261123T000000Z-2", "2026-11-23T00:00:00Z");
        let path = keep(&store, &new).unwrap();
        keep(&store, &old).unwrap();
        assert_eq!(find(&store, None).unwrap(), new);
        assert_eq!(find(&store, Some("20261122T000000Z-1")).unwrap(), old);
        assert_eq!(find(&store, Some("1")).unwrap_err().exit, Exit::NotFound);
        assert_eq!(read_file(&path).unwrap(), new);
    }

    #[test]
    fn a_store_in_s3_is_refused_with_the_command_that_can() {
        let failure = open("s3://bucket/prefix").unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        assert!(failure.to_string().contains("`patchd once scan --store s3://bucket/prefix`"), "{failure}");
        assert_eq!(open("http://example.org/").unwrap_err().exit, Exit::BadInput);
        assert_eq!(open("file:///srv/reports").unwrap().directory(), Path::new("/srv/reports"));
    }

    #[test]
    fn what_is_no_report_is_told_by_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.json");
        std::fs::File::create(&path).unwrap();
        let failure = read_file(&path).unwrap_err();
        assert!(failure.to_string().contains("x.json is no report"), "{failure}");
        assert_eq!(read_file(&directory.path().join("y.json")).unwrap_err().exit, Exit::NotFound);
    }
}
