//! Files that nobody should have: each ends in a named problem and an exit code, in bounded memory and time, and what
//! is sound beside them is still told.

use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::stat::Mode;
use patchd_tests::command::{self, Finished};
use patchd_tests::{binaries, place};
use serde_json::Value;

const OS_RELEASE: &str =
    "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\nNAME=\"Debian GNU/Linux\"\n";

/// A root that is a few files, with this for `var/lib/dpkg/status`.
struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn new(status: &[u8]) -> Result<Self> {
        let files = Self { directory: place::scratch("files")? };
        files.write("etc/os-release", OS_RELEASE.as_bytes())?;
        files.write("var/lib/dpkg/status", status)?;
        Ok(files)
    }

    #[expect(clippy::disallowed_methods, reason = "files of one test need no atomic write")]
    fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        let path = self.directory.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
        Ok(std::fs::write(path, content)?)
    }

    /// Puts something else in place of a file.
    fn replace(&self, path: &str, with: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.directory.path().join(path);
        std::fs::remove_file(&path)?;
        with(&path)
    }

    fn inventory(&self) -> Result<Finished> {
        let mut command = command::command("prlimit");
        // Far more than is needed, and far less than what the largest file here would take as a whole.
        command.arg("--as=67108864").arg("--").arg(binaries::patchctl()?);
        command.args(["inventory", "--once", "--json", "--root"]).arg(self.directory.path());
        command::finish(&mut command)
    }

    fn config_check(&self) -> Result<Finished> {
        let mut command = command::command(binaries::patchctl()?);
        command.args(["config", "check", "--config-root"]).arg(self.directory.path());
        command::finish(&mut command)
    }
}

fn stanza(name: &str, more: &str) -> String {
    format!(
        "Package: {name}\nStatus: install ok installed\nMaintainer: Lab <lab@example.invalid>\nArchitecture: amd64\n\
         Version: 1.0\nDescription: toy\n{more}\n"
    )
}

fn names(document: &Value) -> Vec<&str> {
    let packages = document.get("packages").and_then(Value::as_array);
    packages.into_iter().flatten().filter_map(|package| package.get("name")?.as_str()).collect()
}

/// The packages that are told, and whether there are problems. The exit code is 0: the work was done.
fn check(status: &[u8], expected: &[&str], has_problems: bool) -> Result<()> {
    let document = Files::new(status)?.inventory()?.success()?.json()?;
    assert_eq!(names(&document), expected);
    let problems = document.get("problems").and_then(Value::as_array).context("no problems")?;
    assert_eq!(!problems.is_empty(), has_problems, "{problems:?}");
    for problem in problems {
        let place = problem.get("place").and_then(Value::as_str).unwrap_or_default();
        assert!(place.ends_with("var/lib/dpkg/status"), "{problem}");
    }
    Ok(())
}

#[test]
fn a_truncated_database_tells_what_is_whole() -> Result<()> {
    let whole = format!("{}{}", stanza("lab-a", ""), stanza("lab-b", ""));
    check(whole.as_bytes(), &["lab-a", "lab-b"], false)?;
    let cut = whole.find("lab-b").map_or(0, |at| at + "lab-b\nStatus: install ok".len());
    check(&whole.as_bytes()[..cut], &["lab-a"], true)
}

#[test]
fn line_ends_of_another_system_are_a_problem_and_no_silence() -> Result<()> {
    let text = format!("{}{}", stanza("lab-a", ""), stanza("lab-b", "")).replace('\n', "\r\n");
    let finished = Files::new(text.as_bytes())?.inventory()?;
    // Whether such a stanza is read or refused, it is never lost without a word.
    let document = finished.json().unwrap_or(Value::Null);
    let told = names(&document).len();
    let problems = document.get("problems").and_then(Value::as_array).map_or(0, Vec::len);
    assert!(told == 2 || problems > 0 || finished.code() == Some(1), "{finished:?}");
    Ok(())
}

#[test]
fn bytes_that_are_no_text_spoil_their_own_field_at_most() -> Result<()> {
    let mut status = stanza("lab-a", "").replace("toy", "t\u{1}y").into_bytes();
    status.extend(b"Package: lab-b\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\nDescription: \xff\xfe\n");
    status.extend(b"Maintainer: \xc3\x28\n\n");
    check(&status, &["lab-a", "lab-b"], false)
}

#[test]
fn a_gigantic_stanza_is_kept_and_named_in_bounded_memory() -> Result<()> {
    let mut status = stanza("lab-a", "").into_bytes();
    status.extend(
        b"Package: lab-giant\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\nDescription: ",
    );
    status.resize(status.len() + 96 * 1024 * 1024, b'x');
    status.extend(b"\n\n");
    status.extend(stanza("lab-z", "").as_bytes());
    check(&status, &["lab-a", "lab-giant", "lab-z"], true)
}

#[test]
fn what_is_no_file_is_never_waited_for() -> Result<()> {
    let status = "var/lib/dpkg/status";
    type Replacement = fn(&Path) -> Result<()>;
    let replacements: [(&str, Replacement); 4] = [
        ("a pipe", |path| Ok(nix::unistd::mkfifo(path, Mode::S_IRUSR)?)),
        ("a directory", |path| Ok(std::fs::create_dir(path)?)),
        ("a link to itself", |path| Ok(symlink("status", path)?)),
        ("a link out of the root", |path| Ok(symlink("/../../../../etc/passwd", path)?)),
    ];
    for (what, replacement) in replacements {
        let files = Files::new(stanza("lab-a", "").as_bytes())?;
        files.replace(status, replacement)?;
        let finished = files.inventory()?.expect_code(1).with_context(|| what.to_owned())?;
        assert!(finished.stderr.contains(status), "{what}: {finished:?}");
        assert!(!finished.stderr.contains("panicked"), "{what}: {finished:?}");
    }
    Ok(())
}

#[test]
fn a_root_that_is_not_there_is_a_slip_of_the_caller() -> Result<()> {
    let mut command = command::command(binaries::patchctl()?);
    let finished = command::finish(command.args(["inventory", "--once", "--root", "/nonexistent/root"]))?;
    let finished = finished.expect_code(2)?;
    assert!(finished.stderr.contains("/nonexistent/root"), "{finished:?}");
    Ok(())
}

#[test]
fn mistakes_of_the_configuration_name_file_line_and_the_nearest_key() -> Result<()> {
    let files = Files::new(b"")?;
    let config =
        "[scan]\nintervall = \"4h\"\n\n[[window]]\nname = \"sunday\"\nschedule = \"Sunn 02:00 +3h UTC\"\n";
    files.write("etc/patchd/patchd.toml", config.as_bytes())?;
    let finished = files.config_check()?.expect_code(2)?;
    let line = |number: usize| {
        let place = format!("etc/patchd/patchd.toml:{number}:");
        finished.stdout.lines().find(|line| line.contains(&place)).unwrap_or_default()
    };
    assert!(line(2).contains("intervall") && line(2).contains("interval\u{60}"), "{}", finished.stdout);
    assert!(line(6).contains("Sunn"), "{}", finished.stdout);

    files.write("etc/patchd/patchd.toml", b"[scan]\ninterval = \"4h\"\n")?;
    files.config_check()?.success()?;
    Ok(())
}
