//! Processes of the tests: a cleared environment, the words of the C locale, and an error that tells the whole story.
//!
//! It has no deadline of its own: the test runner ends a test that hangs, and its processes with it.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// Where programs of the tests are looked for, whatever the caller's own path says.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The argument vector, for messages.
    pub line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit code; a signal is none.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails with everything that the process said unless it ended with `code`.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.status.code() == Some(code) {
            return Ok(self);
        }
        bail!(
            "{} ended with {}, not with {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.status,
            self.stdout,
            self.stderr
        )
    }

    /// Fails with everything that the process said unless it succeeded.
    pub fn success(self) -> Result<Self> {
        self.expect_code(0)
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("reading as JSON what {} printed:\n{}", self.line, self.stdout))
    }
}

/// A command with a cleared environment: the path of the tests, C locale, nothing else, no standard input.
#[expect(clippy::disallowed_methods, reason = "the one place of the tests that starts processes")]
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null());
    command
}

/// Runs it to its end and keeps what it said.
pub fn finish(command: &mut Command) -> Result<Finished> {
    let line = format!("{command:?}");
    let output = command.output().with_context(|| format!("starting {line}"))?;
    Ok(Finished {
        line,
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `program` with `arguments`; an error unless it succeeds.
pub fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    finish(command(program).args(arguments))?.success()
}
