//! patchd upgrades itself, in a booted root with the units at work: the run goes on through the restart of the agent
//! that carries it out, and is reported by the new program. Others were killed by their own upgrade and took the
//! package manager with them (row 14), kept the old agent alive so as not to be killed (row 15), or never told how it
//! ended (row 16).
//!
//! Rows are those of docs/accidents.md.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use patchd_tests::agent_host::always_open;
use patchd_tests::apt_root::AptRoot;
use patchd_tests::binaries::Binaries;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::packages::Family::Deb;
use patchd_tests::repository::{LocalRepository, Suite, ToyPackage};
use patchd_tests::{package_host, place, wait};
use serde_json::Value;

/// As packages of daemons do it: at the first installation, and when they are upgraded.
const CONFIGURE: &str = "systemctl enable patchd.service patchd-executor.socket
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl try-restart patchd.service
fi";

/// Makes a package from what is installed, of a later version, as `$1`; prints the archive's path. Versions that
/// packages of one source ask of each other move with them.
const REPACK: &str = r#"set -e
old=$(dpkg-query -W -f='${Version}' "$1"); new="$old+lab1"; tree=/srv/repack/$1
mkdir -p "$tree/DEBIAN"
dpkg-query -L "$1" | while read -r path; do
    case $path in /bin|/lib|/lib64|/sbin) continue;; esac
    if [ ! -d "$path" ] || [ -L "$path" ]; then echo "$path"; fi
done | sort -u | tar --create --no-recursion --files-from=- 2>/dev/null | tar --extract --directory="$tree"
for file in /var/lib/dpkg/info/"$1".* /var/lib/dpkg/info/"$1":*; do
    [ -e "$file" ] || continue
    case $file in *.list|*.md5sums) continue;; esac
    cp "$file" "$tree/DEBIAN/${file##*.}"
done
dpkg-query -s "$1" | sed -n '/^Status:/d; /^Conffiles:/,/^[^ ]/{/^Conffiles:/d; /^ /d}; p' |
    sed "s/^Version: .*/Version: $new/; s/(= \(binary:\)\?$old)/(= $new)/g" >"$tree/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$tree" /srv/repack >&2
rm -rf "$tree"
"#;

/// The package of patchd itself. The second version's programs differ from the first's by a word at their end.
fn package(version: &str, directory: &Path) -> Result<ToyPackage> {
    let binaries = Binaries::find()?;
    let mut package = ToyPackage::new("patchd", version).script("postinst", CONFIGURE);
    let programs = [
        (&binaries.patchd, "/usr/bin/patchd"),
        (&binaries.patchctl, "/usr/bin/patchctl"),
        (&binaries.patchd_executor, "/usr/libexec/patchd/patchd-executor"),
    ];
    for (from, to) in programs {
        let name = from.file_name().context("a program has a name")?.to_string_lossy();
        let copy = directory.join(format!("{name}-{version}"));
        std::fs::copy(from, &copy)?;
        let mut file = std::fs::File::options().append(true).open(&copy)?;
        std::io::Write::write_all(&mut file, format!("version {version} of the package").as_bytes())?;
        package = package.copy_of(to, &copy, 0o755);
    }
    let systemd = place::workspace().join("systemd");
    for unit in ["patchd.service", "patchd-executor.service", "patchd-executor.socket"] {
        package = package.copy_of(&format!("/usr/lib/systemd/system/{unit}"), &systemd.join(unit), 0o644);
    }
    Ok(package.copy_of("/usr/lib/tmpfiles.d/patchd.conf", &systemd.join("tmpfiles.d/patchd.conf"), 0o644))
}

fn toys(version: &str) -> Vec<ToyPackage> {
    ["lab-before", "lab-patch", "lab-zebra"].map(|name| ToyPackage::new(name, version)).to_vec()
}

/// The newest report of an apply that the store has.
fn report(booted: &Booted<'_>) -> Result<Option<Value>> {
    let find = "find /var/lib/patchd/reports/v1/reports -name '*-apply-*.json.gz' | sort";
    let found = booted.run(["sh", "-c", find])?.stdout;
    let Some(path) = found.lines().last().map(str::to_owned) else { return Ok(None) };
    Ok(Some(booted.run(["gzip", "-dc", &path])?.json()?))
}

/// Has patchd upgrade itself, with these archives beside it, and checks who tells the story.
fn check(repack: &[&str]) -> Result<()> {
    let root = AptRoot::fresh_with_systemd()?;
    let directory = place::scratch("package")?;
    let repository = LocalRepository::create(&root)?;
    let with = |version: &str| -> Result<Vec<ToyPackage>> {
        Ok(toys(version).into_iter().chain([package(version, directory.path())?]).collect())
    };
    let old = with("1.0")?;
    repository.publish(Suite::Release, &old)?;
    root.run(["apt-get", "update"])?;
    root.run(["apt-get", "install", "-y"].into_iter().chain(old.iter().map(ToyPackage::name)))?;
    for name in repack {
        root.run(["sh", "-c", REPACK, "repack", name])?;
    }
    let archives = std::fs::read_dir(root.at("/srv/repack")).into_iter().flatten();
    let archives: Vec<PathBuf> = archives.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    repository.publish_beside(Suite::Security, &with("1.1")?, &archives)?;
    root.write("/etc/patchd/patchd.toml", always_open())?;

    let booted = Booted::boot(&root)?;
    let told = || booted.journal();
    let document = wait::until("the report of the run", 120, || report(&booted)).with_context(told)?;
    let run = document.get("run").context("no run in the report")?;
    assert_eq!(run.get("verdict").and_then(Value::as_str), Some("succeeded"), "{run:#}\n{}", told());
    for name in ["patchd", "lab-before", "lab-patch", "lab-zebra"] {
        let query = ["dpkg-query", "-W", "-f=${Version}|${Status}", name];
        assert_eq!(booted.run(query)?.stdout, "1.1|install ok installed", "{name}");
    }
    for name in repack {
        let state = booted.run(["dpkg-query", "-W", "-f=${Version}|${Status}", name])?.stdout;
        assert!(state.ends_with("+lab1|install ok installed"), "{name}: {state}");
    }

    // The program that tells of it is the new one, and the only one.
    let show = |unit: &str, property: &str| -> Result<String> {
        let said = booted.run(["systemctl", "show", "--value", "--property", property, unit])?;
        Ok(said.stdout.trim().to_owned())
    };
    let process = show("patchd.service", "MainPID")?;
    booted.run(["cmp", &format!("/proc/{process}/exe"), "/usr/bin/patchd"])?;
    let end = booted.run(["tail", "-c", "26", &format!("/proc/{process}/exe")])?.stdout;
    assert_eq!(end, "version 1.1 of the package");
    let id = document.get("id").and_then(Value::as_str).context("the report has no id")?;
    let fields = [format!("RUN_ID={id}"), format!("_PID={process}")];
    let lines = booted.run(["journalctl", "-q", "--no-pager", "-o", "cat", &fields[0], &fields[1]])?.stdout;
    assert!(lines.contains("report"), "{lines}\n{}", told());
    let members = booted.run(["sh", "-c", "cat /sys/fs/cgroup/system.slice/patchd.service/cgroup.procs"])?;
    assert_eq!(members.stdout.lines().count(), 1, "{}", members.stdout);

    // The executor was neither stopped nor cut: the transaction has an outcome of its own hand.
    assert_eq!(show("patchd-executor.service", "NRestarts")?, "0");
    let states = "cat /var/lib/patchd-executor/transactions/*.apply.*.outcome.json";
    let outcomes = booted.run(["sh", "-c", states])?.stdout;
    assert!(outcomes.contains("\"state\": \"ended\"") && !outcomes.contains("interrupted"), "{outcomes}");
    let log = booted.run(["cat", "/var/log/dpkg.log"])?.stdout;
    assert_eq!(log.matches(" upgrade patchd:").count(), 1, "{log}");
    Ok(())
}

/// As an operator might have it: patchd removed in the middle of a run, by a hook of its own.
const REMOVING_HOOK: &str = "#!/bin/sh\ndpkg --remove patchd >/var/log/hook.log 2>&1 || true\n";

#[test]
fn the_real_package_cuts_no_run_and_the_new_program_is_started_after_it() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let repository = LocalRepository::create(&root)?;
    repository.publish(Suite::Release, &toys("1.0"))?;
    let (old, new) = (package_host::package(&root, Deb, "0.0.9")?, package_host::package(&root, Deb, "1.0")?);
    let new = package_host::edited(&root, &new, "printf 'the new one' >>usr/bin/patchd")?;
    root.run([
        "sh",
        "-ec",
        &format!("apt-get update; apt-get install -y lab-before lab-patch lab-zebra; dpkg -i {old}"),
    ])?;
    repository.publish_beside(Suite::Security, &toys("1.1"), &[root.at(&new)])?;
    root.write("/etc/patchd/patchd.d/lab.toml", always_open())?;
    root.write("/etc/patchd/hooks/pre-patch.d/remove", REMOVING_HOOK)?;
    root.run(["chmod", "755", "/etc/patchd/hooks/pre-patch.d/remove"])?;

    let booted = Booted::boot(&root)?;
    let told = || booted.journal();
    package_host::ready(&booted)?;
    let process = package_host::processes(&booted)?.remove("patchd.service").context("it does not run")?;
    let document = wait::until("the report of the run", 120, || report(&booted)).with_context(told)?;
    let run = document.get("run").context("no run in the report")?;
    assert_eq!(run.get("verdict").and_then(Value::as_str), Some("succeeded"), "{run:#}\n{}", told());
    let state = package_host::said(&booted, "dpkg-query -W -f='${Version}|${Status}' patchd")?;
    assert_eq!(state, "1.0-1|install ok installed");
    assert!(
        root.read("/var/log/hook.log")?.contains("by its own hand"),
        "{}",
        root.read("/var/log/hook.log")?
    );

    // The run was told of by one process, the one from before it; the new program is started when it is over.
    let id = document.get("id").and_then(Value::as_str).context("the report has no id")?;
    let lines = format!(
        "journalctl -q --no-pager -o json RUN_ID={id} _COMM=patchd | grep -o '\"_PID\":\"[0-9]*\"' | sort -u"
    );
    assert_eq!(package_host::said(&booted, &lines)?, format!("\"_PID\":\"{process}\""));
    let old_code =
        |document: &Value| document.pointer("/host/old_code").map(Value::to_string).unwrap_or_default();
    assert!(old_code(&document).contains("patchd.service"), "{}", old_code(&document));
    wait::until("the new program", 60, || Ok(package_host::runs_what_is_installed(&booted)?.then_some(())))
        .with_context(told)?;
    package_host::ready(&booted)?;
    assert_eq!(package_host::said(&booted, "tail -c 11 /usr/bin/patchd")?, "the new one");
    package_host::scan(&booted)?;
    let newest =
        "gzip -dc $(find /var/lib/patchd/reports/v1/reports -name '*-scan-*.json.gz' | sort | tail -n 1)";
    let after: Value = serde_json::from_str(&package_host::said(&booted, newest)?)?;
    assert!(
        after.pointer("/host/old_code").is_some() && !old_code(&after).contains("patchd.service"),
        "{}",
        old_code(&after)
    );
    Ok(())
}

#[test]
fn a_run_that_upgrades_patchd_is_ended_and_told_of_by_the_new_one() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    check(&[])
}

#[test]
fn the_same_with_the_c_library_and_those_of_systemd() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    check(&["libc6", "libc-bin", "libsystemd0", "libsystemd-shared", "systemd", "systemd-sysv"])
}
