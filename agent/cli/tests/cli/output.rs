//! What goes where: closed pipes, full disks, colours, the daemon that is not there.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use crate::root::{HostRoot, stanza};
use crate::{command, outcome, patchctl};

/// A host with more packages than any buffer holds.
fn big_host() -> HostRoot {
    let status: String = (0..5_000).map(|number| stanza(&format!("package-{number}"), "1.0")).collect();
    HostRoot::debian_12(status.as_bytes())
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let root = big_host();
    for more in [&["--json"][..], &[]] {
        let mut child = command()
            .args(["inventory", "--once", "--root", root.path().to_str().unwrap()])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 16];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    let root = big_host();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let arguments = ["inventory", "--once", "--json", "--root", root.path().to_str().unwrap()];
    let outcome = outcome(command().args(arguments).stdout(full)).expect_code(1);
    assert!(outcome.stderr.contains("can't write to standard output"), "{}", outcome.stderr);
}

#[test]
fn a_pipe_gets_no_colours_and_a_width_is_kept() {
    let root = HostRoot::debian_12(stanza("name", "1.0").as_bytes());
    let arguments = ["inventory", "--once", "--root", root.path().to_str().unwrap()];
    let wide = patchctl(arguments).expect_code(0);
    assert!(!wide.stdout.contains('\x1b'), "{}", wide.stdout);
    assert!(wide.stdout.contains("ARCHITECTURE"), "{}", wide.stdout);
    let narrow = outcome(command().args(arguments).env("COLUMNS", "30")).expect_code(0);
    assert!(!narrow.stdout.contains("ARCHITECTURE"), "{}", narrow.stdout);
}

#[test]
fn a_daemon_that_does_not_run_has_its_own_exit_code_and_a_way_out() {
    let socket = HostRoot::empty().path().join("none.sock");
    for command in
        [&["status"][..], &["scan"], &["inventory"], &["updates"], &["runs"], &["show", "x"], &["report"]]
    {
        let outcome = patchctl(["--socket", socket.to_str().unwrap()].iter().chain(command)).expect_code(5);
        assert_eq!(outcome.stdout, "");
        assert!(outcome.stderr.contains("systemctl start patchd"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("--once"), "{}", outcome.stderr);
    }
}

#[test]
fn help_has_the_exit_codes() {
    let outcome = patchctl(["--help"]).expect_code(0);
    assert!(outcome.stdout.contains("5  the daemon can't be reached on its socket"), "{}", outcome.stdout);
}
