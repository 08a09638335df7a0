//! What the packages wait for that apt leaves where they are: told from relations, for people. Nothing is decided by it.

use patchd_core::inventory::Inventory;
use patchd_core::offer::{KeptBack, Need, PackageOffers};
use patchd_core::package::PackageName;

use crate::apt::apt_architecture;
use crate::apt::candidate::Versions;
use crate::apt::future::{Future, Member};
use crate::apt::relation::{alternatives, groups};

/// A relation with the names in it.
pub(super) fn to_need(text: &str) -> Need {
    let names = alternatives(text).flatten().filter_map(|atom| PackageName::parse(atom.name).ok());
    Need { text: text.to_owned(), packages: names.collect() }
}

/// Finds what the packages need in vain of which apt does not say why it leaves them: a relation that does not hold
/// once everything else goes, on a package that stays.
pub(super) fn find_needs(
    inventory: &Inventory,
    native: &str,
    versions: &[Versions],
    offers: &mut [PackageOffers],
) {
    let is_unexplained = |known: &PackageOffers| known.kept_back == Some(KeptBack::Dependency { on: None });
    if !offers.iter().any(is_unexplained) {
        return;
    }
    let mut members = Vec::with_capacity(versions.len());
    for ((package, versions), known) in inventory.packages.iter().zip(versions).zip(&*offers) {
        let goes_to = known.candidate().filter(|_| known.is_upgradable && known.kept_back.is_none());
        let target = goes_to.and_then(|offer| versions.row(&offer.version));
        let Some(row) = target.or_else(|| versions.installed_row()) else { continue };
        members.push(Member {
            name: package.id.name.as_str(),
            architecture: apt_architecture(package.id.architecture.as_str(), native),
            row,
            before: None,
            is_changed: target.is_some(),
        });
    }
    let after = Future::new(members, native);
    let stays = |name: &str, offers: &[PackageOffers]| {
        let from = inventory.packages.partition_point(|package| package.id.name.as_str() < name);
        let mut twins = inventory.packages.iter().zip(offers).skip(from);
        twins
            .by_ref()
            .take_while(|(package, _)| package.id.name.as_str() == name)
            .any(|(_, known)| known.is_upgradable && known.kept_back.is_some())
    };
    let find = |place: usize| {
        let (package, versions, known) =
            (inventory.packages.get(place)?, versions.get(place)?, offers.get(place)?);
        let architecture = apt_architecture(package.id.architecture.as_str(), native);
        let relations =
            &versions.row(&known.candidate().filter(|_| is_unexplained(known))?.version)?.relations;
        let mut needs = groups(&relations.pre_depends).chain(groups(&relations.depends));
        needs
            .find(|group| {
                after.holds_without(architecture, group, "") == Ok(false)
                    && alternatives(group).flatten().any(|atom| stays(atom.name, offers))
            })
            .map(to_need)
    };
    let found: Vec<Option<Need>> = (0..offers.len()).map(find).collect();
    for (known, need) in offers.iter_mut().zip(found).filter(|(_, need)| need.is_some()) {
        known.kept_back = Some(KeptBack::Dependency { on: need });
    }
}
