//! A plan as a page: what goes where in which step, what it takes, what is left out and what stands in the way.

use patchd_protocol::control::GateWire;
use patchd_protocol::control::plan::{PlanDocument, PlanRoomWire, PlanStepWire};

use super::report::usual_architecture;
use super::run::{gate_text, window_text};
use super::{View, fact, package_text, size, span};
use crate::table::{Column, Table};
use crate::text::{Line, Style, counted, wrapped};

/// The whole page, but for what to do next.
pub(crate) fn lines(plan: &PlanDocument, view: &View) -> Vec<Line> {
    let mut lines = head(plan, view);
    lines.extend(steps(plan, view));
    lines.extend(removals(plan, view));
    lines.extend(rooms(plan, view));
    lines.extend(left_out(plan, view));
    lines.extend(gates(&plan.gates, view));
    lines
}

fn head(plan: &PlanDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |name: &str, text: &str| lines.extend(fact(view, name, text));
    let changes = || plan.steps.iter().flat_map(|step| &step.changes);
    let new = changes().filter(|change| change.from.is_none()).count();
    let removed: usize = plan.steps.iter().map(|step| step.removals.len()).sum();
    let mut parts = vec![format!("{} to change", counted(changes().count() - new, "package", "packages"))];
    if 0 < new {
        parts.push(format!("{new} new"));
    }
    if 0 < removed {
        parts.push(format!("{removed} to REMOVE"));
    }
    add("Plan", &format!("{} of {}", plan.run, view.when(plan.made_at)));
    add("Host", &plan.host);
    add("Packages", &format!("{}, in {}", parts.join(", "), counted(plan.steps.len(), "step", "steps")));
    add("Download", &size(plan.download_bytes));
    add("Time", &format!("about {}", span(u64::try_from(plan.estimated_seconds).unwrap_or_default())));
    add("Window", &window_text(&plan.window, view));
    add("Digest", &plan.digest);
    lines
}

fn steps(plan: &PlanDocument, view: &View) -> Vec<Line> {
    let all = plan.steps.iter().flat_map(|step| &step.changes);
    let own = usual_architecture(all.map(|change| change.architecture.as_str()));
    let mut table = Table::new(&[
        Column { title: "STEP", rank: 0 },
        Column { title: "PACKAGE", rank: 0 },
        Column { title: "FROM", rank: 0 },
        Column { title: "TO", rank: 0 },
        Column { title: "DOWNLOAD", rank: 2 },
        Column { title: "AFTER STEP", rank: 1 },
    ]);
    for step in &plan.steps {
        let (number, after) = (step.number.to_string(), after_text(step));
        let mut lead = [number.as_str(), after.as_str()];
        for change in &step.changes {
            let [number, after] = std::mem::take(&mut lead);
            table.push([
                number,
                &package_text(&change.name, &change.architecture, own),
                change.from.as_deref().unwrap_or("(new)"),
                &change.to,
                &size(change.download_bytes),
                after,
            ]);
        }
        for removal in &step.removals {
            let [number, after] = std::mem::take(&mut lead);
            table.push([number, removal, "installed", "REMOVED", "", after]);
        }
    }
    let mut lines = vec![Line::empty()];
    lines.extend(table.lines(view.width));
    lines
}

fn after_text(step: &PlanStepWire) -> String {
    step.after.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// What goes away is told once more, so that nobody overlooks it.
fn removals(plan: &PlanDocument, view: &View) -> Vec<Line> {
    let names: Vec<_> = plan.steps.iter().flat_map(|step| &step.removals).map(String::as_str).collect();
    if names.is_empty() {
        return Vec::new();
    }
    let heading = format!("THIS PLAN REMOVES {}", counted(names.len(), "PACKAGE", "PACKAGES"));
    let mut lines = vec![Line::empty(), Line::styled(Style::Bad, heading)];
    lines.extend(wrapped("  - ", &names.join(", "), view.width));
    lines
}

fn rooms(plan: &PlanDocument, view: &View) -> Vec<Line> {
    if plan.filesystems.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&[
        Column { title: "FILE SYSTEM", rank: 0 },
        Column { title: "NEEDS", rank: 0 },
        Column { title: "FREE", rank: 0 },
        Column { title: "FOR", rank: 1 },
    ]);
    for room in &plan.filesystems {
        table.push([
            &room.mount,
            &size(room.needed_bytes),
            &size(room.free_bytes),
            &room.uses.iter().map(|place| use_words(place)).collect::<Vec<_>>().join(", "),
        ]);
    }
    let mut lines = vec![Line::empty()];
    lines.extend(table.lines(view.width));
    let shortage = |room: &PlanRoomWire| room.shortage.clone();
    for shortage in plan.filesystems.iter().filter_map(shortage) {
        lines.push(Line::styled(Style::Bad, format!("NOT ENOUGH ROOM: {shortage}")));
    }
    lines
}

/// What is written there; a use of a later version stands as it is.
fn use_words(code: &str) -> &str {
    match code {
        "archives" => "downloads",
        "system" => "installed files",
        "boot" => "kernels",
        "database" => "the package database",
        "state" => "patchd's own state",
        "temporary" => "temporary files",
        other => other,
    }
}

fn left_out(plan: &PlanDocument, view: &View) -> Vec<Line> {
    if plan.left_out.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![Line::empty(), Line::styled(Style::Doubtful, "Left out, although due")];
    for left in &plan.left_out {
        lines.extend(wrapped("  - ", &format!("{}: {}", left.packages.join(", "), left.why), view.width));
    }
    lines
}

fn gates(gates: &[GateWire], view: &View) -> Vec<Line> {
    if gates.is_empty() {
        return vec![
            Line::empty(),
            Line::styled(Style::Good, "Nothing stands in the way of applying it now"),
        ];
    }
    let mut lines = vec![Line::empty(), Line::styled(Style::Doubtful, "It can't be applied now, because")];
    lines.extend(gates.iter().flat_map(|gate| wrapped("  - ", gate_text(gate), view.width)));
    lines
}

/// What a person can do with it: commands that can be run as they stand.
pub(crate) fn next_steps(plan: &PlanDocument, view: &View) -> Vec<Line> {
    let mut lines = vec![Line::empty(), Line::styled(Style::Heading, "What next")];
    let mut step = |sentence: &str, commands: &[&str]| {
        lines.extend(wrapped("  - ", sentence, view.width));
        lines.extend(commands.iter().map(|command| Line::plain(format!("      {command}"))));
    };
    let exactly = ["patchctl plan --json > plan.json", "patchctl apply --plan plan.json"];
    if plan.gates.is_empty() {
        step("apply what is due now:", &["patchctl apply"]);
        step("or keep a plan, read it, and apply exactly that or nothing:", &exactly);
        return lines;
    }
    let has = |code: &str| plan.gates.iter().any(|gate| gate.code == code);
    if has("no_window") {
        let sentence = "have patchd apply it: add a [[window]] to /etc/patchd/patchd.toml, check it:";
        step(sentence, &["patchctl config check"]);
    } else {
        step("wait: in its windows patchd applies what is due, once nothing stands in the way", &[]);
    }
    if has("paused") {
        step("end the pause:", &["patchctl resume"]);
    }
    step("keep a plan, read it, and apply exactly that or nothing:", &exactly);
    if plan.gates.iter().all(opens_by_grant) {
        step("if it can't wait, as root:", &["patchctl apply --now --reason 'why it can not wait'"]);
    }
    lines
}

/// Whether root's word opens a gate; all others stay shut whatever anybody says.
pub(crate) fn opens_by_grant(gate: &GateWire) -> bool {
    matches!(gate.code.as_str(), "no_window" | "outside_window" | "wont_fit" | "clock_untrusted")
}

#[cfg(test)]
mod tests;
