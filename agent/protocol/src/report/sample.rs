//! A report in which every field is present, for the tests of this crate.

use super::native::ReportDocument;

/// The JSON of it, as version 1 was first published. It must stay readable: it is only ever added to.
pub(crate) const JSON: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/report-v1.json"));

pub(crate) fn document() -> ReportDocument {
    serde_json::from_str(JSON).unwrap()
}
