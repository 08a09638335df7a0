//! A baseline in words.

use patchd_core::baseline::filter::Filter;
use patchd_core::baseline::pattern::Pattern;
use patchd_core::baseline::system::Packaging;
use patchd_core::baseline::{Baseline, ComplianceLevel, Delay, RejectedAction, Rule};
use patchd_protocol::baseline::BaselineFile;

use crate::text::{Line, Style, counted, wrapped};

/// The whole baseline, at most `width` columns wide.
pub(crate) fn show(file: &BaselineFile, width: Option<usize>) -> Vec<Line> {
    let baseline = &file.baseline;
    let title = Line::styled(Style::Heading, baseline.name.as_str());
    let mut lines =
        vec![title.then(Style::Plain, format!(" ({}) for {}", baseline.id, baseline.system.as_str()))];
    let mut paragraph = |text: &str| lines.extend(wrapped("", text, width));
    if let Some(description) = &file.description {
        paragraph(description);
    }
    if !file.patch_groups.is_empty() {
        paragraph(&format!("patch groups: {}", file.patch_groups.join(", ")));
    }
    if let Some(scope) = conditions(&baseline.global_filters) {
        paragraph(&format!("rules look only at updates whose {scope}"));
    }
    lines.extend([Line::empty(), Line::styled(Style::Heading, "Approved")]);
    for (number, rule) in (1..).zip(&baseline.rules) {
        lines.extend(wrapped(&format!("{number:>3}. "), &sentence(rule, baseline), width));
    }
    let approved = &baseline.approved;
    let which = if approved.includes_non_security { "updates" } else { "security updates" };
    let listed = match approved.level {
        ComplianceLevel::Unspecified => format!("{which} of these, at once"),
        level => format!("{which} of these, at once and at level {}", level.as_str()),
    };
    lines.extend(list(&approved.patterns, &listed, width));
    if baseline.rules.is_empty() && approved.patterns.is_empty() {
        lines.push(Line::plain("  nothing"));
    }
    let rejected = &baseline.rejected;
    if !rejected.patterns.is_empty() {
        lines.extend([Line::empty(), Line::styled(Style::Heading, "Rejected")]);
        let how = match rejected.action {
            RejectedAction::AllowAsDependency => "these, unless an approved update needs them",
            RejectedAction::Block => "these, and what needs them; not compliant where they are installed",
        };
        lines.extend(list(&rejected.patterns, how, width));
    }
    if !file.notes.is_empty() {
        lines.extend([Line::empty(), Line::styled(Style::Heading, "Without effect")]);
        for note in &file.notes {
            lines.extend(wrapped(
                "  ",
                &format!("line {}, {}: {}", note.line, note.path, note.message),
                width,
            ));
        }
    }
    lines
}

/// What one rule approves, and when.
fn sentence(rule: &Rule, baseline: &Baseline) -> String {
    let which = if rule.includes_non_security { "updates" } else { "security updates" };
    let which = match conditions(&rule.filters) {
        Some(conditions) => format!("{which} whose {conditions}"),
        None => format!("all {which}"),
    };
    let is_dateless = baseline.system.packaging() == Packaging::Deb;
    let after = if is_dateless { "this host first saw them" } else { "they were released" };
    let when = match rule.delay {
        Delay::AfterDays(0) => "at once".into(),
        Delay::AfterDays(days) if is_dateless && !baseline.delays_by_first_seen => {
            format!("at once ({} are ignored: archives have no dates of release)", counted_days(days))
        }
        Delay::AfterDays(days) => format!("{} after {after}", counted_days(days)),
        Delay::UntilDate(until) if is_dateless && !baseline.delays_by_first_seen => {
            format!("at once (the last day {until} is ignored: archives have no dates of release)")
        }
        Delay::UntilDate(until) => format!("if {after} on {until} or before"),
    };
    format!("{which}: {when}{}", level(rule.level))
}

fn counted_days(days: u16) -> String {
    counted(days.into(), "day", "days")
}

fn level(level: ComplianceLevel) -> String {
    match level {
        ComplianceLevel::Unspecified => String::new(),
        level => format!("; level {}", level.as_str()),
    }
}

/// What filters ask for, or `None` if they let everything pass.
fn conditions(filters: &[Filter]) -> Option<String> {
    let asks = |filter: &&Filter| !filter.values.iter().any(|value| value == "*");
    let condition = |filter: &Filter| format!("{} is {}", filter.key.as_str(), alternatives(&filter.values));
    let conditions: Vec<_> = filters.iter().filter(asks).map(condition).collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives(values: &[String]) -> String {
    match values {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn list(patterns: &[Pattern], heading: &str, width: Option<usize>) -> Vec<Line> {
    if patterns.is_empty() {
        return Vec::new();
    }
    let names: Vec<_> = patterns.iter().map(Pattern::as_str).collect();
    wrapped("  ", &format!("{heading}: {}", names.join(", ")), width)
}

#[cfg(test)]
mod tests {
    use patchd_core::baseline::system::OperatingSystem;
    use patchd_protocol::baseline::read;

    use super::*;

    fn shown(file: &BaselineFile) -> String {
        show(file, Some(100)).iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn predefined_baselines_in_words() {
        let debian = BaselineFile::of(Baseline::builtin(OperatingSystem::Debian));
        insta::assert_snapshot!(shown(&debian), @r"
        AWS-DebianDefaultPatchBaseline (builtin:debian) for DEBIAN

        Approved
          1. security updates whose PRIORITY is Required, Important, Standard, Optional or Extra: at once (7
             days are ignored: archives have no dates of release)
        ");
        let rocky = BaselineFile::of(Baseline::builtin(OperatingSystem::RockyLinux));
        insta::assert_snapshot!(shown(&rocky), @r"
        AWS-RockyLinuxDefaultPatchBaseline (builtin:rocky-linux) for ROCKY_LINUX

        Approved
          1. security updates whose CLASSIFICATION is Security and SEVERITY is Critical or Important: 7 days
             after they were released
          2. security updates whose CLASSIFICATION is Bugfix: 7 days after they were released
        ");
        let centos = BaselineFile::of(Baseline::builtin(OperatingSystem::CentOs));
        insta::assert_snapshot!(shown(&centos), @r"
        AWS-CentOSDefaultPatchBaseline (builtin:centos) for CENTOS

        Approved
          1. all updates: 7 days after they were released
        ");
    }

    #[test]
    fn everything_that_a_baseline_can_say() {
        let text = r#"
            name = "web-servers"
            operating_system = "debian"
            description = "What web servers get"
            patch_groups = ["QA", "DEV"]
            delays_by_first_seen = true
            approved = ["curl", "CVE-2026-1234"]
            approved_level = "high"
            approved_non_security = true
            rejected = ["docker*"]
            rejected_action = "block"
            [[global_filter]]
            key = "PRODUCT"
            values = ["Debian12"]
            [[rule]]
            section = ["web", "httpd"]
            priority = ["Required"]
            approve_after_days = 1
            level = "critical"
            [[rule]]
            approve_until_date = 2026-11-30
            non_security = true
        "#;
        let file = read("web.toml", text.as_bytes()).unwrap();
        insta::assert_snapshot!(shown(&file), @r#"
        web-servers (web-servers) for DEBIAN
        What web servers get
        patch groups: QA, DEV
        rules look only at updates whose PRODUCT is Debian12

        Approved
          1. security updates whose SECTION is web or httpd and PRIORITY is Required: 1 day after this host
             first saw them; level CRITICAL
          2. all updates: if this host first saw them on 2026-11-30 or before
          updates of these, at once and at level HIGH: curl, CVE-2026-1234

        Rejected
          these, and what needs them; not compliant where they are installed: docker*

        Without effect
          line 7, $.approved[1]: "CVE-2026-1234" matches nothing: the archives of DEBIAN name no such ids;
          name packages
        "#);
        let nothing = BaselineFile::of(Baseline::nothing("x".into(), "empty".into(), OperatingSystem::Suse));
        assert_eq!(shown(&nothing), "empty (x) for SUSE\n\nApproved\n  nothing\n");
    }
}
