//! apt as a script that hangs: what is ended, what is only told, and what counts as a sign of life.

use patchd_core::package::{PackageName, Version};
use patchd_core::plan::PlannedChange;
use patchd_host::durable::atomic_write;
use patchd_protocol::executor::ProgressWire;

use super::*;

/// Finds the status descriptor: dash can't name one of two digits.
const STATUS: &str =
    "for word; do case $word in APT::Status-Fd=*) status=/proc/self/fd/${word#*=} ;; esac; done";

struct Site {
    directory: tempfile::TempDir,
    apt: Apt,
}

impl Site {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("apt-get");
        atomic_write(&path, format!("#!/bin/sh\n{STATUS}\n{script}\n").as_bytes(), 0o755).unwrap();
        let short = Duration::from_millis(300);
        let apt = Apt { fetch_silence: short, stall: short, ..Apt::new(directory.path(), directory.path()) };
        Self { directory, apt }
    }

    /// Installs something; how apt ended, what was told meanwhile, and the notes.
    fn install(&self) -> (Ended, Vec<ProgressWire>, Vec<String>) {
        let version = |text: &str| Version::parse(text).unwrap();
        let native = Architecture::parse("amd64").unwrap();
        let package = PackageId { name: PackageName::parse("app").unwrap(), architecture: native.clone() };
        let plan = Plan::try_new(vec![PlannedChange { package, from: Some(version("1")), to: version("2") }])
            .unwrap();
        let path = |name: &str| self.directory.path().join(name);
        let work = Work {
            id: "t-1",
            plan: &plan,
            native: &native,
            licence: Licence { removals: false, downgrades: false },
            log: path("log"),
            status: path("status"),
            lock_wait: Duration::ZERO,
            expectation: path("plan"),
        };
        let mut told = Vec::new();
        let mut progress = |progress| told.push(progress);
        let mut watcher = Watcher::new(&mut progress, &work.status, self.apt.stall).unwrap();
        let ended = self.apt.install(&work, &mut watcher, None).unwrap();
        let (_, _, notes) = watcher.into_story().end();
        (ended, told, notes)
    }
}

/// docs/accidents.md, row 5: a method of apt that hangs for ever, with its parent repeating how far it is.
#[test]
fn fetching_that_makes_no_headway_is_ended() {
    let still =
        "while :; do echo 'dlstatus:1:10.0000:Retrieving file 1 of 2' >>\"$status\"; sleep 0.05; done";
    let site = Site::new(still);
    let refreshed = site.apt.refresh(&|| true, &mut |_| {}).unwrap();
    assert_eq!(refreshed.failures, ["apt-get update was silent for 0 seconds and was ended"]);
    assert_eq!(refreshed.exit_code, None);
}

/// docs/accidents.md, row 47: who is told to end does not fetch for another hour.
#[test]
fn fetching_that_nobody_wants_is_ended() {
    let site = Site::new("sleep 1000");
    let refreshed = site.apt.refresh(&|| false, &mut |_| {}).unwrap();
    assert_eq!(refreshed.failures, ["apt-get update was ended, since nobody waits for it any more"]);
}

/// docs/accidents.md, row 6: a script that waits for a key press is told of, and not killed.
#[test]
fn a_silent_installation_is_told_of_and_left_alone() {
    let waiting =
        "echo 'pmstatus:app:50.0000:Configuring app (amd64)' >>\"$status\"; echo asking; sleep 1; echo done";
    let (ended, told, notes) = Site::new(waiting).install();
    assert!(ended.is_success(), "{ended:?}");
    let is_stall =
        |told: &ProgressWire| matches!(told, ProgressWire::Stalled { last, .. } if last == "asking");
    assert!(told.iter().any(is_stall), "{told:?}");
    assert!(notes.iter().any(|note| note.contains("at app: asking")), "{notes:?}");
}

fn change(name: &str, architecture: &str, from: Option<&str>, to: &str) -> PlannedChange {
    let version = |text: &str| Version::parse(text).unwrap();
    PlannedChange {
        package: PackageId {
            name: PackageName::parse(name).unwrap(),
            architecture: Architecture::parse(architecture).unwrap(),
        },
        from: from.map(version),
        to: version(to),
    }
}

#[test]
fn installed_packages_are_named_with_their_version_and_new_ones_are_not() {
    let plan = Plan::try_new(vec![
        change("app", "amd64", Some("1"), "1:2~x"),
        change("app", "i386", Some("1"), "1:2~x"),
        change("doc", "all", Some("1"), "2"),
        change("new", "amd64", None, "1"),
    ])
    .unwrap();
    let native = Architecture::parse("amd64").unwrap();
    let none = Licence { removals: false, downgrades: false };
    let (dry, real) = (planning(&["-s"], none, &plan, &native), planning(&[], none, &plan, &native));
    let names = ["install", "app=1:2~x", "app:i386=1:2~x", "doc=2"].map(str::to_owned);
    assert!(dry.ends_with(&names) && real.ends_with(&names));
    let without_mode: Vec<_> = dry.into_iter().filter(|word| word != "-s").collect();
    assert_eq!(without_mode, real);
    let is_said = |words: &[String], word: &str| words.iter().any(|said| said == word);
    assert!(is_said(&real, "APT::Get::Remove=false") && is_said(&real, "APT::Get::allow-downgrades=false"));
    let free = planning(&["-s"], Licence::EVERYTHING, &plan, &native);
    assert!(is_said(&free, "APT::Get::Remove=true") && is_said(&free, "APT::Get::allow-downgrades=true"));
}
