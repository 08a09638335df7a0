//! What stands in a host's way, as far as its own files tell: one function a check. Nothing is started, asked over a
//! network or waited for; what the daemon, systemd and AWS say is for others.
//!
//! Every check ends in a verdict. What may not be looked at can't be told, and is never called well.

mod machine;
mod place;
mod policy;

use jiff::Timestamp;
use patchd_protocol::config::Settings;
use patchd_protocol::doctor::{CheckName, CheckWire};

use crate::dpkg::read_inventory;
use crate::root::Root;

/// What a reader who may not look is told to do.
const AS_ROOT: &str = "sudo patchctl doctor";

/// Looks at the host under `root`, whose configuration may have mistakes. `is_root` says whether the reader may look at
/// what is not for everybody.
pub fn look(root: &Root, now: Timestamp, is_root: bool) -> Vec<CheckWire> {
    let (config, settings) = place::config(root);
    let mut checks = vec![
        machine::system(root),
        machine::container(root),
        config,
        place::account(),
        place::state(root),
        place::disk(root),
        machine::old_program(root, is_root),
        machine::selinux(root),
        machine::cloud_init(root),
    ];
    checks.extend(by_settings(root, settings.as_ref(), now));
    let inventory = read_inventory(root);
    checks.push(policy::patchers(root, &inventory));
    checks.push(machine::reboot(root, &inventory));
    checks
}

/// What depends on what the operator wants. Without a configuration that can be gone by, nobody can tell.
fn by_settings(root: &Root, settings: Option<&Settings>, now: Timestamp) -> Vec<CheckWire> {
    let Some(settings) = settings else {
        let unknown = |name| {
            CheckWire::cannot_tell(name, "the configuration can't be gone by", "patchctl config check")
        };
        let names =
            [CheckName::Baseline, CheckName::Clock, CheckName::Lists, CheckName::Windows, CheckName::Freeze];
        return names.map(unknown).into();
    };
    vec![
        place::baseline(root, settings),
        machine::clock(settings),
        policy::lists(root, settings, now),
        policy::windows(settings, now),
        policy::freeze(settings, now),
    ]
}
