//! On a terminal: bars that redraw, a question that is asked, and nothing of it that a script could command. `script`
//! plays the terminal; where it is not installed, the tests say so and pass.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use patchd_protocol::executor::Reply;
use serde_json::json;

use crate::apply::{ASK, accepted, concluded, document, moved, planning_and_applying, stream, summary};
use crate::fake::{Daemon, HANGS};
use crate::root::HALF_NOW;

const SCRIPT: &str = "/usr/bin/script";

/// A terminal on which `patchctl` runs with these arguments; `None` where there is no way to make one.
fn terminal(daemon: &Daemon, arguments: &str, environment: &[(&str, &str)]) -> Option<Child> {
    if !Path::new(SCRIPT).exists() {
        println!("left out: there is no {SCRIPT}");
        return None;
    }
    let program = env!("CARGO_BIN_EXE_patchctl");
    let child = Command::new(SCRIPT)
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty cols 100; exec {program} --socket {} {arguments}", daemon.socket.display()))
        .arg("/dev/null")
        .env_clear()
        .env("TERM", "xterm")
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    Some(child.unwrap())
}

/// Runs the arguments on a terminal, types `typed`, and gives the exit code and all that the terminal got.
fn on_terminal(
    daemon: &Daemon,
    arguments: &str,
    typed: &str,
    environment: &[(&str, &str)],
) -> Option<(i32, String)> {
    let mut child = terminal(daemon, arguments, environment)?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn applying() -> Daemon {
    let end = concluded("r", "succeeded", &json!({}));
    Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/r/events", vec![stream(&end)]),
        ("GET /v1/runs/r", vec![document(&end)]),
    ])
}

#[test]
fn a_terminal_gets_bars_and_the_moves_above_them() {
    let Some((code, text)) = on_terminal(&applying(), "apply", "", &[]) else { return };
    assert_eq!(code, 0, "{text:?}");
    for part in ["step 1 begins", "installing", " 12 %", "unpacking curl", "evil", "SUCCEEDED"] {
        assert!(text.contains(part), "{part:?} in {text:?}");
    }
    assert!(text.contains("\x1b[1;32mSUCCEEDED"), "{text:?}");
    assert!(!text.contains("\x1b]") && !text.contains('\x07'), "{text:?}");
}

#[test]
fn a_ctrl_c_on_a_terminal_leaves_the_run_going() {
    let daemon = Daemon::new([
        (ASK, vec![accepted(&summary("r", &json!({})), true)]),
        ("GET /v1/runs/r/events", vec![(200, moved(1, "applying", "step 1 begins") + HANGS)]),
    ]);
    let Some(mut child) = terminal(&daemon, "apply", &[]) else { return };
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"step 1 begins") && stdout.read(&mut byte).unwrap() == 1 {
        text.extend(byte);
    }
    stdin.write_all(b"\x03").unwrap();
    stdout.read_to_end(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("patchctl: run r goes on; `patchctl apply --follow r`"), "{text:?}");
}

#[test]
fn no_color_is_no_colour_and_a_dumb_terminal_gets_lines() {
    let Some((_, text)) = on_terminal(&applying(), "apply", "", &[("NO_COLOR", "1")]) else { return };
    assert!(text.contains(" 12 %"), "{text:?}");
    let colours = text.split("\x1b[").skip(1).filter(|rest| {
        rest.find(|c: char| !c.is_ascii_digit() && c != ';').is_some_and(|end| rest[end..].starts_with('m'))
    });
    assert_eq!(colours.count(), 0, "{text:?}");
    let Some((_, text)) = on_terminal(&applying(), "apply", "", &[("TERM", "dumb")]) else { return };
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(text.contains("12 %  unpacking curl"), "{text:?}");
}

#[test]
fn only_the_word_yes_agrees_to_a_plan() {
    if !nix::unistd::geteuid().is_root() {
        return println!("left out: giving root's word takes root");
    }
    for (typed, code) in [("no\n", 6), ("y\n", 6), ("\n", 6), ("yes please\n", 6), ("yes\n", 0)] {
        let daemon = Daemon::new(planning_and_applying());
        let granted = Reply::Granted { until: HALF_NOW.parse().unwrap() };
        let (socket, asked) = crate::now::executor(daemon.directory.path(), vec![granted]);
        let arguments = format!("apply --now --reason x --executor-socket {}", socket.display());
        let Some((found, text)) = on_terminal(&daemon, &arguments, typed, &[]) else { return };
        assert_eq!(found, code, "{typed:?}: {text}");
        assert!(text.contains("Type yes:"), "{text}");
        assert_eq!(asked.try_recv().is_ok(), code == 0, "{typed:?}");
        assert_eq!(daemon.posts().len(), if code == 0 { 2 } else { 1 });
    }
}
