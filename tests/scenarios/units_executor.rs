//! What the executor's unit leaves to maintainer scripts, which may do nearly anything, and the little that it keeps from
//! them. Each line here stands for a directive of the unit, or for the reason why one is not there.

use anyhow::{Context, Result};
use patchd_tests::agent_host::{always_open, install_units};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::{is_root_or_skipped, left_out};
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::{command, place, wait};

/// In the way of real scripts: each tries one thing, and notes whether it could.
const PROBES: &str = r#"try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name: yes"; else echo "$name: no"; fi; }
{
echo "bounding set: $(sed -n 's/^CapBnd:\t//p' /proc/self/status)"
echo "new privileges: $(sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)"
echo "memory: $(cat /proc/self/oom_score_adj)"
echo "umask: $(umask)"
try "become another user" su -s /bin/sh lab -c 'test "$(id -un)" = lab'
try "add a user" useradd --system lab-other
try "ship a set-uid program" sh -c 'cp /bin/true /srv/set-uid; chmod 4755 /srv/set-uid; test -u /srv/set-uid'
try "make a device" mknod /srv/device c 1 3
try "mount for all" mount -t tmpfs lab-mounted /mnt
try "write to /usr, /etc and /boot" sh -c 'mkdir -p /boot; touch /usr/lab /etc/lab /boot/lab'
try "write to home directories" sh -c 'touch /root/lab; mkdir -p /home/lab'
try "leave a file in /tmp" touch /tmp/lab-left
try "have systemd do something" systemd-run --quiet --wait true
try "reload systemd" systemctl daemon-reload
try "use namespaces" unshare --user --mount --uts --ipc --net --pid --fork true
try "change the personality" setarch -R true
try "change priorities" renice -n -3 $$
try "open packet sockets" perl -e 'socket(my $s, 17, 3, 0) or die'
try "open netlink sockets" perl -e 'socket(my $s, 16, 3, 0) or die'
try "run in real time" chrt -f 1 true
# What ctrl-alt-del does is none of a namespace's business: the kernel would call it invalid, the filter not permitted.
echo "reboot: $(perl -e 'syscall($ARGV[0]+0, 0xfee1dead, 672274793, 0, 0); print $!+0' REBOOT)"
} >/var/lib/lab-probe
"#;

const COULD: &str = "new privileges: 0
memory: MEMORY
umask: 0022
become another user: yes
add a user: yes
ship a set-uid program: yes
make a device: yes
mount for all: yes
write to /usr, /etc and /boot: yes
write to home directories: yes
leave a file in /tmp: yes
have systemd do something: yes
reload systemd: yes
use namespaces: yes
change the personality: yes
change priorities: yes
open packet sockets: yes
open netlink sockets: yes
run in real time: no
reboot: 1
";

/// The bits of CAP_SYS_BOOT, CAP_SYS_TIME, CAP_LEASE, CAP_WAKE_ALARM and CAP_BLOCK_SUSPEND.
const SHUT: u64 = 1 << 22 | 1 << 25 | 1 << 28 | 1 << 35 | 1 << 36;
/// That of CAP_SYS_RESOURCE, without which even systemd can't keep a process from being ended for its memory.
const MAY_PROTECT: u64 = 1 << 24;

#[test]
fn scripts_of_packages_can_do_what_they_do_elsewhere() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &[ToyPackage::new("lab-probe", "1.0")])?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y", "lab-probe"])?;
    let reboot = if cfg!(target_arch = "x86_64") { "169" } else { "142" };
    let fixed = ToyPackage::new("lab-probe", "1.1").script("postinst", &PROBES.replace("REBOOT", reboot));
    repository.publish(Suite::Security, &[fixed])?;
    root.run(["useradd", "--system", "lab"])?;
    install_units(&root)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;

    let booted = Booted::boot(&root)?;
    wait::until("the fix", 120, || {
        let state = booted.run(["dpkg-query", "-W", "-f=${Version}|${Status}", "lab-probe"])?.stdout;
        Ok((state == "1.1|install ok installed").then_some(()))
    })
    .with_context(|| booted.journal())?;
    let told = booted.run(["cat", "/var/lib/lab-probe"])?.stdout;
    let (first, rest) = told.split_once('\n').context("it noted nothing")?;
    booted.run(["chrt", "-f", "1", "true"]).context("who is not in the unit can run in real time")?;
    let own = std::fs::read_to_string("/proc/self/status")?;
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:\t")).context("no set of ours")?;
    let own = u64::from_str_radix(own, 16)?;
    let set = u64::from_str_radix(first.trim_start_matches("bounding set: "), 16)?;
    assert_eq!(set, own & !SHUT, "{first}");
    let memory = if own & MAY_PROTECT == 0 {
        left_out("OOMScoreAdjust= below zero: this machine has no CAP_SYS_RESOURCE");
        "0"
    } else {
        "-500"
    };
    assert_eq!(rest, COULD.replace("MEMORY", memory));
    // What they left is there for the host, not for themselves alone.
    booted.run(["findmnt", "--source", "lab-mounted", "--mountpoint", "/mnt"])?;
    booted.run(["test", "-e", "/tmp/lab-left"])?;
    Ok(())
}

/// The unit may not restart the machine itself, and systemd is asked by what runs in it.
#[test]
fn the_order_to_reboot_goes_through() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_with_systemd()?;
    let unit = std::fs::read_to_string(place::workspace().join("systemd/patchd-executor.service"))?;
    let own = ["Requires=", "After=", "RefuseManualStart=", "StandardInput=", "ExecStart="];
    let kept = unit.lines().filter(|line| !own.iter().any(|key| line.starts_with(key)));
    let unit = kept.collect::<Vec<_>>().join("\n");
    let unit = unit.replace("[Service]", "[Service]\nExecStart=/bin/systemctl reboot");
    assert!(
        unit.contains("ExecStart=/bin/systemctl reboot\n")
            && unit.contains("\nCapabilityBoundingSet=~CAP_SYS_BOOT")
    );
    root.write("/etc/systemd/system/lab-reboot.service", unit)?;
    let mut booted = Booted::boot(&root)?;
    // The answer may be lost with the machine.
    let _ = command::finish(&mut booted.command(["systemctl", "start", "lab-reboot.service"]));
    assert!(booted.is_rebooted()?);
    Ok(())
}
