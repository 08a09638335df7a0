//! A booted host on which the packages of this build are installed, upgraded and removed: what its units, its processes
//! and its files say.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::apt_root::AptRoot;
use crate::booted::Booted;
use crate::command::{self, Finished};
use crate::packages::{Family, of_this_build};
use crate::wait;

/// The units that a package enables.
pub const ENABLED: [&str; 2] = ["patchd.service", "patchd-executor.socket"];

/// Makes a package of this build, in `/srv` of the root; the path is one inside.
pub fn package(root: &AptRoot, family: Family, version: &str) -> Result<String> {
    let made = of_this_build(family, version, &root.at("/srv"))?;
    let name = made.file_name().context("a package has a name")?.to_string_lossy();
    Ok(format!("/srv/{name}"))
}

/// Makes another deb of one in `/srv`, after `edit` was run in its unpacked tree; the path is one inside.
pub fn edited(root: &AptRoot, deb: &str, edit: &str) -> Result<String> {
    let (from, to) = (root.at(deb), deb.replace(".deb", "-edited.deb"));
    let tree = root.at("/srv/tree");
    let script = format!(
        "dpkg-deb -R \"$1\" \"$2\"; (cd \"$2\"; {edit}); dpkg-deb --root-owner-group -Znone -b \"$2\" \"$3\"; rm -rf \"$2\""
    );
    let paths: [PathBuf; 3] = [from, tree, root.at(&to)];
    command::finish(command::command("sh").args(["-ec", &script, "edit"]).args(paths))?.success()?;
    Ok(to)
}

/// Runs a command inside, whatever comes of it.
pub fn tried(booted: &Booted<'_>, line: &str) -> Result<Finished> {
    command::finish(&mut shell(booted, line))
}

/// A line of shell inside, as an administrator has it typed by a machine.
pub fn shell(booted: &Booted<'_>, line: &str) -> Command {
    let mut command = booted.command(["sh", "-c", line]);
    command.env("DEBIAN_FRONTEND", "noninteractive").env("HOME", "/root");
    command
}

/// What a line of shell says inside; an error unless it succeeds.
pub fn said(booted: &Booted<'_>, line: &str) -> Result<String> {
    let finished = tried(booted, line)?.success().with_context(|| booted.journal())?;
    Ok(finished.stdout.trim().to_owned())
}

/// Waits until patchd is ready, and answers.
pub fn ready(booted: &Booted<'_>) -> Result<Value> {
    wait::until("patchd to answer", 40, || {
        let asked = tried(booted, "systemctl is-active patchd.service && patchctl status --json >/tmp/said")?;
        Ok(asked.status.success().then_some(()))
    })
    .with_context(|| booted.journal())?;
    booted.run(["cat", "/tmp/said"])?.json()
}

/// Whether each of the units that a package enables is enabled, and is active.
pub fn units(booted: &Booted<'_>) -> Result<[(String, String); 2]> {
    let ask = |verb: &str, unit: &str| -> Result<String> {
        Ok(tried(booted, &format!("systemctl {verb} {unit}"))?.stdout.trim().to_owned())
    };
    let both = |unit| -> Result<_> { Ok((ask("is-enabled", unit)?, ask("is-active", unit)?)) };
    let [first, second] = ENABLED;
    Ok([both(first)?, both(second)?])
}

/// The main process of each service that has one.
pub fn processes(booted: &Booted<'_>) -> Result<BTreeMap<String, String>> {
    let shown = said(booted, "systemctl show --property=Id,MainPID '*.service'")?;
    let of = |block: &str, name: &str| {
        block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    let found = shown.split("\n\n").filter_map(|block| Some((of(block, "Id")?, of(block, "MainPID")?)));
    Ok(found.filter(|(_, process)| process != "0").collect())
}

/// Whether the patchd that runs is the one on disk.
pub fn runs_what_is_installed(booted: &Booted<'_>) -> Result<bool> {
    let same = "[ /proc/$(systemctl show --property=MainPID patchd.service | sed s/MainPID=//)/exe -ef /usr/bin/patchd ]";
    Ok(tried(booted, same)?.status.success())
}

/// Owner, group and mode of paths, as `stat` has them.
pub fn owners(booted: &Booted<'_>, paths: &[&str]) -> Result<Vec<String>> {
    let told = said(booted, &format!("stat -c '%U:%G %a' {}", paths.join(" ")))?;
    Ok(told.lines().map(str::to_owned).collect())
}

/// Holds the root helper's lock as the helper does while it is at work; `release` ends it.
pub fn hold_lock(booted: &Booted<'_>) -> Result<Child> {
    const LOCK: &str = "/var/lib/patchd-executor/lock";
    let work =
        format!("echo $$ >/tmp/holder; exec 9>>{LOCK}; flock 9; printf 'apply t-1' >{LOCK}; exec sleep 600");
    let work = shell(booted, &work).spawn().context("holding the root helper's lock")?;
    let held = format!("! flock --nonblock {LOCK} true && grep -q apply {LOCK}");
    wait::until("the lock to be held", 10, || Ok(tried(booted, &held)?.status.success().then_some(())))?;
    Ok(work)
}

/// Ends what `hold_lock` began.
pub fn release(booted: &Booted<'_>, mut work: Child) -> Result<()> {
    said(booted, "kill $(cat /tmp/holder)")?;
    work.wait().context("waiting for the lock's holder")?;
    Ok(())
}

/// Scans, and waits for its end.
pub fn scan(booted: &Booted<'_>) -> Result<()> {
    // A root without sources can be looked at, and not be judged.
    said(booted, "patchctl scan >/dev/null || [ $? -eq 3 ]").map(drop)
}

/// The ids of all runs, the newest first.
pub fn runs(booted: &Booted<'_>) -> Result<Vec<String>> {
    let document = booted.run(["patchctl", "runs", "--json"])?.json()?;
    let runs = document.get("runs").and_then(Value::as_array).context("no runs")?;
    Ok(runs.iter().filter_map(|run| run.get("id")?.as_str().map(str::to_owned)).collect())
}
