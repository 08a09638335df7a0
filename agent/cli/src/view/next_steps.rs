//! What an operator can do about a report: sentences, and commands that can be run as they stand. It runs none.

use std::collections::BTreeSet;

use patchd_protocol::report::native::{ItemWire, ReportDocument};
use patchd_protocol::words::{AnswerWire, PatchStateWire, ReasonWire};

use super::View;
use super::old_code::restartable;
use crate::text::{Line, Style, wrapped};

/// As many package names as a command shows; with more, the command takes all packages.
const NAMES: usize = 8;

/// The steps under their heading, the one that matters most first; nothing where there is nothing to do.
pub(crate) fn lines(report: &ReportDocument, view: &View) -> Vec<Line> {
    let advice = Advice { report, root: view.root.as_deref() };
    let steps: Vec<_> = [
        advice.repair(),
        advice.refresh(),
        advice.configure_window(),
        advice.install(),
        advice.release(),
        advice.ask(),
        advice.restart(),
        advice.reboot(),
    ]
    .into_iter()
    .flatten()
    .collect();
    if steps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::empty(), Line::styled(Style::Heading, "What next")];
    for step in steps {
        lines.extend(wrapped("  - ", step.sentence, view.width));
        // Commands stay on one line, to be copied.
        lines.extend(step.command.map(|command| Line::plain(format!("      {command}"))));
    }
    lines
}

struct Step {
    sentence: &'static str,
    command: Option<String>,
}

struct Advice<'a> {
    report: &'a ReportDocument,
    /// The directory of a host that is not this one.
    root: Option<&'a str>,
}

impl Advice<'_> {
    /// A step with a command for the host that the report is about.
    fn step(&self, sentence: &'static str, command: &str) -> Step {
        let command = match self.root {
            Some(root) => format!("chroot {root} {command}"),
            None => command.to_owned(),
        };
        Step { sentence, command: Some(command) }
    }

    fn has_problem(&self, codes: &[&str]) -> bool {
        self.report.problems.iter().any(|problem| codes.contains(&problem.code.as_str()))
    }

    /// The names of the missing updates that wait for one of these reasons.
    fn missing(&self, reasons: &[ReasonWire]) -> BTreeSet<&str> {
        let waits = |item: &&ItemWire| item.reason.as_ref().is_some_and(|reason| reasons.contains(reason));
        let missing = self.report.items.iter().filter(|item| item.state == PatchStateWire::Missing);
        missing.filter(waits).map(|item| item.name.as_str()).collect()
    }

    fn repair(&self) -> Option<Step> {
        let step = self.step("a transaction was cut; finish it, as root:", "dpkg --configure -a");
        self.has_problem(&["interrupted"]).then_some(step)
    }

    fn refresh(&self) -> Option<Step> {
        let is_doubtful = self.has_problem(&["not_refreshed", "stale", "expired", "refresh_failed"]);
        let step = self.step("fetch the package lists, as root, then scan again:", "apt-get update");
        is_doubtful.then_some(step)
    }

    /// Only the daemon of a running host installs anything.
    fn configure_window(&self) -> Option<Step> {
        let waits = self.root.is_none() && !self.missing(&[ReasonWire::NoWindow]).is_empty();
        waits.then(|| Step {
            sentence: "have patchd install what is missing: add a [[window]] to /etc/patchd/patchd.toml, check it:",
            command: Some("patchctl config check".into()),
        })
    }

    fn install(&self) -> Option<Step> {
        let names = self.missing(&[ReasonWire::NoWindow, ReasonWire::OutsideWindow, ReasonWire::Ready]);
        if names.is_empty() {
            return None;
        }
        let command = if names.len() <= NAMES {
            let names: Vec<_> = names.into_iter().collect();
            format!("apt-get install --only-upgrade {}", names.join(" "))
        } else {
            "apt-get upgrade --with-new-pkgs".into()
        };
        let is_alternative = self.configure_window().is_some();
        let sentence = if is_alternative {
            "or install it by hand, as root:"
        } else {
            "install what is missing, as root:"
        };
        Some(self.step(sentence, &command))
    }

    fn release(&self) -> Option<Step> {
        let names: Vec<_> = self.missing(&[ReasonWire::Held]).into_iter().collect();
        let command = format!("apt-mark unhold {}", names.join(" "));
        (!names.is_empty())
            .then(|| self.step("release what is on hold although it is missing, as root:", &command))
    }

    /// Where the sources or other packages stand in the way, the package manager knows best which ones.
    fn ask(&self) -> Option<Step> {
        let names = self.missing(&[ReasonWire::Dependency, ReasonWire::RemovalRequired, ReasonWire::Failed]);
        let step = self
            .step("see what stands in the way of the rest; this changes nothing:", "apt-get -s dist-upgrade");
        (!names.is_empty()).then_some(step)
    }

    /// Only on the host itself: what runs in another root has other services.
    fn restart(&self) -> Option<Step> {
        let code = self.report.host.old_code.as_ref().filter(|_| self.root.is_none())?;
        let units: Vec<_> = restartable(code).into_iter().collect();
        let command = format!("systemctl restart {}", units.join(" "));
        let sentence =
            "restart what still runs code that was replaced, as root, when its users can do without it:";
        (!units.is_empty()).then(|| self.step(sentence, &command))
    }

    fn reboot(&self) -> Option<Step> {
        let needs = self.report.host.needs_reboot.answer == AnswerWire::Yes;
        let sentence = "reboot the host in its window: what runs is not what was patched on disk";
        needs.then_some(Step { sentence, command: None })
    }
}
