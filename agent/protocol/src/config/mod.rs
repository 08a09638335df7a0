//! Configuration: texts in, settings out. Which files there are, and in which order, is `patchd_host::config_files`.
//!
//! A text becomes a `fragment` (what one file says), fragments become an `input` (what they say together, the later
//! file winning), the input becomes `Settings` (checked, with defaults). Every mistake of every file is listed at once.

mod agent;
mod apply;
mod baseline;
mod fragment;
mod freeze;
mod input;
mod settings;
mod value;
mod window;

use jiff::tz::TimeZone;

use crate::mistake;

pub use self::agent::{AgentSettings, InstanceSettings};
pub use self::apply::{
    ApplySettings, ClockSettings, ConffileChoice, ConffileRule, RebootPolicy, RebootSettings,
};
pub use self::baseline::{
    BaselineSettings, BaselineSource, DEFAULT_FILES, PatchGroup, check_group, parse_source,
};
pub use self::settings::{
    ControlSettings, LogLevel, LogSettings, S3Settings, ScanSettings, Settings, StoreSettings,
};
pub use self::value::parse_duration;
pub use crate::mistake::{Mistake, Mistakes};

/// One configuration file, read.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// What mistakes call it: its path.
    pub name: String,
    pub content: Vec<u8>,
}

/// Reads the files in their order: what a later one says of a key wins, and so does a later window or freeze of the
/// same name. The rules for configuration files of a later file come before those of an earlier one.
///
/// `zone_of` resolves a time zone's IANA name.
pub fn read(files: &[ConfigFile], zone_of: impl Fn(&str) -> Option<TimeZone>) -> Result<Settings, Mistakes> {
    let mut mistakes = Vec::new();
    let mut input = input::Input::default();
    for file in files {
        input.overlay(fragment::Fragment::parse(file, &mut mistakes));
    }
    let settings = settings::from_input(input, zone_of, &mut mistakes);
    match Mistakes::new(mistakes) {
        None => Ok(settings),
        Some(mistakes) => Err(mistakes),
    }
}

#[cfg(test)]
mod tests;
