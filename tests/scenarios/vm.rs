//! The whole story on a machine that boots: the real package under systemd, Debian's own security updates with a kernel,
//! reboots and power cuts, in 512 MiB without swap and with 1,000 packages.

use anyhow::{Context, Result, ensure};
use patchd_tests::outcome::{is_root_or_skipped, note};
use patchd_tests::vm::{Updates, VERSIONS, VmHost, are_of_release, now};
use serde_json::Value;

/// In seconds. A machine in software on a busy host takes its time; nothing is proven by these.
const FIRST_REPORT: u32 = 600;
const APPLY: u32 = 1500;

/// Some that are quickly unpacked, and no kernel among them.
const FEW: Updates = Updates::Of(&[
    "tzdata",
    "xz-utils",
    "liblzma5",
    "openssl",
    "libssl3",
    "libexpat1",
    "libpng16-16",
    "rsync",
]);

/// Open all day and all night, by two windows that overlap.
const OPEN: &str = "[apply]\nsplay = \"0s\"\n
[[window]]\nname = \"one\"\nschedule = \"daily 00:00 +24h\"\n
[[window]]\nname = \"two\"\nschedule = \"daily 12:00 +24h\"\n";

/// For stories that end in the boot in which they began: the first process maps some of what is updated.
fn open_without_reboot() -> String {
    format!("{OPEN}\n[reboot]\npolicy = \"never\"\n")
}

fn text<'a>(report: &'a Value, pointer: &str) -> &'a str {
    report.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn is(operation: &'static str) -> impl Fn(&Value) -> bool {
    move |report| text(report, "/operation") == operation
}

fn list(value: &Value, pointer: &str) -> Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Everything that the run's transactions wanted to change.
fn changes(report: &Value) -> Vec<Value> {
    list(report, "/run/transactions").into_iter().flat_map(|one| list(&one, "/changes")).collect()
}

/// What was read back as done, as names; twice where it was done twice.
fn done(report: &Value) -> Vec<String> {
    let changes = changes(report).into_iter();
    let done = changes.filter(|change| change.pointer("/done") == Some(&Value::Bool(true)));
    let mut names: Vec<String> = done.map(|change| text(&change, "/name").to_owned()).collect();
    names.sort();
    names
}

/// No unit failed, nothing was killed for want of memory, and dpkg finds nothing amiss.
fn check_sound(host: &mut VmHost) -> Result<()> {
    let said = host.vm.run(
        "dpkg --audit; systemctl --failed --plain --no-legend; grep oom_kill /proc/vmstat; cat /proc/swaps | tail -n +2",
    )?;
    ensure!(said == "oom_kill 0\n", "the machine is not sound: {said:?}\n{}", host.vm.journal());
    Ok(())
}

/// What the units took at most, in MiB, for people.
fn memory(host: &mut VmHost) -> Result<String> {
    let script = "for unit in patchd patchd-executor; do
        printf '%s peak %s MiB of %s; ' $unit $(($(cat /sys/fs/cgroup/system.slice/$unit.service/memory.peak 2>/dev/null \
        || echo 0) >> 20)) $(systemctl show --value -p MemoryMax $unit.service)
        done
        pid=$(systemctl show --value -p MainPID patchd.service)
        awk '/^(Rss|Pss|Pss_Anon):/ {printf \"patchd %s %d KiB; \", $1, $2}' /proc/$pid/smaps_rollup";
    host.vm.run(script)
}

#[test]
fn a_host_is_installed_patched_with_a_kernel_rebooted_and_reported() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    // The window opens only when the story says so.
    let Some(mut host) = VmHost::wake_or_skipped(Updates::All, "")? else { return Ok(()) };
    let [first, later] = VERSIONS;
    let old_kernel = host.vm.run("uname -r")?;
    let begun = now();
    host.install()?;
    let installed = now();
    let scan = host.report("the first report", FIRST_REPORT, |_| true)?;
    note(&format!(
        "installed in {:.1} s, first report {:.1} s after that; {}",
        installed - begun,
        now() - installed,
        memory(&mut host)?
    ));
    assert_eq!(text(&scan, "/host/id"), "i-0123456789abcdef0");
    assert_eq!(text(&scan, "/assessment"), "complete", "{:#}", scan["problems"]);
    assert_eq!(text(&scan, "/summary/compliance"), "non_compliant");
    let items = scan["items"].as_array().map_or(0, Vec::len);
    assert!(1000 <= items, "{items} packages");
    let old_boot = text(&scan, "/host/boot_id").to_owned();

    host.vm.run(&format!(
        "cat >>/etc/patchd/patchd.d/lab.toml <<'END'\n{OPEN}END\nsystemctl restart patchd.service"
    ))?;
    let boot = host.vm.wait_for_reboot(u64::from(APPLY)).with_context(|| host.vm.journal())?;
    assert_ne!(boot, old_boot);
    let kernel = host.vm.run("uname -r")?;
    assert_ne!(kernel, old_kernel, "the new kernel was booted");
    let report = host.report("the report of the run", FIRST_REPORT, |report| {
        text(report, "/operation") == "apply" && text(report, "/host/boot_id") == boot
    })?;
    assert_eq!(text(&report, "/host/kernel"), kernel.trim());
    assert_eq!(text(&report, "/run/reboot/outcome"), "done", "{:#}", report["run"]);
    assert_eq!(text(&report, "/run/reboot/boot_before"), old_boot);
    assert_eq!(text(&report, "/run/reboot/boot_after"), boot);
    assert_eq!(text(&report, "/run/verdict"), "succeeded", "{:#}", report["run"]);
    assert_eq!(text(&report, "/summary/compliance"), "compliant", "{:#}", report["summary"]);
    assert!(done(&report).iter().any(|name| name.starts_with("patchd")), "{:#}", report["run"]);
    let versions = host.versions(&["patchd"])?;
    assert!(versions.contains(later) && !versions.contains(first), "{versions}");
    check_sound(&mut host)?;
    note(&format!("{} packages done; {}", done(&report).len(), memory(&mut host)?));
    Ok(())
}

#[test]
fn patchd_that_is_killed_in_the_middle_goes_on_and_applies_nothing_twice() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(mut host) = VmHost::wake_or_skipped(FEW, &open_without_reboot())? else { return Ok(()) };
    host.install()?;
    host.vm.wait_for("dpkg to be at work", "grep -q ' upgrade ' /var/log/dpkg.log", u64::from(APPLY))?;
    host.vm.run("systemctl kill --signal=KILL patchd.service")?;
    let report = host.report("the report of the run", APPLY, is("apply"))?;
    assert_eq!(text(&report, "/run/verdict"), "succeeded", "{:#}", report["run"]);
    check_once(&mut host, &report)?;
    check_sound(&mut host)
}

#[test]
fn a_power_cut_in_the_middle_of_dpkg_is_mended_and_told_of() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(mut host) = VmHost::wake_or_skipped(FEW, &open_without_reboot())? else { return Ok(()) };
    host.install()?;
    // Not yet the end: the last package to be unpacked is still ahead when the third is.
    let third = "[ $(grep -c ' upgrade ' /var/log/dpkg.log) -ge 3 ]";
    host.vm.wait_for("dpkg to be in the middle", third, u64::from(APPLY))?;
    host.vm.run("sync /var/log/dpkg.log")?;
    host.vm.cut();
    host.vm.switch_on()?;
    let left = host.vm.run("dpkg --audit; ls /var/lib/dpkg/updates | wc -l")?;
    note(&format!("what the cut left: {left}"));
    let report = host.report("the report of the run", APPLY, is("apply"))?;
    note(&format!("told: {} {:#}", text(&report, "/run/verdict"), report["run"]["notes"]));
    let kinds = list(&report, "/run/transactions");
    assert!(kinds.iter().any(|one| text(one, "/kind") == "repair"), "{:#}", report["run"]);
    check_told(&mut host, &report)?;
    let names = done(&report);
    let mut once = names.clone();
    once.dedup();
    assert_eq!(names, once, "nothing was done twice: {:#}", report["run"]);
    check_sound(&mut host)
}

#[test]
fn the_package_is_upgraded_and_purged_without_a_trace() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(mut host) = VmHost::wake_or_skipped(FEW, "")? else { return Ok(()) };
    host.install()?;
    host.report("the first report", FIRST_REPORT, is("scan"))?;
    check_idle(&mut host)?;
    host.vm.run("echo '# mine' >>/etc/patchd/patchd.toml")?;
    let before = host.vm.run("systemctl show --value -p MainPID patchd.service")?;
    let upgrade =
        "DEBIAN_FRONTEND=noninteractive apt-get install -y -q /srv/lab/patchd_1.1.0*.deb </dev/null";
    let said = host.vm.run_for(upgrade, 300)?;
    assert_eq!(said.code, 0, "{said:#?}");
    host.vm.wait_for(
        "the new patchd",
        &format!(
            "systemctl -q is-active patchd && [ $(systemctl show --value -p MainPID patchd) != {} ]",
            before.trim()
        ),
        120,
    )?;
    host.vm.run("grep -q '# mine' /etc/patchd/patchd.toml")?;
    check_sound(&mut host)?;
    let said =
        host.vm.run_for("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q patchd </dev/null", 300)?;
    assert_eq!(said.code, 0, "{said:#?}");
    let left = host.vm.run(
        "rm -f /etc/patchd/patchd.d/lab.toml; rmdir /etc/patchd/patchd.d /etc/patchd 2>/dev/null
        ls -d /etc/patchd /var/lib/patchd* /run/patchd* /usr/bin/patch[dc]* /usr/libexec/patchd \
            /usr/lib/systemd/system/patchd* /etc/systemd/system/*/patchd* 2>/dev/null
        pgrep -l patchd; dpkg-query -W -f='${Status}' patchd 2>/dev/null; true",
    )?;
    assert_eq!(left, "", "purge leaves nothing");
    check_sound(&mut host)
}

#[test]
fn memory_that_is_short_is_enough_and_the_limits_hold() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let Some(mut host) = VmHost::wake_or_skipped(FEW, &open_without_reboot())? else { return Ok(()) };
    host.install()?;
    let report = host.report("the report of the run", APPLY, is("apply"))?;
    assert_eq!(text(&report, "/run/verdict"), "succeeded", "{:#}", report["run"]);
    let total = host.vm.run("awk '/^MemTotal/ {print $2}' /proc/meminfo")?;
    let total: u64 = total.trim().parse()?;
    assert!(total < 512 << 10, "{total} KiB");
    note(&memory(&mut host)?);
    check_sound(&mut host)?;
    // The same limits on something greedy: they are the kernel's in this machine, where a container may not have them.
    let greedy = "limit=$(systemctl show --value -p MemoryMax patchd.service)
        [ \"$limit\" != infinity ] || exit 3
        cat /sys/fs/cgroup/system.slice/patchd.service/memory.max
        systemd-run --quiet --wait --collect -p MemoryMax=$limit -p MemorySwapMax=0 \
            perl -e 'my $x = \"x\" x ($ARGV[0] + (16 << 20)); exit 0' $limit";
    let said = host.vm.run_for(greedy, 300)?;
    assert!(said.code != 0 && said.code != 3 && !said.stdout.starts_with("max"), "{said:?}");
    Ok(())
}

/// What is resident when nothing is done, which only programs of a release are held to.
fn check_idle(host: &mut VmHost) -> Result<()> {
    if are_of_release() {
        let resident =
            "$(awk '/^Rss:/ {print $2}' /proc/$(systemctl show --value -p MainPID patchd)/smaps_rollup)";
        host.vm.wait_for("patchd to be idle in 12 MiB", &format!("[ {resident} -le 12288 ]"), 120)?;
    }
    note(&memory(host)?);
    Ok(())
}

/// What the report says is installed is what dpkg has, of packages that were changed and of those that were not.
fn check_told(host: &mut VmHost, report: &Value) -> Result<()> {
    let changes = changes(report);
    assert!(!changes.is_empty(), "{:#}", report["run"]);
    let last = |name: &str| changes.iter().rfind(|change| text(change, "/name") == name);
    for name in changes.iter().map(|change| text(change, "/name")) {
        let after = last(name).map_or("", |change| text(change, "/after"));
        let installed = host.versions(&[name])?;
        assert_eq!(installed.trim(), format!("{name} {after} install ok installed"));
    }
    Ok(())
}

/// Each package of the run was upgraded once, and told of once.
fn check_once(host: &mut VmHost, report: &Value) -> Result<()> {
    let names = done(report);
    assert!(!names.is_empty(), "{:#}", report["run"]);
    let upgraded = host.upgraded()?;
    for name in &names {
        let bare = |known: &str| known.split(':').next().unwrap_or_default().to_owned();
        let count: u32 =
            upgraded.iter().filter(|(known, _)| bare(known) == bare(name)).map(|(_, count)| count).sum();
        assert_eq!(count, 1, "{name} was upgraded {count} times");
        assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name} is told of twice");
    }
    Ok(())
}
