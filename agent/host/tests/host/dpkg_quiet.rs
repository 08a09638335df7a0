//! Who is at work on a root: locks that another process holds, and scripts that hold none.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use patchd_host::dpkg::lock::Lock;
use patchd_host::dpkg::quiet::{Doing, watch};
use patchd_host::root::Root;

use crate::support::put;

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts a program that says a line when it is where it should be.
    #[expect(clippy::disallowed_methods, reason = "the process that the tests look for")]
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self(command.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "here\n");
        process
    }
}

fn tree() -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::at(directory.path());
    (directory, root)
}

/// Only root's scripts count.
fn is_root() -> bool {
    let is_root = nix::unistd::Uid::effective().is_root();
    if !is_root {
        eprintln!("left out: scripts at work, since this test is not run by root");
    }
    is_root
}

#[test]
fn a_root_without_anybody_is_quiet() {
    let (_directory, root) = tree();
    let watch = watch(&root);
    assert_eq!((watch.at_work.as_slice(), watch.problem.as_deref()), (&[][..], None));
    assert_eq!(watch.on_packages(), None);
}

#[test]
fn a_script_that_lost_its_dpkg_is_at_work_without_a_lock() {
    if !is_root() {
        return;
    }
    let (_directory, root) = tree();
    let script = "var/lib/dpkg/info/toy.postinst";
    put(&root, script, "echo here; read line\n");
    let path = root.path(script);
    let process = Process::start("/bin/sh", &["-e", path.to_str().unwrap(), "configure", "1.0"]);
    let seen = watch(&root);
    let [at_work] = seen.at_work.as_slice() else { panic!("{seen:?}") };
    assert_eq!((at_work.pid, &at_work.doing), (Some(process.0.id()), &Doing::Runs("toy.postinst".into())));
    assert_eq!(at_work.to_string(), format!("pid {} (sh, the script toy.postinst)", process.0.id()));
    assert_eq!(seen.on_packages(), Some(at_work));
    // In another root it is somebody else's.
    assert_eq!(watch(&tree().1).at_work, []);
    drop(process);
    assert_eq!(watch(&root).at_work, []);
}

/// docs/accidents.md, row 59: what a process says of itself is nobody's word but its own user's.
#[test]
fn a_script_of_somebody_else_than_root_is_not_believed() {
    if !is_root() {
        return;
    }
    let (directory, root) = tree();
    let script = "var/lib/dpkg/info/toy.postinst";
    put(&root, script, "echo here; read line\n");
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = root.path(script);
    let arguments = ["--reuid=65534", "--clear-groups", "/bin/sh", path.to_str().unwrap(), "configure"];
    let _process = Process::start("/usr/bin/setpriv", &arguments);
    assert_eq!(watch(&root).at_work, []);
}

#[test]
fn the_holder_of_a_lock_is_named() {
    let (_directory, root) = tree();
    for name in ["var/lib/apt/lists/lock", "var/lib/dpkg/lock-frontend"] {
        put(&root, name, "");
    }
    let held = |name: &str| {
        let script = "use Fcntl; open(F, '+<', $ARGV[0]) or die; my $l = pack('s s x![l!] l! l! i', F_WRLCK, 0, 0, 0, 0); \
                      fcntl(F, F_SETLK, $l) or die; $| = 1; print \"here\\n\"; <STDIN>;";
        Process::start("/usr/bin/perl", &["-e", script, root.path(name).to_str().unwrap()])
    };
    if !std::path::Path::new("/usr/bin/perl").exists() {
        eprintln!("left out: a lock holder, since there is no perl to be one");
        return;
    }
    let lists = held("var/lib/apt/lists/lock");
    let seen = watch(&root);
    let [at_work] = seen.at_work.as_slice() else { panic!("{seen:?}") };
    assert_eq!((at_work.pid, &at_work.doing), (Some(lists.0.id()), &Doing::Holds(Lock::Lists)));
    assert_eq!(seen.on_packages(), None, "lists are no packages");
    let frontend = held("var/lib/dpkg/lock-frontend");
    let seen = watch(&root);
    assert_eq!(seen.at_work.len(), 2);
    let first = seen.on_packages().unwrap();
    assert_eq!(first.to_string(), format!("pid {} (perl)", frontend.0.id()));
}
