//! The life of the deb on a booted host: installed, upgraded, gone back, removed, purged. What goes wrong on the way is in
//! `package_deb_accidents`.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use patchd_protocol::patchers::{drop_in, drop_in_text};
use patchd_tests::apt_root::AptRoot;
use patchd_tests::booted::Booted;
use patchd_tests::outcome::is_root_or_skipped;
use patchd_tests::package_host::{
    edited, owners, package, processes, ready, runs, runs_what_is_installed, said, scan, tried, units,
};
use patchd_tests::packages::Family::Deb;
use patchd_tests::wait;

fn both(enabled: &str, active: &str) -> [(String, String); 2] {
    let unit = (enabled.to_owned(), active.to_owned());
    [unit.clone(), unit]
}

#[test]
fn a_fresh_install_is_at_work_and_reports() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    ready(&booted)?;
    assert_eq!(units(&booted)?, both("enabled", "active"));
    let account = said(&booted, "getent passwd patchd | cut -d: -f5-7; id -Gn patchd")?;
    assert_eq!(account, "patchd, the patch agent:/var/lib/patchd:/usr/sbin/nologin\npatchd");
    let number: u32 = said(&booted, "id -u patchd")?.parse()?;
    assert!((1..1_000).contains(&number), "{number} is a person's");
    let ours = ["/var/lib/patchd", "/var/lib/patchd-executor", "/etc/patchd", "/etc/patchd/patchd.toml"];
    let expected = ["patchd:patchd 750", "root:root 700", "root:root 755", "root:root 644"];
    assert_eq!(owners(&booted, &ours)?, expected);
    assert_eq!(said(&booted, "find /etc/patchd ! -user root -o -perm /022")?, "");

    let first = "find /var/lib/patchd/reports/v1/reports -name '*-scan-*.json.gz' | grep .";
    wait::until("the first report", 90, || Ok(tried(&booted, first)?.status.success().then_some(())))
        .with_context(|| booted.journal())?;
    // A member of the group may ask, somebody else may not.
    said(&booted, "useradd ada; useradd --groups patchd grace")?;
    said(&booted, "runuser -u grace -- patchctl status")?;
    assert!(!tried(&booted, "runuser -u ada -- patchctl status")?.status.success());

    // The scripts again, twice, and the package again.
    let before = ("id patchd; stat -c '%n %U:%G %a %i' /var/lib/patchd /var/lib/patchd-executor", &booted);
    let facts = said(before.1, before.0)?;
    let process = processes(&booted)?.remove("patchd.service");
    for _ in 0..2 {
        said(
            &booted,
            "/var/lib/dpkg/info/patchd.postinst configure; /var/lib/dpkg/info/patchd.postinst configure 1.0-1",
        )?;
    }
    assert_eq!(said(before.1, before.0)?, facts);
    assert_eq!(processes(&booted)?.remove("patchd.service"), process, "it was the one on disk already");
    said(&booted, &format!("dpkg --install {deb}"))?;
    ready(&booted)?;
    assert!(runs_what_is_installed(&booted)?);
    assert_eq!(said(before.1, before.0)?, facts);
    Ok(())
}

#[test]
fn an_image_that_it_was_built_into_starts_it_when_it_boots() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let installed = root.run(["dpkg", "--install", &deb])?;
    assert!(!installed.stderr.contains("patchd:"), "{}", installed.stderr);
    assert!(!root.at("/run/patchd").exists());
    let booted = Booted::boot(&root)?;
    ready(&booted)?;
    assert_eq!(units(&booted)?, both("enabled", "active"));
    assert_eq!(owners(&booted, &["/run/patchd", "/var/lib/patchd"])?, ["root:root 755", "patchd:patchd 750"]);
    Ok(())
}

#[test]
fn a_host_whose_policy_forbids_it_starts_nothing() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    said(
        &booted,
        "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d",
    )?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    assert_eq!(units(&booted)?, both("enabled", "inactive"));
    // Nor does an administrator who has disabled it find it at work after an upgrade.
    said(&booted, "rm /usr/sbin/policy-rc.d; systemctl disable patchd.service patchd-executor.socket")?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    assert_eq!(units(&booted)?, both("disabled", "inactive"));
    Ok(())
}

#[test]
fn an_upgrade_renews_patchd_and_nothing_else_and_goes_back() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let old = package(&root, Deb, "0.0.9")?;
    let new = package(&root, Deb, "1.0")?;
    let new =
        edited(&root, &new, "echo '# what is new' >>etc/patchd/patchd.toml; printf new >>usr/bin/patchd")?;
    let booted = Booted::boot(&root)?;
    said(&booted, &format!("dpkg --install {old}"))?;
    ready(&booted)?;
    let edit = "printf '[agent]\\nhost_id = \"edited\"\\n' >>/etc/patchd/patchd.toml";
    said(&booted, &format!("{edit}; systemctl restart patchd"))?;
    ready(&booted)?;
    // The executor has been asked, and lives on for a while.
    scan(&booted)?;
    let (history, reports) = (runs(&booted)?, said(&booted, "find /var/lib/patchd/reports -type f")?);
    assert!(!history.is_empty() && !reports.is_empty());

    for deb in [&new, &old] {
        scan(&booted)?;
        let before = processes(&booted)?;
        assert!(before.contains_key("patchd-executor.service"), "{before:?}");
        said(&booted, &format!("dpkg --force-confold --install {deb} </dev/null"))?;
        assert!(runs_what_is_installed(&booted)?, "{}", booted.journal());
        let status = ready(&booted)?;
        assert_eq!(status.get("host").and_then(|host| host.as_str()), Some("edited"), "{status:#}");
        assert_eq!(status.get("new_program"), None, "{status:#}");
        let after = processes(&booted)?;
        let changed: Vec<_> =
            before.iter().filter(|(unit, process)| after.get(*unit) != Some(*process)).collect();
        assert_eq!(changed.iter().map(|(unit, _)| unit.as_str()).collect::<Vec<_>>(), ["patchd.service"]);
        // The edited one is used, and what was shipped lies beside it: it differs from what was shipped before, back and forth.
        assert!(root.at("/etc/patchd/patchd.toml.dpkg-dist").exists());
        said(&booted, "rm -f /etc/patchd/patchd.toml.dpkg-dist")?;
        let now = runs(&booted)?;
        assert!(history.iter().all(|run| now.contains(run)), "{history:?} {now:?}");
        let there = said(&booted, "find /var/lib/patchd/reports -type f")?;
        assert!(reports.lines().all(|report| there.lines().any(|line| line == report)), "{reports}\n{there}");
        assert_eq!(said(&booted, "find /var/lib/patchd -name 'journal.sqlite.*damaged*'")?, "");
    }
    Ok(())
}

/// Every path of the root's own disk, with what package managers and logs write of themselves left out.
fn paths(booted: &Booted<'_>) -> Result<BTreeSet<String>> {
    let left_out = "^/(srv|tmp|proc|sys|dev|var/log|var/lib/dpkg|var/lib/apt|var/cache|var/tmp|run/(log|systemd|dbus|udev|credentials|user))(/|$)";
    let found = said(booted, &format!("find / /run -xdev | grep -Ev '{left_out}' | sort -u"))?;
    Ok(found.lines().map(str::to_owned).collect())
}

#[test]
fn removed_it_keeps_its_state_and_purged_it_leaves_nothing() -> Result<()> {
    if !is_root_or_skipped() {
        return Ok(());
    }
    let root = AptRoot::fresh_host()?;
    let deb = package(&root, Deb, "1.0")?;
    let booted = Booted::boot(&root)?;
    let theirs = drop_in("theirs.service");
    root.write(&theirs, "[Unit]\n")?;
    let before = paths(&booted)?;
    root.write(&drop_in("apt-daily-upgrade.service"), drop_in_text())?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    ready(&booted)?;
    scan(&booted)?;
    let history = runs(&booted)?;
    said(&booted, "echo '# edited' >>/etc/patchd/patchd.toml")?;
    said(
        &booted,
        "echo '[scan]' >/etc/patchd/patchd.d/ours.toml; echo exit 0 >/etc/patchd/hooks/pre-patch.d/ours",
    )?;

    said(&booted, "dpkg --remove patchd")?;
    assert!(!processes(&booted)?.keys().any(|unit| unit.starts_with("patchd")));
    assert_eq!(said(&booted, "grep -l '^Name:.patchd' /proc/[0-9]*/status || true")?, "");
    assert!(!tried(&booted, "systemctl is-active patchd-executor.socket")?.status.success());
    let kept = "test -e /var/lib/patchd/journal.sqlite && grep -q edited /etc/patchd/patchd.toml";
    said(&booted, &format!("{kept} && test -e /etc/patchd/patchd.d/ours.toml && test ! -e /run/patchd"))?;
    said(&booted, &format!("dpkg --install {deb}"))?;
    ready(&booted)?;
    assert_eq!(units(&booted)?, both("enabled", "active"));
    let now = runs(&booted)?;
    assert!(history.iter().all(|run| now.contains(run)), "{history:?} {now:?}");

    // A whole fleet may have its reports mounted there.
    said(
        &booted,
        "mkdir /var/lib/patchd/shared; mount -t tmpfs tmpfs /var/lib/patchd/shared; touch /var/lib/patchd/shared/report",
    )?;
    said(&booted, "dpkg --purge patchd")?;
    said(&booted, &format!("test -e /var/lib/patchd/shared/report && test -e {theirs}"))?;
    said(&booted, "umount /var/lib/patchd/shared; rmdir /var/lib/patchd/shared /var/lib/patchd")?;
    let left: Vec<_> = paths(&booted)?.difference(&before).cloned().collect();
    // The accounts stay, and what useradd and its like keep of the files that they changed.
    let accounts = ["/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-", "/etc/.pwd.lock"];
    let left: Vec<_> = left.iter().filter(|path| !accounts.contains(&path.as_str())).collect();
    assert_eq!(left, Vec::<&String>::new());
    said(&booted, "getent passwd patchd")?;
    said(&booted, "systemctl daemon-reload; test -z \"$(systemctl --failed --plain --no-legend)\"")?;
    Ok(())
}
