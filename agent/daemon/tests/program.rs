//! The program as systemd sees it: ready, alive, killed, told to stop, with a bad configuration and a damaged journal.
//! The root helper is played by the test; the host that is scanned is this one.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patchd_protocol::control::{AgentState, RunPhase, StatusDocument};
use patchd_protocol::executor::{RefreshWire, Reply, Request, Verb};
use patchd_protocol::old_code::OldCodeWire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixDatagram, UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long anything may take on a slow machine before the test gives up. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A place with everything that a daemon needs, and the ends of its sockets that are not its own.
struct Stage {
    directory: tempfile::TempDir,
    executor: UnixListener,
    notify: UnixDatagram,
}

impl Stage {
    fn new(config: &str) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        std::fs::create_dir_all(directory.path().join("etc/patchd"))?;
        let stage = Self {
            executor: UnixListener::bind(directory.path().join("executor.sock"))?,
            notify: UnixDatagram::bind(directory.path().join("notify.sock"))?,
            directory,
        };
        stage.configure(config)?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self, config: &str) -> Result<()> {
        let store = format!("[store]\nurl = \"file://{}\"\n{config}", self.path("reports").display());
        let path = self.path("etc/patchd/patchd.toml");
        Ok(patchd_host::durable::atomic_write(&path, store.as_bytes(), 0o644)?)
    }

    fn start(&self) -> Result<Child> {
        let child = Command::new(env!("CARGO_BIN_EXE_patchd"))
            .arg("--config-root")
            .arg(self.directory.path())
            .arg("--state")
            .arg(self.path("state"))
            .arg("--executor-socket")
            .arg(self.path("executor.sock"))
            .arg("--control-socket")
            .arg(self.path("run/patchd.sock"))
            .env("NOTIFY_SOCKET", self.path("notify.sock"))
            .env("WATCHDOG_USEC", "400000")
            .env_remove("JOURNAL_STREAM")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    /// Waits until systemd would have been told this.
    async fn told(&self, wanted: &str) -> Result<()> {
        let mut buffer = [0; 4096];
        let told = async {
            loop {
                let length = self.notify.recv(&mut buffer).await?;
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                if text.lines().any(|line| line.starts_with(wanted)) {
                    return Ok(());
                }
            }
        };
        timeout(PATIENCE, told).await.with_context(|| format!("{wanted} was not told"))?
    }

    /// The next request to the root helper, and the stream to answer on.
    async fn asked(&self) -> Result<(Request, UnixStream)> {
        let asked = async {
            let (mut stream, _) = self.executor.accept().await?;
            let mut body = vec![0; usize::try_from(stream.read_u32().await?)?];
            stream.read_exact(&mut body).await?;
            Ok((serde_json::from_slice(&body)?, stream))
        };
        timeout(PATIENCE, asked).await.context("the helper was not asked")?
    }

    /// Answers the question for old code in memory, and leaves open what else is asked meanwhile.
    async fn show_processes(&self) -> Result<()> {
        loop {
            let (request, stream) = self.asked().await?;
            match request.verb {
                Verb::Processes {} => {
                    let code = OldCodeWire { processes: vec![], unseen: None };
                    return answer(stream, &Reply::Processes(code)).await;
                }
                Verb::Observe { .. } => {}
                other => anyhow::bail!("{} instead of the processes", other.name()),
            }
        }
    }

    async fn status(&self) -> Result<StatusDocument> {
        let mut stream = UnixStream::connect(self.path("run/patchd.sock")).await?;
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHost: patchd\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no body")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
        Ok(serde_json::from_str(body)?)
    }
}

async fn answer(mut stream: UnixStream, reply: &Reply) -> Result<()> {
    let body = serde_json::to_vec(reply)?;
    stream.write_u32(u32::try_from(body.len())?).await?;
    Ok(stream.write_all(&body).await?)
}

fn refreshed() -> Reply {
    Reply::Refreshed(RefreshWire { exit_code: Some(0), failures: vec![], output_tail: vec![] })
}

fn tell(child: &Child, signal: Signal) -> Result<()> {
    let id = child.id().context("it is gone")?;
    Ok(kill(Pid::from_raw(i32::try_from(id)?), signal)?)
}

async fn stopped(child: &mut Child) -> Result<ExitStatus> {
    tell(child, Signal::SIGTERM)?;
    Ok(timeout(STOP_LIMIT, child.wait()).await.context("it did not stop in time")??)
}

async fn errors(child: &mut Child) -> Result<String> {
    let mut text = String::new();
    child.stderr.take().context("no standard error")?.read_to_string(&mut text).await?;
    Ok(text)
}

fn refresh_of(request: &Request) -> Result<&str> {
    match &request.verb {
        Verb::Refresh { transaction } => Ok(transaction),
        other => anyhow::bail!("{} instead of a refresh", other.name()),
    }
}

#[tokio::test]
async fn it_scans_is_alive_and_stops_at_once() -> Result<()> {
    let stage = Stage::new("")?;
    let mut child = stage.start()?;
    stage.told("READY=1").await?;
    let (request, stream) = stage.asked().await?;
    assert!(refresh_of(&request)?.ends_with(".refresh"));
    stage.told("WATCHDOG=1").await?;
    let status = stage.status().await?;
    assert_eq!(status.state, AgentState::Running);
    assert_eq!(status.running.context("no run")?.phase, RunPhase::Refreshing);
    answer(stream, &refreshed()).await?;
    stage.show_processes().await?;
    stage.told("STATUS=idle; the last run succeeded").await?;
    let status = stage.status().await?;
    assert!(status.last_report.is_some());
    assert!(stopped(&mut child).await?.success());
    assert!(!stage.path("run/patchd.sock").exists());
    assert!(stage.path("reports/v1/reports").is_dir() || stage.path("state/spool/v1/reports").is_dir());
    Ok(())
}

#[tokio::test]
async fn a_run_that_was_cut_by_a_stop_or_a_kill_goes_on_at_the_next_start() -> Result<()> {
    let stage = Stage::new("")?;
    let mut child = stage.start()?;
    let (first, held) = stage.asked().await?;
    assert!(stopped(&mut child).await?.success());
    drop(held);

    let mut child = stage.start()?;
    let (second, held) = stage.asked().await?;
    assert_eq!(first.run, second.run);
    assert_eq!(refresh_of(&first)?, refresh_of(&second)?);
    child.kill().await?;
    drop(held);

    let mut child = stage.start()?;
    let (third, stream) = stage.asked().await?;
    assert_eq!(first.run, third.run);
    answer(stream, &refreshed()).await?;
    stage.show_processes().await?;
    stage.told("STATUS=idle; the last run succeeded").await?;
    assert_eq!(stage.status().await?.last_run.context("no run")?.id, first.run);
    assert!(stopped(&mut child).await?.success());
    Ok(())
}

#[tokio::test]
async fn mistakes_end_a_start_and_not_a_reload() -> Result<()> {
    let stage = Stage::new("[scan]\nintervall = \"1h\"\n")?;
    let mut child = stage.start()?;
    let ended = timeout(PATIENCE, child.wait()).await??;
    assert_eq!(ended.code(), Some(2));
    let told = errors(&mut child).await?;
    assert!(told.contains("patchd.toml:4: scan.intervall: "), "{told}");
    assert!(told.contains("did you mean `interval`?"), "{told}");

    stage.configure("")?;
    let mut child = stage.start()?;
    let (_, _held) = stage.asked().await?;
    stage.configure("[scna]\n")?;
    tell(&child, Signal::SIGHUP)?;
    let mut lines = tokio::io::BufReader::new(child.stderr.take().context("no standard error")?);
    let read = async {
        let mut text = String::new();
        while !text.contains("did you mean `scan`?") {
            ensure!(tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut text).await? != 0, "{text}");
        }
        Ok(())
    };
    timeout(PATIENCE, read).await??;
    assert_eq!(stage.status().await?.state, AgentState::Running);
    assert!(stopped(&mut child).await?.success());
    Ok(())
}

#[tokio::test]
async fn a_damaged_journal_does_not_keep_it_from_working() -> Result<()> {
    let stage = Stage::new("")?;
    std::fs::create_dir(stage.path("state"))?;
    let garbage = b"this is no database".repeat(500);
    patchd_host::durable::atomic_write(&stage.path("state/journal.sqlite"), &garbage, 0o640)?;
    let mut child = stage.start()?;
    stage.told("READY=1").await?;
    let is_kept = |entry: &Path| entry.to_string_lossy().contains("journal.sqlite.damaged-");
    let names = std::fs::read_dir(stage.path("state"))?.map(|entry| Ok(entry?.path()));
    assert!(names.collect::<Result<Vec<_>>>()?.iter().any(|path| is_kept(path)));
    assert!(stopped(&mut child).await?.success());
    let told = errors(&mut child).await?;
    assert!(told.contains("the journal could not be used and was moved aside"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_state_directory_that_can_not_be_made_is_named() -> Result<()> {
    let stage = Stage::new("")?;
    patchd_host::durable::atomic_write(&stage.path("state"), b"a file", 0o640)?;
    let mut child = stage.start()?;
    let ended = timeout(PATIENCE, child.wait()).await??;
    assert_eq!(ended.code(), Some(1));
    let told = errors(&mut child).await?;
    assert!(told.contains(&stage.path("state").display().to_string()), "{told}");
    Ok(())
}
