//! An explanation as a page: where a package is, what is offered, why it waits, until when, and what can be done.

use patchd_protocol::explain::{ExplainedWire, ExplanationDocument};
use patchd_protocol::words::ReasonWire;

use super::{View, fact};
use crate::table::{Column, Table};
use crate::text::{Line, Style, wrapped};

/// The whole page.
pub(crate) fn lines(document: &ExplanationDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    for package in &document.packages {
        if !lines.is_empty() {
            lines.push(Line::empty());
        }
        lines.extend(of_package(package, view));
    }
    if document.packages.is_empty() {
        lines.extend(wrapped("", &document.detail, view.width));
    }
    if !document.near.is_empty() {
        lines.extend(wrapped("", &format!("installed are: {}", document.near.join(", ")), view.width));
    }
    if !document.fixes.is_empty() {
        let mut table = Table::new(&[
            Column { title: "PACKAGE", rank: 0 },
            Column { title: "NAMED AT", rank: 0 },
            Column { title: "INSTALLED", rank: 0 },
        ]);
        for fix in &document.fixes {
            table.push([&fix.package, &fix.version, &fix.installed]);
        }
        lines.push(Line::empty());
        lines.extend(table.lines(view.width));
    }
    lines.push(Line::empty());
    let when = view.when(document.assessed_at);
    lines.extend(fact(view, "Report", &format!("{} of {when}", document.report)));
    lines
}

fn of_package(package: &ExplainedWire, view: &View) -> Vec<Line> {
    let name = format!("{}:{}", package.name, package.architecture);
    let mut lines = vec![Line::styled(Style::Heading, name)];
    let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
    add("Installed", &format!("{} ({})", package.installed, package.state.as_str()));
    if let Some(candidate) = &package.candidate {
        add("Candidate", candidate);
        add("Approved", package.approved.as_deref().unwrap_or("nothing newer"));
    }
    for offered in &package.offered {
        let mut text = format!("{} from {}: {}", offered.version, offered.origin, offered.detail);
        if let Some(time) = offered.changes_at {
            text.push_str(&format!(" ({})", view.when(time)));
        }
        add("Offered", &text);
    }
    let code = package.reason.as_ref().map(|reason| format!("{}: ", words(reason))).unwrap_or_default();
    add("Why", &format!("{code}{}", package.detail));
    for link in &package.chain {
        add("", &format!("{}: {}: {}", link.package, words(&link.reason), link.detail));
    }
    if let Some(time) = package.changes_at {
        add("Until", &view.when(time));
    } else if package.reason.as_ref().is_some_and(waits) {
        add("Until", "nobody can tell: it does not end by itself");
    }
    if let Some(advice) = &package.advice {
        add("To do", advice);
    }
    lines
}

fn words(reason: &ReasonWire) -> String {
    super::reason_words(reason)
}

/// Whether there is something to wait for.
fn waits(reason: &ReasonWire) -> bool {
    !matches!(reason, ReasonWire::Ready | ReasonWire::Phased | ReasonWire::Failed)
}

#[cfg(test)]
mod tests {
    use patchd_protocol::explain::explain;
    use patchd_protocol::report::native::{LinkWire, OfferedWire};

    use super::*;
    use crate::view::sample;
    use crate::view::tests::{shown, view};

    #[test]
    fn a_package_that_waits_tells_the_chain_the_date_and_what_to_do() {
        let mut report = sample::report();
        sample::add_missing(&mut report, "app", "optional", ReasonWire::Dependency);
        let update = report.updates.last_mut().unwrap();
        update.changes_at = "2026-12-01T00:00:00Z".parse().ok();
        update.offered = vec![OfferedWire {
            version: "1.0-1+deb12u1".into(),
            origin: "Debian-Security:12/stable-security".into(),
            approved: true,
            detail: "rule 1 approves it (HIGH)".into(),
            changes_at: None,
        }];
        update.chain = vec![LinkWire {
            package: "libbar:amd64".into(),
            reason: ReasonWire::Held,
            detail: "on hold".into(),
        }];
        let page = shown(&lines(&explain(&report, "app", vec![]), &view(None)));
        for expected in [
            "Installed  1.0-1 (Missing)",
            "Offered    1.0-1+deb12u1 from Debian-Security:12/stable-security: rule 1 approves it (HIGH)",
            "Why        dependency: ",
            "           libbar:amd64: on hold: on hold",
            "Until      2026-12-01 00:00 UTC (in 7 days)",
            "To do      `apt-mark unhold libbar:amd64` releases it",
        ] {
            assert!(page.contains(expected), "{expected}\n{page}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_with_names_that_are() {
        let mut report = sample::report();
        sample::add_missing(&mut report, "openssl", "optional", ReasonWire::Held);
        let page = shown(&lines(&explain(&report, "opensl", vec![]), &view(None)));
        assert!(page.contains("no package opensl is installed\ninstalled are: openssl\n"), "{page}");
        let page = shown(&lines(&explain(&report, "CVE-2026-12345", vec![]), &view(None)));
        assert!(
            page.contains("cannot tell") && page.contains("does not mean that this host is not affected")
        );
    }
}
