//! What the gates of a run ask of root: the clock, the room, the memory, who is at work, what is wrong with the package
//! database, and root's grant; and what a report asks: old code in memory. It changes nothing and waits for nothing.

use patchd_host::clock::Synchronisation;
use patchd_host::dpkg::audit::audit;
use patchd_host::dpkg::quiet;
use patchd_host::{disk, machine, processes};
use patchd_protocol::executor::{ClockWire, FilesystemWire, GrantWire, ObservedWire};
use patchd_protocol::old_code::OldCodeWire;

use crate::refusal::Stop;
use crate::text;
use crate::verbs::Executor;

/// The most lines of what is wrong.
const MAX_FINDINGS: usize = 100;

/// What there is to be seen. What can't be looked at fails it: no answer is better than half of one.
pub(crate) fn observe(executor: &Executor, digest: Option<&str>) -> Result<ObservedWire, Stop> {
    let filesystems = disk::filesystems(&executor.root).map_err(|error| Stop::failed(&error))?;
    let filesystems = filesystems.into_iter().map(|filesystem| FilesystemWire {
        mount: filesystem.mount,
        uses: filesystem.uses.iter().map(|place| place.code().to_owned()).collect(),
        free_bytes: filesystem.free_bytes,
        free_inodes: filesystem.free_inodes,
        is_read_only: filesystem.is_read_only,
    });
    let filesystems = filesystems.collect();
    let grant = match digest {
        Some(digest) => executor.grants.find(digest, (executor.now)())?,
        None => None,
    };
    let (lock_holder, database) = packages(executor);
    Ok(ObservedWire {
        clock: match (executor.clock)() {
            Synchronisation::Synchronised => ClockWire::Synchronised,
            Synchronisation::Unsynchronised => ClockWire::Unsynchronised,
            Synchronisation::Unknown { detail } => ClockWire::Unknown { detail },
        },
        filesystems,
        available_memory_bytes: machine::available_memory_bytes(&executor.root),
        lock_holder,
        database,
        grant: grant.map(|grant| GrantWire { reason: grant.reason, until: grant.until }),
    })
}

/// Which processes run code that was replaced on disk.
pub(crate) fn old_code(executor: &Executor) -> OldCodeWire {
    let seen = processes::look(&executor.root);
    OldCodeWire::from(&seen.of_packages(&executor.root, &executor.inventory()))
}

/// Who is at work on installed packages (who only fetches lists is in nobody's way), and what is wrong with the package database.
///
/// While somebody is at work, packages pass through all kinds of states: that is no damage yet.
fn packages(executor: &Executor) -> (Option<String>, Vec<String>) {
    let at_work = || {
        let watch = quiet::watch(&executor.root);
        watch.on_packages().map(|one| text::cut(&one.to_string()))
    };
    if let Some(holder) = at_work() {
        return (Some(holder), Vec::new());
    }
    let damage = damage(executor);
    match at_work() {
        Some(holder) if !damage.is_empty() => (Some(holder), Vec::new()),
        _ => (None, damage),
    }
}

/// What is wrong with the package database, as sentences.
pub(crate) fn damage(executor: &Executor) -> Vec<String> {
    let findings = audit(&executor.root);
    let mut lines: Vec<_> =
        findings.iter().take(MAX_FINDINGS).map(|one| text::cut(&one.to_string())).collect();
    if MAX_FINDINGS < findings.len() {
        lines.push(format!("and {} more", findings.len() - MAX_FINDINGS));
    }
    lines
}
