//! `patchctl doctor`: what stands between this host and its reports and patches. It looks for itself, asks systemd and the
//! daemon, and without a daemon has `patchd check` look in its place. It mends nothing, and ends within seconds.

mod units;

use std::path::Path;
use std::time::Duration;

use nix::unistd::Uid;
use patchd_host::root::Root;
use patchd_protocol::doctor::{CheckName, CheckVerdictWire, CheckWire, DoctorDocument};

use self::units::Units;
use crate::client::Client;
use crate::command::{now, own_view};
use crate::exit::{Exit, Failure};
use crate::local;
use crate::output::Output;
use crate::view;

/// How long the daemon may look.
const PATIENCE: Duration = Duration::from_secs(10);

/// As many of the daemon's last words are told.
const LAST_LINES: usize = 3;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn run(socket: &Path, output: &mut Output) -> Result<Exit, Failure> {
    let is_root = Uid::effective().is_root();
    let now = now();
    let client = Client::new(socket)?;
    let mut checks = patchd_host::doctor::look(&Root::host(), now, is_root);
    let units = client.runtime.block_on(Units::look());
    checks.push(units.check());
    match ask(&client) {
        Ok(told) => {
            checks.push(daemon(&told.version));
            checks.extend(told.checks);
        }
        Err(failure) => {
            checks.push(silence(&failure, &client, &units));
            checks.extend(in_its_place(&client, &units, is_root));
        }
    }
    let told: Vec<_> = checks.iter().map(|check| check.name).collect();
    let untold = CheckName::ALL.into_iter().filter(|name| !told.contains(name));
    checks.extend(
        untold
            .map(|name| {
                CheckWire::cannot_tell(
                    name,
                    "only the daemon can tell, or root without it",
                    "sudo patchctl doctor",
                )
            })
            .collect::<Vec<_>>(),
    );
    let document = DoctorDocument::new(VERSION, now, checks);
    if output.is_json {
        output.document(&document)?;
    } else {
        output.lines(&view::doctor::lines(&document, &own_view(output)))?;
    }
    Ok(match document.verdict {
        CheckVerdictWire::Ok | CheckVerdictWire::Warning => Exit::Done,
        CheckVerdictWire::CannotTell => Exit::CannotTell,
        CheckVerdictWire::Failing => Exit::Failed,
    })
}

/// What the daemon has found.
fn ask(client: &Client) -> Result<DoctorDocument, Failure> {
    let asked = async { tokio::time::timeout(PATIENCE, client.daemon.get("/v1/doctor")).await };
    let late = |_| {
        let detail = format!("patchd did not answer within {} seconds", PATIENCE.as_secs());
        Err(Failure::because(Exit::NoDaemon, detail))
    };
    client.runtime.block_on(asked).unwrap_or_else(late)?.parse()
}

/// A daemon that answers, and whether it is of this patchctl's version.
fn daemon(version: &str) -> CheckWire {
    const NAME: CheckName = CheckName::Daemon;
    if version == VERSION {
        return CheckWire::ok(NAME, format!("patchd {version} answers"));
    }
    CheckWire::warning(
        NAME,
        format!("patchd {version} answers, and this is patchctl {VERSION}"),
        "systemctl try-restart patchd.service, after its run if one is under way",
    )
}

/// Why there is no answer, with the daemon's last words where they may be read.
fn silence(failure: &Failure, client: &Client, units: &Units) -> CheckWire {
    const NAME: CheckName = CheckName::Daemon;
    if failure.exit == Exit::Refused {
        return CheckWire::cannot_tell(NAME, failure.to_string(), "sudo patchctl doctor");
    }
    let lines = client.runtime.block_on(local::last_lines("patchd.service", LAST_LINES));
    let words =
        if lines.is_empty() { String::new() } else { format!("; its last words: {}", lines.join(" / ")) };
    let cause = units.cause().map_or_else(String::new, |cause| format!(" ({cause})"));
    CheckWire::failing(
        NAME,
        format!("{failure}{cause}{words}"),
        "systemctl enable --now patchd.service; journalctl -u patchd.service",
    )
}

/// What the daemon would have told, by a process that looks in its place. Only root can start it as the daemon's user.
fn in_its_place(client: &Client, units: &Units, is_root: bool) -> Vec<CheckWire> {
    if !is_root {
        return Vec::new();
    }
    let said = client.runtime.block_on(local::check(&units.environment));
    let parsed = said.and_then(|text| {
        serde_json::from_str::<DoctorDocument>(&text)
            .map_err(|_| "what `patchd check` says can't be understood".into())
    });
    match parsed {
        Ok(document) => document.checks,
        Err(why) => vec![CheckWire::cannot_tell(CheckName::Identity, why, "/usr/bin/patchd check")],
    }
}
