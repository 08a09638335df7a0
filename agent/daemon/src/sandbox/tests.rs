//! What is shut stays shut, in a thread of each test: landlock holds for the thread that asks for it, and what it starts.

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::getppid;
use patchd_protocol::config::BaselineSource;
use patchd_protocol::store_url::StoreUrl;

use super::*;

/// Runs `work` shut in; what it finds, or nothing where the kernel has no landlock of that much.
fn shut_in<T: Send + 'static>(allowed: Allowed, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let thread = std::thread::spawn(move || {
        let status = restrict(&allowed).unwrap();
        (status.ruleset == RulesetStatus::FullyEnforced).then(work)
    });
    let done = thread.join().unwrap();
    if done.is_none() {
        eprintln!("left out: this kernel has no landlock of ABI 6");
    }
    done
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn nothing_is_written_outside_and_nothing_run_that_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let [own, other] = ["own", "other"].map(|name| directory.path().join(name));
    for place in [&own, &other] {
        fs::create_dir(place).unwrap();
        fs::copy("/bin/true", place.join("program")).unwrap();
        fs::set_permissions(place.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(own.join("below")).unwrap();
    let listener = UnixListener::bind(other.join("socket")).unwrap();
    let run = existing_programs();
    let allowed = Allowed { write: vec![own.clone()], run, ..Allowed::default() };
    let refused = Some(io::ErrorKind::PermissionDenied);
    let found = shut_in(allowed, move || {
        File::create(own.join("file")).unwrap();
        fs::rename(own.join("file"), own.join("below/file")).unwrap();
        fs::remove_file(own.join("below/file")).unwrap();
        UnixListener::bind(own.join("socket")).unwrap();
        // Sockets of others are told by their own rights.
        UnixStream::connect(other.join("socket")).unwrap();
        [
            kind(File::create(other.join("file"))),
            kind(File::open(other.join("program"))),
            kind(fs::read_dir(&other)),
            kind(fs::remove_file(other.join("program"))),
            kind(fs::rename(own.join("program"), other.join("moved"))),
            kind(fs::create_dir(other.join("directory"))),
            kind(std::os::unix::fs::symlink("/", other.join("link"))),
            kind(start(&own.join("program"))),
            kind(start(&other.join("program"))),
            kind(TcpListener::bind(("127.0.0.1", 0))),
            kind(kill(getppid(), None).map_err(io::Error::from)),
        ]
    });
    assert!(found.is_none_or(|found| found == [refused; 11]), "{found:?}");
    drop(listener);
}

fn existing_programs() -> Vec<PathBuf> {
    ["/usr", "/bin", "/lib", "/lib64"].map(PathBuf::from).to_vec()
}

#[expect(clippy::disallowed_methods, reason = "a test asks whether a program can be started")]
fn start(program: &Path) -> io::Result<()> {
    std::process::Command::new(program).status().map(|_| ())
}

#[test]
fn whoever_waits_on_an_abstract_socket_is_notified() {
    let address = || {
        let name = format!("patchd-sandbox-{}", std::process::id());
        std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()
    };
    let _listener = UnixListener::bind_addr(&address()).unwrap();
    for is_open in [false, true] {
        let allowed = Allowed { has_abstract_sockets: is_open, ..Allowed::default() };
        let address = address();
        let connected = shut_in(allowed, move || UnixStream::connect_addr(&address).is_ok());
        assert!(connected.is_none_or(|connected| connected == is_open), "{is_open}");
    }
    let named = |name: &str| (name == "NOTIFY_SOCKET").then(|| "@notify".into());
    let nowhere = Path::new("/nonexistent");
    assert!(Allowed::of(&own(nowhere, nowhere), &Settings::default(), named).has_abstract_sockets);
}

#[test]
fn programs_run_from_where_programs_lie() {
    let allowed =
        Allowed { run: existing_programs(), devices: vec!["/dev/null".into()], ..Allowed::default() };
    let told = shut_in(allowed, || kind(start(Path::new("/bin/true"))));
    assert!(told.is_none_or(|told| told.is_none()), "{told:?}");
}

fn own<'a>(state: &'a Path, runtime: &'a Path) -> Own<'a> {
    Own { state, runtime: Some(runtime), config_root: Path::new("/") }
}

#[test]
fn what_the_configuration_and_the_environment_name_is_open() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = directory.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    };
    let (state, runtime, store, home) = (at("state"), at("runtime"), at("store"), at("home"));
    fs::create_dir(home.join(".aws")).unwrap();
    let token = at("tokens").join("token");
    fs::copy("/bin/true", &token).unwrap();
    let profile = format!("[default]\nregion = eu-west-1\nweb_identity_token_file = {}\n", token.display());
    durable::atomic_write(&home.join(".aws/config"), profile.as_bytes(), 0o600).unwrap();
    let mut settings = Settings::default();
    settings.store.location = StoreUrl::File { path: store.clone() };
    settings.baseline.source = BaselineSource::File(at("policy").join("baseline.json"));
    let bundle = at("certificates").join("bundle.pem");
    let variable = |name: &str| match name {
        "HOME" => Some(home.clone().into_os_string()),
        "SSL_CERT_FILE" => Some(bundle.clone().into_os_string()),
        _ => None,
    };
    let allowed = Allowed::of(&own(&state, &runtime), &settings, variable);
    for path in [&state, &runtime, &store] {
        assert!(allowed.write.contains(path), "{}", path.display());
    }
    for path in [at("policy"), at("tokens"), at("certificates"), home.join(".aws")] {
        assert!(allowed.read.contains(&path), "{}", path.display());
    }
    assert!(!allowed.read.contains(&home) && !allowed.write.contains(&home));
    for everything in ["/", "/var", "/home", "/root", "/etc/passwd"] {
        assert!(!allowed.read.contains(&PathBuf::from(everything)), "{everything}");
        assert!(!allowed.write.contains(&PathBuf::from(everything)), "{everything}");
    }
    for path in ["/etc", "/proc"] {
        assert!(allowed.read.contains(&PathBuf::from(path)), "{path}");
    }
}

#[test]
fn a_new_name_in_the_configuration_is_told_until_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let allowed =
        Allowed { read: vec![path.join("read")], write: vec![path.join("own")], ..Allowed::default() };
    for name in ["read", "own"] {
        fs::create_dir(path.join(name)).unwrap();
    }
    let state = State::Shut { is_fully: true, abi: 7 };
    let sandbox = Sandbox { state, allowed, config_root: "/".into() };
    let settings = |store: &str, baseline: &str| {
        let mut settings = Settings::default();
        settings.store.location = StoreUrl::File { path: path.join(store) };
        settings.baseline.source = BaselineSource::File(path.join(baseline));
        settings
    };
    let fine = sandbox.health(&settings("own/reports", "read/baseline.json"));
    assert_eq!(fine, (true, "landlock: fully, ABI 7".into()));
    let (is_well, told) = sandbox.health(&settings("read", "elsewhere/baseline.json"));
    let [store, baseline] =
        ["read", "elsewhere/baseline.json"].map(|name| path.join(name).display().to_string());
    assert!(
        !is_well && told.contains(&store) && told.contains(&baseline) && told.contains("restart"),
        "{told}"
    );
    let none = Sandbox::without("not in this kernel");
    assert_eq!(none.health(&settings("read", "elsewhere")), (true, "landlock: not in this kernel".into()));
}
