//! The verdict on a host in one line. It decides nothing: the report's own summary has decided.

use patchd_protocol::report::native::{AssessmentWire, ComplianceWire, ReportDocument};
use patchd_protocol::words::{PatchStateWire, ReasonWire};

use super::{problem_text, updates_text};
use crate::exit::Exit;
use crate::text::{Line, Style, counted};

/// `NOT COMPLIANT: 35 security updates missing`, and what else there is of that kind.
pub(crate) fn line(report: &ReportDocument) -> Line {
    let (style, word, text) = match report.summary.compliance {
        ComplianceWire::Compliant => {
            (Style::Good, "COMPLIANT", "every approved update is installed".to_owned())
        }
        ComplianceWire::NonCompliant => (Style::Bad, "NOT COMPLIANT", non_compliant(report)),
        ComplianceWire::Unknown => (Style::Doubtful, "CANNOT TELL", unknown(report)),
    };
    Line::styled(style, word).then(Style::Plain, format!(": {text}"))
}

/// The exit code for `--exit-code`.
pub(crate) fn exit(compliance: ComplianceWire) -> Exit {
    match compliance {
        ComplianceWire::Compliant => Exit::Done,
        ComplianceWire::NonCompliant => Exit::NotCompliant,
        ComplianceWire::Unknown => Exit::CannotTell,
    }
}

fn non_compliant(report: &ReportDocument) -> String {
    let of_state = |state: PatchStateWire| report.items.iter().filter(move |item| item.state == state);
    let missing = of_state(PatchStateWire::Missing).count();
    let security = of_state(PatchStateWire::Missing)
        .filter(|item| item.classification.as_deref() == Some("Security"))
        .count();
    let mut parts = Vec::new();
    if 0 < missing {
        parts.push(format!("{} missing", updates_text(missing, security)));
    }
    let mut part = |number, one, many| {
        if 0 < number {
            parts.push(counted(number, one, many));
        }
    };
    part(of_state(PatchStateWire::Failed).count(), "update failed", "updates failed");
    let pending = of_state(PatchStateWire::InstalledPendingReboot);
    let (restart, reboot): (Vec<_>, Vec<_>) =
        pending.partition(|item| item.reason == Some(ReasonWire::Restart));
    part(restart.len(), "update waits for a restart", "updates wait for a restart");
    part(reboot.len(), "update waits for a reboot", "updates wait for a reboot");
    part(
        of_state(PatchStateWire::InstalledRejected).count(),
        "rejected package is installed",
        "rejected packages are installed",
    );
    let mut text = parts.join(", ");
    if report.assessment == AssessmentWire::Incomplete {
        text.push_str("; more may be missing, for the assessment is incomplete");
    }
    text
}

fn unknown(report: &ReportDocument) -> String {
    match report.assessment_reasons.as_slice() {
        [] => "the assessment is incomplete".into(),
        [first] => problem_text(first),
        [first, rest @ ..] => {
            format!("{} (and {})", problem_text(first), counted(rest.len(), "more reason", "more reasons"))
        }
    }
}
