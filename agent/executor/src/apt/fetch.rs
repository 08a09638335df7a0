//! Which packages' archives apt could not fetch, from what it says of it. That it failed is known already.

use patchd_core::plan::Plan;
use patchd_protocol::executor::PackageWire;

/// The most lines of apt's reasons that are passed on.
const MAX_REASONS: usize = 10;

/// Why archives are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchFailure {
    /// apt's own sentences.
    pub(crate) reasons: Vec<String>,
    /// The packages of the plan whose archives they name; empty if they name none.
    pub(crate) blamed: Vec<PackageWire>,
    /// It was room on the file system that was missing.
    pub(crate) is_room: bool,
}

/// What the lines of a failed download say of the packages of `plan`.
pub(crate) fn failure(plan: &Plan, lines: &[String]) -> FetchFailure {
    let errors: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("E: ")).collect();
    let mut blamed = Vec::new();
    for error in &errors {
        let Some((name, architecture)) = error.strip_prefix("Failed to fetch ").and_then(archive) else {
            continue;
        };
        let of_name = |change: &&patchd_core::plan::PlannedChange| change.package.name.as_str() == name;
        let matching: Vec<_> = plan.changes().iter().filter(of_name).map(|change| &change.package).collect();
        let is_exact = |id: &&patchd_core::package::PackageId| id.architecture.as_str() == architecture;
        match matching.iter().copied().find(is_exact) {
            Some(id) => blamed.push(PackageWire::from(id)),
            // An upgrade may turn a package of one architecture into one for all.
            None => blamed.extend(matching.iter().map(|id| PackageWire::from(*id))),
        }
    }
    blamed.sort();
    blamed.dedup();
    let is_room = errors.iter().any(|error| {
        error.contains("don't have enough free space") || error.contains("No space left on device")
    });
    let reasons = errors.into_iter().take(MAX_REASONS).map(str::to_owned).collect();
    FetchFailure { reasons, blamed, is_room }
}

/// The package and the architecture of `URL  REASON`, whose path ends in `NAME_VERSION_ARCHITECTURE.deb`.
fn archive(text: &str) -> Option<(&str, &str)> {
    let url = text.split_ascii_whitespace().next()?;
    let file = url.rsplit('/').next()?.strip_suffix(".deb")?;
    let (rest, architecture) = file.rsplit_once('_')?;
    let (name, _) = rest.split_once('_')?;
    Some((name, architecture))
}

#[cfg(test)]
mod tests {
    use patchd_core::package::{Architecture, PackageId, PackageName, Version};
    use patchd_core::plan::PlannedChange;

    use super::*;

    fn plan() -> Plan {
        let change = |(name, architecture): (&str, &str)| PlannedChange {
            package: PackageId {
                name: PackageName::parse(name).unwrap(),
                architecture: Architecture::parse(architecture).unwrap(),
            },
            from: None,
            to: Version::parse("1").unwrap(),
        };
        let packages = [("app", "amd64"), ("app", "i386"), ("doc", "amd64"), ("libstdc++6", "amd64")];
        Plan::try_new(packages.map(change).to_vec()).unwrap()
    }

    #[track_caller]
    fn check(lines: &[&str], blamed: &[&str], is_room: bool) {
        let lines: Vec<_> = lines.iter().map(|line| (*line).to_owned()).collect();
        let failure = failure(&plan(), &lines);
        let told: Vec<_> =
            failure.blamed.iter().map(|wire| format!("{}:{}", wire.name, wire.architecture)).collect();
        assert_eq!(
            (told.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), failure.is_room),
            (blamed, is_room)
        );
    }

    /// docs/accidents.md, rows 34 and 35: a mirror half way through its own update.
    #[test]
    fn the_packages_whose_archives_are_missing_are_named() {
        check(
            &[
                "Err:1 http://mirror.example.org lab app 1",
                "E: Failed to fetch http://mirror.example.org/pool/app_1%3a1_i386.deb  404  Not Found [IP: 192.0.2.1 80]",
                "E: Failed to fetch http://mirror.example.org/pool/doc_2_all.deb  Hash Sum mismatch",
                "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?",
            ],
            &["app:i386", "doc:amd64"],
            false,
        );
        check(&["E: Failed to fetch copy:/srv/libstdc++6_1_amd64.deb  x"], &["libstdc++6:amd64"], false);
    }

    #[test]
    fn what_names_no_package_of_the_plan_blames_none() {
        check(&["E: Failed to fetch http://mirror.example.org/x/other_1_all.deb  404"], &[], false);
        check(&["E: Failed to fetch ", "E: Failed to fetch x.deb", "E: Failed to fetch _"], &[], false);
        check(&["E: You don't have enough free space in /var/cache/apt/archives/."], &[], true);
    }
}
