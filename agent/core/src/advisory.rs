//! What a publisher says of a set of fixed packages: an erratum, an update notice, a patch. It reads no metadata.

use jiff::Timestamp;

/// One advisory as its publisher wrote it. Words keep the publisher's spelling; they are compared without case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Advisory {
    /// `RHSA-2017:0864`, `ALAS2023-2023-001`, `SUSE-SLE-…`
    pub id: String,
    /// `security`, `bugfix`, `enhancement`, and what else publishers call it; for SUSE the patch's category.
    pub classification: Option<String>,
    pub severity: Option<String>,
    pub cves: Vec<String>,
    /// Numbers in the publisher's bug tracker.
    pub bugzillas: Vec<u64>,
    pub issued: Option<Timestamp>,
    pub updated: Option<Timestamp>,
}
