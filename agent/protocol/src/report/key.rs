//! Under which key a report lies, in S3 and in a directory alike. It knows no store.
//!
//! `v1/reports/<account>/<region>/<host>/<time>-<operation>-<run>.json.gz`: the reports of one host follow each other in
//! time under one prefix, which one policy statement can give to that host alone.

use std::fmt::{self, Write};

use sha2::{Digest, Sha256};

use super::native::{OperationWire, ReportDocument};

/// The longest segment that is kept as it is. A file name may have 255 bytes, a whole key in S3 1024.
const MAX_SEGMENT: usize = 100;

/// The key of an object in a store. Its segments hold letters, digits, `.`, `-` and `_` only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReportKey(String);

impl ReportKey {
    /// The key of one report. It never holds anything else.
    pub fn of(document: &ReportDocument) -> Self {
        let time = document.started_at.strftime("%Y%m%dT%H%M%SZ");
        let operation = match document.operation {
            OperationWire::Scan => "scan",
            OperationWire::Apply => "apply",
        };
        let run = segment(&document.id, "unknown-run");
        Self(format!("v1/reports/{}/{time}-{operation}-{run}.json.gz", host(document)))
    }

    /// The key that holds the newest report of a host: one listing shows a fleet as it is now.
    pub fn latest(document: &ReportDocument) -> Self {
        Self(format!("v1/latest/{}.json.gz", host(document)))
    }

    /// The same, from the key of a report: a spool knows no more of it. None if it is no key of a report.
    pub fn latest_beside(report: &str) -> Option<String> {
        let (host, _) = report.strip_prefix("v1/reports/")?.rsplit_once('/')?;
        Some(format!("v1/latest/{host}.json.gz"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReportKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn host(document: &ReportDocument) -> String {
    let host = &document.host;
    format!(
        "{}/{}/{}",
        segment(host.account.as_deref().unwrap_or_default(), "unknown-account"),
        segment(host.region.as_deref().unwrap_or_default(), "unknown-region"),
        segment(&host.id, "unknown-host"),
    )
}

/// One segment from any text: what is not safe in keys and file names is written `_` and two hex digits a byte, so that
/// two texts never share a segment, and a long one is cut and ends with its digest.
fn segment(text: &str, if_empty: &str) -> String {
    if text.is_empty() {
        return if_empty.into();
    }
    let mut safe = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || (byte == b'.' && index != 0) {
            safe.push(char::from(byte));
        } else {
            let _ = write!(safe, "_{byte:02X}");
        }
    }
    if MAX_SEGMENT < safe.len() {
        safe.truncate(MAX_SEGMENT - 34);
        safe.push_str("__");
        for byte in Sha256::digest(text).iter().take(16) {
            let _ = write!(safe, "{byte:02x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[track_caller]
    fn check(change: impl FnOnce(&mut ReportDocument), expected: &str) {
        let mut document = sample::document();
        change(&mut document);
        assert_eq!(ReportKey::of(&document).as_str(), expected);
    }

    #[test]
    fn a_report_lies_below_its_account_region_and_host() {
        check(
            |document| {
                document.host.account = Some("123456789012".into());
                document.host.region = Some("eu-central-1".into());
                document.host.id = "i-0123456789abcdef0".into();
                document.operation = OperationWire::Scan;
                document.id = "run-1".into();
            },
            "v1/reports/123456789012/eu-central-1/i-0123456789abcdef0/20261123T060000Z-scan-run-1.json.gz",
        );
        check(
            |document| {
                document.host.id = "web1.example.org".into();
                document.id = "run-2".into();
            },
            "v1/reports/unknown-account/unknown-region/web1.example.org/20261123T060000Z-apply-run-2.json.gz",
        );
        assert_eq!(
            ReportKey::latest(&sample::document()).to_string(),
            "v1/latest/unknown-account/unknown-region/sample-host.json.gz"
        );
        let report = ReportKey::of(&sample::document());
        let latest = ReportKey::latest(&sample::document());
        assert_eq!(ReportKey::latest_beside(report.as_str()).as_deref(), Some(latest.as_str()));
        assert_eq!(ReportKey::latest_beside("v2/reports/a/b"), None);
    }

    #[test]
    fn nothing_in_a_name_can_leave_its_segment() {
        let cases = [
            ("..", "_2E."),
            ("../../etc/passwd", "_2E._2F.._2Fetc_2Fpasswd"),
            ("a/b", "a_2Fb"),
            ("a_b", "a_5Fb"),
            ("a b+c%d", "a_20b_2Bc_25d"),
            ("höst\n", "h_C3_B6st_0A"),
            ("unknown", "unknown"),
        ];
        for (text, expected) in cases {
            assert_eq!(segment(text, "none"), expected, "{text:?}");
        }
        assert_eq!(segment("", "none"), "none");
    }

    #[test]
    fn a_long_name_is_cut_and_stays_unique() {
        let (one, two) = (segment(&"ä".repeat(300), ""), segment(&"ä".repeat(301), ""));
        assert_eq!(one.len(), MAX_SEGMENT);
        assert_ne!(one, two);
        let mut document = sample::document();
        document.id = "x".repeat(5000);
        document.host.id = "y".repeat(5000);
        document.host.account = Some("z".repeat(5000));
        document.host.region = Some("z".repeat(5000));
        let key = ReportKey::of(&document);
        assert!(key.as_str().len() < 500, "{key}");
        assert!(key.as_str().split('/').all(|segment| segment.len() < 200), "{key}");
    }
}
