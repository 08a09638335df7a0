//! The programs as they are shipped: built by zig's C compiler and linker against glibc 2.17, so that one set of them runs
//! on every host, with no path of this machine in them.
//!
//! What it needs it installs: Debian packages, and a virtual environment with zig. Cargo keeps what it built below
//! `target/dist`, so a second call builds only what changed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xshell::{Shell, cmd};

use crate::dist::{Architecture, PROGRAMS};
use crate::{Workspace, setup};

/// The oldest glibc that a host may have: that of Amazon Linux 2 is 2.26, that of RHEL 7 is this one.
const GLIBC: &str = "2.17";

/// Pinned: another zig or another way of calling it gives other bytes.
const PYTHON_PACKAGES: [&str; 2] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.0"];

const DEBIAN_PACKAGES: [(&str, &str); 4] = [
    ("gcc", "links the build scripts and macros, which run here"),
    ("libc6-dev", "is what they are linked with"),
    ("python3-venv", "holds zig"),
    ("rpm", "makes the rpm"),
];

impl Architecture {
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// Builds the three programs; answers with the directory that they are in.
pub(super) fn programs(shell: &Shell, workspace: &Workspace, architecture: Architecture) -> Result<PathBuf> {
    let target = architecture.target();
    has_standard_library(shell, target)?;
    setup::debian_packages(shell, &DEBIAN_PACKAGES)?;
    let tools = workspace.target.join("dist-venv");
    setup::virtual_environment(shell, &tools, &PYTHON_PACKAGES)?;

    let built = workspace.target.join("dist");
    let path = shell.var("PATH").unwrap_or_default();
    let _scope = [
        shell.push_env("PATH", format!("{}:{path}", tools.join("bin").display())),
        shell.push_env("CARGO_TARGET_DIR", &built),
        shell.push_env("CARGO_ZIGBUILD_CACHE_DIR", built.join("zigbuild")),
        shell.push_env("ZIG_GLOBAL_CACHE_DIR", built.join("zig")),
        shell.push_env("ZIG_LOCAL_CACHE_DIR", built.join("zig")),
        // Instead of what this machine's configuration may say.
        shell.push_env("CARGO_ENCODED_RUSTFLAGS", remaps(shell, workspace, &built)?.join("\u{1f}")),
    ];
    let wanted = format!("{target}.{GLIBC}");
    for program in PROGRAMS {
        // One by one: together, each would get the features that the others want of a crate.
        cmd!(
            shell,
            "cargo-zigbuild zigbuild --release --locked --target {wanted} --package {program} --bin {program}"
        )
        .run()
        .with_context(|| format!("building {program} for {target}"))?;
    }
    Ok(built.join(target).join("release"))
}

/// Said before anything is installed or built: cargo would say it after minutes, in other words.
fn has_standard_library(shell: &Shell, target: &str) -> Result<()> {
    let libraries = cmd!(shell, "rustc --print target-libdir --target {target}").quiet().read()?;
    ensure!(
        Path::new(&libraries).is_dir(),
        "Rust's standard library for {target} is not installed: run `rustup target add {target}`"
    );
    Ok(())
}

/// What the places of this machine are called in messages of panics. Of two that fit, the compiler takes the later one.
fn remaps(shell: &Shell, workspace: &Workspace, built: &Path) -> Result<Vec<String>> {
    let home = shell
        .var("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|_| shell.var("HOME").map(|home| Path::new(&home).join(".cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    let places = [(home.as_path(), "/cargo"), (workspace.root.as_path(), "/patchd"), (built, "/target")];
    Ok(places.map(|(place, name)| format!("--remap-path-prefix={}={name}", place.display())).into())
}
