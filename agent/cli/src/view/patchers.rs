//! Who else patches this host, as lines for a person.

use patchd_protocol::patchers::{PatcherWire, PatchersDocument};

use super::View;
use crate::text::{Line, Style, wrapped};

pub(crate) fn lines(document: &PatchersDocument, view: &View) -> Vec<Line> {
    if document.patchers.is_empty() {
        return vec![Line::styled(Style::Good, "nobody else would patch this host by itself")];
    }
    document.patchers.iter().flat_map(|patcher| patcher_lines(patcher, view)).collect()
}

fn patcher_lines(patcher: &PatcherWire, view: &View) -> Vec<Line> {
    let name = patcher.name.as_str();
    let (style, state) = match (patcher.disabled, &patcher.evidence) {
        (true, _) => (Style::Good, "kept from installing as long as patchd is installed"),
        (false, Some(_)) => (Style::Doubtful, "may patch this host"),
        (false, None) => (Style::Plain, "does nothing by itself"),
    };
    let mut lines = vec![Line::plain(format!("{name}: ")).then(style, state)];
    if let Some(evidence) = &patcher.evidence {
        lines.extend(wrapped("  ", evidence, view.width));
    }
    let advice = match (patcher.disabled, patcher.can_be_disabled) {
        (true, _) => Some(format!("`patchctl patchers restore {name}` gives it back")),
        (false, true) => Some(format!("`patchctl patchers disable {name}` keeps it from installing")),
        (false, false) => patcher.elsewhere.clone(),
    };
    lines.extend(advice.iter().flat_map(|advice| wrapped("  ", advice, view.width)));
    lines
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use patchd_protocol::patchers::{Patcher, PatchersSchema};

    use super::*;

    #[test]
    fn each_is_told_with_what_can_be_done() {
        let one = |name: Patcher, evidence: Option<&str>, disabled| PatcherWire {
            name,
            evidence: evidence.map(str::to_owned),
            disabled,
            can_be_disabled: !name.services().is_empty(),
            elsewhere: name.elsewhere().map(str::to_owned),
        };
        let view = View { width: None, now: Timestamp::UNIX_EPOCH, is_full: true, root: None };
        let shown = |patchers| -> Vec<String> {
            let document = PatchersDocument { schema: PatchersSchema::V1, patchers };
            lines(&document, &view).iter().map(Line::to_string).collect()
        };
        assert_eq!(shown(vec![]), ["nobody else would patch this host by itself"]);
        assert_eq!(
            shown(vec![
                one(Patcher::UnattendedUpgrades, Some("it is enabled"), false),
                one(Patcher::DnfAutomatic, Some("it is enabled"), true),
            ]),
            [
                "unattended-upgrades: may patch this host",
                "  it is enabled",
                "  `patchctl patchers disable unattended-upgrades` keeps it from installing",
                "dnf-automatic: kept from installing as long as patchd is installed",
                "  it is enabled",
                "  `patchctl patchers restore dnf-automatic` gives it back",
            ]
        );
        let ssm = shown(vec![one(Patcher::AmazonSsmAgent, Some("x"), false)]);
        assert!(ssm[2].contains("aws ssm list-associations"), "{ssm:?}");
    }
}
