//! Asking apt itself: what it would do, and what it makes of the preferences. For what this crate's readers can't prove.
//!
//! For another root, apt gets settings of ours in place of the root's own, which could name programs to run.

use std::io;
use std::path::Path;
use std::time::Duration;

use patchd_core::inventory::Inventory;
use thiserror::Error;

use crate::apt::child;
use crate::apt::conf::Conf;
use crate::apt::simulation::{Simulation, UnreadableSimulation};
use crate::root::Root;

/// apt takes seconds for this on a slow machine; what takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(120);

const APT_GET: &str = "/usr/bin/apt-get";
const APT_CACHE: &str = "/usr/bin/apt-cache";

/// The settings of another root that decide on candidates and upgrades, and name nothing to run.
const PASSED_ON: [&str; 14] = [
    "APT::Default-Release",
    "APT::Install-Recommends",
    "APT::Ignore-Hold",
    "APT::Machine-ID",
    "APT::Get::Always-Include-Phased-Updates",
    "APT::Get::Never-Include-Phased-Updates",
    "APT::Get::Phase-Policy",
    "Update-Manager::Always-Include-Phased-Updates",
    "Update-Manager::Never-Include-Phased-Updates",
    "Dir::Etc::sourcelist",
    "Dir::Etc::sourceparts",
    "Dir::Etc::preferences",
    "Dir::Etc::preferencesparts",
    "Dir::State::lists",
];

/// Settings that decide, too, and that are withheld since they can name programs or files outside of the root.
const WITHHELD: [&str; 4] = [
    "APT::Solver",
    "pkgCacheGen::Essential",
    "pkgCacheGen::ForceEssential",
    "Acquire::IndexTargets::deb::Packages",
];

/// Why apt gave no answer.
#[derive(Debug, Error)]
pub enum AskError {
    #[error("apt can't be run")]
    Run(#[source] io::Error),
    #[error("apt refuses: {0}")]
    Refused(String),
    #[error("the root's path can't be written in apt's settings")]
    Path,
    #[error("apt is not run on {0} of another root")]
    Withheld(String),
    #[error(transparent)]
    Unreadable(#[from] UnreadableSimulation),
}

/// What `apt-cache policy` says of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyAnswer {
    /// As it was asked for, with an architecture where apt writes one.
    pub name: String,
    pub candidate: Option<String>,
    /// Versions and their priorities, the highest version first.
    pub versions: Vec<(String, i32)>,
}

/// apt, as it sees the host under one root.
#[derive(Debug)]
pub struct NativeApt {
    settings: Option<String>,
}

impl NativeApt {
    pub fn new(root: &Root, conf: &Conf, architectures: &[String]) -> Result<Self, AskError> {
        if root.is_host() {
            return Ok(Self { settings: None });
        }
        let withheld = WITHHELD.into_iter().find(|key| conf.has(key)).map(|key| format!("the setting {key}"));
        if let Some(feature) = conf.unknown.first().cloned().or(withheld) {
            return Err(AskError::Withheld(feature));
        }
        let directory = root.directory().to_str().filter(|path| is_plain(path)).ok_or(AskError::Path)?;
        let directory = directory.trim_end_matches('/');
        let mut settings = format!(
            "Dir \"{directory}\";\nDir::State::status \"{directory}/var/lib/dpkg/status\";\n\
             Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nDir::Bin::ischroot \"/bin/false\";\n"
        );
        for (at, architecture) in architectures.iter().filter(|name| is_plain(name)).enumerate() {
            if at == 0 {
                settings.push_str(&format!("APT::Architecture \"{architecture}\";\n"));
            }
            settings.push_str(&format!("APT::Architectures:: \"{architecture}\";\n"));
        }
        for key in PASSED_ON {
            if let Some(value) = conf.find(key).filter(|value| is_plain(value)) {
                // An absolute path is one of the root's.
                let inside = if key.starts_with("Dir::") && value.starts_with('/') { directory } else { "" };
                settings.push_str(&format!("{key} \"{inside}{value}\";\n"));
            }
        }
        Ok(Self { settings: Some(settings) })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String, AskError> {
        // Nothing of apt's caches is written, and no log of how it would go (root's simulations leave one otherwise).
        let common = [
            "Dir::Cache::pkgcache=",
            "Dir::Cache::srcpkgcache=",
            "Dir::Log::Planner=/dev/null",
            "APT::Color=0",
        ];
        let common = common.iter().flat_map(|setting| ["-o", setting]);
        let arguments: Vec<String> = common.chain(arguments.iter().copied()).map(str::to_owned).collect();
        let printed = child::run(Path::new(program), &arguments, self.settings.as_deref(), DEADLINE)
            .map_err(AskError::Run)?;
        if printed.is_success {
            return Ok(printed.output);
        }
        let complaint =
            printed.errors.lines().filter(|line| line.starts_with("E:")).collect::<Vec<_>>().join(" ");
        let unmet = printed.output.lines().find(|line| line.contains(" : ")).map(str::trim);
        Err(AskError::Refused(match unmet {
            Some(unmet) => format!("{complaint} ({unmet})"),
            None => complaint,
        }))
    }

    /// What `apt-get dist-upgrade` would do.
    pub fn simulate_upgrade(&self, inventory: &Inventory) -> Result<Simulation, AskError> {
        Ok(Simulation::parse(&self.run(APT_GET, &["-s", "-q", "dist-upgrade"])?, inventory)?)
    }

    /// What apt-get would do if it may add packages but remove none.
    pub fn simulate_upgrade_without_removals(&self, inventory: &Inventory) -> Result<Simulation, AskError> {
        let output = self.run(APT_GET, &["-s", "-q", "--with-new-pkgs", "upgrade"])?;
        Ok(Simulation::parse(&output, inventory)?)
    }

    /// The candidates and priorities of the installed packages.
    pub fn policy(&self, inventory: &Inventory) -> Result<Vec<PolicyAnswer>, AskError> {
        let native = inventory.native.as_str();
        let names: Vec<String> = inventory
            .packages
            .iter()
            .map(|package| full_name(package.id.name.as_str(), package.id.architecture.as_str(), native))
            .collect();
        let arguments: Vec<&str> = ["policy"].into_iter().chain(names.iter().map(String::as_str)).collect();
        self.run(APT_CACHE, &arguments).map(|output| parse_policy(&output))
    }
}

/// How apt names a package: with its architecture where that is neither native nor `all`.
pub fn full_name(name: &str, architecture: &str, native: &str) -> String {
    if architecture == native || architecture == "all" {
        name.to_owned()
    } else {
        format!("{name}:{architecture}")
    }
}

fn is_plain(text: &str) -> bool {
    !text.contains(['"', '\\']) && !text.contains(|c: char| c.is_control())
}

/// Reads the tables of `apt-cache policy NAME…`.
pub fn parse_policy(output: &str) -> Vec<PolicyAnswer> {
    let mut answers: Vec<PolicyAnswer> = Vec::new();
    for line in output.lines() {
        if !line.starts_with(' ') {
            if let Some(name) = line.strip_suffix(':') {
                answers.push(PolicyAnswer { name: name.to_owned(), ..PolicyAnswer::default() });
            }
            continue;
        }
        let Some(answer) = answers.last_mut() else {
            continue;
        };
        if let Some(candidate) = line.strip_prefix("  Candidate: ") {
            answer.candidate = Some(candidate.to_owned()).filter(|candidate| candidate != "(none)");
        } else if let Some(row) = line.strip_prefix("     ").or_else(|| line.strip_prefix(" *** "))
            && !row.starts_with(' ')
        {
            let mut words = row.split(' ');
            if let (Some(version), Some(Ok(priority))) = (words.next(), words.next().map(str::parse)) {
                answer.versions.push((version.to_owned(), priority));
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read() {
        let answers = parse_policy(
            "a:\n  Installed: 1\n  Candidate: 2\n  Version table:\n     2 500 (phased 10%)\n        500 http://x y/z amd64 Packages\n \
             *** 1 100\n        100 /var/lib/dpkg/status\nb:i386:\n  Installed: 1\n  Candidate: (none)\n  Version table:\n     1 -1\n",
        );
        assert_eq!(answers.len(), 2);
        assert_eq!(answers[0].candidate.as_deref(), Some("2"));
        assert_eq!(answers[0].versions, [("2".to_owned(), 500), ("1".to_owned(), 100)]);
        assert_eq!((answers[1].name.as_str(), answers[1].candidate.as_deref()), ("b:i386", None));
        assert_eq!(answers[1].versions, [("1".to_owned(), -1)]);
    }
}
