//! The reader on made-up processes, and on this machine's own.

use std::os::unix::fs::symlink;

use super::*;

const CODE: &str = "7f0b1a200000-7f0b1a228000 r-xp 00000000 fe:00 1";

/// A `/proc` of our own making, and a host for its processes to live in.
struct Stage {
    directory: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir_all(stage.path("root/etc")).unwrap();
        std::fs::create_dir(stage.path("other")).unwrap();
        stage.put(
            "root/var/lib/dpkg/status",
            "Package: liba\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n",
        );
        stage.put("root/var/lib/dpkg/info/liba:amd64.list", "/usr/lib/liba.so.1\n/usr/lib/liba.so.1.2\n");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file needs no atomic write")]
    fn put(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn process(&self, pid: u32, home: &str, unit: &str, maps: &str) {
        self.put(&format!("proc/{pid}/maps"), maps);
        self.put(&format!("proc/{pid}/comm"), "wor\tker\n");
        self.put(&format!("proc/{pid}/cgroup"), &format!("0::/system.slice/{unit}\n"));
        symlink(self.path(home), self.path(&format!("proc/{pid}/root"))).unwrap();
    }

    fn look(&self, pids: Vec<u32>) -> OldCode {
        let root = Root::at(self.path("root"));
        let seen = collect(self.path("proc"), Places::of(&root).unwrap(), pids);
        seen.of_packages(&root, &crate::dpkg::read_inventory(&root))
    }
}

#[test]
fn a_process_that_maps_a_replaced_file_is_named_with_its_unit_and_package() {
    let stage = Stage::new();
    let inside = stage.path("root").display().to_string();
    let old =
        format!("{CODE} {inside}/usr/lib/liba.so.1.1 (deleted)\n{CODE} /usr/lib/liba.so.1.1 (deleted)\n");
    stage.process(1, "root", "../init.scope", &old);
    stage.process(7, "root", "worker@a.service", &old);
    stage.process(8, "root", "worker@b.service", &format!("{CODE} {inside}/usr/lib/liba.so.1.2\n"));
    // A container's, the kernel's own, a file of no package, and one that is gone.
    stage.process(9, "other", "docker.service", &old);
    stage.process(10, "root", "", "");
    stage.process(11, "root", "jit.service", &format!("{CODE} /opt/jit.so (deleted)\n"));
    let code = stage.look(vec![1, 7, 8, 9, 10, 11, 12]);
    assert_eq!(code.unseen, None);
    let told: Vec<_> = code
        .processes
        .iter()
        .map(|one| {
            (one.pid, one.unit.as_deref(), one.remedy, one.packages.iter().map(ToString::to_string).collect())
        })
        .collect();
    let expected: [(_, _, _, Vec<String>); 2] = [
        (1, Some("init.scope"), Remedy::Reboot, vec!["liba:amd64".into()]),
        (7, Some("worker@a.service"), Remedy::Restart, vec!["liba:amd64".into()]),
    ];
    assert_eq!(told, expected);
    assert_eq!(code.processes[1].command, "wor?ker");
    assert_eq!(code.processes[1].files, ["/usr/lib/liba.so.1.1"]);
}

#[test]
fn what_can_not_be_looked_at_is_never_taken_for_nothing() {
    let stage = Stage::new();
    assert_eq!(stage.look(vec![]), OldCode::default());
    let large = "x".repeat(usize::try_from(MAX_MAPS).unwrap() + 1);
    stage.process(7, "root", "large.service", &large);
    let because = stage.look(vec![7]).unseen.unwrap();
    assert_eq!(because, "process 7 has too many mappings to be read");

    let (sender, receiver) = sync_channel(2);
    sender.send(Outcome::Hidden).unwrap();
    drop(sender);
    let seen = gather(&receiver, &[7, 8]);
    let because =
        seen.of_packages(&Root::at("/nowhere"), &crate::dpkg::read_inventory(&Root::at("/nowhere"))).unseen;
    let expected =
        "the kernel gave no answer about process 8, and was asked no further; 1 process can't be looked at";
    assert!(because.as_deref().is_some_and(|because| because.starts_with(expected)), "{because:?}");
}

#[test]
fn threads_that_were_left_behind_are_bounded() {
    static OURS: AtomicU32 = AtomicU32::new(0);
    let places: Vec<_> = (0..=MAX_THREADS).map_while(|_| Place::take(&OURS)).collect();
    assert_eq!(places.len(), usize::try_from(MAX_THREADS).unwrap());
    assert!(Place::take(&OURS).is_none());
    drop(places);
    assert!(Place::take(&OURS).is_some());
}

#[test]
fn of_many_processes_each_unit_keeps_one() {
    let process = |pid: u32, unit: &str| OldProcess {
        pid,
        command: "worker".into(),
        unit: Some(unit.into()),
        remedy: Remedy::Restart,
        packages: vec![],
        files: vec![],
    };
    let many = (0..300).map(|pid| process(pid, "many.service"));
    let (told, more) = few(many.chain([process(300, "last.service")]).collect());
    assert_eq!((told.len(), more), (MAX_PROCESSES_TOLD, 101));
    assert_eq!(told.last().unwrap().unit.as_deref(), Some("last.service"));
    assert_eq!(told[0].pid, 0);
}

#[track_caller]
fn check_unit(cgroup: &str, expected: Option<&str>) {
    assert_eq!(unit_of(cgroup.as_bytes()).as_deref(), expected, "{cgroup}");
}

#[test]
fn the_unit_of_a_process_is_the_outermost_one() {
    check_unit("0::/system.slice/ssh.service\n", Some("ssh.service"));
    check_unit("12:cpu:/a.service\n1:name=systemd:/system.slice/cron.service\n0::/\n", Some("cron.service"));
    check_unit(
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n",
        Some("user@1000.service"),
    );
    check_unit("0::/user.slice/user-1000.slice/session-3.scope\n", Some("session-3.scope"));
    check_unit("0::/system.slice/system-getty.slice/getty@tty1.service\n", Some("getty@tty1.service"));
    check_unit("0::/\n", None);
    check_unit("0::/evil \u{1b}[31m.service\n", None);
    check_unit("", None);
}

#[test]
fn this_machine_can_be_looked_through() {
    let seen = look(&Root::host());
    let own = std::process::id();
    assert!(seen.processes.iter().all(|process| process.pid != own));
    // Some machines keep a process even from root.
    assert!(seen.unseen.iter().all(|because| because.contains("can't be looked at without")), "{seen:?}");
}
