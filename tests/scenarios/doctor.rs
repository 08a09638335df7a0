//! What an operator is told who asks why there is no report: with the daemon at work, stopped, standing still and misled.

use anyhow::{Context, Result};
use patchd_tests::agent_host::install_units;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::command;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::wait;
use serde_json::Value;

/// What the doctor says inside, with its exit code.
struct Findings {
    code: Option<i32>,
    document: Value,
}

impl Findings {
    fn of(booted: &Booted<'_>, command: &[&str]) -> Result<Self> {
        // Each must end by itself, and well before this.
        let words = ["timeout", "25"].into_iter().chain(command.iter().copied());
        let said = command::finish(&mut booted.command(words.chain(["patchctl", "doctor", "--json"])))?;
        let document = said.json().with_context(|| format!("{said:?}"))?;
        Ok(Self { code: said.code(), document })
    }

    fn check(&self, name: &str) -> (&str, &str) {
        let checks = self.document.get("checks").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let found = checks.iter().find(|check| check.get("name").is_some_and(|own| own == name));
        let word = |key: &str| found.and_then(|check| check.get(key)?.as_str()).unwrap_or("absent");
        (word("verdict"), word("detail"))
    }

    #[track_caller]
    fn expect(&self, name: &str, verdict: &str, says: &str) {
        let (found, detail) = self.check(name);
        assert!(
            found == verdict && detail.contains(says),
            "{name} is not {verdict} {says:?}: {:#}",
            self.document
        );
    }
}

#[test]
fn the_doctor_tells_what_stands_in_the_way_with_the_daemon_and_without() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-plain", "1.0")])?;
    root.run(["apt-get", "update"])?;
    install_units(&root)?;
    root.write("/etc/patchd/patchd.toml", "[clock]\nrequire_synchronised = false\n")?;
    let booted = Booted::boot(&root)?;
    let told = || booted.journal();
    let well = wait::until("the first report", 60, || {
        let findings = Findings::of(&booted, &[])?;
        let is_stored = findings.check("delivery").1.contains("the store has");
        Ok((findings.check("last_run").0 == "ok" && is_stored).then_some(findings))
    })
    .with_context(told)?;
    assert_eq!(well.code, Some(0), "{:#}", well.document);
    for (name, says) in [
        ("system", "with apt"),
        ("config", "no mistakes"),
        ("account", "uid"),
        ("state", "owner"),
        ("units", "enabled and active"),
        ("daemon", "answers"),
        ("executor", "answers"),
        ("old_program", "no program"),
        ("identity", "no EC2 instance"),
        ("store", "reports go to"),
        ("delivery", "the store has v1/reports/"),
        ("windows", "changes nothing"),
        ("cloud_init", "not used"),
        ("pause", "nobody"),
    ] {
        well.expect(name, "ok", says);
    }
    well.expect("container", "warning", "lab");

    let stranger = Findings::of(&booted, &["runuser", "-u", "nobody", "--"])?;
    assert_eq!(stranger.code, Some(3), "{:#}", stranger.document);
    stranger.expect("daemon", "cannot_tell", "you may not use the socket");
    stranger.expect("units", "ok", "enabled and active");

    // It stands still: systemd thinks it well, and nobody waits for it for long.
    booted.run(["systemctl", "kill", "--kill-whom=main", "--signal=STOP", "patchd.service"])?;
    let frozen = Findings::of(&booted, &[])?;
    frozen.expect("daemon", "failing", "did not answer");
    booted.run(["systemctl", "kill", "--kill-whom=main", "--signal=CONT", "patchd.service"])?;

    booted.run(["systemctl", "stop", "patchd.service"])?;
    let stopped = Findings::of(&booted, &[])?;
    assert_eq!(stopped.code, Some(1), "{:#}", stopped.document);
    stopped.expect("daemon", "failing", "does not run");
    stopped.expect("units", "failing", "patchd.service is inactive");
    // What the daemon would have told is told in its place.
    stopped.expect("executor", "ok", "answers");
    stopped.expect("identity", "ok", "no EC2 instance");
    stopped.expect("store", "ok", "reports go to");
    stopped.expect("journal", "ok", "can be written");

    root.write("/etc/patchd/patchd.toml", "[scan]\ninterval = \"5\"\n")?;
    booted.run(["chown", "root:root", "/var/lib/patchd"])?;
    let misled = Findings::of(&booted, &[])?;
    misled.expect("config", "failing", "patchd.toml:2: scan.interval");
    misled.expect("state", "failing", "/var/lib/patchd belongs to uid 0");
    assert_eq!(misled.check("windows").0, "cannot_tell", "nothing is guessed: {:#}", misled.document);
    let shown = command::finish(&mut booted.command(["patchctl", "doctor"]))?;
    assert!(shown.stdout.contains("do: patchctl config check"), "{shown:?}");
    Ok(())
}
