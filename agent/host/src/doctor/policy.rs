//! The checks of what may be done when, and of who else does it.

use jiff::{SignedDuration, Timestamp, Unit};
use patchd_core::inventory::Inventory;
use patchd_core::window::{self, Verdict};
use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckName, CheckWire};

use crate::patchers;
use crate::root::Root;

pub(super) fn windows(settings: &Settings, now: Timestamp) -> CheckWire {
    const NAME: CheckName = CheckName::Windows;
    match window::verdict(&settings.windows, now) {
        Verdict::NoneConfigured => CheckWire::ok(
            NAME,
            "none is configured: patchd looks and reports, and changes nothing. A [[window]] in \
             /etc/patchd/patchd.toml turns patching on",
        ),
        Verdict::Open(open) => {
            CheckWire::ok(NAME, format!("{:?} is open; nothing new starts after {}", open.name, open.cutoff))
        }
        Verdict::Shut { next: Some(next) } => {
            CheckWire::ok(NAME, format!("{:?} opens next, at {}", next.name, next.start))
        }
        Verdict::Shut { next: None } => CheckWire::warning(
            NAME,
            "none of those that are configured will ever open again",
            "patchctl windows",
        ),
    }
}

pub(super) fn freeze(settings: &Settings, now: Timestamp) -> CheckWire {
    const NAME: CheckName = CheckName::Freeze;
    match (settings.frozen(now), settings.lifted(now)) {
        (Some(freeze), _) => CheckWire::warning(
            NAME,
            format!("changes are frozen until {}: {}", freeze.until, freeze.reason),
            "patchctl windows --at TIME shows what holds when",
        ),
        (None, Some(lifted)) => CheckWire::ok(NAME, lifted),
        (None, None) => CheckWire::ok(NAME, "none is in force"),
    }
}

pub(super) fn patchers(root: &Root, inventory: &Inventory) -> CheckWire {
    const NAME: CheckName = CheckName::Patchers;
    let found = patchers::find(root, inventory);
    if found.is_empty() {
        return CheckWire::ok(NAME, "nobody else would patch this host by itself");
    }
    let told: Vec<_> = found.iter().map(|other| format!("{} ({})", other.name, other.evidence)).collect();
    let remedy = "patchctl patchers list; patchctl patchers disable NAME, which its removal takes back";
    CheckWire::warning(NAME, format!("others may patch this host, too: {}", told.join("; ")), remedy)
}

/// Traces of the last time that the lists were fetched.
const TRACES: [&str; 3] =
    ["var/lib/apt/periodic/update-success-stamp", "var/lib/apt/lists/partial", "var/lib/apt/lists"];

/// How old the lists are, by the traces alone: the scan looks into each of them.
pub(super) fn lists(root: &Root, settings: &Settings, now: Timestamp) -> CheckWire {
    const NAME: CheckName = CheckName::Lists;
    let changed = |trace: &str| {
        let modified = root.resolve(trace).and_then(std::fs::metadata).and_then(|data| data.modified());
        modified.ok().and_then(|time| Timestamp::try_from(time).ok())
    };
    let has_lists = root.resolve("var/lib/apt/lists").and_then(std::fs::read_dir).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("Release"))
    });
    let remedy = if settings.scan.refresh { "patchctl scan" } else { "apt-get update" };
    let Some(fetched) = TRACES.into_iter().filter_map(changed).max().filter(|_| has_lists) else {
        return CheckWire::warning(NAME, "there are none yet: no update can be known", remedy);
    };
    let age = now.duration_since(fetched).max(SignedDuration::ZERO);
    let hours = age.round(Unit::Hour).map_or_else(|_| age.as_hours(), |age| age.as_hours());
    let limit = SignedDuration::try_from(settings.scan.max_list_age).unwrap_or(SignedDuration::MAX);
    match age <= limit {
        true => CheckWire::ok(NAME, format!("they were fetched about {hours} hours ago")),
        false => CheckWire::warning(
            NAME,
            format!("they were fetched about {hours} hours ago, so that no assessment is complete by them"),
            remedy,
        ),
    }
}

#[cfg(test)]
mod tests {
    use patchd_protocol::doctor::CheckVerdictWire;

    use super::*;
    use crate::durable::{atomic_write, create_directories};

    #[test]
    fn no_window_is_no_fault_and_no_list_is() {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let settings = Settings::default();
        assert_eq!(windows(&settings, now).verdict, CheckVerdictWire::Ok);
        assert!(windows(&settings, now).detail.contains("changes nothing"));
        assert_eq!(freeze(&settings, now).verdict, CheckVerdictWire::Ok);
        let place = tempfile::tempdir().unwrap();
        let root = Root::at(place.path());
        assert_eq!(lists(&root, &settings, now).verdict, CheckVerdictWire::Warning);
        create_directories(&root.path("var/lib/apt/lists/partial"), 0o755).unwrap();
        assert!(lists(&root, &settings, now).detail.contains("none yet"), "a directory is no list");
        atomic_write(&root.path("var/lib/apt/lists/x_dists_y_InRelease"), b"", 0o644).unwrap();
        let later = |days: i64| {
            let changed = std::fs::metadata(root.path("var/lib/apt/lists")).unwrap().modified().unwrap();
            Timestamp::try_from(changed).unwrap().checked_add(SignedDuration::from_hours(24 * days)).unwrap()
        };
        assert_eq!(lists(&root, &settings, later(6)).verdict, CheckVerdictWire::Ok);
        assert_eq!(lists(&root, &settings, later(8)).verdict, CheckVerdictWire::Warning);
    }
}
