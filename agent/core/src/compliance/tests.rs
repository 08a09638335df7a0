//! The decision table of `judge`, one row a test.

mod ledger;
mod states;

use super::*;
use crate::baseline::system::OperatingSystem;
use crate::inventory::{DpkgState, Mark, Want};
use crate::offer::{KeptBack, Method, Need, NotInstalledClass, RepositoryId, Trust};
use crate::package::{Architecture, PackageName, SourcePackage};
use crate::version::VersionScheme;

const MAIN: RepositoryId = RepositoryId(0);
const SECURITY: RepositoryId = RepositoryId(1);

fn id(name: &str) -> PackageId {
    PackageId { name: PackageName::parse(name).unwrap(), architecture: Architecture::parse("amd64").unwrap() }
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

fn repository(suite: &str, is_security: bool) -> Repository {
    Repository {
        uri: "http://deb.example.org".into(),
        site: "deb.example.org".into(),
        distribution: suite.into(),
        component: "main".into(),
        origin: Some("Debian".into()),
        label: Some("Debian".into()),
        suite: Some(suite.into()),
        codename: None,
        version: Some("12".into()),
        date: None,
        valid_until: None,
        trust: Trust::Signed,
        is_security,
    }
}

/// One host with one package.
struct OneHost {
    inventory: Inventory,
    offers: Offers,
    baseline: Baseline,
    override_list: Option<InstallOverride>,
    shut: Vec<Shut>,
    attempts: Attempts,
    pending: Pending,
}

impl OneHost {
    fn installed(installed: &str) -> Self {
        let package = InstalledPackage {
            id: id("openssl"),
            version: version(installed),
            source: SourcePackage {
                name: PackageName::parse("openssl").unwrap(),
                version: version(installed),
            },
            state: DpkgState::INSTALLED,
            mark: Mark::Manual,
            installed_at: None,
            priority: Some("optional".into()),
            section: None,
            essential: false,
            multi_arch_same: false,
        };
        Self {
            inventory: Inventory {
                scheme: VersionScheme::Deb,
                native: Architecture::parse("amd64").unwrap(),
                packages: vec![package],
                residual: vec![],
                problems: vec![],
            },
            offers: Offers {
                repositories: vec![repository("stable", false), repository("stable-security", true)],
                packages: std::collections::BTreeMap::new(),
                new_packages: vec![],
                ties: vec![],
                not_installed: std::collections::BTreeMap::new(),
                refreshed_at: None,
                method: Method::Native,
                problems: vec![],
            },
            baseline: Baseline::builtin(OperatingSystem::Debian),
            override_list: None,
            shut: vec![Shut::NoWindow],
            attempts: Attempts::new(),
            pending: Pending::new(),
        }
    }

    /// Adds an offer, newest first; the first that is added is the candidate.
    fn offered(mut self, text: &str, repositories: &[RepositoryId]) -> Self {
        let installed = self.inventory.packages[0].version.clone();
        let known = self.offers.packages.entry(id("openssl")).or_insert(PackageOffers {
            offers: vec![],
            candidate: Some(0),
            is_upgradable: installed.as_str() != text,
            kept_back: None,
            installed_kib: 0,
        });
        known.offers.push(Offer {
            version: version(text),
            source: SourcePackage { name: PackageName::parse("openssl").unwrap(), version: version(text) },
            priority: Some("optional".into()),
            section: Some("utils".into()),
            repositories: repositories.to_vec(),
            pin: 500,
            phase: Phase::Open,
            download_bytes: 1,
            installed_kib: 1,
        });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut PackageOffers)) -> Self {
        change(self.offers.packages.get_mut(&id("openssl")).unwrap());
        self
    }

    fn judge(&self) -> Judgement {
        judge(&Case {
            inventory: &self.inventory,
            offers: &self.offers,
            baseline: &self.baseline,
            override_list: self.override_list.as_ref(),
            product: "Debian12",
            shut: &self.shut,
            attempts: &self.attempts,
            now: "2026-11-23T00:00:00Z".parse().unwrap(),
            first_seen: &FirstSeen::default(),
            pending: &self.pending,
        })
    }

    #[track_caller]
    fn check(&self, state: PatchState, reason: Option<&str>) -> Judgement {
        let judgement = self.judge();
        assert_eq!(judgement.items[0].state, state);
        let found = judgement.updates.first().map(|update| update.reason.cause.code());
        assert_eq!(found, reason);
        judgement
    }
}

#[test]
fn a_security_version_that_is_installed_counts_as_installed() {
    OneHost::installed("1.1").offered("1.1", &[SECURITY]).check(PatchState::Installed, None);
}

#[test]
fn a_version_that_no_rule_approves_is_other() {
    OneHost::installed("1.1").offered("1.1", &[MAIN]).check(PatchState::InstalledOther, None);
    OneHost::installed("1.1").check(PatchState::InstalledOther, None);
}

#[test]
fn a_newer_security_version_is_missing_and_says_why() {
    let case = OneHost::installed("1.0").offered("1.1", &[SECURITY]).offered("1.0", &[MAIN]);
    let judgement = case.check(PatchState::Missing, Some("no_window"));
    assert_eq!(judgement.counts.missing, 1);
    assert_eq!(judgement.counts.security_non_compliant, 1);
    assert_eq!(judgement.counts.other_non_compliant, 0);
    assert_eq!(judgement.non_compliant_severity, Some(ComplianceLevel::Informational));
    assert_eq!(judgement.updates[0].origin, "Debian:12/stable-security");
}

#[test]
fn the_origin_of_a_security_version_is_the_security_source() {
    let judgement = OneHost::installed("1.0").offered("1.1", &[MAIN, SECURITY]).judge();
    assert_eq!(judgement.updates[0].origin, "Debian:12/stable-security");
}

#[test]
fn a_newer_version_from_elsewhere_waits_for_approval_and_is_compliant() {
    let judgement = OneHost::installed("1.0")
        .offered("1.1", &[MAIN])
        .check(PatchState::InstalledOther, Some("not_approved"));
    assert_eq!(judgement.non_compliant_severity, None);
    assert_eq!(judgement.updates[0].approved, None);
}

#[test]
fn the_approved_version_can_be_older_than_the_candidate() {
    let judgement = OneHost::installed("1.0")
        .offered("2.0", &[MAIN])
        .offered("1.1", &[SECURITY])
        .check(PatchState::Missing, Some("no_window"));
    assert_eq!(judgement.items[0].approved, Some(version("1.1")));
    assert_eq!(judgement.updates[0].candidate, version("2.0"));
}

#[test]
fn a_hold_is_the_first_reason_and_leaves_the_patch_missing() {
    let mut case = OneHost::installed("1.0").offered("1.1", &[SECURITY]);
    case.inventory.packages[0].state.want = Want::Hold;
    case.check(PatchState::Missing, Some("held"));
}

#[test]
fn what_preferences_keep_below_the_approved_version_is_pinned() {
    let case = OneHost::installed("1.0").offered("1.1", &[SECURITY]).offered("1.0", &[MAIN]).with(|known| {
        known.candidate = Some(1);
        known.is_upgradable = false;
    });
    case.check(PatchState::Missing, Some("pinned"));
    OneHost::installed("1.0")
        .offered("1.1", &[SECURITY])
        .with(|known| {
            known.candidate = None;
            known.is_upgradable = false;
        })
        .check(PatchState::Missing, Some("pinned"));
}

#[test]
fn a_phased_update_is_not_missing_before_its_turn() {
    OneHost::installed("1.0")
        .offered("1.1", &[SECURITY])
        .with(|known| {
            known.offers[0].phase = Phase::Waiting { percentage: 10 };
            known.kept_back = Some(KeptBack::Phased { percentage: 10 });
        })
        .check(PatchState::InstalledOther, Some("phased"));
}

#[test]
fn what_the_package_manager_keeps_back_says_so() {
    let kept = |kept_back: KeptBack| {
        OneHost::installed("1.0").offered("1.1", &[SECURITY]).with(|known| known.kept_back = Some(kept_back))
    };
    kept(KeptBack::Dependency { on: Some(Need { text: "libx (>= 2)".into(), packages: vec![] }) })
        .check(PatchState::Missing, Some("dependency"));
    let removal = KeptBack::RemovalRequired { packages: vec![PackageName::parse("rival").unwrap()] };
    kept(removal).check(PatchState::Missing, Some("removal_required"));
}

#[test]
fn gates_decide_whether_it_is_ready_or_waits() {
    let until: Timestamp = "2027-01-04T00:00:00Z".parse().unwrap();
    let mut case = OneHost::installed("1.0").offered("1.1", &[SECURITY]);
    case.shut = vec![Shut::Frozen { until, reason: "holidays".into() }, Shut::NoWindow];
    let judgement = case.check(PatchState::Missing, Some("freeze"));
    assert_eq!(judgement.updates[0].reason.changes_at, Some(until));
    assert_eq!(judgement.items[0].reason, Some(judgement.updates[0].reason.clone()));
    case.shut = vec![];
    case.check(PatchState::Missing, Some("ready"));
}

#[test]
fn packages_that_are_not_installed_are_counted_if_the_baseline_asks_for_them() {
    let mut case = OneHost::installed("1.0");
    let class = |is_security| NotInstalledClass {
        is_security,
        priority: Some("optional".into()),
        section: None,
        listed: None,
    };
    case.offers.not_installed.insert(class(true), 7);
    case.offers.not_installed.insert(class(false), 60_000);
    assert_eq!(case.judge().counts.not_applicable, 7);
}

#[test]
fn what_does_not_run_yet_is_not_compliant_and_says_what_it_takes() {
    let pending = |mut host: OneHost| {
        let reason = Cause::Restart { processes: "ssh.service".into() };
        host.pending.insert(id("openssl"), reason);
        host
    };
    for repository in [SECURITY, MAIN] {
        let host = pending(OneHost::installed("1.1").offered("1.1", &[repository]));
        let judgement = host.check(PatchState::InstalledPendingReboot, None);
        let item = &judgement.items[0];
        assert_eq!(item.reason.as_ref().map(|reason| reason.cause.code()), Some("restart"));
        assert_eq!(judgement.counts.installed_pending_reboot, 1);
        assert_eq!((judgement.counts.installed, judgement.counts.installed_other), (0, 0));
        assert_eq!(judgement.counts.security_non_compliant, u64::from(repository == SECURITY));
        assert_eq!(judgement.counts.other_non_compliant, u64::from(repository == MAIN));
        assert_eq!(judgement.non_compliant_severity, Some(ComplianceLevel::Informational));
    }
    // What is still to be installed comes first: starting the old version again mends nothing.
    pending(OneHost::installed("1.0").offered("1.1", &[SECURITY]))
        .check(PatchState::Missing, Some("no_window"));
}
