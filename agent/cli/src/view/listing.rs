//! The lists of installed packages and of updates, as tables.

use patchd_protocol::listing::{InventoryDocument, PackageWire, UpdatesDocument};
use patchd_protocol::report::native::UpdateWire;
use patchd_protocol::words::{PackageStatusWire, WantWire};

use super::report::usual_architecture;
use super::{View, package_text, reason_sentences, reason_words, updates_text};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

/// Every installed package, and below them what is unusual.
pub(crate) fn inventory(document: &InventoryDocument<'_>, view: &View) -> Vec<Line> {
    let mut table = Table::new(&[
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "VERSION", rank: 0 },
        Column { title: "ARCHITECTURE", rank: 1 },
        Column { title: "STATE", rank: 0 },
        Column { title: "ORIGIN", rank: 3 },
        Column { title: "INSTALLED AT", rank: 2 },
    ]);
    for package in &document.packages {
        table.push([
            &package.name,
            &package.version,
            &package.architecture,
            &state_words(package),
            package.origin.as_deref().unwrap_or_default(),
            &package.installed_at.map(super::stamp).unwrap_or_default(),
        ]);
    }
    let mut lines = if document.packages.is_empty() { Vec::new() } else { table.lines(view.width) };
    let number =
        |is: fn(&PackageWire<'_>) -> bool| document.packages.iter().filter(|package| is(package)).count();
    let mut parts = vec![counted(document.packages.len(), "package installed", "packages installed")];
    let mut part = |number: usize, words: &str| {
        if 0 < number {
            parts.push(format!("{number} {words}"));
        }
    };
    part(number(|package| package.held), "on hold");
    part(number(|package| !is_sound(package)), "not sound");
    part(document.residual.len(), "removed but for its configuration");
    lines.extend(wrapped("", &parts.join(", "), view.width));
    lines.extend(view.problems("Problems", Style::Doubtful, document.problems.iter().collect()));
    lines
}

fn is_sound(package: &PackageWire<'_>) -> bool {
    matches!(
        package.status,
        PackageStatusWire::Installed
            | PackageStatusWire::TriggersAwaited
            | PackageStatusWire::TriggersPending
    ) && !package.reinstall_required
}

/// Everything about a package's state that is worth a word.
fn state_words(package: &PackageWire<'_>) -> String {
    let mut words = vec![package.status.as_str()];
    if package.reinstall_required {
        words.push("to be reinstalled");
    }
    match package.want {
        WantWire::Hold => words.push("on hold"),
        WantWire::Deinstall | WantWire::Purge => words.push("to be removed"),
        WantWire::Install | WantWire::Unknown => {}
    }
    if package.automatic {
        words.push("automatic");
    }
    words.join(", ")
}

/// Every update, security updates first, and why each waits.
pub(crate) fn updates(document: &UpdatesDocument, view: &View) -> Vec<Line> {
    let mut updates: Vec<_> = document.updates.iter().collect();
    updates.sort_by_key(|update| (!update.security, &update.name, &update.architecture));
    let security = updates.iter().filter(|update| update.security).count();
    let own = usual_architecture(updates.iter().map(|update| update.architecture.as_str()));
    let mut lines =
        if updates.is_empty() { Vec::new() } else { update_table(&updates, own).lines(view.width) };
    let mut text = format!("{} offered", updates_text(updates.len(), security));
    if !document.new_packages.is_empty() {
        let names: Vec<_> = document.new_packages.iter().map(|new| new.name.as_str()).collect();
        text.push_str(&format!("; together they bring in {}", names.join(", ")));
    }
    lines.extend(wrapped("", &text, view.width));
    let sentences = reason_sentences(updates.iter().map(|update| (&update.reason, &*update.detail)));
    lines.extend(view.reasons(sentences));
    lines.extend(view.problems("Problems", Style::Doubtful, document.problems.iter().collect()));
    lines
}

pub(crate) fn update_table(updates: &[&UpdateWire], own_architecture: &str) -> Table {
    let mut table = Table::new(&[
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "INSTALLED", rank: 0 },
        Column { title: "CANDIDATE", rank: 0 },
        Column { title: "APPROVED", rank: 2 },
        Column { title: "SECURITY", rank: 1 },
        Column { title: "WAITS", rank: 1 },
        Column { title: "ORIGIN", rank: 3 },
    ]);
    for update in updates {
        table.push([
            &package_text(&update.name, &update.architecture, own_architecture),
            &update.installed,
            &update.candidate,
            update.approved.as_deref().filter(|&approved| approved != update.candidate).unwrap_or_default(),
            if update.security { "security" } else { "" },
            &reason_words(&update.reason),
            &update.origin,
        ]);
    }
    table
}
