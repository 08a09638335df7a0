//! The only place that starts a process: systemd's own tools and `patchd check`, to be looked at and never to change
//! anything. Each has a fixed program, a built environment and a deadline; one that is late is ended.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// What each may take.
const LIMIT: Duration = Duration::from_secs(5);
const CHECK_LIMIT: Duration = Duration::from_secs(20);
/// What is read of what one says, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// What `systemctl show` says of units, one block a unit, or why it says nothing.
pub(crate) async fn units(names: &[&str], properties: &str) -> Result<String, String> {
    let property = format!("--property={properties}");
    let mut arguments = vec!["show", "--no-pager", &property];
    arguments.extend(names);
    said(&program("systemctl")?, &arguments, &[], LIMIT).await
}

/// The last lines that a unit wrote, the oldest first. Not everybody may read them.
pub(crate) async fn last_lines(unit: &str, count: usize) -> Vec<String> {
    let count = count.to_string();
    let arguments = ["--no-pager", "--quiet", "--output=cat", "--unit", unit, "--lines", &count];
    let Ok(journalctl) = program("journalctl") else { return Vec::new() };
    let said = said(&journalctl, &arguments, &[], LIMIT).await.unwrap_or_default();
    said.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What `patchd check --json` prints, with the environment that its unit would give it.
pub(crate) async fn check(environment: &[(String, String)]) -> Result<String, String> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("patchd")));
    let known = [beside, Some(PathBuf::from("/usr/bin/patchd"))];
    let Some(patchd) = known.into_iter().flatten().find(|program| program.exists()) else {
        return Err("there is no program /usr/bin/patchd".into());
    };
    said(&patchd, &["check", "--json"], environment, CHECK_LIMIT).await
}

fn program(name: &str) -> Result<PathBuf, String> {
    let found =
        ["/usr/bin", "/bin"].map(|place| Path::new(place).join(name)).into_iter().find(|path| path.exists());
    found.ok_or_else(|| format!("there is no {name} here"))
}

async fn said(
    program: &Path,
    arguments: &[&str],
    environment: &[(String, String)],
    limit: Duration,
) -> Result<String, String> {
    let name = program.display();
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{name} can't be started: {error}"))?;
    let output = child.stdout.take();
    let reading = async {
        let mut text = Vec::new();
        if let Some(output) = output {
            output
                .take(MAX_OUTPUT)
                .read_to_end(&mut text)
                .await
                .map_err(|error| format!("{name}: {error}"))?;
        }
        // Its code tells of what it found; what it printed is what counts.
        child.wait().await.map_err(|error| format!("{name}: {error}"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let late = |_| Err(format!("{name} did not end within {} seconds", limit.as_secs()));
    tokio::time::timeout(limit, reading).await.unwrap_or_else(late)
}
