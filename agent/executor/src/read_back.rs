//! What is installed now, from the package database: the only thing that success is judged by.

use patchd_core::inventory::{DpkgState, Flag, InstalledPackage, Inventory, Status, Want};
use patchd_core::package::{Architecture, PackageId, PackageName, Version};
use patchd_core::plan::Plan;
use patchd_protocol::executor::{InstalledWire, PackageWire};
use patchd_protocol::report::native::ChangeWire;

/// What a plan's packages are at, beside what they were to be at; of those to be removed, nothing is planned.
pub(crate) fn changes(plan: &Plan, now: &Inventory) -> Vec<ChangeWire> {
    let version = |id: &PackageId| find(now, id).map(|installed| installed.version.as_str().to_owned());
    let removal = |id: &PackageId| ChangeWire {
        name: id.name.as_str().into(),
        architecture: id.architecture.as_str().into(),
        before: version(id),
        planned: None,
        after: version(id),
        done: version(id).is_none(),
    };
    let change = |change: &patchd_core::plan::PlannedChange| {
        let installed = find(now, &change.package);
        let text = |version: &Version| version.as_str().to_owned();
        ChangeWire {
            name: change.package.name.as_str().into(),
            architecture: change.package.architecture.as_str().into(),
            before: change.from.as_ref().map(text),
            planned: Some(text(&change.to)),
            after: installed.map(|installed| text(&installed.version)),
            done: installed.is_some_and(|installed| is_done(installed, &change.to)),
        }
    };
    plan.changes().iter().map(change).chain(plan.removals().iter().map(removal)).collect()
}

/// The same for changes that a record tells of.
pub(crate) fn changes_again(recorded: &[ChangeWire], now: &Inventory) -> Vec<ChangeWire> {
    let again = |recorded: &ChangeWire| {
        let installed = package_id(&recorded.name, &recorded.architecture).and_then(|id| find(now, &id));
        let done = match &recorded.planned {
            None => installed.is_none(),
            Some(planned) => installed.is_some_and(|installed| {
                installed.version.as_str() == planned && is_done(installed, &installed.version)
            }),
        };
        ChangeWire {
            after: installed.map(|installed| installed.version.as_str().into()),
            done,
            ..recorded.clone()
        }
    };
    recorded.iter().map(again).collect()
}

/// Versions and states as they are.
pub(crate) fn installed(packages: &[PackageWire], now: &Inventory) -> Vec<InstalledWire> {
    let one = |package: &PackageWire| {
        let id = package_id(&package.name, &package.architecture);
        let installed = id.as_ref().and_then(|id| find(now, id));
        let residual = || now.residual.iter().find(|residual| Some(&residual.id) == id.as_ref());
        let status = installed.map(|installed| installed.state).or_else(|| residual().map(|gone| gone.state));
        InstalledWire {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: installed.map(|installed| installed.version.as_str().into()),
            status: status.map_or_else(|| "unknown ok not-installed".into(), words),
        }
    };
    packages.iter().map(one).collect()
}

fn package_id(name: &str, architecture: &str) -> Option<PackageId> {
    let (name, architecture) = (PackageName::parse(name).ok()?, Architecture::parse(architecture).ok()?);
    Some(PackageId { name, architecture })
}

/// The installed package of this identity. An upgrade may turn a package of the host's architecture into one for all,
/// or back; to apt it stays the same package.
pub(crate) fn find<'a>(now: &'a Inventory, id: &PackageId) -> Option<&'a InstalledPackage> {
    now.find(id).or_else(|| {
        let other = if id.architecture == now.native {
            Architecture::parse("all").ok()?
        } else if id.architecture.as_str() == "all" {
            now.native.clone()
        } else {
            return None;
        };
        now.find(&PackageId { name: id.name.clone(), architecture: other })
    })
}

fn is_done(installed: &InstalledPackage, planned: &Version) -> bool {
    let is_sound = installed.state.flag == Flag::Ok && installed.state.status == Status::Installed;
    installed.version == *planned && is_sound
}

/// dpkg's own three words.
fn words(state: DpkgState) -> String {
    let want = match state.want {
        Want::Unknown => "unknown",
        Want::Install => "install",
        Want::Hold => "hold",
        Want::Deinstall => "deinstall",
        Want::Purge => "purge",
    };
    let flag = match state.flag {
        Flag::Ok => "ok",
        Flag::ReinstallRequired => "reinstreq",
    };
    let status = match state.status {
        Status::NotInstalled => "not-installed",
        Status::ConfigFiles => "config-files",
        Status::HalfInstalled => "half-installed",
        Status::Unpacked => "unpacked",
        Status::HalfConfigured => "half-configured",
        Status::TriggersAwaited => "triggers-awaited",
        Status::TriggersPending => "triggers-pending",
        Status::Installed => "installed",
    };
    format!("{want} {flag} {status}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use patchd_core::plan::PlannedChange;
    use patchd_host::dpkg;

    use super::*;

    fn inventory(entries: &[(&str, &str, &str, &str)]) -> Inventory {
        let stanza = |(name, architecture, version, status): &(&str, &str, &str, &str)| {
            format!(
                "Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: {version}\n\
                 Maintainer: L <l@example.invalid>\nDescription: toy\n\n"
            )
        };
        let mut status: String = entries.iter().map(stanza).collect();
        status.push_str(&stanza(&("dpkg", "amd64", "1", "install ok installed")));
        dpkg::parse_status(status.as_bytes(), Path::new("status"))
    }

    fn plan(id: (&str, &str), to: &str) -> Plan {
        let package = package_id(id.0, id.1).unwrap();
        let version = |text: &str| Version::parse(text).unwrap();
        Plan::try_new(vec![PlannedChange { package, from: Some(version("1")), to: version(to) }]).unwrap()
    }

    #[track_caller]
    fn check(entry: (&str, &str, &str, &str), planned: &str, after: Option<&str>, done: bool) {
        let now = inventory(&[entry]);
        let plan = plan(("app", "amd64"), planned);
        let [change] = changes(&plan, &now).try_into().unwrap();
        assert_eq!((change.after.as_deref(), change.done), (after, done));
        let [again] = changes_again(&[ChangeWire { after: None, done: false, ..change.clone() }], &now)
            .try_into()
            .unwrap();
        assert_eq!(again, change);
    }

    #[test]
    fn done_is_the_planned_version_in_a_sound_state() {
        check(("app", "amd64", "2", "install ok installed"), "2", Some("2"), true);
        check(("app", "amd64", "2", "hold ok installed"), "2", Some("2"), true);
        check(("app", "all", "2", "install ok installed"), "2", Some("2"), true);
        check(("app", "amd64", "1", "install ok installed"), "2", Some("1"), false);
        check(("app", "amd64", "2", "install ok unpacked"), "2", Some("2"), false);
        check(("app", "amd64", "2", "install ok half-configured"), "2", Some("2"), false);
        check(("app", "amd64", "2", "install ok triggers-pending"), "2", Some("2"), false);
        check(("app", "i386", "2", "install ok installed"), "2", None, false);
        check(("app", "amd64", "2", "deinstall ok config-files"), "2", None, false);
    }

    #[test]
    fn states_are_told_in_dpkgs_words() {
        let now = inventory(&[
            ("half", "amd64", "2", "install reinstreq half-installed"),
            ("gone", "amd64", "2", "deinstall ok config-files"),
        ]);
        let ask = |name: &str| PackageWire { name: name.into(), architecture: "amd64".into() };
        let told: Vec<_> = installed(&["half", "gone", "never", "no name"].map(ask), &now)
            .into_iter()
            .map(|wire| (wire.version, wire.status))
            .collect();
        let expected = [
            (Some("2"), "install reinstreq half-installed"),
            (None, "deinstall ok config-files"),
            (None, "unknown ok not-installed"),
            (None, "unknown ok not-installed"),
        ];
        assert_eq!(told, expected.map(|(version, status)| (version.map(str::to_owned), status.to_owned())));
    }
}
