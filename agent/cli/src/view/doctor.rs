//! The doctor's findings as lines for a person: what is wrong first, what to do below it.

use patchd_protocol::doctor::{CheckVerdictWire, CheckWire, DoctorDocument};

use super::View;
use crate::text::{Line, Style, counted, wrapped};

/// All of it. What is well is told last, each in a line.
pub(crate) fn lines(document: &DoctorDocument, view: &View) -> Vec<Line> {
    let mut lines = Vec::new();
    for verdict in [
        CheckVerdictWire::Failing,
        CheckVerdictWire::CannotTell,
        CheckVerdictWire::Warning,
        CheckVerdictWire::Ok,
    ] {
        for check in document.checks.iter().filter(|check| check.verdict == verdict) {
            lines.extend(check_lines(check, view));
        }
    }
    lines.push(Line::empty());
    lines.push(summary(document));
    lines
}

fn word(verdict: CheckVerdictWire) -> (Style, &'static str) {
    match verdict {
        CheckVerdictWire::Ok => (Style::Good, "ok"),
        CheckVerdictWire::Warning => (Style::Doubtful, "warning"),
        CheckVerdictWire::CannotTell => (Style::Doubtful, "cannot tell"),
        CheckVerdictWire::Failing => (Style::Bad, "failing"),
    }
}

fn check_lines(check: &CheckWire, view: &View) -> Vec<Line> {
    let (style, word) = word(check.verdict);
    let blank = " ".repeat(13);
    let told = format!("{}: {}", check.name.title(), check.detail);
    let mut text = wrapped(&blank, &told, view.width);
    if let Some(first) = text.first_mut() {
        let told: String = first.to_string().chars().skip(13).collect();
        *first = Line::styled(style, format!("{word:<13}")).then(Style::Plain, told);
    }
    if let Some(remedy) = &check.remedy {
        text.extend(wrapped(&format!("{blank}do: "), remedy, view.width));
    }
    text
}

fn summary(document: &DoctorDocument) -> Line {
    let count = |verdict| document.checks.iter().filter(|check| check.verdict == verdict).count();
    let (failing, unknown) = (count(CheckVerdictWire::Failing), count(CheckVerdictWire::CannotTell));
    let warnings = count(CheckVerdictWire::Warning);
    let beside =
        if warnings == 0 { String::new() } else { format!("; {}", counted(warnings, "warning", "warnings")) };
    match (failing, unknown) {
        (0, 0) => Line::styled(Style::Good, format!("nothing stands in the way{beside}")),
        (0, unknown) => {
            let told = counted(unknown, "check can't be told", "checks can't be told");
            Line::styled(Style::Doubtful, format!("nothing is known to stand in the way, but {told}{beside}"))
        }
        (failing, _) => {
            let told = counted(failing, "thing stands in the way", "things stand in the way");
            Line::styled(Style::Bad, format!("{told}{beside}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use patchd_protocol::doctor::CheckName;

    use super::*;

    #[test]
    fn what_is_wrong_comes_first_with_what_to_do() {
        let checks = vec![
            CheckWire::ok(CheckName::System, "Debian 12, with apt"),
            CheckWire::warning(CheckName::Reboot, "one is pending: the kernel", "systemctl reboot"),
            CheckWire::failing(CheckName::Config, "patchd.toml:2: no", "patchctl config check"),
        ];
        let document = DoctorDocument::new("0.1.0", Timestamp::UNIX_EPOCH, checks);
        let view = View { width: Some(60), now: Timestamp::UNIX_EPOCH, is_full: true, root: None };
        let shown: Vec<_> = lines(&document, &view).iter().map(Line::to_string).collect();
        assert_eq!(
            shown,
            [
                "failing      configuration: patchd.toml:2: no",
                "             do: patchctl config check",
                "warning      reboot: one is pending: the kernel",
                "             do: systemctl reboot",
                "ok           system: Debian 12, with apt",
                "",
                "1 thing stands in the way; 1 warning",
            ]
        );
    }
}
