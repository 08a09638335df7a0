//! The operator's hooks as the root helper runs them: in order, with what they are told, once, and none at all where one
//! of them may be somebody else's.

use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::{Result, bail};
use patchd_protocol::executor::{HookStage, RefusalCode, Reply, TransactionKind, TransactionState, Verb};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::executor_client::{ALWAYS, Client, done, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;

const HOOKS: &str = "/etc/patchd/hooks";

/// Open for a second of a day.
const NEVER_NOW: &str = "[clock]\nrequire_synchronised = false\n\
                         [[window]]\nname = \"short\"\nschedule = \"daily 00:00 +2m\"\ncutoff = \"119s\"\n";

fn hooks(id: &str, stage: HookStage) -> Verb {
    Verb::RunHooks { transaction: id.into(), stage }
}

fn put(root: &AptRoot, name: &str, script: &str) -> Result<()> {
    let path = format!("{HOOKS}/{name}");
    root.write(&path, format!("#!/bin/sh\n{script}\n"))?;
    std::fs::set_permissions(root.at(&path), PermissionsExt::from_mode(0o755))?;
    Ok(())
}

#[track_caller]
fn check_refused(reply: &Reply, expected: RefusalCode, part: &str) {
    assert!(
        matches!(reply, Reply::Refused(refusal) if refusal.code == expected && refusal.message.contains(part)),
        "{reply:?}"
    );
}

#[test]
fn hooks_run_in_order_with_what_they_are_told_and_once() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_executor()?;
    put(&root, "pre-patch.d/20-second", "echo second >>/ran; cat; exit 0")?;
    put(&root, "pre-patch.d/10-first", "echo $PATCHD_STAGE $PATCHD_RUN $DEBIAN_FRONTEND; echo first >>/ran")?;
    let mut client = Client::start(&root)?;
    let record = done(client.ask(hooks("r.pre", HookStage::PrePatch))?)?;
    assert_eq!(
        (record.kind, record.state, record.exit_code),
        (TransactionKind::Hooks, TransactionState::Ended, Some(0))
    );
    assert_eq!(record.output_tail, ["pre-patch run-1 noninteractive"]);
    assert!(["one", "two"].contains(&record.permission.as_str()), "{}", record.permission);
    client.end()?;
    // Another executor, as after a restart.
    let mut client = Client::start(&root)?;
    assert_eq!(done(client.ask(hooks("r.pre", HookStage::PrePatch))?)?, record);
    assert_eq!(root.read("/ran")?, "first\nsecond\n");
    // No directory is no hooks.
    let record = done(client.ask(hooks("r.post", HookStage::PostPatch))?)?;
    assert_eq!((record.exit_code, record.output_tail), (Some(0), vec![]));
    client.end()
}

#[test]
fn the_first_failure_ends_those_before_and_none_of_those_after() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_executor()?;
    for stage in ["pre-patch.d", "post-patch.d"] {
        put(&root, &format!("{stage}/10-good"), "echo good >>/ran")?;
        put(&root, &format!("{stage}/20-bad"), "echo not today; exit 7")?;
        put(&root, &format!("{stage}/30-late"), "echo late >>/ran")?;
    }
    let mut client = Client::start(&root)?;
    let record = done(client.ask(hooks("r.pre", HookStage::PrePatch))?)?;
    assert_eq!(record.exit_code, Some(7));
    assert_eq!(record.output_tail, ["not today", "the hook 20-bad ended with 7: not today"]);
    assert_eq!(root.read("/ran")?, "good\n");
    // What was begun may be ended after the window, too.
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    let record = done(client.ask(hooks("r.post", HookStage::PostPatch))?)?;
    assert_eq!((record.exit_code, record.permission.as_str()), (Some(7), "the run run-1 has begun"));
    assert_eq!(root.read("/ran")?, "good\ngood\nlate\n");
    client.end()
}

/// The hostile list: hooks that are links, or that others may write; all are refused, and none is run.
#[test]
fn one_hook_that_may_be_somebody_elses_keeps_all_from_running() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_executor()?;
    put(&root, "pre-patch.d/10-good", "echo ran >>/ran")?;
    let bad = |name: &str| root.at(&format!("{HOOKS}/pre-patch.d/{name}"));
    let mut client = Client::start(&root)?;
    let mut number = 0;
    let mut check = |part: &str| -> Result<()> {
        number += 1;
        check_refused(
            &client.ask(hooks(&format!("r.{number}"), HookStage::PrePatch))?,
            RefusalCode::Hook,
            part,
        );
        Ok(())
    };
    symlink("/bin/true", bad("20-link"))?;
    check("20-link: it is a symbolic link")?;
    std::fs::remove_file(bad("20-link"))?;
    put(&root, "pre-patch.d/20-open", "echo ran >>/ran")?;
    std::fs::set_permissions(bad("20-open"), PermissionsExt::from_mode(0o777))?;
    check("lets others write it")?;
    std::fs::set_permissions(bad("20-open"), PermissionsExt::from_mode(0o755))?;
    root.run(["chown", "patchd", "/etc/patchd/hooks/pre-patch.d/20-open"])?;
    check("belongs to uid")?;
    std::fs::remove_file(bad("20-open"))?;
    put(&root, "pre-patch.d/20-left.dpkg-dist", "echo ran >>/ran")?;
    check("20-left.dpkg-dist")?;
    std::fs::remove_file(bad("20-left.dpkg-dist"))?;
    root.run(["chmod", "g+w", HOOKS])?;
    check("/etc/patchd/hooks")?;
    root.run(["chmod", "g-w", HOOKS])?;
    root.write("/etc/patchd/patchd.toml", NEVER_NOW)?;
    check_refused(
        &client.ask(hooks("r.shut", HookStage::PrePatch))?,
        RefusalCode::OutsideWindow,
        "no window is open",
    );
    check_refused(
        &client.ask(hooks("r.post", HookStage::PostPatch))?,
        RefusalCode::OutsideWindow,
        "no window is open",
    );
    assert!(!root.at("/ran").exists());
    let log = root.read("/executor.log")?;
    assert!(log.contains("is refused (Hook)"), "{log}");
    root.write("/etc/patchd/patchd.toml", ALWAYS)?;
    let Reply::Done(_) = client.ask(hooks("r.good", HookStage::PrePatch))? else { bail!("nothing was run") };
    assert_eq!(root.read("/ran")?, "ran\n");
    client.end()
}
