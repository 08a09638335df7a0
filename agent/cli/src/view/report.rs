//! A report as a page: who and how, the verdict, what is missing and why, what stood in the way, what to do next.

use std::collections::{BTreeMap, BTreeSet};

use patchd_protocol::report::native::{
    ItemWire, ReportDocument, RunWire, TransactionKindWire, TransactionWire, UpdateWire,
};
use patchd_protocol::words::{
    AnswerWire, ItemStatusWire, LevelWire, PatchStateWire, ReasonWire, VerdictWire,
};

use super::{
    ROWS, View, fact, next_steps, old_code, os_text, package_text, reason_sentences, reason_words,
    updates_text, verdict,
};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

/// The whole page.
pub(crate) fn lines(report: &ReportDocument, view: &View) -> Vec<Line> {
    let page = Page::new(report, view);
    let mut lines = page.head();
    lines.push(Line::empty());
    lines.push(verdict::line(report));
    lines.extend(report.run.iter().flat_map(|run| page.run(run)));
    for (heading, items) in page.groups() {
        lines.extend(page.group(&heading, items));
    }
    lines.extend(report.host.old_code.iter().flat_map(|code| old_code::lines(code, page.architecture, view)));
    lines.extend(page.other_updates());
    lines.extend(page.problems());
    lines.extend(next_steps::lines(report, view));
    lines
}

type Key<'a> = (&'a str, &'a str);

struct Page<'a> {
    report: &'a ReportDocument,
    view: &'a View,
    updates: BTreeMap<Key<'a>, &'a UpdateWire>,
    /// The packages of the items that are not compliant.
    wanting: BTreeSet<Key<'a>>,
    /// The architecture that most packages have: names are shown without it.
    architecture: &'a str,
}

impl<'a> Page<'a> {
    fn new(report: &'a ReportDocument, view: &'a View) -> Self {
        Self {
            report,
            view,
            updates: report
                .updates
                .iter()
                .map(|update| ((&*update.name, &*update.architecture), update))
                .collect(),
            wanting: report.items.iter().filter(is_wanting).map(key).collect(),
            architecture: usual_architecture(report.items.iter().map(|item| item.architecture.as_str())),
        }
    }

    fn head(&self) -> Vec<Line> {
        let Self { report, view, .. } = self;
        let host = &report.host;
        let mut lines = Vec::new();
        let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
        let name = if host.hostname.is_empty() || host.hostname == host.id {
            host.id.clone()
        } else {
            format!("{} ({})", host.hostname, host.id)
        };
        add("Host", &view.root.as_ref().map_or(name.clone(), |root| format!("{name}, read at {root}")));
        let kernel = host.kernel.as_ref().map(|kernel| format!("kernel {kernel}")).unwrap_or_default();
        add("System", &joined(&[&os_text(&host.os), &host.architecture, &kernel]));
        add("Baseline", &format!("{} ({})", report.baseline.name, report.baseline.id));
        if let Some(group) = &report.baseline.patch_group {
            add("Patch group", group);
        }
        if let Some(list) = &report.baseline.install_override_list {
            add("Overridden by", list);
        }
        let refreshed = report.refreshed_at.map_or_else(
            || "nothing says when they were refreshed".into(),
            |time| format!("refreshed {}", view.when(time)),
        );
        add("Lists", &refreshed);
        if let Some(because) = &report.method.because {
            add("", &format!("the package manager was asked, because {because}"));
        }
        let security = self.report.updates.iter().filter(|update| update.security).count();
        add(
            "Packages",
            &format!(
                "{} installed; offered: {}",
                report.items.len(),
                updates_text(report.updates.len(), security)
            ),
        );
        let reboot = &host.needs_reboot;
        let because = reboot.because.as_deref().map(|because| format!(": {because}")).unwrap_or_default();
        add(
            "Reboot",
            &match reboot.answer {
                AnswerWire::Yes => format!("needed{because}"),
                AnswerWire::No => "not needed".into(),
                AnswerWire::Unknown => format!("cannot tell whether it is needed{because}"),
            },
        );
        if let Some(text) = host.old_code.as_ref().and_then(old_code::fact) {
            add("In memory", &text);
        }
        for patcher in &host.other_patchers {
            add("Also here", &format!("{} ({})", patcher.name, patcher.evidence));
        }
        add("Report", &format!("{} of {}", report.id, view.when(report.finished_at)));
        lines
    }

    /// The items that are not compliant, the worst first.
    fn groups(&self) -> Vec<(String, Vec<&'a ItemWire>)> {
        let mut groups = BTreeMap::<(u8, &str), Vec<&ItemWire>>::new();
        for item in self.report.items.iter().filter(is_wanting) {
            groups.entry(group_of(item)).or_default().push(item);
        }
        for items in groups.values_mut() {
            items.sort_by_key(|item| (std::cmp::Reverse(item.level), priority_rank(item), key(item)));
        }
        groups.into_iter().map(|((_, heading), items)| (heading.to_owned(), items)).collect()
    }

    fn group(&self, heading: &str, items: Vec<&'a ItemWire>) -> Vec<Line> {
        let mut lines =
            vec![Line::empty(), Line::styled(Style::Heading, format!("{heading} ({})", items.len()))];
        let sentences = reason_sentences(
            items.iter().filter_map(|item| Some((item.reason.as_ref()?, item.detail.as_deref()?))),
        );
        let waits_differ = 1 < sentences.len();
        let mut table = Table::new(&[
            Column { title: "PACKAGE", rank: 0 },
            Column { title: "INSTALLED", rank: 0 },
            Column { title: "APPROVED", rank: 0 },
            Column { title: "CANDIDATE", rank: 2 },
            Column { title: "LEVEL", rank: 1 },
            Column { title: "PRIORITY", rank: 3 },
            Column { title: "WAITS", rank: 1 },
            Column { title: "ORIGIN", rank: 4 },
        ]);
        let (shown, rest) = self.view.limited(items, ROWS, "of them");
        for item in shown {
            let update = self.updates.get(&key(item));
            table.push([
                &package_text(&item.name, &item.architecture, self.architecture),
                &item.installed,
                item.approved.as_deref().unwrap_or_default(),
                self.other_candidate(item).unwrap_or_default(),
                &level_text(item.level),
                item.severity.as_deref().unwrap_or_default(),
                &item.reason.as_ref().filter(|_| waits_differ).map(reason_words).unwrap_or_default(),
                update.map_or("", |update| &update.origin),
            ]);
        }
        lines.extend(table.lines(self.view.width));
        lines.extend(rest);
        lines.extend(self.view.reasons(sentences));
        lines
    }

    /// The candidate, where it is not what the baseline asks for.
    fn other_candidate(&self, item: &ItemWire) -> Option<&'a str> {
        let update = self.updates.get(&(item.name.as_str(), item.architecture.as_str()))?;
        (Some(&update.candidate) != item.approved.as_ref()).then_some(&update.candidate)
    }

    /// Updates that the baseline does not ask for: a count, or all of them.
    fn other_updates(&self) -> Vec<Line> {
        let mut others: Vec<_> = self
            .report
            .updates
            .iter()
            .filter(|update| !self.wanting.contains(&(update.name.as_str(), update.architecture.as_str())))
            .collect();
        if others.is_empty() {
            return Vec::new();
        }
        others.sort_by_key(|update| (!update.security, &update.name, &update.architecture));
        let mut lines = vec![Line::empty()];
        let count = counted(others.len(), "other update", "other updates");
        let new = match self.report.new_packages.len() {
            0 => String::new(),
            number => {
                format!("; all updates together bring in {}", counted(number, "new package", "new packages"))
            }
        };
        if self.view.is_full {
            lines.push(Line::styled(Style::Heading, format!("Other updates ({})", others.len())));
            lines.extend(super::listing::update_table(&others, self.architecture).lines(self.view.width));
        } else {
            lines.push(Line::plain(format!("{count} offered{new}: --all shows them")));
        }
        let sentences = reason_sentences(others.iter().map(|update| (&update.reason, &*update.detail)));
        lines.extend(self.view.reasons(sentences));
        lines
    }

    /// What makes the verdict doubtful first, then the rest.
    fn problems(&self) -> Vec<Line> {
        let reasons = &self.report.assessment_reasons;
        let others = self.report.problems.iter().filter(|problem| !reasons.contains(problem)).collect();
        let mut lines =
            self.view.problems("The assessment is incomplete", Style::Doubtful, reasons.iter().collect());
        lines.extend(self.view.problems("Problems", Style::Heading, others));
        lines
    }

    /// What an apply changed, as it was read back.
    fn run(&self, run: &RunWire) -> Vec<Line> {
        let mut text = format!("The run {}", run_words(&run.verdict));
        if let Some(detail) = &run.detail {
            text.push_str(&format!(": {detail}"));
        }
        if let Some(permission) = &run.window {
            text.push_str(&format!("; permission: {permission}"));
        }
        let mut lines = vec![Line::empty()];
        lines.extend(wrapped("", &text, self.view.width));
        let is_apply = |transaction: &&TransactionWire| transaction.kind == TransactionKindWire::Apply;
        for transaction in run.transactions.iter().filter(is_apply) {
            lines.push(Line::empty());
            lines.push(Line::styled(
                Style::Heading,
                format!(
                    "Transaction {}: {}, {}",
                    transaction.id,
                    self.view.when(transaction.started_at),
                    counted(
                        usize::try_from(transaction.took_seconds).unwrap_or_default(),
                        "second",
                        "seconds"
                    ),
                ),
            ));
            lines.extend(
                super::run::change_table(&transaction.changes, self.architecture).lines(self.view.width),
            );
        }
        lines.extend(super::outcome::beside(run, self.view));
        lines
    }
}

fn is_wanting(item: &&ItemWire) -> bool {
    item.status == ItemStatusWire::NonCompliant
}

fn key(item: &ItemWire) -> Key<'_> {
    (&item.name, &item.architecture)
}

/// The group that an item is shown in, in the order of the groups.
fn group_of(item: &ItemWire) -> (u8, &'static str) {
    match (item.state, item.classification.as_deref()) {
        (PatchStateWire::Missing, Some("Security")) => (0, "Missing security updates"),
        (PatchStateWire::Missing, _) => (1, "Missing other updates"),
        (PatchStateWire::Failed, _) => (2, "Failed to install"),
        (PatchStateWire::InstalledPendingReboot, _) => match item.reason {
            Some(ReasonWire::Restart) => (3, "Installed, but in use only after a restart"),
            _ => (4, "Installed, but in use only after a reboot"),
        },
        (PatchStateWire::InstalledRejected, _) => (5, "Installed, but rejected by the baseline"),
        (PatchStateWire::Installed | PatchStateWire::InstalledOther, _) => (6, "Not compliant"),
    }
}

fn level_text(level: LevelWire) -> String {
    if level == LevelWire::Unspecified { String::new() } else { level.as_str().to_ascii_lowercase() }
}

/// dpkg's priorities, the most needed first.
fn priority_rank(item: &ItemWire) -> u8 {
    match item.severity.as_deref() {
        Some("required") => 0,
        Some("important") => 1,
        Some("standard") => 2,
        Some("optional") => 3,
        _ => 4,
    }
}

fn run_words(verdict: &VerdictWire) -> &str {
    match verdict {
        VerdictWire::Succeeded => "succeeded",
        VerdictWire::Partial => "succeeded in part",
        VerdictWire::Refused => "changed nothing",
        VerdictWire::Failed => "failed",
        VerdictWire::Other(word) => word,
    }
}

/// The architecture that most packages have, not counting `all`.
pub(crate) fn usual_architecture<'a>(architectures: impl Iterator<Item = &'a str>) -> &'a str {
    let mut counts = BTreeMap::<&str, usize>::new();
    for architecture in architectures.filter(|&architecture| architecture != "all") {
        *counts.entry(architecture).or_default() += 1;
    }
    counts.into_iter().max_by_key(|&(_, count)| count).map_or("", |(architecture, _)| architecture)
}

/// The parts that say something, with commas.
fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
