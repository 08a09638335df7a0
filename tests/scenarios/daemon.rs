//! The daemon's life in a root of its own: it says when it is ready, answers on its socket, stops at once when told, and
//! loses no report while the store is away.

use std::os::unix::net::UnixDatagram;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patchd_tests::agent_host::{AgentHost, always_open, reports};
use patchd_tests::command;
use patchd_tests::control_client;
use patchd_tests::fake_http::{FakeHttp, Reply};
use patchd_tests::outcome::{is_root_or_skipped, left_out};
use patchd_tests::repository::ToyPackage;
use patchd_tests::s3::S3Server;
use patchd_tests::wait;
use serde_json::Value;

/// A running daemon; killed when dropped.
struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it and waits until it says that it is ready.
    fn start(host: &AgentHost) -> Result<Self> {
        let path = host.root.at("/run/notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).context("making a notify socket")?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777))?;
        socket.set_nonblocking(true)?;
        let log = std::fs::File::options().create(true).append(true).open(host.root.at("/patchd.log"))?;
        let mut command = host.direct_command(&["/usr/bin/patchd"]);
        command.env("NOTIFY_SOCKET", "/run/notify").stdout(log.try_clone()?).stderr(log);
        let mut daemon = Self { child: command.spawn()? };
        let ready = wait::until("READY=1", 20, || {
            if let Some(status) = daemon.child.try_wait()? {
                anyhow::bail!("patchd ended with {status}");
            }
            let mut buffer = [0; 4096];
            let Ok(length) = socket.recv(&mut buffer) else { return Ok(None) };
            let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
            Ok(text.lines().any(|line| line == "READY=1").then_some(()))
        });
        ready.with_context(|| host.root.read("/patchd.log").unwrap_or_default())?;
        Ok(daemon)
    }

    fn id(&self) -> Result<Pid> {
        Ok(Pid::from_raw(i32::try_from(self.child.id())?))
    }

    /// Tells it to stop; it has two seconds.
    fn stop(mut self) -> Result<()> {
        kill(self.id()?, Signal::SIGTERM)?;
        let status = wait::until("patchd to stop", 2, || Ok(self.child.try_wait()?))?;
        assert!(status.success(), "{status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn patchctl(host: &AgentHost, arguments: &[&str]) -> Result<Value> {
    let arguments: Vec<_> = ["patchctl", "--json"].iter().chain(arguments).copied().collect();
    command::finish(&mut host.command(&arguments))?.success()?.json()
}

fn spooled(host: &AgentHost) -> Result<u64> {
    let status = patchctl(host, &["status"])?;
    status.get("spooled_reports").and_then(Value::as_u64).with_context(|| format!("{status}"))
}

/// A host with one fix waiting.
fn waiting_host(endpoint: &str) -> Result<AgentHost> {
    let host = AgentHost::build(&[ToyPackage::new("lab-plain", "1.0")])?;
    host.publish_fixes(&[ToyPackage::new("lab-plain", "1.1")])?;
    host.configure(endpoint, "[scan]\ninterval = \"31d\"\n")?;
    Ok(host)
}

#[test]
fn it_serves_without_root_and_stops_in_two_seconds() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    // Nobody listens there.
    let host = waiting_host("http://127.0.0.1:9")?;
    let daemon = Daemon::start(&host)?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id()))?;
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let user = host.root.run(["id", "-u", "patchd"])?.stdout;
    assert_eq!(line("Uid:").split_whitespace().nth(2), Some(user.trim()), "{}", line("Uid:"));
    assert_eq!(line("CapEff:").split_whitespace().nth(1), Some("0000000000000000"));

    let status = patchctl(&host, &["status"])?;
    assert_eq!(status.get("schema").and_then(Value::as_str), Some("patchd.status/1"));
    let scanned = patchctl(&host, &["scan"])?;
    assert_eq!(scanned.get("schema").and_then(Value::as_str), Some("patchd.report/1"));
    let updates = patchctl(&host, &["updates"])?;
    assert_eq!(updates.pointer("/updates/0/name").and_then(Value::as_str), Some("lab-plain"), "{updates}");
    assert_eq!(updates.pointer("/updates/0/reason").and_then(Value::as_str), Some("no_window"), "{updates}");
    let runs = patchctl(&host, &["runs"])?;
    assert_ne!(runs.pointer("/runs/0/id"), None, "{runs}");
    daemon.stop()
}

/// The processes that run a program of this host.
fn processes(host: &AgentHost, program: &str) -> Result<Vec<Pid>> {
    let program = host.root.at(program).canonicalize()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program) {
            found.push(Pid::from_raw(id));
        }
    }
    Ok(found)
}

#[test]
fn a_root_helper_that_is_killed_is_started_again_without_systemd() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = waiting_host("http://127.0.0.1:9")?;
    let mut daemon = Daemon::start(&host)?;
    let is_complete = |report: &Value| report.get("assessment").and_then(Value::as_str) == Some("complete");
    for _ in 0..2 {
        let report = patchctl(&host, &["scan"])?;
        assert!(is_complete(&report), "{report}");
        let helpers = processes(&host, patchd_protocol::executor::PROGRAM)?;
        assert_eq!(helpers.len(), 1);
        for helper in helpers {
            kill(helper, Signal::SIGKILL)?;
        }
    }
    // The keeper of its socket is the other process of patchd, still root; it ends with the first.
    assert_eq!(processes(&host, "/usr/bin/patchd")?.len(), 2);
    daemon.child.kill()?;
    daemon.child.wait()?;
    wait::until("the keeper to end", 10, || {
        Ok(processes(&host, "/usr/bin/patchd")?.is_empty().then_some(()))
    })?;
    let left = std::fs::read_dir(host.root.at("/run/patchd"))?.map(|entry| Ok(entry?.file_name()));
    let left = left.collect::<Result<Vec<_>>>()?;
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("executor-")), "{left:?}");
    Ok(())
}

/// What the daemon says of its sandbox: whether all is well, and how it stands.
fn sandbox(host: &AgentHost) -> Result<(bool, String)> {
    let health = control_client::get(&host.root.at("/run/patchd/patchd.sock"), "/v1/health")?.body;
    let checks = health.get("checks").and_then(Value::as_array).context("no checks")?;
    let is_it = |check: &&Value| check.get("name").and_then(Value::as_str) == Some("sandbox");
    let check = checks.iter().find(is_it).with_context(|| format!("{health:#}"))?;
    let told = check.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((check.get("ok") == Some(&true.into()), told))
}

#[test]
fn it_is_shut_in_for_good_and_says_what_it_misses() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = waiting_host("http://127.0.0.1:9")?;
    // Nothing but landlock keeps patchd from the last two.
    host.root.run(["sh", "-ec", "for place in one two; do install -d -o patchd /srv/$place; done"])?;
    let to = |place: &str| {
        let text = format!("[store]\nurl = \"file:///srv/{place}/reports\"\n[scan]\ninterval = \"31d\"\n");
        host.root.write("/etc/patchd/patchd.toml", text)
    };
    to("one")?;
    let daemon = Daemon::start(&host)?;
    let (is_well, told) = sandbox(&host)?;
    assert!(is_well && told.starts_with("landlock: "), "{told}");
    if !told.contains("ABI") {
        left_out(&format!("what landlock keeps from the daemon; {told}"));
        return daemon.stop();
    }
    patchctl(&host, &["scan"])?;
    wait::until("a report in its directory", 20, || Ok((spooled(&host)? == 0).then_some(())))?;
    // Root's part is free: it has to start what changes the host.
    let privileges = processes(&host, "/usr/bin/patchd")?.into_iter().map(|process| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:\t"));
        Ok((process == daemon.id()?, line == Some("1")))
    });
    let mut privileges = privileges.collect::<Result<Vec<_>>>()?;
    privileges.sort_unstable();
    assert_eq!(privileges, [(false, false), (true, true)]);

    to("two")?;
    kill(daemon.id()?, Signal::SIGHUP)?;
    let told = wait::until("it to say what it misses", 20, || {
        let (is_well, told) = sandbox(&host)?;
        Ok((!is_well).then_some(told))
    })?;
    assert!(told.contains("/srv/two/reports") && told.contains("restart patchd"), "{told}");
    patchctl(&host, &["scan"])?;
    wait::until("a report in the spool", 20, || Ok((spooled(&host)? != 0).then_some(())))?;
    assert!(!host.root.at("/srv/two/reports").exists());
    daemon.stop()?;

    let daemon = Daemon::start(&host)?;
    wait::until("the spool to be empty", 60, || Ok((spooled(&host)? == 0).then_some(())))?;
    assert!(host.root.at("/srv/two/reports/v1/reports").exists());
    assert!(sandbox(&host)?.0);
    daemon.stop()
}

#[test]
fn nobody_else_may_ask_or_have_anything_changed() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = waiting_host("http://127.0.0.1:9")?;
    let daemon = Daemon::start(&host)?;
    assert!(host.root.at("/run/patchd/patchd.sock").exists());
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "patchctl", "scan"];
    let refused = command::finish(&mut host.command(&nobody))?;
    // 5: the socket can't be reached, or 6: the daemon refuses.
    assert!(matches!(refused.code(), Some(5 | 6)), "{refused:?}");
    daemon.stop()
}

#[test]
fn a_report_outlives_the_store_and_the_daemon() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let is_there = Arc::new(AtomicBool::new(false));
    let (asked, url) = (Arc::clone(&is_there), server.url());
    let store = FakeHttp::start(move |_, request| match asked.load(Ordering::SeqCst) {
        true => request.forward(&url).unwrap_or(Reply::Reset),
        false => Reply::status(503),
    })?;
    let host = waiting_host(&store.url())?;
    let daemon = Daemon::start(&host)?;
    let report = patchctl(&host, &["scan"])?;
    wait::until("a report in the spool", 20, || Ok((spooled(&host)? != 0).then_some(())))?;
    daemon.stop()?;
    assert_eq!(reports(&server)?.len(), 0);

    is_there.store(true, Ordering::SeqCst);
    let daemon = Daemon::start(&host)?;
    wait::until("the spool to be empty", 60, || Ok((spooled(&host)? == 0).then_some(())))?;
    let stored = reports(&server)?;
    assert!(stored.iter().any(|stored| stored.get("id") == report.get("id")), "{stored:?}");
    daemon.stop()
}

#[test]
fn an_opening_window_makes_the_daemon_apply() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(server) = S3Server::start_or_skipped()? else { return Ok(()) };
    let host = waiting_host(&server.url())?;
    host.configure(&server.url(), always_open())?;
    let daemon = Daemon::start(&host)?;
    let is_done = || Ok((host.root.dpkg("lab-plain")? == "1.1|install ok installed").then_some(()));
    wait::until("the fix", 60, is_done).with_context(|| host.root.read("/patchd.log").unwrap_or_default())?;
    daemon.stop()
}

#[test]
fn a_mistake_in_the_configuration_is_said_before_anything_starts() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let host = waiting_host("http://127.0.0.1:9")?;
    host.configure("http://127.0.0.1:9", "[scan]\nintervall = \"4h\"\n")?;
    let finished = command::finish(&mut host.command(&["/usr/bin/patchd"]))?;
    assert!(!matches!(finished.code(), Some(0) | None), "{finished:?}");
    let said = finished.stdout + &finished.stderr;
    for part in ["/etc/patchd/patchd.toml:8:", "intervall", "did you mean `interval`?"] {
        assert!(said.contains(part), "no {part} in:\n{said}");
    }
    Ok(())
}
