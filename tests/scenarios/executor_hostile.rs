//! The root helper's socket under hostile input: garbage, giants, strangers, replayed ids, plans that would bring more
//! than they say, and a daemon that wants to grant itself something. All of it is refused and logged, and nothing is run.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patchd_core::plan::Plan;
use patchd_protocol::executor::{HookStage, PROTOCOL, PlanWire, RefusalCode, Reply, Request, Verb, digest};
use patchd_protocol::frame::{self, MAX_REPLY, MAX_REQUEST};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::command;
use patchd_tests::executor_client::{Client, change, done, plan, root_with_executor};
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};

const PROGRAM: &str = "/usr/libexec/patchd/patchd-executor";
const SOCKET: &str = "/run/executor.sock";

#[track_caller]
fn check_refused(reply: &Reply, expected: RefusalCode, part: &str) {
    assert!(
        matches!(reply, Reply::Refused(refusal) if refusal.code == expected && refusal.message.contains(part)),
        "{reply:?}"
    );
}

fn root_with_update() -> Result<AptRoot> {
    let root = root_with_executor()?;
    mount(Some("proc"), &root.at("/proc"), Some("proc"), MsFlags::empty(), None::<&str>)
        .context("mounting /proc in a root")?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &["lab-app", "lab-more"].map(|name| ToyPackage::new(name, "1.0")))?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-app", "lab-more"])?;
    let more = [
        ToyPackage::new("lab-app", "1.1").field("Depends: lab-more (>= 1.1), lab-new"),
        ToyPackage::new("lab-more", "1.1"),
        ToyPackage::new("lab-new", "1.1"),
    ];
    repository.publish(Suite::Security, &more)?;
    root.run(["apt-get", "update"])?;
    Ok(root)
}

#[track_caller]
fn check_untouched(root: &AptRoot) {
    for package in ["lab-app", "lab-more"] {
        assert_eq!(root.dpkg(package).ok().as_deref(), Some("1.0|install ok installed"));
    }
    let history = root.read("/var/log/apt/history.log").unwrap_or_default();
    assert_eq!(history.matches("Start-Date").count(), 1, "{history}");
}

/// The executor with one end of a pair, as our side has it.
fn raw(root: &AptRoot) -> Result<(Child, UnixStream)> {
    let (stream, theirs) = UnixStream::pair()?;
    Ok((start(root, OwnedFd::from(theirs))?, stream))
}

fn start(root: &AptRoot, socket: OwnedFd) -> Result<Child> {
    let log = File::options().create(true).append(true).open(root.at("/executor.log"))?;
    let mut command = root.direct_command([PROGRAM]);
    Ok(command.stdin(socket).stdout(log.try_clone()?).stderr(log).spawn()?)
}

#[test]
fn garbage_and_giants_end_the_connection_and_nothing_else() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_update()?;
    let framed = |body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap();
        [&length.to_be_bytes(), body].concat()
    };
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(Vec<u8>, Option<&str>); 6] = [
        (framed(b"GET / HTTP/1.1\r\n\r\n"), Some("not the JSON")),
        (framed(nested.as_bytes()), Some("not the JSON")),
        (u32::MAX.to_be_bytes().to_vec(), Some("over the limit of 1048576")),
        (
            framed(b"{\"protocol\":2,\"run\":\"r\",\"verb\":{\"shell\":{\"command\":\"id\"}}}"),
            Some("no verb \"shell\""),
        ),
        (
            framed(b"{\"protocol\":1,\"run\":\"r\",\"verb\":{\"refresh\":{\"transaction\":\"t\"}}}"),
            Some("speaks protocol"),
        ),
        // Cut in its middle.
        (framed(&[b'x'; 100]).into_iter().take(50).collect(), None),
    ];
    for (bytes, answer) in cases {
        let (mut child, mut stream) = raw(&root)?;
        stream.write_all(&bytes)?;
        stream.shutdown(std::net::Shutdown::Write)?;
        match (frame::read::<Reply>(&mut stream, MAX_REPLY)?, answer) {
            (Some(Reply::Refused(refusal)), Some(part)) => {
                assert!(refusal.message.contains(part), "{refusal:?}")
            }
            (None, None) => {}
            other => panic!("{other:?}"),
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest)?;
        assert_eq!(rest, Vec::<u8>::new());
        assert!(child.wait()?.success());
    }
    check_untouched(&root);
    Ok(())
}

/// A record answers for its own order and for no other, and a plan brings what it says and nothing more.
#[test]
fn replayed_ids_and_packages_outside_the_plan_are_refused() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_update()?;
    let mut client = Client::start(&root)?;
    let app = plan([change("lab-app", Some("1.0"), "1.1")])?;
    check_refused(&client.apply("r.1", &app)?, RefusalCode::PlanDiffers, "lab-more");
    let more = [change("lab-app", Some("1.0"), "1.1"), change("lab-more", Some("1.0"), "1.1")];
    check_refused(&client.apply("r.1", &plan(more)?)?, RefusalCode::PlanDiffers, "lab-new");
    let hooks = Verb::RunHooks { transaction: "r.hooks".into(), stage: HookStage::PrePatch };
    done(client.ask(hooks)?)?;
    let repair = |id: &str| Verb::Repair { transaction: id.into() };
    check_refused(&client.ask(repair("r.hooks"))?, RefusalCode::Malformed, "was no repair");
    done(client.ask(repair("r.repair"))?)?;
    let hooks = Verb::RunHooks { transaction: "r.repair".into(), stage: HookStage::PrePatch };
    check_refused(&client.ask(hooks)?, RefusalCode::Malformed, "ran no hooks");
    check_refused(&client.apply("r.repair", &app)?, RefusalCode::DigestMismatch, "r.repair");
    check_refused(&client.ask(repair("../../../etc/x"))?, RefusalCode::Malformed, "is no id");
    client.end()?;
    check_untouched(&root);
    let log = root.read("/executor.log")?;
    for code in ["PlanDiffers", "DigestMismatch", "Malformed"] {
        assert!(log.contains(&format!("is refused ({code})")), "{code}: {log}");
    }
    Ok(())
}

/// Sends a request as another user, over the listening socket or over a pair that it made while it still was root. What
/// it gets is printed as it comes.
const STRANGER: &str = r#"use Socket; use POSIX;
my ($way, $user, $request) = @ARGV;
$SIG{PIPE} = "IGNORE"; # Who is refused before it asked can still read why.
my $uid = getpwnam($user);
if ($way eq "connect") {
    POSIX::setuid($uid);
    socket(S, AF_UNIX, SOCK_STREAM, 0) or die; connect(S, pack_sockaddr_un("/run/executor.sock")) or die "connect: $!";
} else {
    socketpair(S, T, AF_UNIX, SOCK_STREAM, 0) or die;
    if (!fork) { close S; open(STDIN, "<&T"); close T; exec "/usr/libexec/patchd/patchd-executor" or die; }
    close T; POSIX::setuid($uid);
}
syswrite(S, pack("N", length $request) . $request); shutdown(S, 1);
while (sysread(S, my $part, 65536)) { syswrite(STDOUT, $part); }
"#;

fn ask_as(root: &AptRoot, way: &str, user: &str, verb: Verb) -> Result<Reply> {
    let request = serde_json::to_string(&Request { protocol: PROTOCOL, run: "run-1".into(), verb })?;
    let mut command = root.direct_command(["perl", "-e", STRANGER, way, user, &request]);
    let said = command::finish(&mut command)?.success()?.stdout;
    frame::read(&mut said.as_bytes(), MAX_REPLY)?.context("no reply")
}

fn grant(plan: &PlanWire) -> Result<Verb> {
    let digest = digest(&Plan::try_from(plan)?);
    Ok(Verb::Grant { plan: plan.clone(), digest, reason: "I want it".into(), seconds: 600 })
}

/// Who is not root grants nothing, on whatever way it comes, and who is nobody is not even heard.
#[test]
fn strangers_are_not_heard_and_the_daemon_gives_no_word_for_root() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_update()?;
    let all = plan([
        change("lab-app", Some("1.0"), "1.1"),
        change("lab-more", Some("1.0"), "1.1"),
        change("lab-new", None, "1.1"),
    ])?;
    let listener = UnixListener::bind(root.at(SOCKET))?;
    std::fs::set_permissions(root.at(SOCKET), PermissionsExt::from_mode(0o666))?;
    let mut executor = start(&root, OwnedFd::from(listener))?;
    let observe = Verb::Observe { digest: None };
    check_refused(
        &ask_as(&root, "connect", "nobody", observe.clone())?,
        RefusalCode::NotAuthorised,
        "may not ask",
    );
    let granted = ask_as(&root, "connect", "patchd", grant(&all)?)?;
    check_refused(&granted, RefusalCode::NotAuthorised, "only root may grant");
    assert!(matches!(ask_as(&root, "connect", "patchd", observe)?, Reply::Observed(_)));
    assert!(matches!(ask_as(&root, "connect", "root", grant(&all)?)?, Reply::Granted { .. }));
    kill(Pid::from_raw(i32::try_from(executor.id())?), Signal::SIGTERM)?;
    assert!(executor.wait()?.success());
    // Whoever made the pair was root, and is not any more.
    let granted = ask_as(&root, "pair", "patchd", grant(&all)?)?;
    check_refused(&granted, RefusalCode::NotAuthorised, "only root may grant");
    assert!(matches!(ask_as(&root, "pair", "root", grant(&all)?)?, Reply::Granted { .. }));
    check_untouched(&root);
    let log = root.read("/executor.log")?;
    assert!(log.contains("may not ask the executor") && log.contains("is refused (NotAuthorised)"), "{log}");
    Ok(())
}

/// docs/accidents.md, row 59: a process of anybody's that looks like a maintainer script at work keeps nobody waiting.
#[test]
fn a_process_that_calls_itself_a_script_is_not_believed() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_update()?;
    let lie = [
        "perl",
        "-e",
        "$| = 1; print qq(here\\n); <STDIN>",
        "/var/lib/dpkg/info/lab-app.postinst",
        "configure",
    ];
    let words = ["setpriv", "--reuid=nobody", "--clear-groups"].into_iter().chain(lie);
    let mut liar = root.direct_command(words);
    let mut liar = liar.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut here = [0; 5];
    liar.stdout.as_mut().context("no output")?.read_exact(&mut here)?;
    let mut client = Client::start(&root)?;
    let Reply::Observed(observed) = client.ask(Verb::Observe { digest: None })? else {
        bail!("not observed")
    };
    assert_eq!(observed.lock_holder, None);
    let record = done(client.ask(Verb::Repair { transaction: "r.repair".into() })?)?;
    assert_eq!(record.notes, ["nothing was wrong with the package database"]);
    client.end()?;
    liar.kill()?;
    liar.wait()?;
    Ok(())
}

/// A frame at the limit is read, and one byte more is not: the limit is on what is sent, not on what it becomes.
#[test]
fn the_largest_request_is_still_refused_by_its_content() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = root_with_executor()?;
    let (mut child, mut stream) = raw(&root)?;
    let padded = |length: usize| format!("{{\"protocol\":2,\"run\":\"{}\"}}", "r".repeat(length));
    let most = usize::try_from(MAX_REQUEST)? - padded(0).len();
    let body = padded(most);
    stream.write_all(&[&MAX_REQUEST.to_be_bytes(), body.as_bytes()].concat())?;
    let reply: Reply = frame::read(&mut stream, MAX_REPLY)?.context("no reply")?;
    check_refused(&reply, RefusalCode::Malformed, "no verb");
    drop(stream);
    assert!(child.wait()?.success());
    Ok(())
}
