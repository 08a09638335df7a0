//! The daemon shuts itself in: by the kernel's landlock it gives up, for good, whatever it has no need of once it works.
//! It writes to its own directories and the store's alone, runs only what lies where programs lie, listens on no TCP port
//! and signals nobody else.
//!
//! It is done before there is a second thread, and as far as the kernel knows of it: without it patchd works all the same.
//! What connects to where is not limited: stores and proxies are on ports of the operator's choice.

mod places;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, LandlockStatus, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use patchd_host::durable;
use patchd_protocol::config::Settings;

pub use self::places::Own;
use self::places::{Allowed, Named};
use crate::chain::chain;

/// What is asked for. Later kernels have more, of which nothing is known here.
const KNOWN: ABI = ABI::V6;

/// The mode of the store's directory, where it has to be made.
const STORE_MODE: u32 = 0o750;

/// What holds for this process from now on.
#[derive(Debug)]
pub struct Sandbox {
    state: State,
    allowed: Allowed,
    config_root: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Shut {
        is_fully: bool,
        abi: i32,
    },
    /// The kernel has none of it, or we must not use it; the reason.
    Without(&'static str),
    Failed(String),
}

impl Sandbox {
    /// Shuts this thread in, and all that it starts from now on.
    pub fn enter(own: &Own<'_>, settings: &Settings) -> Self {
        for directory in Named::in_settings(settings, own.config_root).write {
            // What can't be made is found out again by whoever writes there, who says it better.
            let _ = durable::create_directories(&directory, STORE_MODE);
        }
        let allowed = Allowed::of(own, settings, |name| std::env::var_os(name));
        let state = match restrict(&allowed) {
            Ok(status) => State::of(&status),
            Err(error) => State::Failed(chain(&error)),
        };
        let sandbox = Self { state, allowed, config_root: own.config_root.into() };
        let told = sandbox.told();
        match sandbox.state {
            State::Shut { .. } | State::Without(_) => tracing::info!("{told}"),
            State::Failed(_) => tracing::warn!("{told}"),
        }
        sandbox
    }

    /// None, for this reason.
    pub fn without(why: &'static str) -> Self {
        Self { state: State::Without(why), allowed: Allowed::default(), config_root: "/".into() }
    }

    /// What is enforced, in a line.
    fn told(&self) -> String {
        match &self.state {
            State::Shut { is_fully: true, abi } => format!("landlock: fully, ABI {abi}"),
            State::Shut { is_fully: false, abi } => {
                format!("landlock: as far as the kernel has it, ABI {abi}")
            }
            State::Without(why) => format!("landlock: {why}"),
            State::Failed(why) => format!("landlock: it could not be set up: {why}"),
        }
    }

    /// What these settings name and this process has shut itself out of: it was started with others.
    fn missing(&self, settings: &Settings) -> Vec<PathBuf> {
        if !matches!(self.state, State::Shut { .. }) {
            return Vec::new();
        }
        let Named { mut read, mut write } = Named::in_settings(settings, &self.config_root);
        read.retain(|path| !self.allowed.has_to_read(path));
        write.retain(|path| !self.allowed.has_to_write(path));
        read.into_iter().chain(write).collect()
    }

    /// Whether all is well for these settings, and how it stands.
    pub fn health(&self, settings: &Settings) -> (bool, String) {
        let (missing, told) = (self.missing(settings), self.told());
        if missing.is_empty() {
            return (!matches!(self.state, State::Failed(_)), told);
        }
        let missing: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
        let detail = format!(
            "{told}; patchd was started before the configuration named {}, and has shut itself out of it: restart patchd",
            missing.join(", ")
        );
        (false, detail)
    }
}

impl State {
    fn of(status: &RestrictionStatus) -> Self {
        match (&status.landlock, &status.ruleset) {
            (LandlockStatus::NotImplemented, _) => Self::Without("not in this kernel"),
            (LandlockStatus::NotEnabled, _) => Self::Without("switched off in this kernel"),
            (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
                Self::Failed("the kernel has it and enforces nothing".into())
            }
            (LandlockStatus::Available { effective_abi, kernel_abi }, enforced) => Self::Shut {
                is_fully: *enforced == RulesetStatus::FullyEnforced,
                abi: kernel_abi.unwrap_or(*effective_abi as i32),
            },
        }
    }
}

/// From here on this thread has what is allowed, and no more. It can't be taken back.
fn restrict(allowed: &Allowed) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(KNOWN);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    // What can be written can't be run, and is no device.
    let write = all & !(AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let devices = AccessFs::ReadFile | AccessFs::WriteFile;
    let scope = if allowed.has_abstract_sockets { Scope::Signal.into() } else { Scope::from_all(KNOWN) };
    Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::BindTcp)?
        .scope(scope)?
        .create()?
        .add_rules(path_beneath_rules(&allowed.read, read))?
        .add_rules(path_beneath_rules(&allowed.run, run))?
        .add_rules(path_beneath_rules(&allowed.write, write))?
        .add_rules(path_beneath_rules(&allowed.devices, devices))?
        .restrict_self()
}
