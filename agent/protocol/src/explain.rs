//! `patchd.explanation/1`: what a report says of one package, or of one hole, with what an operator can do about it.
//!
//! It is taken from a report alone, but for what changelogs of installed packages tell of a hole. What nothing tells is
//! "cannot tell", and never "not affected".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::native::{ItemWire, LinkWire, OfferedWire, ReportDocument, UpdateWire};
use crate::words::{PatchStateWire, ReasonWire};

/// How many names are proposed for one that is unknown.
const MAX_NEAR: usize = 5;

/// The longest question, in bytes.
pub const MAX_QUERY: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ExplanationSchema {
    #[serde(rename = "patchd.explanation/1")]
    V1,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryKindWire {
    Package,
    Cve,
    Advisory,
}

/// Whether there is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeWire {
    Known,
    /// No such package is installed.
    NotFound,
    /// Nothing on this host tells of that hole or advisory. It may be affected all the same.
    CannotTell,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplanationDocument {
    pub schema: ExplanationSchema,
    pub query: String,
    pub kind: QueryKindWire,
    pub outcome: OutcomeWire,
    /// The answer in a sentence or two.
    pub detail: String,
    /// The report that it is taken from.
    pub report: String,
    #[schema(value_type = String, format = DateTime)]
    pub assessed_at: Timestamp,
    pub packages: Vec<ExplainedWire>,
    /// What the changelogs of installed packages say of a hole or an advisory.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub fixes: Vec<FixWire>,
    /// Installed packages of a similar name, where there is none of this one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub near: Vec<String>,
}

/// Everything that is known of one installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedWire {
    pub name: String,
    pub architecture: String,
    pub state: PatchStateWire,
    pub installed: String,
    /// Absent where the package is at its candidate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub candidate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approved: Option<String>,
    pub offered: Vec<OfferedWire>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<ReasonWire>,
    /// The reason in a sentence; or that there is nothing to wait for.
    pub detail: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changes_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub chain: Vec<LinkWire>,
    /// What an operator can do: a command or a key of the configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub advice: Option<String>,
}

/// A version, at most as new as the installed one, whose changelog names what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FixWire {
    pub package: String,
    pub installed: String,
    /// The earliest version whose entry names it.
    pub version: String,
}

/// What kind of thing a text asks for.
pub fn kind_of(query: &str) -> QueryKindWire {
    let mut parts = query.splitn(3, '-');
    let (head, year, rest) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_dated = |part: &str| part.split(':').all(is_number);
    if head.eq_ignore_ascii_case("cve") && year.is_some_and(is_number) && rest.is_some_and(is_number) {
        return QueryKindWire::Cve;
    }
    let is_capital = head.len() >= 3 && head.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_capital && year.is_some_and(is_dated) && rest.is_none_or(is_number) {
        return QueryKindWire::Advisory;
    }
    QueryKindWire::Package
}

/// Answers from a report, and from what changelogs told of a hole or an advisory.
pub fn explain(report: &ReportDocument, query: &str, fixes: Vec<FixWire>) -> ExplanationDocument {
    let kind = kind_of(query);
    let (packages, near) = match kind {
        QueryKindWire::Package => {
            let packages = packages(report, query);
            let near = if packages.is_empty() { near(report, query) } else { Vec::new() };
            (packages, near)
        }
        QueryKindWire::Cve | QueryKindWire::Advisory => (Vec::new(), Vec::new()),
    };
    let (outcome, detail) = match kind {
        QueryKindWire::Package if packages.is_empty() => {
            (OutcomeWire::NotFound, format!("no package {query} is installed"))
        }
        QueryKindWire::Package => (OutcomeWire::Known, format!("{query} is installed")),
        QueryKindWire::Cve | QueryKindWire::Advisory if fixes.is_empty() => (
            OutcomeWire::CannotTell,
            format!(
                "cannot tell: apt's archives name no advisories and no CVEs, and no changelog of an installed package \
                 names {query}. That does not mean that this host is not affected"
            ),
        ),
        QueryKindWire::Cve | QueryKindWire::Advisory => (
            OutcomeWire::Known,
            format!(
                "{query} is named in the changelogs below, in versions that are installed here. Of other packages \
                 nothing is known"
            ),
        ),
    };
    ExplanationDocument {
        schema: ExplanationSchema::V1,
        query: query.to_owned(),
        kind,
        outcome,
        detail,
        report: report.id.clone(),
        assessed_at: report.started_at,
        packages,
        fixes,
        near,
    }
}

/// The packages of a name, or of a name and an architecture.
fn packages(report: &ReportDocument, query: &str) -> Vec<ExplainedWire> {
    let (name, architecture) = match query.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture)),
        None => (query, None),
    };
    let is_meant = |item: &&ItemWire| {
        item.name == name && architecture.is_none_or(|architecture| item.architecture == architecture)
    };
    let find = |item: &ItemWire| {
        let is_same =
            |update: &&UpdateWire| update.name == item.name && update.architecture == item.architecture;
        report.updates.iter().find(is_same)
    };
    report.items.iter().filter(is_meant).map(|item| explained(item, find(item))).collect()
}

fn explained(item: &ItemWire, update: Option<&UpdateWire>) -> ExplainedWire {
    let (reason, detail, changes_at, chain) = match update {
        Some(update) => {
            (Some(update.reason.clone()), update.detail.clone(), update.changes_at, update.chain.clone())
        }
        None => {
            let at_candidate =
                || "it is at its candidate: no source offers anything newer to this host".into();
            let detail = item.detail.clone().unwrap_or_else(at_candidate);
            (item.reason.clone(), detail, item.changes_at, item.chain.clone())
        }
    };
    let root = chain.last();
    let advice = root
        .map(|link| (&link.reason, link.package.as_str()))
        .or(reason.as_ref().map(|reason| (reason, item.name.as_str())))
        .and_then(|(reason, package)| advice(reason, package));
    ExplainedWire {
        name: item.name.clone(),
        architecture: item.architecture.clone(),
        state: item.state,
        installed: item.installed.clone(),
        candidate: update.map(|update| update.candidate.clone()),
        approved: item.approved.clone(),
        offered: update.map(|update| update.offered.clone()).unwrap_or_default(),
        reason,
        detail,
        changes_at,
        chain,
        advice,
    }
}

/// What an operator can do about a cause.
fn advice(reason: &ReasonWire, package: &str) -> Option<String> {
    let name = package.split(':').next().unwrap_or(package);
    Some(match reason {
        ReasonWire::Held => format!("`apt-mark unhold {package}` releases it"),
        ReasonWire::Pinned => {
            format!("`apt-cache policy {package}` shows the pin; it is in /etc/apt/preferences or preferences.d")
        }
        ReasonWire::Phased => "nothing has to be done: its turn comes when the publisher raises the percentage".into(),
        ReasonWire::NotApproved => {
            format!("to have it all the same, add {name:?} to ApprovedPatches of the baseline, with non-security updates if it is none")
        }
        ReasonWire::Rejected => "to allow it, take the entry out of RejectedPatches of the baseline".into(),
        ReasonWire::Conffile => {
            format!("settle the file, or write [[conffile]] packages = {name:?}, rule = \"keep\" or \"replace\"")
        }
        ReasonWire::Dependency => format!("`apt-get -s install {package}` tells what apt has against it"),
        ReasonWire::RemovalRequired => {
            "to allow it, name what would be removed in allow_removal of [apply]".into()
        }
        ReasonWire::Failed => "`patchctl runs` lists the runs, and `patchctl show RUN` what happened; it is tried again in the next window".into(),
        ReasonWire::Paused => "`patchctl resume` ends the pause".into(),
        ReasonWire::Freeze => "wait for its end, or change the [[freeze]]".into(),
        ReasonWire::NoWindow => "a [[window]] in /etc/patchd/patchd.toml turns patching on".into(),
        ReasonWire::OutsideWindow | ReasonWire::WontFit => {
            "wait for the window; what can't wait is applied by root: `patchctl apply --now --reason TEXT`".into()
        }
        ReasonWire::RefreshFailed => "see the problems of the report: `patchctl report`".into(),
        ReasonWire::DatabaseInterrupted => "an apply repairs it, or `dpkg --configure -a` by hand".into(),
        ReasonWire::Ready => "`patchctl apply` installs it now".into(),
        _ => return None,
    })
}

/// Installed packages that may have been meant.
fn near(report: &ReportDocument, query: &str) -> Vec<String> {
    let name = query.split(':').next().unwrap_or(query).to_ascii_lowercase();
    let rank = |known: &str| {
        let distance = distance(&name, known);
        if distance <= 2 { Some(distance) } else { (name.len() >= 3 && known.contains(&name)).then_some(3) }
    };
    let mut found: Vec<(usize, &str)> =
        report.items.iter().filter_map(|item| Some((rank(&item.name)?, item.name.as_str()))).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MAX_NEAR).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters differ: those put in, taken out or changed. Of lengths that differ by more than 2, their difference.
fn distance(a: &str, b: &str) -> usize {
    if 2 < a.len().abs_diff(b.len()) {
        return a.len().abs_diff(b.len());
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.bytes().enumerate() {
        let mut before = at;
        let mut left = at + 1;
        let mut next = vec![left];
        for (other, above) in b.bytes().zip(row.iter().skip(1)) {
            let changed = before + usize::from(letter != other);
            before = *above;
            left = changed.min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_told_by_its_form() {
        for (query, kind) in [
            ("openssl", QueryKindWire::Package),
            ("CVE-2026-12345", QueryKindWire::Cve),
            ("cve-2026-1234", QueryKindWire::Cve),
            ("DSA-5432-1", QueryKindWire::Advisory),
            ("USN-7001-1", QueryKindWire::Advisory),
            ("RHSA-2017:0864", QueryKindWire::Advisory),
            ("ALAS-2018-123", QueryKindWire::Advisory),
            ("linux-image-6.1.0-18-amd64", QueryKindWire::Package),
            ("fonts-3270", QueryKindWire::Package),
        ] {
            assert_eq!(kind_of(query), kind, "{query}");
        }
    }

    #[test]
    fn distances_are_counted_in_letters() {
        for (a, b, expected) in
            [("", "", 0), ("curl", "curl", 0), ("crul", "curl", 2), ("curl", "cur", 1), ("a", "abcd", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
