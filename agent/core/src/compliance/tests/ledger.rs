//! One cause for each package that waits, and what is behind it.

use proptest::prelude::*;

use super::*;
use crate::baseline::system::Packaging;
use crate::offer::NewPackage;
use crate::plan::Plan;
use crate::plan::steps::{Bond, Tie};
use crate::reason::Link;
use crate::report::{RunRecord, RunVerdict};

/// A host of these packages, all at 1 and with 2 in the security archive.
fn host(names: &[&str]) -> OneHost {
    let mut host = OneHost::installed("1").offered("2", &[SECURITY]);
    let package = host.inventory.packages[0].clone();
    let known = host.offers.packages[&id("openssl")].clone();
    host.shut.clear();
    let mut names = names.to_vec();
    names.sort_unstable();
    host.inventory.packages =
        names.iter().map(|name| InstalledPackage { id: id(name), ..package.clone() }).collect();
    host.offers.packages = names.iter().map(|name| (id(name), known.clone())).collect();
    host
}

impl OneHost {
    fn kept(mut self, name: &str, kept_back: KeptBack) -> Self {
        self.offers.packages.get_mut(&id(name)).unwrap().kept_back = Some(kept_back);
        self
    }

    fn held(mut self, name: &str) -> Self {
        let package = self.inventory.packages.iter_mut().find(|package| package.id == id(name)).unwrap();
        package.state.want = Want::Hold;
        self.kept(name, KeptBack::Held)
    }

    fn tied(mut self, package: &str, on: &str, bond: Bond) -> Self {
        self.offers.ties.push(Tie { package: id(package), on: id(on), bond });
        self
    }

    fn blocking(mut self, entry: &str) -> Self {
        self.baseline.rejected.patterns = vec![Pattern::parse(entry, Packaging::Deb).unwrap()];
        self.baseline.rejected.action = RejectedAction::Block;
        self
    }

    fn reason(&self, name: &str) -> Reason {
        let judgement = self.judge();
        judgement.updates.into_iter().find(|update| update.package == id(name)).unwrap().reason
    }

    /// The causes of a package and of what is behind it: `app dependency, libbar held`.
    #[track_caller]
    fn check_chain(&self, name: &str, expected: &str) {
        let reason = self.reason(name);
        let mut told = format!("{name} {}", reason.cause.code());
        for Link { package, cause } in &reason.chain {
            told.push_str(&format!(", {} {}", package.name, cause.code()));
        }
        assert_eq!(told, expected);
    }
}

fn needs(name: &str) -> KeptBack {
    let packages = vec![PackageName::parse(name).unwrap()];
    KeptBack::Dependency { on: Some(Need { text: format!("{name} (>= 2)"), packages }) }
}

#[test]
fn a_package_that_waits_for_another_tells_the_chain_to_its_end() {
    let host = host(&["app", "libfoo", "libbar"])
        .held("libbar")
        .kept("libfoo", needs("libbar"))
        .kept("app", needs("libfoo"));
    host.check_chain("app", "app dependency, libfoo dependency, libbar held");
    host.check_chain("libfoo", "libfoo dependency, libbar held");
    assert_eq!(
        host.reason("libfoo").sentence(),
        "it needs libbar (>= 2), which can't be installed; libbar:amd64: on hold: `apt-mark unhold` releases it"
    );
}

#[test]
fn a_circle_and_a_need_of_nothing_that_is_installed_have_an_end() {
    let host = host(&["a", "b"]).kept("a", needs("b")).kept("b", needs("a"));
    host.check_chain("a", "a dependency, b dependency");
    host.kept("a", needs("nowhere")).check_chain("a", "a dependency");
}

#[test]
fn block_keeps_back_what_can_not_go_without_a_rejected_package_and_no_twin_of_its_source() {
    let host = host(&["app", "evil", "lib", "twin"])
        .tied("app", "lib", Bond::Needed)
        .tied("lib", "evil", Bond::Needed)
        .tied("twin", "evil", Bond::SameSource)
        .blocking("evil");
    host.check_chain("evil", "evil rejected");
    host.check_chain("lib", "lib dependency, evil rejected");
    host.check_chain("app", "app dependency, lib dependency, evil rejected");
    host.check_chain("twin", "twin ready");
    let judgement = host.judge();
    assert_eq!(judgement.items[0].state, PatchState::Missing);
    assert_eq!(judgement.blocked.len(), 1);
    // On an apply, what the baseline blocks of what it asks for has failed.
    let report = crate::report::tests::report(host.inventory, host.offers, judgement);
    let counts = report.with_run(RunRecord::of(RunVerdict::Succeeded)).judgement.counts;
    assert_eq!((counts.failed, counts.missing, counts.installed_rejected), (2, 1, 1));
}

#[test]
fn a_new_package_can_be_blocked_and_is_not_under_the_other_action() {
    let mut host = host(&["app"]).tied("app", "evil", Bond::Needed).blocking("ev?l");
    let new = NewPackage { id: id("evil"), version: version("1"), download_bytes: 0, installed_kib: 0 };
    host.offers.new_packages.push(new);
    host.check_chain("app", "app dependency, evil rejected");
    host.baseline.rejected.action = RejectedAction::AllowAsDependency;
    host.check_chain("app", "app ready");
}

#[test]
fn what_a_run_tried_in_vain_is_told_until_the_version_changes_and_is_tried_again() {
    let mut host = host(&["app"]);
    let cause = Cause::Failed { run: Some("run-1".into()), detail: "dpkg said no".into() };
    let attempt = Attempt { installed: version("1"), wanted: version("2"), cause };
    host.attempts.insert(id("app"), attempt.clone());
    host.check_chain("app", "app failed");
    assert!(Plan::of_approved(&host.judge()).is_some());
    for other in [
        Attempt { installed: version("0"), ..attempt.clone() },
        Attempt { wanted: version("3"), ..attempt.clone() },
    ] {
        host.attempts.insert(id("app"), other);
        host.check_chain("app", "app ready");
    }
}

/// What may be the case of one package: its hold, the archive of its update, what apt says, whom it needs, and what is
/// odd about its candidate.
type Fate = (bool, bool, u8, usize, u8);

fn any_host(fates: &[Fate], blocked: Option<usize>, is_shut: bool) -> OneHost {
    let names: Vec<String> = (0..fates.len()).map(|at| format!("p{at}")).collect();
    let mut host = host(&names.iter().map(String::as_str).collect::<Vec<_>>());
    if is_shut {
        host.shut = vec![Shut::Paused, Shut::NoWindow];
    }
    for (name, (is_held, is_security, kept, on, odd)) in names.iter().zip(fates) {
        let on = &names[on % names.len()];
        host = match kept % 6 {
            _ if *is_held => host.held(name),
            0 => host.kept(name, needs(on)),
            1 => host.kept(name, KeptBack::Dependency { on: None }),
            2 => host.kept(name, KeptBack::Phased { percentage: 7 }),
            3 => host.kept(name, KeptBack::RemovalRequired { packages: vec![id(on).name] }),
            _ => host.tied(name, on, Bond::Needed),
        };
        let known = host.offers.packages.get_mut(&id(name)).unwrap();
        if !is_security {
            known.offers[0].repositories = vec![MAIN];
        }
        match odd % 4 {
            0 => known.offers[0].version = version("1"),
            1 => known.is_upgradable = false,
            2 => known.offers[0].phase = Phase::Waiting { percentage: 7 },
            _ => {}
        }
    }
    match blocked {
        Some(at) => host.blocking(&names[at % names.len()]),
        None => host,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each package that is not at its candidate has one cause, the planner takes exactly what a cause lets it take, and
    /// a chain never comes back to where it was.
    #[test]
    fn every_package_that_waits_has_one_cause_and_what_is_ready_is_planned(
        fates in prop::collection::vec(any::<Fate>(), 1..9),
        blocked in any::<Option<usize>>(),
        is_shut in any::<bool>(),
    ) {
        let host = any_host(&fates, blocked, is_shut);
        let judgement = host.judge();
        let plan = Plan::of_approved(&judgement);
        let planned = |package: &PackageId| {
            plan.iter().flat_map(Plan::changes).find(|change| change.package == *package)
        };
        for (package, known) in &host.offers.packages {
            let of_package: Vec<_> =
                judgement.updates.iter().filter(|update| update.package == *package).collect();
            let item = judgement.items.iter().find(|item| item.package == *package).unwrap();
            let waits = known.is_upgradable || item.approved.is_some();
            prop_assert_eq!(of_package.len(), usize::from(waits));
            let Some(update) = of_package.first() else { continue };
            let (cause, change) = (&update.reason.cause, planned(package));
            prop_assert_eq!(cause.lets_plan(), change.is_some(), "{:?}", cause);
            if let Some(change) = change {
                prop_assert_eq!(Some(&change.to), update.approved.as_ref());
                prop_assert_eq!(cause == &Cause::Ready, !is_shut);
            }
            prop_assert!(item.approved.is_none() || item.reason.as_ref() == Some(&update.reason));
            let mut links: Vec<_> = update.reason.chain.iter().map(|link| &link.package).collect();
            links.push(package);
            links.sort();
            let all = links.len();
            links.dedup();
            prop_assert_eq!(links.len(), all);
        }
    }
}
