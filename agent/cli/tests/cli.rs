//! The real binary against prepared roots, this very machine and a closed pipe. What the daemon answers is not here.
//!
//! Where the test data beside the repository is absent, the tests that need it say so and pass.
#![expect(clippy::disallowed_methods, reason = "tests start programs and write their own files")]
#![expect(clippy::print_stdout, reason = "a test tells which cases it left out")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where its world is not as it was made")]

#[path = "cli/apply.rs"]
mod apply;
#[path = "cli/baseline.rs"]
mod baseline;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/daemon.rs"]
mod daemon;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/fake.rs"]
mod fake;
#[path = "cli/inventory.rs"]
mod inventory;
#[path = "cli/now.rs"]
mod now;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/root.rs"]
mod root;
#[path = "cli/scan.rs"]
mod scan;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/version.rs"]
mod version;
#[path = "cli/windows.rs"]
mod windows;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The test data beside the repository, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    println!("left out: there is no {}", path.display());
    None
}

/// What a call came to.
struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    /// The one document on standard output.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    #[track_caller]
    fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchctl"));
    command.env_clear().stdin(Stdio::null());
    command
}

#[track_caller]
fn patchctl(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Outcome {
    outcome(command().args(arguments))
}

#[track_caller]
fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    Outcome {
        code: output.status.code().expect("it was not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What the published schema says a document of this kind looks like.
#[track_caller]
fn check_schema(name: &str, document: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema").join(name);
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
}
