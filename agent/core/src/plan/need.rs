//! What a plan needs: bytes to fetch, room on each file system, and time, from what this host took before.
//!
//! Every figure errs on the side of waiting. What nobody knows is guessed high, and the guesses stand here.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::package::{PackageId, PackageName};

/// What one change of a plan takes. Of a package that nothing is known of, the figures are zero and the time a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    pub package: PackageId,
    pub download_bytes: u64,
    /// On disk after the change, and before it.
    pub installed_bytes: u64,
    pub replaced_bytes: u64,
    /// What it puts into `/boot`: a kernel with its initrd and the copy made while that is built, or files of its own.
    pub boot_bytes: u64,
    pub time: SignedDuration,
}

/// How long things took on this host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pace {
    /// The longest of a package's last changes.
    pub packages: BTreeMap<PackageName, SignedDuration>,
    pub download_bytes_per_second: Option<u64>,
}

/// Guesses for what this host has not done yet.
const UNKNOWN_PACKAGE: SignedDuration = SignedDuration::from_secs(3);
const UNKNOWN_CHANGE: SignedDuration = SignedDuration::from_secs(10);
const UNKNOWN_KERNEL: SignedDuration = SignedDuration::from_secs(120);
const UNKNOWN_DOWNLOAD: u64 = 1 << 20;
/// How fast files are unpacked and synced to a slow volume, in bytes a second.
const UNKNOWN_UNPACKING: u64 = 5 << 20;

/// What each transaction takes beside its packages: dry run, locks, triggers, reading back.
pub const TRANSACTION_TIME: SignedDuration = SignedDuration::from_secs(15);

impl Pace {
    /// How long so many changes may take of which only the number is known: by the mean of what this host knows, and half
    /// as much again.
    pub fn estimate_of(&self, changes: u64) -> SignedDuration {
        let known = self.packages.values().fold(SignedDuration::ZERO, |sum, time| sum.saturating_add(*time));
        let one = match i32::try_from(self.packages.len()) {
            Ok(count @ 1..) => known / count,
            _ => UNKNOWN_CHANGE,
        };
        let one = one.saturating_add(one / 2);
        let all = i32::try_from(changes).ok().and_then(|changes| one.checked_mul(changes));
        all.unwrap_or(SignedDuration::MAX).saturating_add(TRANSACTION_TIME)
    }

    /// How long a change will take, fetching included. Half as much again as it took before.
    pub fn estimate(&self, footprint: &Footprint) -> SignedDuration {
        let speed = self.download_bytes_per_second.unwrap_or(UNKNOWN_DOWNLOAD).max(1);
        let change = match self.packages.get(&footprint.package.name) {
            Some(&known) => known.saturating_add(known / 2),
            None if 0 < footprint.boot_bytes => UNKNOWN_KERNEL,
            None => UNKNOWN_PACKAGE.saturating_add(seconds(footprint.installed_bytes / UNKNOWN_UNPACKING)),
        };
        change.saturating_add(seconds(footprint.download_bytes / speed))
    }
}

fn seconds(count: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What a file system is used for while packages change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// Where archives are fetched to.
    Archives,
    /// Where the packages' own files go.
    System,
    Boot,
    /// The package database.
    Database,
    /// What patchd itself keeps: records, journal, spool.
    State,
    /// Where maintainer scripts work.
    Temporary,
}

impl Use {
    pub const ALL: [Self; 6] =
        [Self::Archives, Self::System, Self::Boot, Self::Database, Self::State, Self::Temporary];

    /// The stable name that plans and the wire use.
    pub fn code(self) -> &'static str {
        match self {
            Self::Archives => "archives",
            Self::System => "system",
            Self::Boot => "boot",
            Self::Database => "database",
            Self::State => "state",
            Self::Temporary => "temporary",
        }
    }

    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.code() == code)
    }

    /// What it takes whatever the packages are, so that nothing that must be written fails.
    fn floor(self) -> u64 {
        match self {
            Self::Database => 16 << 20,
            Self::State => 8 << 20,
            Self::Temporary => 4 << 20,
            Self::Archives | Self::System | Self::Boot => 0,
        }
    }
}

/// One file system that a change would write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Where it is mounted.
    pub mount: String,
    pub uses: Vec<Use>,
    pub free_bytes: u64,
    /// `None` if it does not count them.
    pub free_inodes: Option<u64>,
    pub is_read_only: bool,
}

/// The inodes that are left for scripts, the package database and us.
const SPARE_INODES: u64 = 500;
/// The size of a typical file: what is counted as one inode.
const BYTES_PER_INODE: u64 = 16 << 10;

/// What a set of changes needs of one file system, and whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub mount: String,
    pub uses: Vec<Use>,
    pub needed_bytes: u64,
    pub free_bytes: u64,
    /// Why it can't take the changes, if it can't.
    pub shortage: Option<String>,
}

/// What changes need of each of the host's file systems.
pub fn rooms(footprints: &[&Footprint], filesystems: &[Filesystem]) -> Vec<Room> {
    filesystems.iter().map(|filesystem| room(footprints, filesystem)).collect()
}

fn room(footprints: &[&Footprint], filesystem: &Filesystem) -> Room {
    let sum = |of: fn(&Footprint) -> u64| {
        footprints.iter().fold(0_u64, |sum, footprint| sum.saturating_add(of(footprint)))
    };
    let growth = sum(|footprint| footprint.installed_bytes.saturating_sub(footprint.replaced_bytes));
    // While a package is unpacked, its old files are there beside the new ones.
    let largest = footprints.iter().map(|footprint| footprint.installed_bytes).max().unwrap_or_default();
    let one = |place: &Use| match place {
        Use::Archives => sum(|footprint| footprint.download_bytes),
        Use::System => growth.saturating_add(largest),
        Use::Boot => sum(|footprint| footprint.boot_bytes),
        Use::Database | Use::Temporary => 0,
        // Archives are kept for a repair until their packages are sound; on one file system that costs nothing.
        Use::State if filesystem.uses.contains(&Use::Archives) => 0,
        Use::State => sum(|footprint| footprint.download_bytes),
    };
    let needs = filesystem.uses.iter().map(|place| one(place).saturating_add(place.floor()));
    let needed = needs.fold(0, u64::saturating_add);
    let needed_bytes = needed.saturating_add(needed / 10);
    let needed_inodes = match filesystem.uses.contains(&Use::System) {
        true => SPARE_INODES.saturating_add(growth.saturating_add(largest) / BYTES_PER_INODE),
        false => SPARE_INODES.min(50),
    };
    let mount = &filesystem.mount;
    // Few changes write to `/boot`; the other uses are written to by all.
    let is_written = |place: &Use| *place != Use::Boot || 0 < one(place);
    let shortage = if filesystem.is_read_only && filesystem.uses.iter().any(is_written) {
        Some(format!("{mount} is mounted read-only"))
    } else if filesystem.free_bytes < needed_bytes {
        let (free, needed) = (megabytes(filesystem.free_bytes), megabytes(needed_bytes));
        Some(format!("{mount} has {free} free of {needed} needed"))
    } else {
        let short = filesystem.free_inodes.filter(|&free| free < needed_inodes);
        short.map(|free| format!("{mount} has {free} inodes free of {needed_inodes} needed"))
    };
    Room {
        mount: mount.clone(),
        uses: filesystem.uses.clone(),
        needed_bytes,
        free_bytes: filesystem.free_bytes,
        shortage,
    }
}

/// Bytes for a person.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::Architecture;

    const MIB: u64 = 1 << 20;

    fn footprint(name: &str, download: u64, installed: u64, replaced: u64, boot: u64) -> Footprint {
        Footprint {
            package: PackageId {
                name: PackageName::parse(name).unwrap(),
                architecture: Architecture::parse("amd64").unwrap(),
            },
            download_bytes: download * MIB,
            installed_bytes: installed * MIB,
            replaced_bytes: replaced * MIB,
            boot_bytes: boot * MIB,
            time: SignedDuration::ZERO,
        }
    }

    fn filesystem(mount: &str, uses: &[Use], free: u64) -> Filesystem {
        Filesystem {
            mount: mount.into(),
            uses: uses.to_vec(),
            free_bytes: free * MIB,
            free_inodes: Some(100_000),
            is_read_only: false,
        }
    }

    #[track_caller]
    fn check(filesystem: &Filesystem, expected: Option<&str>) {
        let app = footprint("app", 10, 40, 30, 0);
        let kernel = footprint("kernel", 50, 200, 0, 100);
        let [room] = rooms(&[&app, &kernel], std::slice::from_ref(filesystem)).try_into().unwrap();
        assert_eq!(room.shortage.as_deref(), expected);
    }

    #[test]
    fn each_file_system_is_judged_by_what_it_is_used_for() {
        check(&filesystem("/boot", &[Use::Boot], 110), None);
        check(&filesystem("/boot", &[Use::Boot], 109), Some("/boot has 109.0 MiB free of 110.0 MiB needed"));
        // 210 of growth and 200 for the largest package's two copies, and a tenth.
        check(&filesystem("/usr", &[Use::System], 451), None);
        check(&filesystem("/usr", &[Use::System], 450), Some("/usr has 450.0 MiB free of 451.0 MiB needed"));
        check(&filesystem("/var", &[Use::Archives, Use::State], 75), None);
        check(&filesystem("/state", &[Use::State], 74), Some("/state has 74.0 MiB free of 74.8 MiB needed"));
        check(&filesystem("/home", &[], 0), None);
    }

    #[test]
    fn inodes_and_read_only_file_systems_count() {
        let few = Filesystem { free_inodes: Some(400), ..filesystem("/", &[Use::System], 9999) };
        check(&few, Some("/ has 400 inodes free of 26740 needed"));
        check(&Filesystem { free_inodes: None, ..few.clone() }, None);
        let read_only = Filesystem { is_read_only: true, ..filesystem("/usr", &[Use::System], 9999) };
        check(&read_only, Some("/usr is mounted read-only"));
        let read_only_boot = Filesystem { is_read_only: true, ..filesystem("/boot", &[Use::Boot], 9999) };
        check(&read_only_boot, Some("/boot is mounted read-only"));
        let app = footprint("app", 10, 40, 30, 0);
        let [room] = rooms(&[&app], &[read_only_boot]).try_into().unwrap();
        assert_eq!(room.shortage, None, "nothing of it goes there");
    }

    #[test]
    fn of_what_is_only_counted_each_takes_the_mean() {
        let mut pace = Pace::default();
        let estimate = |pace: &Pace, count| pace.estimate_of(count).as_secs();
        assert_eq!((estimate(&pace, 0), estimate(&pace, 4)), (15, 15 + 4 * 15));
        for (name, seconds) in [("app", 2), ("kernel", 60)] {
            let name = PackageName::parse(name).unwrap();
            pace.packages.insert(name, SignedDuration::from_secs(seconds));
        }
        assert_eq!(estimate(&pace, 2), 15 + 2 * 46 + 1);
        assert_eq!(pace.estimate_of(u64::MAX), SignedDuration::MAX);
    }

    #[test]
    fn what_was_learned_replaces_the_guess() {
        let mut pace = Pace::default();
        let app = footprint("app", 3, 50, 50, 0);
        assert_eq!(pace.estimate(&app), SignedDuration::from_secs(3 + 10 + 3));
        assert_eq!(pace.estimate(&footprint("linux-image-6", 0, 1, 0, 9)), SignedDuration::from_secs(120));
        pace.packages.insert(app.package.name.clone(), SignedDuration::from_secs(4));
        pace.download_bytes_per_second = Some(3 * MIB);
        assert_eq!(pace.estimate(&app), SignedDuration::from_secs(6 + 1));
    }
}
