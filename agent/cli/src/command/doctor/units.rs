//! What systemd says of patchd's units.

use std::collections::BTreeMap;
use std::path::Path;

use patchd_protocol::doctor::{CheckName, CheckWire};

use crate::local;

const SERVICE: &str = "patchd.service";
const SOCKET: &str = "patchd-executor.socket";
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,Environment";

/// The units as systemd shows them.
#[derive(Debug, Default)]
pub(super) struct Units {
    blocks: Vec<BTreeMap<String, String>>,
    /// Why systemd says nothing, if it does not.
    silence: Option<String>,
    /// What the service's environment is, beside files that systemd reads at its start.
    pub(super) environment: Vec<(String, String)>,
}

impl Units {
    pub(super) async fn look() -> Self {
        // sd_booted(3)
        if !Path::new("/run/systemd/system").is_dir() {
            return Self::default();
        }
        match local::units(&[SERVICE, SOCKET], PROPERTIES).await {
            Ok(text) => Self::parse(&text),
            Err(why) => Self { silence: Some(why), ..Self::default() },
        }
    }

    fn parse(text: &str) -> Self {
        let blocks: Vec<BTreeMap<_, _>> = text
            .split("\n\n")
            .map(|block| {
                let pair =
                    |line: &str| line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
                block.lines().filter_map(pair).collect()
            })
            .filter(|block: &BTreeMap<String, String>| !block.is_empty())
            .collect();
        let environment = blocks
            .iter()
            .filter_map(|block| block.get("Environment"))
            .flat_map(|said| said.split_whitespace());
        // A value with a blank is in quotes, and of no use to what is looked at here.
        let variables = environment
            .filter(|word| !word.contains(['"', '\'', '\\']))
            .filter_map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
        Self { environment: variables.collect(), silence: None, blocks }
    }

    fn value(&self, unit: &str, key: &str) -> &str {
        let block = self.blocks.iter().find(|block| block.get("Id").is_some_and(|id| id == unit));
        block.and_then(|block| block.get(key)).map_or("", String::as_str)
    }

    /// Why the service is not there, in systemd's words.
    pub(super) fn cause(&self) -> Option<String> {
        let (active, sub) = (self.value(SERVICE, "ActiveState"), self.value(SERVICE, "SubState"));
        let result = self.value(SERVICE, "Result");
        (!active.is_empty() && active != "active")
            .then(|| format!("systemd says {active}, {sub}, result {result}"))
    }

    pub(super) fn check(&self) -> CheckWire {
        const NAME: CheckName = CheckName::Units;
        if let Some(why) = &self.silence {
            return CheckWire::cannot_tell(NAME, why.clone(), "systemctl status patchd.service");
        }
        if self.blocks.is_empty() {
            return CheckWire::ok(NAME, "there is no systemd here: patchd starts its root helper itself");
        }
        for unit in [SERVICE, SOCKET] {
            match self.value(unit, "LoadState") {
                "loaded" => {}
                "masked" => {
                    return CheckWire::failing(
                        NAME,
                        format!("{unit} is masked"),
                        format!("systemctl unmask {unit}; systemctl enable --now {unit}"),
                    );
                }
                state => {
                    let detail = format!("{unit} is {}", if state.is_empty() { "unknown" } else { state });
                    return CheckWire::failing(
                        NAME,
                        detail,
                        "install the package patchd again, then systemctl daemon-reload",
                    );
                }
            }
            let (active, sub) = (self.value(unit, "ActiveState"), self.value(unit, "SubState"));
            if active != "active" {
                let detail = format!("{unit} is {active} ({sub}), result {}", self.value(unit, "Result"));
                return CheckWire::failing(
                    NAME,
                    detail,
                    format!("systemctl enable --now {unit}; journalctl -u {unit}"),
                );
            }
        }
        let is_enabled = |unit: &&&str| self.value(unit, "UnitFileState").starts_with("enabled");
        match [SERVICE, SOCKET].iter().find(|unit| !is_enabled(unit)) {
            None => CheckWire::ok(NAME, format!("{SERVICE} and {SOCKET} are enabled and active")),
            Some(unit) => CheckWire::warning(
                NAME,
                format!("{unit} is not started at boot"),
                format!("systemctl enable {unit}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::doctor::CheckVerdictWire;

    use super::*;

    const WELL: &str = "Id=patchd.service\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\n\
        Result=success\nEnvironment=AWS_REGION=eu-west-1 NO_PROXY=169.254.169.254 \"ODD=a b\"\n\n\
        Id=patchd-executor.socket\nLoadState=loaded\nActiveState=active\nSubState=listening\nUnitFileState=enabled\nResult=success\n";

    #[track_caller]
    fn check(from: &str, to: &str, verdict: CheckVerdictWire, says: &str) {
        let found = Units::parse(&WELL.replace(from, to)).check();
        assert_eq!(found.verdict, verdict, "{found:?}");
        assert!(found.detail.contains(says), "{found:?}");
    }

    #[test]
    fn units_are_there_active_and_enabled() {
        check("", "", CheckVerdictWire::Ok, "enabled and active");
        check("LoadState=loaded", "LoadState=not-found", CheckVerdictWire::Failing, "not-found");
        check("LoadState=loaded", "LoadState=masked", CheckVerdictWire::Failing, "masked");
        check(
            "ActiveState=active\nSubState=running",
            "ActiveState=failed\nSubState=failed",
            CheckVerdictWire::Failing,
            "failed",
        );
        check(
            "ActiveState=active\nSubState=listening",
            "ActiveState=inactive\nSubState=dead",
            CheckVerdictWire::Failing,
            "patchd-executor.socket",
        );
        check("UnitFileState=enabled", "UnitFileState=disabled", CheckVerdictWire::Warning, "at boot");
        assert_eq!(Units::default().check().verdict, CheckVerdictWire::Ok);
        let silent = Units { silence: Some("late".into()), ..Units::default() };
        assert_eq!(silent.check().verdict, CheckVerdictWire::CannotTell);
    }

    #[test]
    fn the_environment_is_the_units_own_as_far_as_it_is_plain() {
        let names: Vec<_> = Units::parse(WELL).environment.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["AWS_REGION", "NO_PROXY"]);
    }
}
